"""Ratios, means, order and JSON, from figures that are made up."""

import json

import pytest

from faltung.bench.results import (
    NATIVE,
    CaseResult,
    Figure,
    as_json,
    by_family,
    geometric_mean,
    machine_facts,
    middle_run,
    sorted_by_ratio,
)
from faltung.bench.tables import FAMILY_HEADER, family_row


def case(name, family, *, peak=None, **seconds):
    figures = {
        who.replace("_last", "_channels_last"): Figure(value, 2 * value, 3, 1e-7, True)
        for who, value in seconds.items()
    }
    return CaseResult(name, family, 1000, figures, {}, peak)


RESULTS = [
    case("even", "first", faltung=1.0, torch=1.0, openvino=3.0),
    case("won", "first", faltung=1.0, torch=4.0, openvino=5.0),
    case("lost", "second", faltung=2.0, torch_last=1.5, openvino=1.0),
    case("alone", "third", faltung=1.0),
    case("failed", "fourth", torch=1.0),
]


def test_geometric_mean():
    assert geometric_mean([0.5, 2]) == pytest.approx(1)
    assert geometric_mean([3]) == pytest.approx(3)
    assert geometric_mean([0, 5]) == 0
    assert geometric_mean([]) is None


def test_ratios():
    assert [result.ratio() for result in RESULTS] == [1, 4, 0.5, None, 0]
    assert [result.ratio(NATIVE) for result in RESULTS] == [1, 4, 0.75, None, 0]
    assert [result.fastest() for result in RESULTS] == ["torch", "torch", "openvino", None, "torch"]


def test_medians_are_compared_with_medians():
    figures = {
        "faltung": Figure(1.0, 2.0, 3, 0, True),
        "a": Figure(1.0, 5.0, 3, 0, True),
        "b": Figure(2.0, 3.0, 3, 0, True),
    }
    result = CaseResult("x", "y", None, figures, {}, None)
    assert (result.ratio(), result.ratio_of_medians()) == (1, 1.5)


def test_the_worst_comes_first_and_who_is_alone_last():
    names = [result.name for result in sorted_by_ratio(RESULTS)]
    assert names == ["failed", "lost", "even", "won", "alone"]


def test_the_run_in_the_middle_counts():
    runs = [case("x", "y", faltung=1.0, torch=ratio) for ratio in (3.0, 1.0, 2.0)]
    assert middle_run(runs).ratio() == 2
    assert middle_run(runs).ratios_of_runs == (3, 1, 2)
    assert middle_run(runs[:2]).ratio() == 1
    assert middle_run([RESULTS[3]]).ratios_of_runs == ()


def test_families():
    first, second, fourth = by_family(RESULTS)
    assert (first.name, first.cases, first.losses) == ("first", 2, 0)
    assert first.mean == pytest.approx(2)
    assert (first.worst, first.worst_ratio) == ("even", 1)
    assert (second.losses, second.mean, second.mean_to_native) == (1, 0.5, 0.75)
    assert (fourth.mean, fourth.worst) == (0, "failed")
    assert len(family_row(first)) == len(FAMILY_HEADER)


def test_share_of_peak():
    assert case("x", "y", peak=4000.0, faltung=0.5).share_of_peak == 0.5
    assert case("x", "y", faltung=0.5).share_of_peak is None
    assert case("x", "y", peak=4000.0, torch=0.5).share_of_peak is None


def test_json_has_everything_and_no_infinity():
    wrong = Figure(1.0, 1.0, 1, float("inf"), False)
    results = [*RESULTS, CaseResult("nan", "first", None, {"faltung": wrong}, {"x": "why"}, None)]
    text = json.dumps(as_json(machine_facts(2, ["scipy"]), results), allow_nan=False)
    found = json.loads(text)
    assert found["machine"]["threads"] == 2
    assert set(found["machine"]["versions"]) == {"faltung", "numpy", "scipy"}
    assert found["machine"]["instruction_set"]
    assert found["cases"][2]["ratio"] == 0.5
    assert found["cases"][2]["ratio_to_native"] == 0.75
    assert found["cases"][-1]["contenders"]["faltung"] == {
        "seconds": 1.0,
        "median_seconds": 1.0,
        "blocks": 1,
        "error": None,
        "right": False,
    }
    assert found["cases"][-1]["left_out"] == {"x": "why"}
    assert [family["name"] for family in found["families"]] == ["first", "second", "fourth"]
