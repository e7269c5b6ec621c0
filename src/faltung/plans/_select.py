"""The choice of an algorithm: the first of an ordered list that takes the problem.

The choice reads shapes, dtypes, parameters and explicit settings; never data, thread counts,
timings or free memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from faltung.errors import OptionError, shown
from faltung.plans import (
    _resources,
    copying,
    direct,
    image,
    morphology,
    ordering,
    phases,
    pooling,
    positions,
    resampling,
    separable,
    stencil,
    unfolding,
)
from faltung.plans._problem import Operands, Problem
from faltung.plans._recording import record
from faltung.typing import Array

__all__ = ["ALGORITHMS", "Algorithm", "Plan", "algorithms", "execute", "prepare", "select"]


class Algorithm(Protocol):
    """What a module in this package offers."""

    @property
    def name(self) -> str:
        """What ``algorithm=`` calls it."""

    def supports(self, problem: Problem) -> str | None:
        """None, or the reason why it cannot do this problem."""

    def workspace(self, problem: Problem) -> int:
        """Bytes that it needs beyond input, weights and output."""

    def seconds(self, problem: Problem) -> float:
        """The predicted time of a call in one thread, of a problem that it supports.

        It reads shapes, dtypes, parameters and the CPU's level, nothing else. The module counts
        its work in a `_cost.Cost` and gives ``_cost.seconds(name, cost(problem))``.
        """

    def prepare(self, problem: Problem, operands: Operands) -> Any:
        """The operator's arrays in the form that `run` takes; None declines them.

        What it makes depends on the operator and the dtype, not on the size of the input.
        """

    def run(self, problem: Problem, x: Array, prepared: Any, y: Array, /) -> None:
        """Compute y from x, both in canonical order."""


ALGORITHMS: tuple[Algorithm, ...] = (
    unfolding,
    copying,
    image,
    direct,
    morphology,
    ordering,
    phases,
    pooling,
    positions,
    resampling,
    separable,
    stencil,
)


class Plan(NamedTuple):
    """The algorithms that can do a problem, best first, and why the others cannot."""

    candidates: tuple[Algorithm, ...]
    rejected: tuple[tuple[str, str], ...]

    @property
    def chosen(self) -> Algorithm:
        """The algorithm that runs."""
        return self.candidates[0]


def algorithms() -> tuple[str, ...]:
    """The names that ``algorithm=`` knows, in the order in which they are tried.

    Examples
    --------
    >>> import faltung as ft
    >>> "stencil" in ft.algorithms()
    True
    """
    return tuple(algorithm.name for algorithm in ALGORITHMS)


def check_algorithm(name: object) -> str | None:
    """`name` if an algorithm is called so, or None."""
    if name is None or (isinstance(name, str) and name in algorithms()):
        return name
    raise OptionError(
        f"algorithm is {shown(name)}, which is not known",
        f"Use None or one of {', '.join(map(repr, algorithms()))}",
    )


def select(problem: Problem) -> Plan:
    """Choose an algorithm for `problem`."""
    able, rejected = [], []
    for algorithm in ALGORITHMS:
        reason = algorithm.supports(problem)
        if reason is None:
            able.append(algorithm)
        else:
            rejected.append((algorithm.name, reason))
    wanted = problem.recipe.algorithm
    if wanted is None:
        rejected += [(other.name, f"{able[0].name} comes first") for other in able[1:]]
        return Plan(tuple(able), tuple(rejected))
    for name, reason in rejected:
        if name == wanted:
            possible = ", ".join(repr(other.name) for other in ALGORITHMS if _can(other, problem))
            raise OptionError(
                f"algorithm {wanted!r} cannot do this: {reason}", f"Possible here: {possible}"
            )
    # What was asked for comes first; the others remain for data that it has to decline.
    able.sort(key=lambda algorithm: algorithm.name != wanted)
    rejected += [(other.name, f"algorithm={wanted!r} was asked for") for other in able[1:]]
    return Plan(tuple(able), tuple(rejected))


def _can(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether an algorithm could do a problem if it were asked to by name."""
    asked = replace(problem, recipe=replace(problem.recipe, algorithm=algorithm.name), kept={})
    return algorithm.supports(asked) is None


class Prepared(NamedTuple):
    """An algorithm with the operator's arrays in its form."""

    algorithm: Algorithm
    operands: Any


def prepare(
    problem: Problem,
    plan: Plan,
    operands: Operands,
    kept: dict[tuple[str, Any], Any] | None = None,
) -> Prepared:
    """Hand the operator's arrays to the first candidate that accepts their values.

    What an algorithm makes of them depends on the operator and the dtype, never on the size of
    the input, so that an operator passes `kept` to have it made once.
    """
    if operands.weight is not None:
        _resources.require_array(operands.weight.shape, problem.dtype, "the packed weight")
    for algorithm in plan.candidates:
        key = (algorithm.name, problem.dtype)
        if kept is not None and key in kept:
            prepared = kept[key]
        else:
            prepared = algorithm.prepare(problem, operands)
            if kept is not None:
                kept[key] = prepared
        if prepared is not None:
            return Prepared(algorithm, prepared)
    raise AssertionError("the last candidate accepts everything")


def execute(problem: Problem, prepared: Prepared, x: Array, y: Array) -> None:
    """Compute y from x."""
    if y.size:
        record(prepared.algorithm.name)
        prepared.algorithm.run(problem, x, prepared.operands, y)


def finds_both(first: Prepared, second: Prepared) -> bool:
    """Whether one run of an algorithm finds the largest cells and where they are."""
    return first.algorithm is pooling and second.algorithm is pooling


def execute_both(problem: Problem, x: Array, y: Array, places: Array) -> None:
    """Compute y and the places of its cells from x, by an algorithm that `finds_both`."""
    if y.size:
        record(pooling.name)
        pooling.run_with_places(problem, x, y, places)
