"""Numbers of the demo in words, the same on the page and in the terminal."""

from __future__ import annotations

from faltung.typing import Array

__all__ = ["difference", "duration", "shape", "speed_up"]


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
    return "0" if value == 0 else f"{value:.1e}"


def shape(weight: Array) -> str:
    """The sizes of a weight (O, C, kh, kw), without leading ones."""
    outputs, channels, *kernel = weight.shape
    leading = [outputs, channels] if channels > 1 else [outputs] if outputs > 1 else []
    return "×".join(map(str, [*leading, *kernel]))
