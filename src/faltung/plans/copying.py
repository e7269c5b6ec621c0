"""The copying plan: padding at the speed of memory.

The cells of the input are one block of the output; what lies around it is copied axis by axis from
what is there already, as `numpy.pad` does. In a corner, the later axis finds the earlier one done.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import Copy
from faltung.typing import Array

__all__ = ["name", "prepare", "run", "supports", "workspace"]

name = "copying"
BYTES_AT_ONCE = 2**22
"""How much of a border is copied at once, which bounds the workspace."""


def supports(problem: Problem) -> str | None:
    """Why the copying plan cannot do the problem, or None."""
    if not isinstance(problem.recipe.rule, Copy):
        return f"it copies, the rule here is {type(problem.recipe.rule).__name__}"
    for axis in problem.recipe.axes:
        if not isinstance(axis, SlidingAxis) or axis.taps != 1 or axis.stride != 1:
            return "it knows windows of one tap and stride 1"
        after = axis.outputs - axis.before - axis.size
        is_mixed = min(axis.before, after) < 0 < max(axis.before, after)
        is_empty = -axis.before >= axis.size or -after >= axis.size
        if (is_mixed or is_empty) and axis.mode not in ("zeros", "constant"):
            return "an axis is cropped at one end and shows the cropped cells at the other"
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace: a part of a border."""
    return 2 * BYTES_AT_ONCE


def prepare(problem: Problem, operands: Operands) -> bool:
    """Nothing to prepare."""
    return True


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    inside, cells = [], []
    for axis in axes:
        first = min(max(axis.before, 0), axis.outputs)
        beyond = max(min(axis.size + axis.before, axis.outputs), first)
        inside.append(slice(first, beyond))
        cells.append(slice(first - axis.before, beyond - axis.before))
    with np.errstate(all="ignore"):
        y[_at(inside)] = x[_at(cells)]
    for place, axis in enumerate(axes):
        _fill_ends(problem, place, inside, y)
        inside[place] = slice(0, axis.outputs)


def _fill_ends(problem: Problem, place: int, inside: list[slice], y: Array) -> None:
    """Fill the ends of one axis; the earlier axes are whole, the later ones have their inside."""
    axis = cast("SlidingAxis", problem.recipe.axes[place])

    def part(rows: slice) -> Array:
        return cast("Array", y[_at([*inside[:place], rows, *inside[place + 1 :]])])

    step = max(BYTES_AT_ONCE // max(part(slice(0, 1)).nbytes, 1), 1)
    for start, stop in ((0, inside[place].start), (inside[place].stop, axis.outputs)):
        for first in range(start, stop, step):
            rows = slice(first, min(first + step, stop))
            if axis.mode in ("zeros", "constant"):
                part(rows)[...] = problem.recipe.fill
                continue
            shown = axis.index(rows.start, rows.stop)[:, 0] + axis.before
            part(rows)[...] = part(slice(None)).take(shown, axis=2 + place)


def _at(slices: list[slice]) -> Any:
    """An index of the spatial axes."""
    return (..., *slices)
