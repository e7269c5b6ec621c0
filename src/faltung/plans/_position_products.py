"""The gradient after the weight of a convolution by compiled convolutions, without unfolding.

With the channels last, what the last axis of the kernel shows of all channels is one stretch of
memory, and that of the next output begins a stride later. So the sums over outputs are a pointwise
convolution whose channels are the outputs, whose pixels are taps and channels, and whose weights
are the cotangents: windows overlap in memory instead of being copied. Outputs are counted as if a
row had as many as its cells have strides; those beyond the end have a cotangent of zero.

Against NumPy's windows and `tensordot`, 3×3 64→64 on 56² in float32 is 1.9 to 3.5 times as fast on
two busy shared cores (`benchmarks/family.py gradient`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _select
from faltung.plans._blocks import Box, ranges
from faltung.plans._problem import Operands, Problem, Recipe
from faltung.plans._rules import WeightedSum
from faltung.typing import Array, Shape

__all__ = ["Layout", "choose_layout", "sum_by_position"]

BLOCK_BYTES = 2**22
"""Cells and cotangents of a block."""
LEAST_FILTERS = 8
"""With fewer, the compiled kernels of so many rows are mostly empty."""
LEAST_PIXELS = 16
"""Taps of the last axis times channels: a vector."""
Fill = Callable[[Box, Array], None]
"""Writes the cells that a box of outputs sees, (channels, *cells), padding included."""


class Layout(NamedTuple):
    """How outputs are cut into blocks, and the problem of one tap of the leading axes."""

    axes: tuple[SlidingAxis, ...]
    boxes: tuple[Box, ...]
    filters: int
    channels: int
    model: Problem


def choose_layout(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    box: Box,
    sizes: tuple[int, int],
    dtype: np.dtype[Any],
) -> Layout | None:
    """The layout for these filters and channels; None where copying is better."""
    filters, channels = sizes
    last = axes[-1]
    if filters < LEAST_FILTERS or channels * last.taps < LEAST_PIXELS or not all(box):
        return None
    steps = [len(cut) for cut in box]
    while _block_bytes(axes, steps, filters + channels, dtype) > BLOCK_BYTES and max(steps) > 1:
        place = next(i for i, count in enumerate(steps) if count > 1)
        steps[place] = -(-steps[place] // 2)
    if _pitch(last, steps[-1]) > 2 * steps[-1]:
        return None
    boxes = tuple(ranges(box, tuple(steps)))
    if last.dilation == 1:
        pixels: Shape = (last.taps * channels,)
    else:
        pixels = last.taps, channels
    recipe = Recipe(
        rule=WeightedSum(),
        axes=tuple(SlidingAxis(count, count, 1) for count in pixels),
        batch=1,
        groups=1,
        channels=_positions(last, boxes[0]),
        filters=filters,
    )
    model = Problem(recipe, dtype, problem.settings, dtype)
    return Layout(axes, boxes, filters, channels, model) if _is_compiled(model) else None


def _is_compiled(model: Problem) -> bool:
    return _select.select(model).chosen.name != "stencil"


def _pitch(last: SlidingAxis, outputs: int) -> int:
    """Outputs that a row is counted to have: its cells, in strides."""
    reach = (outputs - 1) * last.stride + last.span
    return -(-reach // last.stride)


def _positions(last: SlidingAxis, box: Box) -> int:
    """Outputs of a box, the ones between its rows counted, those behind the last one not."""
    pitch = _pitch(last, len(box[-1]))
    return prod(map(len, box[:-1])) * pitch - (pitch - len(box[-1]))


def _block_bytes(
    axes: tuple[SlidingAxis, ...], steps: list[int], planes: int, dtype: np.dtype[Any]
) -> int:
    cells = _pitch(axes[-1], steps[-1]) * axes[-1].stride
    for axis, count in zip(axes[:-1], steps[:-1], strict=True):
        cells *= (count - 1) * axis.stride + axis.span
    return cells * planes * dtype.itemsize


def sum_by_position(layout: Layout, fill: Fill, others: Array, sums: Array) -> None:
    """Add the products of one sample and group to `sums` (filters, *taps, channels).

    `others` are the cotangents (filters, *outputs); all numbers are finite.
    """
    last, dtype = layout.axes[-1], layout.model.dtype
    for box in layout.boxes:
        model = layout.model
        positions = _positions(last, box)
        if positions != model.recipe.channels:
            model = replace(model, recipe=replace(model.recipe, channels=positions), kept={})
        weight = _weight(layout, box, others, positions)
        prepared = _select.prepare(model, _select.select(model), Operands(weight))
        y = np.empty(model.output_shape, dtype)
        cells = _channels_last(layout, box, fill)
        taps = [range(axis.taps) for axis in layout.axes[:-1]]
        for leading in product(*taps):
            windows = _windows(layout, box, cells, leading, positions)
            _select.execute(model, prepared, windows, y)
            place: Any = (slice(None), *leading)
            sums[place] += y.reshape(layout.filters, last.taps, layout.channels)


def _weight(layout: Layout, box: Box, others: Array, positions: int) -> Array:
    """The cotangents as (filters, positions, 1 or 1, 1), zero between the rows."""
    outputs = len(box[-1])
    shape = *map(len, box[:-1]), _pitch(layout.axes[-1], outputs)
    spaced = np.zeros((layout.filters, *shape), layout.model.dtype)
    where: Any = (slice(None), *(slice(cut.start, cut.stop) for cut in box))
    spaced[..., :outputs] = others[where]
    kernel = (1,) * len(layout.model.recipe.axes)
    return spaced.reshape(layout.filters, -1)[:, :positions].reshape(-1, positions, *kernel)


def _channels_last(layout: Layout, box: Box, fill: Fill) -> Array:
    """The cells with channels last, rows as long as a whole number of strides."""
    last = layout.axes[-1]
    reach = [
        (len(cut) - 1) * axis.stride + axis.span for axis, cut in zip(layout.axes, box, strict=True)
    ]
    width = _pitch(last, len(box[-1])) * last.stride
    cells = np.zeros((*reach[:-1], width, layout.channels), layout.model.dtype)
    fill(box, np.moveaxis(cells[..., : reach[-1], :], -1, 0))
    return cells


def _windows(layout: Layout, box: Box, cells: Array, leading: Shape, positions: int) -> Array:
    """A view (1, positions, *pixels) of what one tap of the leading axes and the last axis show."""
    rows: Any = tuple(
        slice(
            tap * axis.dilation, tap * axis.dilation + (len(cut) - 1) * axis.stride + 1, axis.stride
        )
        for axis, cut, tap in zip(layout.axes[:-1], box[:-1], leading, strict=True)
    )
    flat = np.ascontiguousarray(cells[rows]).reshape(-1)
    last, channels, size = layout.axes[-1], layout.channels, flat.itemsize
    shape: Shape = (1, positions, last.taps * channels)
    strides: Shape = (0, last.stride * channels * size, size)
    if last.dilation > 1:
        shape = (1, positions, last.taps, channels)
        strides = (*strides[:2], last.dilation * channels * size, size)
    return np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)
