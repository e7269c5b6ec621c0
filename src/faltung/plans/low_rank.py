"""The low-rank plan: kernels that are products of one kernel an axis, summed axis after axis.

A kernel of k×k taps is then 2k multiply-adds an output, not k², or as often that as it is the sum
of products. Whether it is one is a matter of its values: `supports` tells by shape where it would
pay, `prepare` looks at the weights and declines what `_factors` finds no good factors for. Special
values need no care: where a weight is not zero neither is a factor of it, and a factor of zero
makes the NaN of an infinity in the same outputs as the zeros of its row or column. Only a sum along
one axis that overflows, where the whole does not, and terms of an infinity with opposite signs are
another matter: then the plan declines its result.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from faltung.compiled import _jit, low_rank
from faltung.compiled.task import DirectTask
from faltung.errors import OptionError
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._converting import CONVERTED_BYTES, run_converted
from faltung.plans._factors import products_of
from faltung.plans._pictures import has_colours, joins, make_task, task_of
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import MOST_BORDER, after, clear_part
from faltung.typing import Array

if TYPE_CHECKING:
    Axes = tuple[SlidingAxis, ...]

__all__ = [
    "cost",
    "name",
    "prepare",
    "reads_weights",
    "run",
    "seconds",
    "seconds_prepared",
    "shortcut",
    "supports",
    "workspace",
]

name = "low_rank"
reads_weights = True
"""Values decide: reports of operators look at them."""
MOST_CHANNELS = 4
"""Channels and filters of a group; of more of them hardly all kernels are products."""
LEAST_SAVED = 2_000_000
"""Multiply-adds that factors have to save: finding them takes a fraction of a millisecond."""
MOST_TERMS = 3
"""Products that a kernel may be the sum of."""
MOST_KERNELS = 4096
"""Kernels that are looked at; of more of them hardly all are products."""


def supports(problem: Problem) -> str | None:
    """Why the low-rank plan cannot do the problem, or None."""
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
    if reason := _unknown_window(problem, tuple(axes)):
        return reason
    if problem.settings.reproducible:
        return "its sums have another order than those of the direct plan, which are reproducible"
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return f"a border is longer than {MOST_BORDER:,} cells"
    if recipe.algorithm != name and (reason := _too_small(problem)):
        return reason
    if problem.dtype.kind == "b":
        return "truth values have no factors"
    if reason := missing_compiler():
        return reason
    return low_rank.facts(task_of(problem)).refusal or None


def _unknown_window(problem: Problem, axes: Axes) -> str | None:
    """Why its passes do not know a window, or None."""
    moving = [axis for axis in axes if axis.taps > 1]
    if not (2 <= len(axes) <= 3 and len(moving) > 1):
        return "it knows windows of several taps on two or three axes"
    if any(axis.stride > 1 for axis in axes):
        return "its passes go from cell to cell, here is a stride"
    if len(axes) == 3 and axes[0].taps > 1 and not has_colours(axes):
        if problem.recipe.channels > 1:
            return "of windows on three axes it sums one channel"
        if axes[0].dilation > 1:
            return "it passes from plane to plane, the first axis is dilated"
    kernels = problem.recipe.groups * problem.recipe.filters * problem.recipe.channels
    if kernels > MOST_KERNELS:
        return f"it looks at {MOST_KERNELS:,} kernels at most, here are {kernels:,}"
    return None


def _too_small(problem: Problem) -> str | None:
    """Why factors would not pay, or None."""
    passes = sum(axis.taps for axis in problem.recipe.axes if axis.taps > 1)
    # A multiply-add of the last pass takes two loads of half a vector, and there are staging, the
    # rows between the passes, and the output: 5×5 is no gain, 7×7 is one.
    saved = 1 - (2 * passes + 12) / problem.taps
    if saved <= 0 or saved * problem.macs < max(LEAST_SAVED, LEAST_MACS):
        return f"one pass an axis saves too little of {problem.macs:,} multiply-adds"
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = low_rank.facts(task_of(problem)).workspace_bytes
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def cost(problem: Problem) -> _cost.Cost:
    """Multiply-adds of the passes, those along rows counted twice: their loads cross lines."""
    task = task_of(problem)
    taps = [axis.kernel for axis in task.axes if axis.kernel > 1]
    passes = (sum(taps) + task.axes[2].kernel) / prod(taps)
    return _cost.Cost(_cost.sum_flops(task) * passes, 1.5 * _cost.moved_bytes(problem))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> low_rank.PackedFactors | None:
    """Find the factors of the weights; None where there are none that are as good."""
    if not _jit.available():
        return None
    rule, task = cast("WeightedSum", problem.recipe.rule), task_of(problem)
    weight = rule.coefficients(cast("Array", operands.weight)).astype(problem.dtype, copy=False)
    is_whole = weight.dtype.kind in "iu"
    if not is_whole and not np.isfinite(weight).all():
        return None
    assert task.sums is not None, task.dtype
    taps = [axis.kernel for axis in task.axes]
    kernels = weight.reshape(-1, *(taps[1:] if taps[0] == 1 else taps))
    kernels = kernels if is_whole else kernels.astype(task.sums.dtype)
    factors = products_of(kernels, task.sums.dtype, _most_terms(task))
    if factors is None:
        if problem.recipe.algorithm == name:
            raise OptionError(
                f"algorithm {name!r} cannot do this: a kernel of weight {weight.shape} is no "
                "product of one kernel an axis, nor a sum of a few, or not to the last digit",
                "Pass algorithm=None, which takes the way that suits the weights",
            )
        return None
    bias = operands.bias
    if bias is not None:
        bias = np.ascontiguousarray(bias, problem.dtype)
    values = factors.values.reshape(len(weight), -1, factors.values.shape[2])
    packed = low_rank.pack(values, task, bias, checks=factors.may_overflow)
    return packed._replace(is_joined=has_colours(cast("Axes", problem.recipe.axes)))


def _most_terms(task: DirectTask) -> int:
    """Products that a kernel may be the sum of, by its taps: more of them are slower than all."""
    _, axis_h, axis_w = task.axes
    passes = axis_h.kernel + 2 * axis_w.kernel
    return max(1, min(MOST_TERMS, prod(axis.kernel for axis in task.axes) // (2 * passes)))


def seconds_prepared(problem: Problem, packed: low_rank.PackedFactors) -> float:
    """The predicted time of a call with factors that were found."""
    terms = packed.weights.shape[1] // problem.recipe.channels
    work = cost(problem)
    return _cost.seconds(name, work._replace(flops=terms * work.flops))


def shortcut(
    problem: Problem, x: Array, y: Array, packed: low_rank.PackedFactors
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays of these strides; it tells whether it could."""
    if problem.recipe.is_blank or len(problem.recipe.axes) == 3:
        return None
    task = task_of(problem)
    return lambda x, y: not low_rank.run(task, x, packed, y)


