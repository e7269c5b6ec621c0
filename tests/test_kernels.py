"""The filters: signs, sums, sizes, and what a line of text makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from faltung import kernels
from faltung.errors import OptionError, ResourceError, WindowError


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_edge_detectors_are_those_of_ndimage(name: str, ndim: int) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (5, 6, 4)[:ndim]).astype(float)
    for axis in range(-ndim, ndim):
        kernel = getattr(kernels, name)(axis, ndim=ndim)
        expected = getattr(ndimage, name)(x, axis)
        assert np.array_equal(ndimage.correlate(x, kernel), expected)


@pytest.mark.parametrize(("name", "gain"), [("sobel", 8), ("prewitt", 6), ("scharr", 32)])
def test_rising_values_answer_positively(name: str, gain: int) -> None:
    for axis in (0, 1):
        ramp = np.indices((3, 3))[axis]
        assert (getattr(kernels, name)(axis) * ramp).sum() == gain
        assert (getattr(kernels, name)(1 - axis) * ramp).sum() == 0


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_laplacian_is_that_of_ndimage(ndim: int) -> None:
    x = np.random.default_rng(1).integers(-9, 9, (5, 6, 4)[:ndim]).astype(float)
    assert np.array_equal(ndimage.correlate(x, kernels.laplacian(ndim=ndim)), ndimage.laplace(x))


@pytest.mark.parametrize(("sigma", "truncate"), [(0.4, 4), (1.5, 4), (2, 2.5), (3.7, 1)])
def test_gaussian_is_that_of_ndimage(sigma: float, truncate: float) -> None:
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    kernel = kernels.gaussian(sigma, truncate)
    expected = ndimage.gaussian_filter(impulse, sigma, truncate=truncate)
    radius = len(kernel) // 2
    assert radius == int(truncate * sigma + 0.5)
    cut = slice(20 - radius, 21 + radius)
    assert np.allclose(kernel, expected[cut, cut], rtol=1e-12, atol=0)
    assert kernel.sum() == pytest.approx(1, abs=1e-12)


def test_gaussian_takes_one_sigma_an_axis() -> None:
    assert kernels.gaussian(1.5).shape == (13, 13)
    assert kernels.gaussian((1.5, 0.5, 1)).shape == (13, 5, 9)
    assert kernels.gaussian(np.array([1.5, 0.5])).shape == (13, 5)
    assert kernels.gaussian(1, ndim=3).shape == (9, 9, 9)
    assert kernels.gaussian(np.float32(1)).shape == (9, 9)
    assert kernels.gaussian(1e-200, truncate=1e200).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_sums_and_dtypes() -> None:
    one = [
        kernels.gaussian(2),
        kernels.box((3, 4)),
        kernels.sharpen(),
        kernels.emboss(),
        kernels.motion_blur(7, 33),
        kernels.identity(4),
    ]
    zero = [kernels.sobel(0), kernels.prewitt(1), kernels.scharr(0), kernels.laplacian()]
    for kernel in one:
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
    for kernel in zero:
        assert kernel.sum() == 0
    for kernel in [*one, *zero, kernels.gabor(4)]:
        assert kernel.dtype == np.float64
        assert kernel.ndim == 2
        assert kernel.flags.c_contiguous


def test_identity_has_its_one_at_the_centre() -> None:
    assert kernels.identity(4, ndim=1).tolist() == [0, 0, 1, 0]
    assert np.argwhere(kernels.identity((3, 2, 5))).tolist() == [[1, 1, 2]]


def test_the_kernels_of_two_calls_are_independent() -> None:
    kernels.emboss()[0, 0] = 99
    kernels.sharpen()[0, 0] = 99
    assert kernels.emboss()[0, 0] == -2
    assert kernels.sharpen()[0, 0] == 0


def test_gabor_answers_to_its_direction() -> None:
    rows, columns = np.indices((27, 27)) - 13
    kernel = kernels.gabor(8, 30)
    assert kernel.shape == (27, 27)
    answers = {}
    for angle in range(0, 180, 15):
        turn = np.radians(angle)
        stripes = np.cos(2 * np.pi * (columns * np.cos(turn) - rows * np.sin(turn)) / 8)
        answers[angle] = (kernel * stripes).sum()
    assert max(answers, key=lambda angle: answers[angle]) == 30


def test_gabor_of_odd_phase_sums_to_nothing_and_long_stripes_make_it_long() -> None:
    assert kernels.gabor(6, 20, phase=90).sum() == pytest.approx(0, abs=1e-12)
    height, width = kernels.gabor(6, 0, aspect=0.5).shape
    assert height > 1.8 * width


def test_motion_blur_lies_along_its_line() -> None:
    assert kernels.motion_blur(5).tolist() == [[0.2] * 5]
    assert kernels.motion_blur(4).tolist() == [[0.125, 0.25, 0.25, 0.25, 0.125]]
    assert kernels.motion_blur(3, 90).shape == (3, 1)
    assert kernels.motion_blur(1, 77).tolist() == [[1]]
    rising = kernels.motion_blur(9, 45)
    assert rising[-1, 0] > 0
    assert rising[0, -1] > 0
    assert rising[0, 0] == 0
    for angle in range(0, 360, 7):
        kernel = kernels.motion_blur(8, angle)
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-9)
        assert (kernel >= 0).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sobel_x", kernels.sobel(1)),
        ("Sobel-Y", kernels.sobel(0)),
        (" prewitt_x ", kernels.prewitt(1)),
        ("scharr_y", kernels.scharr(0)),
        ("sobel_x(ndim=3)", kernels.sobel(1, ndim=3)),
        ("laplacian", kernels.laplacian()),
        ("gaussian:1.5", kernels.gaussian(1.5)),
        ("gaussian(1.5)", kernels.gaussian(1.5)),
        ("gaussian(1.5, truncate=3)", kernels.gaussian(1.5, 3)),
        ("gaussian:2x0.5", kernels.gaussian((2, 0.5))),
        ("box:5", kernels.box(5)),
        ("box:3x5", kernels.box((3, 5))),
        ("identity:3", kernels.identity(3)),
        ("sharpen", kernels.sharpen()),
        ("emboss()", kernels.emboss()),
        ("gabor:8,45", kernels.gabor(8, 45)),
        ("motion_blur:9 -45", kernels.motion_blur(9, -45)),
        ("3x3: 1 0 -1 2 0 -2 1 0 -1", [[1, 0, -1], [2, 0, -2], [1, 0, -1]]),
        ("1x2:-1,1e-3", [[-1, 1e-3]]),
        ("2 x 2:\n1 2;\n3 4", [[1, 2], [3, 4]]),
        ("3: 1 2 1", [1, 2, 1]),
    ],
)
def test_parse_reads_names_arguments_and_values(text: str, expected: object) -> None:
    parsed = kernels.parse(text)
    assert parsed.dtype == np.float64
    assert np.array_equal(parsed, expected)


def test_parse_knows_its_names() -> None:
    arguments = {
        "box": ":3",
        "gabor": ":8",
        "gaussian": ":1",
        "identity": ":3",
        "motion_blur": ":3",
    }
    for name in kernels.names():
        assert kernels.parse(name + arguments.get(name, "")).ndim == 2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sobel", OptionError, "sobel_x, sobel_y"),
        ("", OptionError, "laplacian"),
        ("3x3", OptionError, "which is not known"),
        ("gaussian", OptionError, "missing a required argument: 'sigma'"),
        ("gaussian:1,2,3", OptionError, "gaussian(sigma, truncate=4, *, ndim=None)"),
        ("gaussian:wide", OptionError, "'wide' where a number belongs"),
        ("gaussian:nan", OptionError, "'nan' where a number belongs"),
        ("gaussian:-1", WindowError, "sigma is -1"),
        ("box:2.5", WindowError, "size is 2.5"),
        ("box:5,depth=2", OptionError, "depth"),
        ("box:1000000", ResourceError, "8000000000000 bytes"),
        ("3x3: 1 2 3", WindowError, "9 cells, but 3 values"),
        ("0x3:", WindowError, "0 cells"),
        ("1x2: 1 inf", OptionError, "'inf' where a number belongs"),
        ("1x1: one", OptionError, "'one' where a number belongs"),
        ("9" * 5000 + "x1: 1", OptionError, "not known"),
        (None, OptionError, "expected text"),
        (3, OptionError, "expected text"),
    ],
)
def test_parse_refuses_with_advice(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        kernels.parse(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
