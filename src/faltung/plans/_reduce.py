"""How the stencil plan applies each rule but the weighted sum: one function a rule."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.plans._blocks import Box
from faltung.plans._problem import Problem
from faltung.plans._rules import (
    Copy,
    Extreme,
    Interpolation,
    Mean,
    Morphology,
    PositionSum,
    PowerSum,
    Reduction,
)
from faltung.typing import Array, IndexArray

__all__ = [
    "REDUCE",
    "Gathered",
    "divide",
    "divide_by",
    "divisor_of",
    "extreme",
    "interpolate_with",
    "interpolation_weights",
    "morphology",
    "places_of",
    "sum_of_taps",
    "sum_powers",
    "sum_taps",
    "take_root",
    "winning_tap",
]


class Gathered(NamedTuple):
    """The cells under the windows of a box of outputs.

    `cells` is (samples, groups, channels, taps, positions); `is_outside` (taps, positions) or None;
    `weight` what the plan prepared of the operator's array, cut to these samples and groups.
    `taps` are the taps that there are, None for all.
    """

    problem: Problem
    cells: Array
    is_outside: Array | None
    outputs: Box
    weight: Array | None
    taps: Box | None = None


def copy(gathered: Gathered) -> Array:
    """The cells themselves: (samples, groups, taps or one filter, positions)."""
    samples, groups, channels, taps, positions = gathered.cells.shape
    return gathered.cells.reshape(samples, groups, channels * taps, positions)


def mean(gathered: Gathered) -> Array:
    """Sum over the taps, then one division."""
    return divide(gathered, sum_taps(gathered))


def sum_taps(gathered: Gathered) -> Array:
    """The sum over the taps."""
    return sum_of_taps(gathered.problem, gathered.cells)


def divide(gathered: Gathered, sums: Array) -> Array:
    """Sums by what the mean's windows divide by; they are overwritten."""
    return divide_by(divisor_of(gathered.problem, gathered.outputs, sums.dtype), sums)


def divisor_of(problem: Problem, outputs: Box, dtype: np.dtype[Any]) -> Array:
    """What the windows of a box of outputs divide their sums by, those of this dtype."""
    rule = cast("Mean", problem.recipe.rule)
    divisor: Any = 1 if rule.divisor is None else rule.divisor
    if rule.divisor is None:
        for axis, box in zip(problem.recipe.axes, outputs, strict=True):
            divisor = np.multiply.outer(divisor, axis.divisors(box.start, box.stop))
    return cast("Array", np.ravel(divisor).astype(np.empty(0, dtype).real.dtype))


def divide_by(divisor: Array, sums: Array) -> Array:
    """Sums divided by one number a window; they are overwritten."""
    # Parts one by one: a complex division would make a NaN of an infinite part.
    for part in (sums.real, sums.imag) if sums.dtype.kind == "c" else (sums,):
        np.divide(part, divisor, out=part)
    return sums


def sum_of_taps(problem: Problem, cells: Array) -> Array:
    """The sum over the taps; on request in an order that no number of positions changes."""
    if not problem.settings.reproducible:
        return cast("Array", cells.sum(axis=3))
    sums = cells[:, :, :, 0].copy()
    for tap in range(1, cells.shape[3]):
        sums += cells[:, :, :, tap]
    return sums


def interpolate(gathered: Gathered) -> Array:
    """Sum over the taps with the product of the axes' coefficients."""
    dtype = gathered.cells.dtype
    weights = interpolation_weights(gathered.problem, gathered.outputs, dtype)
    return interpolate_with(weights, gathered.cells)


def interpolation_weights(problem: Problem, outputs: Box, dtype: np.dtype[Any]) -> Array:
    """The product of the axes' coefficients, (taps, positions), for cells of a dtype."""
    rank = len(outputs)
    weights: Any = 1.0
    for place, (axis, box) in enumerate(zip(problem.recipe.axes, outputs, strict=True)):
        spread = [1] * (2 * rank)
        spread[place], spread[rank + place] = axis.taps, len(box)
        weights = weights * axis.coefficients(box.start, box.stop).T.reshape(spread)
    weights = weights.reshape(problem.taps, prod(map(len, outputs)))
    return cast("Array", weights.astype(np.empty(0, dtype).real.dtype))


def interpolate_with(weights: Array, cells: Array) -> Array:
    """The sum over the taps of cells and weights."""
    return cast("Array", np.einsum("ngctp,tp->ngcp", cells, weights))


def power_sum(gathered: Gathered) -> Array:
    """The norm of each window."""
    return take_root(gathered, sum_powers(gathered))


def sum_powers(gathered: Gathered) -> Array:
    """The sum of the powers, or the largest size for an infinite order."""
    order = cast("PowerSum", gathered.problem.recipe.rule).order
    sizes = np.abs(gathered.cells)
    if np.isinf(order):
        return cast("Array", sizes.max(axis=3))
    return sum_of_taps(gathered.problem, sizes**order)


def take_root(gathered: Gathered, sums: Array) -> Array:
    """From the sum of the powers to the norm."""
    order = cast("PowerSum", gathered.problem.recipe.rule).order
    return sums if np.isinf(order) else sums ** (1 / order)