def run(problem: Problem, x: Array, packed: low_rank.PackedFactors, y: Array) -> bool:
    """Compute y from x, both in canonical order; True: a pass may have overflowed."""
    axes = cast("Axes", problem.recipe.axes)
    if problem.recipe.is_blank:
        y[...] = 0
        boxes = tuple(axis.clear_outputs for axis in axes)
        if not all(boxes):
            return False
        x, y, axes = clear_part(x, y, axes, boxes)
    if x.dtype == problem.dtype and x.flags.aligned:
        return _run_box(problem, axes, x, packed, y)
    declined = []
    run_converted(
        problem, axes, x, y,
        lambda *box: declined.append(_run_box(problem, box[0], box[1], packed, box[2])),
    )  # fmt: skip
    return any(declined)


def _run_box(
    problem: Problem, axes: Axes, x: Array, packed: low_rank.PackedFactors, y: Array
) -> bool:
    is_joined = packed.is_joined and len(axes) == 3
    if is_joined:
        if not (joins(x) and joins(y)):
            declined = [
                _run_box(problem, axes[:2], x[..., place], packed, y[..., place])
                for place in range(x.shape[-1])
            ]
            return any(declined)
        x, y = (array.reshape(*array.shape[:-2], -1) for array in (x, y))
    is_whole = axes is problem.recipe.axes and len(x) == problem.recipe.batch
    if is_whole and is_joined == has_colours(axes):
        task = task_of(problem)
    else:
        task = make_task(problem, axes, len(x), is_joined)
    return low_rank.run(task, x, packed, y)
