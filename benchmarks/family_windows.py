"""Rows of `family`: transposed convolution, kernels by position, resizing, unfolding and folding.

Each row is a name, faltung's call, the same in NumPy, and the shape of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import faltung as ft

Row = tuple[str, Callable[[Any], Any], Callable[[Any], Any], tuple[int, ...]]
SHAPE = (1, 64, 112, 112)


@cache
def normal(*shape: int) -> Any:
    """The same normal numbers for every call."""
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def padded(x: Any, cells: int) -> Any:
    """Zeros around the last two axes."""
    return np.pad(x, [(0, 0), (0, 0), (cells, cells), (cells, cells)])


def add_up(columns: Any, size: int, kernel: int, stride: int, padding: int) -> Any:
    """Columns (N, C, k, k, rows, columns) added to where their windows lie: col2im."""
    rows, across = columns.shape[4:]
    y = np.zeros((*columns.shape[:2], size + 2 * padding, size + 2 * padding), columns.dtype)
    for i in range(kernel):
        for j in range(kernel):
            part = y[:, :, i : i + rows * stride : stride, j : j + across * stride : stride]
            part += columns[:, :, i, j]
    return y[:, :, padding : padding + size, padding : padding + size]


def transposed(
    filters: int, kernel: int, stride: int, padding: int, shape: tuple[int, ...] = SHAPE
) -> Row:
    """A matrix product and col2im."""
    channels, n = shape[1:3]
    size = (n - 1) * stride + kernel - 2 * padding
    shape_of_weight = channels, filters, kernel, kernel

    def ours(x: Any) -> Any:
        return ft.conv_transpose2d(x, normal(*shape_of_weight), stride=stride, padding=padding)

    def theirs(x: Any) -> Any:
        matrix = normal(*shape_of_weight).reshape(channels, -1)
        columns = (matrix.T @ x[0].reshape(channels, -1)).reshape(1, filters, kernel, kernel, n, n)
        return add_up(columns, size, kernel, stride, padding)

    name = f"conv_transpose {kernel}x{kernel}/{stride} {channels}->{filters}"
    return (name if n == 112 else f"{name} {n}"), ours, theirs, shape


def involution(groups: int, kernel: int, stride: int = 1, shape: tuple[int, ...] = SHAPE) -> Row:
    """Tap by tap over shifted views."""
    channels, n = shape[1:3]
    rows, reach = -(-n // stride), kernel // 2
    shape_of_weight = 1, groups, kernel * kernel, rows, rows

    def ours(x: Any) -> Any:
        window = {"kernel_size": kernel, "stride": stride, "padding": reach}
        return ft.involution(x, normal(*shape_of_weight), **window)

    def theirs(x: Any) -> Any:
        cells, weight = padded(x, reach), normal(*shape_of_weight)
        y = np.zeros((1, groups, channels // groups, rows, rows), x.dtype)
        for i in range(kernel):
            for j in range(kernel):
                last = stride * (rows - 1) + 1
                seen = cells[:, :, i : i + last : stride, j : j + last : stride]
                y += weight[:, :, None, i * kernel + j] * seen.reshape(y.shape)
        return y.reshape(1, channels, rows, rows)

    return f"involution {kernel}x{kernel}/{stride} {channels} {n} G{groups}", ours, theirs, shape


def local_conv(filters: int, shape: tuple[int, ...] = SHAPE) -> Row:
    """One contraction over the view of all windows."""
    channels, n = shape[1:3]
    shape_of_weight = filters, channels, 9, n, n

    def ours(x: Any) -> Any:
        return ft.local_conv(x, normal(*shape_of_weight), kernel_size=3, padding=1)

    def theirs(x: Any) -> Any:
        views = np.lib.stride_tricks.sliding_window_view(padded(x, 1), (3, 3), (2, 3))
        kernels = normal(*shape_of_weight).reshape(filters, channels, 3, 3, n, n)
        return np.einsum("nchwij,ocijhw->nohw", views, kernels)

    return f"local_conv 3x3 {channels}->{filters}", ours, theirs, shape


def unfold(kernel: int, stride: int, padding: int) -> Row:
    """A copy of the view of all windows."""

    def ours(x: Any) -> Any:
        return ft.unfold(x, kernel, stride=stride, padding=padding)

    def theirs(x: Any) -> Any:
        cells = padded(x, padding)
        views = np.lib.stride_tricks.sliding_window_view(cells, (kernel, kernel), (2, 3))
        views = views[:, :, ::stride, ::stride].transpose(0, 1, 4, 5, 2, 3)
        return views.reshape(1, 64 * kernel * kernel, -1)

    return f"unfold {kernel}x{kernel}/{stride}", ours, theirs, SHAPE


def fold(kernel: int, stride: int, padding: int) -> Row:
    """col2im."""
    rows = (112 + 2 * padding - kernel) // stride + 1

    def ours(x: Any) -> Any:
        return ft.fold(x, (112, 112), kernel, stride=stride, padding=padding)

    def theirs(x: Any) -> Any:
        columns = x.reshape(1, 64, kernel, kernel, rows, rows)
        return add_up(columns, 112, kernel, stride, padding)

    return f"fold {kernel}x{kernel}/{stride}", ours, theirs, (1, 64 * kernel**2, rows * rows)


def resize(mode: str, size: int) -> Row:
    """Two gathers and a weighted sum an axis; for "nearest" one gather."""

    def ours(x: Any) -> Any:
        return ft.resize(x, (size, size), mode=mode)

    def theirs(x: Any) -> Any:
        if mode == "nearest":
            cells = np.arange(size) * 112 // size
            return x[:, :, cells[:, None], cells]
        if mode == "area":
            bins = x.reshape(1, 64, size, 112 // size, size, 112 // size)
            return bins.mean((3, 5))
        for axis in (2, 3):
            places = np.maximum((np.arange(size) + 0.5) * 112 / size - 0.5, 0)
            cells = places.astype(int)
            share = (places - cells).astype(np.float32).reshape(-1, *[1] * (3 - axis))
            x = x.take(cells, axis) * (1 - share) + x.take(np.minimum(cells + 1, 111), axis) * share
        return x

    return f"resize {mode} 112->{size}", ours, theirs, SHAPE


ROWS: list[Row] = [
    transposed(64, 4, 2, 1),
    transposed(64, 3, 2, 1),
    transposed(64, 2, 2, 0),
    transposed(3, 16, 16, 0),
    transposed(256, 4, 2, 1, (1, 512, 8, 8)),
    involution(16, 7, shape=(1, 256, 56, 56)),
    involution(4, 7),
    involution(4, 7, 2),
    local_conv(4),
    unfold(3, 1, 1),
    unfold(3, 2, 1),
    fold(3, 1, 1),
    fold(3, 2, 1),
    resize("nearest", 224),
    resize("linear", 224),
    resize("linear", 56),
    resize("area", 28),
]
