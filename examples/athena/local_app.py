"""MovieLens in Amazon Personalize, exported and made tables of by the stack of app.py, on a local AWS."""

from __future__ import annotations

import json

import aws_cdk as cdk

from examples.athena.app import Athena
from examples.movielens.app import GROUP, MovieLensData
from examples.movielens.data import FIELDS


def main() -> None:
    """Synthesise both stacks."""
    app = cdk.App()
    data = MovieLensData(app, "MovieLensData", data_bucket=app.node.try_get_context("data_bucket"))
    schemas = {
        kind: json.dumps({"type": "record", "name": kind, "fields": fields, "version": "1.0"})
        for kind, fields in FIELDS.items()
    }
    generation = app.node.try_get_context("generation")
    Athena(app, "Athena", dataset_group=GROUP, schemas=schemas, generation=generation).add_dependency(data)
    app.synth()


if __name__ == "__main__":
    main()
