"""What the benchmark computes and draws, without timing anything."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import goals, picture, prices, processes, report, synthesis

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


def test_growth_is_the_difference_between_two_sizes_per_export() -> None:
    sizes = (10, 50, 100, 200, 450)
    counts = {f"ours,{n}": {"jsii_calls": 40.0 + 4 * n, "template_bytes": 800.0 * n, "resources": n} for n in sizes}
    timed = {f"ours,{n}": {"construct_ms": {"median": 100 + 2 * n}, "synth_ms": {"median": n}} for n in sizes}
    steps = synthesis.growth(counts, timed)
    assert [step["jsii_calls"] for step in steps] == [4, 4, 4, 4]
    assert [step["template_bytes"] for step in steps] == [800, 800, 800, 800]
    assert [step["ms"] for step in steps] == pytest.approx([3, 3, 3, 3])


def test_a_missed_goal_is_called_missed() -> None:
    results = {"waiting": {"ours": {"60 min": {"dollars": 0.02, "api_calls": 123}}}}
    assert goals.table(results).splitlines()[2:] == [
        "| 60 min of waiting | ≤ $0.008 | $0.02 | **not met** |",
        "| API calls in 60 min of waiting | ≤ 130 | 123 | met |",
    ]


def test_the_asset_is_15_kb_at_most() -> None:
    assert goals.asset_bytes() <= 15_000


def test_picture_is_drawn_to_scale() -> None:
    bars = [picture.Bar("ours", 50, ours=True), picture.Bar("<theirs>", 100)]
    text = picture.draw([("Time", bars)], [picture.Line("calls", [("1", 4.0), ("2", 4.0)], "n")])
    image = ET.fromstring(text)  # noqa: S314 - our own text
    texts = [element.text for element in image.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Time", "ours", "<theirs>", "50", "100"} <= set(texts)
    widths = [float(box.attrib["width"]) for box in image.iter("{http://www.w3.org/2000/svg}rect")][1:3]
    assert widths[1] == pytest.approx(2 * widths[0])


def test_committed_results_have_every_goal_and_at_least_9_rounds(results: dict[str, Any]) -> None:
    assert len(goals.table(results).splitlines()) == 2 + len(goals.GOALS)
    assert min(results["synth"][case]["process_ms"]["rounds"] for case in synthesis.cases()) >= 9
    assert results["deployments"]["ours / provider_framework, 1"]["stack_beyond_job_s"]["rounds"] >= 9


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
    assert "](results.svg)" in readme


def test_committed_picture_is_that_of_the_committed_results(results: dict[str, Any]) -> None:
    drawn = picture.describe(results, {**synthesis.RIVALS, **synthesis.FLOORS})
    assert (ROOT / "benchmarks" / "results.svg").read_text() == drawn
