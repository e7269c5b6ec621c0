"""Pictures of small integers under kernels that are a product of one kernel an axis."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import numpy as np

from faltung.compiled import _jit, low_rank
from faltung.compiled.task import RoundedTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._compiler import missing_compiler
from faltung.plans._factors import factors_of
from faltung.plans._pictures import is_passed, joins, kernel_axes
from faltung.plans._recording import record
from faltung.plans._windows import MOST_BORDER, after
from faltung.typing import Array

__all__ = ["filter_by_factors", "may_have_factors"]

Axes: TypeAlias = tuple[SlidingAxis, ...]

LEAST_MACS = 4_000_000
"""Multiply-adds of the whole kernel; for fewer, factors take too long to find."""
MOST_MARGIN = 2.0**-8
"""How far off float32 may be: of more results than that every hundredth is summed again."""


def filter_by_factors(picture: Array, kernel: Array, axes: Axes, fill: float) -> Array | None:
    """Correlate a picture of small integers, round halves to even and saturate.

    Bytes are summed in float32, and once more in float64 where that is not sure of the rounding;
    16-bit integers in float64.

    Parameters
    ----------
    picture : array, (H, W) or (H, W, C)
        All channels are filtered alike.
    kernel : float64 array, 2-D
        In the order of the window's taps.
    axes : tuple of SlidingAxis
        One for each axis of the picture, the last of three passed on as it is.
    fill : float
        The value of cells outside.

    Returns
    -------
    array or None
        In the picture's dtype. None where it has to go another way.
    """
    if not may_have_factors(picture, kernel, axes) or not np.isfinite(kernel).all():
        return None
    packed, sums = None, "float32"
    if picture.dtype.itemsize == 1:
        packed = _pack_bytes(picture, kernel, fill)
    if packed is None:
        sums, factors = "float64", factors_of(kernel[None], "float64")
        if factors is None:
            return None
        packed = low_rank.PackedFactors(factors.values[None], np.zeros(2), False, False)
    result = np.empty(tuple(axis.outputs for axis in axes), picture.dtype)
    x, y = picture[None, None], result[None, None]
    places = [(x, y, axes)]
    if len(axes) == 3 and joins(x):
        places = [(x.reshape(*x.shape[:-2], -1), y.reshape(*y.shape[:-2], -1), axes)]
    elif len(axes) == 3:
        places = [(x[..., c], y[..., c], axes[:2]) for c in range(x.shape[-1])]
    for cells, target, windows in places:
        task = RoundedTask(
            1,
            1,
            1,
            1,
            kernel_axes(windows, len(windows) == 3),
            picture.dtype.name,
            fill,
            sum_dtype=sums,
        )
        if low_rank.facts(task).refusal:
            return None
        low_rank.run(task, cells, packed, target)
    record("low_rank")
    return result


def may_have_factors(picture: Array, kernel: Array, axes: Axes) -> bool:
    """Whether factors of the kernel could pay, and the passes know picture and window."""
    rows, columns = kernel.shape
    is_small = picture.dtype.name in ("int8", "uint8", "int16", "uint16")
    is_plain = is_small and picture.dtype.isnative and picture.flags.aligned
    pays = prod(axis.outputs for axis in axes) * kernel.size >= LEAST_MACS
    pays &= min(rows, columns) > 1 and kernel.size >= 16
    if not (is_plain and pays) or missing_compiler() or not _jit.available():
        return False
    is_moving = all(axis.stride == 1 and axis.mode != "blank" for axis in axes)
    if not (is_moving and all(map(is_passed, axes[2:]))):
        return False
    return max(max(axis.before, after(axis)) for axis in axes) <= MOST_BORDER


def _pack_bytes(picture: Array, kernel: Array, fill: float) -> low_rank.PackedFactors | None:
    """Factors in float32 with the margin that their sums need; None where it is too wide."""
    found = factors_of(kernel[None], "float32")
    if found is None or np.float32(fill) != fill:
        return None
    limits, unit = np.iinfo(picture.dtype), 2.0**-24
    largest = max(-int(limits.min), int(limits.max), abs(fill))
    rows, columns = np.split(found.values[0].astype(np.float64), [kernel.shape[0]])
    off = np.abs(np.multiply.outer(rows, columns) - kernel).sum()
    sizes = np.abs(rows).sum() * np.abs(columns).sum()
    # Both passes round once a tap; two units of the largest result are what the margin itself is
    # off when it is added to a sum.
    margin = largest * (off + (sum(kernel.shape) + 2) * unit * sizes) + 512 * unit
    return None if margin > MOST_MARGIN else low_rank.pack_certain(found.values[0], kernel, margin)
