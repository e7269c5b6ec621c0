"""The choice of an algorithm: its order, its reasons, and what it may depend on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import faltung as ft
from faltung.config import Settings
from faltung.operators._arrays import Spec
from faltung.operators._call import bind
from faltung.plans import _select

HIGHEST = Settings("highest", False)


def bound_conv(shape=(1, 24, 32, 32), filters=24, kernel=3, dtype="float32", **parameters):
    record = ft.conv.record
    groups = parameters.get("groups", 1)
    weight = (filters, shape[1] // groups, kernel, kernel)
    specs = {
        "x": Spec("x", shape, np.dtype(dtype)),
        "weight": Spec("weight", weight, np.dtype(dtype)),
    }
    settings = parameters.pop("settings", HIGHEST)
    parameters = {**record.defaults, **parameters}
    parameters.pop("out", None)
    return bind(record, specs, parameters, settings)


def chosen(*args, **parameters):
    return bound_conv(*args, **parameters).plan.chosen.name


def test_every_algorithm_is_chosen_or_refused_with_a_reason():
    for filters, kernel in [(8, 3), (1, 1)]:
        plan = bound_conv(filters=filters, kernel=kernel).plan
        named = [plan.chosen.name, *(name for name, _ in plan.rejected)]
        assert sorted(named) == sorted(ft.algorithms())
        assert all(len(reason) > 10 for _, reason in plan.rejected)


def test_candidates_of_sums_are_ordered_by_predicted_time_and_end_with_the_stencil():
    plan = bound_conv().plan
    names = [algorithm.name for algorithm in plan.candidates]
    assert names[0] == "direct"
    assert names[-1] == "stencil"
    assert list(plan.seconds[:-1]) == sorted(plan.seconds[:-1])
    assert dict(plan.rejected)["stencil"].startswith("predicted ")


@pytest.mark.parametrize("size", [1, 2, 9, 64, 512])
@pytest.mark.parametrize("dtype", ["float32", "complex64", "uint8"])
def test_one_threshold_divides_small_from_large(size, dtype):
    """One multiply-add a pixel and channel: 2^15 of them are enough for compiled code."""
    name = chosen((1, 8, size, size), 8, 1, dtype)
    assert name == ("direct" if 64 * size * size >= 2**15 else "stencil")


def test_few_multiply_adds_are_refused_with_their_number():
    reasons = dict(bound_conv((1, 1, 6, 8), 1, 1).plan.rejected)
    assert reasons["direct"].startswith("48 multiply-adds")


def test_what_was_asked_for_comes_first_and_the_others_remain():
    plan = bound_conv(algorithm="stencil").plan
    assert plan.chosen.name == "stencil"
    assert ("direct", "algorithm='stencil' was asked for") in plan.rejected
    assert chosen((1, 1, 6, 8), 1, 1, algorithm="direct") == "direct"


def test_what_cannot_be_done_is_refused_with_the_reason_and_the_possible():
    with pytest.raises(ft.OptionError, match="'copying' cannot do this: it copies") as error:
        _ = bound_conv(algorithm="copying").plan
    assert "'direct'" in str(error.value)
    assert "'stencil'" in str(error.value)
    with pytest.raises(ft.OptionError, match="not known"):
        bound_conv(algorithm="fastest")


def test_the_possible_is_what_the_weights_allow():
    x, product = np.ones((1, 1, 60, 60)), np.ones((1, 1, 9, 9))
    for weight, is_possible in ((product, True), (np.eye(9)[None, None], False)):
        for call in (
            lambda w: ft.conv(x, w, algorithm="copying"),
            lambda w: ft.Conv(w, algorithm="copying")(x),
            lambda w: ft.Conv(w, algorithm="copying").describe(x.shape),
            lambda w: ft.Conv(w, algorithm="copying").stream(axis=0).push(x[0]),
        ):
            with pytest.raises(ft.OptionError, match="Possible here") as error:
                call(weight)
            assert ("'low_rank'" in str(error.value)) == is_possible
            assert "'image'" in str(error.value)
    with pytest.raises(ft.OptionError, match="'low_rank'"):
        ft.Conv((1, 1, 9, 9), algorithm="copying").describe(x.shape)


def test_four_axes_are_refused_by_the_direct_plan():
    x, weight = np.ones((1, 8, 4, 4, 4, 4), "f4"), np.ones((8, 8, 3, 3, 3, 3), "f4")
    with pytest.raises(ft.OptionError, match="1 to 3 axes"):
        ft.conv(x, weight, padding=1, algorithm="direct")


def test_reproducible_takes_the_direct_plan_at_any_size():
    assert chosen((1, 1, 6, 8), 1, 1) == "stencil"
    assert chosen((1, 1, 6, 8), 1, 1, settings=Settings("highest", True)) == "direct"


def test_values_that_a_plan_declines_go_to_the_next():
    bound = bound_conv()
    weight = np.ones((24, 24, 3, 3), np.float32)
    operands = _select.Operands(weight)
    assert _select.prepare(bound.problem, bound.plan, operands).algorithm.name == "direct"
    weight[0, 0, 0, 0] = np.inf
    assert _select.prepare(bound.problem, bound.plan, operands).algorithm.name == "stencil"


def test_threads_and_memory_have_no_say():
    before = ft.get_num_threads()
    shapes = [(1, 8, size, size) for size in (8, 22, 23, 64)]
    try:
        plans = []
        for threads in (1, 7):
            ft.set_num_threads(threads)
            ft.set_memory_limit(2**29 * threads)
            plans.append([(bound_conv(shape).plan.chosen.name, shape) for shape in shapes])
    finally:
        ft.set_num_threads(before)
        ft.set_memory_limit(None)
    assert plans[0] == plans[1]


UNLOADED = """
import sys
import numpy as np, faltung as ft
small = np.ones((1, 1, 6, 8), "f4"), np.ones((1, 1, 1, 2), "f4")
large = np.ones((1, 24, 64, 64), "f4"), np.ones((24, 24, 3, 3), "f4")
def plans():
    return [ft.Conv(w).describe(x.shape).algorithm for x, w in (small, large)]
before = plans()
first = ft.conv2d(*small)
assert "llvmlite" not in sys.modules
ft.conv2d(*large)
assert "llvmlite" in sys.modules
assert plans() == before, (plans(), before)
assert np.array_equal(ft.conv2d(*small), first)
print(before)
"""


def test_the_choice_does_not_ask_whether_compiled_code_is_loaded():
    pytest.importorskip("numba")
    result = subprocess.run(
        [sys.executable, "-c", UNLOADED], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "['stencil', 'direct']"


def test_a_refusal_that_comes_again_reads_the_weights_anew():
    """What shapes settle is kept; that a product of one kernel an axis can do it is not."""
    x, named = np.ones((1, 1, 20, 20), "f4"), []
    for weight in (np.ones((5, 5), "f4"), np.eye(5, dtype="f4"), np.ones((5, 5), "f4")):
        with pytest.raises(ft.OptionError, match=r"copying.*Possible here: .*'direct'") as caught:
            ft.conv(x, weight[None, None], algorithm="copying")
        named.append("'low_rank'" in str(caught.value))
    assert named == [True, False, True]
