"""The copying plan: padding and unfolding at the speed of memory.

The cells of the input are one block of the output; what lies around it is copied axis by axis from
what is there already, as `numpy.pad` does. In a corner, the later axis finds the earlier one done.
Unfolding does so tap by tap: what a tap shows is the input, shifted and in steps of the stride.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import Copy
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "copying"
BYTES_AT_ONCE = 2**22
"""How much of a border is copied at once, which bounds the workspace."""
LOOKED_UP = 12
"""What the ends of an axis that show cells cost, in copies."""
PLAIN = ("zeros", "constant", "blank")
"""Borders that show no cell of the input."""


def supports(problem: Problem) -> str | None:
    """Why the copying plan cannot do the problem, or None."""
    if not isinstance(problem.recipe.rule, Copy):
        return f"it copies, the rule here is {type(problem.recipe.rule).__name__}"
    if _is_tap_by_tap(problem):
        return None
    for axis in problem.recipe.axes:
        if not isinstance(axis, SlidingAxis) or axis.taps != 1 or axis.stride != 1:
            return "it knows windows of one tap and stride 1"
        after = axis.outputs - axis.before - axis.size
        is_mixed = min(axis.before, after) < 0 < max(axis.before, after)
        is_empty = -axis.before >= axis.size or -after >= axis.size
        if (is_mixed or is_empty) and axis.mode not in ("zeros", "constant"):
            return "an axis is cropped at one end and shows the cropped cells at the other"
    return None


def _is_tap_by_tap(problem: Problem) -> bool:
    return cast("Copy", problem.recipe.rule).keeps_taps and all(
        isinstance(axis, SlidingAxis) and axis.mode in PLAIN for axis in problem.recipe.axes
    )


def workspace(problem: Problem) -> int:
    """Bytes of workspace: a part of a border."""
    return 2 * BYTES_AT_ONCE


def cost(problem: Problem) -> _cost.Cost:
    """Cells read and written; a copy for each tap, or for each end of each axis."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    if _is_tap_by_tap(problem):
        copies = problem.taps * (1 + 2 * len(axes))
    else:
        copies = 1 + sum(2 if axis.mode in PLAIN else LOOKED_UP for axis in axes)
    return _cost.Cost(0, _cost.moved_bytes(problem), calls=copies)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> bool:
    """Nothing to prepare."""
    return True


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    if _is_tap_by_tap(problem):
        _run_taps(problem, x, y)
        return
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


def _run_taps(problem: Problem, x: Array, y: Array) -> None:
    """Unfold: for each tap, the part of the input that it shows, and the fill value around it."""
    recipe, axes = problem.recipe, cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    kernel = tuple(axis.taps for axis in axes)
    by_tap = y.reshape(*x.shape[:2], *kernel, *y.shape[2:])
    if recipe.is_blank:
        y[...] = 0
    for taps in np.ndindex(*kernel):
        plane = by_tap[(slice(None), slice(None), *taps)]
        inside, cells = [], []
        for axis, tap in zip(axes, taps, strict=True):
            shifted = replace(axis, taps=1, before=axis.before - tap * axis.dilation)
            rows = (axis if recipe.is_blank else shifted).clear_outputs
            first = rows.start * axis.stride - shifted.before if rows else 0
            inside.append(slice(rows.start, rows.stop))
            cells.append(slice(first, first + len(rows) * axis.stride, axis.stride))
        with np.errstate(all="ignore"):
            plane[_at(inside)] = x[_at(cells)]
        for place, axis in enumerate(axes):
            ends = slice(0, inside[place].start), slice(inside[place].stop, axis.outputs)
            inside[place] = slice(0, axis.outputs)
            if not recipe.is_blank:
                for rows_beyond in ends:
                    around = [*inside[:place], rows_beyond, *inside[place + 1 :]]
                    plane[_at(around)] = recipe.fill


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
            # Only the rows that are shown: `take` makes a copy of all that it is given.
            near = slice(int(shown.min()), int(shown.max()) + 1)
            part(rows)[...] = part(near).take(shown - near.start, axis=2 + place)


def _at(slices: list[slice]) -> Any:
    """An index of the spatial axes."""
    return (..., *slices)
