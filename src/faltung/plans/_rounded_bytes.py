"""Pictures of bytes under small kernels, summed in float32 and rounded as surely as in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from faltung.compiled import _jit, byte_pictures
from faltung.compiled.task import RoundedTask
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._factors import factors_of
from faltung.plans._pictures import Axes, is_passed, joins, kernel_axes
from faltung.plans._recording import record
from faltung.plans._windows import MOST_BORDER, after
from faltung.typing import Array

__all__ = ["byte_filter"]


def byte_filter(
    picture: Array, kernel: Array, axes: Axes, fill: float
) -> Callable[[Array], Array | None] | None:
    """What correlates pictures of bytes, rounds halves to even and saturates.

    Parameters
    ----------
    picture : array, (H, W) or (H, W, C)
        One of those pictures: of their shape, dtype and strides. All channels are filtered alike.
    kernel : float64 array, 2-D
        In the order of the window's taps.
    axes : tuple of SlidingAxis
        One for each axis of the picture, the last of three passed on as it is.
    fill : float
        The value of cells outside.

    Returns
    -------
    callable or None
        From a picture to a result in its dtype. None where all such pictures have to go another
        way.
    """
    is_large = prod(axis.outputs for axis in axes) * kernel.size >= LEAST_MACS
    if picture.dtype.name not in ("int8", "uint8") or not is_large or missing_compiler():
        return None
    if not np.isfinite(kernel).all() or not np.isfinite(fill) or not _jit.available():
        return None
    is_moving = all(axis.stride == 1 and axis.mode != "blank" for axis in axes)
    if not (is_moving and all(map(is_passed, axes[2:]))):
        return None
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return None
    if len(axes) == 3 and not joins(picture):
        return None
    is_joined, shape = len(axes) == 3, tuple(axis.outputs for axis in axes)
    task = RoundedTask(
        1, 1, 1, 1, kernel_axes(axes, is_joined), picture.dtype.name, fill, sum_dtype="float32"
    )

    def rows_of(array: Array) -> Array:
        return array.reshape(len(array), -1)[None, None] if is_joined else array[None, None]

    x, y = rows_of(picture), rows_of(np.empty(shape, picture.dtype))
    if byte_pictures.refusal(task, x, y):
        return None
    packed, name = _by_factors(kernel, task), "low_rank"
    if packed is None:
        packed, name = byte_pictures.pack(np.ones(1), kernel, kernel, task), "image"
    if packed is None:
        return None
    run_rows = byte_pictures.runner(task, x, y, packed)

    def run(picture: Array) -> Array | None:
        result = np.empty(shape, picture.dtype)
        if run_rows(rows_of(picture), rows_of(result), packed.weights, None):
            return None
        record(name)
        return result

    return run


def _by_factors(kernel: Array, task: RoundedTask) -> byte_pictures.PackedBytes | None:
    """The kernel as a column times a row, where it is one and that is less work."""
    rows, columns = kernel.shape
    if columns == 1:
        return byte_pictures.pack(kernel[:, 0], np.ones((1, 1)), kernel, task)
    found = factors_of(kernel[None], "float32") if min(rows, columns) > 1 else None
    if found is None or found.values.size != rows + columns:
        return None
    across, along = np.split(found.values.ravel(), [rows])
    return byte_pictures.pack(across, along[None], kernel, task)