def extreme(gathered: Gathered) -> Array:
    """The largest cell; NaN wins, and of equals the first."""
    rule = cast("Extreme", gathered.problem.recipe.rule)
    largest = gathered.cells.max(axis=3)
    if not rule.gives_position:
        return cast("Array", largest)
    return places_of(gathered, winning_tap(gathered.cells, largest, gathered.is_outside))


def winning_tap(cells: Array, best: Array, is_outside: Array | None) -> IndexArray:
    """The tap that shows the best cell: of equal ones the first, of NaNs the last."""
    is_best = cells == best[:, :, :, None]
    if is_outside is not None:
        is_best &= ~is_outside
    tap: IndexArray = is_best.argmax(axis=3)
    if cells.dtype.kind in "fV":
        is_nan = np.isnan(cells)
        last = cells.shape[3] - 1 - is_nan[:, :, :, ::-1].argmax(axis=3)
        tap = np.where(is_nan.any(axis=3), last, tap)
    return tap


def places_of(gathered: Gathered, tap: IndexArray) -> IndexArray:
    """The flat place in the input's plane that a tap of each position shows."""
    places = _places(gathered)
    return cast("IndexArray", places[tap, np.arange(places.shape[1])])


def _places(gathered: Gathered) -> Array:
    """The flat place in the input's plane of each tap of each position."""
    axes, rank = gathered.problem.recipe.axes, len(gathered.outputs)
    flat: Any = 0
    taps = gathered.taps or tuple(range(axis.taps) for axis in axes)
    parts = zip(axes, gathered.outputs, taps, strict=True)
    for place, (axis, box, some) in enumerate(parts):
        spread = [1] * (2 * rank)
        spread[place], spread[rank + place] = len(some), len(box)
        index = axis.columns(box.start, box.stop, some)
        flat = flat * axis.size + index.T.reshape(spread)
    return cast("Array", flat.reshape(gathered.cells.shape[3:]))


def morphology(gathered: Gathered) -> Array:
    """Grey dilation and erosion; a bool structure only chooses taps."""
    rule = cast("Morphology", gathered.problem.recipe.rule)
    structure, cells = cast("Array", gathered.weight), gathered.cells
    if gathered.taps is not None:
        structure = structure[np.ix_(*gathered.taps)]
    structure = structure.ravel()
    if structure.dtype.kind == "b":
        if not structure.any():  # of these taps
            shape = (*cells.shape[:3], cells.shape[4])
            return np.full(shape, rule.outside(0, cells.dtype), cells.dtype)
        cells = cells[:, :, :, structure]
    else:
        heights = structure[:, None].astype(cells.dtype)
        cells = cells + heights if rule.is_dilation else cells - heights
        if gathered.is_outside is not None:
            cells[:, :, :, gathered.is_outside] = rule.outside(0, cells.dtype)
    return cast("Array", cells.max(axis=3) if rule.is_dilation else cells.min(axis=3))


def reduction(gathered: Gathered) -> Array:
    """A function of the window's values, the padded ones included."""
    rule = cast("Reduction", gathered.problem.recipe.rule)
    rows = np.ascontiguousarray(np.moveaxis(gathered.cells, 3, -1))
    # Row by row in memory, so that the order of a sum depends on the window alone.
    return rule.function(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:-1])


def position_sum(gathered: Gathered) -> Array:
    """Coefficients of their own for each output."""
    problem = gathered.problem
    rule = cast("PositionSum", problem.recipe.rule)
    weight = cast("Array", gathered.weight)
    where: Any = (..., *(slice(box.start, box.stop) for box in gathered.outputs))
    positions = gathered.cells.shape[4]
    weight = weight[where]
    weight = weight.reshape(*weight.shape[: -len(gathered.outputs)], positions)
    if gathered.is_outside is not None and not problem.recipe.fill_takes_part:
        weight = np.where(gathered.is_outside, weight.dtype.type(0), weight)
    if problem.settings.reproducible:
        return _sum_positions_in_order(gathered.cells, weight, rule)
    if rule.is_shared:
        return cast("Array", np.einsum("ngctp,ngtp->ngcp", gathered.cells, weight))
    return cast("Array", np.einsum("ngctp,gfctp->ngfp", gathered.cells, weight))


def _sum_positions_in_order(cells: Array, weight: Array, rule: PositionSum) -> Array:
    """Channel by channel, tap by tap: bits that depend on the window alone."""
    samples, groups, channels, taps, positions = cells.shape
    if rule.is_shared:
        sums = np.zeros((samples, groups, channels, positions), cells.dtype)
        for tap in range(taps):
            sums += cells[:, :, :, tap] * weight[:, :, None, tap]
        return sums
    sums = np.zeros((samples, groups, weight.shape[1], positions), cells.dtype)
    for channel, tap in np.ndindex(channels, taps):
        sums += cells[:, :, None, channel, tap] * weight[:, :, channel, tap]
    return sums


REDUCE: dict[type, Callable[[Gathered], Array]] = {
    Copy: copy,
    Mean: mean,
    Interpolation: interpolate,
    PowerSum: power_sum,
    Extreme: extreme,
    Morphology: morphology,
    Reduction: reduction,
    PositionSum: position_sum,
}
