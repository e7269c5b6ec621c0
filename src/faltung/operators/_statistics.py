"""The named reductions: from a matrix with a row for each window to one number a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from faltung.plans._order import Order, between, neighbours
from faltung.typing import Array

__all__ = [
    "DIVISORS",
    "GRADIENTS",
    "NAMED",
    "middle",
    "only",
    "percentile",
    "percentile_gradient",
    "rank",
    "rank_gradient",
]


def percentile(rows: Array, share: float) -> Array:
    """The value below which `share` of the others lie, between two of them on a straight line."""
    return _in_order(rows, neighbours(rows.shape[1], share))


def rank(rows: Array, place: int) -> Array:
    """The value at a place in ascending order."""
    return _in_order(rows, Order(place, place))


def only(count: int, place: int) -> Order:
    """The one place that a rank looks at."""
    return Order(place, place)


def middle(count: int) -> Order:
    """The places that a median looks at: one, or the mean of two."""
    return Order((count - 1) // 2, count // 2, is_mean=count % 2 == 0)


def _in_order(rows: Array, order: Order) -> Array:
    ordered = np.partition(rows, sorted({order.below, order.above}), axis=1)
    value = between(ordered[:, order.below], ordered[:, order.above], order)
    if rows.dtype.kind in "biu":
        return value
    return np.where(np.isnan(rows).any(axis=1), np.nan, value).astype(rows.dtype)


def spread(rows: Array) -> Array:
    """The largest less the smallest."""
    largest, smallest = rows.max(axis=1), rows.min(axis=1)
    difference: Any = largest != smallest if rows.dtype.kind == "b" else largest - smallest
    return np.asarray(difference)


def logsumexp(rows: Array) -> Array:
    """``log(sum(exp(rows)))``, shifted by the largest value so that nothing overflows."""
    largest = rows.max(axis=1)
    shift = np.where(np.isfinite(largest), largest, largest.dtype.type(0))
    return np.asarray(np.log(np.exp(rows - shift[:, None]).sum(axis=1)) + shift)


def total(rows: Array) -> Array:
    """The sum, in the dtype of the values."""
    return np.asarray(rows.sum(axis=1, dtype=rows.dtype))


def mean(rows: Array) -> Array:
    """The mean of each row."""
    return np.asarray(rows.mean(axis=1))


def least(rows: Array) -> Array:
    """The smallest value."""
    return np.asarray(rows.min(axis=1))


def largest(rows: Array) -> Array:
    """The largest value."""
    return np.asarray(rows.max(axis=1))


def median(rows: Array) -> Array:
    """The value in the middle, or the mean of the two there."""
    return _in_order(rows, middle(rows.shape[1]))


def variance(rows: Array) -> Array:
    """The mean square of the distances from the mean."""
    return np.asarray(rows.var(axis=1))


def deviation(rows: Array) -> Array:
    """The square root of the variance."""
    return np.asarray(rows.std(axis=1))


# Functions with names, so that what holds them can be pickled.
NAMED: dict[str, Callable[[Array], Array]] = {
    "sum": total,
    "mean": mean,
    "min": least,
    "max": largest,
    "range": spread,
    "median": median,
    "var": variance,
    "std": deviation,
    "logsumexp": logsumexp,
}


def _mark(rows: Array, columns: Array, value: float) -> Array:
    """`value` in one column of each row, 0 in the others."""
    marks = np.zeros_like(rows)
    marks[np.arange(len(rows)), columns] = value
    return marks


def _extreme_gradient(rows: Array, sign: int) -> Array:
    """1 at the largest (or smallest) value: of equal ones the first, of NaNs the last."""
    is_nan = np.isnan(rows)
    best = np.argmax(np.where(is_nan, -np.inf, sign * rows), axis=1)
    last = rows.shape[1] - 1 - is_nan[:, ::-1].argmax(axis=1)
    return _mark(rows, np.where(is_nan.any(axis=1), last, best), 1)


def percentile_gradient(rows: Array, share: float) -> Array:
    """The shares of the two values between which the percentile lies; the first of equal ones."""
    below, above, part, _ = neighbours(rows.shape[1], share)
    order = np.argsort(rows, axis=1, kind="stable")
    return _mark(rows, order[:, below], 1 - part) + _mark(rows, order[:, above], part)


def rank_gradient(rows: Array, place: int) -> Array:
    """1 at the value of that place in order, the first of equal ones."""
    return _mark(rows, np.argsort(rows, axis=1, kind="stable")[:, place], 1)


def _centred(rows: Array) -> Array:
    return np.asarray(rows - rows.mean(axis=1, keepdims=True))


def _mean_gradient(rows: Array) -> Array:
    return np.full_like(rows, 1 / rows.shape[1])


def _range_gradient(rows: Array) -> Array:
    return _extreme_gradient(rows, 1) - _extreme_gradient(rows, -1)


def _variance_gradient(rows: Array) -> Array:
    return np.asarray(2 / rows.shape[1] * _centred(rows))


def _std_gradient(rows: Array) -> Array:
    """Of a window of equal values, where the deviation has a corner: 0."""
    deviation = rows.std(axis=1, keepdims=True)
    is_flat = rows.max(axis=1, keepdims=True) == rows.min(axis=1, keepdims=True)
    return np.where(is_flat, 0, _centred(rows) / (rows.shape[1] * np.where(is_flat, 1, deviation)))


def _softmax(rows: Array) -> Array:
    largest = rows.max(axis=1, keepdims=True)
    powers = np.exp(rows - np.where(np.isfinite(largest), largest, 0))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


GRADIENTS: dict[str, Callable[[Array], Array]] = {
    "sum": np.ones_like,
    "mean": _mean_gradient,
    "min": partial(_extreme_gradient, sign=-1),
    "max": partial(_extreme_gradient, sign=1),
    "range": _range_gradient,
    "median": partial(percentile_gradient, share=0.5),
    "var": _variance_gradient,
    "std": _std_gradient,
    "logsumexp": _softmax,
}
"""For each named reduction the derivatives of its result after the values of a row."""


def _by_one(count: int) -> int:
    return 1


def _by_count(count: int) -> int:
    return count


DIVISORS: dict[str, Callable[[int], int]] = {"sum": _by_one, "mean": _by_count}
"""For the reductions that are linear, what a sum of so many values is divided by."""
