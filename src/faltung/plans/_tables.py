"""The joined tables of all axes: which cells a block of outputs needs, and where each goes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from faltung.geometry.stencil import StencilAxis
from faltung.plans._blocks import Box
from faltung.plans._resources import require
from faltung.typing import Array, IndexArray

__all__ = ["Table", "join_tables"]


@dataclass(frozen=True)
class Table:
    """The stencil of a box of outputs and taps over a slab of the input.

    Attributes
    ----------
    cells : tuple of slice or array
        The cells of each axis that the slab holds.
    shape : tuple of int
        The slab's shape: one more cell an axis, the outside, where `is_outside` is an array.
    flat : array of int64
        Indices into the raveled slab, taps first, then outputs.
    is_outside : bool array of shape (taps, outputs), or None
        Where a tap of an output lies outside the input; None where none does.
    """

    cells: tuple[slice | IndexArray, ...]
    shape: tuple[int, ...]
    flat: IndexArray
    is_outside: Array | None

    def slab_of(self, x: Array, fill: Any, dtype: np.dtype[Any]) -> Array:
        """The cells of x (three leading axes, then spatial ones), those raveled, in `dtype`."""
        part = _part(x, self.cells)
        if self.is_outside is None:
            slab = np.ascontiguousarray(part, dtype)
        else:
            slab = np.full((*x.shape[:3], *self.shape), fill, dtype)
            inside: Any = (..., *map(slice, part.shape[3:]))
            slab[inside] = part
        ravelled: Array = slab.reshape(*x.shape[:3], prod(self.shape))
        return ravelled


def _part(x: Array, cells: tuple[slice | IndexArray, ...]) -> Array:
    if all(isinstance(some, slice) for some in cells):
        where: Any = (..., *cells)
    else:  # one index for all axes: taking axis by axis would copy what the next one drops
        arrays = [
            np.arange(some.start, some.stop) if isinstance(some, slice) else some for some in cells
        ]
        where = (*(slice(None),) * 3, *np.ix_(*arrays))
    part: Array = x[where]
    return part


class _AxisPart(NamedTuple):
    cells: slice | IndexArray
    size: int
    column: IndexArray
    is_outside: Array


def _distinct(cells: IndexArray) -> IndexArray:
    """The numbers that occur, in order.

    ``np.unique`` puts them into a hash table, which took nine tenths of the stencil plan's time.
    """
    if cells.size == 0:
        return cells
    first = int(cells.min())
    span = int(cells.max()) - first + 1
    if span <= 4 * cells.size:
        marks = np.zeros(span, bool)
        marks[cells - first] = True
        return np.flatnonzero(marks) + first
    ordered = np.sort(cells)
    found: IndexArray = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return found


def _axis_part(axis: StencilAxis, outputs: range, taps: range) -> _AxisPart:
    index = axis.columns(outputs.start, outputs.stop, taps).T
    is_inside = index >= 0
    needed = _distinct(index[is_inside])
    count = len(needed)
    # A stride above the kernel, or the far end of a ring: what lies between is not copied.
    is_sparse = count > 0 and int(needed[-1] - needed[0]) >= 2 * count
    if is_sparse:
        column = np.searchsorted(needed, np.where(is_inside, index, needed[0]))
        return _AxisPart(needed, count, np.where(is_inside, column, count), ~is_inside)
    first = int(needed[0]) if count else 0
    count = int(needed[-1]) - first + 1 if count else 0
    column = np.where(is_inside, index - first, count)
    return _AxisPart(slice(first, first + count), count, column, ~is_inside)


def join_tables(axes: tuple[StencilAxis, ...], outputs: Box, taps: Box) -> Table:
    """The table of a box of outputs and taps."""
    pairs = [len(places) * len(some) for places, some in zip(outputs, taps, strict=True)]
    # With cells and intermediate results: where a window is not cut, it may be beyond all memory.
    require(72 * prod(pairs) + 32 * sum(pairs), f"a window of {prod(map(len, taps)):,} taps")
    parts = [_axis_part(*part) for part in zip(axes, outputs, taps, strict=True)]
    has_outside = any(part.is_outside.any() for part in parts)
    shape = tuple(part.size + has_outside for part in parts)
    rank = len(parts)
    flat: Any = 0
    is_outside: Any = False
    for place, part in enumerate(parts):
        spread = [1] * (2 * rank)
        spread[place], spread[rank + place] = part.column.shape
        flat = flat * shape[place] + part.column.reshape(spread)
        is_outside = is_outside | part.is_outside.reshape(spread)
    mask = is_outside.reshape(prod(map(len, taps)), -1) if has_outside else None
    return Table(tuple(part.cells for part in parts), shape, flat.ravel(), mask)
