"""The pages people read: README, the site, the examples. What code they show, and who runs it.

Every Python block runs by itself, see tests/synth/test_pages.py. A shell block is run by the test that runs its page
(`COMMANDS_OF`), or it says in its first line why no test can run it.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_RUN = "# Not run by the tests: "
PRELUDE = 'from aws_cdk import App, Stack\n\napp = App()\nstack = Stack(app, "Backup")\n'
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)

# Pages with tests of their own, which run what they show.
OWN_TESTS = {
    "packaging/personalize-local/README.md": "tests/e2e/test_local_page.py",
    "docs/restore.md": "tests/e2e/test_restore.py",
    "docs/privacy.md": "tests/e2e/test_privacy.py",
    "docs/aws-report.md": "tests/e2e/test_aws_report.py",
    "examples/athena/README.md": "tests/e2e/test_athena_page.py",
}
# Pages whose commands are lines of another page, whose test runs them.
COMMANDS_AS_OF = {"examples/restore/README.md": "docs/restore.md"}
# Who runs the commands of a page. Where a page is in several scripts, each takes the blocks that begin so.
COMMANDS_OF = {
    "README.md": {
        "pip ": "tests/e2e/test_pages.py",
        "npx ": "tests/e2e/test_pages.py",
        "make deploy-local": "tests/e2e/test_movielens.py and tests/e2e/test_nightly.py",
    },
    "docs/first-deployment.md": {
        "mkdir ": "tests/e2e/test_pages.py",
        "pip ": "tests/e2e/test_pages.py",
        "echo ": "tests/e2e/test_pages.py",
        "npx ": "tests/e2e/test_pages.py",
        "cdk deploy -c dataset=": "tests/e2e/test_app.py",
    },
    "docs/operations.md": {
        "dataset=": "tests/e2e/test_pages.py",
        "log_group=": "tests/e2e/test_pages.py",
        "path=": "tests/e2e/test_pages.py",
        "aws cloudformation describe-stack-events": "tests/e2e/test_pages.py",
        "bucket=": "tests/e2e/test_pages.py",
        "aws s3api": "tests/e2e/test_pages.py",
        "schedule=$(aws": "tests/e2e/test_pages.py",
        "sed ": "tests/e2e/test_pages.py",
        "update=": "tests/e2e/test_pages.py",
        "aws cloudwatch get-metric-statistics": "tests/e2e/test_pages.py",
    },
    "docs/leave-personalize.md": {"group=": "tests/e2e/test_pages.py"},
    "docs/local-aws.md": {
        "make deploy-local": "tests/e2e/test_movielens.py and tests/e2e/test_nightly.py",
        ". .venv/bin/activate": "tests/unit/tools/test_page_commands.py",
        "make replay": "tests/unit/tools/test_page_commands.py",
    },
    "examples/privacy/README.md": {"cdk ": "tests/e2e/test_examples.py"},
    "examples/movielens/README.md": {"cdk ": "tests/e2e/test_examples.py"},
    "examples/nightly/README.md": {
        "cdk ": "tests/e2e/test_nightly.py",
        "schedules=": "tests/e2e/test_nightly.py",
        "now=": "tests/e2e/test_nightly.py",
        "set_state": "tests/e2e/test_nightly.py",
    },
}


@dataclass(frozen=True)
class Page:
    """A page, by its path within the repository."""

    path: str

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """Return its code blocks of a language, in their order."""
        return [textwrap.dedent(text) for _, named, text in _BLOCK.findall(self.text) if named == language]

    def block(self, start: str, language: str = "sh") -> str:
        """Return the one block that begins so."""
        (found,) = [block for block in self.blocks(language) if block.startswith(start)]
        return found

    def section(self, title: str) -> str:
        """Return the text below a title of the second level."""
        (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE)
        return str(found)

    @property
    def programs(self) -> list[str]:
        """Its Python that is a whole app."""
        return [block for block in self.blocks("python") if "app.synth()" in block]

    @property
    def fragments(self) -> list[str]:
        """Its Python that belongs into a stack."""
        return [block for block in self.blocks("python") if "app.synth()" not in block]

    @property
    def commands(self) -> list[str]:
        """Its commands but for those that say why they are not run."""
        return [block for block in self.blocks("sh") if not block.startswith(NOT_RUN)]

    @property
    def headings(self) -> list[str]:
        """Its headings, without the code between them."""
        return [text for _, text in _HEADING.findall(_BLOCK.sub("", self.text))]

    @property
    def anchors(self) -> list[str]:
        """What its headings are called in links, on GitHub and on the site alike."""
        return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in self.headings]


def pages() -> list[Page]:
    """Return every page."""
    found = [
        ROOT / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "packaging" / "personalize-local" / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "examples").glob("*/README.md"),
    ]
    return [Page(str(path.relative_to(ROOT))) for path in sorted(found)]


README = Page("README.md")
FIRST_DEPLOYMENT = Page("docs/first-deployment.md")
NIGHTLY = Page("docs/nightly.md")
OPERATIONS = Page("docs/operations.md")
