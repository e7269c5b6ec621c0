"""The pooling plan: compiled reductions of windows, one axis after the other.

Largest, smallest and summed cells of windows that slide and of bins, on one to three axes. An axis
is reduced in the order of its taps, the axes in theirs, so that the bits of a sum depend on its
window alone.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, prod
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit
from faltung.compiled.pooling import DTYPES, PoolAxis, PoolTask
from faltung.geometry.adaptive_axis import AdaptiveAxis
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import missing_compiler
from faltung.plans._pool_parts import (
    BAND_BYTES,
    LEAST_CELLS,
    MOST_TAPS,
    Pooling,
    join_pooling,
    run_pooling,
    workspace_of,
)
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import Extreme, Mean, PowerSum, Reduction
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "run_with_places", "seconds", "supports", "workspace"]

name = "pooling"
MOST_PLACES = 2**31 - 1
NAMED = {"sum": "sum", "mean": "sum", "min": "min", "max": "max", "range": "max"}


def supports(problem: Problem) -> str | None:
    """Why the pooling plan cannot do the problem, or None."""
    recipe = problem.recipe
    kinds = {type(axis) for axis in recipe.axes}
    if reason := _unknown_rule(problem):
        return reason
    if not kinds <= {SlidingAxis, AdaptiveAxis}:
        return "it knows windows that slide and bins, no others"
    if len(recipe.axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    if _dtype(problem) is None:
        return f"there is no kernel for {problem.dtype}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    cells = prod(problem.output_shape) * problem.taps
    if cells < LEAST_CELLS and not is_wanted:
        return f"{cells:,} cells under windows are too few to load compiled code for"
    if prod(problem.output_shape) == 0 or 0 in problem.input_shape:
        return "there is nothing to reduce"
    if _has_places(problem) and prod(axis.size for axis in recipe.axes) >= MOST_PLACES:
        return f"a plane has {MOST_PLACES:,} cells or more, whose places it does not count"
    if max(axis.taps for axis in recipe.axes) > MOST_TAPS:
        return f"a window is longer than {MOST_TAPS:,} taps"
    if reason := missing_compiler():
        return reason
    needed = workspace(problem)
    if needed > WORKSPACE:
        return (
            f"one window needs {needed:,} bytes of workspace, more than the {WORKSPACE:,} allowed"
        )
    return None


def _unknown_rule(problem: Problem) -> str | None:
    rule = problem.recipe.rule
    if isinstance(rule, PowerSum):
        if rule.order not in (1, 2, inf):
            return f"it knows norms of order 1, 2 and inf, here is {rule.order:g}"
    elif isinstance(rule, Reduction):
        if rule.name not in NAMED:
            return f"it knows the reductions {', '.join(NAMED)}, here is {rule.name}"
    elif not isinstance(rule, Extreme | Mean):
        return f"it reduces windows, the rule here is {type(rule).__name__}"
    return None


def _dtype(problem: Problem) -> str | None:
    """What the kernels compute in; None for a dtype that has no kernel."""
    dtype = problem.compute_dtype
    if dtype.kind in "fV" and dtype.itemsize == 2:
        return "float32"
    if dtype.kind in "biu" and dtype.itemsize < 4 and _has_places(problem):
        return "int32"
    return "uint8" if dtype.kind == "b" else dtype.name if dtype.name in DTYPES else None


def _has_places(problem: Problem) -> bool:
    rule = problem.recipe.rule
    return isinstance(rule, Extreme) and (rule.gives_position or problem.recipe.also is not None)


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread, a part of the input that may have to be copied included."""
    rule = problem.recipe.rule
    is_joined = isinstance(rule, Reduction) and rule.name == "range"
    return workspace_of(problem, _pooling_of(problem)) + BAND_BYTES * is_joined


