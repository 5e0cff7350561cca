"""The results as text: medians with their spread, and ours as a ratio to everybody else."""

from __future__ import annotations

from typing import Any

PARTS = ("counts", "synth", "ratios", "imports", "waiting", "deployments", "schedules", "local")
COUNTED = ("resources", "template_bytes", "jsii_calls")  # the times of that run are those of a kernel that counts


def text(results: dict[str, Any]) -> str:
    """Return the figures of every part that was measured, a case in a line."""
    lines = []
    for part in PARTS:
        for case, figures in results.get(part, {}).items():
            kept = {name: figures[name] for name in COUNTED} if part == "counts" else figures
            lines.append(f"{part:12} {case:40} {_shown(kept)}\n")
    return "".join(lines)


def _shown(figure: Any) -> str:  # noqa: ANN401 - as nested as JSON
    if isinstance(figure, dict) and "spread" in figure:
        return f"{_shown(figure['median'])} ± {figure['spread']:.2g}"
    if isinstance(figure, dict):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in figure.items())
    if isinstance(figure, list):
        return " ".join(map(_shown, figure))
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.4g}"  # noqa: PLR2004 - where commas begin to help
