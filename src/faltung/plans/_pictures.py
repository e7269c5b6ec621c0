"""Windows on pictures as the kernels of pictures take them, and pictures of whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias, cast

import numpy as np

from faltung.compiled import _jit, image
from faltung.compiled.task import Axis, DirectTask, RoundedTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._problem import Problem
from faltung.plans._recording import record
from faltung.plans._windows import MOST_BORDER, after, clear_part, kernel_axis
from faltung.typing import Array

__all__ = [
    "has_colours",
    "is_passed",
    "joins",
    "kernel_axes",
    "make_task",
    "rounding_filter",
    "task_of",
    "unknown_window",
]

Axes: TypeAlias = tuple[SlidingAxis, ...]

MOST_STRIDE = 3
"""Rows from output to output; the tile is written out for each."""
ROUNDED = "biu"
"""Kinds of dtypes whose sums are rounded when they are stored."""
MOST_SHIFT = 16
"""Binary digits behind the point that weights may have to be summed in float32."""


def unknown_window(axes: Axes, is_joined: bool) -> str | None:
    """Why the kernels of pictures do not know a window, or None."""
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(axes)}"
    if all(axis.taps == 1 for axis in axes):
        return "one tap alone is no window"
    rows = axes[-2] if len(axes) > 1 and not is_joined else axes[0]
    if len(axes) > 1 and (rows.stride > MOST_STRIDE or (rows.stride > 1 and rows.dilation > 1)):
        return (
            f"it takes rows in steps of 1 to {MOST_STRIDE}, or dilated, here stride "
            f"{rows.stride} and dilation {rows.dilation}"
        )
    if is_joined and axes[1].stride > 1:
        return "it takes every column where the values of a pixel lie side by side"
    return None


def is_passed(axis: SlidingAxis) -> bool:
    """Whether each output sees the cell in its own place."""
    return axis.taps == axis.stride == 1 and axis.before == 0 and axis.outputs == axis.size


def has_colours(axes: Axes) -> bool:
    """Whether the last of three axes holds the values of a pixel, which are filtered alike.

    Weights are packed for one or the other, and say so: that a part of the same problem has colours
    may only mean that its windows are clear of an axis' ends.
    """
    return len(axes) == 3 and is_passed(axes[2]) and not is_passed(axes[0])


def joins(array: Array) -> bool:
    """Whether the last two axes are one evenly spaced row."""
    return bool(array.strides[-2] == array.shape[-1] * array.strides[-1])


def kernel_axes(axes: Axes, is_joined: bool) -> tuple[Axis, Axis, Axis]:
    """The axes as the kernels take them: planes, rows, columns, filled up in front.

    Where the last of three `is_joined`, values that lie side by side in a pixel and are filtered
    alike, as in pictures whose channels are last, join the columns: neighbours in the window are
    then so many columns apart.
    """
    made = [kernel_axis(axis) for axis in axes]
    if not is_joined:
        depth, rows, columns = (*(Axis(1, 1, 1),) * (3 - len(made)), *made)
        return depth, rows, columns
    columns, count = made[1], axes[2].size

    def spread(border: tuple[int, ...]) -> tuple[int, ...]:
        cells = np.array(border, np.int64)[:, None]
        return tuple(np.where(cells < 0, -1, cells * count + np.arange(count)).ravel().tolist())

    joined = columns._replace(
        length=columns.length * count,
        outputs=columns.outputs * count,
        dilation=columns.dilation * count,
        before=columns.before * count,
        low=spread(columns.low),
        high=spread(columns.high),
    )
    return Axis(1, 1, 1), made[0], joined


def rounding_filter(
    picture: Array, kernel: Array, axes: Axes, fill: float, is_blank: bool = False
) -> Callable[[Array], Array | None] | None:
    """What correlates pictures of integers or bool, rounds halves to even and saturates.

    Parameters
    ----------
    picture : array, (H, W) or (H, W, C)
        One of those pictures, aligned: of their shape, dtype and strides. All channels are filtered
        alike.
    kernel : float64 array, 2-D
        In the order of the window's taps.
    axes : tuple of SlidingAxis
        One for each axis of the picture, the last of three passed on as it is.
    fill : float
        The value of cells outside.
    is_blank : bool
        Whether windows that leave the picture give 0.

    Returns
    -------
    callable or None
        From a picture to a result in its dtype: what sums in float64 give. It gives None for a
        picture that is not aligned. None where all such pictures have to go another way.
    """
    macs = prod(axis.outputs for axis in axes) * kernel.size
    is_known = picture.dtype.kind in ROUNDED and picture.dtype.isnative and picture.flags.aligned
    if not is_known or macs < LEAST_MACS or missing_compiler():
        return None
    if not np.isfinite(kernel).all() or not _jit.available():
        return None
    if unknown_window(axes, len(axes) == 3):
        return None
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return None
    shape, dtype = tuple(axis.outputs for axis in axes), picture.dtype
    boxes = tuple(axis.clear_outputs for axis in axes) if is_blank else ()
    if not all(boxes):
        return lambda picture: np.zeros(shape, dtype)
    places, windows = _places(picture, np.empty(shape, dtype), axes, boxes)
    sums = "float32" if _is_exact(kernel, dtype, fill) else "float64"
    task = RoundedTask(
        1, 1, 1, 1, kernel_axes(windows, len(windows) == 3), dtype.name, fill, sum_dtype=sums
    )
    if image.facts(task).refusal:
        return None
    packed = image.pack(kernel[None, None], task)
    run_place = image.runner(task, *places[0], packed.has_bias)

    def run(picture: Array) -> Array | None:
        result = np.zeros(shape, dtype) if is_blank else np.empty(shape, dtype)
        for x, y in _places(picture, result, axes, boxes)[0]:
            if run_place(x, y, packed.weights, packed.biases):
                return None
        record("image")
        return result

    return run


def _places(
    picture: Array, result: Array, axes: Axes, boxes: tuple[range, ...]
) -> tuple[list[tuple[Array, Array]], Axes]:
    """What the kernels run on, from the picture to the result: all at once, or each channel."""
    x, y = picture[None, None], result[None, None]
    if boxes:
        x, y, axes = clear_part(x, y, axes, boxes)
    if len(axes) < 3:
        return [(x, y)], axes
    if joins(x) and joins(y):
        return [(x.reshape(*x.shape[:-2], -1), y.reshape(*y.shape[:-2], -1))], axes
    return [(x[..., c], y[..., c]) for c in range(x.shape[-1])], axes[:2]


def _is_exact(kernel: Array, dtype: np.dtype[Any], fill: float) -> bool:
    """Whether no sum can round in float32: a few binary digits hold every product."""
    if dtype.itemsize > 2 or not np.isfinite(fill):
        return False
    limits = np.iinfo(dtype) if dtype.kind != "b" else np.iinfo(np.uint8)
    largest = max(-int(limits.min), int(limits.max), abs(fill))
    for shift in range(MOST_SHIFT):
        scaled = np.ldexp(kernel, shift)
        if (scaled == np.rint(scaled)).all():
            is_fill_whole = float(fill).is_integer()
            return bool(is_fill_whole and np.abs(scaled).sum() * largest < 2.0**24)
    return False


KEPT = "picture task"
"""Where a problem keeps its filter, for all plans that take it so."""


def task_of(problem: Problem) -> DirectTask:
    """The filter that a problem is, found out once."""
    task = problem.kept.get(KEPT)
    if task is None:
        axes = cast("Axes", problem.recipe.axes)
        task = problem.kept[KEPT] = make_task(
            problem, axes, problem.recipe.batch, has_colours(axes)
        )
    return cast("DirectTask", task)


def make_task(problem: Problem, axes: Axes, batch: int, is_joined: bool) -> DirectTask:
    """The filter on some axes; `is_joined` tells the layout that its weights are for."""
    recipe = problem.recipe
    return DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters,
        axes=kernel_axes(axes, is_joined),
        dtype=problem.dtype.name,
        fill=recipe.fill,
        is_relu=recipe.activation == "relu",
    )
