"""How the stencil plan applies the rules that spread what they read instead of gathering it."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, cast

import numpy as np

from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._blocks import Box, halved_at_first, ranges
from faltung.plans._problem import Problem
from faltung.typing import Array, IndexArray

__all__ = ["overlap", "place_cells", "placement_bytes"]

AT_ONCE = 2**16
"""Cells that are placed together."""
MOST_MARKS = 2**22
"""Cells of a block's output for which each has a mark."""
BYTES_A_CELL = 96
"""What a cell takes meanwhile: value, position, both sorted, and its coordinates."""


def overlap(problem: Problem, x: Array, outputs: Box) -> Array:
    """The sums of a box of outputs: (samples, groups, one filter, positions).

    Tap by tap, so that the order of a sum depends on no block; x is (samples, groups, taps,
    *windows).
    """
    axes = cast("tuple[TransposedAxis, ...]", problem.recipe.axes)
    sums = np.zeros((*x.shape[:2], *map(len, outputs)), problem.compute_dtype)
    landings = [
        [axis.landing(tap, box.start, box.stop) for tap in range(axis.forward.taps)]
        for axis, box in zip(axes, outputs, strict=True)
    ]
    for tap, chosen in enumerate(product(*landings)):
        windows: Any = (slice(None), slice(None), tap, *(inputs for inputs, _ in chosen))
        where: Any = (..., *(places for _, places in chosen))
        cells = sums[where]
        np.add(cells, x[windows], out=cells)
    return sums.reshape(*x.shape[:2], 1, -1)


def placement_bytes(problem: Problem) -> int:
    """The workspace of `place_cells`."""
    marks = min(MOST_MARKS, prod(problem.output_shape))
    return BYTES_A_CELL * min(AT_ONCE, prod(problem.input_shape)) + marks


def place_cells(x: Array, positions: IndexArray, y: Array) -> None:
    """Write each cell of x (samples, channels, *cells) to its position in the plane of y.

    In row-major order, also of the blocks, so that of equal positions the last stays.
    """
    y[...] = 0
    whole = tuple(map(range, x.shape))
    steps = x.shape
    while prod(steps) > AT_ONCE:
        steps = halved_at_first(steps)
    for block in ranges(whole, steps):
        cells = tuple(slice(cut.start, cut.stop) for cut in block)
        planes = y[cells[:2]]
        values, flat = x[cells].ravel(), positions[cells].reshape(*planes.shape[:2], -1)
        plane = np.arange(prod(planes.shape[:2])).reshape(*planes.shape[:2], 1)
        flat = (flat + plane * prod(y.shape[2:])).ravel()
        if _has_equals(flat, planes.size):
            # NumPy promises no order of assignments: of equals, only the last is assigned.
            flat, from_the_end = np.unique(flat[::-1], return_index=True)
            values = values[::-1][from_the_end]
        if planes.flags.c_contiguous:
            planes.reshape(-1)[flat] = values
        else:
            planes[np.unravel_index(flat, planes.shape)] = values


def _has_equals(numbers: IndexArray, limit: int) -> bool:
    """Whether some of the numbers, all below `limit`, are equal."""
    if limit <= MOST_MARKS:  # twenty times as quick as sorting
        is_taken = np.zeros(limit, bool)
        is_taken[numbers] = True
        return int(np.count_nonzero(is_taken)) < numbers.size
    ordered = np.sort(numbers)
    return bool((ordered[1:] == ordered[:-1]).any())
