"""Entries: which cell each output sees, through which tap, and with which coefficient.

The rows of an operator's matrix for any box of outputs: the matrix, the coverage, the explanation
and the drawings all take them from here.

An output of the plane (the spatial axes alone) and a tap that shows it a cell are a *pair*. The
filters and channels that every pair connects are *links*: a weighted sum links each filter of a
group with each of its channels, a pooling links each channel with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.geometry.stencil import StencilAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._blocks import Box, halved_at_first, ranges
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import (
    Copy,
    Interpolation,
    Mean,
    Overlap,
    Placement,
    PositionSum,
    Reduction,
    WeightedSum,
)
from faltung.typing import Array, IndexArray, Shape

__all__ = [
    "AxisRows",
    "EntryTable",
    "Links",
    "Pairs",
    "axis_rows",
    "count_entries",
    "is_by_tap",
    "is_full",
    "kernel_shape",
    "shown_outputs",
]


class AxisRows(NamedTuple):
    """Rows of the table of an axis, (outputs, columns); `counts` is (outputs, 1).

    Attributes
    ----------
    cells : int64 array
        The cell that each column shows, -1 for none.
    slots : int64 array
        The place of that cell among the different ones of its output, in ascending order.
    repeats : int64 array
        How many columns before this one show the output the same cell.
    counts : int64 array
        How many different cells the output sees.
    """

    cells: IndexArray
    slots: IndexArray
    repeats: IndexArray
    counts: IndexArray


def axis_rows(axis: StencilAxis, outputs: range) -> AxisRows:
    """The rows of some outputs of an axis."""
    cells = axis.index(outputs.start, outputs.stop)
    ranked = np.where(cells < 0, axis.size, cells)
    order = np.argsort(ranked, axis=1, kind="stable")
    ordered = np.take_along_axis(ranked, order, 1)
    is_new = np.ones(cells.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    columns = np.arange(cells.shape[1])
    first = np.maximum.accumulate(np.where(is_new, columns, 0), axis=1)
    slots, repeats = np.empty_like(cells), np.empty_like(cells)
    np.put_along_axis(slots, order, np.cumsum(is_new, axis=1) - 1, 1)
    np.put_along_axis(repeats, order, columns - first, 1)
    counts = np.count_nonzero(is_new & (ordered < axis.size), axis=1)
    return AxisRows(cells, slots, repeats, counts[:, None])


def shown_outputs(problem: Problem) -> Box:
    """The outputs that see anything: all, or with a blank border those whose window is inside."""
    recipe = problem.recipe
    return tuple(
        axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in recipe.axes
    )


def kernel_shape(axes: tuple[StencilAxis, ...]) -> Shape:
    """The taps of the kernel, each of which may have several columns in the table of an axis."""
    return tuple(
        axis.forward.taps if isinstance(axis, TransposedAxis) else axis.taps for axis in axes
    )


def count_entries(problem: Problem) -> int:
    """Entries of the matrix: connected pairs of an output and an input, whatever the weight."""
    recipe = problem.recipe
    if isinstance(recipe.rule, Placement):  # fewer where inputs share a cell: only the data say
        return prod(problem.input_shape)
    if recipe.is_blank:
        counts = [len(axis.clear_outputs) * axis.taps for axis in recipe.axes]
    elif is_by_tap(problem):  # taps are outputs of their own, one entry for each
        counts = [cast("Any", axis).count_shown_taps() for axis in recipe.axes]
    else:
        counts = [axis.count_distinct_cells() for axis in recipe.axes]
    return problem.connections * prod(counts)


@dataclass(frozen=True)
class Pairs:
    """Pairs of an output and a tap that shows it a cell, a number for each in every array.

    Attributes
    ----------
    outputs, taps, cells : int64 array
        Flat places in the output plane, the kernel and the input plane.
    slots : int64 array
        The place of the cell among the different ones of its output, in ascending order.
    repeats : int64 array
        Pairs with the same number here have different outputs or different cells; 0 is the first.
    """

    outputs: IndexArray
    taps: IndexArray
    cells: IndexArray
    slots: IndexArray
    repeats: IndexArray

    def __len__(self) -> int:
        return len(self.cells)

    def rounds(self) -> Iterator[Pairs]:
        """The pairs in parts, in each of which every output and cell meet once at most."""
        if not self.repeats.any():
            yield self
            return
        arrays = [getattr(self, field.name) for field in fields(self)]
        for repeat in np.flatnonzero(np.bincount(self.repeats)):
            chosen = self.repeats == repeat
            yield Pairs(*(array[chosen] for array in arrays))


class Links(NamedTuple):
    """Filters and channels that are connected, counted over all groups.

    Both are (links, 1), or one of them is (links, pairs) where each tap has a channel of its own.
    """

    filters: IndexArray
    channels: IndexArray


@dataclass(frozen=True)
class EntryTable:
    """The entries of a linear operator's matrix, for any box of outputs.

    Parameters
    ----------
    problem : Problem
        Of a linear rule; `Placement` alone has no table, its stencil is data.
    operands : Operands
        The arrays that the operator holds; not needed for pairs and links.
    """

    problem: Problem
    operands: Operands = Operands()  # noqa: RUF009  # a tuple does not change

    def pairs(self, outputs: Box, columns: Box | None = None) -> Pairs:
        """The pairs of a box of outputs and a box of columns of the tables, by default all."""
        axes = self.problem.recipe.axes
        columns = columns or tuple(range(axis.taps) for axis in axes)
        rows = [axis_rows(*part) for part in zip(axes, outputs, strict=True)]
        cut = [slice(some.start, some.stop) for some in columns]
        cells, slots, repeats = (
            [part[:, some] for part, some in zip(parts, cut, strict=True)]
            for parts in list(zip(*rows, strict=True))[:3]
        )
        places = [np.arange(some.start, some.stop)[:, None] for some in outputs]
        taps = [axis.kernel_taps[None, some] for axis, some in zip(axes, cut, strict=True)]
        shape = *map(len, outputs), *map(len, columns)
        is_shown = np.ones(shape, bool)
        for place, part in enumerate(cells):
            is_shown &= _spread(part >= 0, place, len(axes))
        if is_by_tap(self.problem):  # no two taps add to the same entry
            repeats = [np.zeros_like(part) for part in repeats]
        most = [int(part.max(initial=0)) + 1 for part in repeats]
        flat = (
            _flat(places, [axis.outputs for axis in axes]),
            _flat(taps, kernel_shape(axes)),
            _flat(cells, [axis.size for axis in axes]),
            _flat(slots, [part.counts for part in rows]),
            _flat(repeats, most),
        )
        return Pairs(*(np.broadcast_to(part, shape)[is_shown] for part in flat))

    @property
    def link_count(self) -> int:
        """How many filters and channels a pair connects."""
        recipe = self.problem.recipe
        if is_by_tap(self.problem) or isinstance(recipe.rule, Overlap):
            return recipe.groups
        pairs = recipe.channels * (recipe.filters if is_full(self.problem) else 1)
        return recipe.groups * pairs

    def links(self, pairs: Pairs, some: range) -> Links:
        """Some of the links of the pairs."""
        recipe = self.problem.recipe
        numbers = np.arange(some.start, some.stop)[:, None]
        if is_by_tap(self.problem):
            return Links(numbers * recipe.filters + pairs.taps, numbers)
        if isinstance(recipe.rule, Overlap):
            return Links(numbers, numbers * recipe.channels + pairs.taps)
        if not is_full(self.problem):
            return Links(numbers, numbers)
        filters, channels = np.divmod(numbers, max(recipe.channels, 1))
        return Links(filters, filters // max(recipe.filters, 1) * recipe.channels + channels)

    def coefficients(self, pairs: Pairs, some: range, sample: int = 0) -> Array:
        """What each cell is multiplied with, (links or 1, pairs), in one sample."""
        rule = self.problem.recipe.rule
        find = COEFFICIENTS.get(type(rule))
        if find is None:
            return np.ones((1, 1), self.problem.compute_dtype)
        found = find(self, pairs, some, sample)
        return found.astype(self.problem.compute_dtype, copy=False)

    @cached_property
    def weight_rows(self) -> Array:
        """The weight of a weighted sum, a row for each link and a column for each tap."""
        rule = cast("WeightedSum", self.problem.recipe.rule)
        weight = rule.coefficients(cast("Array", self.operands.weight))
        filters, channels, *kernel = weight.shape
        return weight.reshape(filters * channels, prod(kernel))

    @property
    def differs_by_sample(self) -> bool:
        """Whether samples have coefficients of their own."""
        rule = self.problem.recipe.rule
        return isinstance(rule, PositionSum) and rule.is_shared

    def blocks(self, most: int) -> Iterator[tuple[Box, Box]]:
        """Boxes of outputs and of columns with at most so many pairs, all outputs of a box first.

        Columns are cut only where one output alone has too many.
        """
        axes = self.problem.recipe.axes
        outputs, columns = (
            tuple(max(axis.outputs, 1) for axis in axes),
            tuple(axis.taps for axis in axes),
        )
        while prod(outputs) * prod(columns) > most and prod(outputs) > 1:
            outputs = halved_at_first(outputs)
        while prod(columns) > most:
            columns = halved_at_first(columns)
        everything = tuple(range(axis.taps) for axis in axes)
        for box in ranges(shown_outputs(self.problem), outputs):
            for taps in ranges(everything, columns):
                yield box, taps


def _spread(part: Array, place: int, rank: int) -> Array:
    """A part (outputs, columns) of one axis among the (*outputs, *columns) of all."""
    shape = [1] * (2 * rank)
    shape[place], shape[rank + place] = part.shape
    return part.reshape(shape)


def _flat(parts: Any, sizes: Any) -> IndexArray:
    """Flat places from the places on each axis."""
    flat: Any = np.int64(0)
    for place, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        radix = _spread(size, place, len(parts)) if isinstance(size, np.ndarray) else size
        flat = flat * radix + _spread(part, place, len(parts))
    return cast("IndexArray", flat)


def is_by_tap(problem: Problem) -> bool:
    """Whether each tap is an output of its own."""
    rule = problem.recipe.rule
    return isinstance(rule, Copy) and rule.keeps_taps


def is_full(problem: Problem) -> bool:
    """Whether each filter of a group sees each of its channels."""
    rule = problem.recipe.rule
    return isinstance(rule, WeightedSum) or (isinstance(rule, PositionSum) and not rule.is_shared)


def _weighted_sum(table: EntryTable, pairs: Pairs, some: range, sample: int) -> Array:
    return table.weight_rows[some.start : some.stop, pairs.taps]


def _position_sum(table: EntryTable, pairs: Pairs, some: range, sample: int) -> Array:
    rule = cast("PositionSum", table.problem.recipe.rule)
    weight = cast("Array", table.operands.weight)
    plane = prod(axis.outputs for axis in table.problem.recipe.axes)
    where = pairs.taps * plane + pairs.outputs
    if not rule.is_shared:
        flat = weight.reshape(weight.shape[0] * weight.shape[1], weight.shape[2] * plane)
        return flat[some.start : some.stop, where]
    if weight.ndim > len(table.problem.recipe.axes) + 2:
        weight = weight[sample]
    groups = np.arange(some.start, some.stop) // max(table.problem.recipe.channels, 1)
    flat = weight.reshape(weight.shape[0], weight.shape[1] * plane)
    spread: Array = flat[groups[:, None], where]
    return spread


def _mean(table: EntryTable, pairs: Pairs, some: range, sample: int) -> Array:
    rule, axes = cast("Mean", table.problem.recipe.rule), table.problem.recipe.axes
    if rule.divisor is not None:
        return np.full((1, 1), 1 / rule.divisor)
    divisors: Any = 1
    places = np.unravel_index(pairs.outputs, [axis.outputs for axis in axes])
    for axis, place in zip(axes, places, strict=True):
        if place.size:
            first = int(place.min())
            divisors = divisors * axis.divisors(first, int(place.max()) + 1)[place - first]
    return np.atleast_2d(1 / np.asarray(divisors))


def _reduction(table: EntryTable, pairs: Pairs, some: range, sample: int) -> Array:
    divisor = cast("Any", table.problem.recipe.rule).divisor(table.problem.taps)
    return np.full((1, 1), 1 / divisor)


def _interpolation(table: EntryTable, pairs: Pairs, some: range, sample: int) -> Array:
    axes = table.problem.recipe.axes
    product: Any = 1.0
    places = np.unravel_index(pairs.outputs, [axis.outputs for axis in axes])
    columns = np.unravel_index(pairs.taps, kernel_shape(axes))
    for axis, place, column in zip(axes, places, columns, strict=True):
        if place.size:
            first = int(place.min())
            weights = axis.coefficients(first, int(place.max()) + 1)
            product = product * weights[place - first, column]
    return np.atleast_2d(np.asarray(product))


COEFFICIENTS: dict[type, Callable[[EntryTable, Pairs, range, int], Array]] = {
    WeightedSum: _weighted_sum,
    PositionSum: _position_sum,
    Mean: _mean,
    Interpolation: _interpolation,
    Reduction: _reduction,
}
"""How each rule finds its coefficients; those that are missing here add cells as they are."""
