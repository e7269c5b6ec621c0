"""What each rule does with the cells of one window, step by step: one function a rule.

The steps are for reading, so floats are summed in float64; integers wrap as they do in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.plans._problem import Problem
from faltung.plans._rounding import store_rounded
from faltung.plans._rules import (
    Copy,
    Extreme,
    Interpolation,
    Mean,
    Morphology,
    Overlap,
    Placement,
    PositionSum,
    PowerSum,
    Reduction,
    WeightedSum,
)
from faltung.plans._terms import Terms
from faltung.typing import Array, Shape

__all__ = ["Arithmetic", "Step", "Window", "compute"]

ORDERED = ("min", "max", "range", "median", "percentile", "rank")
"""Reductions that look at the order of the cells."""


class Step(NamedTuple):
    """One line of the arithmetic: what is done, and what comes out."""

    label: str
    value: Any


@dataclass(frozen=True)
class Window:
    """The cells of one window: `values` is (channels, taps), `takes_part` (taps,)."""

    problem: Problem
    terms: Terms
    values: Array
    takes_part: Array
    place: Shape
    bias: Any = None

    @property
    def wide(self) -> np.dtype[Any]:
        """What is computed in: the dtype of integers, else 64-bit floats."""
        kind = self.problem.compute_dtype
        if kind.kind in "biu":
            return kind
        return np.dtype(np.complex128 if kind.kind == "c" else np.float64)

    @property
    def parts(self) -> Array:
        """The values that take part, in a row."""
        return self.values[:, self.takes_part].ravel()


@dataclass(frozen=True)
class Arithmetic:
    """What becomes of a window.

    Attributes
    ----------
    steps : tuple of Step
        From the cells to the result.
    total : array of one number
        The result, before its own dtype.
    factors : array (channels, taps), or None
        What stands beside each value, under the name `factor`.
    products : array (channels, taps), or None
        What comes out for each value, under the name `product`.
    winner : int or None
        Which of the terms is the result.
    """

    steps: tuple[Step, ...]
    total: Array
    factor: str = ""
    factors: Array | None = None
    product: str = "product"
    products: Array | None = None
    winner: int | None = None


def compute(window: Window) -> Arithmetic:
    """The arithmetic of a window under the rule of its problem."""
    with np.errstate(all="ignore"):
        return RULES[type(window.problem.recipe.rule)](window)


def _number(value: Any, dtype: np.dtype[Any]) -> Array:
    return np.array([value]).astype(dtype)


def _weighted(window: Window) -> Arithmetic:
    """Products, their sum, the bias and the activation."""
    recipe, dtype = window.problem.recipe, window.wide
    names = {Interpolation: "weight", PositionSum: "kernel here"}
    factors = window.terms.coefficients
    products = window.values.astype(dtype) * factors.astype(dtype)
    products[:, ~window.takes_part] = 0
    sums = np.add.reduce(products, axis=1, dtype=dtype)
    total = np.add.reduce(sums, dtype=dtype, keepdims=True)
    steps = []
    if 1 < len(sums) <= 8:
        for channel, part in zip(window.terms.channels[:, 0].tolist(), sums, strict=True):
            steps.append(Step(f"sum of channel {channel}", part))
    count = int(np.count_nonzero(window.takes_part)) * len(sums)
    steps.append(Step(f"sum of {count} product{'s' if count != 1 else ''}", total[0]))
    if dtype.kind in "iu":
        exact = np.sum(np.where(window.takes_part, window.values, 0) * factors.astype(np.float64))
        if abs(exact - float(total[0])) > 0.5:
            steps.insert(-1, Step("exact sum, which wraps around", exact))
    total = _finished(window, total, steps)
    name = names.get(type(recipe.rule), "weight")
    return Arithmetic(tuple(steps), total, name, factors, "product", products)


def _finished(window: Window, total: Array, steps: list[Step]) -> Array:
    """The sum with bias, activation and rounding, each a step."""
    problem = window.problem
    if window.bias is not None:
        total = total + np.asarray(window.bias).astype(total.dtype)
        steps += [Step("bias", window.bias), Step("sum and bias", total[0])]
    if problem.recipe.activation == "relu":
        total = np.maximum(total, 0) if total.dtype.kind not in "bu" else total
        steps.append(Step("relu: the larger of it and 0", total[0]))
    if total.dtype.kind == "f" and problem.dtype.kind in "biu":
        rounded = np.empty(1, problem.dtype)
        store_rounded(total.copy(), rounded)
        total = rounded
        steps.append(Step(f"rounded to {problem.dtype}", total[0]))
    return total


def _interpolated(window: Window) -> Arithmetic:
    """A weighted sum, with the weights of each axis as steps before it."""
    steps = []
    for number, (axis, output) in enumerate(
        zip(window.problem.recipe.axes, window.place, strict=True)
    ):
        cells = axis.index(output, output + 1)[0]
        weights = axis.coefficients(output, output + 1)[0]
        pairs = zip(cells.tolist(), weights.tolist(), strict=True)
        parts = [f"cell {cell}: {weight:.4g}" for cell, weight in pairs if cell >= 0]
        steps.append(Step(f"weights on axis {number}", ", ".join(parts)))
    found = _weighted(window)
    return Arithmetic(
        (*steps, *found.steps), found.total, "weight", found.factors, products=found.products
    )


def _added(window: Window) -> Arithmetic:
    """The sum of what falls on an output."""
    total = np.add.reduce(window.parts.astype(window.wide), dtype=window.wide, keepdims=True)
    return Arithmetic((Step(f"sum of {len(window.parts)} values", total[0]),), total)


def _mean(window: Window) -> Arithmetic:
    """Sum and divisor."""
    rule, found = cast("Mean", window.problem.recipe.rule), _added(window)
    divisor = rule.divisor
    if divisor is None:
        divisor = 1
        for axis, output in zip(window.problem.recipe.axes, window.place, strict=True):
            divisor *= int(axis.divisors(output, output + 1)[0])
    total = found.total.copy()
    for part in (total.real, total.imag) if total.dtype.kind == "c" else (total,):
        np.divide(part, divisor, out=part)
    return Arithmetic((*found.steps, Step("divided by", divisor)), total)


def _power_sum(window: Window) -> Arithmetic:
    """Powers, their sum, and its root."""
    order = cast("PowerSum", window.problem.recipe.rule).order
    sizes = np.abs(window.values.astype(window.wide))
    if np.isinf(order):
        total = sizes[:, window.takes_part].max(axis=1)
        step = Step("largest magnitude", total[0])
        return Arithmetic((step,), total, product="magnitude", products=sizes)
    powers = sizes**order
    powers[:, ~window.takes_part] = 0
    sums = powers.sum(axis=1)
    total = sums ** (1 / order)
    name = f"|x|^{order:g}"
    steps = (
        Step(f"sum of {name}", sums[0]),
        Step(f"the sum to the power of 1/{order:g}", total[0]),
    )
    return Arithmetic(steps, total, product=name, products=powers)


def _winner(values: Array, *, is_largest: bool) -> int:
    """The first of the largest or smallest; the last NaN where there is one."""
    if values.dtype.kind in "fV":
        nans = np.flatnonzero(np.isnan(values))
        if len(nans):
            return int(nans[-1])
    return int(values.argmax() if is_largest else values.argmin())


def _extreme(window: Window) -> Arithmetic:
    """The cell that wins."""
    taking_part = np.flatnonzero(window.takes_part)
    winner = int(taking_part[_winner(window.parts, is_largest=True)])
    total = window.values[0, winner : winner + 1]
    return Arithmetic((_won(window, "largest", winner, total[0]),), total, winner=winner)


def _won(window: Window, word: str, winner: int, value: Any) -> Step:
    cell = ",".join(map(str, window.terms.cells[winner]))
    return Step(f"{word}, of cell {cell}", value)


def _morphology(window: Window) -> Arithmetic:
    """The sums with the structure, and the one that wins."""
    rule = cast("Morphology", window.problem.recipe.rule)
    values, heights = window.values, window.terms.coefficients.astype(window.values.dtype)
    is_flat = np.asarray(window.terms.coefficients).dtype.kind == "b"
    if not is_flat:
        values = values + heights if rule.is_dilation else values - heights
    taking_part = np.flatnonzero(window.takes_part)
    winner = int(taking_part[_winner(values[0, window.takes_part], is_largest=rule.is_dilation)])
    total = values[0, winner : winner + 1]
    step = _won(window, "largest" if rule.is_dilation else "smallest", winner, total[0])
    if is_flat:
        return Arithmetic((step,), total, winner=winner)
    name = "raised" if rule.is_dilation else "lowered"
    return Arithmetic((step,), total, "height", heights, name, values, winner)


def _reduction(window: Window) -> Arithmetic:
    """The function's own answer, and the cells in order where it looks at their order."""
    rule = cast("Reduction", window.problem.recipe.rule)
    if rule.check is not None:
        rule.check(window.problem.compute_dtype)
    total = np.asarray(rule.function(np.ascontiguousarray(window.values))).reshape(1)
    steps = []
    if rule.name.startswith(ORDERED):
        ordered = np.sort(window.values.ravel())
        steps.append(Step("in order", ordered))
    steps.append(Step(f"{rule.name} of {window.values.size} values", total[0]))
    return Arithmetic(tuple(steps), total)


def _copied(window: Window) -> Arithmetic:
    """The one cell, or what stands for none."""
    if not window.values.size:
        return Arithmetic((Step("no value was placed here", 0),), _number(0, window.wide))
    total = window.values[0]
    if window.terms.is_outside[0]:
        return Arithmetic((Step("outside the input", total[0]),), total)
    cell = ",".join(map(str, window.terms.cells[0]))
    return Arithmetic((Step(f"copy of cell {cell}", total[0]),), total)


RULES: dict[type, Callable[[Window], Arithmetic]] = {
    WeightedSum: _weighted,
    PositionSum: _weighted,
    Interpolation: _interpolated,
    Mean: _mean,
    PowerSum: _power_sum,
    Extreme: _extreme,
    Morphology: _morphology,
    Reduction: _reduction,
    Copy: _copied,
    Overlap: _added,
    Placement: _copied,
}
