"""The matrix of a linear operator, as compressed sparse rows, straight from its stencil.

Row ``n, o, i`` of the matrix has an entry for each cell that output ``(n, o, i)`` sees; taps that
show it the same cell, as some borders do, are added. Ignoring channels, a convolution gives a
Toeplitz matrix: every diagonal holds one tap.

The entries of a sample are computed for a block of outputs at a time and written to their places;
further samples copy them. Nothing but the result grows with the number of entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from faltung._case import Case
from faltung.errors import ResourceError
from faltung.plans import _resources
from faltung.plans._entries import (
    EntryTable,
    Links,
    Pairs,
    axis_rows,
    count_entries,
    is_by_tap,
    is_full,
    shown_outputs,
)
from faltung.plans._problem import Problem
from faltung.plans._rules import Overlap, Placement
from faltung.typing import Array, IndexArray, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["matrix"]

ENTRIES_AT_ONCE = 2**17
"""Entries whose places and values are computed together: some 8 MiB."""
FEWEST_PAIRS = 2**9
ROWS_AT_ONCE = 2**17


def matrix(case: Case) -> csr_array:
    """The matrix of an operator's linear part; see `faltung.faces.Faces.matrix`."""
    case.require_linear("matrix")
    problem = case.bound.problem
    shape = prod(problem.output_shape), prod(problem.input_shape)
    dtype = problem.compute_dtype
    if dtype.kind in "fV" and dtype.itemsize == 2:  # of which SciPy has no matrices
        dtype = np.dtype(np.float32)
    _require(shape, shape[0], dtype)  # also counting takes time where there are very many rows
    count = count_entries(problem)
    kind = _require(shape, count, dtype)
    from scipy.sparse import csr_array  # which takes longer than a refusal should

    if isinstance(problem.recipe.rule, Placement):
        arrays = _placed(case, kind, dtype)
    else:
        arrays = np.empty(count, dtype), np.empty(count, kind), np.empty(shape[0] + 1, kind)
        _Filling(case, EntryTable(problem, case.operands), *arrays).fill()
    return csr_array(arrays, shape=shape)


