"""The ordering plan: what it finds is what sorting each window finds, to the bit."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16

import faltung as ft
from faltung.plans import ordering
from faltung.plans._order import Order, between, comparisons

RNG = np.random.default_rng(8)
REDUCTIONS = ["median", ("percentile", 30), ("percentile", 100), ("rank", 0), ("rank", 4)]
BORDERS = ["zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank"]


def both(x: Any, kernel: Any, reduction: Any, **options: Any) -> Any:
    """The result, after a look that the stencil algorithm gives the same."""
    y = ft.window_reduce(x, kernel, reduction, algorithm="ordering", **options)
    expected = ft.window_reduce(x, kernel, reduction, algorithm="stencil", **options)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)
    return y


def apply(values: list[int], steps: Any) -> list[int | None]:
    wires: list[Any] = list(values)
    for first, second, keeps_smaller, keeps_larger in steps:
        pair = sorted((wires[first], wires[second]))
        wires[first] = pair[0] if keeps_smaller else None
        wires[second] = pair[1] if keeps_larger else None
    return wires


@pytest.mark.parametrize("count", range(1, 12))
def test_the_network_orders_every_sequence_of_zeros_and_ones(count: int) -> None:
    # What orders those orders everything (Knuth's 0-1 principle).
    for place in range(count):
        steps = comparisons(count, frozenset([place]))
        for values in product((0, 1), repeat=count):
            assert apply(list(values), steps)[place] == sorted(values)[place]


def test_the_network_orders_permutations_and_drops_what_nobody_needs() -> None:
    steps = comparisons(6, frozenset([2, 3]))
    for values in permutations(range(6)):
        assert apply(list(values), steps)[2:4] == [2, 3]
    assert len(comparisons(25, frozenset([12]))) < len(comparisons(25, frozenset(range(25))))
    assert comparisons(1, frozenset([0])) == ()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i8", "f4", "f8", "?"])
def test_borders_and_dtypes(border: str, dtype: str) -> None:
    x = RNG.integers(0, 2 if dtype == "?" else 100, (2, 3, 7, 6)).astype(dtype)
    options = {"padding": ((4, 1), (2, 9)), "padding_mode": border, "stride": (1, 2)}
    if border == "constant":
        options["padding_value"] = 1
    for reduction in REDUCTIONS:
        both(x, (3, 2), reduction, **options)


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 3, 40), (5,), {"stride": 3, "padding": "causal"}),
        ((1, 2, 5, 6, 7), (2, 3, 2), {"padding": 1, "dilation": (1, 2, 1)}),
        ((1, 1, 3, 4, 3, 4), (1, 2, 3, 2), {"stride": 2}),
        ((1, 1, 9, 9), (1, 1), {"stride": 4}),
        ((0, 2, 9, 9), (3, 3), {}),
        ((1, 2, 1, 5), (5, 5), {"padding": 2, "padding_mode": "reflect"}),
        ((1, 1, 30, 30), (2, 2), {"stride": 9, "dilation": 5}),
    ],
)
def test_ranks_strides_and_sides_of_one_cell(shape: Any, kernel: Any, options: Any) -> None:
    x = RNG.normal(size=shape)
    if 0 in shape:
        assert ft.window_reduce(x, kernel, "median", **options).shape == (0, 2, 7, 7)
        return
    for reduction in ("median", ("percentile", 77)):
        both(x, kernel, reduction, **options)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_any_cut_into_blocks_gives_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = RNG.integers(0, 255, (2, 3, 11, 13), dtype=np.uint8)
    options = {"padding": 2, "padding_mode": "wrap", "stride": (2, 1)}
    expected = both(x, (5, 4), ("rank", 7), **options)
    monkeypatch.setattr(ordering, "LARGEST_WIRE", size)
    np.testing.assert_array_equal(both(x, (5, 4), ("rank", 7), **options), expected)


def test_nan_reaches_its_windows_and_infinities_stay() -> None:
    for place in np.ndindex(5, 6):
        x = RNG.normal(size=(1, 5, 6))
        x[(0, *place)] = np.nan
        for reduction in REDUCTIONS:
            y = both(x, (3, 2), reduction, padding=1)
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[0], 1), (3, 2))
            np.testing.assert_array_equal(np.isnan(y[0]), np.isnan(windows).any(axis=(2, 3)))
    x = RNG.choice([-np.inf, 1.0, 2.0, np.inf], (1, 9, 9))
    for reduction in REDUCTIONS:
        both(x, (3, 3), reduction)


@pytest.mark.parametrize("dtype", [np.float16, bfloat16])
def test_16_bit_floats(dtype: Any) -> None:
    x = RNG.normal(size=(1, 12, 12)).astype(dtype)
    y = ft.window_reduce(x, (3, 3), "median", algorithm="ordering")
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(float), (3, 3))
    np.testing.assert_array_equal(y[0].astype(float), np.median(windows, axis=(2, 3)))
    assert y.dtype == dtype


def test_a_rank_is_exact_where_float64_is_not() -> None:
    x = np.arange(2**63, 2**63 + 6000, dtype=np.uint64)[None, ::-1]
    for algorithm in ("ordering", "stencil"):
        y = ft.window_reduce(x, (3,), ("rank", 2), algorithm=algorithm)
        np.testing.assert_array_equal(y, x[:, :-2])


def test_kinds_of_arrays_are_read_and_left_alone() -> None:
    x = RNG.normal(size=(2, 3, 8, 9)).astype(np.float32)
    expected = both(x, (3, 3), "median")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for other in (np.asfortranarray(x), x[:, :, ::-1][:, :, ::-1], x.astype(">f4")):
        before = other.copy()
        np.testing.assert_array_equal(both(other, (3, 3), "median"), expected)
        np.testing.assert_array_equal(other, before)
    y = both(last, (3, 3), "median", data_format="channels_last")
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)


def test_it_runs_where_there_are_many_outputs_and_says_why_not_elsewhere() -> None:
    def report(reduction: Any, shape: Any, kernel: Any = (3, 3)) -> Any:
        return ft.WindowReduce(kernel, reduction).describe(shape)

    assert report("median", (1, 1, 80, 80)).algorithm == "ordering"
    assert report("median", (1, 1, 80, 80)).workspace_bytes <= 2**24
    few = dict(report("median", (1, 1, 8, 8)).rejected)["ordering"]
    assert few.startswith("predicted ")
    assert "the rule here is var" in dict(report("var", (1, 1, 80, 80)).rejected)["ordering"]
    many = dict(report("median", (1, 1, 200, 200), (40, 40)).rejected)["ordering"]
    assert many == "a window has 1,600 taps, more than 1,024"
    wide = ft.WindowReduce((2,), "median", dilation=10**7).describe((1, 1, 10**7 + 9**5))
    assert "workspace" in dict(wide.rejected)["ordering"]


def test_between_two_values() -> None:
    low, high = np.float64([1, -np.inf, np.inf]), np.float64([3, 4, np.inf])
    assert between(low, high, Order(0, 0)) is low
    with np.errstate(invalid="ignore"):
        line = between(low, high, Order(0, 1, 0.25))
    np.testing.assert_array_equal(line[::2], [1.5, np.inf])
    np.testing.assert_array_equal(
        between(low, high, Order(0, 1, is_mean=True)), [2, -np.inf, np.inf]
    )
