"""`filter_image`: channels, anchors, rounding and saturation."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from numpy.typing import NDArray
from scipy import ndimage

from compiled_jobs import output_of
from faltung import kernels
from faltung.config import reproducible
from faltung.images import filter_image

Array = NDArray[Any]
NDIMAGE = {
    "reflect": "mirror",
    "symmetric": "reflect",
    "edge": "nearest",
    "wrap": "wrap",
    "constant": "constant",
}


def saturated(values: Array, dtype: str) -> Array:
    """Rounded and kept in range, in Python's own integers."""
    info = np.iinfo(dtype)
    cells = [min(max(round(float(value)), info.min), info.max) for value in values.ravel()]
    return np.array(cells, dtype).reshape(values.shape)


@given(
    size=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    kernel_size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    channels=st.sampled_from([None, 1, 3, 4]),
    dtype=st.sampled_from(["u1", "i1", "u2", "i4"]),
    border=st.sampled_from(sorted(NDIMAGE)),
    flip=st.booleans(),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_integers_equal_ndimage_rounded_and_saturated(
    size: tuple[int, int],
    kernel_size: tuple[int, int],
    channels: int | None,
    dtype: str,
    border: str,
    flip: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    shape = size if channels is None else (*size, channels)
    info = np.iinfo(dtype)
    image = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    # Quarters: halves occur, and every sum is exact.
    kernel = rng.integers(-3, 4, kernel_size) / 4
    stride = tuple(int(step) for step in rng.integers(1, 4, 2))
    got = filter_image(image, kernel, border=border, cval=9, flip=flip, stride=stride)
    assert got.dtype == image.dtype
    oracle = ndimage.convolve if flip else ndimage.correlate
    planes = image[:, :, None] if channels is None else image
    expected = np.stack(
        [
            oracle(plane.astype(float), kernel, mode=NDIMAGE[border], cval=9)
            for plane in np.moveaxis(planes, 2, 0)
        ],
        axis=2,
    )[:: stride[0], :: stride[1]]
    expected = expected[:, :, 0] if channels is None else expected
    assert np.array_equal(got, saturated(expected, dtype))


def test_halves_go_to_the_even_neighbour() -> None:
    image = np.array([[1, 3, 5, 7]], np.uint8)
    assert filter_image(image, [[0.5]]).tolist() == [[0, 2, 2, 4]]
    assert filter_image(-image.astype(np.int8), [[0.5]]).tolist() == [[0, -2, -2, -4]]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
def test_integers_saturate_at_both_ends(dtype: str) -> None:
    info = np.iinfo(dtype)
    image = np.array([[info.max, info.max // 2, 0, info.min]], dtype)
    assert filter_image(image, [[3.0]]).tolist() == [[info.max, info.max, 0, info.min]]
    turned = filter_image(image, [[-3.0]]).tolist()[0]
    assert turned[0] == info.min
    assert turned[3] == (info.max if info.min < 0 else 0)
    assert filter_image(image, [[np.inf]]).tolist()[0][0] == info.max
    assert filter_image(image, [[np.nan]]).tolist() == [[0, 0, 0, 0]]


def test_bool_is_true_above_one_half() -> None:
    image = np.array([[False, True, True, False, False]])
    got = filter_image(image, [[0.25, 0.25, 0.25]], border="constant")
    assert got.dtype == bool
    assert not got.any()
    got = filter_image(image, [[0.5, 0.5, 0.5]], border="constant")
    assert got.tolist() == [[False, True, True, False, False]]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
def test_floats_keep_their_dtype_and_their_nan(dtype: str) -> None:
    image = np.ones((4, 6, 2), dtype)
    image[1, 1, 0] = np.nan
    got = filter_image(image, np.full((3, 3), 1 / 9))
    assert got.dtype == image.dtype
    assert np.isnan(got[:, :, 0]).sum() == 9
    assert np.allclose(got[:, :, 1], 1, rtol=1e-3)


def test_bfloat16_is_one_of_the_dtypes() -> None:
    image = np.array([[1, 2, 3]], np.uint8)
    got = filter_image(image.astype(bfloat16), [[1, 1, 1]], border="edge")
    assert got.dtype == bfloat16
    assert got.tolist() == [[4, 6, 8]]
    assert np.array_equal(filter_image(image, [[1, 1, 1]], border="edge", dtype=bfloat16), got)
    assert filter_image(got, [[100]], dtype=np.uint8).tolist() == [[255, 255, 255]]


def test_float32_is_computed_in_float32_and_integers_in_float64() -> None:
    image = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)
    single, double = image * np.float32(0.1), image.astype(float) * 0.1
    assert not np.array_equal(single, double.astype(np.float32))
    assert np.array_equal(filter_image(image, [[0.1]]), single)
    assert np.array_equal(filter_image(image, [[0.1]], dtype=float), double)
    large = np.array([[2**40, 1, -(2**40)]])
    assert filter_image(large, np.ones((1, 3)), border="constant")[0, 1] == 1


def test_another_dtype_is_rounded_and_saturated_too() -> None:
    image = np.array([[0.5, 300, -4, np.nan]], np.float32)
    assert filter_image(image, [[1]], dtype="u1").tolist() == [[0, 255, 0, 0]]
    assert filter_image(image, [[1]], dtype=np.int32).tolist() == [[0, 300, -4, 0]]
    grey = np.array([[200, 100]], np.uint8)
    assert filter_image(grey, [[-2]], dtype=np.int16).tolist() == [[-400, -200]]
    assert filter_image(grey, [[0.3]], dtype=float).tolist() == [[60.0, 30.0]]
    assert filter_image(grey, [[1j]], dtype=complex).tolist() == [[200j, 100j]]
    assert np.isinf(filter_image(np.array([[1e300]]), [[1]], dtype=np.float16)).all()
    two_to_31 = np.array([[2.0**31, 2.0**33]], np.float32)
    assert filter_image(two_to_31, [[1]], dtype=np.int32).tolist() == [[2**31 - 1, 2**31 - 1]]


@pytest.mark.parametrize("flip", [False, True])
def test_the_anchor_is_the_cell_that_lies_on_the_pixel(flip: bool) -> None:
    impulse = np.zeros((9, 9))
    impulse[4, 4] = 1
    kernel = np.arange(1.0, 13).reshape(3, 4)
    for anchor in product(range(3), range(4)):
        got = filter_image(impulse, kernel, anchor=anchor, flip=flip, border="constant")
        # A correlation answers to an impulse with the kernel turned round, a convolution as it is.
        cells = {
            (
                4 - (j - anchor[0]) * (-1 if flip else 1),
                4 - (k - anchor[1]) * (-1 if flip else 1),
            ): kernel[j, k]
            for j, k in np.ndindex(3, 4)
        }
        assert {tuple(map(int, place)): got[tuple(place)] for place in np.argwhere(got)} == cells
    centre = filter_image(impulse, kernel, flip=flip)
    assert np.array_equal(centre, filter_image(impulse, kernel, anchor=(1, 2), flip=flip))
    assert np.array_equal(
        filter_image(impulse, np.ones((2, 2)), anchor=0),
        filter_image(impulse, np.ones((2, 2)), anchor=(0, 0)),
    )


def test_normalize_divides_by_the_sum() -> None:
    image = np.full((3, 3), 100, np.uint8)
    assert (filter_image(image, [[1, 2, 1]], normalize=True) == 100).all()
    assert (filter_image(image, [[-1, -3]], normalize=True) == 100).all()
    assert (filter_image(image, [[1, 2, 1]]) == 255).all()


def test_channels_do_not_mix() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (8, 9, 3), np.uint8)
    for channel in range(3):
        assert np.array_equal(
            filter_image(image, kernels.gaussian(1))[:, :, channel],
            filter_image(image[:, :, channel], kernels.gaussian(1)),
        )
    assert filter_image(np.zeros((4, 5, 0)), [[1]]).shape == (4, 5, 0)
    assert filter_image(image, [[1]]).flags.c_contiguous


def test_pictures_of_every_kind_are_read_and_left_alone() -> None:
    image = np.arange(60, dtype=np.uint16).reshape(4, 5, 3)
    expected = filter_image(image, kernels.box(3))
    read_only = image.copy()
    read_only.flags.writeable = False
    kinds = [np.asfortranarray(image), image[::-1][::-1], image.astype(">u2"), read_only]
    for kind in kinds:
        got = filter_image(kind, kernels.box(3))
        assert np.array_equal(got, expected)
        assert got.dtype == np.uint16
        assert got.dtype.isnative
    assert np.array_equal(image.ravel(), np.arange(60))


def test_blank_borders_and_constants() -> None:
    image = np.full((3, 4), 10, np.uint8)
    ones = np.ones((3, 3))
    assert filter_image(image, ones, border="blank").tolist() == [[0] * 4, [0, 90, 90, 0], [0] * 4]
    assert filter_image(image, [[1, 1]], border="constant", cval=0.5).tolist()[0] == [
        10,
        20,
        20,
        20,
    ]
    assert filter_image(image, [[1, 1]], border="fill", cval=7).tolist()[0] == [17, 20, 20, 20]


@pytest.mark.parametrize("dtype", ["u1", "i2"])
def test_reproducible_parts_equal_the_whole(dtype):
    """Means of 36 numbers often end in a half: how they are rounded depends on their order."""
    x = np.random.default_rng(0).integers(0, 120, (300, 400)).astype(dtype)
    kernel = np.full((6, 6), 1 / 36)
    with reproducible():
        whole = filter_image(x, kernel)
        for row in range(10, 280, 9):
            part = filter_image(x[row - 10 : row + 10, 100:130], kernel)
            assert np.array_equal(part[6:14, 6:22], whole[row - 4 : row + 4, 106:122])


def test_what_a_second_call_needs_is_loaded_by_the_first():
    loaded = output_of(
        "import sys, numpy as np, faltung as ft\n"
        "picture, kernel = np.ones((40, 50, 3), 'f4'), ft.kernels.sobel(axis=1)\n"
        "ft.filter_image(picture, kernel)\n"
        "before = set(sys.modules)\n"
        "ft.filter_image(picture, kernel)\n"
        "print(sorted(set(sys.modules) - before))"
    )
    assert loaded.strip() == "[]"
