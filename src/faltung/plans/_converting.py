"""Inputs of another dtype than the sums: converted a part at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._problem import Problem
from faltung.typing import Array

__all__ = ["CONVERTED_BYTES", "converted_part", "output_boxes", "run_converted"]

CONVERTED_BYTES = 3 * 2**20
"""How much of an input of another dtype is converted at once, in the dtype of the result."""


def run_converted(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    x: Array,
    y: Array,
    run_box: Callable[[tuple[SlidingAxis, ...], Array, Array], None],
) -> None:
    """Convert a box of the input at a time, borders included, and run on that.

    `run_box` takes the axes of the box, its cells, and the outputs they are for.
    """
    boxes = output_boxes(axes, x.shape[1] * problem.dtype.itemsize, CONVERTED_BYTES)
    for sample, box in product(range(len(x)), boxes):
        samples = slice(sample, sample + 1)
        part, inner = converted_part(problem, axes, x[samples], box)
        outputs = (samples, slice(None), *(slice(cut.start, cut.stop) for cut in box))
        run_box(inner, part, y[outputs])


def output_boxes(
    axes: tuple[SlidingAxis, ...], cell_bytes: int, limit: int
) -> list[tuple[range, ...]]:
    """Outputs that are done at once: their windows stay under the limit, if that can be."""
    counts = [axis.outputs for axis in axes]

    def reaches() -> list[int]:
        pairs = zip(axes, counts, strict=True)
        return [(count - 1) * axis.stride + axis.span for axis, count in pairs]

    while prod(reaches()) * cell_bytes > limit and max(counts) > 1:
        longest = max(range(len(axes)), key=lambda place: (counts[place] > 1, reaches()[place]))
        counts[longest] = -(-counts[longest] // 2)
    cuts = [
        [range(start, min(start + step, axis.outputs)) for start in range(0, axis.outputs, step)]
        for axis, step in zip(axes, counts, strict=True)
    ]
    return list(product(*cuts))


def converted_part(
    problem: Problem, axes: tuple[SlidingAxis, ...], x: Array, box: tuple[range, ...]
) -> tuple[Array, tuple[SlidingAxis, ...]]:
    """The cells that a box of outputs sees, padding filled in, and its axes without borders."""
    firsts = [cut.start * axis.stride - axis.before for axis, cut in zip(axes, box, strict=True)]
    inner = [
        replace(axis, size=(len(cut) - 1) * axis.stride + axis.span, outputs=len(cut), before=0)
        for axis, cut in zip(axes, box, strict=True)
    ]
    seen = [range(first, first + axis.size) for first, axis in zip(firsts, inner, strict=True)]
    places = list(zip(seen, axes, strict=True))
    if all(cells.start >= 0 and cells.stop <= axis.size for cells, axis in places):
        inside: Any = (..., *(slice(cells.start, cells.stop) for cells in seen))
        with np.errstate(all="ignore"):
            return x[inside].astype(problem.dtype, order="C"), tuple(inner)
    sources = [
        source_index(axis.mode, np.arange(cells.start, cells.stop), axis.size)
        for cells, axis in places
    ]
    is_whole = all((np.diff(source) == 1).all() and source[0] >= 0 for source in sources)
    if is_whole:
        where: Any = (..., *(slice(source[0], source[-1] + 1) for source in sources))
    else:
        where = (slice(None), slice(None), *np.ix_(*(np.maximum(s, 0) for s in sources)))
    with np.errstate(all="ignore"):
        if x.size == 0:  # an axis without cells: all that is seen is padding
            shape = (*x.shape[:2], *map(len, sources))
            return np.full(shape, problem.recipe.fill, problem.dtype), tuple(inner)
        part = x[where].astype(problem.dtype, order="C")
    for place, source in enumerate(sources):
        outside: Any = (slice(None),) * (2 + place) + (source < 0,)
        part[outside] = problem.recipe.fill
    return part, tuple(inner)
