"""The named reductions: from a matrix with a row for each window to one number a row."""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Any

import numpy as np

from faltung.typing import Array

__all__ = ["NAMED", "percentile"]


def percentile(rows: Array, share: float) -> Array:
    """The value below which `share` of the others lie, between two of them on a straight line.

    As `numpy.percentile`, but a value that is met exactly stays itself beside an infinite one.
    """
    place = share * (rows.shape[1] - 1)
    below = floor(place)
    above = min(below + 1, rows.shape[1] - 1)
    part = place - below
    ordered = np.partition(rows, sorted({below, above}), axis=1)
    low, high = ordered[:, below], ordered[:, above]
    if part:
        step = high - low
        between = low + step * part if part < 0.5 else high - step * (1 - part)
        low = np.where(low == high, low, between)
    return np.where(np.isnan(rows).any(axis=1), np.nan, low).astype(rows.dtype)


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
