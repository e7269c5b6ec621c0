"""The way back along a stencil: what was read from a cell is added to that cell.

A stencil is the product of its axes, and so is its way back: axis after axis, the values of each
tap return to the cells that the tap showed. On one axis a tap shows cells in steps; only at a
border that repeats cells, the steps break into a few runs. So values are added slice by slice,
which is quick and, unlike scattering them one by one, has one fixed order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.geometry.stencil import StencilAxis
from faltung.plans._blocks import Box
from faltung.typing import Array, IndexArray

__all__ = ["add_at", "return_taps", "return_values"]

MOST_RUNS = 8
"""With more runs of even steps, cells are sorted instead."""


@dataclass(frozen=True)
class _Cells:
    """The range of cells on one axis that a block of outputs sees."""

    index: IndexArray  # (outputs, taps), counted from `first`; below 0 outside
    first: int
    count: int


def return_taps(axes: tuple[StencilAxis, ...], box: Box, values: Array) -> tuple[Array, Any]:
    """Add the values of all taps of a box of outputs to the cells that they were read from.

    Parameters
    ----------
    axes : tuple of StencilAxis
        The stencil.
    box : tuple of range
        The outputs on each axis.
    values : array, shape (..., *taps, *outputs)
        One for each tap of each output; what lies outside the input is left out.

    Returns
    -------
    array, shape (..., *cells)
        The sums.
    tuple
        The index of those cells in the input.
    """
    rank, where = len(axes), []
    lead = values.ndim - 2 * rank
    for axis, outputs in zip(axes, box, strict=True):
        cells = _cells_of(axis, outputs)
        taps = np.moveaxis(values, lead, 0)
        # Without its axis of taps, the outputs of the axis are just before the remaining ones.
        values = _sum(cells, taps[0].shape, lead + rank - 1, taps.__getitem__, values.dtype)
        where.append(slice(cells.first, cells.first + cells.count))
    return values, (..., *where)


def return_values(
    axes: tuple[StencilAxis, ...], box: Box, values: Array, *, is_weighted: bool
) -> tuple[Array, Any]:
    """The same where all taps of an output have its value, weighted by the axes' coefficients.

    `values` has shape ``(..., *outputs)``.
    """
    where, lead = [], values.ndim - len(axes)
    for place, (axis, outputs) in enumerate(zip(axes, box, strict=True), lead):
        cells = _cells_of(axis, outputs)
        pick: Callable[[int], Array] = _same(values)
        if is_weighted:
            coefficients = axis.coefficients(outputs.start, outputs.stop)
            pick = _weighted(values, coefficients.astype(values.real.dtype), place)
        values = _sum(cells, values.shape, place, pick, values.dtype)
        where.append(slice(cells.first, cells.first + cells.count))
    return values, (..., *where)


def _same(values: Array) -> Callable[[int], Array]:
    return lambda tap: values


def _weighted(values: Array, coefficients: Array, place: int) -> Callable[[int], Array]:
    spread = [1] * values.ndim
    spread[place] = len(coefficients)
    return lambda tap: values * coefficients[:, tap].reshape(spread)


def _cells_of(axis: StencilAxis, outputs: range) -> _Cells:
    index = axis.index(outputs.start, outputs.stop)
    inside = index[index >= 0]
    if not inside.size:
        return _Cells(index, 0, 0)
    first = int(inside.min())
    return _Cells(index - first, first, int(inside.max()) - first + 1)


def _sum(
    cells: _Cells, shape: tuple[int, ...], place: int, pick: Callable[[int], Array], dtype: Any
) -> Array:
    sums = np.zeros((*shape[:place], cells.count, *shape[place + 1 :]), dtype)
    for tap in range(cells.index.shape[1]):
        column = cells.index[:, tap]
        rows = np.flatnonzero((column >= 0) & (column < cells.count))
        if len(rows):
            values = pick(tap)
            if len(rows) < len(column):
                values = values[_at(place, _as_slice(rows))]
            add_at(sums, place, column[rows], values)
    return sums


def _as_slice(rows: IndexArray) -> slice | IndexArray:
    """Rows that follow each other, as a slice, which copies nothing."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def add_at(sums: Array, place: int, cells: IndexArray, values: Array) -> None:
    """Add `values` to the `cells` of one axis of `sums`, a cell as often as it occurs."""
    runs = _runs(cells)
    if runs is None:
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
        starts = np.flatnonzero(np.diff(cells, prepend=cells[0] - 1))
        values = np.add.reduceat(values.take(order, axis=place), starts, axis=place)
        sums[_at(place, cells[starts])] += values
        return
    for first, beyond in runs:
        part = values[_at(place, slice(first, beyond))]
        start, step = int(cells[first]), int(cells[min(first + 1, beyond - 1)] - cells[first])
        if step < 0:
            part = np.flip(part, axis=place)
            start, step = int(cells[beyond - 1]), -step
        if step == 0 and beyond - first > 1:
            part = part.sum(axis=place, keepdims=True)
        stop = start + max(step, 1) * (part.shape[place] - 1) + 1
        target = sums[_at(place, slice(start, stop, max(step, 1)))]
        np.add(target, part, out=target)


def _runs(cells: IndexArray) -> list[tuple[int, int]] | None:
    """Where the cells go in even steps, from and to; None for too many runs."""
    breaks = np.flatnonzero(np.diff(np.diff(cells))) + 1
    runs: list[tuple[int, int]] = []
    first = 0
    while first < len(cells):
        if len(runs) == MOST_RUNS:
            return None
        place = np.searchsorted(breaks, first + 1)
        beyond = int(breaks[place]) + 1 if place < len(breaks) else len(cells)
        runs.append((first, beyond))
        first = beyond
    return runs


def _at(place: int, cells: slice | IndexArray) -> Any:
    return (*(slice(None),) * place, cells)
