"""Sliding axes as kernels take them, and what they leave blank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from faltung.compiled.task import Axis
from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.typing import Array

__all__ = ["MOST_BORDER", "after", "clear_blank", "clear_part", "kernel_axis"]

MOST_BORDER = 2**16
"""Cells of a border that are kept in a table."""


def after(axis: SlidingAxis) -> int:
    """Cells behind the input's last one that some window reaches."""
    return max((axis.outputs - 1) * axis.stride + axis.span - axis.size - axis.before, 0)


def kernel_axis(axis: SlidingAxis) -> Axis:
    """The axis in numbers, with a table of its border."""
    low = np.arange(-axis.before, 0)
    high = np.arange(axis.size, axis.size + after(axis))
    return Axis(
        axis.size,
        axis.outputs,
        axis.taps,
        axis.stride,
        axis.dilation,
        axis.before,
        tuple(source_index(axis.mode, low, axis.size).tolist()),
        tuple(source_index(axis.mode, high, axis.size).tolist()),
    )


def clear_blank(axes: tuple[SlidingAxis, ...], y: Array) -> None:
    """Set to 0 what comes from windows that leave the input."""
    for place, axis in enumerate(axes):
        clear = axis.clear_outputs
        for ends in (slice(0, clear.start), slice(clear.stop, axis.outputs)):
            where: Any = (slice(None),) * (2 + place) + (ends,)
            y[where] = 0


def clear_part(
    x: Array, y: Array, axes: tuple[SlidingAxis, ...], boxes: tuple[range, ...]
) -> tuple[Array, Array, tuple[SlidingAxis, ...]]:
    """Views of the outputs whose windows lie inside, and of the cells they see."""
    cells, inner = [], []
    for axis, box in zip(axes, boxes, strict=True):
        first = box.start * axis.stride - axis.before
        size = (len(box) - 1) * axis.stride + axis.span
        cells.append(slice(first, first + size))
        inner.append(replace(axis, size=size, outputs=len(box), before=0))
    outputs = tuple(slice(box.start, box.stop) for box in boxes)
    every = (slice(None), slice(None))
    return x[(*every, *cells)], y[(*every, *outputs)], tuple(inner)
