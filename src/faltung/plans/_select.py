"""The choice of an algorithm: of those that can do it, the one with the least predicted time.

The choice reads shapes, dtypes, parameters, the CPU's level and explicit settings; never data,
thread counts, timings or free memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from faltung.errors import OptionError, shown
from faltung.plans import (
    _ranking,
    _resources,
    _tuned,
    copying,
    direct,
    fft,
    image,
    low_rank,
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
from faltung.plans._problem import Operands, Problem, Recipe
from faltung.plans._recording import record
from faltung.plans._rest import RestBox, parts_of_rest
from faltung.typing import Array

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Plan",
    "accepted",
    "algorithms",
    "execute",
    "prepare",
    "reads_weights",
    "select",
]


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

    def run(
        self, problem: Problem, x: Array, prepared: Any, y: Array, /
    ) -> bool | list[RestBox] | None:
        """Compute y from x, both in canonical order.

        True declines the data, a list the data of some boxes, and y is nothing there.
        """


ALGORITHMS: tuple[Algorithm, ...] = (
    unfolding,
    copying,
    low_rank,
    fft,
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


REFUSED = "refused"
"""Where a problem keeps why the algorithm asked for cannot do it, and which ones could."""


CLEARLY = 0.8
"""Of the next one's time, where weights make an algorithm dearer: predictions are that far off."""


class Plan(NamedTuple):
    """The algorithms that can do a problem, best first, and why the others do not run.

    `seconds` are the predicted times of the candidates in one thread.
    """

    candidates: tuple[Algorithm, ...]
    rejected: tuple[tuple[str, str], ...]
    seconds: tuple[float, ...]

    @property
    def chosen(self) -> Algorithm:
        """The algorithm that runs."""
        return self.candidates[0]


def algorithms() -> tuple[str, ...]:
    """The names that ``algorithm=`` knows.

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


def select(problem: Problem, operands: Operands | None = None) -> Plan:
    """Choose an algorithm for `problem`; the operator's arrays are for the words of an error."""
    if REFUSED in problem.kept:
        raise _refusal(problem, operands)
    able: list[Algorithm] = []
    rejected: list[tuple[str, str]] = []
    tuned = _tuned.choice(problem)
    for algorithm in ALGORITHMS:
        # What was measured may be slow to load: only the planner stays away from it.
        asked = _asking(problem, algorithm.name) if algorithm.name == tuned else problem
        reason = algorithm.supports(asked)
        if reason is None:
            able.append(algorithm)
        elif algorithm.name == problem.recipe.algorithm:
            problem.kept[REFUSED] = (
                reason,
                tuple(each for each in ALGORITHMS if _can(each, problem)),
            )
            raise _refusal(problem, operands)
        else:
            rejected.append((algorithm.name, reason))
    # The others remain for data that the first has to decline.
    ordered, ranked = _ranking.rank(problem, able, tuned)
    rejected += [(other.algorithm, other.reason) for other in ranked[1:]]
    times = tuple(each.seconds for each in ranked)
    return Plan(tuple(ordered), tuple(rejected), times)


def _refusal(problem: Problem, operands: Operands | None) -> OptionError:
    """What to raise where the algorithm that was asked for cannot do a problem."""
    reason, possible = problem.kept[REFUSED]
    names = [repr(each.name) for each in possible if _takes(each, problem, operands)]
    return OptionError(
        f"algorithm {problem.recipe.algorithm!r} cannot do this: {reason}",
        f"Possible here: {', '.join(names)}",
    )


