"""The results as text: medians with their spread, and ours as a ratio to everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("process_ms", "cpu_ms", "import_ms", "construct_ms", "synth_ms", "python_mb", "node_mb")


def text(results: dict[str, Any]) -> str:
    """Return every figure that was measured, a case in a line."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: dict[str, Any]) -> Iterator[str]:
    for case, figures in results.get("counts", {}).items():
        counted = ("resources", "template_bytes", "jsii_calls")
        yield f"{case:40} " + ", ".join(f"{name} {figures[name]:,.0f}" for name in counted)
    for case, figures in results.get("synth", {}).items():
        yield f"{case:40} " + ", ".join(f"{name} {_spread(figures[name])}" for name in PARTS)
    for case, figures in results.get("ratios", {}).items():
        yield f"{case:40} " + ", ".join(f"{name} {_spread(found)}" for name, found in figures.items())
    for name, figure in results.get("imports", {}).items():
        yield f"{name:40} {_spread(figure) if isinstance(figure, dict) else figure}"
    for case, figures in results.get("deployments", {}).items():
        found = {name: figure for name, figure in figures.items() if isinstance(figure, dict)}
        rest = [f"{name} {figure}" for name, figure in figures.items() if name not in found]
        yield f"{case:40} " + ", ".join([f"{name} {_spread(figure)}" for name, figure in found.items()] + rest)


def _spread(figure: dict[str, float]) -> str:
    return f"{figure['median']:,.4g} ± {figure['spread']:.2g}"
