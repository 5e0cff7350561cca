"""The local Amazon Athena over tables of text: how it finds their objects, reads their lines, and runs SQL on them.

It knows neither ministack nor HTTP. `personalize_local.extension.athena` puts it in; what it needs of the outside is in
`personalize_local.athena.catalog`. `engine` needs DuckDB and SQLGlot, which are imported with the first query.
"""

from __future__ import annotations
