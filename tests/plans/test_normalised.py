"""Normalised convolution in compiled code: against scipy.ndimage, for threads, masks and holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import faltung as ft
from faltung.plans import _normalised
from faltung.plans._recording import recorded

MODES = {
    "reflect": "mirror",
    "symmetric": "reflect",
    "edge": "nearest",
    "wrap": "wrap",
    "constant": "constant",
}
SIZES = [
    ((90, 70), (3, 3)),
    ((70, 90), (4, 5)),
    ((90, 43), (1, 9)),
    ((40_000,), (65,)),
    ((20, 21, 22), (3, 4, 3)),
]
TOLERANCES = {"float32": 2e-4, "float64": 1e-11}


def textbook(x, valid, kernel, border, cval):
    """The formula in float64; whether a window sees any cell is counted in integers."""
    kernel, sizes, mode = kernel.astype(float), np.abs(kernel.astype(float)), MODES[border]
    sums = ndimage.correlate(np.where(valid, x, 0).astype(float), kernel, mode=mode, cval=cval)
    seen = ndimage.correlate(valid.astype(float), sizes, mode=mode, cval=1)
    count = ndimage.correlate(valid.astype(int), (kernel != 0).astype(int), mode=mode, cval=1)
    with np.errstate(all="ignore"):
        return np.where(count == 0, np.nan, sums * sizes.sum() / seen)


def draw(shape, size, dtype, seed, is_product=False):
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal(size)
    if is_product:
        kernel = np.ones(())
        for taps in size:
            kernel = np.multiply.outer(kernel, rng.standard_normal(taps))
    valid = rng.random(shape) > 0.3
    valid[: shape[0] // 3] = False
    return rng.standard_normal(shape).astype(dtype), valid, kernel.astype(dtype)


def assert_close(got, expected):
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    largest = np.nanmax(np.abs(expected))
    assert np.nanmax(np.abs(got - expected)) <= TOLERANCES[got.dtype.name] * largest


@pytest.mark.parametrize("way", ["nan", "mask"])
def test_cells_of_another_dtype_under_borders_on_several_axes(way):
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (30, 3, 8, 25)).astype("f2")
    kernel = rng.integers(-2, 3, (1, 3, 6)).astype("f2")
    valid = rng.random(x.shape) > 0.1
    if way == "nan":
        x[~valid] = np.nan
    missing = {"nan": "ignore"} if way == "nan" else {"mask": valid}
    parameters = {"axes": (0, 2, 1), "border": "wrap", "origin": (0, 0, -3), **missing}
    y = ft.filter_array(x, kernel, **parameters)
    expected = ft.filter_array(x.astype("f8"), kernel, **parameters)
    assert np.allclose(y, expected, 2e-3, 2e-3, equal_nan=True)


@pytest.fixture
def compiled_runs(monkeypatch):
    """A list that grows with each run of compiled code."""
    runs, real = [], _normalised.normalised.run
    monkeypatch.setattr(
        _normalised.normalised, "run", lambda *args: runs.append(args[0]) or real(*args)
    )
    return runs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("border", MODES)
def test_nan_and_masks_follow_the_formula(dtype, border, compiled_runs):
    for seed, (shape, size) in enumerate(SIZES):
        x, valid, kernel = draw(shape, size, dtype, seed)
        holed = np.where(valid, x, np.nan).astype(dtype)
        expected = textbook(x, valid, kernel, border, 2)
        for array, options in (
            (holed, {"nan": "ignore"}),
            (x, {"mask": valid}),
            (holed, {"mask": valid, "nan": "ignore"}),
        ):
            assert_close(ft.filter_array(array, kernel, border=border, cval=2, **options), expected)
    assert len(compiled_runs) == 3 * len(SIZES)


@pytest.mark.parametrize(("shape", "size"), [((90, 100), (25, 25)), ((24, 36, 40), (7, 7, 7))])
def test_products_of_one_kernel_an_axis_are_summed_so(shape, size, compiled_runs):
    x, valid, kernel = draw(shape, size, "float64", 3, is_product=True)
    with recorded() as names:
        got = ft.filter_array(x, kernel, mask=valid, border="edge")
    assert names == ["low_rank"]
    assert len(compiled_runs) == 1
    assert_close(got, textbook(x, valid, kernel, "edge", 0))


def test_bits_are_the_same_for_any_number_of_threads():
    x, valid, kernel = draw((300, 280), (5, 5), "float32", 4)
    results, threads = [], ft.get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            ft.set_num_threads(count)
            results.append(ft.filter_array(x, kernel, mask=valid))
    finally:
        ft.set_num_threads(threads)
    for other in results[1:]:
        assert np.array_equal(results[0], other, equal_nan=True)


def test_without_holes_the_bits_are_those_of_the_plain_result(compiled_runs):
    x, _, kernel = draw((200, 150), (5, 4), "float32", 5)
    plain = ft.filter_array(x, kernel)
    assert np.array_equal(ft.filter_array(x, kernel, nan="ignore"), plain)
    assert np.array_equal(ft.filter_array(x, kernel, mask=np.ones(150, bool)), plain)
    x[17, 80] = np.nan
    got = ft.filter_array(x, kernel, nan="ignore")
    is_far = ~np.isnan(ft.filter_array(x, kernel))
    assert np.array_equal(got[is_far], plain[is_far])
    assert not np.isnan(got).any()
    assert len(compiled_runs) == 3


def test_any_axes_strides_and_masks_that_broadcast(compiled_runs):
    rng = np.random.default_rng(6)
    x, kernel = rng.standard_normal((40, 50, 60)), rng.standard_normal((3, 5))
    mask = rng.random((50, 1)) > 0.2
    for axes in ((0, 1), (2, 0), (1, 2)):
        got = ft.filter_array(x, kernel, axes=axes, mask=mask, border="edge", stride=(1, 2))
        whole = np.expand_dims(
            kernel if axes[0] < axes[1] else kernel.T, ({0, 1, 2} - {*axes}).pop()
        )
        expected = textbook(x, np.broadcast_to(mask, x.shape), whole, "edge", 0)
        step = [slice(None)] * 3
        step[axes[1]] = slice(None, None, 2)
        assert_close(got, expected[tuple(step)])
    assert compiled_runs


def test_integers_with_a_mask_are_summed_in_float64():
    x, valid, kernel = draw((120, 90), (3, 3), "float64", 7)
    cells = np.rint(x * 50).astype(np.int16)
    got = ft.filter_array(cells, np.rint(kernel * 9).astype(np.int16), mask=valid, border="wrap")
    assert_close(got, textbook(cells, valid, np.rint(kernel * 9), "wrap", 0))


def test_blank_borders_a_constant_nan_and_out(compiled_runs):
    x, valid, kernel = draw((90, 80), (3, 3), "float64", 8)
    holed = np.where(valid, x, np.nan)
    inner = textbook(x, valid, kernel, "edge", 0)[1:-1, 1:-1]
    blank = np.full(x.shape, 7.0)
    assert ft.filter_array(holed, kernel, border="blank", nan="ignore", out=blank) is blank
    assert_close(blank[1:-1, 1:-1], inner)
    assert not blank[0].any()
    assert not blank[:, -1].any()
    constant = ft.filter_array(holed, kernel, border="constant", cval=np.nan, nan="ignore")
    assert np.isnan(constant[:, 0]).all()
    assert_close(constant[1:-1, 1:-1], inner)
    assert len(compiled_runs) == 1  # NaN beyond the edge is a value, which one pass cannot tell
    own = holed.copy()
    ft.filter_array(own, kernel, nan="ignore", border="blank", out=own)
    assert np.array_equal(own, blank, equal_nan=True)


def test_transforms_do_not_hide_windows_without_cells():
    rng = np.random.default_rng(9)
    x, kernel = rng.standard_normal(40_000), rng.standard_normal(1501)
    valid = rng.random(x.size) > 0.2
    valid[9_000:15_000] = False
    got = ft.filter_array(np.where(valid, x, np.nan), kernel, nan="ignore", border="edge")
    expected = textbook(x, valid, kernel, "edge", 0)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.isnan(got).sum() >= 4_500
    seen = ~np.isnan(got)
    assert np.allclose(got[seen], expected[seen], rtol=1e-6, atol=1e-6)


TRANSFORMED = [((30_000,), (700,)), ((220, 200), (31, 29)), ((40, 36, 44), (11, 12, 11))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "size"), TRANSFORMED)
@pytest.mark.parametrize("border", ["edge", "constant", "wrap"])
def test_large_kernels_are_summed_by_transforms_in_one_pass(dtype, shape, size, border):
    x, valid, kernel = draw(shape, size, dtype, 11)
    holed = np.where(valid, x, np.nan).astype(dtype)
    expected = textbook(x, valid, kernel, border, 2)
    seen = ~np.isnan(expected)
    tolerance = 1e-6 if dtype == "float32" else 1e-10
    for array, options in (
        (holed, {"nan": "ignore"}),
        (x, {"mask": valid}),
        (holed, {"mask": valid, "nan": "ignore"}),
        (np.asfortranarray(x), {"mask": np.asfortranarray(valid)}),
    ):
        with recorded() as names:
            got = ft.filter_array(array, kernel, border=border, cval=2, **options)
        assert names[0] == "fft"
        assert np.array_equal(np.isnan(got), ~seen)
        assert np.allclose(got[seen], expected[seen], tolerance, tolerance * np.abs(kernel).sum())


def test_transforms_with_a_stride():
    x, valid, kernel = draw((40_000,), (3001,), "float64", 15)
    with recorded() as names:
        got = ft.filter_array(x, kernel, mask=valid, border="edge", stride=2)
    assert names[0] == "fft"
    assert_close(got, textbook(x, valid, kernel, "edge", 0)[::2])


def test_transformed_blocks_without_holes_have_the_bits_of_the_plain_result():
    x, _, kernel = draw((150_000,), (900,), "float64", 12)
    plain = ft.filter_array(x, kernel)
    assert np.array_equal(ft.filter_array(x, kernel, nan="ignore"), plain)
    holed, mask = x.copy(), np.ones(x.size, bool)
    holed[140_000], mask[140_000] = np.nan, False
    for got in (
        ft.filter_array(holed, kernel, nan="ignore"),
        ft.filter_array(x, kernel, mask=mask),
    ):
        assert np.array_equal(got[:100_000], plain[:100_000])
        assert np.isfinite(got).all()
        assert not np.array_equal(got, plain)


def test_blocks_that_transforms_had_better_leave_are_summed_otherwise():
    """One valid cell under the tail of a kernel; an infinity; a valid NaN."""
    x, _, _ = draw((60_000,), (3,), "float64", 13)
    kernel = np.exp(-0.5 * ((np.arange(801) - 400) / 75) ** 2)
    valid = np.ones(x.size, bool)
    valid[20_000:30_000] = False
    x[45_000], x[55_000] = np.inf, np.nan
    with recorded() as names:
        got = ft.filter_array(x, kernel, mask=valid, border="edge")
    assert names[0] == "fft"
    assert len(names) > 1
    finite = np.where(np.isfinite(x), x, 0)
    expected = textbook(finite, valid, kernel, "edge", 0)
    expected[45_000 - 400 : 45_000 + 401] = np.inf
    expected[55_000 - 400 : 55_000 + 401] = np.nan
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.array_equal(np.isinf(got), np.isinf(expected))
    seen = np.isfinite(expected)
    assert np.allclose(got[seen], expected[seen], 1e-7, 1e-9)


@pytest.mark.parametrize("shape", [(60_000,), (300, 260)])
def test_transforms_under_a_blank_border_and_for_any_number_of_threads(shape):
    size = (801,) if len(shape) == 1 else (35, 33)
    x, valid, kernel = draw(shape, size, "float64", 14)
    results, threads = [], ft.get_num_threads()
    try:
        for count in (1, 2, 5):
            ft.set_num_threads(count)
            results.append(ft.filter_array(x, kernel, mask=valid, border="blank"))
    finally:
        ft.set_num_threads(threads)
    for other in results[1:]:
        assert np.array_equal(results[0], other, equal_nan=True)
    inner = tuple(slice(taps // 2, taps // 2 - taps + 1) for taps in size)
    expected = np.zeros(shape)
    expected[inner] = textbook(x, valid, kernel, "edge", 0)[inner]
    assert np.array_equal(np.isnan(results[0]), np.isnan(expected))
    assert np.allclose(results[0], expected, 1e-9, 1e-9, equal_nan=True)


@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
    taps=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    border=st.sampled_from(["edge", "symmetric", "wrap", "constant"]),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_missing(rows, columns, taps, border, share, seed):
    rng = np.random.default_rng(seed)
    x, kernel = rng.standard_normal((rows, columns)), rng.integers(-3, 4, taps).astype(float)
    valid = rng.random(x.shape) >= share
    holed = np.where(valid, x, np.nan)
    got = ft.filter_array(holed, kernel, border=border, nan="ignore")
    expected = textbook(x, valid, kernel, border, 0)
    assert np.allclose(got, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
