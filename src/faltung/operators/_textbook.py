"""What textbook references share: the padded input, written with `numpy.pad` alone.

Nothing here uses `faltung.geometry`: the references are the oracle that checks it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from faltung.typing import Array

__all__ = ["each_axis", "pad_input", "pool", "pool_bins"]

NUMPY_MODES = {
    "zeros": "constant",
    "constant": "constant",
    "fill": "constant",
    "grid-constant": "constant",
    "blank": "constant",
    "reflect": "reflect",
    "mirror": "reflect",
    "reflect_101": "reflect",
    "symmetric": "symmetric",
    "symm": "symmetric",
    "grid-mirror": "symmetric",
    "edge": "edge",
    "nearest": "edge",
    "replicate": "edge",
    "wrap": "wrap",
    "circular": "wrap",
    "grid-wrap": "wrap",
}


def each_axis(value: Any, rank: int) -> list[Any]:
    """One entry an axis."""
    return list(value) if isinstance(value, list | tuple) else [value] * rank


def pad_amounts(
    padding: Any, size: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
    """Cells before and after one axis, names spelled out."""
    reach = dilation * (kernel - 1)
    if padding == "valid":
        return 0, 0
    if padding == "full":
        return reach, reach
    if padding == "causal":
        return reach, 0
    if padding in ("same", "half", "same_lower"):
        outputs = (size + stride - 1) // stride
        total = max(0, (outputs - 1) * stride + reach + 1 - size)
        small, large = total // 2, total - total // 2
        return (large, small) if padding == "same_lower" else (small, large)
    if isinstance(padding, int):
        return padding, padding
    before, after = padding
    return before, after


def pad_input(
    x: Array,
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    mode: str = "zeros",
    value: Any = 0,
) -> tuple[Array, Array]:
    """The padded input, and for each of its cells whether it takes part in a sum."""
    columns = (
        x.shape[2:],
        kernel,
        each_axis(stride, len(kernel)),
        each_axis(dilation, len(kernel)),
    )
    amounts = [(0, 0), (0, 0)]
    amounts += map(pad_amounts, each_axis(padding, len(kernel)), *columns)
    how: Any = NUMPY_MODES[mode]
    fill = {"constant_values": value if mode in ("constant", "fill", "grid-constant") else 0}
    padded = np.pad(x, amounts, how, **(fill if how == "constant" else {}))
    is_real = np.pad(np.ones(x.shape[2:], bool), amounts[2:], "constant")
    if mode not in ("zeros", "blank"):
        is_real[...] = True
    return padded, is_real


def pool(
    x: Array,
    reduce: Callable[[Array, int, int], Array],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Array:
    """``reduce(cells, real, counted)`` for each window, cells of shape (N, C, real taps).

    `counted` is the number of taps before the end of the padding.
    """
    rank = x.ndim - 2
    kernel, dilations = each_axis(kernel_size, rank), each_axis(dilation, rank)
    strides = kernel if stride is None else each_axis(stride, rank)
    columns = zip(x.shape[2:], kernel, strides, dilations, each_axis(padding, rank), strict=True)
    windows, ends = [], []
    for size, k, s, d, entry in columns:
        before, after = pad_amounts(entry, size, k, s, d)
        may_hang_over = ceil_mode and entry not in ("same", "half", "same_lower")
        slack = s - 1 if may_hang_over else 0
        starts = list(range(-before, size + after + slack - d * (k - 1), s))
        if may_hang_over and starts and starts[-1] >= size:
            starts.pop()
        windows.append([range(start, start + d * (k - 1) + 1, d) for start in starts])
        ends.append(size + after)
    y = np.zeros((*x.shape[:2], *map(len, windows)), x.dtype)
    for place in np.ndindex(*y.shape[2:]):
        seen = [axis[i] for axis, i in zip(windows, place, strict=True)]
        real = [
            [p for p in cells if 0 <= p < n] for cells, n in zip(seen, x.shape[2:], strict=True)
        ]
        where: Any = (slice(None), slice(None), *np.ix_(*real))
        cells = x[where].reshape(*x.shape[:2], -1)
        counted = prod(sum(p < end for p in cells) for cells, end in zip(seen, ends, strict=True))
        y[(slice(None), slice(None), *place)] = reduce(cells, prod(map(len, real)), counted)
    return y


def pool_bins(x: Array, reduce: Callable[[Array], Array], output_size: Any) -> Array:
    """``reduce(cells)`` for each bin of an adaptive pooling, cells of shape (N, C, cells)."""
    sizes = [output_size] * (x.ndim - 2) if isinstance(output_size, int) else output_size
    outputs = [n if size is None else size for size, n in zip(sizes, x.shape[2:], strict=True)]
    y = np.zeros((*x.shape[:2], *outputs), x.dtype)
    for place in np.ndindex(*outputs):
        bins = tuple(
            slice(int(np.floor(i * n / o)), int(np.ceil((i + 1) * n / o)))
            for i, n, o in zip(place, x.shape[2:], outputs, strict=True)
        )
        cells = x[(slice(None), slice(None), *bins)].reshape(*x.shape[:2], -1)
        y[(slice(None), slice(None), *place)] = reduce(cells)
    return y
