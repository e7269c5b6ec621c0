"""The image plan: planes of few channels under kernels of any size, each cell loaded once.

A few channels a group are summed into a few filters: pictures, stacks of pictures, depthwise and
grouped convolutions, odd channel counts. Each output is summed in one order that depends on
channels, kernel and stride alone, so that its bits do not depend on batch, position, image size or
threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from faltung.compiled import _jit, image
from faltung.compiled.entry import hold
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._converting import CONVERTED_BYTES, run_converted
from faltung.plans._pictures import has_colours, joins, make_task, task_of, unknown_window
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import MOST_BORDER, after, clear_part
from faltung.typing import Array

if TYPE_CHECKING:
    Axes = tuple[SlidingAxis, ...]

__all__ = [
    "cost",
    "name",
    "packing_shortcut",
    "prepare",
    "run",
    "seconds",
    "shortcut",
    "supports",
    "workspace",
]

name = "image"
MOST_CHANNELS = 16
"""Channels and filters of a group; with more of them the direct plan's tile is full in any case."""
MOST_TAPS = 2**14
"""Taps of a kernel, which are listed one by one; transforms are quicker long before."""


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
    if reason := unknown_window(tuple(axes), has_colours(tuple(axes))):
        return reason
    if problem.taps > MOST_TAPS:
        return f"a kernel has {problem.taps:,} taps, more than {MOST_TAPS:,}"
    if problem.macs < LEAST_MACS and recipe.algorithm != name:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if problem.settings.reproducible:
        return "its sums have another order than those of the direct plan, which are reproducible"
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return f"a border is longer than {MOST_BORDER:,} cells"
    if reason := missing_compiler():
        return reason
    return image.facts(task_of(problem)).refusal or None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = image.facts(task_of(problem)).workspace_bytes
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def cost(problem: Problem) -> _cost.Cost:
    """Multiply-adds with the loads and sums around them; cells read, staged and written."""
    task = task_of(problem)
    facts = image.facts(task)
    moved = _cost.moved_bytes(problem) + facts.staged_bytes
    return _cost.Cost(_cost.sum_flops(task), moved, facts.lane_use)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> image.PackedFilter | None:
    """Pack the weights; None where their values have to go another way."""
    if not _jit.available():
        return None
    rule = cast("WeightedSum", problem.recipe.rule)
    weight = np.ascontiguousarray(rule.coefficients(cast("Array", operands.weight)), problem.dtype)
    bias = operands.bias
    if bias is not None:
        bias = np.ascontiguousarray(bias, problem.dtype)
    is_joined = has_colours(cast("Axes", problem.recipe.axes))
    packed = image.pack(weight, task_of(problem), bias)._replace(is_joined=is_joined)
    # On staged padding a weight that is not finite would make a NaN of a cell that is not there.
    return packed if packed.is_finite else None


def shortcut(
    problem: Problem, x: Array, y: Array, packed: image.PackedFilter
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays of these strides; it tells whether it could."""
    axes = cast("Axes", problem.recipe.axes)
    if problem.recipe.is_blank or has_colours(axes):
        return None
    run_kind = image.runner(task_of(problem), x, y, packed.has_bias)
    return hold(run_kind, packed.weights, packed.biases)


def packing_shortcut(
    problem: Problem, x: Array, y: Array, operands: Operands
) -> Callable[[Array, Array, Array, Array | None], bool] | None:
    """The same for weights and biases that are packed on the way."""
    axes = cast("Axes", problem.recipe.axes)
    if problem.recipe.is_blank or has_colours(axes):
        return None
    task, weight, bias = task_of(problem), cast("Array", operands.weight), operands.bias
    held = [weight] if bias is None else [weight, bias]
    is_as_packed = all(
        array.dtype == problem.dtype and array.flags.c_contiguous and array.flags.aligned
        for array in held
    )
    is_in_order = cast("WeightedSum", problem.recipe.rule).coefficients(weight) is weight
    if is_as_packed and is_in_order and problem.dtype.name in ("float32", "float64"):
        run_whole = image.packing_runner(task, x, y, bias is not None)
        return lambda x, y, weight, bias: not run_whole(x, y, weight, bias)
    run_kind = image.runner(task, x, y, bias is not None)

    def run_packed(x: Array, y: Array, weight: Array, bias: Array | None) -> bool:
        packed = prepare(problem, Operands(weight, bias))
        return packed is not None and not run_kind(x, y, packed.weights, packed.biases)

    return run_packed


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
    is_joined = packed.is_joined and len(axes) == 3
    if is_joined:
        if not (joins(x) and joins(y)):
            for place in range(x.shape[-1]):
                _run_box(problem, axes[:2], x[..., place], packed, y[..., place])
            return
        x, y = (array.reshape(*array.shape[:-2], -1) for array in (x, y))
    is_whole = axes is problem.recipe.axes and len(x) == problem.recipe.batch
    if is_whole and is_joined == has_colours(axes):
        task = task_of(problem)
    else:
        task = make_task(problem, axes, len(x), is_joined)
    image.run(task, x, packed, y)
