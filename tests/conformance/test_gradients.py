"""Gradients and adjoints of every operator: samples, and random configurations of each."""

import zlib

import numpy as np
import pytest

import faltung as ft
from faltung.operators._record import REGISTRY
from random_cases import random_case, random_data

SLOPES = {True: 40, False: 200}
"""Random configurations of an operator that is linear, and of one that is not."""
STEP = 2.0**-17
LINEAR = (
    "adaptive_avg_pool",
    "avg_pool",
    "conv",
    "conv_transpose",
    "fold",
    "involution",
    "local_conv",
    "max_unpool",
    "pad",
    "resize",
    "unfold",
)
WITH_MATRIX = (*LINEAR, "window_reduce")
"""Also what is linear for some parameters only."""


def linear_case(name, rng, dtype):
    """A random operator that is linear, and the shape of an input."""
    while True:
        operator, shape = random_case(name, rng, dtype)
        if name in LINEAR or operator.reduction in ("sum", "mean"):
            return operator, shape


def generator(name, salt=0):
    return np.random.default_rng([zlib.crc32(name.encode()), salt])


def first(result):
    return result[0] if isinstance(result, tuple) else result


def distinct(shape, rng):
    """Numbers in random order, no two of them close, nor their negatives, nor with whole numbers.

    So no step changes who is largest: multiples of the golden ratio keep the largest distance.
    """
    size = int(np.prod(shape))
    return ((rng.permutation(size) - size / 2) * (5**0.5 - 1) / 2 + 0.237).reshape(shape)


def assert_slope(actual, function, point, direction, what):
    """The inner product of a gradient with a direction is the slope in that direction."""
    up, down = function(point + STEP * direction), function(point - STEP * direction)
    slope, predicted = (up - down) / (2 * STEP), float(np.sum(actual * direction))
    scale = max(abs(slope), abs(actual).max(initial=0), abs(up), 1)
    assert abs(slope - predicted) < 3e-6 * scale, f"{what}: {predicted}, expected {slope}"


def changed(operator, name, value):
    """The operator with another array."""
    return operator._made(operator.name, {**operator._operands, name: value}, operator._parameters)


def check_slopes(operator, shape, rng):
    x = distinct(shape, rng)
    y, pullback = operator.vjp(x)
    assert np.array_equal(y, first(operator(x)), equal_nan=True)
    g = rng.standard_normal(y.shape)
    gradients = pullback(g)
    held = {name: array for name, array in operator._operands.items() if array.dtype.kind == "f"}
    assert gradients.keys() == {"input", *held}

    def of_input(value):
        return float(np.sum(first(operator(value)) * g))

    def of_array(name):
        return lambda value: float(np.sum(first(changed(operator, name, value)(x)) * g))

    functions = {"input": (x, of_input)}
    functions |= {name: (array, of_array(name)) for name, array in held.items()}
    for name, (point, function) in functions.items():
        gradient = gradients[name]
        assert (gradient.shape, gradient.dtype) == (point.shape, point.dtype)
        assert gradient.flags.c_contiguous
        assert_slope(gradient, function, point, rng.choice([-1.0, 1.0], point.shape), name)


@pytest.mark.parametrize("name", REGISTRY)
def test_gradients_are_the_slopes(name):
    rng = generator(name)
    for _ in range(SLOPES[name in LINEAR]):
        operator, shape = random_case(name, rng)
        try:
            check_slopes(operator, shape, rng)
        except AssertionError as error:
            raise AssertionError(f"{operator!r} on {shape}: {error}") from error


def test_a_function_has_no_known_derivative():
    operator = ft.WindowReduce((2,), max)
    with pytest.raises(ft.OptionError, match="reduction is a Python function, whose derivative"):
        operator.vjp(np.ones((1, 4)))


@pytest.mark.parametrize("dtype", ["int64", "float64", "complex128"])
@pytest.mark.parametrize("name", WITH_MATRIX)
def test_adjoint_passes_the_dot_test(name, dtype):
    rng = generator(name, 1)
    is_exact = name not in ("resize", "avg_pool", "adaptive_avg_pool", "window_reduce")
    for _ in range(30):
        operator, shape = linear_case(name, rng, dtype)
        x = random_data(shape, rng, dtype)
        zero = first(operator(np.zeros_like(x)))
        if name == "resize" and dtype == "int64":
            zero = zero.astype(float)
        y = random_data(zero.shape, rng, dtype)
        adjoint = operator.adjoint(shape)
        image = adjoint.adjoint(zero.shape)(x)
        back = adjoint(y)
        assert adjoint.output_shape(zero.shape) == shape == back.shape, operator
        if dtype != "int64" or is_exact:
            linear = first(operator(x)) - zero
            assert np.allclose(image, linear, rtol=1e-12, atol=1e-12), operator
        left, right = np.vdot(y, image), np.vdot(back, x)
        assert left == right if is_exact else np.isclose(left, right, rtol=1e-12), operator


