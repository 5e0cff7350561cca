"""The site: the Markdown pages of this repository, as HTML. `make docs` builds it, see https://www.sphinx-doc.org.

The source folder is the repository itself, so that a link between two pages is the same one here, on GitHub and on the
site; only the pages that are named below are read.
"""

import inspect
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from constructs import Construct
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # autodoc imports the library

project = "cdk_personalize_export"
author = "cdk-personalize-export contributors"
project_copyright = author
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "examples/*/README.md",
    "benchmarks/README.md",
    "packaging/personalize-local/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSES.md",
]
exclude_patterns = [".*", "node_modules", "build", "dist", "cdk.out", "cdk_personalize_export", "tests"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # signatures name classes of the CDK and of Python, which have other sites
suppress_warnings = ["myst.header"]

default_role = "code"  # what docstrings put between backticks
autodoc_typehints = "none"  # the signature has them
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = project
html_favicon = "static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["static/redirect"]  # the root of the site leads to docs/index.html
html_copy_source = False
html_show_sphinx = False
pygments_dark_style = "github-dark"

PICTURES_OF_BOTH_MODES = ["benchmarks/results-dark.svg", "benchmarks/results-light.svg"]


def copy_pictures(app: Sphinx, failure: Exception | None) -> None:
    """Copy the pictures that only `srcset` names, which Sphinx does not read."""
    for name in [] if failure else PICTURES_OF_BOTH_MODES:
        shutil.copy(ROOT / name, Path(app.outdir) / name)


def signature_of(
    app: Sphinx,  # noqa: ARG001 - as Sphinx calls it
    what: str,
    name: str,  # noqa: ARG001
    obj: Any,  # noqa: ANN401
    *_: object,
) -> tuple[str, str] | None:
    """Return the options of a construct, which jsii hides behind a metaclass."""
    if what != "class" or not issubclass(obj, Construct):
        return None
    options = inspect.signature(obj.__init__)
    text = str(options.replace(parameters=list(options.parameters.values())[1:], return_annotation=options.empty))
    text = re.sub(r"<([\w.]+): '\w+'>", r"\1", text)  # a member of an enumeration
    return re.sub(r"(: )'([^']*)'", r"\1\2", text), ""  # annotations are text here


def read_docstring(  # noqa: PLR0913, PLR0917 - as Sphinx calls it
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Read the sections of a docstring: not of an attribute, where napoleon takes text before a colon for a type."""
    if what in {"class", "method"}:
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()


def setup(app: Sphinx) -> None:
    """Add what is above."""
    app.connect("autodoc-process-signature", signature_of)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("build-finished", copy_pictures)
