"""The order of the algorithms that can do a problem: the shortest predicted time first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from faltung.plans._cost import shown_seconds
from faltung.plans._problem import Problem
from faltung.plans._rules import WeightedSum

__all__ = ["Ranked", "rank"]

LAST_FOR_SUMS = "stencil"
"""The matrix products of its sums run on BLAS' own threads and in BLAS' own order."""


class _Algorithm(Protocol):
    @property
    def name(self) -> str: ...

    def seconds(self, problem: Problem) -> float: ...


A = TypeVar("A", bound=_Algorithm)


class Ranked(NamedTuple):
    """An algorithm, its predicted time, and why it is not the first."""

    algorithm: str
    seconds: float
    reason: str


def rank(problem: Problem, able: Sequence[A], tuned: str | None) -> tuple[list[A], list[Ranked]]:
    """Order algorithms that can do a problem; of equal times the order of the list stays.

    What was asked for by name comes first, then what `faltung.tune` found to be best for such a
    problem. Sums that have to be reproducible go in the order of the list at any size.
    """
    times = {algorithm.name: algorithm.seconds(problem) for algorithm in able}
    wanted, reproducible = problem.recipe.algorithm, problem.settings.reproducible
    first = wanted or tuned

    def key(algorithm: A) -> tuple[bool, bool, float]:
        name = algorithm.name
        is_last = name == LAST_FOR_SUMS and isinstance(problem.recipe.rule, WeightedSum)
        return name != first, is_last, 0.0 if reproducible else times[name]

    ordered = sorted(able, key=key)
    best = ordered[0].name

    def reason(name: str) -> str:
        if name == best:
            return ""
        if wanted:
            return f"algorithm={wanted!r} was asked for"
        if tuned == best:
            return f"tune found {best} to be quicker for this shape"
        if reproducible:
            return f"{best} has the order of sums that is reproducible"
        compared = f"predicted {shown_seconds(times[name])}, {best} {shown_seconds(times[best])}"
        if times[name] < times[best]:
            return f"{compared}, but BLAS is the last resort: its threads are its own"
        return compared

    return ordered, [Ranked(a.name, times[a.name], reason(a.name)) for a in ordered]
