"""Order statistics: which places in order they look at, and the comparisons that find them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import floor
from typing import NamedTuple

import numpy as np

from faltung.typing import Array

__all__ = ["Comparison", "Order", "between", "comparisons", "neighbours"]


class Order(NamedTuple):
    """The two places in ascending order that a statistic lies between, and its way to the second.

    With `is_mean` the statistic is the mean of both, in NumPy's way of computing a median.
    """

    below: int
    above: int
    part: float = 0.0
    is_mean: bool = False


def neighbours(count: int, share: float) -> Order:
    """The places around a share of `count` values, as `numpy.percentile` counts them."""
    place = share * (count - 1)
    below = floor(place)
    return Order(below, min(below + 1, count - 1), place - below)


def between(low: Array, high: Array, order: Order) -> Array:
    """The statistic, from the values at its two places.

    A value that is met exactly stays itself beside an infinite one.
    """
    if order.is_mean:
        middle: Array = (low + high) / low.dtype.type(2)
        return middle
    if not order.part:
        return low
    step, part = high - low, order.part
    line = low + step * part if part < 0.5 else high - step * (1 - part)
    return np.where(low == high, low, line)


class Comparison(NamedTuple):
    """Two wires: afterwards the first holds the smaller value, the second the larger one.

    What nobody looks at later is not computed.
    """

    first: int
    second: int
    keeps_smaller: bool
    keeps_larger: bool


@lru_cache(maxsize=64)
def comparisons(count: int, places: frozenset[int]) -> tuple[Comparison, ...]:
    """The comparisons after which the wires `places` hold what is there in ascending order.

    Batcher's sorting network without the comparisons that the wanted places do not depend on. An
    order statistic depends on every value, so a NaN, which comparisons pass on to both wires,
    reaches every wanted place.
    """
    wanted, kept = set(places), []
    for first, second in reversed(list(_merge_exchange(count))):
        comparison = Comparison(first, second, first in wanted, second in wanted)
        if comparison.keeps_smaller or comparison.keeps_larger:
            kept.append(comparison)
            wanted |= {first, second}
    return tuple(reversed(kept))


def _merge_exchange(count: int) -> Iterator[tuple[int, int]]:
    """Batcher's merge exchange for any number of values (Knuth, volume 3, 5.2.2, algorithm M)."""
    top = 1 << max((count - 1).bit_length() - 1, 0)
    stride = top
    while stride:
        step, distance, bit = top, stride, 0
        while True:
            for first in range(count - distance):
                if first & stride == bit:
                    yield first, first + distance
            if step == stride:
                break
            distance, step, bit = step - stride, step >> 1, stride
        stride >>= 1
