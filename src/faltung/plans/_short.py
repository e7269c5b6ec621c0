"""The short way of the stencil plan: a few calls of NumPy for arrays whose kind is known.

What the tables amount to is one index into the input as it lies in memory, kept for each kind of
call. The cells that it takes lie as the plan lays them out, and the same products and reductions
run on them, so that the bits are those of the long way. What is made here runs with NumPy's
warnings switched off.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from faltung.plans._blocks import Box
from faltung.plans._problem import Problem
from faltung.plans._reduce import (
    REDUCE,
    Gathered,
    divide_by,
    divisor_of,
    interpolate_with,
    interpolation_weights,
    sum_of_taps,
)
from faltung.plans._rules import Copy, Extreme, Interpolation, Mean, PowerSum
from faltung.plans._tables import Table
from faltung.typing import Array, IndexArray, Shape

__all__ = ["ShortSum", "short_reduction", "short_sum"]

MOST_CELLS = 2**14
"""Cells under windows up to which their places are kept; beyond, the long way costs little more."""
MOST_INPUT = 2**16
"""Cells of the input, which is copied where windows leave it."""
BY_BLAS = "fdFD"
"""Dtypes whose matrices BLAS multiplies."""

Reduce: TypeAlias = Callable[[Array], Array]
ShortReduction: TypeAlias = Callable[[Array, Array], None]


class ShortSum(NamedTuple):
    """A weighted sum: weights of shape (groups, filters, channels, taps) as it takes them, and it.

    `run` takes input, output, weights that `arrange` has brought into order, and biases of shape
    (groups, filters, 1).
    """

    arrange: Callable[[Array], Array]
    run: Callable[[Array, Array, Array, Array | None], None]


def short_sum(problem: Problem, table: Table) -> ShortSum | None:
    """The sum for weights that are finite, or whose windows stay on the input."""
    recipe = problem.recipe
    rows, positions = recipe.channels * problem.taps, prod(axis.outputs for axis in recipe.axes)
    filters, planes = recipe.filters, recipe.batch * recipe.groups
    # A matrix with one row or column is doubled as the stencil plan's `_product` does it.
    has_one_filter, has_one_position = filters == 1, filters > 1 and positions == 1
    # Half the time of `matmul`, but for two axes only.
    is_flat = planes == 1 and rows > 1 and problem.dtype.char in BY_BLAS
    lead = () if is_flat else (recipe.batch, recipe.groups)
    places = _places_of(problem, table, (*lead, rows, positions), copies=1 + has_one_position)
    if places is None or problem.settings.reproducible:
        return None
    index, outside = places
    shape = (*lead[1:], filters, rows)
    bias_shape = (*lead[1:], filters, 1)
    is_relu = recipe.activation == "relu" and problem.dtype.kind not in "bu"

    def arrange(weight: Array) -> Array:
        weight = weight.reshape(shape)
        return weight.repeat(2, -2) if has_one_filter else weight

    # One function without a call to another: each takes a fiftieth of the whole.
    def run(x: Array, y: Array, weight: Array, bias: Array | None) -> None:
        if outside is not None:
            x = np.concatenate((x.ravel(), outside))
        cells = x.take(index)
        sums: Array = weight.dot(cells) if is_flat else np.matmul(weight, cells)
        if has_one_filter:
            sums = sums[..., :1, :]
        elif has_one_position:
            sums = sums[..., :1]
        if bias is not None:
            sums += bias.reshape(bias_shape)
        if is_relu:
            np.maximum(sums, 0, out=sums)
        y[...] = sums.reshape(y.shape)

    return ShortSum(arrange, run)


def short_reduction(problem: Problem, table: Table, outputs: Box) -> ShortReduction | None:
    """What a rule without operands makes of its windows."""
    recipe = problem.recipe
    positions = prod(axis.outputs for axis in recipe.axes)
    shape = (recipe.batch, recipe.groups, recipe.channels, problem.taps, positions)
    places = _places_of(problem, table, shape)
    reduce = _reduction_of(problem, table, outputs)
    if places is None or reduce is None:
        return None
    index, outside = places

    def run(x: Array, y: Array) -> None:
        if outside is not None:
            x = np.concatenate((x.ravel(), outside))
        y[...] = reduce(x.take(index)).reshape(y.shape)

    return run


def _reduction_of(problem: Problem, table: Table, outputs: Box) -> Reduce | None:
    """From gathered cells to results; what depends on the windows alone is found once."""
    rule, dtype = problem.recipe.rule, problem.dtype
    if isinstance(rule, Mean) and dtype.kind in "fc":
        divisor = divisor_of(problem, outputs, dtype)
        return lambda cells: divide_by(divisor, sum_of_taps(problem, cells))
    if isinstance(rule, Interpolation):
        weights = interpolation_weights(problem, outputs, dtype)
        return lambda cells: interpolate_with(weights, cells)
    if isinstance(rule, Copy | Extreme | PowerSum):
        reduce = REDUCE[type(rule)]
        rest = table.is_outside, outputs, None
        return lambda cells: reduce(Gathered(problem, cells, *rest))
    return None


def _places_of(
    problem: Problem, table: Table, shape: Shape, copies: int = 1
) -> tuple[IndexArray, Array | None] | None:
    """Where in the raveled input the cells under all windows lie, each `copies` times in a row.

    And what follows the input there, where windows leave it. None if there are too many.
    """
    input_shape = problem.input_shape
    planes, area = prod(input_shape[:2]), prod(input_shape[2:])
    cells = planes * table.flat.size * copies
    if not 0 < cells <= MOST_CELLS or planes * area > MOST_INPUT:
        return None
    place, is_outside = _places_in_plane(table, input_shape[2:])
    index = np.arange(planes)[:, None] * area + place
    index[:, is_outside] = planes * area
    index = index.reshape(shape).repeat(copies, -1)
    if table.is_outside is None:
        return index, None
    fill = problem.recipe.rule.outside(problem.recipe.fill, problem.dtype)
    return index, np.full(1, fill, problem.dtype)


def _places_in_plane(table: Table, sizes: Shape) -> tuple[IndexArray, Array]:
    """The flat place in a plane of the input of each cell of the table, and which have none."""
    place: Any = 0
    is_outside: Any = False
    columns = np.unravel_index(table.flat, table.shape)
    for cells, column, size in zip(table.cells, columns, sizes, strict=True):
        held = np.arange(size)[cells]
        is_outside = is_outside | (column == len(held))
        place = place * size + np.append(held, 0)[column]
    return place, is_outside
