"""The stencil plan in blocks: the same results, in little memory."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from cases import draw_case
from faltung.operators._call import finish
from faltung.plans import _blocks, _resources, _select, stencil


@pytest.mark.parametrize(("limit", "count"), [(300, 20), (3000, 60), (30000, 60)])
def test_blocks_change_nothing(monkeypatch, limit, count):
    rng = np.random.default_rng(limit)
    cases = [draw_case(rng, dtype="int64") for _ in range(count)]
    whole = [ft.conv(c.x, c.weight, c.bias, **c.parameters, algorithm="stencil") for c in cases]
    monkeypatch.setattr(_blocks, "WORKSPACE", limit)
    for case, expected in zip(cases, whole, strict=True):
        operator = ft.Conv(case.weight, case.bias, **case.parameters, algorithm="stencil")
        assert np.array_equal(operator(case.x), expected)


def test_blocks_do_not_change_bits_when_reproducible(monkeypatch):
    rng = np.random.default_rng(2)
    x, weight = rng.standard_normal((2, 5, 9, 8)), rng.standard_normal((3, 5, 4, 3))
    with ft.reproducible():
        operators = [ft.Conv(weight, padding="same", algorithm="stencil") for _ in range(5)]
        whole = operators[0](x)
        for limit, operator in zip((200, 1000, 5000, 20000), operators[1:], strict=True):
            monkeypatch.setattr(_blocks, "WORKSPACE", limit)
            assert np.array_equal(operator(x), whole)


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "parameters"),
    [
        ((1, 1, 1500, 1400), (1, 1, 5, 5), {"padding": "same"}),
        ((4, 64, 60, 60), (32, 64, 3, 3), {"padding": 1}),
        ((1, 2, 400_000), (3, 2, 31), {"padding": "causal"}),
        ((1, 1, 700_000), (1, 1, 350_000), {"stride": 200_000}),
    ],
)
def test_workspace_is_what_describe_says(x_shape, weight_shape, parameters):
    x, weight = np.ones(x_shape, np.float32), np.ones(weight_shape, np.float32)
    operator = ft.Conv(weight, **parameters, algorithm="stencil")
    report = operator.describe(x_shape)
    assert report.workspace_bytes <= _resources.WORKSPACE
    out = np.empty(report.output_shape, np.float32)
    bound, prepared, *_ = operator._ready(x.shape, x.dtype)  # packs the weights
    tracemalloc.start()
    finish(bound, prepared, x, (), out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= report.workspace_bytes + 2**20


def test_the_choice_says_why():
    report = ft.Conv(np.ones((1, 1, 3))).describe((1, 1, 8))
    assert report.algorithm == "stencil"
    assert set(report.rejected) == set(ft.algorithms()) - {"stencil"}
    with pytest.raises(ft.OptionError, match="Use None or one of"):
        ft.conv1d(np.ones((1, 1, 8)), np.ones((1, 1, 3)), algorithm="magic")


def test_the_last_candidate_takes_everything():
    assert _select.ALGORITHMS[-1] is stencil
