"""Resampling of one axis: which cells an output is interpolated from, and with which weights.

References
----------
ONNX operator specification, Resize. R. Keys, "Cubic convolution interpolation for digital image
processing", IEEE Trans. ASSP 29(6), 1981. Pillow, ``Image.resize`` (weights with antialias).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import PlainColumns
from faltung.typing import IndexArray

__all__ = ["ResizeAxis"]

SUPPORT = {"linear": 1, "cubic": 2, "lanczos": 3}
ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class ResizeAxis(PlainColumns):
    """`outputs` samples of `size` cells; `step` is the distance of two samples in cells.

    `step` is exact, so that "nearest" is ``floor(i * n / o)`` without rounding.
    """

    size: int
    outputs: int
    mode: str
    step: Fraction
    align_corners: bool = False
    antialias: bool = False

    @cached_property
    def taps(self) -> int:  # type: ignore[override]
        """The most cells that an output is made of."""
        if self.mode in ("nearest", "nearest-exact"):
            return 1
        if self.mode == "area":
            excess = self.size + self.outputs - gcd(self.size, self.outputs)
            return -(-excess // self.outputs)  # the longest bin, see `AdaptiveAxis`
        if self.antialias:
            return 2 * ceil(self._reach) + 1
        return 2 * SUPPORT[self.mode]

    @property
    def geometry(self) -> AxisWindow:
        """A window of as many cells, for the size of blocks and the receptive field."""
        return AxisWindow(self.taps, max(ceil(self.step), 1))

    @property
    def clear_outputs(self) -> range:
        """All: cells are taken from inside only."""
        return range(self.outputs)

    @cached_property
    def _reach(self) -> float:
        return SUPPORT[self.mode] * max(float(self.step), 1.0)

    def _bins(self, start: int, stop: int) -> tuple[IndexArray, IndexArray]:
        outputs = np.arange(start, stop, dtype=np.int64)
        first = outputs * self.size // self.outputs
        return first, -(-(outputs + 1) * self.size // self.outputs)

    def _centres(self, start: int, stop: int) -> NDArray[np.float64]:
        """Positions of the outputs, with cell j at j."""
        outputs = np.arange(start, stop, dtype=np.float64)
        if self.align_corners:
            return outputs * float(self.step)
        return (outputs + 0.5) * float(self.step) - 0.5

    def _floor(self, start: int, stop: int, doubled_offset: int) -> IndexArray:
        """``floor((i + offset / 2) * step)`` in integers."""
        step = self.step
        doubled = 2 * np.arange(start, stop, dtype=np.int64) + doubled_offset
        if step.numerator < 2**20 and step.denominator < 2**20:
            return doubled * step.numerator // (2 * step.denominator)
        exact = [int(i) * step.numerator // (2 * step.denominator) for i in doubled.tolist()]
        return np.array(exact, np.int64)

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, -1 in columns that an output does not use."""
        if self.mode in SUPPORT:
            return self._rows(start, stop)[0]
        return self._candidates(start, stop)

    def _rows(self, start: int, stop: int) -> tuple[IndexArray, NDArray[np.float64]]:
        """Cells and weights: a cell once in a row, and none with a weight of 0.

        So what is not finite comes out only where it has a part.
        """
        cells, weights = self._candidates(start, stop), self._weights(start, stop)
        for column in range(self.taps - 1, 0, -1):
            is_same = (cells[:, column] == cells[:, column - 1]) & (cells[:, column] >= 0)
            weights[is_same, column - 1] += weights[is_same, column]
            weights[is_same, column] = 0
        return np.where(weights == 0, -1, cells), weights

    def _candidates(self, start: int, stop: int) -> IndexArray:
        if self.mode in ("nearest", "nearest-exact"):
            cells = self._floor(start, stop, int(self.mode == "nearest-exact"))
            return np.clip(cells, 0, self.size - 1)[:, None]
        columns = np.arange(self.taps, dtype=np.int64)
        if self.mode == "area":
            first, beyond = self._bins(start, stop)
        elif self.antialias:
            first, beyond = self._antialias_range(start, stop)
        else:
            centres = self._source(start, stop)
            cells = np.floor(centres).astype(np.int64)[:, None] + columns - (self.taps // 2 - 1)
            return np.clip(cells, 0, self.size - 1)
        cells = first[:, None] + columns
        return np.where(cells < beyond[:, None], cells, -1)

    def _source(self, start: int, stop: int) -> NDArray[np.float64]:
        centres = self._centres(start, stop)
        # Linear interpolation stops at the first cell's centre, as the peers have it.
        return np.maximum(centres, 0) if self.mode == "linear" else centres

    def _antialias_range(self, start: int, stop: int) -> tuple[IndexArray, IndexArray]:
        middle = (np.arange(start, stop) + 0.5) * float(self.step)
        first = np.maximum((middle - self._reach + 0.5).astype(np.int64), 0)
        return first, np.minimum((middle + self._reach + 0.5).astype(np.int64), self.size)

    def coefficients(self, start: int, stop: int) -> NDArray[np.float64]:
        """The weights of rows `start` to `stop`; those of a row sum to one."""
        weights = self._rows(start, stop)[1]
        normalised: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return normalised

    def _weights(self, start: int, stop: int) -> NDArray[np.float64]:
        cells = self._candidates(start, stop)
        if self.mode in ("nearest", "nearest-exact", "area"):
            weights = (cells >= 0).astype(np.float64)
        elif self.antialias:
            middle = (np.arange(start, stop) + 0.5) * float(self.step)
            scale = max(float(self.step), 1.0)
            distances = (cells + 0.5 - middle[:, None]) / scale
            weights = np.where(cells >= 0, _filter(self.mode, distances, -0.5), 0.0)
        else:
            centres = self._source(start, stop)
            columns = np.arange(self.taps) - (self.taps // 2 - 1)
            fraction = centres - np.floor(centres)
            weights = _filter(self.mode, columns - fraction[:, None], -0.75)
        return weights

    def count_real_taps(self) -> int:
        """Pairs of output and cell, repeated cells counted each time."""
        return self._count(lambda cells: cells >= 0)

    def count_distinct_cells(self) -> int:
        """Pairs of output and cell."""

        def is_new(cells: IndexArray) -> NDArray[np.bool_]:
            cells = np.sort(cells, axis=1)
            new = cells >= 0
            new[:, 1:] &= cells[:, 1:] != cells[:, :-1]
            return new

        return self._count(is_new)

    def _count(self, chosen: Callable[[IndexArray], NDArray[np.bool_]]) -> int:
        rows = range(0, self.outputs, ROWS_AT_ONCE)
        parts = (self.index(row, min(row + ROWS_AT_ONCE, self.outputs)) for row in rows)
        return sum(int(np.count_nonzero(chosen(part))) for part in parts)


def _filter(mode: str, distance: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """The interpolation kernel of a mode; `sharpness` is the parameter a of the cubic one."""
    size: NDArray[np.float64] = np.abs(distance)
    values: NDArray[np.float64]
    if mode == "linear":
        values = np.maximum(1 - size, 0)
    elif mode == "lanczos":
        values = np.where(size < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    else:
        a = sharpness
        near = ((a + 2) * size - (a + 3)) * size * size + 1
        far = a * (((size - 5) * size + 8) * size - 4)
        values = np.where(size <= 1, near, np.where(size < 2, far, 0.0))
    return values
