"""The stencil plan's short way gives the bits of its long way, for everything that it takes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import faltung as ft
from faltung.operators._call import Door
from faltung.plans import _environment
from faltung.plans._recording import recorded

DTYPES = ["float32", "float64", "complex64", "int16", "bool", "float16"]


def drawn(shape, dtype, seed=0):
    """Values of both signs, zeros of both signs among them."""
    values = np.random.default_rng(seed).standard_normal(shape) * 9
    values.flat[::5] = -0.0
    return values.astype(dtype)


def long_and_short(function, *arrays, **options):
    """What a call gives the first time and what it gives later, and the algorithms of the first."""
    with recorded() as names:
        first = function(*arrays, **options)
    later = [function(*arrays, **options) for _ in range(3)]
    return first, later, names


def assert_same_bits(function, *arrays, **options):
    first, later, names = long_and_short(function, *arrays, **options)
    assert set(names) <= {"stencil", "copying"}, "too large for the plan of this test"
    for each in later:
        assert each.dtype == first.dtype
        assert each.shape == first.shape
        assert each.tobytes() == first.tobytes()


WEIGHTED = [
    ((1, 1, 6, 8), (1, 1, 1, 2), {}),
    ((1, 1, 6, 8), (1, 1, 1, 1), {}),
    ((1, 1, 1, 7), (1, 1, 1, 7), {}),
    ((1, 2, 5, 4), (3, 2, 5, 4), {}),
    ((1, 3, 6, 7), (4, 3, 3, 2), {"padding": 1}),
    ((2, 3, 6, 7), (1, 3, 3, 3), {"padding": (2, (0, 3)), "stride": 2}),
    ((2, 4, 5, 6), (4, 2, 2, 3), {"groups": 2, "padding_mode": "reflect", "padding": 1}),
    ((1, 2, 9), (3, 2, 2), {"stride": 5, "dilation": 3}),
    ((1, 1, 4, 4, 4), (2, 1, 2, 2, 2), {"padding": 1, "flip": True}),
    ((1, 2, 3, 3, 3, 3), (2, 2, 2, 2, 2, 2), {}),
    ((3, 6, 7, 2), (4, 2, 3, 3), {"data_format": "channels_last", "padding": "same"}),
    ((2, 6, 7), (4, 2, 3, 3), {"padding": 1, "padding_mode": "wrap"}),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "options"), WEIGHTED, ids=str)
def test_weighted_sums(shape, kernel, options, dtype):
    x, weight, bias = drawn(shape, dtype), drawn(kernel, dtype, 1), drawn(kernel[0], dtype, 2)
    if "padding" in options and "padding_mode" not in options and dtype != "bool":
        options = {**options, "padding_mode": "constant", "padding_value": 2}
    for others in ((weight,), (weight, bias)):
        assert_same_bits(ft.conv, x, *others, **options)
        assert_same_bits(ft.conv, x, *(np.asfortranarray(each) for each in others), **options)
        assert_same_bits(ft.Conv(*others, **options), x)
        assert_same_bits(
            ft.Conv(*others, **options), np.flip(x).swapaxes(1, 2).copy().swapaxes(1, 2)
        )
    if dtype not in ("bool", "complex64"):
        assert_same_bits(ft.Conv(weight, activation="relu", **options), x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize(
    ("function", "options"),
    [
        (ft.max_pool, {"kernel_size": 2}),
        (ft.max_pool, {"kernel_size": 3, "padding": 1, "stride": 2, "ceil_mode": True}),
        (ft.avg_pool, {"kernel_size": 3, "padding": 1}),
        (ft.avg_pool, {"kernel_size": (2, 3), "padding": 1, "count_include_pad": False}),
        (ft.avg_pool, {"kernel_size": 2, "divisor_override": 3}),
        (ft.lp_pool, {"norm_type": 3, "kernel_size": 2}),
        (ft.adaptive_avg_pool, {"output_size": (2, 5)}),
        (ft.adaptive_max_pool, {"output_size": (4, 3)}),
        (ft.unfold, {"kernel_size": 2, "padding": 1, "padding_mode": "reflect"}),
        (ft.resize, {"size": (4, 9), "mode": "linear"}),
        (ft.resize, {"size": (3, 11), "mode": "cubic"}),
        (ft.resize, {"size": (12, 14)}),
        (ft.pad, {"padding": (2, (1, 0)), "mode": "symmetric"}),
        (ft.window_reduce, {"kernel_size": 2, "reduction": "var", "padding": 1}),
        (ft.erode, {"structure": np.ones((2, 3), bool)}),
        (ft.dilate, {"structure": np.arange(6.0).reshape(2, 3).astype("float32")}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "-".join(value),
)
def test_other_rules(function, options, dtype):
    for shape in ((2, 3, 6, 7), (3, 4, 5)):
        x = drawn(shape, dtype)
        x[..., 2, 3] = np.nan if np.dtype(dtype).kind == "f" else 7
        assert_same_bits(function, x, **options)
        assert_same_bits(function, np.asfortranarray(x), **options)
        assert_same_bits(function, x[..., ::-1], **options, data_format="channels_last")


def test_the_short_way_is_taken(monkeypatch):
    """What a known call no longer does, it cannot do wrong."""
    x, weight = drawn((1, 1, 6, 8), "float32"), drawn((1, 1, 2, 3), "float32")
    operator, pool = ft.Conv(weight), ft.MaxPool(2)
    calls = [
        lambda: operator(x),
        lambda: pool(x),
        lambda: ft.conv(x, weight),
        lambda: ft.max_pool(x, 2),
        lambda: ft.resize(x, (4, 4), mode="linear"),
    ]
    expected = [call() for call in calls]

    def refuse(*arguments):
        raise AssertionError("the long way")

    monkeypatch.setattr(Door, "_assign", refuse)
    monkeypatch.setattr(ft.Operator, "_ready", refuse)
    for call, result in zip(calls, expected, strict=True):
        assert np.array_equal(call(), result)


def test_weights_that_are_not_finite_take_the_long_way():
    x, weight = np.ones((1, 2, 4, 5), "f4"), np.ones((2, 2, 3, 3), "f4")
    for value in (np.inf, np.nan, -np.inf):
        ft.conv(x, weight, padding=1)
        broken = weight.copy()
        broken[0, 0, 0, 0] = value
        for y in (ft.conv(x, broken, padding=1), *(ft.Conv(broken, padding=1)(x) for _ in "ab")):
            assert np.isfinite(y[0, 0, 0]).all()
            assert not np.isfinite(y[0, 0, 1:, 1:]).any()


def test_special_values_make_no_noise():
    """Warnings are errors in tests."""
    x = np.full((1, 1, 4, 4), np.inf, "f4")
    x[0, 0, 1] = -np.inf
    x[0, 0, 2, 2] = np.nan
    weight, bias = np.ones((1, 1, 2, 2), "f4"), np.full(1, np.inf, "f4")
    operators = [ft.Conv(weight), ft.Conv(weight, bias), ft.AvgPool(2), ft.MaxPool(2)]
    operators.append(ft.Resize((3, 3), mode="linear"))
    for operator in operators:
        first = operator(x)
        assert np.array_equal(operator(x), first, equal_nan=True)


def test_a_processor_that_flushes_denormals_is_given_the_long_way(monkeypatch):
    x, weight = drawn((1, 1, 6, 8), "float32"), drawn((1, 1, 2, 3), "float32")
    operator = ft.Conv(weight)
    expected = [operator(x), ft.conv(x, weight), ft.max_pool(x, 2)]
    monkeypatch.setattr(_environment, "_ONE", 0.0)
    with recorded() as names:
        results = [operator(x)]
    assert names == ["stencil"]
    results += [ft.conv(x, weight), ft.max_pool(x, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(results, expected, strict=True))


def test_results_are_new_and_data_stays():
    x, weight = drawn((1, 1, 6, 8), "float32"), drawn((1, 1, 1, 1), "float32")
    kept = x.copy()
    for call in (ft.Conv(weight), ft.Pad(0), ft.MaxPool(1)):
        results = [call(x) for _ in range(3)]
        for result in results[1:]:
            assert not np.shares_memory(result, x)
            assert not np.shares_memory(result, results[0])
            result[...] = 0
    assert np.array_equal(x, kept)


def test_threads_share_an_operator():
    weight = drawn((3, 2, 3, 3), "float32")
    operator, pool = ft.Conv(weight, padding=1), ft.AvgPool(3, padding=1)
    data = [drawn((1, 2, 5, 6), "float32", seed) for seed in range(4)]
    expected = [(operator(x), pool(x), ft.conv(x, weight, padding=1)) for x in data]
    wrong = []

    def call_often(number):
        for turn in range(300):
            at = (number + turn) % len(data)
            got = operator(data[at]), pool(data[at]), ft.conv(data[at], weight, padding=1)
            wrong.extend(
                at for a, b in zip(got, expected[at], strict=True) if a.tobytes() != b.tobytes()
            )

    threads = [threading.Thread(target=call_often, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
