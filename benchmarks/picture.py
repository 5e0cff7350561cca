"""The results as a picture, drawn by matplotlib: one for light pages and one for dark ones, the same at every run."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = (9.6, 11.6)
SIZES = {
    "1 app": "an app, 1 export",
    "100 app": "an app, 100 exports",
    "1": "toy app, 1 export",
    "100": "toy app, 100 exports",
}
GROWTH = {"jsii_calls": "jsii calls", "template_bytes": "template (bytes)", "ms": "time (ms)"}


class Theme(NamedTuple):
    """The colours of a page."""

    ground: str
    ink: str
    faint: str
    ours: str
    theirs: str


THEMES = {
    "light": Theme(ground="#ffffff", ink="#1f2328", faint="#59636e", ours="#0b7a75", theirs="#b8c0c8"),
    "dark": Theme(ground="#0d1117", ink="#e6edf3", faint="#9198a1", ours="#2fb5ad", theirs="#4b535d"),
}


def svg(results: dict[str, Any], names: dict[str, str], theme: Theme) -> str:
    """Return the picture as SVG: with text as text, and without a date or random ids, so that it can be compared."""
    with mpl.rc_context({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}):
        file = io.StringIO()
        draw(results, names, theme).savefig(file, format="svg", metadata={"Date": None, "Title": "What was measured"})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def draw(results: dict[str, Any], names: dict[str, str], theme: Theme) -> Figure:
    """Return the picture; `names` are the rivals to show, and what to call them."""
    figure = Figure(figsize=INCHES, facecolor=theme.ground, layout="constrained")
    times, resources, growth = figure.subfigures(3, 1, height_ratios=(5.4, 2.7, 2))
    for axes, (size, title) in zip(times.subplots(2, 2).flat, SIZES.items(), strict=True):
        timed = {n: results["synth"][f"{n},{size}"]["process_ms"] for n in names if f"{n},{size}" in results["synth"]}
        values = {name: found["median"] for name, found in timed.items()}
        _bars(axes, values, names, theme, spreads=[found["spread"] for found in timed.values()])
        _title(axes, f"Whole synthesis (ms): {title}", theme)
    for axes, size in zip(resources.subplots(1, 2), ("1", "100"), strict=True):
        counted = {n: results["counts"].get(f"{n},{size}", {}).get("resources", 0) for n in names}
        _bars(axes, {name: count for name, count in counted.items() if count}, names, theme)
        _title(axes, f"Resources: {SIZES[size]}", theme)
    for axes, (metric, label) in zip(growth.subplots(1, 3), GROWTH.items(), strict=True):
        _line(axes, {step["sizes"]: step[metric] for step in results["growth"]}, theme)
        _title(axes, f"Each further export: {label}", theme)
    return figure


def _bars(
    axes: Axes, values: dict[str, float], names: dict[str, str], theme: Theme, *, spreads: list[float] | None = None
) -> None:
    colors = [theme.ours if name == "ours" else theme.theirs for name in values]
    bars = axes.barh(
        [names[name] for name in values], list(values.values()), xerr=spreads, color=colors, ecolor=theme.ink
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=4, color=theme.faint, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xticks([])
    _plain(axes, theme)


def _line(axes: Axes, values: dict[str, float], theme: Theme) -> None:
    axes.plot(list(values), list(values.values()), color=theme.ours, marker="o", markersize=4)
    for place, value in enumerate(values.values()):
        text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough
        axes.annotate(
            text, (place, value), (0, 5), textcoords="offset points", ha="center", color=theme.faint, fontsize=7
        )
    low, high = min(0, *values.values()), max(values.values())
    axes.set_ylim(low - 0.1 * (high - low), high + 0.35 * (high - low))
    axes.set_yticks([])
    axes.margins(x=0.1)
    _plain(axes, theme)


def _plain(axes: Axes, theme: Theme) -> None:
    """Leave out what carries no figure."""
    axes.set_facecolor(theme.ground)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=theme.ink)


def _title(axes: Axes, text: str, theme: Theme) -> None:
    axes.set_title(text, loc="left", fontsize=9, fontweight="bold", color=theme.ink)
