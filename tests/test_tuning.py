"""`tune`: what it measures, what it stores, who honours it, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import faltung as ft
from faltung import tuning
from faltung.bench.runner import Timing
from faltung.plans import _select

SHAPE = (1, 3, 40, 40)
WEIGHT = np.ones((2, 3, 3, 3), np.float32)


@pytest.fixture
def times(monkeypatch):
    """What the clock would say, by algorithm; others take a second."""
    told: dict[str, float] = {}

    def take_turns(calls, **_):
        return {name: Timing(told.get(name, 1.0), 1.0, 3) for name in calls}

    monkeypatch.setattr(tuning, "take_turns", take_turns)
    return told


def chosen(operator, shape=SHAPE):
    return operator.describe(shape).algorithm


def ran(call, monkeypatch):
    """The algorithm that a call goes through."""
    names = []
    for algorithm in _select.ALGORITHMS:
        original = algorithm.prepare

        def prepare(problem, operands, original=original, name=algorithm.name):
            names.append(name)
            return original(problem, operands)

        monkeypatch.setattr(algorithm, "prepare", prepare)
    call()
    return names[0]


def test_the_choice_holds_for_equal_operators_and_the_function(times, monkeypatch):
    operator, other = ft.Conv(WEIGHT), ft.Conv(2 * WEIGHT)
    x = np.ones(SHAPE, np.float32)
    expected, before = operator(x), chosen(operator)
    assert np.array_equal(ft.conv(x, WEIGHT), expected)
    times["stencil"] = 1e-9
    found = ft.tune(operator, SHAPE)
    try:
        assert (found.algorithm, found.planned) == ("stencil", before)
        assert found.seconds["stencil"] == 1e-9
        assert set(found.seconds) <= set(found.predicted)
        assert chosen(operator) == chosen(other) == "stencil"
        assert "tune found stencil" in operator.describe(SHAPE).rejected[before]
        assert ran(lambda: ft.conv(x, WEIGHT), monkeypatch) == "stencil"
        assert ran(lambda: operator(x), monkeypatch) == "stencil"
        assert np.array_equal(operator(x), expected)  # whole numbers: no order changes them
        for shape in [(2, 3, 40, 40), (1, 3, 40, 41)]:
            assert chosen(operator, shape) == before
        assert chosen(ft.Conv(WEIGHT, padding=1)) == before
        assert chosen(ft.Conv(WEIGHT, algorithm="direct")) == "direct"
        with ft.reproducible():
            assert chosen(ft.Conv(WEIGHT)) == "direct"
    finally:
        found.forget()
    assert chosen(operator) == before


def test_small_inputs_may_be_tuned_to_compiled_code(times):
    pytest.importorskip("numba")
    operator = ft.Conv([[[[1.0, -1.0]]]])
    assert chosen(operator, (1, 1, 6, 8)) == "stencil"
    times["direct"] = 1e-9
    found = ft.tune(operator, (1, 1, 6, 8))
    assert chosen(operator, (1, 1, 6, 8)) == found.algorithm == "direct"
    x = np.arange(48.0).reshape(1, 1, 6, 8)
    assert (operator(x) == -1).all()
    found.forget()
    assert chosen(operator, (1, 1, 6, 8)) == "stencil"


def test_what_is_hardly_quicker_changes_nothing(times):
    operator = ft.WindowReduce((3, 3), "median")
    before = chosen(operator)
    other = "stencil" if before == "ordering" else "ordering"
    times.update({before: 1.0, other: 0.98})
    found = ft.tune(operator, SHAPE)
    assert found.algorithm == before
    found.forget()


def test_it_measures_what_has_a_chance(times):
    operator = ft.Conv(np.ones((1, 1, 15, 15), np.float32), padding=7)
    found = ft.tune(operator, (1, 1, 300, 300))
    found.forget()
    assert "stencil" in found.predicted
    assert "stencil" not in found.seconds
    assert found.algorithm in found.seconds
    assert "not measured" in str(found)
    assert found._repr_html_().count("<tr>") == 1 + len(found.predicted)


def test_all_kinds_of_operators_are_measured_by_the_clock():
    operators = [
        (ft.MaxPool((2, 2), return_indices=True), (1, 4, 64, 64), None),
        (ft.Unfold((3, 3), data_format="channels_last"), (9, 9, 2), np.int16),
        (ft.Resize((5, 7), mode="bilinear"), (1, 1, 9, 9), None),
    ]
    for operator, shape, dtype in operators:
        found = ft.tune(operator, shape, dtype=dtype, seconds=0.01)
        assert all(time > 0 for time in found.seconds.values())
        assert operator.describe(shape, dtype).algorithm == found.algorithm
        found.forget()


def test_kernels_that_are_no_products_leave_out_what_needs_them():
    weight = np.random.default_rng(0).normal(size=(1, 1, 9, 9)).astype(np.float32)
    found = ft.tune(ft.Conv(weight, padding=4), (1, 1, 200, 200), seconds=0.02)
    found.forget()
    assert "low_rank" not in found.seconds


def test_a_file_keeps_it_where_that_is_asked_for(times, tmp_path, monkeypatch):
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(tmp_path))
    operator = ft.Unfold((3, 3))
    times["copying"] = 1e-9
    ft.tune(operator, SHAPE).forget()
    assert not list(tmp_path.glob("tuning_*"))
    written = ft.tune(operator, SHAPE, keep=True)
    written.forget()
    (file,) = tmp_path.glob("tuning_*")
    times["copying"] = 9.0
    read = ft.tune(operator, SHAPE, keep=True)
    assert read.is_from_file
    assert {**read.to_dict(), "is_from_file": False} == written.to_dict()
    assert chosen(operator) == "copying"
    assert not ft.tune(operator, SHAPE).is_from_file
    read.forget()
    assert_broken_files_are_measured_again(operator, file)


def assert_broken_files_are_measured_again(operator: ft.Operator, file: Path) -> None:
    whole = file.read_bytes()
    for broken in (b"", whole[:-9], whole[:60] + b"x" + whole[61:]):
        file.write_bytes(broken)
        found = ft.tune(operator, SHAPE, keep=True)
        assert not found.is_from_file
        assert found.algorithm != "copying"
        found.forget()
        assert ft.tune(operator, SHAPE, keep=True).is_from_file
    for wrong in (b"[]", b"{}", b"null", b'{"algorithm": "magic"}', b"\xff"):
        tuning._cache.write(file, wrong)
        assert tuning._read(file.name.partition("_")[2].partition("-")[0]) is None
    ft.tune(operator, SHAPE).forget()


def test_many_threads_may_tune_and_compute(times):
    operator, x = ft.Conv(WEIGHT), np.ones(SHAPE, np.float32)
    expected = operator(x)
    times["stencil"] = 1e-9

    def work(number: int) -> bool:
        if number % 4 == 0:
            ft.tune(operator, SHAPE)
        return np.array_equal(operator(x), expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))
    ft.tune(operator, SHAPE).forget()


@pytest.mark.parametrize(
    ("arguments", "parameters", "words"),
    [
        ((3, SHAPE), {}, "which is no operator"),
        ((ft.Sequential(ft.Conv(WEIGHT)), SHAPE), {}, "tune each one by itself"),
        ((ft.Conv(WEIGHT, algorithm="direct"), SHAPE), {}, "algorithm='direct' itself"),
        ((ft.Conv(WEIGHT), SHAPE), {"seconds": 0}, "seconds is 0"),
        ((ft.Conv(WEIGHT), SHAPE), {"seconds": "long"}, "positive number of seconds"),
        ((ft.Conv(WEIGHT), SHAPE), {"seconds": float("nan")}, "seconds is nan"),
    ],
)
def test_bad_calls_say_what_would_work(arguments, parameters, words):
    with pytest.raises(ft.OptionError, match="tune: ") as error:
        ft.tune(*arguments, **parameters)
    assert words in str(error.value)


def test_impossible_shapes_and_weights_without_numbers_are_named():
    with pytest.raises(ft.ShapeError):
        ft.tune(ft.Conv(WEIGHT), (1, 4, 40, 40))
    with pytest.raises(ft.ShapeError, match="shape alone"):
        ft.tune(ft.Conv((2, 3, 3, 3)), SHAPE, seconds=0.01)


def test_what_is_reproducible_is_not_tuned():
    with ft.reproducible():
        operator = ft.Conv(WEIGHT)
        with pytest.raises(ft.OptionError, match="reproducible"):
            ft.tune(ft.Conv(WEIGHT), SHAPE)
    with pytest.raises(ft.OptionError, match="reproducible"):
        ft.tune(operator, SHAPE)
