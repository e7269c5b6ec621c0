"""Numbers of the demo in words, the same on the page and in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.typing import Array

if TYPE_CHECKING:
    from faltung.cli._demo_run import Outcome

__all__ = ["beside_opencv", "difference", "duration", "plan", "shape", "speed_up", "window"]


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    if seconds >= 120:
        return f"{seconds / 60:.3g} min"
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def speed_up(slow: float, fast: float) -> str:
    """How many times `fast` goes into `slow`."""
    ratio = slow / max(fast, 1e-9)
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def difference(value: float) -> str:
    """A difference; exactly 0 is worth saying."""
    return "0" if value == 0 else f"{value:.0e}"


def shape(weight: Array) -> str:
    """The sizes of a weight (O, C, kh, kw), without leading ones."""
    outputs, channels, *kernel = weight.shape
    leading = [outputs, channels] if channels > 1 else [outputs] if outputs > 1 else []
    return "×".join(map(str, [*leading, *kernel]))


def beside_opencv(outcome: Outcome) -> str:
    """How many times as long OpenCV takes, a dash where it was not measured."""
    seconds = outcome.opencv_seconds
    return "–" if seconds is None else speed_up(seconds, outcome.seconds)


def plan(algorithm: str) -> str:
    """The algorithm, or how many of them there were: a terminal is narrow."""
    count = algorithm.count(",") + 1
    return algorithm if count == 1 else f"{count} plans"


def window(outcome: Outcome) -> str:
    """The sizes of what slides."""
    return outcome.step.window if outcome.weight is None else shape(outcome.weight)