def _require(shape: Shape, count: int, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of indices, if a matrix with so many entries can be had."""
    kind = np.dtype(np.int32 if max(count, *shape) < 2**31 else np.int64)
    size = count * (dtype.itemsize + kind.itemsize) + (shape[0] + 1) * kind.itemsize
    try:
        _resources.require(size, f"the matrix of shape {shape} with {count:,} entries")
    except ResourceError as error:
        raise ResourceError(
            error.fact, "Use linear_operator, which takes no memory for entries"
        ) from None
    return kind


@dataclass(frozen=True)
class _Filling:
    """Data, indices and row pointers of a matrix, and what goes there."""

    case: Case
    table: EntryTable
    data: Array
    indices: IndexArray
    pointers: IndexArray

    def fill(self) -> None:
        """Write everything: the first sample from the table, the others from the first."""
        problem = self.table.problem
        samples, *planes = problem.output_shape
        rows = prod(planes)
        self.pointers[0] = 0
        if not samples:
            return
        counts = self._row_counts()
        np.cumsum(self._row_lengths(counts), out=self.pointers[1 : rows + 1])
        entries = int(self.pointers[rows])
        most = ENTRIES_AT_ONCE
        if self._is_channels_last:  # a row's entries lie together: all links of few outputs
            most = max(most // max(self.table.link_count, 1), FEWEST_PAIRS)
        for box, columns in self.table.blocks(most):
            pairs = self.table.pairs(box, columns)
            for part in pairs.rounds():
                self._write(part, counts)
        for sample in range(1, samples):
            here = slice(sample * entries, (sample + 1) * entries)
            shift = sample * prod(problem.input_shape[1:])
            np.add(self.indices[:entries], shift, out=self.indices[here])
            if not self.table.differs_by_sample:
                self.data[here] = self.data[:entries]
            pointers = self.pointers[sample * rows + 1 : (sample + 1) * rows + 1]
            np.add(self.pointers[1 : rows + 1], sample * entries, out=pointers)

    def _row_counts(self) -> IndexArray:
        """How many different cells each output of the plane sees."""
        counts: Any = np.ones((), np.int64)
        for axis, shown in zip(self._axes, shown_outputs(self.table.problem), strict=True):
            own = np.zeros(axis.outputs, np.int64)
            step = max(ROWS_AT_ONCE // axis.taps, 1)
            for start in shown[::step]:
                some = range(start, min(start + step, shown.stop))
                own[some.start : some.stop] = axis_rows(axis, some).counts[:, 0]
            counts = np.multiply.outer(counts, own)
        return cast("IndexArray", counts.ravel())

    def _row_lengths(self, counts: IndexArray) -> IndexArray:
        """The entries of each row of a sample, in the order of the rows."""
        problem = self.table.problem
        filters = problem.output_shape[1]
        lengths = counts[None]
        if is_by_tap(problem):
            lengths = np.tile(_is_shown(problem), (problem.recipe.groups, 1))
        elif is_full(problem):
            lengths = counts[None] * problem.recipe.channels
        lengths = np.broadcast_to(lengths, (filters, len(counts)))
        return (lengths.T if self._is_channels_last else lengths).ravel()

    def _write(self, pairs: Pairs, counts: IndexArray) -> None:
        """The entries of some pairs, over all links."""
        step = max(ENTRIES_AT_ONCE // max(len(pairs), 1), 1)
        every = range(self.table.link_count)
        for start in every[::step]:
            some = range(start, min(start + step, every.stop))
            links = self.table.links(pairs, some)
            places = self._places(pairs, links, counts)
            is_first = not pairs.repeats.any()
            if is_first:
                self.indices[places] = self._columns(pairs, links)
            self._add(pairs, some, places, is_first=is_first)

    def _add(self, pairs: Pairs, some: range, places: IndexArray, *, is_first: bool) -> None:
        samples = self.table.problem.recipe.batch if self.table.differs_by_sample else 1
        entries = len(self.data) // self.table.problem.recipe.batch
        for sample in range(samples):
            data = self.data[sample * entries : (sample + 1) * entries]
            values = self.table.coefficients(pairs, some, sample)
            if is_first:
                data[places] = values
            else:
                data[places] += values

    def _places(self, pairs: Pairs, links: Links, counts: IndexArray) -> IndexArray:
        """Where the entries of a sample are, (links, pairs): in a row by ascending column."""
        problem = self.table.problem
        filters, plane = problem.output_shape[1], len(counts)
        if self._is_channels_last:
            rows = pairs.outputs * filters + links.filters
        else:
            rows = links.filters * plane + pairs.outputs
        first: IndexArray = self.pointers[rows].astype(np.int64)
        if is_by_tap(problem):
            return first
        if is_full(problem):
            channels = links.channels % problem.recipe.channels
            if self._is_channels_last:
                first += pairs.slots * problem.recipe.channels + channels
            else:
                first += channels * counts[pairs.outputs] + pairs.slots
        elif isinstance(problem.recipe.rule, Overlap) and not self._is_channels_last:
            # Taps are channels here, and a later tap brings an earlier cell.
            first += counts[pairs.outputs] - 1 - pairs.slots
        else:
            first += pairs.slots
        return first

    def _columns(self, pairs: Pairs, links: Links) -> IndexArray:
        _, channels, *plane = self.table.problem.input_shape
        columns = links.channels * prod(plane) + pairs.cells
        if self._is_channels_last:
            columns = pairs.cells * channels + links.channels
        return cast("IndexArray", columns)

    @property
    def _axes(self) -> Any:
        return self.table.problem.recipe.axes

    @property
    def _is_channels_last(self) -> bool:
        return self.case.bound.layout.is_channels_last


def _is_shown(problem: Problem) -> Array:
    """Which taps show each output of the plane a cell, (taps, outputs)."""
    rank = len(problem.recipe.axes)
    is_shown: Any = np.ones((1,) * (2 * rank), bool)
    for place, (axis, shown) in enumerate(
        zip(problem.recipe.axes, shown_outputs(problem), strict=True)
    ):
        own = np.zeros((axis.taps, axis.outputs), bool)
        own[:, shown.start : shown.stop] = (axis.index(shown.start, shown.stop) >= 0).T
        shape = [1] * (2 * rank)
        shape[place], shape[rank + place] = own.shape
        is_shown = is_shown & own.reshape(shape)
    return cast("Array", is_shown.reshape(problem.taps, -1))


def _placed(
    case: Case, kind: np.dtype[Any], dtype: np.dtype[Any]
) -> tuple[Array, IndexArray, IndexArray]:
    """Data, indices and row pointers where the stencil is data: a one for each input that stays."""
    problem, layout = case.bound.problem, case.bound.layout
    shapes = problem.input_shape, problem.output_shape
    numbers = [
        layout.canonical(np.arange(prod(shape)).reshape(layout.own_shape(shape)))
        for shape in shapes
    ]
    columns, targets = (array.reshape(*array.shape[:2], -1) for array in numbers)
    positions = cast("Array", case.operands.weight).reshape(columns.shape)
    rows = np.take_along_axis(targets, positions.astype(np.int64), 2).ravel()
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    stays = np.ones(len(rows), bool)
    stays[:-1] = ordered[1:] != ordered[:-1]  # of inputs in the same place, the last
    pointers = np.zeros(prod(problem.output_shape) + 1, kind)
    pointers[ordered[stays] + 1] = 1
    np.cumsum(pointers, out=pointers)
    indices = columns.ravel()[order[stays]].astype(kind)
    return np.ones(len(indices), dtype), indices, pointers
