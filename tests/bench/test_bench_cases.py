"""The cases, and that every operation is built right by faltung, NumPy and SciPy."""

import dataclasses
import sys

import numpy as np
import pytest

import faltung as ft
from bench_problems import PROBLEMS
from faltung.bench.cases import Case, all_cases, families, select
from faltung.bench.exact import error_of, exact_result, is_right
from faltung.bench.ours import ours
from faltung.bench.peers import known_peers, open_peers
from faltung.compiled import machine
from faltung.errors import MissingExtraError, OptionError

INSTALLED = ["numpy", "scipy", "scipy.ndimage"]
CASES = all_cases()


def test_names_are_unique_and_no_name_is_a_family():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 100
    assert not set(names) & set(families(CASES))


def test_the_networks_are_there():
    told = " ".join(case.name for case in CASES)
    for network in ("resnet50", "vgg16", "mobilenetv2", "efficientnet", "convnext", "unet"):
        assert network in told
    for network in ("deeplab", "wavenet", "c3d", "resnext50", "rednet", "dcgan"):
        assert network in told


def test_all_cases_have_a_small_problem_here():
    assert {case.operation for case in CASES} == {case.operation for case in PROBLEMS}


def test_without_words_everything_but_the_heavy():
    chosen = select([])
    assert [case for case in CASES if case not in chosen] == [
        case for case in CASES if case.is_heavy
    ]
    assert any(case.is_heavy for case in CASES)


def test_words_name_cases_families_or_parts():
    cases = [
        Case("a one", "small", "conv", (1,)),
        Case("a two", "large", "conv", (1,)),
        Case("b small", "large", "conv", (1,), is_heavy=True),
    ]
    assert select(["a two"], cases) == cases[1:2]
    assert select(["large"], cases) == cases[1:2]  # what is heavy needs its whole name
    assert select(["b small"], cases) == cases[2:]
    assert select(["A "], cases) == cases[:2]
    assert select(["two", "small"], cases) == cases[:2]
    with pytest.raises(OptionError, match=r"no case and no family is called 'three'.*small, large"):
        select(["three"], cases)


def test_the_numbers_of_a_case_are_always_the_same():
    case = PROBLEMS[0]
    assert np.array_equal(case.problem().x, case.problem().x)
    assert np.array_equal(case.problem().weight, case.problem().weight)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.operation == "conv"], ids=lambda case: case.name
)
def test_multiply_adds_and_output_are_those_of_the_report(case):
    shape = (1, *case.shape[1:])  # of a batch one sample is enough
    problem = dataclasses.replace(case, shape=shape).problem()
    options = {name: value for name, value in case.options.items() if name != "is_function"}
    report = ft.Conv(problem.weight, **options).describe(shape, case.dtype)
    assert report.output_shape[2:] == problem.output
    assert problem.flops == 2 * problem.macs == 2 * report.macs


@pytest.mark.parametrize("case", PROBLEMS, ids=lambda case: case.name)
def test_faltung_computes_what_the_benchmark_checks(case):
    problem = case.problem()
    made = ours(problem)
    error = error_of(made.as_array(made.call()), exact_result(problem))
    assert is_right(error, problem), error


@pytest.mark.parametrize(("name", "count"), [("numpy", 17), ("scipy", 5), ("scipy.ndimage", 7)])
def test_numpy_and_scipy_compute_the_same(name, count):
    (peer,), _ = open_peers([name], machine.available_cores())
    seen = 0
    for case in PROBLEMS:
        problem = case.problem()
        made = peer.build(problem)
        if isinstance(made, str):
            continue
        error = error_of(made.as_array(made.call()), exact_result(problem))
        assert is_right(error, problem), (case.name, error)
        seen += 1
    assert seen == count


def test_exact_results_notice_a_wrong_one():
    for case in PROBLEMS:
        problem = case.problem()
        exact = exact_result(problem)
        wrong = exact.copy()
        wrong.flat[wrong.size // 2] += 0.01 * np.abs(exact).max()
        if case.dtype != "uint8":
            assert not is_right(error_of(wrong, exact), problem), case.name
        assert is_right(error_of(exact, exact), problem)


def test_peers_are_found_by_import():
    known = known_peers()
    assert set(INSTALLED) <= set(known)
    assert {"torch", "torch_channels_last", "onnxruntime", "openvino", "jax", "opencv"} <= set(
        known
    )
    found, missing = open_peers(None, machine.available_cores())
    assert {peer.name for peer in found} | set(missing) == set(known)
    assert set(INSTALLED) <= {peer.name for peer in found}


def test_a_peer_that_is_asked_for_must_be_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"'opencv' cannot be used.*opencv-python-headless"):
        open_peers(["numpy", "opencv"], machine.available_cores())
    with pytest.raises(OptionError, match=r"no peer is called 'nobody'.*'numpy'"):
        open_peers(["nobody"], 1)


def test_numpy_takes_part_only_with_as_many_threads(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    _, missing = open_peers(None, machine.available_cores() + 1)
    assert "threadpoolctl" in missing["numpy"]


def test_large_unfoldings_are_not_made():
    case = Case("large", "", "conv", (1, 64, 512, 512), (64, 64, 3, 3))
    (peer,), _ = open_peers(["numpy"], machine.available_cores())
    assert "MiB" in peer.build(case.problem())


def test_separable_weights_are_told_from_others():
    by_name = {case.name: case.problem() for case in PROBLEMS}
    lines = by_name["filter_array volume"].lines
    assert [len(line) for line in lines] == [3, 3, 5]
    product = np.einsum("i,j,k->ijk", *lines)
    assert np.allclose(product, by_name["filter_array volume"].weight, rtol=1e-6)
    assert by_name["filter_array"].lines == by_name["filter_image"].lines == ()
