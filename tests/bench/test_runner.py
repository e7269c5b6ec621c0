"""Taking turns with a clock that the tests turn."""

import gc
from itertools import groupby

import pytest

from faltung.bench.runner import MOST, Timing, best_quarter, take_turns, wait_for_quiet
from turned_clock import TurnedClock


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5.0], 5), ([3.0, 1, 2, 4], 1), ([5.0, 1, 2, 4, 3], 1.5), ([8.0, 7, 6, 5, 4, 3, 2, 1], 1.5)],
)
def test_the_best_quarter_is_rounded_up(values, expected):
    assert best_quarter(values) == expected


def test_contenders_take_turns_and_are_timed_by_the_call():
    hands = TurnedClock()
    contenders = {"a": hands.contender("a", 0.001), "b": hands.contender("b", 0.004)}
    found = take_turns(contenders, rounds=5, clock=hands.clock)
    assert list(found) == ["a", "b"]
    assert found["a"] == Timing(pytest.approx(0.001), pytest.approx(0.001), 5)
    assert found["b"] == Timing(pytest.approx(0.004), pytest.approx(0.004), 5)
    blocks = [name for name, _ in groupby(name for name, _ in hands.calls)]
    assert blocks == ["a", "b"] * 6  # the first calls, then five rounds


def test_a_slow_spell_of_the_machine_changes_medians_but_no_best_quarter():
    hands = TurnedClock()

    def slowed(seconds):
        return lambda now: seconds * (3 if now > 0.15 else 1)

    contenders = {
        "a": hands.contender("a", slowed(0.001)),
        "b": hands.contender("b", slowed(0.002)),
    }
    found = take_turns(contenders, rounds=16, clock=hands.clock)
    assert found["a"].best == pytest.approx(0.001, rel=0.2)
    assert found["b"].best == pytest.approx(0.002, rel=0.2)
    assert found["a"].median == pytest.approx(0.003)
    assert found["b"].median == pytest.approx(0.006)


def test_nobody_starts_while_another_ones_threads_spin():
    hands = TurnedClock()
    spinner, victim = hands.contender("spinner", 0.001, 0.02), hands.contender("victim", 0.001)
    take_turns({"spinner": spinner, "victim": victim}, rounds=4, clock=hands.clock)
    # Only the calls before the first block, which nobody times against each other.
    assert hands.seen_spinning.count("victim") <= 1


def test_endless_spinning_is_not_waited_for():
    hands = TurnedClock()
    hands.spinning = 1e9
    wait_for_quiet(hands.clock)
    assert 0.1 < hands.time < 0.3


def test_quiet_costs_one_short_pause():
    hands = TurnedClock()
    wait_for_quiet(hands.clock)
    assert hands.time <= 0.005


def test_the_slow_have_fewer_blocks_spread_over_the_rounds():
    hands = TurnedClock()
    contenders = {"fast": hands.contender("fast", 1e-4), "slow": hands.contender("slow", 0.2)}
    found = take_turns(contenders, seconds=2.0, clock=hands.clock)
    assert found["slow"].blocks == 3 < found["fast"].blocks == MOST
    places = [place for place, (name, _) in enumerate(hands.calls) if name == "slow"][3:]
    assert places[0] < len(hands.calls) / 2 < places[-1]


def test_the_budget_is_kept():
    hands = TurnedClock()
    contenders = {name: hands.contender(name, 0.002) for name in "abcdefgh"}
    take_turns(contenders, seconds=2.5, clock=hands.clock)
    assert 1.0 < hands.time < 3.0


def test_a_call_of_seconds_that_was_made_is_made_once_more_only():
    hands = TurnedClock()
    contenders = {"fast": hands.contender("fast", 1e-3), "ages": hands.contender("ages", 5.0)}
    found = take_turns(contenders, seconds=1, costs={"ages": 5.0}, clock=hands.clock)
    assert sum(name == "ages" for name, _ in hands.calls) == 1
    assert found["ages"] == Timing(pytest.approx(5.0), pytest.approx(5.0), 1)


def test_the_first_call_of_all_may_take_long_without_costing_blocks():
    hands = TurnedClock()
    prepares = hands.contender("prepares", lambda now: 0.4 if now == 0 else 1e-4)
    assert take_turns({"prepares": prepares}, clock=hands.clock)["prepares"].blocks == MOST


def test_calls_shorter_than_the_clock_can_tell():
    hands = TurnedClock()
    ticks = iter(range(10**9))

    def call():
        if next(ticks) % 1000 == 0:
            hands.time += 0.001

    found = take_turns({"tiny": call}, rounds=2, clock=hands.clock)
    assert found["tiny"].best == pytest.approx(1e-6, rel=0.2)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_garbage_collection_rests_and_comes_back_as_it_was(is_enabled):
    seen = []

    def fails():
        seen.append(gc.isenabled())
        raise ZeroDivisionError

    was_enabled = gc.isenabled()
    (gc.enable if is_enabled else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            take_turns({"fails": fails})
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert seen == [False]


def test_nobody_to_time():
    assert take_turns({}) == {}


def test_real_time():
    import time

    found = take_turns(
        {"short": lambda: time.sleep(0.001), "long": lambda: time.sleep(0.01)}, rounds=2
    )
    assert 0.001 <= found["short"].best < found["long"].best
