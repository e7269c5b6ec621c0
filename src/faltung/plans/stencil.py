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
from faltung.plans._environment import default_environment, keeps_denormals, quietly
from faltung.plans._footprint import require_cells
from faltung.plans._problem import Operands, Problem
from faltung.plans._reduce import REDUCE, Gathered
from faltung.plans._resources import require
from faltung.plans._rounding import store_rounded
from faltung.plans._rules import (
    Morphology,
    Overlap,
    Placement,
    Reduction,
    WeightedSum,
)
from faltung.plans._short import short_reduction, short_sum
from faltung.plans._spread import overlap, place_cells, placement_bytes
from faltung.plans._stencil_cost import SMALL_TABLE, cost
from faltung.plans._stencil_weights import Prepared, as_column, in_rows, prepare
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


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def shortcut(
    problem: Problem, x: Array, y: Array, prepared: Prepared
) -> Callable[[Array, Array], bool]:
    """What computes y from x for arrays like these: the run without all that leads to it."""

    def run_again(x: Array, y: Array) -> bool:
        run(problem, x.reshape(problem.input_shape), prepared, y)  # a fold's has fewer axes
        return True

    table, weight = _short_table(problem), prepared.weight
    if table is None:
        return run_again
    if weight is None:
        reduction = short_reduction(problem, table, _schedule_of(problem).box)
        return run_again if reduction is None else _checking(reduction)
    is_masked = table.is_outside is not None and not problem.recipe.fill_takes_part
    if not isinstance(problem.recipe.rule, WeightedSum) or (is_masked and not prepared.is_finite):
        return run_again
    sums = short_sum(problem, table)
    if sums is None:
        return run_again
    return _checking(sums.run, sums.arrange(weight), prepared.bias)


def packing_shortcut(
    problem: Problem, x: Array, y: Array, operands: Operands
) -> Callable[[Array, Array, Array | None, Array | None], bool] | None:
    """The same for weights and biases that are prepared each time."""
    if isinstance(problem.recipe.rule, Placement):  # whose positions are checked each time
        return None
    if operands.weight is None:
        run_kind = shortcut(problem, x, y, Prepared(None, None, True))
        return lambda x, y, weight, bias: run_kind(x, y)

    def run_again(x: Array, y: Array, weight: Array | None, bias: Array | None) -> bool:
        run(problem, x, prepare(problem, Operands(weight, bias)), y)
        return True

    table, weight, rule = _short_table(problem), operands.weight, problem.recipe.rule
    sums = short_sum(problem, table) if isinstance(rule, WeightedSum) and table else None
    if table is None or sums is None:
        return run_again
    slides = all(isinstance(axis, SlidingAxis) for axis in problem.recipe.axes)
    is_in_order = slides and cast("WeightedSum", rule).coefficients(weight) is weight
    is_ready = is_in_order and weight.dtype == problem.dtype and weight.flags.c_contiguous
    is_masked = table.is_outside is not None and not problem.recipe.fill_takes_part
    may_fail = is_masked and problem.dtype.kind in "fc"

    def run_short(x: Array, y: Array, weight: Array | None, bias: Array | None) -> bool:
        weight = cast("Array", weight)
        if not is_ready:
            weight = in_rows(problem, weight)
        if not keeps_denormals() or (may_fail and not np.isfinite(weight).all()):
            return False
        quietly(sums.run, x, y, sums.arrange(weight), as_column(problem, bias))
        return True

    return run_short


def _short_table(problem: Problem) -> Table | None:
    """The table of all windows, where one kept block is the whole problem in its own dtype."""
    recipe = problem.recipe
    if isinstance(recipe.rule, Placement) or recipe.is_blank:
        return None
    return _schedule_of(problem).table if problem.compute_dtype == problem.dtype else None


def _checking(run_kind: Callable[..., None], *held: Any) -> Callable[[Array, Array], bool]:
    """Declines where the processor flushes denormal numbers."""

    def run_if_kept(x: Array, y: Array) -> bool:
        if not keeps_denormals():
            return False
        quietly(run_kind, x, y, *held)
        return True

    return run_if_kept


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
