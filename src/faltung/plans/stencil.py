"""The stencil plan: any operator, any dtype, straight from its tables, in NumPy.

For each block of outputs the table ``index[output, tap]`` gathers the cells of the window into
the rows of a matrix; the rule then reduces each column: for a weighted sum that is one matrix
product. Cells outside the input have index -1: where there are any, the block's copy of the input
has one more cell at the end of the axis, which holds the fill value and is what -1 points at.

Correct for everything and never larger than its workspace, it is also the path of small inputs
and of machines without a compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._blocks import (
    Blocking,
    Box,
    block_bytes,
    choose_blocking,
    ranges,
    whole_blocking,
)
from faltung.plans._by_taps import reduce_by_taps
from faltung.plans._environment import default_environment
from faltung.plans._footprint import require_cells
from faltung.plans._problem import Operands, Problem
from faltung.plans._reduce import REDUCE, Gathered
from faltung.plans._resources import require
from faltung.plans._rounding import store_rounded
from faltung.plans._rules import (
    Morphology,
    Overlap,
    Placement,
    PositionSum,
    Reduction,
    WeightedSum,
)
from faltung.plans._spread import overlap, place_cells, placement_bytes
from faltung.plans._stencil_cost import SMALL_TABLE, cost
from faltung.plans._tables import Table, join_tables
from faltung.typing import Array, IndexArray

__all__ = [
    "cost",
    "name",
    "packing_shortcut",
    "prepare",
    "run",
    "seconds",
    "shortcut",
    "supports",
    "workspace",
]

name = "stencil"


def supports(problem: Problem) -> str | None:
    """None: the stencil plan can do everything."""
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace, beyond input, weights and output."""
    if isinstance(problem.recipe.rule, Placement):
        return placement_bytes(problem)
    itemsize = problem.compute_dtype.itemsize
    return block_bytes(problem, choose_blocking(problem, itemsize), itemsize)


@dataclass(frozen=True)
class Prepared:
    """Weights as one matrix a group, in the dtype of the sums."""

    weight: Array | None  # of a weighted sum: (groups, filters, channels, taps)
    bias: Array | None  # (groups, filters, 1)
    is_finite: bool

    def part(self, problem: Problem, samples: range, groups: range) -> Prepared:
        """What belongs to some samples and groups."""
        weight, rule = self.weight, problem.recipe.rule
        if weight is not None and not isinstance(rule, Morphology):
            is_shared = isinstance(rule, PositionSum) and rule.is_shared
            weight = (
                weight[_slice(samples), _slice(groups)] if is_shared else weight[_slice(groups)]
            )
        bias = None if self.bias is None else self.bias[_slice(groups)]
        return Prepared(weight, bias, self.is_finite)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> Prepared:
    """Bring the weights into the form that `run` takes."""
    recipe, weight, bias = problem.recipe, operands.weight, operands.bias
    dtype = problem.compute_dtype
    if weight is not None and isinstance(recipe.rule, Morphology):
        weight = recipe.rule.in_tap_order(weight)
        return Prepared(weight, None, True)
    if weight is None:
        return Prepared(None, None, True)
    if isinstance(recipe.rule, Placement):
        return Prepared(weight.astype(np.int64, copy=False), None, True)
    if isinstance(recipe.rule, WeightedSum):
        weight = recipe.rule.coefficients(weight).astype(dtype)
        for place, axis in enumerate(recipe.axes):
            if not isinstance(axis, SlidingAxis):  # whose columns are its taps
                weight = weight.take(axis.kernel_taps, axis=2 + place)
        weight = weight.reshape(recipe.groups, recipe.filters, recipe.channels, problem.taps)
    else:
        weight = weight.astype(dtype, copy=False)
        if not cast("PositionSum", recipe.rule).is_shared:
            weight = weight.reshape(recipe.groups, recipe.filters, *weight.shape[1:])
        elif weight.ndim == len(recipe.axes) + 2:  # of a sample without batch axis
            weight = weight[None]
    if bias is not None:
        bias = bias.astype(dtype).reshape(recipe.groups, recipe.filters, 1)
    is_finite = dtype.kind in "biu" or bool(np.isfinite(weight).all())
    return Prepared(weight, bias, is_finite)


