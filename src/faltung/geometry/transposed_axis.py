"""The stencil of a transposed window: which inputs are spread onto an output cell.

A convolution reads, for output i and tap t, position ``i * stride - before + t * dilation``. Its
transpose adds input i, times tap t, to the cell that is read there. Turned around: output cell c
gathers, for each tap t and each position q that shows c (c itself and its images on the padding),
the input ``(q + before - t * dilation) / stride`` where that is a whole number and inside. Nothing
is stuffed with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from faltung.errors import ResourceError, WindowError
from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import PlainColumns, SlidingAxis
from faltung.typing import IndexArray

__all__ = ["TransposedAxis", "transposed_axis", "transposed_base"]

MOST_COLUMNS = 2**20
"""Columns of one table; it has more where most of a long input falls on one cell of an edge."""


class _Columns(NamedTuple):
    """For each column: cells ``first`` to ``last`` show position ``direction * c + offset``."""

    tap: IndexArray
    direction: IndexArray
    offset: IndexArray
    first: IndexArray
    last: IndexArray


@dataclass(frozen=True)
class TransposedAxis(PlainColumns):
    """The transpose of a sliding axis: its inputs are that one's outputs, and the reverse."""

    forward: SlidingAxis

    @property
    def size(self) -> int:
        """Cells of the input."""
        return self.forward.outputs

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """Cells of the output."""
        return self.forward.size

    @property
    def taps(self) -> int:  # type: ignore[override]
        """Columns of the table: the taps of the kernel, and again for images on the padding."""
        return len(self._columns.tap)

    @property
    def kernel_taps(self) -> IndexArray:
        """The tap of the kernel that each column of the table belongs to."""
        return self._columns.tap

    @property
    def clear_outputs(self) -> range:
        """All: the input of a transposed window has no border."""
        return range(self.outputs)

    @property
    def geometry(self) -> AxisWindow:
        """The inputs that one output gathers from first to last; the jump is 1 / stride, here 1."""
        forward = self.forward
        reach = forward.span - 1
        before = (reach - forward.before) // forward.stride
        span = reach // forward.stride + 1
        return AxisWindow(span, padding=(before, self.outputs - 1 + span - self.size - before))

    @property
    def has_images(self) -> bool:
        """Whether cells also gather what falls on the padding."""
        return len(self._images()) > 1

    @cached_property
    def sources(self) -> range:
        """The inputs that are spread: with "blank", those whose window lies inside."""
        return self.forward.clear_outputs if self.forward.mode == "blank" else range(self.size)

    @cached_property
    def _columns(self) -> _Columns:
        """The columns that are of use to any output, tap by tap."""
        forward = self.forward
        images = np.array(self._images(), np.int64).reshape(-1, 4)
        taps = np.repeat(np.arange(forward.taps, dtype=np.int64), len(images))
        direction, offset, first, last = np.tile(images, (forward.taps, 1)).T
        ends = direction * np.stack([first, last]) + offset + forward.before
        ends -= taps * forward.dilation
        low = np.maximum(ends.min(axis=0), self.sources.start * forward.stride)
        high = np.minimum(ends.max(axis=0), (self.sources.stop - 1) * forward.stride)
        is_used = -(-low // forward.stride) * forward.stride <= high
        if not is_used.any():
            is_used[:1] = True  # a table has at least one column
        chosen = (taps, direction, offset, first, last)
        return _Columns(*(column[is_used] for column in chosen))

    def _images(self) -> list[tuple[int, int, int, int]]:
        """Where cells appear on the extended axis: (direction, offset, first cell, last cell)."""
        forward, size = self.forward, self.outputs
        everywhere = [(1, 0, 0, size - 1)]
        low = min(-forward.before, 0)
        high = max((forward.outputs - 1) * forward.stride + forward.span - forward.before, size)
        if forward.mode in ("zeros", "blank") or (low == 0 and high == size):
            return everywhere
        is_edge = forward.mode == "edge" or size == 1
        copies = high - low - size if is_edge else (high - low) // max(size - 1, 1) + 4
        if copies * forward.taps > MOST_COLUMNS:
            raise ResourceError(
                f"padding makes {copies:,} positions fall on one of the {size} cells that are left",
                "Use less padding, or padding_mode 'zeros'",
            )
        if is_edge:
            before = [(1, position, 0, 0) for position in range(low, 0)]
            last = size - 1
            return [
                *everywhere,
                *before,
                *((1, position - last, last, last) for position in range(size, high)),
            ]
        return _periodic_images(forward.mode, size, low, high)

    def index(self, start: int, stop: int) -> IndexArray:
        """Rows `start` to `stop` of the table, shape ``(stop - start, taps)``."""
        forward, columns = self.forward, self._columns
        cells = np.arange(start, stop, dtype=np.int64)[:, None]
        positions = columns.direction * cells + columns.offset
        steps = positions + forward.before - columns.tap * forward.dilation
        inputs, rest = np.divmod(steps, forward.stride)
        is_real = (rest == 0) & (cells >= columns.first) & (cells <= columns.last)
        is_real &= (inputs >= self.sources.start) & (inputs < self.sources.stop)
        return np.where(is_real, inputs, -1)

    def landing(self, tap: int, start: int, stop: int) -> tuple[slice, slice]:
        """The inputs that `tap` brings to outputs `start` to `stop`, and the places among these.

        Without images on the padding: with zeros around, a tap has one column.
        """
        forward = self.forward
        shift = tap * forward.dilation - forward.before
        first = max(-(-(start - shift) // forward.stride), 0)
        beyond = max(min((stop - 1 - shift) // forward.stride + 1, self.size), first)
        place = first * forward.stride + shift - start
        places = slice(place, place + (beyond - first) * forward.stride, forward.stride)
        return slice(first, beyond), places if beyond > first else slice(0, 0)

    def count_taps(self) -> int:
        """Pairs of input and tap, those that fall on padding included."""
        return self.size * self.forward.taps

    def count_real_taps(self) -> int:
        """Pairs of input and tap that fall inside the output."""
        if self.forward.mode == "blank":
            return len(self.sources) * self.forward.taps
        return self.forward.count_real_taps()

    def count_distinct_cells(self) -> int:
        """Pairs of output and input cell that are connected, borders followed."""
        if self.forward.mode == "blank":
            return len(self.sources) * self.forward.taps
        return self.forward.count_distinct_cells()


def _periodic_images(mode: str, size: int, low: int, high: int) -> list[tuple[int, int, int, int]]:
    """The images of a pattern that repeats, those that touch positions `low` to `high - 1`."""
    last = size - 1
    period = {"wrap": size, "symmetric": 2 * size, "reflect": 2 * last}[mode]
    images = []
    for shift in range(low // period * period - period, high + 2 * period, period):
        images.append((1, shift, 0, last))
        if mode == "symmetric":
            images.append((-1, shift - 1, 0, last))
        elif mode == "reflect" and size > 2:  # the cells at the ends are not repeated
            images.append((-1, shift, 1, last - 1))
    return [
        image
        for image in images
        if max(image[0] * cell + image[1] for cell in image[2:]) >= low
        and min(image[0] * cell + image[1] for cell in image[2:]) < high
    ]


def transposed_base(window: AxisWindow, inputs: int) -> tuple[int, int]:
    """The cells removed from the start, and the output size without output padding."""
    if window.padding in ("same", "same_lower", "causal"):
        outputs = inputs * window.stride
        return 0 if window.padding == "causal" else window.resolve(outputs)[0], outputs
    before, after = window.resolve(inputs)
    return before, (inputs - 1) * window.stride + window.span - before - after


def transposed_axis(
    window: AxisWindow, inputs: int, mode: str, extra: int = 0, wanted: int | None = None
) -> TransposedAxis:
    """The stencil that spreads `inputs` cells, with `extra` output cells or a `wanted` size."""
    if inputs < 1:
        raise WindowError("x has a spatial axis of 0 cells, there is nothing to spread")
    before, least = transposed_base(window, inputs)
    stride, dilation = window.stride, window.dilation
    limit = max(stride, dilation)
    if extra >= limit:
        raise WindowError(
            f"output_padding is {extra}, expected less than {limit}, the larger of "
            f"stride {stride} and dilation {dilation}"
        )
    outputs = least + extra if wanted is None else wanted
    if outputs < 1 or least + limit <= 1:
        whole = (inputs - 1) * stride + window.span
        raise WindowError(
            f"padding removes {whole - least} cells of {whole}: no output",
            "Use less padding or a larger kernel",
        )
    if not least <= outputs < least + limit:
        raise WindowError(
            f"output_size is {outputs}, but {inputs} cells reach sizes from {max(least, 1)} "
            f"to {least + limit - 1}",
            "Use a size of that range, or another padding",
        )
    sliding = SlidingAxis(outputs, inputs, window.kernel, stride, dilation, before, mode)
    return TransposedAxis(sliding)
