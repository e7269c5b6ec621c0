"""The gradients of convolution as functions."""

import numpy as np
import pytest

import faltung as ft
from random_cases import random_case, random_data

NAMES = ("conv", "conv_transpose")
FUNCTIONS = {
    "conv": (ft.conv, ft.conv_input_grad, ft.conv_weight_grad),
    "conv_transpose": (
        ft.conv_transpose,
        ft.conv_transpose_input_grad,
        ft.conv_transpose_weight_grad,
    ),
}
KEYWORDS = ("stride", "padding", "dilation", "groups", "padding_mode", "flip", "data_format")
MORE = {"conv": ("padding_value",), "conv_transpose": ("output_padding", "output_size")}


def random_call(name, rng, dtype="complex128"):
    """An operator, its parameters, data and a cotangent: whole numbers."""
    operator, shape = random_case(name, rng, dtype)
    parameters = {key: operator._parameters[key] for key in (*KEYWORDS, *MORE[name])}
    x = random_data(shape, rng, dtype)
    return operator, parameters, x, random_data(operator.output_shape(shape), rng, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_the_pullback_gives(name):
    rng = np.random.default_rng(0)
    _, input_grad, weight_grad = FUNCTIONS[name]
    for _ in range(60):
        operator, parameters, x, g = random_call(name, rng)
        gradients = operator.vjp(x)[1](g)
        weight = operator.weight
        assert np.array_equal(input_grad(g, weight, x.shape, **parameters), gradients["input"])
        found = weight_grad(x, g, weight.shape, **parameters)
        assert np.array_equal(found, gradients["weight"])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_the_gradients_are_the_operator_and_the_other_gradient(name):
    """``<input_grad(g, w), v>`` is linear in g and in w, and so is what it is the gradient of."""
    rng = np.random.default_rng(1)
    function, input_grad, weight_grad = FUNCTIONS[name]
    for _ in range(40):
        operator, parameters, x, g = random_call(name, rng, "float64")
        parameters.pop("padding_value", None)
        if parameters["padding_mode"] == "constant":
            parameters["padding_mode"] = "zeros"
        weight, v = operator.weight, random_data(x.shape, rng)
        direction = random_data(weight.shape, rng)
        total = np.vdot(input_grad(g, weight, x.shape, **parameters), v)
        assert total == np.vdot(g, function(v, weight, **parameters))
        assert total == np.vdot(weight, weight_grad(v, g, weight.shape, **parameters))
        turned = np.vdot(input_grad(g, direction, x.shape, **parameters), v)
        assert turned == np.vdot(direction, weight_grad(v, g, weight.shape, **parameters))


def test_the_gradient_of_a_convolution_can_be_differentiated_again():
    rng = np.random.default_rng(2)
    operator = ft.Conv(random_data((4, 3, 3, 2), rng), stride=(2, 1), padding=1)
    x, y = random_data((2, 3, 7, 6), rng), random_data((2, 4, 4, 7), rng)
    backward = operator.adjoint(x.shape)
    assert isinstance(backward, ft.ConvTranspose)
    back, pullback = backward.vjp(y)
    assert np.array_equal(back, operator.vjp(x)[1](y)["input"])
    second = pullback(x)
    assert np.array_equal(second["input"], operator(x))
    assert np.array_equal(second["weight"], operator.vjp(x)[1](y)["weight"])


def test_the_weight_gradient_needs_no_unfolded_copy():
    tracemalloc = pytest.importorskip("tracemalloc")
    x, grad = np.ones((1, 32, 100, 100), np.float32), np.ones((1, 8, 96, 96), np.float32)
    tracemalloc.start()
    gradient = ft.conv_weight_grad(x, grad, (8, 32, 5, 5))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(gradient, np.full((8, 32, 5, 5), 96 * 96, np.float32))
    assert most < 4 * 2**20 < 4 * 32 * 25 * 96 * 96


def test_blocks_of_taps_channels_and_outputs_make_the_same_sum():
    rng = np.random.default_rng(3)
    x, grad = random_data((2, 6, 70, 66), rng), random_data((2, 4, 10, 6), rng)
    parameters = {"groups": 2, "dilation": (1, 1), "padding_mode": "reflect"}
    found = ft.conv_weight_grad(x, grad, (4, 3, 61, 61), **parameters)
    windows = np.lib.stride_tricks.sliding_window_view(x, (10, 6), (2, 3))
    for group in range(2):
        channels, filters = slice(3 * group, 3 * group + 3), slice(2 * group, 2 * group + 2)
        expected = np.einsum("ncklij,noij->ockl", windows[:, channels], grad[:, filters])
        assert np.array_equal(found[filters], expected)


def test_cells_outside_take_no_part_also_where_the_cotangent_is_not_finite():
    x, grad = np.ones((1, 1, 4)), np.array([[[np.inf, 1.0, 1.0, np.nan]]])
    gradient = ft.conv_weight_grad(x, grad, (1, 1, 3), padding=1)
    assert np.array_equal(gradient, [[[np.nan, np.nan, np.inf]]], equal_nan=True)
    local = ft.LocalConv(np.ones((1, 1, 3, 4)), kernel_size=3, padding=1)
    gradient = local.vjp(x)[1](grad)["weight"][0, 0]
    assert gradient[0].tolist()[0] == 0
    assert gradient[2].tolist()[3] == 0
    assert np.isinf(gradient[1:, 0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused(name):
    _, input_grad, weight_grad = FUNCTIONS[name]
    weight, x = np.ones((1, 1, 3)), np.ones((1, 1, 8))
    who = f"^{input_grad.__name__}: "
    with pytest.raises(ft.ShapeError, match=who + r"grad has shape \(1, 1, 7\), the result has"):
        input_grad(np.ones((1, 1, 7)), weight, x.shape)
    with pytest.raises(ft.ShapeError, match=who + "input_shape is 8, expected a tuple of ints"):
        input_grad(x, weight, 8)
    with pytest.raises(ft.DTypeError, match="grad and weight have the joint dtype int64"):
        input_grad(x.astype(int), weight.astype(int), x.shape)
    who = f"^{weight_grad.__name__}: "
    with pytest.raises(ft.ShapeError, match=who + "weight_shape is None, expected a tuple"):
        weight_grad(x, x, None)
    with pytest.raises(ft.FaltungError, match=who):
        weight_grad(x, x, (1, 2, 3))
    with pytest.raises(ft.DTypeError, match="x and grad have the joint dtype int64"):
        weight_grad(x.astype(int), x.astype(int), weight.shape)
