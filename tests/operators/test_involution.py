"""Involution against loops of its own and against depthwise convolution."""

import numpy as np
import pytest

import faltung as ft

MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
    "wrap": "wrap",
}


def by_hand(x, weight, kernel, stride, dilation, before, mode, outputs):
    """Element by element, on data padded with zeros far enough."""
    far = 2 * max(dilation) * max(kernel) + max(stride) + max(before) + 8
    padded = np.pad(x, [(0, 0), (0, 0), *[(far, far)] * len(kernel)], MODES[mode])
    y = np.zeros((*x.shape[:2], *outputs))
    per_group = x.shape[1] // weight.shape[1]
    for n, c, *place in np.ndindex(*y.shape):
        for tap, offsets in enumerate(np.ndindex(*kernel)):
            at = (
                far + i * s - b + d * k
                for i, s, b, d, k in zip(place, stride, before, dilation, offsets, strict=True)
            )
            own = weight[(n, c // per_group, tap, *place)]
            y[(n, c, *place)] += padded[(n, c, *at)] * own
    return y


def random_case(rng):
    rank = int(rng.integers(1, 4))
    kernel = tuple(map(int, rng.integers(1, 4, rank)))
    stride = tuple(map(int, rng.integers(1, 4, rank)))
    dilation = tuple(map(int, rng.integers(1, 3, rank)))
    before = tuple(map(int, rng.integers(0, 3, rank)))
    after = tuple(map(int, rng.integers(0, 3, rank)))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [
        max(1, s - b - a) + int(rng.integers(0, 3))
        for s, b, a in zip(spans, before, after, strict=True)
    ]
    outputs = tuple(
        (n + b + a - span) // s + 1
        for n, b, a, span, s in zip(size, before, after, spans, stride, strict=True)
    )
    window = {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": tuple(zip(before, after, strict=True)),
        "padding_mode": str(rng.choice(list(MODES))),
    }
    return window, tuple(size), outputs


@pytest.mark.parametrize("seed", range(100))
def test_against_loops(seed):
    rng = np.random.default_rng(seed)
    for _ in range(3):
        window, size, outputs = random_case(rng)
        samples, groups, per_group = map(int, rng.integers(1, 3, 3))
        x = rng.integers(-5, 6, (samples, groups * per_group, *size)).astype(float)
        taps = int(np.prod(window["kernel_size"]))
        weight = rng.integers(-5, 6, (samples, groups, taps, *outputs)).astype(float)
        before = [pair[0] for pair in window["padding"]]
        expected = by_hand(
            x,
            weight,
            window["kernel_size"],
            window["stride"],
            window["dilation"],
            before,
            window["padding_mode"],
            outputs,
        )
        y = ft.involution(x, weight, **window)
        assert np.array_equal(y, expected)
        assert np.array_equal(ft.involution(x[0], weight[0], **window), expected[0])
        with ft.reproducible():
            assert np.array_equal(ft.involution(x, weight, **window), expected)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "symmetric", "edge", "wrap", "blank"])
def test_the_same_kernel_everywhere_is_a_convolution(mode):
    rng = np.random.default_rng(1)
    x = rng.integers(-5, 6, (2, 6, 7, 8)).astype(np.float32)
    kernels = rng.integers(-5, 6, (3, 3, 2)).astype(np.float32)
    window = {"stride": (2, 1), "padding": "same", "padding_mode": mode}
    expected = ft.conv(x, np.repeat(kernels, 2, axis=0)[:, None], groups=6, **window)
    tied = np.broadcast_to(kernels.reshape(1, 3, 6, *(1, 1)), (2, 3, 6, *expected.shape[2:]))
    assert np.array_equal(ft.involution2d(x, tied, kernel_size=(3, 2), **window), expected)


def test_cells_outside_take_no_part_even_where_the_weight_is_not_finite():
    weight = np.full((1, 1, 3, 3), np.inf)
    y = ft.involution(np.ones((1, 1, 3)), weight, kernel_size=3, padding=1)
    assert np.array_equal(y, np.full((1, 1, 3), np.inf))