@pytest.mark.parametrize("name", WITH_MATRIX)
def test_gradient_of_a_linear_operator_is_its_adjoint(name):
    rng = generator(name, 2)
    for _ in range(15):
        operator, shape = linear_case(name, rng, "complex128")
        y, pullback = operator.vjp(random_data(shape, rng, "complex128"))
        g = random_data(y.shape, rng, "complex128")
        assert np.allclose(pullback(g)["input"], operator.adjoint(shape)(g)), operator


@pytest.mark.parametrize("name", WITH_MATRIX)
def test_adjoint_is_the_conjugate_transpose_of_the_matrix(name):
    rng = generator(name, 3)
    for _ in range(10):
        operator, shape = linear_case(name, rng, "complex128")
        matrix = operator.matrix(shape, "complex128").toarray()
        linear = operator.linear_operator(shape, "complex128")
        assert linear.shape == matrix.shape
        vectors = random_data((matrix.shape[1], 3), rng, "complex128")
        assert np.allclose(linear @ vectors, matrix @ vectors), operator
        assert np.allclose(linear @ vectors[:, 0], matrix @ vectors[:, 0]), operator
        vectors = random_data((matrix.shape[0], 3), rng, "complex128")
        for mine, other in ((linear.H, matrix.conj().T), (linear.T, matrix.T)):
            assert np.allclose(mine @ vectors, other @ vectors), operator
            assert np.allclose(mine @ vectors[:, 0], other @ vectors[:, 0]), operator


def transposed_or_none(operator):
    try:
        return operator.T
    except ft.ShapeError as error:
        return str(error)


@pytest.mark.parametrize("name", WITH_MATRIX)
def test_transpose_is_that_of_the_matrix_or_names_the_adjoint(name):
    rng, found = generator(name, 4), 0
    for _ in range(30):
        operator, shape = linear_case(name, rng, "complex128")
        transposed = transposed_or_none(operator)
        if isinstance(transposed, str):
            assert "Use adjoint(input_shape)" in transposed
            continue
        found += 1
        matrix = operator.matrix(shape, "complex128")
        y = random_data(operator.output_shape(shape), rng, "complex128")
        assert np.allclose(transposed(y).ravel(), matrix.T @ y.ravel()), operator
    assert (found > 0) == (name in ("conv", "conv_transpose", "fold"))


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - set(LINEAR)))
def test_operators_that_are_not_linear_have_no_adjoint(name):
    operator, shape = random_case(name, generator(name, 5))
    for ask in (operator.adjoint, operator.linear_operator, lambda _: operator.T):
        with pytest.raises(
            ft.NotLinearError, match=r"it is not linear.*Linear are AdaptiveAvgPool"
        ):
            ask(shape)


@pytest.mark.parametrize("name", REGISTRY)
def test_pullbacks_refuse_what_does_not_fit(name):
    operator, shape = random_case(name, generator(name, 6))
    y, pullback = operator.vjp(np.ones(shape))
    with pytest.raises(ft.ShapeError, match=r"pullback of \w+: g has shape \(7,\)"):
        pullback(np.ones(7))
    with pytest.raises(ft.DTypeError, match="g has dtype complex128, the result is float64"):
        pullback(np.ones(y.shape, complex))
    with pytest.raises(ft.DTypeError, match="masked"):
        pullback(np.ma.zeros(y.shape))


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gradients_have_the_dtype_and_the_bits_every_time(name, dtype):
    rng = generator(name, 7)
    for _ in range(20):
        operator, shape = random_case(name, rng, dtype)
        x = rng.standard_normal(shape).astype(dtype)
        y, pullback = operator.vjp(x)
        g = rng.standard_normal(y.shape).astype(y.dtype)
        expected = pullback(g)
        x[...] = 0  # the pullback keeps what it needs
        again = pullback(g)
        for key, gradient in expected.items():
            assert gradient.dtype == dtype
            assert np.array_equal(gradient, again[key], equal_nan=True)
