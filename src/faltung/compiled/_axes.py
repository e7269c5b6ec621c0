"""The words of the axes of a window, for kernels that read the input where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import words as at
from faltung.compiled.task import Axis

__all__ = ["put_axes"]


def put_axes(
    call: NDArray[np.int64],
    axes: tuple[Axis, Axis, Axis],
    x_steps: tuple[int, ...],
    y_steps: tuple[int, ...],
) -> list[NDArray[Any]]:
    """Write the three axes to the beginning of a call's words.

    The steps are those of `steps_of`. Gives the arrays that the words point to, which have to
    live as long as the call.
    """
    kept = []
    for number, axis in enumerate(axes):
        words = call[number * at.AXIS_SIZE : (number + 1) * at.AXIS_SIZE]
        low, high = np.array(axis.low, np.int64), np.array(axis.high, np.int64)
        kept += [low, high]
        words[at.LENGTH], words[at.OUTPUTS] = axis.length, axis.outputs
        words[at.STRIDE], words[at.BEFORE] = axis.stride, axis.before
        words[at.AFTER] = len(axis.high)
        words[at.LOW], words[at.HIGH] = low.ctypes.data, high.ctypes.data
        words[at.X_STEP], words[at.Y_STEP] = x_steps[2 + number], y_steps[2 + number]
    return kept