def test_a_nan_stays_in_its_windows():
    x = np.ones((1, 1, 6))
    x[0, 0, 2] = np.nan
    y = ft.involution(x, np.ones((1, 1, 2, 5)), kernel_size=2)
    assert np.isnan(y[0, 0]).tolist() == [False, True, True, False, False]


def test_blocks_give_what_one_block_gives():
    rng = np.random.default_rng(2)
    x = rng.integers(-5, 6, (2, 4, 150, 150)).astype(np.float32)
    weight = rng.integers(-5, 6, (2, 2, 49, 150, 150)).astype(np.float32)
    y = ft.involution(x, weight, kernel_size=7, padding=3)
    part = ft.involution(x[:, :, 60:90, 60:90], weight[..., 63:87, 63:87], kernel_size=7)
    assert np.array_equal(y[:, :, 63:87, 63:87], part)
    report = ft.Involution(weight, kernel_size=7, padding=3).describe(x.shape)
    assert report.workspace_bytes <= 16 * 2**20
    assert report.macs == y.size * 49


def test_integers_wrap_and_bool_adds_with_or():
    x = np.full((1, 1, 4), 100, np.uint8)
    weight = np.full((1, 1, 3, 2), 7, np.uint8)
    assert ft.involution(x, weight, kernel_size=3).tolist() == [[[2100 % 256] * 2]]
    truth = ft.involution(np.ones((1, 1, 4), bool), np.ones((1, 1, 3, 2), bool), kernel_size=3)
    assert truth.dtype == bool
    assert truth.all()


def test_an_operator_knows_the_input_that_it_fits():
    weight = np.ones((1, 2, 9, 3, 4))
    op = ft.Involution(weight, kernel_size=3, stride=2, padding="same")
    assert op.output_shape((1, 4, 6, 8)) == (1, 4, 3, 4)
    last = ft.Involution(
        weight, kernel_size=3, stride=2, padding="same", data_format="channels_last"
    )
    assert last(np.ones((1, 6, 8, 4))).shape == (1, 3, 4, 4)
    alone = ft.Involution(weight[0], kernel_size=(3, 3), stride=2, padding="same")
    assert alone(np.ones((4, 6, 8))).shape == (4, 3, 4)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"weight": np.ones((1, 2, 9, 4, 5))}, ft.ShapeError, r"\(4, 5\) outputs.*\(4, 4\)"),
        ({"weight": np.ones((1, 2, 8, 4, 4))}, ft.ShapeError, "8 taps a kernel"),
        ({"weight": np.ones((2, 2, 9, 4, 4))}, ft.ShapeError, "weight has 2 samples, x expects 1"),
        ({"weight": np.ones((1, 3, 9, 4, 4))}, ft.ShapeError, "groups=3 does not divide the 4"),
        ({"weight": np.ones((1, 0, 9, 4, 4))}, ft.ShapeError, "groups=0"),
        ({"weight": np.ones((9, 4))}, ft.ShapeError, "weight has shape"),
        ({"kernel_size": 0}, ft.WindowError, "kernel_size"),
        ({"kernel_size": 7}, ft.WindowError, "no output"),
        ({"padding_mode": "mirrored"}, ft.OptionError, "padding_mode"),
        ({"padding_value": 3}, ft.OptionError, "padding_value"),
    ],
)
def test_bad_calls(change, error, words):
    arguments = {"x": np.ones((1, 4, 6, 6)), "weight": np.ones((1, 2, 9, 4, 4)), "kernel_size": 3}
    with pytest.raises(error, match=words):
        ft.involution(**{**arguments, **change})


@pytest.mark.parametrize(
    ("shape", "window", "words"),
    [
        ((1, 1, 9, 3, 3), {"kernel_size": (3, 2)}, "9 taps a kernel"),
        ((1, 1, 9), {"kernel_size": (3, 3)}, "weight has shape"),
        ((1, 1, 1, 2), {"kernel_size": 1, "padding": 2}, "no input gives"),
    ],
)
def test_an_operator_that_fits_no_input_is_not_made(shape, window, words):
    with pytest.raises(ft.ShapeError, match=words):
        ft.Involution(np.ones(shape), **window)
