"""The unfolding plan: windows laid out, and laid back, at the speed of memory, compiled."""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit
from faltung.compiled.task import Axis, sum_type
from faltung.compiled.unfolding import MOST_BUFFER, WindowTask, run_fold, run_unfold
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans import _cost
from faltung.plans._compiler import missing_compiler
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import Copy, Overlap
from faltung.plans._windows import after, clear_blank, kernel_axis
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "unfolding"
LEAST_CELLS = 2**16
"""Where windows hold fewer cells, NumPy is quick enough, and the compiler need not be loaded."""
MOST_BORDER = 2**16
"""Cells of a border that are kept in a table."""


def supports(problem: Problem) -> str | None:
    """Why the unfolding plan cannot do the problem, or None."""
    recipe, rule = problem.recipe, problem.recipe.rule
    is_fold = isinstance(rule, Overlap)
    if not is_fold and not (isinstance(rule, Copy) and rule.keeps_taps):
        return f"it lays windows out and back, the rule here is {type(rule).__name__}"
    if len(recipe.axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    if not all(isinstance(axis, SlidingAxis | TransposedAxis) for axis in recipe.axes):
        return "it knows windows that slide, no parts of other axes"
    if problem.input_dtype.name != problem.dtype.name:
        return f"the input is {problem.input_dtype}, the result {problem.dtype}"
    known = _sums(problem) if is_fold else problem.dtype.itemsize in (1, 2, 4, 8)
    if not known:
        return f"it has no kernel for {problem.dtype}"
    axes = _windows(problem)
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER:
        return f"a border is longer than {MOST_BORDER:,} cells"
    if workspace(problem) > MOST_BUFFER:
        return f"a row needs more than {MOST_BUFFER:,} bytes"
    planes = problem.input_shape if is_fold else problem.output_shape
    if prod(planes) < LEAST_CELLS and recipe.algorithm != name:
        return f"{prod(planes):,} cells are too few to load compiled code for"
    return missing_compiler()


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread: of a fold, some rows of sums."""
    if not isinstance(problem.recipe.rule, Overlap):
        return 0
    return 8 * max(problem.output_shape[-1], 2**12) + 64


def cost(problem: Problem) -> _cost.Cost:
    """Cells read and written; those of a fold are added."""
    is_fold = isinstance(problem.recipe.rule, Overlap)
    adds = prod(problem.input_shape) * problem.dtype.itemsize / 4 if is_fold else 0
    return _cost.Cost(adds, _cost.moved_bytes(problem))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> bool | None:
    """Nothing to prepare; None where nothing can be compiled."""
    return True if _jit.available() else None


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    if not (x.flags.aligned and x.dtype.isnative and y.flags.aligned):
        _run_planes(problem, x, y)
        return
    axes = _windows(problem)
    lead = (Axis(1, 1, 1),) * (3 - len(axes))
    task = WindowTask(len(x), problem.recipe.groups, cast("Any", (*lead, *map(kernel_axis, axes))))
    if not isinstance(problem.recipe.rule, Overlap):
        run_unfold(task, x, y, problem.recipe.fill)
        if problem.recipe.is_blank:
            clear_blank(axes, y)
        return
    sums, dtype = cast("str", _sums(problem)), problem.dtype.name
    if x.dtype.kind == "c":
        run_fold(task, x.real, y.real, x.real.dtype.name, sums)
        run_fold(task, x.imag, y.imag, x.real.dtype.name, sums)
    else:
        run_fold(task, x, y, dtype, sums)


def _run_planes(problem: Problem, x: Array, y: Array) -> None:
    """Sample by sample through arrays that are as they should be."""
    for number in range(len(x)):
        sample = slice(number, number + 1)
        result = np.empty(y[sample].shape, problem.dtype)
        run(problem, np.array(x[sample], problem.dtype), True, result)
        y[sample] = result


def _sums(problem: Problem) -> str | None:
    """What a cell's sum is kept in."""
    sums = sum_type(problem.dtype.name, problem.recipe.channels + 1)
    return None if sums is None else sums.dtype


def _windows(problem: Problem) -> tuple[SlidingAxis, ...]:
    """The windows that slide: over the input, or of a fold over the output."""
    axes = cast("tuple[SlidingAxis | TransposedAxis, ...]", problem.recipe.axes)
    return tuple(axis if isinstance(axis, SlidingAxis) else axis.forward for axis in axes)
