"""Some outputs of an axis over the cells that they need: what a stream computes at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faltung.geometry.axis import AxisGeometry
from faltung.geometry.stencil import SlidingAxis, StencilAxis
from faltung.typing import IndexArray

__all__ = ["PartAxis", "part_of"]


@dataclass(frozen=True)
class PartAxis:
    """Outputs `start` to `stop` of an axis, over `size` cells of its input from `first` on."""

    whole: StencilAxis
    start: int
    stop: int
    first: int
    size: int

    @property
    def outputs(self) -> int:
        """Cells of the output."""
        return self.stop - self.start

    @property
    def taps(self) -> int:
        """Columns of the table."""
        return self.whole.taps

    @property
    def geometry(self) -> AxisGeometry:
        """That of the whole: what sizes are estimated from."""
        return self.whole.geometry

    @property
    def clear_outputs(self) -> range:
        """The outputs whose window lies inside the input."""
        clear = self.whole.clear_outputs
        begin = min(max(clear.start - self.start, 0), self.outputs)
        return range(begin, min(max(clear.stop - self.start, begin), self.outputs))

    @property
    def kernel_taps(self) -> IndexArray:
        """The tap of the kernel that each column of the table belongs to."""
        return self.whole.kernel_taps

    def divisors(self, start: int, stop: int) -> IndexArray:
        """What a mean over the windows of rows `start` to `stop` divides by."""
        return self.whole.divisors(self.start + start, self.start + stop)

    def coefficients(self, start: int, stop: int) -> NDArray[np.float64]:
        """The weights of an interpolation, for rows `start` to `stop`."""
        return self.whole.coefficients(self.start + start, self.start + stop)

    def count_taps(self) -> int:
        """Pairs of output and tap, those outside the input included."""
        return self.outputs * self.taps

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""
        cells = self.whole.index(self.start + start, self.start + stop)
        return np.where(cells < 0, -1, cells - self.first)

    def columns(self, start: int, stop: int, taps: range) -> IndexArray:
        """Some neighbouring columns of those rows, shape ``(stop - start, len(taps))``."""
        return self.index(start, stop)[:, taps.start : taps.stop]

    def count_real_taps(self) -> int:
        """Pairs of output and tap that lie inside the input."""
        return int(np.count_nonzero(self.index(0, self.outputs) >= 0))

    def count_distinct_cells(self) -> int:
        """Pairs of output and input cell that are connected, borders followed."""
        cells = np.sort(self.index(0, self.outputs), axis=1)
        is_new = np.ones(cells.shape, bool)
        is_new[:, 1:] = cells[:, 1:] != cells[:, :-1]
        return int(np.count_nonzero(is_new & (cells >= 0)))


def part_of(axis: StencilAxis, outputs: range, cells: range) -> StencilAxis:
    """The axis of some outputs over some cells, which show them all that they see.

    A sliding axis stays one, so that every algorithm for it can run.
    """
    sliding = axis if isinstance(axis, SlidingAxis) else None
    before = 0 if sliding is None else sliding.before - outputs.start * sliding.stride + cells.start
    if sliding is None or before < 0:  # the border after the end shows cells before the window
        return PartAxis(axis, outputs.start, outputs.stop, cells.start, len(cells))
    return replace(sliding, size=len(cells), outputs=len(outputs), before=before)
