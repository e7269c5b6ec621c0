"""Terms: what one output is made of, cell by cell, padding included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans._entries import EntryTable, Pairs, kernel_shape
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import require
from faltung.plans._rules import Copy, Morphology, Overlap, Placement, PositionSum, WeightedSum
from faltung.typing import Array, IndexArray, Shape

__all__ = ["Term", "Terms", "terms_of"]

BYTES_A_TAP = 200
"""What a tap takes meanwhile: its place in the kernel and over the input on a few axes."""


class Term(NamedTuple):
    """One cell that an output sees.

    Attributes
    ----------
    tap : tuple of int
        Which tap of the kernel sees it.
    position : tuple of int
        Where the tap lies on the input's axes; negative or beyond the end on padding.
    cell : tuple of int or None
        The cell that shows there: another one than `position` where the border repeats cells, None
        where it does not.
    channel : int
        Of the input, counted over all groups.
    coefficient : number
        What the cell is multiplied with; the height of a structure, True of a flat one; 1 where
        there is neither.
    """

    tap: Shape
    position: Shape
    cell: Shape | None
    channel: int
    coefficient: Any


@dataclass(frozen=True)
class Terms:
    """All terms of one output, as arrays: channel by channel, in a channel tap by tap.

    Attributes
    ----------
    taps, positions, cells : int64 array, shape (terms of a channel, axes)
        As in `Term`; -1 in `cells` where none shows.
    is_outside : bool array, shape (terms of a channel,)
        Where no cell shows.
    channels : int64 array, shape (channels, 1 or terms of a channel)
        Of the input; with one for each term where taps are channels.
    coefficients : array, shape (channels, terms of a channel)
        As in `Term`.
    """

    taps: IndexArray
    positions: IndexArray
    cells: IndexArray
    is_outside: Array
    channels: IndexArray
    coefficients: Array

    def __len__(self) -> int:
        return self.coefficients.size

    def __iter__(self) -> Iterator[Term]:
        channels = np.broadcast_to(self.channels, self.coefficients.shape)
        for row, numbers in zip(self.coefficients, channels.tolist(), strict=True):
            columns = (self.taps.tolist(), self.positions.tolist(), self.cells.tolist())
            parts = zip(*columns, self.is_outside.tolist(), numbers, row, strict=True)
            for tap, position, cell, is_outside, channel, coefficient in parts:
                shown = None if is_outside else tuple(cell)
                yield Term(tuple(tap), tuple(position), shown, channel, coefficient)


def terms_of(problem: Problem, operands: Operands, index: Shape) -> Terms:
    """What the output at `index` is made of.

    Parameters
    ----------
    problem : Problem
        Any but one with a blank border whose window leaves the input there: it has no terms.
    operands : Operands
        The arrays that the operator holds.
    index : tuple of int
        Sample, channel and place in ``problem.output_shape``.

    Examples
    --------
    >>> import faltung as ft
    >>> case = ft.Conv([[[1, -1]]], padding=1, padding_mode="edge")._case((1, 1, 4))
    >>> for term in terms_of(case.bound.problem, case.operands, (0, 0, 0)):
    ...     print(term.tap, term.position, term.cell, int(term.coefficient))
    (0,) (-1,) (0,) 1
    (1,) (0,) (0,) -1
    """
    rule = problem.recipe.rule
    if isinstance(rule, Placement):
        return _placed(problem, cast("Array", operands.weight), index)
    sample, channel, *place = index
    taps = problem.taps
    require((BYTES_A_TAP + 32 * problem.recipe.channels) * taps, f"a window of {taps:,} taps")
    seen = _Seen.at(problem, tuple(place))
    if isinstance(rule, Morphology):
        structure = rule.in_tap_order(cast("Array", operands.weight)).ravel()
        if structure.dtype.kind == "b":
            seen = seen.where(structure[seen.numbers])
            heights = np.ones(len(seen.numbers), bool)
        else:
            heights = structure[seen.numbers]
        return seen.terms(np.array([[channel]]), heights[None])
    if not rule.is_linear:
        ones = np.ones((1, len(seen.numbers)), problem.compute_dtype)
        return seen.terms(np.array([[channel]]), ones)
    return _linear(problem, operands, seen, (sample, channel))


class _Seen(NamedTuple):
    """The taps of one output: places and numbers of taps, a row for each."""

    output: int
    taps: IndexArray
    positions: IndexArray
    cells: IndexArray
    numbers: IndexArray

    @classmethod
    def at(cls, problem: Problem, place: Shape) -> _Seen:
        axes = problem.recipe.axes
        tables = []
        for axis, output in zip(axes, place, strict=True):
            cells = axis.index(output, output + 1)[0]
            if isinstance(axis, SlidingAxis):
                positions = axis.positions(output, output + 1)[0]
                tables.append(np.stack([axis.kernel_taps, positions, cells]))
            else:  # a column that shows no cell is not used
                tables.append(np.stack([axis.kernel_taps, cells, cells])[:, cells >= 0])
        grid = np.meshgrid(*[np.arange(table.shape[1]) for table in tables], indexing="ij")
        joined = np.stack(
            [table[:, some.ravel()] for table, some in zip(tables, grid, strict=True)], axis=-1
        )
        numbers = np.ravel_multi_index(tuple(joined[0].T), kernel_shape(axes))
        output = int(np.ravel_multi_index(place, problem.output_shape[2:]))
        taps, positions, cells = joined
        return cls(output, taps, positions, cells, np.asarray(numbers))

    def where(self, chosen: Array) -> _Seen:
        """Some of the taps."""
        taps, positions, cells, numbers = (array[chosen] for array in self[1:])
        return _Seen(self.output, taps, positions, cells, numbers)

    def terms(self, channels: IndexArray, coefficients: Array) -> Terms:
        """The terms of these taps in some channels."""
        is_outside = np.asarray((self.cells < 0).any(axis=1))
        return Terms(self.taps, self.positions, self.cells, is_outside, channels, coefficients)


def _linear(
    problem: Problem, operands: Operands, seen: _Seen, filter_of_sample: tuple[int, int]
) -> Terms:
    """The terms of a linear rule, from the same links and coefficients as its matrix."""
    (sample, number), recipe, rule = filter_of_sample, problem.recipe, problem.recipe.rule
    some = range(number, number + 1)
    if isinstance(rule, WeightedSum) or (isinstance(rule, PositionSum) and not rule.is_shared):
        some = range(number * recipe.channels, (number + 1) * recipe.channels)
    elif isinstance(rule, Copy) and rule.keeps_taps:
        group, tap = divmod(number, recipe.filters)
        seen, some = seen.where(seen.numbers == tap), range(group, group + 1)
    count = len(seen.numbers)
    nothing = np.zeros(count, np.int64)
    pairs = Pairs(np.full(count, seen.output), seen.numbers, nothing, nothing, nothing)
    table = EntryTable(problem, operands)
    channels = table.links(pairs, some).channels
    if isinstance(rule, Overlap):
        channels = channels.reshape(1, count)
    coefficients = table.coefficients(pairs, some, sample)
    return seen.terms(channels, np.broadcast_to(coefficients, (len(some), count)))


def _placed(problem: Problem, positions: Array, index: Shape) -> Terms:
    """The inputs that are placed on one output; the last one stays."""
    sample, channel, *place = index
    plane = positions.reshape(problem.input_shape)[sample, channel]
    wanted = np.ravel_multi_index(place, problem.output_shape[2:])
    cells = np.argwhere(plane == wanted)[-1:].astype(np.int64)
    nothing = np.zeros((len(cells), len(place)), np.int64)
    ones = np.ones((1, len(cells)), problem.compute_dtype)
    return Terms(nothing, cells, cells, np.zeros(len(cells), bool), np.array([[channel]]), ones)
