"""Predicted times: every algorithm has one, they grow with the work, and they order the plan."""

from __future__ import annotations

from math import isfinite

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import machine
from faltung.plans import _cost, _ranking, _select, stencil

FLAT = np.ones((3, 3), bool)
KERNELS = np.ones((1, 2, 9, 40, 40), np.float32)
FAMILY = {
    "conv": (ft.Conv((32, 32, 3, 3), padding=1), (1, 32, 40, 40)),
    "depthwise": (ft.Conv((32, 1, 5, 5), groups=32), (1, 32, 40, 40)),
    "picture": (ft.Conv((1, 1, 25, 25), padding=12), (1, 1, 300, 300)),
    "conv_transpose": (ft.ConvTranspose((16, 16, 4, 4), stride=2), (1, 16, 40, 40)),
    "involution": (ft.Involution(KERNELS, kernel_size=3, padding=1), (1, 8, 40, 40)),
    "max_pool": (ft.MaxPool((2, 2)), (1, 16, 80, 80)),
    "median": (ft.WindowReduce((3, 3), "median"), (1, 4, 80, 80)),
    "erode": (ft.Erode(FLAT), (1, 16, 80, 80)),
    "unfold": (ft.Unfold((3, 3)), (1, 16, 80, 80)),
    "fold": (ft.Fold((80, 80), (3, 3), padding=1), (1, 16 * 9, 80 * 80)),
    "resize": (ft.Resize((160, 160), mode="bilinear"), (1, 16, 80, 80)),
    "pad": (ft.Pad(2, "reflect"), (1, 16, 80, 80)),
}


def plan_of(operator, shape, dtype=None):
    return operator._bound_to_shape(shape, dtype).plan


def test_every_algorithm_has_prices_from_the_lowest_level_on():
    for name in ft.algorithms():
        assert "generic" in _cost.PRICES[name], name
        for level in machine.LEVELS:
            price = _cost._price_on(name, level)
            assert min(price) >= 0, name
            assert price.flop + price.byte > 0, name


def test_the_family_takes_every_algorithm_and_predicts_its_time():
    met = set()
    for operator, shape in FAMILY.values():
        plan = plan_of(operator, shape)
        met |= {algorithm.name for algorithm in plan.candidates}
        assert len(plan.seconds) == len(plan.candidates)
        assert all(isfinite(time) and 1e-7 < time < 100 for time in plan.seconds)
    assert met == set(ft.algorithms())


@pytest.mark.parametrize("name", FAMILY)
def test_twice_the_samples_take_longer_by_every_algorithm(name):
    operator, (batch, *rest) = FAMILY[name]
    if name == "involution":
        operator = ft.Involution(np.repeat(KERNELS, 2, axis=0), kernel_size=3, padding=1)
        before = FAMILY[name][0]
    else:
        before = operator
    once, twice = plan_of(before, (batch, *rest)), plan_of(operator, (2 * batch, *rest))
    times = dict(zip([a.name for a in twice.candidates], twice.seconds, strict=True))
    for algorithm, time in zip(once.candidates, once.seconds, strict=True):
        assert 1.05 * time < times[algorithm.name] < 5 * time, algorithm.name


