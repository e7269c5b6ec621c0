"""Boxes of a sliding problem, small enough that what they see may be converted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.typing import Array

__all__ = ["SlidingBox", "sliding_boxes"]

PLAIN = ("zeros", "constant", "blank")
"""Borders that show no cell of the input."""


class SlidingBox(NamedTuple):
    """A box of outputs: where it lies, the cells that it sees, and the axes between the two."""

    outputs: tuple[slice, ...]
    cells: tuple[Array, ...]
    axes: tuple[SlidingAxis, ...]

    def seen(self, x: Array) -> Array:
        """A part of x that holds the cells, a view where they are neighbours."""
        if all(len(some) == 0 or (np.diff(some) == 1).all() for some in self.cells):
            ends = ((some[0], some[-1] + 1) if len(some) else (0, 0) for some in self.cells)
            where: Any = (..., *(slice(*pair) for pair in ends))
        else:
            where = (slice(None), slice(None), *np.ix_(*self.cells))
        part: Array = x[where]
        return part


def _box_axis(axis: SlidingAxis, cut: range) -> tuple[Array, SlidingAxis]:
    """The cells that some outputs of an axis see, and the window over those."""
    first = cut.start * axis.stride - axis.before
    beyond = first + (len(cut) - 1) * axis.stride + axis.span
    if axis.mode in PLAIN:  # what lies outside stays outside
        cells = np.arange(min(max(first, 0), axis.size), min(max(beyond, 0), axis.size))
        before = max(-first, 0)
    else:
        cells, before = source_index(axis.mode, np.arange(first, beyond), axis.size), 0
    return cells, replace(axis, size=len(cells), outputs=len(cut), before=before)


def sliding_boxes(
    axes: tuple[SlidingAxis, ...], bytes_a_cell: int, limit: int
) -> Iterator[SlidingBox]:
    """Boxes that fill the outputs, each of which sees at most `limit` bytes if that can be."""
    counts = [axis.outputs for axis in axes]

    def reaches() -> list[int]:
        pairs = zip(axes, counts, strict=True)
        return [(count - 1) * axis.stride + axis.span for axis, count in pairs]

    while prod(reaches()) * bytes_a_cell > limit and max(counts) > 1:
        longest = max(range(len(axes)), key=lambda place: (counts[place] > 1, reaches()[place]))
        counts[longest] = -(-counts[longest] // 2)
    cuts = [
        [range(start, min(start + count, axis.outputs)) for start in range(0, axis.outputs, count)]
        for axis, count in zip(axes, counts, strict=True)
    ]
    for box in product(*cuts):
        parts = [_box_axis(axis, cut) for axis, cut in zip(axes, box, strict=True)]
        yield SlidingBox(
            tuple(slice(cut.start, cut.stop) for cut in box),
            tuple(cells for cells, _ in parts),
            tuple(inner for _, inner in parts),
        )
