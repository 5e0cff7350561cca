"""The results as a picture: bars and lines, written as SVG by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 860
COLUMN = 410
ROW = 22
LABEL = 150
OURS, THEIRS, INK, FAINT = "#0b7a75", "#b8c0c8", "#1f2933", "#7b8794"


class Bar(NamedTuple):
    """A bar; `spread` draws a whisker to both sides."""

    label: str
    value: float
    spread: float = 0.0
    ours: bool = False


class Line(NamedTuple):
    """A row of points, each with its text."""

    label: str
    points: Sequence[tuple[str, float]]
    unit: str


class Canvas:
    """What has been drawn so far."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.height = 0.0

    def text(self, x: float, y: float, text: str, **look: str) -> None:
        """Write a line; `look` is SVG's own, with _ for -."""
        attributes = {"fill": INK, "font-size": "12", **{name.replace("_", "-"): value for name, value in look.items()}}
        shown = " ".join(f'{name}="{value}"' for name, value in attributes.items())
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" {shown}>{escape(text)}</text>')

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw a filled rectangle."""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>')

    def stroke(self, points: Sequence[tuple[float, float]], color: str, width: float = 1.5) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"/>')

    def svg(self) -> str:
        """Return the document."""
        size = f'width="{WIDTH}" height="{self.height:.0f}" viewBox="0 0 {WIDTH} {self.height:.0f}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" role="img">'
        ground = f'<rect width="{WIDTH}" height="{self.height:.0f}" fill="#ffffff"/>'
        return "\n".join([head, "<title>What was measured</title>", ground, *self.parts, "</svg>"]) + "\n"


def draw(panels: Sequence[tuple[str, Sequence[Bar]]], growth: Sequence[Line]) -> str:
    """Return the picture: bar charts two in a row, and below them how the cost grows."""
    canvas = Canvas()
    y = 10.0
    for left in range(0, len(panels), 2):
        pair = panels[left : left + 2]
        for column, (title, bars) in enumerate(pair):
            _bars(canvas, 15 + column * (COLUMN + 10), y, title, bars)
        y += 40 + ROW * max(len(bars) for _, bars in pair)
    canvas.text(15, y + 16, "Cost of each further export, ours, by the number of exports", font_weight="600")
    for number, line in enumerate(growth):
        _growth(canvas, 15 + number * 280, y + 30, line)
    canvas.height = y + 150
    return canvas.svg()


def _bars(canvas: Canvas, x: float, y: float, title: str, bars: Sequence[Bar]) -> None:
    canvas.text(x, y + 16, title, font_weight="600")
    longest = max(bar.value + bar.spread for bar in bars)
    room = COLUMN - LABEL - 60
    for number, bar in enumerate(bars):
        top = y + 26 + number * ROW
        canvas.text(x + LABEL - 6, top + 13, bar.label, text_anchor="end", fill=OURS if bar.ours else INK)
        canvas.box(x + LABEL, top + 3, room * bar.value / longest, ROW - 8, OURS if bar.ours else THEIRS)
        end = x + LABEL + room * (bar.value + bar.spread) / longest
        if bar.spread:
            middle, start = top + ROW / 2 - 1, x + LABEL + room * max(bar.value - bar.spread, 0) / longest
            canvas.stroke([(start, middle), (end, middle)], INK, 1)
        canvas.text(end + 6, top + 13, f"{bar.value:,.0f}", fill=FAINT)


def _growth(canvas: Canvas, x: float, y: float, line: Line) -> None:
    width, height = 215.0, 60.0
    top = max(value for _, value in line.points) * 1.25 or 1.0
    step = width / max(len(line.points) - 1, 1)
    places = [(x + n * step, y + 20 + height * (1 - value / top)) for n, (_, value) in enumerate(line.points)]
    canvas.text(x, y + 10, f"{line.label} ({line.unit})", fill=FAINT)
    canvas.stroke([(x, y + 20 + height), (x + width, y + 20 + height)], THEIRS)
    canvas.stroke(places, OURS, 2)
    for (label, value), (px, py) in zip(line.points, places, strict=True):
        canvas.box(px - 2, py - 2, 4, 4, OURS)
        canvas.text(px, py - 6, f"{value:,.3g}" if value < 100 else f"{value:,.0f}", font_size="10")  # noqa: PLR2004
        canvas.text(px, y + 34 + height, label, font_size="10", fill=FAINT)


def describe(results: dict[str, Any], names: dict[str, str]) -> str:
    """Return the picture of the results; `names` are the rivals to show and what to call them."""
    panels = []
    for size in ("1", "100"):
        timed = results["synth"]
        bars = [
            _bar(name, label, timed[f"{name},{size}"]["process_ms"])
            for name, label in names.items()
            if f"{name},{size}" in timed
        ]
        panels.append((f"Whole synthesis, {size} export{'s' * (size != '1')} (ms)", bars))
    for size in ("1", "100"):
        counted = results["counts"]
        bars = [
            Bar(label, counted[f"{name},{size}"]["resources"], ours=name == "ours")
            for name, label in names.items()
            if counted.get(f"{name},{size}", {}).get("resources")
        ]
        panels.append((f"Resources, {size} export{'s' * (size != '1')}", bars))
    growth = [
        Line(label, [(step["sizes"], step[key]) for step in results["growth"]], unit)
        for label, key, unit in (
            ("jsii calls", "jsii_calls", "calls"),
            ("Construct and synthesise", "ms", "ms"),
            ("Template", "template_bytes", "bytes"),
        )
    ]
    return draw(panels, growth)


def _bar(name: str, label: str, figure: dict[str, float]) -> Bar:
    return Bar(label, figure["median"], figure["spread"], ours=name == "ours")
