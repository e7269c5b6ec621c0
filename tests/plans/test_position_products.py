"""The compiled gradient after the weight of a convolution, against one sum a coefficient."""

import numpy as np
import pytest

import faltung as ft
from cases import MODES, small_integers
from faltung.plans import _position_products, _weight_gradient


@pytest.fixture
def layouts(monkeypatch):
    """The layouts that the gradients of a test took, None for copies of the windows."""
    found = []

    def choose(*arguments):
        found.append(_position_products.choose_layout(*arguments))
        return found[-1]

    monkeypatch.setattr(_weight_gradient, "choose_layout", choose)
    return found


def expected_gradient(x, grad, shape, stride, dilation, padding, mode, flip):
    """For each tap the products of the cotangents with what the tap shows."""
    kernel, rank = shape[2:], len(shape) - 2
    padded = ft.pad(x, padding, mode)
    if flip:
        return np.flip(
            expected_gradient(x, grad, shape, stride, dilation, padding, mode, False),
            tuple(range(2, 2 + rank)),
        )
    weight = np.zeros(shape, np.result_type(x, grad))
    for tap in np.ndindex(*kernel):
        cells = tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, s, o in zip(tap, dilation, stride, grad.shape[2:], strict=True)
        )
        shown = padded[(slice(None), slice(None), *cells)].reshape(*x.shape[:2], -1)
        flat = grad.reshape(*grad.shape[:2], -1)
        weight[(slice(None), slice(None), *tap)] = np.einsum("nop,ncp->oc", flat, shown.conj())
    return weight


@pytest.mark.parametrize("block", [2**22, 2**17])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_it_is_the_sum_of_products(dtype, block, layouts, monkeypatch):
    monkeypatch.setattr(_position_products, "BLOCK_BYTES", block)
    rng = np.random.default_rng(7)
    for rank in (1, 2, 3, 2, 1, 3):
        filters, channels, samples = rng.integers(8, 20), rng.integers(5, 12), rng.integers(1, 3)
        kernel = tuple(map(int, rng.integers(2, 5, rank)))
        stride, dilation = rng.integers(1, 4, rank), rng.integers(1, 3, rank)
        size = {1: 6000, 2: 70, 3: 17}[rank] + rng.integers(0, 5, rank)
        padding = tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (rank, 2)))
        mode = str(rng.choice(["zeros", "reflect", "symmetric", "edge", "wrap"]))
        x = small_integers(rng, (samples, channels, *size), dtype)
        parameters = {
            "stride": tuple(map(int, stride)),
            "dilation": tuple(map(int, dilation)),
            "padding": padding,
            "padding_mode": mode,
            "flip": bool(rng.integers(2)),
        }
        shape = (int(filters), int(channels), *kernel)
        out = ft.Conv(np.zeros(shape, dtype), **parameters).output_shape(x.shape)
        grad = small_integers(rng, out, dtype)
        expected = expected_gradient(
            x, grad, shape, stride, dilation, padding, mode, parameters["flip"]
        )
        assert np.array_equal(ft.conv_weight_grad(x, grad, shape, **parameters), expected)
    assert sum(layout is not None for layout in layouts) >= 2
    if block < 2**22:
        assert max(len(layout.boxes) for layout in layouts if layout is not None) > 2


def test_groups_blank_and_constant_borders_are_the_same_as_without_it(layouts, monkeypatch):
    rng = np.random.default_rng(8)
    x = small_integers(rng, (2, 16, 40, 41), "float64")
    for mode in MODES:
        parameters = {"groups": 2, "padding": 2, "padding_mode": mode, "stride": (1, 2)}
        if mode == "constant":
            parameters["padding_value"] = 3
        shape = (20, 8, 3, 4)
        grad = small_integers(rng, ft.conv(x, np.zeros(shape), **parameters).shape, "float64")
        found = ft.conv_weight_grad(x, grad, shape, **parameters)
        assert layouts[-1] is not None
        with monkeypatch.context() as patch:
            patch.setattr(_weight_gradient, "choose_layout", lambda *_: None)
            expected = ft.conv_weight_grad(x, grad, shape, **parameters)
        assert np.array_equal(found, expected), mode


def test_numbers_that_are_not_finite_stay_where_the_sums_have_them(layouts):
    x, grad = np.ones((1, 8, 60, 60)), np.ones((1, 8, 60, 60))
    grad[0, 2, 0, 0], x[0, 3, 59, 59] = np.inf, np.nan
    gradient = ft.conv_weight_grad(x, grad, (8, 8, 3, 3), padding=1)
    assert layouts[-1] is not None
    of_cell = np.zeros((8, 8, 3, 3), bool)
    of_cell[:, 3, 1:, 1:] = True  # the last cell is never under the first row or column of taps
    of_output = np.zeros((8, 8, 3, 3), bool)
    of_output[2, :, 1:, 1:] = True  # those of the first output lie outside
    assert np.array_equal(np.isnan(gradient), of_cell)
    assert np.array_equal(np.isinf(gradient), of_output & ~of_cell)


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        (((1, 64, 64, 64), (4, 64, 3, 3)), "few filters"),
        (((1, 2, 64, 64), (64, 2, 3, 3)), "few pixels"),
        (((1, 64, 17, 17), (64, 64, 15, 15)), "rows that are mostly the kernel"),
        (((1, 8, 6, 6), (8, 8, 3, 3)), "few products"),
    ],
)
def test_what_copying_does_better_is_left_to_it(shapes, why, layouts):
    x, shape = shapes
    grad = ft.Conv(np.zeros(shape, "f4")).output_shape(x)
    ft.conv_weight_grad(np.ones(x, "f4"), np.ones(grad, "f4"), shape)
    assert layouts == [None], why
