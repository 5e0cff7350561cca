"""What the benchmark computes and draws, without timing anything."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from benchmarks import goals, picture, prices, processes, report, schedules, synthesis

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    return found


def test_summary_is_the_median_and_half_the_distance_of_the_quartiles() -> None:
    assert processes.summary([1.0, 2.0, 3.0, 4.0, 100.0]) == {"median": 3.0, "spread": 1.0, "rounds": 5}


def test_summary_of_one_value_has_no_spread() -> None:
    assert processes.summary([7.0]) == {"median": 7.0, "spread": 0.0, "rounds": 1}


def test_ratio_compares_within_each_round_so_that_a_slow_one_changes_nothing() -> None:
    assert processes.ratio([1.0, 10.0, 1.0], [2.0, 20.0, 2.0])["median"] == 0.5


def test_every_case_runs_once_per_round_after_a_warm_up_that_is_not_kept() -> None:
    order: list[str] = []

    def case(name: str) -> processes.Figures:
        order.append(name)
        return {"n": len(order)}

    timed = processes.interleave({"a": lambda: case("a"), "b": lambda: case("b")}, rounds=2)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert timed == {"a": [{"n": 4}, {"n": 5}], "b": [{"n": 3}, {"n": 6}]}


def test_a_case_that_is_warm_runs_in_the_rounds_only() -> None:
    numbers = iter(range(9))
    assert processes.interleave({"a": lambda: {"n": next(numbers)}}, rounds=1, warm_up=False) == {"a": [{"n": 0}]}


def test_ours_is_compared_with_every_other_case_of_its_kind() -> None:
    timed = {"ours,1": [{"s": 1.0}, {"s": 3.0}], "a,1": [{"s": 2.0}, {"s": 6.0}], "ours,20": [{"s": 1.0}]}
    assert processes.ratios(timed, ["s"]) == {"ours / a, 1": {"s": {"median": 0.5, "spread": 0.0, "rounds": 2}}}
    assert processes.summaries(timed)["a,1"] == {"s": {"median": 4.0, "spread": 1.0, "rounds": 2}}


def test_failing_process_is_reported_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match=r"No module named 'benchmarks\.rivals\.nobody'"):
        processes.run("synth_process.py", "nobody", "1", "shared", "unused", "plain")


def test_an_hour_of_sleeping_costs_its_gigabyte_seconds_and_requests() -> None:
    assert prices.sleeping(3600, 4) == pytest.approx(3600 * 0.125 * 0.0000133334 + 4 * 0.0000002)


def test_a_poll_of_the_provider_framework_costs_two_functions_and_one_transition() -> None:
    function = 0.15 * 0.125 * 0.0000166667 + 0.0000002
    assert prices.rivals(3600)["A provider framework, 30 s"] == pytest.approx(120 * (2 * function + 0.000025))


def test_a_month_of_nights_costs_what_the_functions_run_and_telling_what_cloudwatch_bills() -> None:
    found = prices.nightly(3)
    scheduler = 90 * 0.000001
    assert found["scheduler_target"] == pytest.approx(scheduler)
    assert found["scheduled_ours"] == pytest.approx(scheduler + 90 * (1200 * 0.125 * 0.0000133334 + 2 * 0.0000002))
    assert found["scheduled_lambda"] == pytest.approx(scheduler + 90 * (0.15 * 0.125 * 0.0000133334 + 0.0000002))
    assert found["metrics"] == pytest.approx(15 * 0.30 * 30 / 720)
    assert found["silence alarms"] == pytest.approx(0.30)


def test_figures_of_schedules_are_shown_beside_each_other_once_they_are_measured(results: dict[str, Any]) -> None:
    readme = "before\n<!-- schedules -->\nold\n<!-- /schedules -->\nafter\n"
    assert schedules.shown_in(readme, {}) == readme
    shown = schedules.shown_in(readme, results)
    assert "| resources | 13 |" in shown
    assert "old" not in shown
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter\n")


def test_growth_is_the_difference_between_two_sizes_per_export() -> None:
    sizes = (1, 10, 50, 100, 200, 450)
    counts = {f"ours,{n}": {"jsii_calls": 40.0 + 4 * n, "template_bytes": 800.0 * n, "resources": n} for n in sizes}
    timed = {f"ours,{n}": {"construct_ms": {"median": 100 + 2 * n}, "synth_ms": {"median": n}} for n in sizes}
    steps = synthesis.growth(counts, timed)
    assert [step["jsii_calls"] for step in steps] == [4, 4, 4, 4, 4]
    assert [step["template_bytes"] for step in steps] == [800, 800, 800, 800, 800]
    assert [step["ms"] for step in steps] == pytest.approx([3, 3, 3, 3, 3])


def test_a_missed_goal_is_called_missed() -> None:
    results = {"waiting": {"ours": {"60 min": {"dollars": 0.02, "api_calls": 123}}}}
    assert goals.table(results).splitlines()[2:] == [
        "| 60 min of waiting | ≤ $0.008 | $0.02 | **not met** |",
        "| API calls in 60 min of waiting | ≤ 130 | 123 | met |",
    ]


def test_what_the_app_had_before_is_not_counted_as_ours() -> None:
    results = {"counts": {"ours,1 app": {"resources": 36}, "empty,1 app": {"resources": 27}}}
    assert goals.table(results).splitlines()[2:] == ["| resources beyond the app's own, 1 export | ≤ 9 | 9 | met |"]


def test_one_step_that_is_dearer_than_its_goal_is_a_missed_goal() -> None:
    results = {"growth": [{"jsii_calls": 4.0, "template_bytes": 850}, {"jsii_calls": 4.5, "template_bytes": 850}]}
    assert [line.split(" | ")[1:] for line in goals.table(results).splitlines()[2:]] == [
        ["≤ 4", "4.5", "**not met** |"],
        ["≤ 900 bytes", "850 bytes", "met |"],
    ]


def test_the_ratio_of_the_toy_app_is_shown_without_a_goal() -> None:
    results = {"ratios": {"ours / provider_framework, 1": {"process_ms": {"median": 0.85}}}}
    assert goals.table(results).splitlines()[2:] == [
        f"| the same in the toy app, 1 export | none | 0.85 {goals.TIMES} |  |"
    ]


def test_results_of_fewer_than_9_rounds_are_called_preliminary() -> None:
    def results(rounds: int) -> dict[str, Any]:
        figure = {"process_ms": {"rounds": 9}, "stack_beyond_job_s": {"rounds": rounds}}
        kinds = ("1", "100", "1 app", "100 app")
        of_all = {f"ours / provider_framework, {kind}": figure for kind in kinds}
        return {"ratios": of_all, "deployments": of_all}

    assert goals.warning(results(9)) == ""
    assert goals.warning(results(8)) == "**Preliminary**: timed in 8 rounds instead of 9.\n\n"


def test_the_asset_is_40_kb_at_most() -> None:
    assert goals.asset_bytes() <= 40_000


def drawn() -> dict[str, Any]:
    """Return results of which the picture can be drawn: ours half as long as theirs."""
    names, sizes = {"ours": 50.0, "theirs": 100.0}, ("1", "100", "1 app", "100 app")
    timed = {f"{n},{size}": {"process_ms": {"median": ms, "spread": 5.0}} for n, ms in names.items() for size in sizes}
    counts = {f"{name},{size}": {"resources": ms} for name, ms in names.items() for size in sizes}
    growth = [{"sizes": sizes, "jsii_calls": 4.0, "template_bytes": 850.0, "ms": 1.5} for sizes in ("1–10", "10–50")]  # noqa: RUF001 - a range
    return {"synth": timed, "counts": counts, "growth": growth}


NAMES = {"ours": "ours", "theirs": "<theirs>"}


def test_picture_is_drawn_to_scale_with_ours_in_a_colour_of_its_own() -> None:
    theme = picture.THEMES["light"]
    figure = picture.draw(drawn(), NAMES, theme)
    bars = [[bar for bar in axes.patches if isinstance(bar, Rectangle)] for axes in figure.axes[:6]]
    assert [[bar.get_width() for bar in panel] for panel in bars] == [[50, 100]] * 6
    assert {to_hex(panel[0].get_facecolor()) for panel in bars} == {theme.ours}
    assert {to_hex(panel[1].get_facecolor()) for panel in bars} == {theme.theirs}


def test_picture_names_everybody_and_gives_every_figure_as_text() -> None:
    image = ET.fromstring(picture.svg(drawn(), NAMES, picture.THEMES["dark"]))  # noqa: S314 - our own text
    texts = {element.text for element in image.iter("{http://www.w3.org/2000/svg}text")}
    assert {"ours", "<theirs>", "50", "100", "850", "1.5", *picture_titles()} <= texts


def picture_titles() -> set[str]:
    return {f"Whole synthesis (ms): {title}" for title in picture.SIZES.values()}


@pytest.mark.parametrize("theme", picture.THEMES)
def test_picture_is_the_same_at_every_run(theme: str) -> None:
    first, second = (picture.svg(drawn(), NAMES, picture.THEMES[theme]) for _ in range(2))
    assert first == second


def test_committed_results_have_every_goal(results: dict[str, Any]) -> None:
    assert len(goals.table(results).splitlines()) == 2 + len(goals.GOALS)


def test_committed_results_were_timed_in_9_rounds_or_the_readme_calls_them_preliminary(results: dict[str, Any]) -> None:
    rounds = [results["synth"][case]["process_ms"]["rounds"] for case in synthesis.cases()]
    rounds.append(results["deployments"]["ours / provider_framework, 1"]["stack_beyond_job_s"]["rounds"])
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    assert ("**Preliminary**" in readme) is (min(rounds) < 9)


def test_what_is_printed_has_every_part_and_medians_spreads_and_ratios() -> None:
    figure = {"median": 1234.5, "spread": 0.25, "rounds": 9}
    results = {
        "counts": {"ours,1": {"resources": 9, "template_bytes": 9293, "jsii_calls": 49, "import_ms": 524.4}},
        "ratios": {"ours / a, 1": {"cpu_ms": figure}},
        "imports": {"asset_bytes": 14919},
        "deployments": {"by length": {"job_s": [1.0, 3.111], "ratio": 0.6298}},
        "runs": {"synth": {"node": "v24"}},
    }
    assert [" ".join(line.split()) for line in report.text(results).splitlines()] == [
        "counts ours,1 resources 9, template_bytes 9,293, jsii_calls 49",
        "ratios ours / a, 1 cpu_ms 1,234 ± 0.25",
        "imports asset_bytes 14,919",
        "deployments by length job_s 1 3.111, ratio 0.6298",
    ]


def test_every_committed_figure_can_be_printed(results: dict[str, Any]) -> None:
    printed = {line.split()[0] for line in report.text(results).splitlines()}
    assert printed == set(report.PARTS)


def test_readme_shows_the_committed_results(results: dict[str, Any]) -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    assert goals.shown_in(readme, results) == readme
    assert goals.table(results) in readme
    assert 'srcset="results-dark.svg" media="(prefers-color-scheme: dark)"' in readme
    assert 'src="results-light.svg"' in readme


@pytest.mark.parametrize("theme", picture.THEMES)
def test_committed_picture_is_that_of_the_committed_results(theme: str, results: dict[str, Any]) -> None:
    svg = picture.svg(results, {**synthesis.RIVALS, **synthesis.FLOORS}, picture.THEMES[theme])
    assert (ROOT / "benchmarks" / f"results-{theme}.svg").read_text() == svg