def _can(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether an algorithm could do a problem if it were asked to by name, with some weights."""
    return algorithm.supports(_asking(problem, algorithm.name)) is None


def _takes(algorithm: Algorithm, problem: Problem, operands: Operands | None) -> bool:
    """Whether an algorithm that could do a problem takes the values of these weights."""
    if operands is None or not getattr(algorithm, "reads_weights", False):
        return True
    return algorithm.prepare(problem, operands) is not None


def _asking(problem: Problem, name: str) -> Problem:
    """The problem with an algorithm asked for by name.

    It shares what the problem has counted, none of which depends on the algorithm. `replace` would
    take ten times as long, and a refusal asks for every algorithm there is.
    """
    recipe, asked = object.__new__(Recipe), object.__new__(Problem)
    recipe.__dict__.update(problem.recipe.__dict__, algorithm=name)
    asked.__dict__.update(problem.__dict__, recipe=recipe, kept={})
    return asked


class Prepared(NamedTuple):
    """An algorithm with the operator's arrays in its form."""

    algorithm: Algorithm
    operands: Any
    following: Callable[[], Prepared]
    """The next candidate, for data that this one declines."""


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
    for place, algorithm in enumerate(plan.candidates, 1):
        others = plan._replace(candidates=plan.candidates[place:], seconds=plan.seconds[place:])
        key = (algorithm.name, problem.dtype)
        if kept is not None and key in kept:
            prepared = kept[key]
        else:
            prepared = algorithm.prepare(problem, operands)
            if kept is not None:
                kept[key] = prepared
        if prepared is not None and is_best(problem, algorithm, prepared, others):
            following = partial(prepare, problem, others, operands, kept)
            return Prepared(algorithm, prepared, following)
    raise AssertionError("the last candidate accepts everything")


def is_best(problem: Problem, algorithm: Algorithm, prepared: Any, others: Plan) -> bool:
    """Whether an algorithm stays the quickest with what it made of the weights.

    One that is not the quickest by shape has been asked for, or found by measuring.
    """
    predict = getattr(algorithm, "seconds_prepared", None)
    if predict is None or not others.seconds or algorithm.name == problem.recipe.algorithm:
        return True
    next_one = others.seconds[0]
    is_quicker = predict(problem, prepared) <= CLEARLY * next_one
    return bool(is_quicker or algorithm.seconds(problem) > next_one)


def reads_weights(plan: Plan) -> bool:
    """Whether the values of the weights decide if the chosen algorithm runs."""
    return getattr(plan.chosen, "reads_weights", False)


def accepted(plan: Plan, prepared: Prepared) -> Plan:
    """The plan from the candidate on that accepts the operator's arrays."""
    place = plan.candidates.index(prepared.algorithm)
    reasons = {name: why for name, why in plan.rejected if name != prepared.algorithm.name}
    for declined in plan.candidates[:place]:
        reasons[declined.name] = "it declines the values of these weights"
    return Plan(plan.candidates[place:], tuple(reasons.items()), plan.seconds[place:])


def execute(problem: Problem, prepared: Prepared, x: Array, y: Array) -> None:
    """Compute y from x."""
    if not y.size:
        return
    record(prepared.algorithm.name)
    while declined := prepared.algorithm.run(problem, x, prepared.operands, y):
        prepared = prepared.following()
        if isinstance(declined, list):
            for part, cells, target in parts_of_rest(problem, declined, x, y):
                _execute_part(part, prepared, cells, target)
            return
        record(prepared.algorithm.name)


def _execute_part(problem: Problem, prepared: Prepared, x: Array, y: Array) -> None:
    """Compute a part of a problem, by the first of the candidates that knows parts like it."""
    while prepared.algorithm.supports(problem):
        prepared = prepared.following()
    execute(problem, prepared, x, y)


def finds_both(first: Prepared, second: Prepared) -> bool:
    """Whether one run of an algorithm finds the largest cells and where they are."""
    return first.algorithm is pooling and second.algorithm is pooling


def execute_both(problem: Problem, x: Array, y: Array, places: Array) -> None:
    """Compute y and the places of its cells from x, by an algorithm that `finds_both`."""
    if y.size:
        record(pooling.name)
        pooling.run_with_places(problem, x, y, places)
