"""The pages people read: what they show is run somewhere, their links lead somewhere, their figures add up."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from benchmarks import prices
from tests.pages import COMMANDS_AS_OF, COMMANDS_OF, NOT_RUN, OWN_TESTS, README, ROOT, Page, pages

PAGES = pages()
LONGEST_LEAD = 60
COST = Page("docs/cost.md")
SOURCES = ("cdk_personalize_export", "personalize_local")
# Said by others, and documented there: botocore, CloudFormation of a changed service token, and IAM.
OTHERS_SAY = (
    "Connect timeout on endpoint URL",
    "Modifying service token is not allowed.",
    "is not authorized to perform: personalize:CreateDatasetExportJob",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_command_is_run_by_a_test_or_says_why_not(page: Page) -> None:
    if page.path in OWN_TESTS:
        return
    if page.path in COMMANDS_AS_OF:
        there = "".join(Page(COMMANDS_AS_OF[page.path]).commands).splitlines()
        assert [line for line in "".join(page.commands).splitlines() if line not in there] == []
        return
    starts = COMMANDS_OF.get(page.path, {})
    for command in page.commands:
        assert command.startswith(tuple(starts)), f"{page.path} shows a command that no test runs:\n{command}"
    unused = [start for start in starts if not any(command.startswith(start) for command in page.commands)]
    assert not unused, f"{page.path} has no such command any more"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_what_is_not_run_says_what_it_needs(page: Page) -> None:
    for block in page.blocks("sh"):
        if block.startswith(NOT_RUN):
            assert block.removeprefix(NOT_RUN).startswith("needs "), block


def test_the_tests_that_run_a_page_exist_and_read_it() -> None:
    for page, test in OWN_TESTS.items():
        if (ROOT / page).exists() and Page(page).commands:
            text = (ROOT / test).read_text(encoding="utf-8")
            assert Path(page).name in text or "local_page" in text, f"{test} does not read {page}"
    tests = {test for starts in COMMANDS_OF.values() for named in starts.values() for test in named.split(" and ")}
    assert [test for test in tests if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_link_within_the_repository_leads_somewhere(page: Page) -> None:
    path = ROOT / page.path
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)", page.text)
    for file, anchor in links:
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), file
        assert not anchor or anchor[1:] in Page(str(target.relative_to(ROOT))).anchors, f"{file}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_begins_with_a_paragraph_that_fits_on_a_telephone(page: Page) -> None:
    title, _, rest = page.text.partition("\n\n")
    assert re.fullmatch(r"# .+", title)
    lead = rest.partition("\n\n")[0]
    assert re.match(r"[A-Z`*\[]", lead), f"{page.path} begins with something else than a paragraph"
    assert len(lead.split()) <= LONGEST_LEAD, lead


def test_readme_can_be_read_in_a_sitting() -> None:
    assert len(README.text.splitlines()) <= 150


def test_every_page_of_the_site_is_in_its_contents() -> None:
    listed = {
        str((ROOT / page.path).parent.joinpath(f"{line}.md").resolve().relative_to(ROOT))
        for page in PAGES
        for contents in re.findall(r"```\{toctree\}\n(.*?)```", page.text, re.DOTALL)
        for line in contents.split()
        if not line.startswith(":") and (ROOT / page.path).parent.joinpath(f"{line}.md").exists()
    }
    of_the_site = {page.path for page in PAGES if page.path.startswith("docs/")} - {"docs/index.md"}
    assert of_the_site <= listed


def test_cost_of_a_month_is_that_of_the_benchmark_and_adds_up() -> None:
    rows = re.findall(r"^\| (.+?) \|(.*?)\| \$(\d+\.\d\d) \|$", COST.text, re.MULTILINE)
    computed = {what: eval(_python(arithmetic)) for what, arithmetic, _ in rows if arithmetic.strip()}  # noqa: S307 - ours
    shown = {what: amount for what, _, amount in rows}
    for what, amount in computed.items():
        assert shown[what] == f"{amount:.2f}", what
    assert shown.pop("together") == f"{sum(map(float, shown.values())):.2f}", "what a reader adds up"
    ours = prices.nightly(3)
    assert computed["metrics, by the hour they have data in"] == pytest.approx(ours["metrics"])
    assert computed["silence alarms"] == pytest.approx(ours["silence alarms"])
    deployed = computed["the function, waiting"] + computed["EventBridge Scheduler"]
    assert deployed == pytest.approx(ours["scheduled_ours"], abs=0.0001)


def test_cost_in_the_readme_is_that_of_its_page() -> None:
    of_page = COST.text.splitlines()
    table = [line for line in README.text.splitlines() if line.endswith("|") and "$" in line]
    assert len(table) == 5
    assert all(line in of_page for line in table)


def _python(arithmetic: str) -> str:
    """Return arithmetic for people as Python: units and the names of what is counted left out."""
    bare = re.sub(r"[a-zA-Z$]+", "", arithmetic)
    return bare.replace("\N{MULTIPLICATION SIGN}", "*").replace("\N{DIVISION SIGN}", "/")


def test_texts_of_the_errors_page_are_those_of_the_code() -> None:
    said = _texts()
    first_cells = re.findall(r"^\| (.+?) \| ", Page("docs/errors.md").text, re.MULTILINE)
    quoted = [text for cell in first_cells for text in re.findall(r"`([^`]+)`", cell) if " " in text]
    assert len(quoted) > 15
    for text in quoted:
        assert text in OTHERS_SAY or any(text in one for one in said), text


def _texts() -> list[str]:
    """Return the texts in the code; where a value is put in, there is nothing."""
    found = []
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found
