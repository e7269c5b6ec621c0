"""`filter_array` beside scipy.ndimage, `numpy.pad` and the formula of normalised convolution."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from faltung.arrays import filter_array

Array = NDArray[Any]
NDIMAGE = {
    "reflect": "mirror",
    "symmetric": "reflect",
    "edge": "nearest",
    "wrap": "wrap",
    "constant": "constant",
}
SHAPES = [
    ((7,), (3,)),
    ((7,), (4,)),
    ((3,), (8,)),
    ((5, 6), (2, 3)),
    ((5, 6), (4, 4)),
    ((2, 3), (7, 8)),
    ((3, 4, 5), (2, 3, 2)),
    ((4, 1), (3, 3)),
]


def textbook(x: Array, kernel: Array, border: str, origin: tuple[int, ...], cval: float) -> Array:
    """Pad with numpy.pad, look through every window, multiply, add."""
    before = [k // 2 + shift for k, shift in zip(kernel.shape, origin, strict=True)]
    width = [(low, k - 1 - low) for low, k in zip(before, kernel.shape, strict=True)]
    if border in ("zeros", "constant"):
        padded = np.pad(x, width, constant_values=0 if border == "zeros" else cval)
    else:
        padded = np.pad(x, width, mode=border)  # type: ignore[call-overload]
    windows = sliding_window_view(padded, kernel.shape)
    result: Array = (windows * kernel).sum(axis=tuple(range(x.ndim, 2 * x.ndim)))
    return result


@pytest.mark.parametrize("border", sorted(NDIMAGE))
@pytest.mark.parametrize("flip", [False, True])
def test_every_border_and_origin_equals_ndimage(border: str, flip: bool) -> None:
    rng = np.random.default_rng(0)
    for shape, size in SHAPES:
        if border == "reflect" and 1 in shape:
            continue  # ndimage's mirror reads outside an axis of one cell
        shifts = [range(-(k // 2), (k - 1) // 2 + 1) for k in size]
        origins = list(product(*shifts))
        for origin in origins[:: max(len(origins) // 12, 1)]:
            x, kernel = rng.integers(-9, 10, shape), rng.integers(-9, 10, size)
            oracle = ndimage.convolve if flip else ndimage.correlate
            expected = oracle(x, kernel, mode=NDIMAGE[border], cval=3, origin=origin)
            got = filter_array(x, kernel, border=border, cval=3, origin=origin, flip=flip)
            assert got.dtype == np.int64
            assert np.array_equal(got, expected), (shape, size, origin)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), min_size=1, max_size=3),
    border=st.sampled_from([*NDIMAGE, "zeros"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200, deadline=None)
def test_any_size_equals_numpy_pad(sizes: list[tuple[int, int]], border: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, size = zip(*sizes, strict=True)
    x, kernel = rng.integers(-9, 10, shape), rng.integers(-9, 10, size)
    origin = tuple(int(rng.integers(-(k // 2), (k - 1) // 2 + 1)) for k in size)
    stride = tuple(int(step) for step in rng.integers(1, 4, len(size)))
    expected = textbook(x, kernel, border, origin, 5)[tuple(slice(None, None, s) for s in stride)]
    got = filter_array(x, kernel, border=border, cval=5, origin=origin, stride=stride)
    assert np.array_equal(got, expected)


@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@settings(max_examples=80, deadline=None)
def test_other_axes_are_independent_samples(
    shape: list[int], seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    order = data.draw(st.permutations(range(len(shape))))
    axes = tuple(order[: data.draw(st.integers(1, len(shape)))])
    kernel = rng.integers(-9, 10, [int(k) for k in rng.integers(1, 5, len(axes))])
    x = rng.integers(-9, 10, shape)
    expected = np.zeros_like(x)
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    for place in np.ndindex(*[shape[axis] for axis in rest]):
        index: list[Any] = [slice(None)] * x.ndim
        for axis, i in zip(rest, place, strict=True):
            index[axis] = i
        # What is left has the filtered axes in ascending order; the kernel wants them in its own.
        sample, target = x[tuple(index)], expected[tuple(index)]
        turn = [sorted(axes).index(axis) for axis in axes]
        target.transpose(turn)[...] = textbook(
            sample.transpose(turn), kernel, "edge", (0,) * len(axes), 0
        )
    signed = tuple(axis - x.ndim if rng.integers(2) else axis for axis in axes)
    assert np.array_equal(filter_array(x, kernel, axes=signed, border="edge"), expected)


def test_the_default_axes_are_the_last_ones() -> None:
    x, kernel = np.random.default_rng(1).normal(size=(3, 4, 5)), np.array([1.0, 2, 4])
    assert np.array_equal(filter_array(x, kernel), filter_array(x, kernel, axes=2))
    assert np.array_equal(filter_array(x, kernel), filter_array(x, kernel, axes=-1))
    assert not np.array_equal(filter_array(x, kernel), filter_array(x, kernel, axes=0))


def test_samples_without_cells_give_an_empty_result() -> None:
    assert filter_array(np.zeros((0, 5)), np.ones(3)).shape == (0, 5)
    assert filter_array(np.zeros((5, 0)), np.ones(3), axes=0, stride=2).shape == (3, 0)


def test_blank_windows_that_leave_the_array_give_zero() -> None:
    assert filter_array([1, 2, 3, 4], [1, 1, 1], border="blank").tolist() == [0, 6, 9, 0]


@pytest.mark.parametrize("x_type", ["?", "i1", "u2", "i8", "f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("kernel_type", ["?", "u1", "i4", "f4", "f8", "c8"])
def test_the_dtype_is_that_of_numpy(x_type: str, kernel_type: str) -> None:
    x, kernel = np.ones(6, x_type), np.ones(3, kernel_type)
    got = filter_array(x, kernel)
    assert got.dtype == np.result_type(x, kernel)
    assert np.array_equal(got, np.full(6, got.dtype.type(1 if got.dtype == bool else 3)))


def test_bfloat16_is_one_of_the_dtypes() -> None:
    x, kernel = np.arange(6).astype(bfloat16), np.ones(3, bfloat16)
    got = filter_array(x, kernel, border="edge")
    assert got.dtype == bfloat16
    assert got.tolist() == [1, 3, 6, 9, 12, 14]
    x[2] = np.nan
    got = filter_array(x, kernel, border="edge", nan="ignore")
    assert got.dtype == bfloat16
    assert got.tolist() == [1, 1.5, 6, 10.5, 12, 14]


def test_integers_wrap_unless_a_wider_dtype_is_asked_for() -> None:
    x, kernel = np.full(3, 200, np.uint8), np.ones(3, np.uint8)
    assert filter_array(x, kernel).tolist() == [88, 88, 88]
    assert filter_array(x, kernel, dtype=np.int32).tolist() == [600, 600, 600]
    assert filter_array(x, kernel, dtype=np.int32, border="constant", cval=-1).tolist()[0] == 399


# Missing cells


def normalised(x: Array, valid: Array, kernel: Array, border: str) -> Array:
    """The formula: conv(x v, w) sum|w| / conv(v, |w|)."""
    zero = (0,) * x.ndim
    sums = textbook(np.where(valid, x, 0), kernel, border, zero, 2)
    present = textbook(valid.astype(float), np.abs(kernel), border, zero, 1)
    with np.errstate(all="ignore"):
        result: Array = sums * np.abs(kernel).sum() / present
    return result


@pytest.mark.parametrize("border", ["reflect", "symmetric", "edge", "wrap", "constant"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_missing_cells_follow_the_formula(border: str, share: float) -> None:
    rng = np.random.default_rng(7)
    for shape, size in SHAPES:
        x, kernel = rng.normal(size=shape), rng.normal(size=size)
        valid = rng.random(shape) > share
        holed = np.where(valid, x, np.nan)
        expected = normalised(x, valid, kernel, border)
        for got in (
            filter_array(holed, kernel, border=border, cval=2, nan="ignore"),
            filter_array(x, kernel, border=border, cval=2, mask=valid),
            filter_array(holed, kernel, border=border, cval=2, mask=valid),
        ):
            assert np.allclose(got, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_where_all_cells_are_valid_the_bits_are_those_of_the_plain_result(dtype: str) -> None:
    rng = np.random.default_rng(8)
    x, kernel = rng.normal(size=(20, 20)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype)
    x[9, 11] = np.nan
    plain, got = filter_array(x, kernel), filter_array(x, kernel, nan="ignore")
    whole = ~np.isnan(plain)
    assert whole.sum() == 400 - 12
    assert got.dtype == plain.dtype
    assert np.array_equal(got[whole], plain[whole])
    assert np.isfinite(got).all()


def test_windows_without_a_valid_cell_are_nan_and_constants_fill_holes() -> None:
    x = [np.nan, np.nan, np.nan, np.nan, 1.0]
    got = filter_array(x, [1.0, 1, 1], nan="ignore", border="edge")
    assert np.array_equal(got, [np.nan, np.nan, np.nan, 3, 3], equal_nan=True)
    got = filter_array([3.0, 4, 6], [1.0, 2, 1], mask=[True, False, True], border="edge")
    assert np.allclose(got, [12, 18, 24])
    got = filter_array([np.nan] * 5, [1.0, 2, 1], nan="ignore", border="constant", cval=2)
    assert np.array_equal(got, [8, np.nan, np.nan, np.nan, 8], equal_nan=True)
    got = filter_array([np.nan] * 3, [1.0, 2, 1], nan="ignore", border="blank")
    assert np.array_equal(got, [0, np.nan, 0], equal_nan=True)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("border", ["reflect", "constant", "blank"])
@pytest.mark.parametrize("size", [7, 40_000])
def test_without_any_weight_there_is_no_mean(dtype: str, border: str, size: int) -> None:
    x, valid = np.ones(size, dtype), np.arange(size) % 5 < 4
    expected = np.full(size, np.nan)
    if border == "blank":
        expected[[0, -1]] = 0
    for options in ({"mask": valid}, {"nan": "ignore"}, {"nan": "ignore", "mask": valid}):
        got = filter_array(x, np.zeros(3, dtype), border=border, cval=1, **options)
        assert got.dtype == np.result_type(x, np.float64 if x.dtype.kind in "bui" else dtype)
        assert np.array_equal(np.isnan(got), np.isnan(expected))
        assert not got[~np.isnan(got)].any()
        out = np.ones(size, np.complex128)
        filter_array(x, np.zeros(3, dtype), border=border, cval=1, out=out, **options)
        assert np.array_equal(np.isnan(out), np.isnan(expected))
    plain = filter_array(x, np.zeros(3, dtype), border=border)
    assert not plain.any()


def test_integers_with_a_mask_become_float() -> None:
    x = np.array([10, 255, 20], np.uint8)
    mask = np.array([True, False, True])
    got = filter_array(x, np.array([1, 1, 1], np.uint8), mask=mask, border="edge")
    assert got.dtype == np.float64
    assert got.tolist() == [30, 45, 60]
    assert filter_array(x, np.ones(3, np.uint8), nan="ignore").dtype == np.float64
    assert filter_array(x, np.ones(3, "u1"), mask=mask, dtype="f4").dtype == np.float32


def test_a_mask_broadcasts_and_invalid_infinities_vanish() -> None:
    x = np.array([[1.0, np.inf, 3], [4, np.nan, 6]])
    got = filter_array(x, [1.0, 1, 1], mask=[True, False, True], border="edge")
    assert np.allclose(got, [[3, 6, 9], [12, 15, 18]])


def test_a_weight_that_is_not_finite_shows_where_it_lands() -> None:
    got = filter_array([1.0, np.nan, 3, 4, 5], [np.inf, 1, 1], nan="ignore", border="edge")
    plain = filter_array([1.0, 2, 3, 4, 5], [np.inf, 1, 1], border="edge")
    assert np.array_equal(np.isinf(plain), [True] * 5)
    assert np.isinf(got[[0, 1, 3, 4]]).all()


def test_zeros_beyond_the_edge_are_valid_like_constants() -> None:
    x = np.array([1.0, 2, 3, np.nan, 5, 6, 7])
    plain, got = (
        filter_array(x, [1.0, 2, 1], border="zeros"),
        filter_array(x, [1.0, 2, 1], border="zeros", nan="ignore"),
    )
    assert plain[0] == 4
    assert np.allclose(got, [4, 8, 32 / 3, 16, 64 / 3, 24, 20], rtol=1e-15)


def test_a_mask_and_missing_nan_together() -> None:
    x = np.array([1.0, np.nan, 3, 4, 5])
    mask = [False, True, True, True, True]
    got = filter_array(x, [1.0, 2, 1], nan="ignore", mask=mask, border="edge")
    assert np.allclose(got, [np.nan, 12, 40 / 3, 16, 19], rtol=1e-15, equal_nan=True)


def test_a_valid_nan_still_shows() -> None:
    got = filter_array([1.0, np.nan, 3, 4, 5], [1.0, 1], mask=[True, True, True, False, True])
    assert np.array_equal(got, [np.nan, np.nan, np.nan, 6, 10], equal_nan=True)


# What is written where


def test_out_receives_the_result_even_over_its_own_input() -> None:
    rng = np.random.default_rng(9)
    x, kernel = rng.normal(size=(4, 5, 6)), rng.normal(size=3)
    for axes in (0, 1, 2):
        expected = filter_array(x, kernel, axes=axes)
        wide = np.zeros((4, 5, 6), complex)
        assert filter_array(x, kernel, axes=axes, out=wide) is wide
        assert np.array_equal(wide, expected)
        own = x.copy()
        assert filter_array(own, kernel, axes=axes, out=own) is own
        assert np.array_equal(own, expected)
        backwards = np.zeros((6, 5, 4)).T[:, ::-1]
        filter_array(x, kernel, axes=axes, out=backwards)
        assert np.array_equal(backwards, expected)


def test_out_has_the_shape_of_the_strided_result() -> None:
    x = np.arange(7.0)
    out = np.zeros(3)
    assert filter_array(x, [0.0, 1, 0], stride=3, out=out) is out
    assert out.tolist() == [0, 3, 6]


def test_arrays_of_every_kind_are_read_and_left_alone() -> None:
    x, kernel = np.arange(30.0).reshape(5, 6), np.arange(6.0).reshape(2, 3)
    expected = filter_array(x, kernel)
    unaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(float).reshape(5, 6)
    read_only = x.copy()
    read_only.flags.writeable = False
    kinds = [np.asfortranarray(x), x[::-1][::-1], x.astype(">f8"), unaligned, read_only, x.tolist()]
    for kind in kinds:
        got = filter_array(kind, kernel)
        assert np.array_equal(got, expected)
        assert got.dtype.isnative
    spread = np.broadcast_to(np.arange(6.0), (5, 6))
    assert np.array_equal(filter_array(spread, kernel), filter_array(spread.copy(), kernel))
    assert np.array_equal(x, np.arange(30.0).reshape(5, 6))
