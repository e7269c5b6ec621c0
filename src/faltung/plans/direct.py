"""The direct plan: compiled sums over taps, for weighted sums on one to three axes.

Each output is summed in one fixed order that depends on channels and kernel alone, so that its
bits do not depend on batch, position, image size or threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit, direct
from faltung.compiled.entry import hold
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._converting import CONVERTED_BYTES, run_converted
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import MOST_BORDER, after, clear_part, kernel_axis
from faltung.typing import Array

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

name = "direct"
MOST_TAPS = 2**12
"""Taps of one axis; longer kernels belong to other algorithms."""


def supports(problem: Problem) -> str | None:
    """Why the direct plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, WeightedSum):
        return f"it sums, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, SlidingAxis)]
    if len(axes) != len(recipe.axes):
        return "it knows windows that slide, no others"
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    if problem.macs < LEAST_MACS and not is_wanted:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if recipe.channels == 0 or recipe.filters == 0:
        return "there are no channels to sum over"
    if max(axis.taps for axis in axes) > MOST_TAPS:
        return f"a kernel is longer than {MOST_TAPS:,} taps"
    most = MOST_BORDER << 8 if problem.settings.reproducible else MOST_BORDER
    if max(max(axis.before, after(axis)) for axis in axes) > most:
        return f"a border is longer than {most:,} cells"
    if reason := missing_compiler():
        return reason
    return direct.facts(_task_of(problem)).refusal or None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = direct.facts(_task_of(problem)).workspace_bytes
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def cost(problem: Problem) -> _cost.Cost:
    """Multiply-adds in whole tiles; cells read, staged and written, weights."""
    task = _task_of(problem)
    facts = direct.facts(task)
    moved = _cost.moved_bytes(problem) + facts.staged_bytes + facts.packed_bytes
    prices = "direct lanes" if facts.has_channels_in_lanes else ""
    return _cost.Cost(_cost.sum_flops(task), moved, facts.lane_use, prices=prices)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


class Prepared:
    """Weights and bias, packed for each kind of kernels that an input's size asks for."""

    def __init__(self, weight: Array, bias: Array | None) -> None:
        self._weight, self._bias = weight, bias
        self._packed: dict[Any, direct.PackedWeights] = {}

    def packed(self, task: direct.DirectTask) -> direct.PackedWeights:
        """As the kernels of a task read them."""
        row = direct.row_of(task)
        packed = self._packed.get(row)
        if packed is None:
            packed = self._packed[row] = direct.pack(self._weight, task, self._bias)
        return packed


def prepare(problem: Problem, operands: Operands) -> Prepared | None:
    """Pack the weights; None where their values have to go another way."""
    if not _jit.available():
        return None
    rule = cast("WeightedSum", problem.recipe.rule)
    weight = np.ascontiguousarray(rule.coefficients(cast("Array", operands.weight)), problem.dtype)
    bias = operands.bias
    if bias is not None:
        bias = np.ascontiguousarray(bias, problem.dtype)
    prepared = Prepared(weight, bias)
    # On staged padding a weight that is not finite would make a NaN of a cell that is not there.
    return prepared if prepared.packed(_task_of(problem)).is_finite else None


def shortcut(
    problem: Problem, x: Array, y: Array, prepared: Prepared
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays of these strides; it tells whether it could."""
    if problem.recipe.is_blank:
        return None
    packed = prepared.packed(_task_of(problem))
    run_kind = direct.runner(_task_of(problem), x, y, packed.row, packed.has_bias)
    return hold(run_kind, packed.weights, packed.biases)


def packing_shortcut(
    problem: Problem, x: Array, y: Array, operands: Operands
) -> Callable[[Array, Array, Array, Array | None], bool] | None:
    """The same for weights and biases that are packed on the way."""
    weight, bias = cast("Array", operands.weight), operands.bias
    held = [weight] if bias is None else [weight, bias]
    is_as_packed = all(
        array.dtype == problem.dtype and array.flags.c_contiguous and array.flags.aligned
        for array in held
    )
    is_in_order = cast("WeightedSum", problem.recipe.rule).coefficients(weight) is weight
    has_own_sums = problem.dtype.name in ("float32", "float64")
    if problem.recipe.is_blank or not (is_as_packed and is_in_order and has_own_sums):
        return None
    run_kind = direct.packing_runner(_task_of(problem), x, y, bias is not None)
    return lambda x, y, weight, bias: not run_kind(x, y, weight, bias)


def run(problem: Problem, x: Array, prepared: Prepared, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    if problem.recipe.is_blank:
        y[...] = 0
        boxes = tuple(axis.clear_outputs for axis in axes)
        if not all(boxes):
            return
        x, y, axes = clear_part(x, y, axes, boxes)
    if x.dtype == problem.dtype and x.flags.aligned:
        _run_box(problem, axes, x, prepared, y)
    else:
        run_converted(
            problem, axes, x, y, lambda *box: _run_box(problem, box[0], box[1], prepared, box[2])
        )


def _run_box(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    x: Array,
    prepared: Prepared,
    y: Array,
) -> None:
    if axes is problem.recipe.axes and len(x) == problem.recipe.batch:
        task = _task_of(problem)
    else:
        task = _make_task(problem, axes, len(x))
    direct.run(task, x, prepared.packed(task), y)


def _task_of(problem: Problem) -> direct.DirectTask:
    task = problem.kept.get(name)
    if task is None:
        axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
        task = problem.kept[name] = _make_task(problem, axes, problem.recipe.batch)
    return cast("direct.DirectTask", task)


def _make_task(problem: Problem, axes: tuple[SlidingAxis, ...], batch: int) -> direct.DirectTask:
    recipe = problem.recipe
    lead = (direct.Axis(1, 1, 1),) * (3 - len(axes))
    return direct.DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters,
        axes=cast("Any", (*lead, *map(kernel_axis, axes))),
        dtype=problem.dtype.name,
        fill=recipe.fill,
        is_relu=recipe.activation == "relu",
    )
