"""The morphology plan: flat structures as unions of boxes, each a compiled window of extremes.

The largest cell under a union is the largest of those under its boxes, so a full structure is one
window that is reduced axis by axis, and a disc is a few of them.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.compiled import _jit
from faltung.compiled.pooling import DTYPES, PoolAxis, PoolTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import missing_compiler
from faltung.plans._footprint import require_cells
from faltung.plans._pool_parts import (
    BAND_BYTES,
    LEAST_CELLS,
    MOST_TAPS,
    Pooling,
    join_pooling,
    run_pooling,
    workspace_of,
)
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import Morphology
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "morphology"
MOST_BOXES = 8
"""Structures that are made of more boxes go to the stencil plan."""

Ranges = tuple[tuple[int, int], ...]


def supports(problem: Problem) -> str | None:
    """Why the morphology plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, Morphology):
        return f"it erodes and dilates, the rule here is {type(recipe.rule).__name__}"
    axes = cast("tuple[SlidingAxis, ...]", recipe.axes)
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(axes)}"
    if _dtype(problem) is None:
        return f"there is no kernel for {problem.dtype}"
    cells = prod(problem.output_shape) * problem.taps
    if cells < LEAST_CELLS and recipe.algorithm != name:
        return f"{cells:,} cells under windows are too few to load compiled code for"
    if cells == 0 or 0 in problem.input_shape:
        return "there is nothing to compare"
    if max(axis.taps for axis in axes) > MOST_TAPS:
        return f"a structure is longer than {MOST_TAPS:,} cells"
    if any(axis.size < axis.dilation for axis in axes):
        return "the dilation is larger than an axis"
    if reason := missing_compiler():
        return reason
    needed = workspace(problem)
    if needed > WORKSPACE:
        return (
            f"one window needs {needed:,} bytes of workspace, more than the {WORKSPACE:,} allowed"
        )
    return None


def _dtype(problem: Problem) -> str | None:
    dtype = problem.dtype
    if dtype.kind in "fV" and dtype.itemsize == 2:
        return "float32"
    return "uint8" if dtype.kind == "b" else dtype.name if dtype.name in DTYPES else None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    whole = tuple((0, axis.taps) for axis in problem.recipe.axes)
    pool = _pooling(problem, whole)
    assert pool is not None
    return workspace_of(problem, pool) + BAND_BYTES


class Prepared(NamedTuple):
    """The structure in the order of the taps, and the boxes that it is made of."""

    structure: Array
    boxes: tuple[Ranges, ...]


def cost(problem: Problem) -> _cost.Cost:
    """Comparisons or sums, one axis after the other; cells read and written."""
    steps = prod(problem.output_shape) * sum(axis.taps for axis in problem.recipe.axes)
    return _cost.Cost(steps * problem.compute_dtype.itemsize / 4, _cost.moved_bytes(problem))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> Prepared | None:
    """The boxes of a flat structure; None where there are heights, or too many boxes."""
    structure = operands.weight
    if structure is None or structure.dtype.kind != "b" or not _jit.available():
        return None
    structure = cast("Morphology", problem.recipe.rule).in_tap_order(structure)
    boxes = _boxes_of(structure)
    return None if boxes is None else Prepared(structure, boxes)


def _boxes_of(structure: Array) -> tuple[Ranges, ...] | None:
    """Boxes of True cells that cover all of them; None if it takes too many."""
    left = structure.copy()
    boxes: list[Ranges] = []
    while left.any():
        if len(boxes) == MOST_BOXES:
            return None
        cell = np.unravel_index(int(left.argmax()), left.shape)
        box = [(int(place), int(place) + 1) for place in cell]
        for axis in reversed(range(structure.ndim)):
            _grow(structure, box, axis)
        boxes.append(tuple(box))
        left[_slices(boxes[-1])] = False
    return tuple(boxes)


def _grow(structure: Array, box: list[tuple[int, int]], axis: int) -> None:
    """Widen a box of True cells along an axis as far as they are True."""
    start, stop = box[axis]

    def is_full(first: int) -> bool:
        cells = [*box]
        cells[axis] = (first, first + 1)
        return bool(structure[_slices(cells)].all())

    while start > 0 and is_full(start - 1):
        start -= 1
    while stop < structure.shape[axis] and is_full(stop):
        stop += 1
    box[axis] = (start, stop)


def _slices(box: Any) -> tuple[slice, ...]:
    return tuple(slice(*cut) for cut in box)


def run(problem: Problem, x: Array, prepared: Prepared, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    rule = cast("Morphology", problem.recipe.rule)
    require_cells(problem.recipe.axes, prepared.structure)
    poolings = [_pooling(problem, box) for box in prepared.boxes]
    first = poolings[0]
    whole = tuple((0, axis.outputs) for axis in problem.recipe.axes)
    if first is not None and first.box[-len(whole) :] == whole:
        run_pooling(problem, first, x, y, None)
        poolings = poolings[1:]
    else:
        y[...] = rule.outside(0, y.dtype)
    join = np.maximum if rule.is_dilation else np.minimum
    for pool in poolings:
        if pool is not None:
            join_pooling(problem, pool, x, y, join)


def _pooling(problem: Problem, box: Ranges) -> Pooling | None:
    """The window of a box of the structure, for the outputs that see a cell; None if none does."""
    axes, outputs = [PoolAxis(1, 1)] * (3 - len(box)), [(0, 1)] * (3 - len(box))
    for axis, (start, stop) in zip(problem.recipe.axes, box, strict=True):
        sliding = cast("SlidingAxis", axis)
        before, count = sliding.before - start * sliding.dilation, stop - start
        span = (count - 1) * sliding.dilation + 1
        first = max(-(-(before - span + 1) // sliding.stride), 0)
        beyond = min((sliding.size - 1 + before) // sliding.stride + 1, sliding.outputs)
        if first >= beyond:
            return None
        outputs.append((first, beyond))
        numbers = sliding.outputs, count, sliding.stride, sliding.dilation
        axes.append(PoolAxis(sliding.size, *numbers, before))
    dtype = _dtype(problem)
    assert dtype is not None
    operation = "max" if cast("Morphology", problem.recipe.rule).is_dilation else "min"
    batch, channels = problem.input_shape[:2]
    task = PoolTask(batch, channels, cast("Any", tuple(axes)), dtype, operation)
    return Pooling(task, False, tuple(outputs))
