"""Running compiled window reductions: in place, or on copies of parts of the input.

The kernels read arrays of their own dtype whose last axis or channels are contiguous. All else is
copied, a part at a time: other dtypes, memory orders that have no lanes, borders that are values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, cast

import numpy as np

from faltung.compiled import pooling
from faltung.compiled.pooling import PoolAxis, PoolTask
from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._problem import Problem
from faltung.typing import Array

__all__ = [
    "BAND_BYTES",
    "LEAST_CELLS",
    "MOST_TAPS",
    "Pooling",
    "join_pooling",
    "run_pooling",
    "workspace_of",
]

LEAST_CELLS = 2**15
"""Where windows see fewer cells, NumPy is quick enough, and the compiler need not be loaded."""
MOST_TAPS = 2**16
"""Taps of one axis."""
PART_BYTES = 3 * 2**20
"""How much of an input that has to be copied is copied at once."""
BAND_BYTES = 2**20
"""How much of a result is joined with that of another pooling at once."""
LEAST_CHANNELS = 64
"""Bytes of neighbouring channels that make lanes along them worth it."""


@dataclass(frozen=True)
class Pooling:
    """A problem in the words of the kernels.

    `is_padded`: outside cells are ordinary values, so that the input is copied with its border, and
    the axes count from the border's first cell. `box` is what is computed; all else is zero.
    """

    task: PoolTask
    is_padded: bool
    box: tuple[tuple[int, int], ...]


def workspace_of(problem: Problem, pool: Pooling) -> int:
    """Bytes of workspace in one thread, a part of the input that may have to be copied included."""
    item = np.dtype(pool.task.dtype).itemsize
    window = prod(axis.cells(1) for axis in pool.task.axes) + 1
    whole = prod(problem.input_shape) + prod(problem.output_shape)
    part = max(min(PART_BYTES, whole * item), window * item)
    # A border is put around a copy, which may then be converted: that makes two.
    return pooling.facts(pool.task).workspace_bytes + part * (3 if pool.is_padded else 1)


def run_pooling(
    problem: Problem, pool: Pooling, x: Array, y: Array | None, places: Array | None
) -> None:
    """Compute a pooling: largest, smallest or summed cells, places, or both.

    `x` is all of the input, `y` and `places` are the outputs of the pooling's box.
    """
    if any(start == stop for start, stop in pool.box):
        return
    if problem.dtype.kind == "b":
        x = x.view(np.uint8) if x.dtype == problem.dtype else x
        y = None if y is None else y.view(np.uint8)
    dtype = np.dtype(pool.task.dtype)
    x = _with_three_axes(x)
    y, places = (None if a is None else _with_three_axes(a) for a in (y, places))
    is_ready = x.dtype == dtype and x.flags.aligned and not pool.is_padded
    if is_ready and (y is None or y.dtype == dtype) and _has_lanes(x, problem):
        pooling.run(pool.task, x, y, places, pool.box)
        return
    for planes, box in _parts(pool, x.shape):
        _run_part(problem, pool, x[planes], y, places, planes, box)


def join_pooling(problem: Problem, pool: Pooling, x: Array, y: Array, join: Any) -> None:
    """``y[box] = join(y[box], pooling)`` for a ufunc, a band of planes and rows at a time."""
    rank = x.ndim - 2
    lead, box = pool.box[: 3 - rank], pool.box[3 - rank :]
    row = prod(stop - start for start, stop in box[1:]) * y.itemsize
    rows = max(1, BAND_BYTES // max(row, 1))
    height = box[0][1] - box[0][0]
    together = max(1, rows // height)
    for sample, channel in product(range(len(y)), range(0, y.shape[1], together)):
        planes = slice(sample, sample + 1), slice(channel, channel + together)
        for start in range(*box[0], min(rows, height)):
            band = ((start, min(start + rows, box[0][1])), *box[1:])
            target = y[(*planes, *(slice(*cut) for cut in band))]
            found = np.empty(target.shape, y.dtype)
            part = replace(pool, box=(*lead, *band))
            run_pooling(problem, part, x[planes], found, None)
            join(target, found, out=target)


def _run_part(
    problem: Problem,
    pool: Pooling,
    x: Array,
    y: Array | None,
    places: Array | None,
    planes: Any,
    box: tuple[tuple[int, int], ...],
) -> None:
    """A box of outputs from a copy of the cells that it sees."""
    dtype = np.dtype(pool.task.dtype)
    part, origin = _copied(problem, pool, x, box)
    starts = [start for start, _ in pool.box]
    cuts = [slice(a - start, b - start) for (a, b), start in zip(box, starts, strict=True)]
    where = (*planes, *cuts)
    target = None if y is None else y[where]
    found = None if places is None else places[where]
    if target is None or target.dtype == dtype:
        pooling.run(pool.task, part, target, found, box, origin)
        return
    result = np.empty(target.shape, dtype)
    pooling.run(pool.task, part, result, found, box, origin)
    with np.errstate(all="ignore"):
        target[...] = result


def _with_three_axes(array: Array) -> Array:
    lead = (1,) * (5 - array.ndim)
    return array.reshape(*array.shape[:2], *lead, *array.shape[2:]) if lead else array


def _has_lanes(x: Array, problem: Problem) -> bool:
    """Whether the kernels can read x where it lies, and well."""
    if x.strides[-1] == x.itemsize:
        return True
    is_along_channels = x.strides[1] == x.itemsize and x.shape[1] * x.itemsize >= LEAST_CHANNELS
    # The order of a long sum differs between the two.
    return is_along_channels and not problem.settings.reproducible


def _parts(
    pool: Pooling, shape: tuple[int, ...]
) -> Iterator[tuple[Any, tuple[tuple[int, int], ...]]]:
    """Samples, channels and boxes of outputs whose cells fit a part."""
    axes, item = pool.task.axes, np.dtype(pool.task.dtype).itemsize
    counts = [stop - start for start, stop in pool.box]

    def size() -> int:
        cells = prod(axis.cells(n) for axis, n in zip(axes, counts, strict=True))
        return (cells + prod(counts)) * item

    while size() > PART_BYTES and max(counts) > 1:
        # The first axis that can be cut: parts of neighbouring rows are the least to copy.
        place = next(place for place in range(3) if counts[place] > 1)
        counts[place] = -(-counts[place] // 2)
    together = max(PART_BYTES // size(), 1)
    cuts = [
        [(first, min(first + count, stop)) for first in range(start, stop, count)]
        for (start, stop), count in zip(pool.box, counts, strict=True)
    ]
    channels = range(0, shape[1], together)
    for sample, channel, box in product(range(shape[0]), channels, product(*cuts)):
        yield (slice(sample, sample + 1), slice(channel, channel + together)), box


def _copied(
    problem: Problem, pool: Pooling, x: Array, box: tuple[tuple[int, int], ...]
) -> tuple[Array, tuple[int, ...]]:
    """The cells that a box of outputs sees, as kernels read them, and the number of the first."""
    dtype, recipe = np.dtype(pool.task.dtype), problem.recipe
    ends = [_seen(axis, *cut) for axis, cut in zip(pool.task.axes, box, strict=True)]
    origin = tuple(first for first, _ in ends)
    with np.errstate(all="ignore"):
        if not pool.is_padded:
            where: Any = (..., *(slice(*cells) for cells in ends))
            return np.ascontiguousarray(x[where], dtype), origin
        sources = [np.zeros(1, np.int64)] * (3 - len(recipe.axes))
        for axis, (first, last) in zip(recipe.axes, ends[len(sources) :], strict=True):
            sliding = cast("SlidingAxis", axis)
            positions = np.arange(first, last) - sliding.before
            sources.append(source_index(sliding.mode, positions, sliding.size))
        inside: Any = (slice(None), slice(None), *np.ix_(*(np.maximum(s, 0) for s in sources)))
        part = np.ascontiguousarray(x[inside], dtype)
    for place, source in enumerate(sources):
        outside: Any = (slice(None),) * (2 + place) + (source < 0,)
        part[outside] = recipe.fill
    return part, origin


def _seen(axis: PoolAxis, start: int, stop: int) -> tuple[int, int]:
    """The range of cells that some outputs see."""
    if axis.is_bins:
        return start * axis.size // axis.outputs, -(-stop * axis.size // axis.outputs)
    last = (stop - 1) * axis.stride - axis.before + axis.span
    return max(start * axis.stride - axis.before, 0), min(last, axis.size)
