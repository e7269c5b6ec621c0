"""The named reductions: from a matrix with a row for each window to one number a row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import floor
from typing import Any

import numpy as np

from faltung.typing import Array

__all__ = ["GRADIENTS", "NAMED", "percentile", "percentile_gradient"]


def percentile(rows: Array, share: float) -> Array:
    """The value below which `share` of the others lie, between two of them on a straight line.

    As `numpy.percentile`, but a value that is met exactly stays itself beside an infinite one.
    """
    below, above, part = _neighbours(rows.shape[1], share)
    ordered = np.partition(rows, sorted({below, above}), axis=1)
    low, high = ordered[:, below], ordered[:, above]
    if part:
        step = high - low
        between = low + step * part if part < 0.5 else high - step * (1 - part)
        low = np.where(low == high, low, between)
    return np.where(np.isnan(rows).any(axis=1), np.nan, low).astype(rows.dtype)


def _neighbours(count: int, share: float) -> tuple[int, int, float]:
    """The two places in order that a percentile lies between, and its way from one to the other."""
    place = share * (count - 1)
    below = floor(place)
    return below, min(below + 1, count - 1), place - below


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


NAMED: dict[str, Callable[[Array], Array]] = {
    "sum": lambda rows: rows.sum(axis=1, dtype=rows.dtype),
    "mean": lambda rows: rows.mean(axis=1),
    "min": lambda rows: rows.min(axis=1),
    "max": lambda rows: rows.max(axis=1),
    "range": spread,
    "median": lambda rows: np.median(rows, axis=1),
    "var": lambda rows: rows.var(axis=1),
    "std": lambda rows: rows.std(axis=1),
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
    below, above, part = _neighbours(rows.shape[1], share)
    order = np.argsort(rows, axis=1, kind="stable")
    return _mark(rows, order[:, below], 1 - part) + _mark(rows, order[:, above], part)


def _centred(rows: Array) -> Array:
    return np.asarray(rows - rows.mean(axis=1, keepdims=True))


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
    "mean": lambda rows: np.full_like(rows, 1 / rows.shape[1]),
    "min": partial(_extreme_gradient, sign=-1),
    "max": partial(_extreme_gradient, sign=1),
    "range": lambda rows: _extreme_gradient(rows, 1) - _extreme_gradient(rows, -1),
    "median": partial(percentile_gradient, share=0.5),
    "var": lambda rows: 2 / rows.shape[1] * _centred(rows),
    "std": _std_gradient,
    "logsumexp": _softmax,
}
"""For each named reduction the derivatives of its result after the values of a row."""
