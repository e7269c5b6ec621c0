"""Which algorithm filters a picture, asked of the planner."""

from __future__ import annotations

import numpy as np

from faltung.typing import Array, Ints

__all__ = ["algorithm_for"]


def algorithm_for(
    weight: Array, shape: tuple[int, ...], *, is_single: bool, border: str, stride: Ints = 1
) -> str:
    """The planner's choice for a weight (O, C, kh, kw) over planes (C, H, W).

    `is_single` tells that the sums run in float32; those over integers run in float64.
    """
    import faltung as ft

    dtype = np.complex128 if weight.dtype.kind == "c" else np.float32 if is_single else np.float64
    padding = [(size // 2, size - 1 - size // 2) for size in weight.shape[2:]]
    operator = ft.Conv(weight.astype(dtype), stride=stride, padding=padding, padding_mode=border)
    return str(operator.describe((1, weight.shape[1], *shape)).algorithm)
