"""The image plan: planes of few channels under kernels of any size, each cell loaded once.

One to four channels a group are summed into one to four filters: pictures, stacks of pictures,
depthwise convolutions. Each output is summed in one order that depends on channels, kernel and
stride alone, so that its bits do not depend on batch, position, image size or threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from faltung.compiled import _jit, image
from faltung.compiled.task import Axis, DirectTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._converting import CONVERTED_BYTES, run_converted
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import MOST_BORDER, after, clear_part, kernel_axis
from faltung.typing import Array

if TYPE_CHECKING:
    Axes = tuple[SlidingAxis, ...]

__all__ = ["name", "prepare", "run", "shortcut", "supports", "workspace"]

name = "image"
MOST_CHANNELS = 4
"""Channels and filters of a group; with more of them the direct plan's tile is fuller."""
MOST_STRIDE = 3
"""Rows from output to output; the tile is written out for each."""


def supports(problem: Problem) -> str | None:
    """Why the image plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, WeightedSum):
        return f"it sums, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, SlidingAxis)]
    if len(axes) != len(recipe.axes):
        return "it knows windows that slide, no others"
    if not (0 < recipe.channels <= MOST_CHANNELS and 0 < recipe.filters <= MOST_CHANNELS):
        return (
            f"it sums 1 to {MOST_CHANNELS} channels into 1 to {MOST_CHANNELS} filters, a group "
            f"here has {recipe.channels} and {recipe.filters}"
        )
    if reason := _unknown_window(tuple(axes)):
        return reason
    if problem.macs < LEAST_MACS and recipe.algorithm != name:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if problem.settings.reproducible:
        return "its sums have another order than those of the direct plan, which are reproducible"
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return f"a border is longer than {MOST_BORDER:,} cells"
    if reason := missing_compiler():
        return reason
    return image.facts(_task_of(problem)).refusal or None


def _unknown_window(axes: Axes) -> str | None:
    if window := _window_axes(axes):
        rows, columns = window
        if rows.taps == columns.taps == 1:
            return "one tap alone is no window"
        if rows.stride > MOST_STRIDE or (rows.stride > 1 and rows.dilation > 1):
            return (
                f"it takes rows in steps of 1 to {MOST_STRIDE}, or dilated, here stride "
                f"{rows.stride} and dilation {rows.dilation}"
            )
        return None
    return "it knows windows on two axes, the others left as they are"


def _is_passed(axis: SlidingAxis) -> bool:
    """Whether each output sees the cell in its own place."""
    return axis.taps == axis.stride == 1 and axis.before == 0 and axis.outputs == axis.size


def _window_axes(axes: Axes) -> tuple[SlidingAxis, SlidingAxis] | None:
    """Rows and columns of the window; None if it is not that of a plane."""
    if len(axes) == 2:
        return axes[0], axes[1]
    if len(axes) == 3 and _is_passed(axes[0]):
        return axes[1], axes[2]
    if len(axes) == 3 and _is_passed(axes[2]) and axes[1].stride == 1:
        return axes[0], axes[1]
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = image.facts(_task_of(problem)).workspace_bytes
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def prepare(problem: Problem, operands: Operands) -> image.PackedFilter | None:
    """Pack the weights; None where their values have to go another way."""
    if not _jit.available():
        return None
    rule = cast("WeightedSum", problem.recipe.rule)
    weight = np.ascontiguousarray(rule.coefficients(cast("Array", operands.weight)), problem.dtype)
    bias = operands.bias
    if bias is not None:
        bias = np.ascontiguousarray(bias, problem.dtype)
    packed = image.pack(weight, _task_of(problem), bias)
    # On staged padding a weight that is not finite would make a NaN of a cell that is not there.
    return packed if packed.is_finite else None


def shortcut(
    problem: Problem, x: Array, y: Array, packed: image.PackedFilter
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays of these strides; it tells whether it could."""
    axes = cast("Axes", problem.recipe.axes)
    if problem.recipe.is_blank or len(axes) == 3:
        return None
    run_kind = image.runner(_task_of(problem), x, y, packed.has_bias)
    weights, biases = packed.weights, packed.biases
    return lambda x, y: not run_kind(x, y, weights, biases)


def run(problem: Problem, x: Array, packed: image.PackedFilter, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    axes = cast("Axes", problem.recipe.axes)
    if problem.recipe.is_blank:
        y[...] = 0
        boxes = tuple(axis.clear_outputs for axis in axes)
        if not all(boxes):
            return
        x, y, axes = clear_part(x, y, axes, boxes)
    if x.dtype == problem.dtype and x.flags.aligned:
        _run_box(problem, axes, x, packed, y)
    else:
        run_converted(
            problem, axes, x, y, lambda *box: _run_box(problem, box[0], box[1], packed, box[2])
        )


def _run_box(problem: Problem, axes: Axes, x: Array, packed: image.PackedFilter, y: Array) -> None:
    if len(axes) == 3 and not _is_passed(axes[0]):
        if not (_joins(x) and _joins(y)):
            for place in range(x.shape[-1]):
                _run_box(problem, axes[:2], x[..., place], packed, y[..., place])
            return
        x, y = (array.reshape(*array.shape[:-2], -1) for array in (x, y))
    if axes is problem.recipe.axes and len(x) == problem.recipe.batch:
        task = _task_of(problem)
    else:
        task = _make_task(problem, axes, len(x))
    image.run(task, x, packed, y)


def _joins(array: Array) -> bool:
    """Whether the last two axes are one evenly spaced row."""
    return bool(array.strides[-2] == array.shape[-1] * array.strides[-1])


def _task_of(problem: Problem) -> DirectTask:
    task = problem.kept.get(name)
    if task is None:
        axes = cast("Axes", problem.recipe.axes)
        task = problem.kept[name] = _make_task(problem, axes, problem.recipe.batch)
    return cast("DirectTask", task)


def _make_task(problem: Problem, axes: Axes, batch: int) -> DirectTask:
    recipe = problem.recipe
    return DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters,
        axes=_kernel_axes(axes),
        dtype=problem.dtype.name,
        fill=recipe.fill,
        is_relu=recipe.activation == "relu",
    )


def _kernel_axes(axes: Axes) -> tuple[Axis, Axis, Axis]:
    """The axes as the kernels take them: planes, rows, columns.

    Values that lie side by side in a pixel and are filtered alike, as in pictures whose channels
    are last, join the columns: neighbours in the window are then so many columns apart.
    """
    made = [kernel_axis(axis) for axis in axes]
    if len(made) == 2:
        return Axis(1, 1, 1), made[0], made[1]
    if _is_passed(axes[0]):
        return made[0], made[1], made[2]
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
