"""Bins that split an axis into so many parts: the windows of adaptive pooling.

Bin i of o over n cells goes from ``floor(i * n / o)`` to ``ceil((i + 1) * n / o)``; bins overlap
where o does not divide n, and with more bins than cells some show the same cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import PlainColumns
from faltung.typing import IndexArray

__all__ = ["AdaptiveAxis"]


@dataclass(frozen=True)
class AdaptiveAxis(PlainColumns):
    """`outputs` bins over `size` cells; a column of the table is a place in the bin, -1 behind it.

    Letting i run over all bins, ``i * n mod o`` takes each multiple of ``gcd(n, o)`` below o, which
    gives the longest bin and the sum of all lengths without visiting them.
    """

    size: int
    outputs: int

    @property
    def taps(self) -> int:  # type: ignore[override]
        """Cells of the longest bin."""
        return -(-(self.size + self.outputs - gcd(self.size, self.outputs)) // self.outputs)

    @property
    def geometry(self) -> AxisWindow:
        """The longest bin, sliding by the mean length rounded up: exact where o divides n."""
        return AxisWindow(self.taps, -(-self.size // self.outputs))

    @property
    def clear_outputs(self) -> range:
        """All bins lie inside the input."""
        return range(self.outputs)

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""
        return self.columns(start, stop, range(self.taps))

    def columns(self, start: int, stop: int, taps: range) -> IndexArray:
        """Some neighbouring columns of those rows, shape ``(stop - start, len(taps))``."""
        first, end = self._bins(start, stop)
        cells = first[:, None] + np.arange(taps.start, taps.stop)
        return np.where(cells < end[:, None], cells, -1)

    def divisors(self, start: int, stop: int) -> IndexArray:
        """The lengths of the bins `start` to `stop`."""
        first, end = self._bins(start, stop)
        return end - first

    def _bins(self, start: int, stop: int) -> tuple[IndexArray, IndexArray]:
        bounds = np.arange(start, stop + 1, dtype=np.int64) * self.size
        return bounds[:-1] // self.outputs, -(-bounds[1:] // self.outputs)

    def count_taps(self) -> int:
        """The sum of the bins' lengths."""
        return self.size + self.outputs - gcd(self.size, self.outputs)

    def count_real_taps(self) -> int:
        """The sum of the bins' lengths: all cells of a bin lie inside the input."""
        return self.count_taps()

    def count_distinct_cells(self) -> int:
        """The sum of the bins' lengths: the cells of a bin are all different."""
        return self.count_taps()
