"""One case with contenders that are quick, slow, wrong, broken or not able."""

import numpy as np
import pytest

from faltung.bench import measuring
from faltung.bench.cases import Case
from faltung.bench.exact import error_of, exact_result
from faltung.bench.measuring import measure
from faltung.bench.peak import Peak
from faltung.bench.peers import Contender, Peer
from faltung.bench.tables import case_row, remarks
from turned_clock import TurnedClock

CASE = Case("tiny", "small", "conv", (1, 2, 5, 5), (3, 2, 3, 3), {"padding": 1})
TITLES = {name: name.title() for name in ("quick", "slow", "wrong", "broken", "unable", "refuses")}


def peer(hands, called, seconds, *, off_by=0.0):
    class Fake(Peer):
        name, title, package = called, called.title(), "numpy"

        def conv(self, problem):
            exact = exact_result(problem) + off_by
            call = hands.contender(called, seconds)
            return Contender(call, lambda _: exact.astype("f4"))

    return Fake(1)


class Broken(Peer):
    name, title, package = "broken", "Broken", "numpy"

    def conv(self, problem):
        def call():
            raise ValueError("no\nkernel")

        return Contender(call)


class Unable(Peer):
    name, title, package = "unable", "Unable", "numpy"


class Refuses(Peer):
    name, title, package = "refuses", "Refuses", "numpy"
    most_macs = {"conv": 10}  # noqa: RUF012

    def conv(self, problem):
        raise AssertionError("not to be built")


def faltung_taking(hands, monkeypatch, seconds, off_by=0.0):
    build = peer(hands, "faltung", seconds, off_by=off_by).build
    monkeypatch.setattr(measuring, "ours", build)


@pytest.fixture
def hands():
    return TurnedClock()


def test_the_ratio_is_against_the_fastest_that_is_right(hands, monkeypatch):
    faltung_taking(hands, monkeypatch, 0.002)
    peers = [
        peer(hands, "slow", 0.006),
        peer(hands, "quick", 0.003),
        peer(hands, "wrong", 0.0001, off_by=0.01),
    ]
    result = measure(CASE, peers, rounds=4, clock=hands.clock)
    assert result.fastest() == "quick"
    assert result.ratio() == pytest.approx(1.5)
    assert result.ratio_of_medians() == pytest.approx(1.5)
    assert not result.figures["wrong"].is_right
    assert result.figures["wrong"].error > 1e-3
    row = case_row(result, TITLES)
    assert row[0] == "tiny"
    assert row[4] == "Quick"
    assert row[7:] == ("1.50×", "1.50×", "")
    told = "\n".join(remarks([result], TITLES))
    assert "WRONG: Wrong in 'tiny'" in told
    assert "Slow: 3.00× in the mean of 1 cases, faster in 0" in told


def test_a_loss_is_marked(hands, monkeypatch):
    faltung_taking(hands, monkeypatch, 0.004)
    result = measure(CASE, [peer(hands, "quick", 0.003)], rounds=2, clock=hands.clock)
    assert case_row(result, TITLES)[7:] == ("0.75×", "0.75×", "loses")
    assert "Quick: 0.75× in the mean of 1 cases, faster in 1" in list(remarks([result], TITLES))


def test_a_wrong_result_of_faltung_is_no_win(hands, monkeypatch):
    faltung_taking(hands, monkeypatch, 0.0001, off_by=0.01)
    result = measure(CASE, [peer(hands, "quick", 0.003)], rounds=2, clock=hands.clock)
    assert result.ours is None
    assert result.ratio() == result.ratio_of_medians() == 0
    assert case_row(result, TITLES)[-1] == "WRONG"
    assert any(line.startswith("WRONG: faltung in 'tiny'") for line in remarks([result], TITLES))


def test_a_failure_of_faltung_is_told(hands, monkeypatch):
    monkeypatch.setattr(measuring, "ours", Broken(1).build)
    result = measure(CASE, [peer(hands, "quick", 0.003)], rounds=2, clock=hands.clock)
    assert result.ratio() == 0
    assert case_row(result, TITLES)[-1] == "FAILED"
    told = "faltung in 'tiny': failed: ValueError: no kernel"
    assert told in list(remarks([result], TITLES))


def test_who_cannot_take_part_is_left_out_with_the_reason(hands, monkeypatch):
    faltung_taking(hands, monkeypatch, 0.001)
    peers = [Broken(1), Unable(1), Refuses(1)]
    result = measure(CASE, peers, rounds=1, clock=hands.clock)
    assert result.left_out == {
        "broken": "failed: ValueError: no kernel",
        "unable": "has no such operation",
        "refuses": "would take seconds: 1.4e+03 multiply-adds by plain loops",
    }
    assert result.ratio() is None
    assert case_row(result, TITLES)[-1] == "no peer"
    told = list(remarks([result], TITLES))
    assert told == ["Broken in 'tiny': failed: ValueError: no kernel"]


def test_the_peak_takes_its_turn(hands, monkeypatch):
    faltung_taking(hands, monkeypatch, 0.001)
    peak = Peak(hands.contender("peak", 0.002), 20_000)
    result = measure(CASE, [], rounds=3, peak=peak, clock=hands.clock)
    assert result.peak == pytest.approx(1e7)
    assert result.flops == 2 * 25 * 3 * 2 * 9
    assert result.share_of_peak == pytest.approx(result.flops / 0.001 / 1e7)
    assert set(result.figures) == {"faltung"}


def test_another_shape_and_nan_are_no_rounding():
    exact = np.ones((1, 2, 2))
    assert error_of(np.ones((2, 2)), exact) == float("inf")
    assert error_of(np.full((1, 2, 2), np.nan), exact) == float("inf")
    assert error_of(np.full((1, 2, 2), 1.5), exact) == 0.5
    assert error_of(np.full((1, 2, 2), 3, np.uint8), 2 * exact) == pytest.approx(1 / 255)
