"""Malformed calls of the functions on plain arrays: the right error, the argument, the numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from faltung import kernels
from faltung.arrays import filter_array
from faltung.errors import (
    DTypeError,
    FaltungError,
    OptionError,
    ResourceError,
    ShapeError,
    WindowError,
)
from faltung.images import filter_image
from faltung.matching import match_template
from faltung.scipy_like import convolve, convolve2d, correlate, correlate2d
from faltung.weights import weight_from

LINE = np.arange(8.0)
PICTURE = np.arange(30.0).reshape(5, 6)
MASKED = np.ma.masked_equal(PICTURE, 3)
LONG = PICTURE.astype(np.longdouble)
BLUR = np.ones((3, 3))

CASES: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    # arrays
    (correlate, (PICTURE, LINE), {}, ShapeError, "in1 has 2 axes and in2 has 1"),
    (convolve, (LINE, []), {}, ShapeError, "in1 (8,), in2 (0,)"),
    (convolve, (np.ones((2, 0)), np.ones((2, 2))), {"mode": "same"}, ShapeError, "empty"),
    (convolve, (["a"], [1]), {}, DTypeError, "in1 has dtype"),
    (convolve, (LINE, None), {}, DTypeError, "in2 has dtype object"),
    (correlate, (MASKED, PICTURE), {}, DTypeError, "mask="),
    (correlate, (LONG, PICTURE), {}, DTypeError, "in1 has dtype"),
    (correlate, ([[1, 2], [3]], PICTURE), {}, ShapeError, "in1 cannot be made an array"),
    (correlate, (LINE.astype("M8[s]"), LINE), {}, DTypeError, "in1 has dtype datetime64"),
    (correlate2d, (LINE, BLUR), {}, ShapeError, "in1 has 1 axes, expected 2"),
    (convolve2d, (PICTURE, np.ones((1, 3, 3))), {}, ShapeError, "in2 has 3 axes, expected 2"),
    (filter_array, (3.0, [1, 2]), {}, ShapeError, "kernel has 1 axes, x has 0"),
    (filter_array, (LINE, BLUR), {}, ShapeError, "kernel (3, 3), x (8,)"),
    (filter_array, (LINE, 2.0), {}, ShapeError, "kernel has 0 axes"),
    (filter_array, (LINE, []), {}, WindowError, "kernel has shape (0,)"),
    (filter_array, (np.ones((3, 0)), [1, 2]), {}, WindowError, "x has shape (3, 0)"),
    (filter_array, (MASKED, BLUR), {}, DTypeError, "mask="),
    (filter_array, (PICTURE.astype(object), BLUR), {}, DTypeError, "x has dtype object"),
    (filter_array, (PICTURE, LONG[:3, :3]), {}, DTypeError, "kernel has dtype"),
    (filter_image, (LINE, BLUR), {}, ShapeError, "image has 1 axes"),
    (filter_image, (np.ones((2, 3, 4, 5)), BLUR), {}, ShapeError, "Use filter_array"),
    (filter_image, (PICTURE, LINE), {}, ShapeError, "kernel[None]"),
    (filter_image, (PICTURE, np.ones((3, 0))), {}, WindowError, "kernel has shape (3, 0)"),
    (filter_image, (np.ones((0, 5, 3)), BLUR), {}, WindowError, "image has shape (0, 5, 3)"),
    (filter_image, (MASKED, BLUR), {}, DTypeError, "image is a masked array"),
    (filter_image, (PICTURE, BLUR * 1j), {}, DTypeError, "kernel complex128"),
    (match_template, (PICTURE, LINE), {}, ShapeError, "template has 1 axes"),
    (match_template, (PICTURE, BLUR[:, :, None]), {}, ShapeError, "different channels"),
    (match_template, (np.ones((5, 5, 3)), np.ones((2, 2, 4))), {}, ShapeError, "(2, 2, 4)"),
    (match_template, (BLUR, PICTURE), {}, WindowError, "template is larger than the image"),
    (match_template, (PICTURE, np.ones((0, 2))), {}, WindowError, "template has shape (0, 2)"),
    (match_template, (PICTURE * 1j, BLUR), {}, DTypeError, "image has dtype complex128"),
    (weight_from, (np.ones((3, 3)), "OHWI"), {}, ShapeError, "4 letters, w has 2 axes"),
    # names
    (correlate, (LINE, LINE), {"mode": "all"}, OptionError, "'full', 'same', 'valid'"),
    (correlate, (LINE, LINE), {"mode": 2}, OptionError, "mode is 2"),
    (convolve, (LINE, LINE), {"method": "FFT"}, OptionError, "'auto', 'direct', 'fft'"),
    (
        convolve,
        (PICTURE, BLUR[:, :2].repeat(4, 1)),
        {"mode": "valid"},
        ShapeError,
        "'full' or 'same'",
    ),
    (convolve2d, (PICTURE, BLUR), {"mode": None}, OptionError, "mode is None"),
    (convolve2d, (PICTURE, BLUR), {"boundary": "clamp"}, OptionError, "boundary is 'clamp'"),
    (convolve2d, (PICTURE, BLUR), {"boundary": "blank"}, OptionError, "symm = symmetric"),
    (filter_array, (LINE, [1, 2]), {"border": "half"}, OptionError, "border is 'half'"),
    (filter_array, (LINE, [1, 2]), {"border": 0}, OptionError, "border is 0"),
    (filter_array, (LINE, [1, 2]), {"nan": "omit"}, OptionError, "'propagate', 'ignore'"),
    (filter_array, (LINE, [1, 2]), {"flip": 1}, OptionError, "flip is 1"),
    (filter_image, (PICTURE, BLUR), {"border": "None"}, OptionError, "border is 'None'"),
    (filter_image, (PICTURE, BLUR), {"anchor": "left"}, OptionError, "anchor is 'left'"),
    (filter_image, (PICTURE, BLUR), {"normalize": "yes"}, OptionError, "normalize is 'yes'"),
    (filter_image, (PICTURE, [[1, -1]]), {"normalize": True}, OptionError, "sums to 0"),
    (filter_image, (PICTURE, [[0.1, 0.2, -0.3]]), {"normalize": True}, OptionError, "sums to"),
    (weight_from, (BLUR, 3), {}, OptionError, "layout is 3"),
    (weight_from, (BLUR, "OX"), {}, OptionError, "'X' is not known"),
    (weight_from, (BLUR, "OIC"), {}, OptionError, "I (C is the same) more than once"),
    (weight_from, (BLUR, "HWIOO"), {}, OptionError, "names O more than once"),
    (weight_from, (BLUR, "OMIW"), {}, OptionError, "both O and M"),
    (weight_from, (BLUR, "HWI"), {}, OptionError, "no O or M for the filters"),
    (weight_from, (BLUR, "HWO"), {}, OptionError, "no I for the channels"),
    (weight_from, (BLUR, "OI"), {}, OptionError, "no D or H or W for the kernel"),
    # numbers
    (filter_array, (LINE, [1, 2, 3]), {"origin": 2}, WindowError, "Use -1 to 1"),
    (filter_array, (LINE, [1, 2]), {"origin": -2}, WindowError, "origin is -2"),
    (filter_array, (LINE, [1, 2]), {"origin": True}, WindowError, "origin is True"),
    (filter_array, (LINE, [1, 2]), {"origin": 0.0}, WindowError, "origin is 0.0"),
    (filter_array, (LINE, [1, 2]), {"origin": (0, 0)}, WindowError, "2 entries for 1 axis"),
    (filter_array, (LINE, [1, 2]), {"origin": 10**30}, WindowError, "origin is 1000"),
    (filter_array, (LINE, [1, 2]), {"stride": 0}, WindowError, "stride is 0"),
    (filter_array, (LINE, [1, 2]), {"stride": -(2**63)}, WindowError, "stride is -9"),
    (filter_array, (LINE, [1, 2]), {"stride": float("nan")}, WindowError, "stride is nan"),
    (filter_array, (LINE, [1, 2]), {"stride": None}, WindowError, "stride is None"),
    (filter_array, (LINE, [1, 2]), {"stride": "2"}, WindowError, "stride is '2'"),
    (filter_array, (LINE, [1, 2]), {"stride": 10**30}, WindowError, "stride is 1000"),
    (filter_array, (LINE, [1, 2]), {"axes": 1}, ShapeError, "x (8,) does not have"),
    (filter_array, (LINE, [1, 2]), {"axes": -2}, WindowError, "axes is -2"),
    (filter_array, (PICTURE, BLUR), {"axes": 1}, ShapeError, "names 1 axes, the kernel has 2"),
    (filter_array, (PICTURE, BLUR), {"axes": (1, -1)}, ShapeError, "names an axis twice"),
    (filter_array, (PICTURE, [1, 2]), {"axes": "x"}, WindowError, "axes is 'x'"),
    (filter_array, (PICTURE, BLUR), {"axes": np.array(1)}, ShapeError, "names 1 axes"),
    (filter_array, (PICTURE, [1, 2]), {"axes": int}, WindowError, "axes is <class 'int'>"),
    (filter_array, (PICTURE, [1, 2]), {"axes": True}, WindowError, "axes is True"),
    (
        filter_array,
        (LINE.astype(int), [1]),
        {"border": "constant", "cval": 0.5},
        OptionError,
        "cval is 0.5, which int64 cannot hold",
    ),
    (
        filter_array,
        (LINE.astype("u1"), np.ones(3, "u1")),
        {"border": "fill", "cval": 256},
        OptionError,
        "cval is 256",
    ),
    (filter_array, (LINE, [1]), {"border": "constant", "cval": 1j}, OptionError, "float64 cannot"),
    (filter_array, (LINE, [1]), {"border": "constant", "cval": "0"}, OptionError, "cval is '0'"),
    (filter_array, (LINE, [1]), {"border": "constant", "cval": Fraction(1)}, OptionError, "cval"),
    (
        filter_image,
        (PICTURE, BLUR),
        {"border": "constant", "cval": [0]},
        OptionError,
        "cval is [0]",
    ),
    (filter_image, (PICTURE, BLUR), {"border": "constant", "cval": 1j}, OptionError, "cval is 1j"),
    (filter_image, (PICTURE, BLUR), {"anchor": (3, 0)}, WindowError, "anchor (3, 0) lies outside"),
    (filter_image, (PICTURE, BLUR), {"anchor": (-1, -1)}, WindowError, "anchor is -1"),
    (filter_image, (PICTURE, BLUR), {"anchor": (1, 1, 1)}, WindowError, "3 entries for 2 axes"),
    (filter_image, (PICTURE, BLUR), {"anchor": 1.0}, WindowError, "anchor is 1.0"),
    (filter_image, (PICTURE, BLUR), {"anchor": None}, WindowError, "anchor is None"),
    (filter_image, (PICTURE, BLUR), {"stride": (1, 0)}, WindowError, "stride is 0"),
    (filter_image, (PICTURE, BLUR), {"stride": (1, 2, 3)}, WindowError, "3 entries for 2 axes"),
    (correlate2d, (PICTURE, BLUR), {"fillvalue": 1j}, OptionError, "fillvalue is 1j"),
    (correlate2d, (PICTURE, BLUR), {"fillvalue": None}, OptionError, "fillvalue is None"),
    (kernels.sobel, (2,), {}, WindowError, "axis is 2"),
    (kernels.sobel, (-3,), {}, WindowError, "axis is -3"),
    (kernels.prewitt, (True,), {}, WindowError, "axis is True"),
    (kernels.scharr, (0,), {"ndim": 0}, WindowError, "ndim is 0"),
    (kernels.laplacian, (), {"ndim": 33}, WindowError, "at most 32"),
    (kernels.laplacian, (), {"ndim": 30}, ResourceError, "bytes"),
    (kernels.gaussian, (0,), {}, WindowError, "sigma is 0"),
    (kernels.gaussian, (float("nan"),), {}, WindowError, "sigma is nan"),
    (kernels.gaussian, (True,), {}, WindowError, "sigma is True"),
    (kernels.gaussian, ("wide",), {}, WindowError, "sigma is 'wide'"),
    (kernels.gaussian, ((1, 2),), {"ndim": 3}, WindowError, "2 entries, ndim is 3"),
    (kernels.gaussian, (np.uint8,), {}, WindowError, "sigma is <class 'numpy.uint8'>"),
    (kernels.gaussian, ((),), {}, WindowError, "0 entries"),
    (kernels.gaussian, ([[1], [2]],), {}, WindowError, "sigma is [1]"),
    (kernels.gaussian, (1,), {"truncate": -4}, WindowError, "truncate is -4"),
    (kernels.gaussian, (1e300,), {}, WindowError, "truncate * sigma"),
    (kernels.gaussian, (1e6,), {}, ResourceError, "512000128000008 bytes"),
    (kernels.box, (2.0,), {}, WindowError, "size is 2.0"),
    (kernels.box, (10**30,), {}, WindowError, "size is 1000"),
    (kernels.box, (2**31,), {}, ResourceError, "2147483648 x 2147483648"),
    (kernels.identity, ((3, 0),), {}, WindowError, "size is 0"),
    (kernels.gabor, (1,), {}, WindowError, "wavelength is 1"),
    (kernels.gabor, (4,), {"sigma": 0}, WindowError, "sigma is 0"),
    (kernels.gabor, (4, None), {}, WindowError, "angle is None"),
    (kernels.motion_blur, (0,), {}, WindowError, "length is 0"),
    (kernels.motion_blur, (3, float("inf")), {}, WindowError, "angle is inf"),
    # dtypes, masks
    (filter_array, (PICTURE, BLUR), {"dtype": int}, DTypeError, "dtype int64 is asked for"),
    (filter_array, (PICTURE, BLUR), {"dtype": "nonsense"}, DTypeError, "'nonsense'"),
    (filter_array, (PICTURE, BLUR), {"dtype": object}, DTypeError, "object"),
    (filter_array, (PICTURE, BLUR), {"mask": PICTURE}, DTypeError, "mask has dtype float64"),
    (filter_array, (PICTURE, BLUR), {"mask": [True, False]}, ShapeError, "mask has shape (2,)"),
    (filter_array, (PICTURE, BLUR), {"mask": True, "nan": None}, OptionError, "nan is None"),
    (filter_image, (PICTURE, BLUR), {"dtype": object}, DTypeError, "dtype is object"),
    (filter_image, (PICTURE, BLUR), {"dtype": "no"}, DTypeError, "dtype is 'no'"),
    (filter_image, (PICTURE * 1j, BLUR), {"dtype": float}, DTypeError, "float64"),
]


@pytest.mark.parametrize(
    ("function", "args", "keywords", "error", "message"),
    CASES,
    ids=[f"{case[0].__name__}-{case[4]}" for case in CASES],
)
def test_a_malformed_call_is_explained_at_once(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    start = time.thread_time()
    with pytest.raises(FaltungError) as caught:
        function(*args, **keywords)
    elapsed = time.thread_time() - start
    text = str(caught.value)
    assert type(caught.value) is error
    assert message in text
    assert len(text.splitlines()) <= 3
    assert len(text) < 500
    assert elapsed < 0.05
    assert text.startswith(f"{function.__name__}: ")


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.zeros((5, 5)), ShapeError, "out has shape (5, 5)"),
        (np.zeros((5, 6), np.float32), DTypeError, "out has dtype float32"),
        (np.zeros((5, 6), int), DTypeError, "out has dtype int64"),
        ([[0.0] * 6] * 5, DTypeError, "out is a list"),
        (np.ma.zeros((5, 6)), DTypeError, "out is a MaskedArray"),
        (np.broadcast_to(np.zeros(6), (5, 6)), OptionError, "out is read-only"),
    ],
)
def test_an_unfit_out_is_refused_and_left_alone(
    out: Any, error: type[Exception], message: str
) -> None:
    before = np.array(out)
    with pytest.raises(error) as caught:
        filter_array(PICTURE, BLUR, out=out)
    assert message in str(caught.value)
    assert np.array_equal(out, before)


def test_out_is_left_alone_when_another_argument_is_wrong() -> None:
    out = np.full((5, 6), 7.0)
    for keywords in ({"stride": 0}, {"origin": 5}, {"mask": [1]}, {"border": "x"}, {"axes": 4}):
        with pytest.raises(FaltungError):
            filter_array(PICTURE, BLUR, out=out, **keywords)  # type: ignore[arg-type]
        assert (out == 7).all()
