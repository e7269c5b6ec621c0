"""What textbook references share: the padded input, written with `numpy.pad` alone.

Nothing here uses `faltung.geometry`: the references are the oracle that checks it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.typing import Array

__all__ = ["each_axis", "pad_input"]

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
