"""Median, minimum, maximum and percentile filters: SciPy's values, channel by channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16
from scipy import ndimage

import faltung as ft

RNG = np.random.default_rng(17)
NDIMAGE = {
    "reflect": "mirror",
    "symmetric": "reflect",
    "edge": "nearest",
    "wrap": "wrap",
    "constant": "constant",
}
FILTERS: dict[str, tuple[Any, Any]] = {
    "median": (ft.median_filter, ndimage.median_filter),
    "minimum": (ft.minimum_filter, ndimage.minimum_filter),
    "maximum": (ft.maximum_filter, ndimage.maximum_filter),
    "percentile 10": (
        lambda image, size, **options: ft.percentile_filter(image, 10, size, **options),
        lambda image, size, **options: ndimage.percentile_filter(image, 10, size, **options),
    ),
    "percentile 90": (
        lambda image, size, **options: ft.percentile_filter(image, 90, size, **options),
        lambda image, size, **options: ndimage.percentile_filter(image, 90, size, **options),
    ),
}
SHAPES = [((9, 8), (3, 3)), ((5, 7), (2, 4)), ((1, 6), (3, 5)), ((70, 66), (5, 2)), ((3, 3), 7)]


def picture(shape: tuple[int, ...], dtype: str) -> Any:
    if dtype == "f4":
        return RNG.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("border", NDIMAGE)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "i4"])
def test_values_are_those_of_ndimage(name: str, border: str, dtype: str) -> None:
    ours, theirs = FILTERS[name]
    for shape, size in SHAPES:
        image = picture(shape, dtype)
        got = ours(image, size, border=border, cval=9)
        assert got.dtype == image.dtype
        np.testing.assert_array_equal(got, theirs(image, size, mode=NDIMAGE[border], cval=9))


@pytest.mark.parametrize("name", FILTERS)
def test_channels_strides_and_anchors(name: str) -> None:
    ours, theirs = FILTERS[name]
    image = picture((11, 10, 3), "u1")
    got = ours(image, (3, 4), stride=(2, 3), anchor=(0, 3))
    assert got.flags.c_contiguous
    for channel in range(3):
        # SciPy counts from the centre, and the other way.
        expected = theirs(image[..., channel], (3, 4), mode="mirror", origin=(-1, 1))
        np.testing.assert_array_equal(got[..., channel], expected[::2, ::3])


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "i8", "f2", "f8", ">f4", bfloat16])
def test_every_real_dtype_is_kept(dtype: Any) -> None:
    image = RNG.integers(0, 2, (6, 7)).astype(dtype)
    for ours, theirs in FILTERS.values():
        got = ours(image, 3)
        assert got.dtype == image.dtype.newbyteorder("=")
        expected = theirs(image.astype(np.int64), 3, mode="mirror")
        np.testing.assert_array_equal(got.astype(np.int64), expected)


def test_large_integers_are_exact() -> None:
    image = RNG.integers(2**63, 2**63 + 300, (80, 90), np.uint64)
    small = (image - np.uint64(2**63)).astype(np.uint16)
    for ours, _ in FILTERS.values():
        np.testing.assert_array_equal(ours(image, 3) - np.uint64(2**63), ours(small, 3))


@pytest.mark.parametrize("percentile", [0, 1, 33.3, 50, 99, 100, np.float32(75), np.int64(20)])
def test_percentiles_count_as_in_ndimage(percentile: Any) -> None:
    image = picture((8, 9), "u1")
    for size in (1, 2, 3, (1, 5)):
        got = ft.percentile_filter(image, percentile, size, border="symmetric")
        np.testing.assert_array_equal(got, ndimage.percentile_filter(image, percentile, size))


@pytest.mark.parametrize("name", FILTERS)
def test_nan_comes_out_where_the_window_has_one(name: str) -> None:
    for shape in ((7, 8), (70, 80)):
        image = RNG.normal(size=shape)
        image[3, 4] = np.nan
        is_nan = np.isnan(FILTERS[name][0](image, 3))
        assert is_nan.sum() == 9
        assert is_nan[2:5, 3:6].all()


def test_a_window_that_leaves_the_picture_is_blank() -> None:
    image = np.full((4, 5), 7, np.uint8)
    for ours, _ in FILTERS.values():
        expected = np.pad(np.full((2, 3), 7), 1)
        np.testing.assert_array_equal(ours(image, 3, border="blank"), expected)
        assert ours(image, 3, border="zeros").max() <= 7


def test_pictures_are_left_alone() -> None:
    image = picture((9, 9), "u1")
    image.flags.writeable = False
    before = image.copy()
    for ours, _ in FILTERS.values():
        assert not np.shares_memory(ours(image, 1), image)
        np.testing.assert_array_equal(ours(image, 1), before)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ft.median_filter(np.ones(4), 3), ft.ShapeError, "median_filter: image has 1 axes"),
        (lambda: ft.median_filter(np.ones((0, 4)), 3), ft.WindowError, "no pixel"),
        (lambda: ft.median_filter(np.ones((4, 4)), 0), ft.WindowError, "size is 0"),
        (lambda: ft.median_filter(np.ones((4, 4)), 2.5), ft.WindowError, "size is 2.5"),
        (lambda: ft.minimum_filter(np.ones((4, 4)), (3, 3, 3)), ft.WindowError, "3 entries"),
        (lambda: ft.maximum_filter(np.ones((4, 4)), 3, stride=0), ft.WindowError, "stride"),
        (lambda: ft.maximum_filter(np.ones((4, 4)), 3, anchor=3), ft.WindowError, "anchor"),
        (lambda: ft.maximum_filter(np.ones((4, 4)), 3, border="no"), ft.OptionError, "border"),
        (lambda: ft.median_filter(np.ones((4, 4), complex), 3), ft.DTypeError, "no order"),
        (lambda: ft.percentile_filter(np.ones((4, 4)), 101, 3), ft.OptionError, "0 to 100"),
        (lambda: ft.percentile_filter(np.ones((4, 4)), True, 3), ft.OptionError, "0 to 100"),
        (lambda: ft.percentile_filter(np.ones((4, 4)), 1j, 3), ft.OptionError, "0 to 100"),
        (lambda: ft.percentile_filter(np.ones((4, 4)), np.nan, 3), ft.OptionError, "0 to 100"),
        (lambda: ft.percentile_filter(np.ones((4, 4)), "9", 3), ft.OptionError, "a number"),
        (
            lambda: ft.median_filter(np.ones((4, 4), "u1"), 3, border="constant", cval=-1),
            ft.OptionError,
            "cval is -1, which uint8 cannot hold",
        ),
        (lambda: ft.median_filter(np.ones((4, 4)), 10**7), ft.ResourceError, "bytes"),
    ],
)
def test_bad_arguments(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match="_filter: ") as caught:
        call()
    assert words in str(caught.value)