def shortcut(
    problem: Problem, x: Array, y: Array, prepared: Prepared
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays like these: the run without all that leads to it."""
    if not isinstance(problem.recipe.rule, WeightedSum):
        return None

    def run_again(x: Array, y: Array) -> bool:
        run(problem, x, prepared, y)
        return True

    return run_again


def packing_shortcut(
    problem: Problem, x: Array, y: Array, operands: Operands
) -> Callable[[Array, Array, Array, Array | None], bool] | None:
    """The same for weights and biases that are prepared each time."""
    if not isinstance(problem.recipe.rule, WeightedSum):
        return None

    def run_again(x: Array, y: Array, weight: Array, bias: Array | None) -> bool:
        run(problem, x, prepare(problem, Operands(weight, bias)), y)
        return True

    return run_again


def run(problem: Problem, x: Array, prepared: Prepared, y: Array) -> None:
    """Compute y, of shape ``problem.output_shape``, from x in canonical order."""
    recipe = problem.recipe
    if isinstance(recipe.rule, Morphology):
        require_cells(recipe.axes, cast("Array", prepared.weight))
    elif isinstance(recipe.rule, Reduction) and recipe.rule.check is not None:
        recipe.rule.check(problem.compute_dtype)
    elif isinstance(recipe.rule, Placement):
        place_cells(x, cast("Array", prepared.weight), y)
        return
    schedule = _schedule_of(problem)
    x = x.reshape(recipe.batch, recipe.groups, recipe.channels, *x.shape[2:])
    y = y.reshape(recipe.batch, recipe.groups, recipe.filters, *y.shape[2:])
    if recipe.is_blank:
        y[...] = 0
    with default_environment(), np.errstate(all="ignore"):
        if schedule.is_single:
            result = _Part(problem, x, prepared).compute(schedule.box, schedule)
            place = y if not recipe.is_blank else y[_last(map(_slice, schedule.box))]
            _store(result, place)
        else:
            # Taps are taken a few at a time, yet a window beyond all memory would never end.
            require(72 * problem.taps, f"a window of {problem.taps:,} taps")
            _run_blocks(problem, schedule, x, prepared, y)


def _run_blocks(
    problem: Problem, schedule: _Schedule, x: Array, prepared: Prepared, y: Array
) -> None:
    recipe, blocking = problem.recipe, schedule.blocking
    planes = (range(recipe.batch), range(recipe.groups))
    for samples, groups in ranges(planes, (blocking.samples, blocking.groups)):
        where = _slice(samples), _slice(groups)
        part = _Part(problem, x[where], prepared.part(problem, samples, groups))
        for outputs in ranges(schedule.box, blocking.outputs):
            result = part.compute(outputs, schedule)
            place = y[(*where, slice(None), *map(_slice, outputs))]
            _store(result, place)


def _store(result: Array, place: Array) -> None:
    result = result.reshape(place.shape)
    if result.dtype.kind == "f" and place.dtype.kind in "biu":
        store_rounded(result, place)
    else:
        place[...] = result


@dataclass(frozen=True)
class _Schedule:
    """The blocks of a problem; `table` is kept where one small block is all."""

    box: Box
    taps: Box
    blocking: Blocking
    is_single: bool
    table: Table | None


def _schedule_of(problem: Problem) -> _Schedule:
    schedule = problem.kept.get(name)
    if schedule is None:
        schedule = problem.kept[name] = _make_schedule(problem)
    return cast("_Schedule", schedule)


def _make_schedule(problem: Problem) -> _Schedule:
    recipe = problem.recipe
    blocking = choose_blocking(problem, problem.compute_dtype.itemsize)
    box = tuple(
        axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in recipe.axes
    )
    taps = tuple(range(axis.taps) for axis in recipe.axes)
    is_single = blocking == whole_blocking(problem)
    is_gathered = not isinstance(recipe.rule, Overlap)
    is_kept = is_single and is_gathered and prod(map(len, box)) * problem.taps <= SMALL_TABLE
    table = join_tables(recipe.axes, box, taps) if is_kept else None
    return _Schedule(box, taps, blocking, is_single, table)


def _slice(cells: range) -> slice:
    return slice(cells.start, cells.stop)


def _last(slices: Iterable[slice]) -> Any:
    """An index of the last axes."""
    return (..., *slices)


@dataclass(frozen=True)
class _Part:
    """Some samples and groups of a problem: x is (samples, groups, channels, *spatial)."""

    problem: Problem
    x: Array
    prepared: Prepared

    def compute(self, outputs: Box, schedule: _Schedule) -> Array:
        """The results of a box of outputs, shape (samples, groups, filters, positions)."""
        recipe = self.problem.recipe
        everything = range(recipe.channels)
        if not isinstance(recipe.rule, WeightedSum):
            sums = self._apply_rule(outputs, schedule)
        elif schedule.is_single:
            table = self._table(outputs, schedule.taps, schedule)
            cells = self._gather(table, everything)
            weight = cast("Array", self.prepared.weight)
            sums = self._reduce(weight, cells, table.is_outside)
        else:
            sums = self._sum_of_blocks(outputs, schedule)
        if self.prepared.bias is not None:
            sums += self.prepared.bias
        if recipe.activation == "relu" and sums.dtype.kind not in "bu":
            np.maximum(sums, 0, out=sums)
        return sums

    def _apply_rule(self, outputs: Box, schedule: _Schedule) -> Array:
        """What the rule makes of the windows, for every rule but the weighted sum."""
        if isinstance(self.problem.recipe.rule, Overlap):
            return overlap(self.problem, self.x, outputs)
        if schedule.blocking.taps != tuple(map(len, schedule.taps)):
            blocks = ranges(schedule.taps, schedule.blocking.taps)
            gathered = (self._gathered(outputs, taps, schedule) for taps in blocks)
            return reduce_by_taps(self.problem, gathered)
        apply = REDUCE[type(self.problem.recipe.rule)]
        return apply(self._gathered(outputs, schedule.taps, schedule))

    def _gathered(self, outputs: Box, taps: Box, schedule: _Schedule) -> Gathered:
        table = self._table(outputs, taps, schedule)
        cells = self._gather(table, range(self.problem.recipe.channels))
        shape = (*cells.shape[:3], prod(map(len, taps)), prod(map(len, outputs)))
        weight = self.prepared.weight
        cells = cells.reshape(shape)
        return Gathered(self.problem, cells, table.is_outside, outputs, weight, taps)

    def _sum_of_blocks(self, outputs: Box, schedule: _Schedule) -> Array:
        """Sums over blocks of channels and taps, in an order that no block size changes."""
        weight, sums = cast("Array", self.prepared.weight), None
        channels = range(self.problem.recipe.channels)
        for (some,) in ranges((channels,), (schedule.blocking.channels,)):
            for taps in ranges(schedule.taps, schedule.blocking.taps):
                table = self._table(outputs, taps, schedule)
                part = weight[:, :, _slice(some)]
                if taps != schedule.taps:
                    part = part[..., _tap_columns(schedule.taps, taps)]
                sums = self._reduce(part, self._gather(table, some), table.is_outside, sums)
        if sums is None:  # no channel, so no block
            table = self._table(outputs, schedule.taps, schedule)
            sums = self._reduce(weight, self._gather(table, channels), table.is_outside)
        return sums

    def _table(self, outputs: Box, taps: Box, schedule: _Schedule) -> Table:
        return schedule.table or join_tables(self.problem.recipe.axes, outputs, taps)

    def _gather(self, table: Table, channels: range) -> Array:
        """The cells under the window: (samples, groups, channels, taps * positions)."""
        recipe, dtype = self.problem.recipe, self.problem.compute_dtype
        fill = recipe.rule.outside(recipe.fill, dtype)
        slab = table.slab_of(self.x[:, :, _slice(channels)], fill, dtype)
        return slab.take(table.flat, axis=3, mode="wrap")

    def _reduce(
        self, weight: Array, cells: Array, is_outside: Array | None, sums: Array | None = None
    ) -> Array:
        """The products of one block, summed and added to `sums`."""
        rows = weight.shape[2] * weight.shape[3]
        positions = cells.shape[3] // weight.shape[3]
        weight = weight.reshape(*weight.shape[:2], rows)
        cells = cells.reshape(*cells.shape[:2], rows, positions)
        is_masked = is_outside is not None and not self.problem.recipe.fill_takes_part
        if is_masked and not self.prepared.is_finite:
            # A weight that is not finite would turn the zero of a cell outside into NaN.
            return _sum_masked(weight, cells, ~cast("Array", is_outside), sums)
        if self.problem.settings.reproducible:
            return _sum_in_order(weight, cells, sums)
        products = _product(weight, cells)
        return products if sums is None else sums + products


def _product(weight: Array, cells: Array) -> Array:
    """The matrix product, never one with a vector: BLAS splits its sums among threads."""
    if weight.shape[1] == 1:
        return (weight.repeat(2, axis=1) @ cells)[:, :, :1]
    if cells.shape[3] == 1:
        return (weight @ cells.repeat(2, axis=3))[..., :1]
    return weight @ cells


def _start(weight: Array, cells: Array, sums: Array | None) -> Array:
    if sums is not None:
        return sums
    return np.zeros((*cells.shape[:2], weight.shape[1], cells.shape[3]), cells.dtype)


def _sum_in_order(weight: Array, cells: Array, sums: Array | None) -> Array:
    """Channel by channel, tap by tap: bits that depend on the window alone."""
    sums = _start(weight, cells, sums)
    for row in range(weight.shape[2]):
        sums += weight[:, :, row, None] * cells[:, :, None, row]
    return sums


def _sum_masked(weight: Array, cells: Array, is_inside: Array, sums: Array | None) -> Array:
    sums = _start(weight, cells, sums)
    for row in range(weight.shape[2]):
        products = weight[:, :, row, None] * cells[:, :, None, row]
        np.add(sums, products, out=sums, where=is_inside[row % len(is_inside)])
    return sums


def _tap_columns(all_taps: Box, taps: Box) -> IndexArray:
    """The columns of the weight matrix that belong to a box of taps."""
    shape = tuple(map(len, all_taps))
    grid = np.ix_(*[np.arange(cut.start, cut.stop) for cut in taps])
    return np.ravel_multi_index(grid, shape).ravel()
