"""The positions plan: compiled sums whose coefficients differ from output to output.

Involutions and untied kernels. The weight is read in place and once; nothing of the unfolded
input's size is made.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.compiled import _jit
from faltung.compiled.positions import PositionTask, run_positions, workspace_bytes
from faltung.compiled.task import Axis, sum_type
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._conversion import sliding_boxes
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import PositionSum
from faltung.plans._windows import after, clear_blank, kernel_axis
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "positions"
MOST_BORDER = 2**16
"""Cells of a border that are kept in a table."""
CONVERTED_BYTES = 2**20
"""How much of an input of another dtype is converted at once, and likewise of the sums."""


def supports(problem: Problem) -> str | None:
    """Why the positions plan cannot do the problem, or None."""
    recipe, rule = problem.recipe, problem.recipe.rule
    if not isinstance(rule, PositionSum):
        return f"it sums with weights by position, the rule here is {type(rule).__name__}"
    axes = cast("tuple[SlidingAxis, ...]", recipe.axes)
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(axes)}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    if problem.macs < LEAST_MACS and not is_wanted:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if recipe.channels == 0 or recipe.filters == 0:
        return "there are no channels to sum over"
    sums = sum_type(problem.dtype.name, recipe.channels * problem.taps + 1)
    if sums is None or sums.parts == 2:
        return f"it has no kernel for {problem.dtype}"
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return f"a border is longer than {MOST_BORDER:,} cells"
    if workspace(problem) > WORKSPACE:
        return "a window of all channels is larger than the workspace"
    return missing_compiler()


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread: sums, and a converted part of the input."""
    return workspace_bytes(_task_of(problem)) + _converted_bytes(problem)


def _converted_bytes(problem: Problem) -> int:
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    window = prod(axis.span for axis in axes) * problem.input_shape[1]
    return 4 * max(CONVERTED_BYTES, window * problem.compute_dtype.itemsize)


class Prepared(NamedTuple):
    """The weight as (batch or 1, rows, channels, taps, *outputs) and the bias, as sums are kept."""

    weight: Array
    bias: Array | None


def cost(problem: Problem) -> _cost.Cost:
    """Multiply-adds; the weight, which is as large as all windows, is read once."""
    item = _sum_dtype(problem).itemsize
    weights = problem.recipe.groups * problem.taps * prod(problem.output_shape[2:])
    if cast("PositionSum", problem.recipe.rule).is_shared:
        weights *= problem.recipe.batch
    else:
        weights *= problem.recipe.filters * problem.recipe.channels
    moved = _cost.moved_bytes(problem) + weights * item
    return _cost.Cost(2 * problem.macs * item / 4, moved)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> Prepared | None:
    """Bring the operands into the dtype of the sums."""
    if not _jit.available():
        return None
    weight, rank = cast("Array", operands.weight), len(problem.recipe.axes)
    is_shared = cast("PositionSum", problem.recipe.rule).is_shared
    if is_shared:  # (samples, groups, taps, *outputs), the samples may be missing
        weight = weight[:, :, None] if weight.ndim == rank + 3 else weight[None, :, None]
    else:
        weight = weight[None]
    bias = None if operands.bias is None else _converted(problem, operands.bias)
    return Prepared(_converted(problem, weight), bias)


def run(problem: Problem, x: Array, prepared: Prepared, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    recipe = problem.recipe
    axes = cast("tuple[SlidingAxis, ...]", recipe.axes)
    dtype = _sum_dtype(problem)
    is_same = x.dtype == y.dtype == problem.dtype and problem.dtype.itemsize == dtype.itemsize
    if is_same and x.strides[-1] == dtype.itemsize and x.flags.aligned and y.flags.aligned:
        task = _task_of(problem)
        run_positions(task, x.view(dtype), prepared.weight, prepared.bias, y.view(dtype))
    else:
        _run_converted(problem, axes, x, prepared, y)
    if recipe.is_blank:
        clear_blank(axes, y)


def _run_converted(
    problem: Problem, axes: tuple[SlidingAxis, ...], x: Array, prepared: Prepared, y: Array
) -> None:
    """Bring the cells that a box of outputs sees into the form that the kernel reads."""
    dtype = _sum_dtype(problem)
    cell_bytes = max(x.shape[1], y.shape[1]) * dtype.itemsize
    for box in sliding_boxes(axes, cell_bytes, CONVERTED_BYTES):
        where: Any = (..., *box.outputs)
        weight = prepared.weight[where]
        if weight.strides[-1] != weight.itemsize:
            weight = np.ascontiguousarray(weight)
        for sample in range(len(x)):
            part = _converted(problem, box.seen(x[sample : sample + 1]))
            sums = np.empty((1, *y.shape[1:2], *(axis.outputs for axis in box.axes)), dtype)
            own = weight[sample : sample + 1] if len(weight) > 1 else weight
            run_positions(_task(problem, box.axes, 1), part, own, prepared.bias, sums)
            with np.errstate(all="ignore"):
                y[sample : sample + 1][where] = sums


def _converted(problem: Problem, values: Array) -> Array:
    """Contiguous, in the dtype of the result and then in that of the sums."""
    with np.errstate(all="ignore"):
        cast_values = values.astype(problem.dtype, copy=False)
        return np.ascontiguousarray(cast_values, _sum_dtype(problem))


def _sum_dtype(problem: Problem) -> np.dtype[Any]:
    terms = problem.recipe.channels * problem.taps + 1
    sums = sum_type(problem.dtype.name, terms)
    assert sums is not None, problem.dtype
    return np.dtype(sums.dtype)


def _task_of(problem: Problem) -> PositionTask:
    task = problem.kept.get(name)
    if task is None:
        axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
        task = problem.kept[name] = _task(problem, axes, problem.recipe.batch)
    return cast("PositionTask", task)


def _task(problem: Problem, axes: tuple[SlidingAxis, ...], batch: int) -> PositionTask:
    recipe = problem.recipe
    is_shared = cast("PositionSum", recipe.rule).is_shared
    lead = (Axis(1, 1, 1),) * (3 - len(axes))
    fill = np.full((), recipe.fill, problem.dtype)
    return PositionTask(
        batch=batch,
        filters=recipe.groups * recipe.filters,
        channels=1 if is_shared else recipe.channels,
        input_share=1 if is_shared else recipe.filters,
        weight_share=recipe.channels if is_shared else 1,
        axes=cast("Any", (*lead, *map(kernel_axis, axes))),
        dtype=_sum_dtype(problem).name,
        fill=fill.item() if recipe.fill_takes_part else None,
    )
