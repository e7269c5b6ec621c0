"""Checked examples that a kernel is learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from faltung.classes import Conv
from faltung.errors import OptionError, ShapeError
from faltung.geometry.arguments import as_int, as_ints, length_of
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import as_array
from faltung.plans import _resources
from faltung.plans._blocks import ranges
from faltung.typing import Array, ArrayLike, Ints, Padding, Shape

__all__ = ["Examples"]

WINDOW = ("stride", "dilation", "padding")


@dataclass(frozen=True)
class Examples:
    """Checked examples with a batch axis, in float64 or complex128."""

    x: Array
    y: Array
    shape: Shape
    dtype: np.dtype[Any]
    window: dict[str, Any]

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        kernel_size: Ints,
        stride: Ints,
        padding: Padding,
        dilation: Ints,
        groups: int,
    ) -> Examples:
        given, wanted = as_array(x, "x"), as_array(y, "y")
        rank = length_of(kernel_size) or given.ndim - 2
        if rank < 1 or given.ndim not in (rank + 1, rank + 2) or wanted.ndim != given.ndim:
            raise ShapeError(
                f"x has shape {given.shape} and y {wanted.shape}, expected (N, C, *spatial) and "
                "(N, O, *out), or both without N",
                "Add an axis for the channels: x[None, None] for a picture",
            )
        kernel = as_ints(kernel_size, "kernel_size", rank)
        count = as_int(groups, "groups")
        if given.ndim == rank + 1:
            given, wanted = given[None], wanted[None]
        channels, filters = given.shape[1], wanted.shape[1]
        if channels % count or filters % count:
            raise ShapeError(
                f"groups={count} does not divide {channels} channels of x and {filters} of y",
                "Use a number that divides both",
            )
        window: dict[str, Any] = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": count,
        }
        shape = (filters, channels // count, *kernel)
        expected = Conv(shape, **window).output_shape(given.shape)
        if wanted.shape != expected:
            raise ShapeError(
                f"y has shape {wanted.shape}, the convolution of x {given.shape} gives {expected}",
                "Change padding or stride, or cut y",
            )
        kind = np.result_type(given, wanted)
        dtype = kind if kind.kind in "fcV" else np.dtype(np.float64)
        wide = np.complex128 if dtype.kind == "c" else np.float64
        arrays = given.astype(wide), wanted.astype(wide)
        for name, array in zip(("x", "y"), arrays, strict=True):
            if not np.isfinite(array).all():
                raise OptionError(
                    f"{name} has numbers that are not finite", "Leave such examples out"
                )
        return cls(*arrays, shape, dtype, window)

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """The windows of some outputs, (groups, taps, outputs), and those outputs."""
        rank = len(self.shape) - 2
        groups = self.window["groups"]
        named = (self.window[name] for name in WINDOW)
        axes = axis_windows(rank, self.shape[2:], *named)
        sizes = self.x.shape[2:]
        pads = [axis.resolve(size) for axis, size in zip(axes, sizes, strict=True)]
        padded = np.pad(self.x, ((0, 0), (0, 0), *pads))
        spans = tuple(axis.span for axis in axes)
        places = tuple(range(2, 2 + rank))
        view = np.lib.stride_tricks.sliding_window_view(padded, spans, places)
        strides = tuple(slice(None, None, axis.stride) for axis in axes)
        taps = tuple(slice(None, None, axis.dilation) for axis in axes)
        windows = view[(slice(None), slice(None), *strides, *taps)]
        outputs = self.y.shape[2:]
        rows = groups * prod(self.shape[1:]) * self.x.itemsize
        steps = _steps(outputs, max(_resources.WORKSPACE // (2 * rows), 1))
        for sample, target in zip(windows, self.y, strict=True):
            for box in ranges(tuple(map(range, outputs)), steps):
                where = tuple(slice(part.start, part.stop) for part in box)
                part = sample[(slice(None), *where)]
                order = (0, *range(1 + rank, 1 + 2 * rank), *range(1, 1 + rank))
                count = prod(map(len, box))
                columns = part.transpose(order).reshape(groups, -1, count)
                yield columns, target[(slice(None), *where)].reshape(groups, -1, count)


def _steps(outputs: Shape, most: int) -> Shape:
    """The largest block of outputs, whole rows first."""
    steps: list[int] = []
    for size in reversed(outputs):
        steps.insert(0, max(min(size, most), 1))
        most //= max(size, 1)
    return tuple(steps)
