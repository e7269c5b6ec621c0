"""What the stencil plan costs: tables, gathered cells, what each rule makes of them."""

from __future__ import annotations

from math import prod

from faltung.plans import _cost
from faltung.plans._problem import Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import (
    Copy,
    Extreme,
    Interpolation,
    Mean,
    Morphology,
    Overlap,
    PositionSum,
    PowerSum,
    Reduction,
    WeightedSum,
)

__all__ = ["SMALL_TABLE", "cost"]

SMALL_TABLE = 2**14
"""Tables of up to so many entries are kept for the next call with the same geometry."""
TABLE_BYTES = 36
"""What making an entry of a table costs, in bytes moved."""
PASSES: dict[type, float] = {
    Copy: 1.5,
    Extreme: 1.5,
    Interpolation: 3.3,
    Mean: 1.5,
    Morphology: 5.0,
    Overlap: 1.0,
    PositionSum: 1.5,
    WeightedSum: 1.0,
}
"""How often the bytes of what is gathered are moved, by rule."""
SORTED_BYTES, SORTED_ROW = 30, 130
"""A reduction of windows: bytes moved for each cell, whatever its dtype, and for each window."""
ROW = 250
"""What a rule that reduces pays for each row of cells that a tap shows, in bytes moved."""
REDUCES = (Extreme, Mean, Morphology, PowerSum)
LOOKED_UP = 4
"""What the weights of an interpolation cost beside the fixed price of a call."""
FAR = 2**20
"""Bytes gathered at once beyond which they leave the caches, and cost twice as much."""
PRODUCTS = {"f": 1.0, "d": 2.0, "F": 4.0, "D": 8.0}
"""What a product costs beside one of float32, where BLAS multiplies the matrices."""
SLOW_PRODUCT = 40.0
"""Where NumPy does it alone."""


def cost(problem: Problem) -> _cost.Cost:
    """Cells under windows, gathered and taken some times; products of matrices."""
    recipe, rule, item = problem.recipe, problem.recipe.rule, problem.compute_dtype.itemsize
    positions = prod(axis.outputs for axis in recipe.axes)
    planes = recipe.batch * recipe.groups * recipe.channels
    table = problem.taps * positions
    gathered = prod(problem.input_shape) if isinstance(rule, Overlap) else planes * table
    if isinstance(rule, Reduction):
        moved = float(gathered * SORTED_BYTES + planes * positions * SORTED_ROW)
    else:
        moved = gathered * item * PASSES.get(type(rule), 1.0)
    if gathered * item > FAR:
        moved *= 2
    if isinstance(rule, REDUCES):
        moved += planes * problem.taps * ROW
    moved += 2 * prod(problem.input_shape) * item  # what is read is copied with its border first
    if table > SMALL_TABLE:
        moved += table * TABLE_BYTES
    products = 0.0
    if isinstance(rule, WeightedSum):
        products = 2 * problem.macs * PRODUCTS.get(problem.compute_dtype.char, SLOW_PRODUCT)
        # The weights are read again for each sample.
        moved += (
            recipe.batch * recipe.groups * recipe.filters * recipe.channels * problem.taps * item
        )
    calls = LOOKED_UP if isinstance(rule, Interpolation) else 1
    return _cost.Cost(products, moved, calls=calls + moved / WORKSPACE)