@pytest.mark.parametrize("algorithm", ["direct", "image", "stencil"])
def test_twice_the_size_channels_or_taps_take_longer(algorithm):
    def predicted(size, channels, kernel, groups=1):
        operator = ft.Conv(
            (channels, channels // groups, kernel, kernel), groups=groups, algorithm=algorithm
        )
        return plan_of(operator, (1, channels, size, size)).seconds[0]

    for groups in (1, 4):
        base = predicted(64, 4, 3, groups)
        assert predicted(128, 4, 3, groups) > base
        assert predicted(64, 4, 7, groups) > base
    assert predicted(64, 32, 3, 32) > predicted(64, 16, 3, 16)


def test_wider_numbers_and_lower_levels_take_longer():
    operator = ft.Conv((64, 64, 3, 3), algorithm="direct")
    times = [plan_of(operator, (1, 64, 56, 56), dtype).seconds[0] for dtype in ("f4", "f8", "c16")]
    assert times == sorted(times)
    for name in ("direct", "image", "phases"):
        flops = [_cost._price_on(name, level).flop for level in ("avx512", "avx2", "generic")]
        assert flops == sorted(flops)
    assert _cost._price_on("direct", "amx") == _cost._price_on("direct", "avx512")
    assert _cost._price_on("direct", "sse4") == _cost._price_on("direct", "generic")


class Fake:
    def __init__(self, name, time):
        self.name, self.time = name, time

    def seconds(self, problem):
        return self.time


def ranked(problem, tuned=None, **times):
    ordered, told = _ranking.rank(problem, [Fake(*pair) for pair in times.items()], tuned)
    return [each.name for each in ordered], {each.algorithm: each.reason for each in told}


def problem_of(operator, shape):
    return operator._bound_to_shape(shape, None).problem


def test_the_shortest_time_comes_first_and_equal_ones_keep_their_order():
    problem = problem_of(*FAMILY["conv"])
    names, reasons = ranked(problem, direct=3e-3, image=9e-4, phases=3e-3)
    assert names == ["image", "direct", "phases"]
    assert reasons["direct"] == "predicted 3 ms, image 900 µs"
    assert reasons["image"] == ""


def test_products_of_matrices_are_the_last_resort_of_sums_alone():
    names, reasons = ranked(problem_of(*FAMILY["conv"]), stencil=1e-6, direct=1e-3)
    assert names == ["direct", "stencil"]
    assert "BLAS is the last resort" in reasons["stencil"]
    names, _ = ranked(problem_of(*FAMILY["unfold"]), unfolding=1e-3, stencil=1e-6)
    assert names == ["stencil", "unfolding"]


def test_what_is_asked_for_tuned_or_reproducible_overrules_the_times():
    operator, shape = FAMILY["conv"]
    names, reasons = ranked(problem_of(operator, shape), "fft", direct=1e-3, fft=2e-3)
    assert names == ["fft", "direct"]
    assert reasons["direct"] == "tune found fft to be quicker for this shape"
    asking = problem_of(ft.Conv((32, 32, 3, 3), padding=1, algorithm="stencil"), shape)
    assert ranked(asking, direct=1e-3, stencil=1.0)[0] == ["stencil", "direct"]
    with ft.reproducible():
        fixed = problem_of(ft.Conv((32, 32, 3, 3), padding=1), shape)
    names, reasons = ranked(fixed, direct=2e-3, image=1e-3, stencil=1e-9)
    assert names == ["direct", "image", "stencil"]
    assert "reproducible" in reasons["image"]


def test_crossings_lie_where_they_were_measured():
    """On both sides of each; the benchmark of the crossings is ``benchmarks/thresholds.py``."""
    pytest.importorskip("numba")

    def chosen(operator, shape):
        return operator.describe(shape).algorithm

    few, many = ft.Conv((2, 2, 3, 3), padding=1), ft.Conv((32, 32, 3, 3), padding=1)
    grouped = ft.Conv((192, 6, 3, 3), groups=32, padding=1)
    assert chosen(grouped, (1, 192, 28, 28)) == "image"
    assert chosen(few, (1, 2, 112, 112)) == "image"
    assert chosen(many, (1, 32, 112, 112)) == "direct"
    unfold = ft.Unfold((3, 3), padding=1)
    assert chosen(unfold, (1, 1, 20, 20)) == "stencil"
    assert chosen(unfold, (1, 64, 56, 56)) == "unfolding"
    assert chosen(ft.Pad(1, "reflect"), (1, 1, 12, 12)) == "stencil"
    assert chosen(ft.Pad(1, "reflect"), (1, 64, 256, 256)) == "copying"
    median = ft.WindowReduce((3, 3), "median")
    assert chosen(median, (1, 1, 5, 5)) == "stencil"
    assert chosen(median, (1, 1, 300, 300)) == "ordering"


def test_describe_shows_what_is_predicted_and_why_others_are_slower():
    report = FAMILY["conv"][0].describe(FAMILY["conv"][1])
    assert report.to_dict()["predicted_seconds"] == report.predicted_seconds
    assert f"predicted        {_cost.shown_seconds(report.predicted_seconds)}" in str(report)
    assert report.rejected["stencil"].startswith("predicted ")
    conv, pool = ft.Conv((8, 4, 3, 3)), ft.MaxPool((2, 2))
    chain = ft.Sequential(conv, pool).describe((1, 4, 30, 30))
    parts = conv.describe((1, 4, 30, 30)), pool.describe((1, 8, 28, 28))
    assert chain.predicted_seconds == sum(part.predicted_seconds for part in parts)


@pytest.mark.parametrize(
    ("time", "words"),
    [(2.0, "2 s"), (0.9996, "1 s"), (3.14159e-3, "3.14 ms"), (4.2e-6, "4.2 µs")],
)
def test_times_in_words(time, words):
    assert _cost.shown_seconds(time) == words


def test_a_prediction_takes_no_time():
    """It multiplies a few numbers: no table is made, however large the problem."""
    operator = ft.Conv((1, 1, 3, 3), padding=1)
    problem = problem_of(operator, (1, 1, 10**6, 10**6))
    assert stencil.seconds(problem) > 1000
    assert not problem.kept
    assert len(_select.ALGORITHMS) == len(ft.algorithms())
