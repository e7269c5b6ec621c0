"""Taking turns: how every speed of faltung is compared.

The speed of a shared machine changes by the second, so that two programs that run one after the
other are not comparable. Here all contenders live in one process and take turns in short blocks.
Reported is the mean of the best quarter of each one's blocks, the state of the machine in which
nobody disturbs, and the median beside it.

Libraries let their threads spin for a while after a call, waiting for the next one. Before each
block the runner waits until this process uses no CPU time any more, so that nobody has to share
the cores with its predecessor's idle threads.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

__all__ = ["SYSTEM_CLOCK", "Clock", "Timing", "best_quarter", "take_turns", "wait_for_quiet"]

BLOCK = 0.01
"""Seconds of a block: hundreds of short calls, or one long one."""
WARMING = 0.004
"""Seconds of calls before a block, of one at least."""
PAUSE = 0.002
MOST_PAUSES = 100
SPINNING = 0.2
"""Processors in use during a pause from which on somebody is said to be spinning."""
FEWEST, MOST = 3, 40
"""Blocks of a contender, where the time decides how many."""
TOO_LONG = 0.5
"""Seconds of a call that is not repeated without need."""


class Clock(NamedTuple):
    """Where the runner reads the time, so that tests can turn the hands."""

    now: Callable[[], float]
    cpu: Callable[[], float]
    sleep: Callable[[float], None]


SYSTEM_CLOCK = Clock(time.perf_counter, time.process_time, time.sleep)


class Timing(NamedTuple):
    """Seconds a call of one contender.

    Parameters
    ----------
    best : float
        The mean of the best quarter of its blocks.
    median : float
        The median of all its blocks.
    blocks : int
        How many blocks it had.
    """

    best: float
    median: float
    blocks: int


def best_quarter(values: list[float]) -> float:
    """The mean of the lowest quarter, of one value at least."""
    count = -(-len(values) // 4)
    return math.fsum(sorted(values)[:count]) / count


def take_turns(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int | None = None,
    seconds: float = 2.5,
    costs: Mapping[str, float] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> dict[str, Timing]:
    """Time the contenders in interleaved short blocks.

    Parameters
    ----------
    contenders : mapping of str to function
        What each of them calls; the results are dropped.
    rounds : int, optional
        Blocks of each. By default as many as `seconds` have room for.
    seconds : float, optional
        The time for all, in equal shares: who takes long has fewer blocks, spread evenly.
    costs : mapping of str to float, optional
        Seconds of a call that has been made already: long ones are not made again for nothing.
    clock : Clock, optional
        For tests.

    Returns
    -------
    dict of str to Timing
        In the order of the contenders.
    """
    with _without_garbage_collection():
        known = costs or {}
        first = {name: _cost(run, known.get(name), clock) for name, run in contenders.items()}
        if rounds is None:
            share = seconds / max(len(contenders), 1)
            wanted = {name: _blocks_in(share, cost) for name, cost in first.items()}
        else:
            wanted = dict.fromkeys(contenders, rounds)
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for name in _turns(wanted):
            wait_for_quiet(clock)
            found[name].append(_block(contenders[name], first[name], clock))
    return {
        name: Timing(best_quarter(blocks), statistics.median(blocks), len(blocks))
        for name, blocks in found.items()
    }


def wait_for_quiet(clock: Clock = SYSTEM_CLOCK) -> None:
    """Sleep until no thread of this process spins any more, 0.2 s at most: NumPy's take 0.14."""
    for _ in range(MOST_PAUSES):
        start, used = clock.now(), clock.cpu()
        clock.sleep(PAUSE)
        if clock.cpu() - used < SPINNING * (clock.now() - start):
            return


def _cost(run: Callable[[], Any], known: float | None, clock: Clock) -> float:
    """Seconds of a call, the best of two or three: the first may have prepared something."""
    found = [] if known is None else [known]
    while not found or (len(found) < 3 and sum(found) < TOO_LONG):
        start = clock.now()
        run()
        found.append(clock.now() - start)
    return min(found)


def _blocks_in(share: float, cost: float) -> int:
    """How many blocks a contender has whose calls take `cost` seconds."""
    fewest = 1 if cost > 2 * TOO_LONG else FEWEST
    return max(fewest, min(MOST, int(share / (2 * cost + WARMING + BLOCK + 2 * PAUSE))))


def _turns(wanted: Mapping[str, int]) -> Iterator[str]:
    """Whose turn it is: in every round everybody, or those with fewer blocks now and then."""
    rounds = max(wanted.values(), default=0)
    for number in range(rounds):
        for name, count in wanted.items():
            if (number + 1) * count // rounds > number * count // rounds:
                yield name


def _block(run: Callable[[], Any], cost: float, clock: Clock) -> float:
    """Seconds a call in one block, after calls that bring caches, threads and clocks back.

    Processors that slept while a predecessor's threads came to rest need a few milliseconds for it:
    whoever follows a library that spins for long would pay for that library.
    """
    if cost < TOO_LONG:
        start = clock.now()
        run()
        while clock.now() - start < WARMING:
            run()
    start, calls = clock.now(), 0
    while (passed := clock.now() - start) < BLOCK or not calls:
        # As many calls between two looks at the clock as take a tenth of the block.
        batch = max(1, int(BLOCK / 10 / cost)) if cost > 0 else 1
        for _ in range(batch):
            run()
        calls += batch
    return passed / calls


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
