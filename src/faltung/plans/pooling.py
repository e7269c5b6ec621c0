"""The pooling plan: compiled reductions of windows, one axis after the other.

Largest, smallest and summed cells of windows that slide and of bins, on one to three axes. An axis
is reduced in the order of its taps, the axes in theirs, so that the bits of a sum depend on its
window alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import inf, prod
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit, pooling
from faltung.compiled.pooling import PoolAxis, PoolTask
from faltung.geometry.adaptive_axis import AdaptiveAxis
from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._compiler import missing_compiler
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import Extreme, Mean, PowerSum, Reduction
from faltung.typing import Array

__all__ = ["name", "prepare", "run", "run_with_places", "supports", "workspace"]

name = "pooling"
LEAST_CELLS = 2**15
"""Where windows see fewer cells, NumPy is quick enough, and the compiler need not be loaded."""
MOST_TAPS = 2**16
"""Taps of one axis."""
MOST_PLACES = 2**31 - 1
PART_BYTES = 3 * 2**20
"""How much of an input that has to be copied is copied at once."""
NAMED = {"sum": "sum", "mean": "sum", "min": "min", "max": "max"}
LEAST_CHANNELS = 64
"""Bytes of neighbouring channels that make lanes along them worth it."""


@dataclass(frozen=True)
class _Pooling:
    """A problem in the words of the kernels.

    `is_padded`: outside cells are ordinary values, so that the input is copied with its border, and
    the axes count from the border's first cell. `box` is what is computed; all else is zero.
    """

    task: PoolTask
    is_padded: bool
    box: tuple[tuple[int, int], ...]


def supports(problem: Problem) -> str | None:
    """Why the pooling plan cannot do the problem, or None."""
    recipe = problem.recipe
    kinds = {type(axis) for axis in recipe.axes}
    if reason := _unknown_rule(problem):
        return reason
    if not kinds <= {SlidingAxis, AdaptiveAxis}:
        return "it knows windows that slide and bins, no others"
    if len(recipe.axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    if _dtype(problem) is None:
        return f"there is no kernel for {problem.dtype}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    cells = prod(problem.output_shape) * problem.taps
    if cells < LEAST_CELLS and not is_wanted:
        return f"{cells:,} cells under windows are too few to load compiled code for"
    if prod(problem.output_shape) == 0 or 0 in problem.input_shape:
        return "there is nothing to reduce"
    if _has_places(problem) and prod(axis.size for axis in recipe.axes) >= MOST_PLACES:
        return f"a plane has {MOST_PLACES:,} cells or more, whose places it does not count"
    if max(axis.taps for axis in recipe.axes) > MOST_TAPS:
        return f"a window is longer than {MOST_TAPS:,} taps"
    if reason := missing_compiler():
        return reason
    needed = workspace(problem)
    if needed > WORKSPACE:
        return (
            f"one window needs {needed:,} bytes of workspace, more than the {WORKSPACE:,} allowed"
        )
    return None


def _unknown_rule(problem: Problem) -> str | None:
    rule = problem.recipe.rule
    if isinstance(rule, PowerSum):
        if rule.order not in (1, 2, inf):
            return f"it knows norms of order 1, 2 and inf, here is {rule.order:g}"
    elif isinstance(rule, Reduction):
        if rule.name not in NAMED:
            return f"it knows the reductions {', '.join(NAMED)}, here is {rule.name}"
    elif not isinstance(rule, Extreme | Mean):
        return f"it reduces windows, the rule here is {type(rule).__name__}"
    return None


def _dtype(problem: Problem) -> str | None:
    """What the kernels compute in; None for a dtype that has no kernel."""
    dtype = problem.compute_dtype
    if dtype.kind in "fV" and dtype.itemsize == 2:
        return "float32"
    if dtype.kind in "biu" and dtype.itemsize < 4 and _has_places(problem):
        return "int32"
    return "uint8" if dtype.kind == "b" else dtype.name if dtype.name in pooling.DTYPES else None


def _has_places(problem: Problem) -> bool:
    rule = problem.recipe.rule
    return isinstance(rule, Extreme) and (rule.gives_position or problem.recipe.also is not None)


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread, a part of the input that may have to be copied included."""
    pool = _pooling_of(problem)
    item = np.dtype(pool.task.dtype).itemsize
    axes = pool.task.axes
    window = prod(axis.cells(1) for axis in axes) + 1
    whole = prod(problem.input_shape) + prod(problem.output_shape)
    part = max(min(PART_BYTES, whole * item), window * item)
    return pooling.facts(pool.task).workspace_bytes + 2 * part


