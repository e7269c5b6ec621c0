"""One case: every contender is built, checked, and timed in turns with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from faltung.bench.cases import Case, Problem
from faltung.bench.exact import error_of, exact_result, is_right
from faltung.bench.ours import ours
from faltung.bench.peak import Peak
from faltung.bench.peers._peer import Contender, Peer
from faltung.bench.results import OURS, CaseResult, Figure
from faltung.bench.runner import SYSTEM_CLOCK, Clock, take_turns

__all__ = ["measure"]

PEAK = "register-only peak"
Made = TypeVar("Made")


def measure(
    case: Case,
    peers: Sequence[Peer],
    *,
    rounds: int | None = None,
    seconds: float = 2.5,
    peak: Peak | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> CaseResult:
    """Time faltung and its peers on one case.

    Parameters
    ----------
    case : Case
        The row.
    peers : sequence of Peer
        Those that are there.
    rounds, seconds : int or None, float
        As of `take_turns`.
    peak : Peak, optional
        Measured in the same turns.
    clock : Clock, optional
        For tests.

    Returns
    -------
    CaseResult
        Times, errors, and why who was left out.

    Examples
    --------
    >>> from faltung.bench.cases import select
    >>> from faltung.bench.measuring import measure
    >>> from faltung.bench.peers import open_peers
    >>> case = select(["tiny operator 1x6x8->1 1x2"])[0]
    >>> result = measure(case, open_peers(["scipy"], threads=1)[0], rounds=1)
    >>> result.figures["scipy"].is_right, result.figures["faltung"].error < 1e-6
    (True, True)
    """
    problem = case.problem()
    exact = exact_result(problem)
    found: dict[str, tuple[Contender, float]] = {}
    costs: dict[str, float] = {}
    left_out: dict[str, str] = {}
    builders: dict[str, Callable[[Problem], Contender | str]] = {
        OURS: ours,
        **{peer.name: peer.build for peer in peers},
    }
    for name, build in builders.items():
        made = _attempt(build, problem)
        if name == OURS and not isinstance(made, str):
            _attempt(_error_of_call, made, exact)  # compiles, which is no call's cost
        start = clock.now()
        error = made if isinstance(made, str) else _attempt(_error_of_call, made, exact)
        if isinstance(made, str) or isinstance(error, str):
            left_out[name] = str(error)
        else:
            found[name], costs[name] = (made, error), clock.now() - start
    calls: dict[str, Callable[[], Any]] = {name: made.call for name, (made, _) in found.items()}
    if peak:
        calls[PEAK] = peak.call
    timings = take_turns(calls, rounds=rounds, seconds=seconds, costs=costs, clock=clock)
    speed = peak.operations / timings[PEAK].best if peak else None
    figures = {
        name: Figure(*timings[name], error, is_right(error, problem))
        for name, (_, error) in found.items()
    }
    return CaseResult(case.name, case.family, problem.flops, figures, left_out, speed)


def _attempt(function: Callable[..., Made | str], *arguments: Any) -> Made | str:
    """The result, or in words what was raised: one library's failure is not the others'."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001  peers raise whatever they like
        words = " ".join(str(error).split())
        return f"failed: {type(error).__name__}: {words[:200]}"


def _error_of_call(contender: Contender, exact: Any) -> float:
    return error_of(contender.as_array(contender.call()), exact)
