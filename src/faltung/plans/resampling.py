"""The resampling plan: interpolation and nearest cells, compiled, row by row.

Each axis has a table of cells and weights of its own; an output row is made of input rows, then
resampled along itself. The workspace is two rows a thread.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit
from faltung.compiled.interpolation import (
    AxisTable,
    Sampling,
    line_bytes,
    row_cost,
    run_copy,
    run_interpolation,
)
from faltung.geometry.resize_axis import ResizeAxis
from faltung.plans import _cost
from faltung.plans._compiler import missing_compiler
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import Copy, Interpolation
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "resampling"
LEAST_COST = 2**14
"""Below so many products NumPy is quick enough, and the compiler need not be loaded."""
MOST_TABLE = 2**21
"""Bytes of the table of one axis."""
MOST_LINE = 2**22
"""Bytes of two rows."""
MOST_ROW_COST = 2**25
"""Products of one output row, which is not cut: 30 ms where nothing is vectorised."""
COPIED, LOOKED_UP = 1.0, 4.0
"""What a cell that is copied costs in operations; a product along a row beside one across rows."""
MOST_ROWS = 2**6
"""Input rows of a volume that one output row is made of."""
SMALL = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32")
"""Integers that float64 holds with room to round."""


def supports(problem: Problem) -> str | None:
    """Why the resampling plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, Interpolation | Copy):
        return f"it interpolates or copies, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, ResizeAxis)]
    if len(axes) != len(recipe.axes):
        return "it knows axes that are resampled, no others"
    if len(axes) > 3:
        return f"it knows 1 to 3 axes, here are {len(axes)}"
    if problem.input_dtype.name != problem.dtype.name:
        return f"the input is {problem.input_dtype}, the result {problem.dtype}"
    if any(axis.outputs * axis.taps * 16 > MOST_TABLE for axis in axes):
        return f"the table of an axis needs more than {MOST_TABLE:,} bytes"
    is_known = problem.dtype.itemsize <= 8
    if not (is_known if isinstance(recipe.rule, Copy) else _sampling(problem)):
        return f"it has no kernel for {problem.dtype}"
    if workspace(problem) > MOST_LINE:
        return f"two rows need more than {MOST_LINE:,} bytes"
    cost = row_cost(_shapes(axes))
    # The rows of a volume are added up in one step: with long windows axis after axis is better.
    if cost > MOST_ROW_COST or (len(axes) == 3 and axes[0].taps * axes[1].taps > MOST_ROWS):
        return f"one row is made of {cost:,} products"
    rows = problem.input_shape[0] * problem.input_shape[1] * prod(a.outputs for a in axes[:-1])
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    if rows * cost < LEAST_COST and not is_wanted:
        return f"{rows * cost:,} products are too few to load compiled code for"
    return missing_compiler()


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    if isinstance(problem.recipe.rule, Copy):
        return 0
    axis, sampling = problem.recipe.axes[-1], _sampling(problem)
    itemsize = np.dtype(sampling.sums).itemsize if sampling else 0
    return line_bytes(axis.size, axis.outputs, itemsize)


def cost(problem: Problem) -> _cost.Cost:
    """Products of all output rows, those along the row apart: their cells are looked up."""
    moved = _cost.moved_bytes(problem)
    axes = [axis for axis in problem.recipe.axes if isinstance(axis, ResizeAxis)]
    rows = problem.input_shape[0] * problem.input_shape[1] * prod(a.outputs for a in axes[:-1])
    if isinstance(problem.recipe.rule, Copy):
        return _cost.Cost(COPIED * rows * axes[-1].outputs, moved)
    last = axes[-1].outputs * axes[-1].taps
    products = row_cost(_shapes(axes)) + (LOOKED_UP - 1) * last
    return _cost.Cost(2 * rows * products * problem.compute_dtype.itemsize / 4, moved)


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
    axes = cast("tuple[ResizeAxis, ...]", problem.recipe.axes)
    if isinstance(problem.recipe.rule, Copy):
        run_copy(_tables(axes, "float32"), x, y)
        return
    sampling = cast("Sampling", _sampling(problem))
    tables = _tables(axes, sampling.sums)
    parts = [(x.real, y.real), (x.imag, y.imag)] if x.dtype.kind == "c" else [(x, y)]
    for part, result in parts:
        run_interpolation(sampling, tables, part, result)


def _run_planes(problem: Problem, x: Array, y: Array) -> None:
    """Plane by plane through arrays that are as they should be."""
    for place in np.ndindex(*x.shape[:2]):
        where: Any = tuple(slice(number, number + 1) for number in place)
        plane = np.array(x[where], problem.dtype)
        result = np.empty(y[where].shape, problem.dtype)
        run(problem, plane, True, result)
        y[where] = result


def _sampling(problem: Problem) -> Sampling | None:
    dtype = problem.dtype
    if dtype.kind in "biu":
        return Sampling(dtype.name, "float64") if dtype.name in SMALL else None
    if dtype.kind == "c":
        real = "float32" if dtype.itemsize == 8 else "float64"
        return Sampling(real, real)
    return Sampling(dtype.name, problem.compute_dtype.name)


def _shapes(axes: list[ResizeAxis]) -> Any:
    """Tables that have nothing but their shape."""
    nothing = np.empty(0)
    tables = [AxisTable(1, 1, np.empty((1, 0), np.int64), nothing)] * (3 - len(axes))
    for axis in axes:
        cells = np.empty((axis.taps, 0), np.int64)
        tables.append(AxisTable(axis.size, axis.outputs, cells, nothing))
    return tuple(tables)


def _tables(axes: tuple[ResizeAxis, ...], sums: str) -> tuple[AxisTable, AxisTable, AxisTable]:
    lead = (_UNIT[sums],) * (3 - len(axes))
    tables: Any = (*lead, *(_table(axis, sums) for axis in axes))
    return cast("tuple[AxisTable, AxisTable, AxisTable]", tables)


@lru_cache(maxsize=32)
def _table(axis: ResizeAxis, sums: str) -> AxisTable:
    cells = np.ascontiguousarray(axis.index(0, axis.outputs).T)
    factors = np.ascontiguousarray(axis.coefficients(0, axis.outputs).T, sums)
    return AxisTable(axis.size, axis.outputs, cells, factors)


_UNIT = {
    sums: AxisTable(1, 1, np.zeros((1, 1), np.int64), np.ones((1, 1), sums))
    for sums in ("float32", "float64")
}
"""The axis of one cell that fills up lower ranks."""