def prepare(problem: Problem, operands: Operands) -> bool | None:
    """Nothing to prepare; None where nothing can be compiled."""
    return True if _jit.available() else None


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    rule = problem.recipe.rule
    if isinstance(rule, Extreme) and rule.gives_position:
        _run(problem, x, None, y)
    else:
        _run(problem, x, y, None)


def run_with_places(problem: Problem, x: Array, y: Array, places: Array) -> None:
    """Compute the largest cells and where they are, both at once."""
    _run(problem, x, y, places)


def _run(problem: Problem, x: Array, y: Array | None, places: Array | None) -> None:
    pool = _pooling_of(problem)
    if problem.recipe.is_blank and y is not None:
        y[...] = 0
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
        where: Any = (..., *(slice(*cut) for cut in pool.box))
        parts = [None if a is None else a[where] for a in (y, places)]
        pooling.run(pool.task, x, parts[0], parts[1], pool.box)
        return
    for planes, box in _parts(pool, x.shape):
        _run_part(problem, pool, x[planes], y, places, planes, box)


def _run_part(
    problem: Problem,
    pool: _Pooling,
    x: Array,
    y: Array | None,
    places: Array | None,
    planes: Any,
    box: tuple[tuple[int, int], ...],
) -> None:
    """A box of outputs from a copy of the cells that it sees."""
    dtype = np.dtype(pool.task.dtype)
    part, origin = _copied(problem, pool, x, box)
    where = (*planes, *(slice(*cut) for cut in box))
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
    pool: _Pooling, shape: tuple[int, ...]
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
    problem: Problem, pool: _Pooling, x: Array, box: tuple[tuple[int, int], ...]
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


def _pooling_of(problem: Problem) -> _Pooling:
    pool = problem.kept.get(name)
    if pool is None:
        pool = problem.kept[name] = _make(problem)
    return cast("_Pooling", pool)


def _make(problem: Problem) -> _Pooling:
    recipe, rule = problem.recipe, problem.recipe.rule
    is_padded = isinstance(rule, Reduction) and not _is_plain_sum(problem)
    axes = tuple(_axis(axis, is_padded=is_padded) for axis in recipe.axes)
    ranges = [
        axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in recipe.axes
    ]
    lead = 3 - len(axes)
    box = ((0, 1),) * lead + tuple((r.start, r.stop) for r in ranges)
    batch, channels = problem.input_shape[:2]
    dtype = _dtype(problem)
    assert dtype is not None
    operation, before, is_divided, divisor, is_rooted = "max", "", False, None, False
    if isinstance(rule, Mean):
        operation, is_divided, divisor = "sum", True, rule.divisor
    elif isinstance(rule, PowerSum):
        operation = "max" if rule.order == inf else "sum"
        before, is_rooted = "square" if rule.order == 2 else "abs", rule.order == 2
    elif isinstance(rule, Reduction):
        operation, is_divided = NAMED[rule.name], rule.name == "mean"
        divisor = problem.taps if is_divided else None
        if problem.dtype.kind == "b" and operation == "sum":
            operation = "max"  # sums of truth values are their disjunction
    three: Any = (*(PoolAxis(1, 1),) * lead, *axes)
    task = PoolTask(
        batch, channels, three, dtype, operation, before, is_divided, divisor, is_rooted
    )
    return _Pooling(task, is_padded, box)


def _is_plain_sum(problem: Problem) -> bool:
    """Whether a reduction may leave cells outside out: there are none, or they are zeros to add."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    if problem.recipe.is_blank:
        return True
    if all(len(axis.clear_outputs) == axis.outputs for axis in axes):
        return True
    sees_cells = all(
        axis.dilation == 1
        and axis.before < axis.taps
        and (axis.outputs - 1) * axis.stride - axis.before < axis.size
        for axis in axes
    )
    is_sum = NAMED[cast("Reduction", problem.recipe.rule).name] == "sum"
    return is_sum and sees_cells and all(axis.mode == "zeros" for axis in axes)


def _axis(axis: Any, *, is_padded: bool) -> PoolAxis:
    if isinstance(axis, AdaptiveAxis):
        return PoolAxis(axis.size, axis.outputs, axis.taps, is_bins=True)
    numbers = axis.outputs, axis.taps, axis.stride, axis.dilation
    if is_padded:
        reach = (axis.outputs - 1) * axis.stride + axis.span
        return PoolAxis(reach, *numbers)
    return PoolAxis(axis.size, *numbers, axis.before, axis.after, axis.counts_padding)
