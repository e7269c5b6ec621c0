"""Which input cells an output cell sees: the tables and the counts that follow from them.

An operator has one axis object for each spatial axis. The object describes the table
``index[output, tap] -> input cell`` (-1 = outside) and builds any range of its rows on demand, so
that an axis of 10**9 cells costs nothing until somebody asks for its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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

    @property
    def kernel_taps(self) -> IndexArray:
        """The tap of the kernel that each column of the table belongs to."""

    def divisors(self, start: int, stop: int) -> IndexArray:
        """What a mean over the windows of rows `start` to `stop` divides by."""

    def coefficients(self, start: int, stop: int) -> NDArray[np.float64]:
        """The weights of an interpolation, for rows `start` to `stop`."""

    def count_taps(self) -> int:
        """Pairs of output and tap, those outside the input included."""

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""

    def columns(self, start: int, stop: int, taps: range) -> IndexArray:
        """Some neighbouring columns of those rows, shape ``(stop - start, len(taps))``."""

    def count_real_taps(self) -> int:
        """Pairs of output and tap that lie inside the input."""

    def count_distinct_cells(self) -> int:
        """Pairs of output and input cell that are connected, borders followed."""


class PlainColumns:
    """What most axes answer: column t of the table is tap t, every tap counts, none is weighted."""

    outputs: int
    taps: int

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""
        raise NotImplementedError

    def columns(self, start: int, stop: int, taps: range) -> IndexArray:
        """Some neighbouring columns of those rows, shape ``(stop - start, len(taps))``."""
        return self.index(start, stop)[:, taps.start : taps.stop]

    @property
    def kernel_taps(self) -> IndexArray:
        """The tap of the kernel that each column of the table belongs to."""
        return np.arange(self.taps, dtype=np.int64)

    def divisors(self, start: int, stop: int) -> IndexArray:
        """What a mean over the windows of rows `start` to `stop` divides by."""
        return np.full(stop - start, self.taps, np.int64)

    def coefficients(self, start: int, stop: int) -> NDArray[np.float64]:
        """The weights of an interpolation, for rows `start` to `stop`."""
        return np.ones((stop - start, self.taps))

    def count_taps(self) -> int:
        """Pairs of output and tap, those outside the input included."""
        return self.outputs * self.taps


@dataclass(frozen=True)
class SlidingAxis(PlainColumns):
    """A window that slides: output i, tap t sees position ``i * stride - before + t * dilation``.

    `mode` is the canonical border mode that says what a position outside the input shows. A mean
    divides by the taps before the end of the `after` cells of padding, or by those inside the input
    unless `counts_padding`.
    """

    size: int
    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    mode: str = "zeros"
    after: int = 0
    counts_padding: bool = True

    def divisors(self, start: int, stop: int) -> IndexArray:
        """What a mean over the windows of rows `start` to `stop` divides by."""
        positions = self.positions(start, stop)
        if self.counts_padding:
            is_counted = positions < self.size + self.after
        else:
            is_counted = (positions >= 0) & (positions < self.size)
        counts: IndexArray = np.count_nonzero(is_counted, axis=1).astype(np.int64)
        return counts

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

    def columns(self, start: int, stop: int, taps: range) -> IndexArray:
        """Some neighbouring columns of those rows, shape ``(stop - start, len(taps))``."""
        part = replace(self, taps=len(taps), before=self.before - taps.start * self.dilation)
        return part.index(start, stop)

    def count_real_taps(self) -> int:
        """Pairs of output and tap that lie inside the input."""

        def count(start: int, stop: int) -> int:
            positions = self.positions(start, stop)
            return int(np.count_nonzero((positions >= 0) & (positions < self.size)))

        return self._count(count)

    def count_shown_taps(self) -> int:
        """Pairs of output and tap that show a cell, borders followed."""
        has_gaps = self.mode in ("zeros", "constant", "blank")
        return self.count_real_taps() if has_gaps else self.count_taps()

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


def sliding_axis(
    window: AxisWindow, size: int, mode: str, *, counts_padding: bool = True
) -> SlidingAxis:
    """The stencil of a window over `size` cells with border `mode`."""
    before, after = window.resolve(size)
    return SlidingAxis(
        size,
        window.output_size(size),
        window.kernel,
        window.stride,
        window.dilation,
        before,
        mode,
        after,
        counts_padding,
    )