def cost(problem: Problem) -> _cost.Cost:
    """Comparisons or sums, one axis after the other; cells read and written."""
    steps = prod(problem.output_shape) * sum(axis.taps for axis in problem.recipe.axes)
    return _cost.Cost(steps * problem.compute_dtype.itemsize / 4, _cost.moved_bytes(problem))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> bool | None:
    """Nothing to prepare; None where nothing can be compiled."""
    return True if _jit.available() else None


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    rule, pool, whole = problem.recipe.rule, _pooling_of(problem), y
    if problem.recipe.is_blank:
        y[...] = 0
        where: Any = (..., *(slice(*cut) for cut in pool.box[3 - len(problem.recipe.axes) :]))
        y = y[where]
    if isinstance(rule, Extreme) and rule.gives_position:
        run_pooling(problem, pool, x, None, y)
        return
    run_pooling(problem, pool, x, y, None)
    if isinstance(rule, Reduction) and rule.name == "range" and y.size:
        least = replace(pool, task=pool.task._replace(operation="min"))
        with np.errstate(all="ignore"):
            # Of truth values: whether there are both.
            join = np.not_equal if y.dtype.kind == "b" else np.subtract
            join_pooling(problem, least, x, whole, join)


def run_with_places(problem: Problem, x: Array, y: Array, places: Array) -> None:
    """Compute the largest cells and where they are, both at once."""
    run_pooling(problem, _pooling_of(problem), x, y, places)


def _pooling_of(problem: Problem) -> Pooling:
    pool = problem.kept.get(name)
    if pool is None:
        pool = problem.kept[name] = _make(problem)
    return cast("Pooling", pool)


def _make(problem: Problem) -> Pooling:
    recipe, rule = problem.recipe, problem.recipe.rule
    is_padded = isinstance(rule, Reduction) and not _is_plain_sum(problem)
    axes = tuple(_axis(axis, is_padded=is_padded) for axis in recipe.axes)
    ranges = [
        axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in recipe.axes
    ]
    lead = 3 - len(axes)
    box = ((0, 1),) * lead + tuple((r.start, r.stop) for r in ranges)
    batch, channels = problem.input_shape[:2]
    dtype = _dtype(problem)
    assert dtype is not None
    operation, before, is_divided, divisor, is_rooted = "max", "", False, None, False
    if isinstance(rule, Mean):
        operation, is_divided, divisor = "sum", True, rule.divisor
    elif isinstance(rule, PowerSum):
        operation = "max" if rule.order == inf else "sum"
        before, is_rooted = "square" if rule.order == 2 else "abs", rule.order == 2
    elif isinstance(rule, Reduction):
        operation, is_divided = NAMED[rule.name], rule.name == "mean"
        divisor = problem.taps if is_divided else None
        if problem.dtype.kind == "b" and operation == "sum":
            operation = "max"  # sums of truth values are their disjunction
    three: Any = (*(PoolAxis(1, 1),) * lead, *axes)
    task = PoolTask(
        batch, channels, three, dtype, operation, before, is_divided, divisor, is_rooted
    )
    return Pooling(task, is_padded, box)


def _is_plain_sum(problem: Problem) -> bool:
    """Whether a reduction may leave cells outside out: there are none, or they are zeros to add."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    if problem.recipe.is_blank:
        return True
    if all(len(axis.clear_outputs) == axis.outputs for axis in axes):
        return True
    sees_cells = all(
        axis.dilation == 1
        and axis.before < axis.taps
        and (axis.outputs - 1) * axis.stride - axis.before < axis.size
        for axis in axes
    )
    is_sum = NAMED[cast("Reduction", problem.recipe.rule).name] == "sum"
    return is_sum and sees_cells and all(axis.mode == "zeros" for axis in axes)


def _axis(axis: Any, *, is_padded: bool) -> PoolAxis:
    if isinstance(axis, AdaptiveAxis):
        return PoolAxis(axis.size, axis.outputs, axis.taps, is_bins=True)
    numbers = axis.outputs, axis.taps, axis.stride, axis.dilation
    if is_padded:
        reach = (axis.outputs - 1) * axis.stride + axis.span
        return PoolAxis(reach, *numbers)
    return PoolAxis(axis.size, *numbers, axis.before, axis.after, axis.counts_padding)
