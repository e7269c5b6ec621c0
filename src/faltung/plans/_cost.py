"""What a call will cost: work from shapes alone, prices by instruction set.

An algorithm counts its work in a `Cost`; `seconds` multiplies it by the prices of that algorithm
on this machine's level of `machine.LEVELS`. Prices are fitted to measured calls in one thread by
``benchmarks/cost.py``, which prints them as they stand here, beside how far off they are. They
need not be right in seconds, which differ from machine to machine; they must put the algorithms
that can do a problem in the right order.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import NamedTuple

from faltung.compiled import machine
from faltung.compiled.task import DirectTask
from faltung.plans._problem import Problem

__all__ = [
    "PRICES",
    "Cost",
    "Price",
    "moved_bytes",
    "price_of",
    "seconds",
    "shown_seconds",
    "sum_flops",
]


class Cost(NamedTuple):
    """The work of one call.

    Parameters
    ----------
    flops : float
        Operations on numbers of four bytes, two a multiply-add; those of wider numbers count as
        many times as they fill more of a vector.
    bytes : float
        Bytes that are read, written and moved on the way.
    lane_use : float
        The share of the vectors' lanes that do work which is wanted.
    calls : float
        How often the fixed price of a call is due.
    prices : str
        Under which name its prices are found; an empty string for that of the algorithm.
    """

    flops: float
    bytes: float
    lane_use: float = 1.0
    calls: float = 1.0
    prices: str = ""


class Price(NamedTuple):
    """Seconds of a call, of an operation and of a byte."""

    call: float
    flop: float
    byte: float


# By algorithm and the least level; a level without prices has those of the next lower one. Measured
# with `FALTUNG_MAX_ISA=avx512 python benchmarks/cost.py`, avx2 and generic likewise, on one core
# of an Emerald Rapids server; predictions are off by a factor of 1.07 (phases) to 1.4 (ordering).
# "direct lanes" are those of "direct" with output channels in the lanes (`lanes_schedule.suits`).
# Operations of "fft" are on pairs of numbers of eight bytes.
PRICES: dict[str, dict[str, Price]] = {
    "copying": {"generic": Price(8.6e-06, 0, 2.1e-10)},
    "direct": {
        "generic": Price(6.1e-06, 3.9e-11, 1.3e-10),
        "avx2": Price(1.8e-06, 1.1e-11, 6.9e-11),
        "avx512": Price(2.2e-06, 9.7e-12, 4.9e-11),
    },
    "direct lanes": {
        "generic": Price(1.9e-05, 5.3e-11, 3.6e-11),
        "avx2": Price(1.8e-06, 1.4e-11, 1.3e-10),
        "avx512": Price(4.8e-06, 9.1e-12, 4.9e-11),
    },
    "fft": {
        "generic": Price(0.00025, 5.7e-11, 5.3e-10),
        "avx2": Price(0.00012, 3.2e-11, 3.9e-11),
        "avx512": Price(0.00017, 3e-11, 1.2e-10),
    },
    "image": {
        "generic": Price(4.6e-06, 3.8e-11, 5.2e-11),
        "avx2": Price(2e-06, 1.3e-11, 3e-11),
        "avx512": Price(3.2e-06, 9.8e-12, 2.9e-11),
    },
    "low_rank": {
        "generic": Price(2.3e-05, 3.8e-11, 7.3e-11),
        "avx2": Price(1.2e-05, 1e-11, 6e-11),
        "avx512": Price(1.4e-05, 1e-11, 5.4e-11),
    },
    "morphology": {
        "generic": Price(0.0001, 1.3e-10, 0),
        "avx2": Price(0.00012, 1.9e-10, 2.7e-10),
        "avx512": Price(0.0001, 5.3e-11, 1.3e-10),
    },
    "ordering": {"generic": Price(3.1e-06, 0, 5.3e-11)},
    "phases": {
        "generic": Price(3.4e-05, 6.1e-11, 4e-10),
        "avx2": Price(2.5e-05, 1.3e-11, 1.7e-10),
        "avx512": Price(2e-05, 7.2e-12, 1.9e-10),
    },
    "pooling": {
        "generic": Price(0.00011, 2.1e-10, 1.8e-10),
        "avx2": Price(0.00013, 1.4e-10, 1.5e-10),
        "avx512": Price(0.00014, 1.1e-10, 1e-10),
    },
    "positions": {
        "generic": Price(7.2e-05, 5e-10, 0),
        "avx2": Price(7.2e-05, 5e-10, 0),
        "avx512": Price(7.2e-05, 4.5e-10, 0),
    },
    "resampling": {
        "generic": Price(9e-05, 2.5e-10, 9.9e-11),
        "avx2": Price(9.7e-05, 2.6e-10, 9.2e-11),
        "avx512": Price(8.3e-05, 2.5e-10, 1.3e-10),
    },
    "separable": {"generic": Price(0.0001, 0, 2.3e-10)},
    "stencil": {"generic": Price(2e-05, 1.1e-11, 1.7e-10)},
    "unfolding": {
        "generic": Price(0.00017, 0, 2e-10),
        "avx2": Price(0.00014, 0, 2e-10),
        "avx512": Price(0.00017, 2.9e-11, 2.1e-10),
    },
}
WIDTHS = {"float32": 1.0, "float64": 2.0, "uint32": 2.0, "uint64": 16.0}
"""What a multiply-add of sums in a dtype costs beside one of float32."""


def moved_bytes(problem: Problem) -> int:
    """Bytes of input and output."""
    inputs, outputs = prod(problem.input_shape), prod(problem.output_shape)
    return inputs * problem.input_dtype.itemsize + outputs * problem.result_dtype.itemsize


def sum_flops(task: DirectTask) -> float:
    """Operations of a convolution, in those of float32."""
    sums = task.sums
    return 2 * task.macs * sums.parts**2 * WIDTHS[sums.dtype] if sums else 0.0


def price_of(name: str) -> Price:
    """The prices of an algorithm on this machine, as far as FALTUNG_MAX_ISA allows."""
    return _price_on(name, machine.isa())


@cache
def _price_on(name: str, isa: str) -> Price:
    by_level, level = PRICES[name], machine.LEVELS.index(isa)
    return next(by_level[known] for known in machine.LEVELS[level::-1] if known in by_level)


def seconds(name: str, cost: Cost) -> float:
    """The predicted time of a call in one thread."""
    price = price_of(cost.prices or name)
    work = cost.flops / cost.lane_use * price.flop + cost.bytes * price.byte
    return cost.calls * price.call + work


def shown_seconds(time: float) -> str:
    """A time in words: ``3.1 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if time >= 0.9995 * size:
            return f"{time / size:.3g} {unit}"
    return f"{time / 1e-6:.3g} µs"
