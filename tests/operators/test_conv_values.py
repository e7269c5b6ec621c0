"""The values of convolution: exact on integers, within the bound on real numbers."""

import numpy as np
import pytest
from scipy import ndimage, signal

import faltung as ft
from cases import draw_case
from rounding_cases import ROUNDED, SPREADS, by_textbook, check_rounding


@pytest.mark.parametrize("algorithm", [None, "direct"])
@pytest.mark.parametrize("seed", range(25))
def test_integer_values_are_exact(seed, algorithm):
    rng = np.random.default_rng([seed, algorithm is None])
    for _ in range(100):
        case = draw_case(rng)
        chosen = algorithm if case.x.ndim <= 5 else None
        y = ft.conv(case.x, case.weight, case.bias, **case.parameters, algorithm=chosen)
        kind = y.dtype.kind
        wide = np.complex128 if kind == "c" else np.float64 if kind == "f" else np.int64
        expected = by_textbook(case, wide)
        assert y.dtype == case.x.dtype
        assert np.array_equal(y, expected.astype(y.dtype)), case


@pytest.mark.parametrize("dtype", ROUNDED)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("algorithm", ["stencil", "direct"])
def test_rounding_stays_within_the_bound(dtype, spread, algorithm):
    rng = np.random.default_rng(7)
    for _ in range(45):
        check_rounding(rng, dtype, spread, algorithm)


def test_rounding_beyond_the_bound_is_noticed(monkeypatch):
    """All results wrong by a ten-thousandth."""
    conv = ft.conv
    monkeypatch.setattr(ft, "conv", lambda *args, **kwargs: conv(*args, **kwargs) * (1 + 1e-4))
    rng = np.random.default_rng(7)
    with pytest.raises(AssertionError):
        check_rounding(rng, "float32", "normal", "direct")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_wrap_like_numpy(dtype):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    x = rng.integers(limits.min, limits.max, (1, 3, 9), dtype, endpoint=True)
    weight = rng.integers(limits.min, limits.max, (2, 3, 4), dtype, endpoint=True)
    y = ft.conv1d(x, weight)
    size = 2 ** (8 * y.dtype.itemsize)
    for o, i in np.ndindex(2, 6):
        window = x[0, :, i : i + 4].ravel().tolist()
        exact = sum(a * b for a, b in zip(window, weight[o].ravel().tolist(), strict=True))
        assert (int(y[0, o, i]) - exact) % size == 0


def test_bool_adds_with_or():
    x = np.array([[[True, True, False, False]]])
    assert ft.conv1d(x, np.ones((1, 1, 2), bool)).tolist() == [[[True, True, False]]]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("mode", ["full", "valid"])
def test_scipy_signal_agrees(rank, mode):
    rng = np.random.default_rng(rank)
    x, kernel = rng.standard_normal((9, 8, 7)[:rank]), rng.standard_normal((3, 4, 2)[:rank])
    y = ft.conv(x[None], kernel[None, None], padding=mode)[0]
    expected = signal.correlate(x, kernel, mode, method="direct")
    assert np.allclose(y, expected, rtol=1e-13, atol=1e-13)
    y = ft.conv(x[None], kernel[None, None], padding=mode, flip=True)[0]
    assert np.allclose(y, signal.convolve(x, kernel, mode, method="direct"), atol=1e-13)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("symmetric", "reflect"),
        ("reflect", "mirror"),
        ("edge", "nearest"),
        ("wrap", "wrap"),
        ("constant", "constant"),
    ],
)
def test_scipy_ndimage_agrees(ours, theirs):
    rng = np.random.default_rng(1)
    x, kernel = rng.integers(-9, 9, (4, 6)), rng.integers(-3, 4, (3, 5))
    value = {"padding_value": 2} if ours == "constant" else {}
    y = ft.conv2d(x[None], kernel[None, None], padding="same", padding_mode=ours, **value)[0]
    assert np.array_equal(y, ndimage.correlate(x, kernel, mode=theirs, cval=2))


def test_relu_in_the_operator():
    x = np.array([[[1.0, -2.0, np.nan, 4.0]]])
    y = ft.Conv([[[1.0]]], [-1.0], activation="relu")(x)
    assert np.array_equal(y, [[[0.0, 0.0, np.nan, 3.0]]], equal_nan=True)
    with pytest.raises(ft.DTypeError, match="relu"):
        ft.Conv(np.ones((1, 1, 1), complex), activation="relu")


def test_no_channels_give_the_bias():
    bias = np.array([1.0, 2.0, 3.0])
    y = ft.conv1d(np.ones((2, 0, 5)), np.ones((3, 0, 2)), bias)
    assert np.array_equal(y, np.broadcast_to(bias[:, None], (2, 3, 4)))
    assert ft.conv1d(np.ones((0, 2, 5)), np.ones((3, 2, 2))).shape == (0, 3, 4)
    assert ft.conv1d(np.ones((1, 2, 5)), np.ones((0, 2, 2))).shape == (1, 0, 4)


def test_drawn_weights():
    first, second = (ft.Conv.init(8, 4, (3, 2), rng=5, groups=2, stride=2) for _ in range(2))
    assert first == second
    assert first.weight.shape == (8, 2, 3, 2)
    assert first.weight.dtype == np.float32
    assert np.abs(first.weight).max() <= (2 * 6) ** -0.5
    assert ft.Conv.init(8, 4, 3, bias=False).bias is None
    with pytest.raises(ft.ShapeError, match="groups=3"):
        ft.Conv.init(8, 4, 3, groups=3)
