"""Which input cells an output cell sees: the tables and the counts that follow from them.

An operator has one axis object for each spatial axis. The object describes the table
``index[output, tap] -> input cell`` (-1 = outside) and builds any range of its rows on demand, so
that an axis of 10**9 cells costs nothing until somebody asks for its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from faltung.geometry.axis import AxisGeometry, AxisWindow
from faltung.geometry.border import source_index
from faltung.typing import IndexArray

__all__ = ["SlidingAxis", "StencilAxis", "sliding_axis"]

ROWS_AT_ONCE = 2**16


class StencilAxis(Protocol):
    """One axis of a stencil; every kind of axis is a frozen, hashable value."""

    @property
    def size(self) -> int:
        """Cells of the input."""

    @property
    def outputs(self) -> int:
        """Cells of the output."""

    @property
    def taps(self) -> int:
        """Columns of the table."""

    @property
    def geometry(self) -> AxisGeometry:
        """The window that receptive fields are composed of."""

    @property
    def clear_outputs(self) -> range:
        """The outputs whose window lies inside the input."""

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""

    def count_real_taps(self) -> int:
        """Pairs of output and tap that lie inside the input."""

    def count_distinct_cells(self) -> int:
        """Pairs of output and input cell that are connected, borders followed."""


@dataclass(frozen=True)
class SlidingAxis:
    """A window that slides: output i, tap t sees position ``i * stride - before + t * dilation``.

    `mode` is the canonical border mode that says what a position outside the input shows.
    """

    size: int
    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    mode: str = "zeros"

    @property
    def geometry(self) -> AxisGeometry:
        """The window that receptive fields are composed of."""
        after = (self.outputs - 1) * self.stride + self.span - self.size - self.before
        return AxisWindow(self.taps, self.stride, self.dilation, (self.before, after))

    @property
    def span(self) -> int:
        """Cells from the first to the last tap."""
        return self.dilation * (self.taps - 1) + 1

    @property
    def clear_outputs(self) -> range:
        """The outputs whose window lies inside the input, one unbroken range."""
        first = max(-(-self.before // self.stride), 0)
        beyond = (self.size - self.span + self.before) // self.stride + 1
        first = min(first, self.outputs)
        return range(first, min(max(beyond, first), self.outputs))

    def positions(self, start: int, stop: int) -> IndexArray:
        """The positions that rows `start` to `stop` look at, outside ones included."""
        outputs = np.arange(start, stop, dtype=np.int64)[:, None]
        taps = np.arange(self.taps, dtype=np.int64)
        return outputs * self.stride - self.before + taps * self.dilation

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""
        return source_index(self.mode, self.positions(start, stop), self.size)

    def count_real_taps(self) -> int:
        """Pairs of output and tap that lie inside the input."""

        def count(start: int, stop: int) -> int:
            positions = self.positions(start, stop)
            return int(np.count_nonzero((positions >= 0) & (positions < self.size)))

        return self._count(count)

    def count_distinct_cells(self) -> int:
        """Pairs of output and input cell that are connected, borders followed."""

        def count(start: int, stop: int) -> int:
            cells = np.sort(self.index(start, stop), axis=1)
            is_new = np.ones(cells.shape, bool)
            is_new[:, 1:] = cells[:, 1:] != cells[:, :-1]
            return int(np.count_nonzero(is_new & (cells >= 0)))

        return self._count(count)

    def _count(self, count: Callable[[int, int], int]) -> int:
        clear = self.clear_outputs
        total = len(clear) * self.taps
        for start, stop in ((0, clear.start), (clear.stop, self.outputs)):
            total += sum(count(*rows) for rows in _blocks(start, stop, self.taps))
        return total


def _blocks(start: int, stop: int, taps: int) -> Iterator[tuple[int, int]]:
    step = max(ROWS_AT_ONCE // taps, 1)
    for row in range(start, stop, step):
        yield row, min(row + step, stop)


def sliding_axis(window: AxisWindow, size: int, mode: str) -> SlidingAxis:
    """The stencil of a window over `size` cells with border `mode`."""
    return SlidingAxis(
        size,
        window.output_size(size),
        window.kernel,
        window.stride,
        window.dilation,
        window.resolve(size)[0],
        mode,
    )
