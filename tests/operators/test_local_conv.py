"""Untied convolution against loops of its own and, with tied kernels, against convolution."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft


@pytest.mark.parametrize("seed", range(100))
def test_against_loops_and_tied_kernels(seed):
    rng = np.random.default_rng(seed)
    for _ in range(3):
        rank = int(rng.integers(1, 4))
        kernel, stride, dilation, padding = (
            tuple(map(int, rng.integers(*bounds, rank)))
            for bounds in ((1, 4), (1, 4), (1, 3), (0, 3))
        )
        groups, channels, filters = map(int, rng.integers(1, 3, 3))
        size = tuple(
            max(1, d * (k - 1) + 1 - 2 * p) + int(rng.integers(0, 4))
            for d, k, p in zip(dilation, kernel, padding, strict=True)
        )
        window = {
            "stride": stride,
            "dilation": dilation,
            "padding": padding,
            "groups": groups,
            "padding_mode": str(rng.choice(["zeros", "reflect", "symmetric", "edge", "wrap"])),
        }
        x = rng.integers(-5, 6, (2, groups * channels, *size)).astype(float)
        tied = rng.integers(-5, 6, (groups * filters, channels, *kernel)).astype(float)
        bias = rng.integers(-5, 6, groups * filters).astype(float)
        expected = ft.conv(x, tied, bias, algorithm="stencil", **window)
        outputs = expected.shape[2:]
        flat = tied.reshape(*tied.shape[:2], -1, *(1,) * rank)
        weight = np.broadcast_to(flat, (*flat.shape[:3], *outputs))
        assert np.array_equal(
            ft.local_conv(x, weight, bias, kernel_size=kernel, **window), expected
        )
        # Untied: each output is what a convolution with that output's filters gives there.
        weight = rng.integers(-5, 6, weight.shape).astype(float)
        y = ft.local_conv(x, weight, bias, kernel_size=kernel, **window)
        with ft.reproducible():
            again = ft.local_conv(x, weight, bias, kernel_size=kernel, **window)
        assert np.array_equal(again, y)
        place = tuple(int(rng.integers(0, count)) for count in outputs)
        own = weight[(..., *place)].reshape(tied.shape)
        there = ft.conv(x, own, bias, algorithm="stencil", **window)
        assert np.array_equal(y[(..., *place)], there[(..., *place)])


def test_plain_loops():
    rng = np.random.default_rng(0)
    x = rng.integers(-5, 6, (2, 3, 4, 5)).astype(float)
    weight = rng.integers(-5, 6, (2, 3, 4, 3, 4)).astype(float)
    bias = np.array([10.0, -10.0])
    y = ft.local_conv(x, weight, bias, kernel_size=2)
    for n, o, i, j in np.ndindex(*y.shape):
        cells = x[n, :, i : i + 2, j : j + 2].reshape(3, 4)
        assert y[n, o, i, j] == (cells * weight[o, :, :, i, j]).sum() + bias[o]
    assert np.array_equal(ft.local_conv(x[0], weight, bias, kernel_size=2), y[0])


def test_the_bias_is_left_out_where_the_window_leaves_the_input():
    y = ft.local_conv(
        np.ones((1, 1, 3)),
        np.ones((1, 1, 3, 3)),
        [5],
        kernel_size=3,
        padding=1,
        padding_mode="blank",
    )
    assert y.tolist() == [[[0, 8, 0]]]


def test_cells_outside_take_no_part_even_where_the_weight_is_not_finite():
    weight = np.full((1, 1, 3, 3), np.nan)
    weight[:, :, 1] = 1
    weight[:, :, 0, 0] = weight[:, :, 2, 2] = np.inf
    weight[:, :, 2, :2] = weight[:, :, 0, 1:] = 2
    y = ft.local_conv(np.ones((1, 1, 3)), weight, kernel_size=3, padding=1)
    assert y.tolist() == [[[3, 5, 3]]]


def test_no_channels_give_zeros_plus_bias():
    y = ft.local_conv(np.ones((2, 0, 3)), np.ones((1, 0, 2, 2)), [3.0], kernel_size=2)
    assert y.tolist() == [[[3, 3]]] * 2
    assert ft.local_conv(np.ones((0, 1, 3)), np.ones((1, 1, 2, 2)), kernel_size=2).shape == (
        0,
        1,
        2,
    )


def test_the_workspace_counts_the_weights_of_a_block():
    rng = np.random.default_rng(6)
    x = rng.integers(-3, 4, (1, 4, 66, 66)).astype(np.float32)
    weight = rng.integers(-3, 4, (48, 4, 9, 64, 64)).astype(np.float32)
    tracemalloc.start()
    y = ft.local_conv(x, weight, kernel_size=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - y.nbytes < 17 * 2**20
    cells = x[0, :, 20:23, 30:33].reshape(4, 9)
    assert np.array_equal(y[0, :, 20, 30], (cells * weight[..., 20, 30]).sum(axis=(1, 2)))


def test_half_precision_is_summed_in_single():
    x = np.full((1, 64, 4), 1, np.float16)
    weight = np.full((1, 64, 2, 3), 33.03125, np.float16)
    y = ft.local_conv(x, weight, kernel_size=2)
    assert y.dtype == np.float16
    assert np.array_equal(y, np.full((1, 1, 3), np.float16(128 * 33.03125)))


def test_an_operator_knows_the_input_that_it_fits():
    op = ft.LocalConv(np.ones((4, 2, 9, 3, 4)), kernel_size=3, stride=2, padding=1, groups=2)
    assert op.output_shape((5, 4, 6, 8)) == (5, 4, 3, 4)
    report = op.describe((5, 4, 6, 8))
    assert report.macs == 5 * 4 * 2 * 9 * 12
    with pytest.raises(ft.ShapeError, match=r"\(3, 4\) outputs.*\(4, 4\)"):
        op.output_shape((5, 4, 7, 8))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"weight": np.ones((1, 2, 9, 4, 5))}, ft.ShapeError, r"\(4, 5\) outputs.*\(4, 4\)"),
        ({"weight": np.ones((1, 2, 8, 4, 4))}, ft.ShapeError, "8 taps a kernel"),
        ({"weight": np.ones((1, 3, 9, 4, 4))}, ft.ShapeError, "x has 2 channels"),
        ({"weight": np.ones((2, 9, 4))}, ft.ShapeError, "at least 4 axes"),
        ({"bias": np.ones(3)}, ft.ShapeError, "bias has 3"),
        ({"bias": np.ones((1, 1))}, ft.ShapeError, "bias has shape"),
        ({"groups": 0}, ft.WindowError, "groups"),
        ({"kernel_size": (3, 3, 3)}, ft.WindowError, "kernel_size"),
        ({"kernel_size": True}, ft.WindowError, "kernel_size"),
        ({"kernel_size": 2.0}, ft.WindowError, "kernel_size"),
        ({"padding": -1}, ft.WindowError, "padding"),
    ],
)
def test_bad_calls(change, error, words):
    arguments = {"x": np.ones((1, 2, 6, 6)), "weight": np.ones((1, 2, 9, 4, 4)), "kernel_size": 3}
    with pytest.raises(error, match=words):
        ft.local_conv(**{**arguments, **change})
