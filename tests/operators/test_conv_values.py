"""The values of convolution: exact on integers, within the bound on real numbers."""

import ml_dtypes
import numpy as np
import pytest
from scipy import ndimage, signal

import faltung as ft
from cases import draw_case
from faltung.operators.conv import textbook
from faltung.testing import assert_within_bound, error_bound

DEFAULTS = {"padding_value": 0}


def by_textbook(case, dtype):
    """The loops, in `dtype`."""
    bias = None if case.bias is None else case.bias.astype(dtype)
    parameters = {**DEFAULTS, **case.parameters}
    return textbook(case.x.astype(dtype), case.weight.astype(dtype), bias, **parameters)


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


def real_values(rng, shape, dtype, spread):
    """Normal numbers, or numbers of all sizes, or sums that cancel."""
    values = rng.standard_normal(shape)
    if spread == "log-uniform":
        limit = {"float64": 100, "float16": 1.5}.get(dtype, 15)
        values = np.sign(values) * 10.0 ** rng.uniform(-limit, limit, shape)
    elif spread == "cancelling":
        values = 1e3 + values
        values[..., ::2] *= -1
    if dtype == "complex64":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16", "bfloat16"])
@pytest.mark.parametrize("spread", ["normal", "log-uniform", "cancelling"])
@pytest.mark.parametrize("algorithm", ["stencil", "direct"])
def test_rounding_stays_within_the_bound(dtype, spread, algorithm):
    rng = np.random.default_rng(7)
    exact_in = {"float64": np.longdouble, "complex64": np.complex128}.get(dtype, np.float64)
    for _ in range(45):
        rank = int(rng.integers(1, 4))
        case = draw_case(rng, rank, dtype, values=lambda *args: real_values(*args, spread=spread))
        case.parameters.update(padding_mode="zeros", padding_value=0)
        y = ft.conv(case.x, case.weight, case.bias, **case.parameters, algorithm=algorithm)
        exact = by_textbook(case, exact_in)
        absolute = {
            name: None if value is None else abs(value).astype(np.float64)
            for name, value in (("x", case.x), ("weight", case.weight), ("bias", case.bias))
        }
        magnitude = textbook(**absolute, **case.parameters)
        fits = magnitude < float(ml_dtypes.finfo(y.dtype).max) / 2
        exact, magnitude = exact.copy(), magnitude.copy()
        exact[~fits] = y[~fits] = magnitude[~fits] = 0
        if dtype == "float64":
            distance = np.abs(y - exact)
            assert (distance <= error_bound(magnitude, case.terms, dtype)).all()
        else:
            assert_within_bound(y, exact, magnitude, case.terms)


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
