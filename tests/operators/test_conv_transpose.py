"""Transposed convolution against the adjoint of conv, a spreading loop and SciPy; its errors."""

import numpy as np
import pytest
from scipy import signal

import faltung as ft

MODES = ("zeros", "reflect", "symmetric", "edge", "wrap", "blank")
NAMES = ("valid", "same", "same_lower", "full", "causal")


def integers(rng, shape, dtype="int64"):
    return rng.integers(-9, 10, shape).astype(dtype)


def random_geometry(rng, rank):
    """Kernel, stride, dilation and the input of a conv, small but of every kind."""
    return (
        tuple(rng.integers(1, 5, rank).tolist()),
        tuple(rng.integers(1, 5, rank).tolist()),
        tuple(rng.integers(1, 4, rank).tolist()),
        tuple(rng.integers(1, 8 if rank < 3 else 5, rank).tolist()),
    )


def random_channels(rng):
    groups, channels, filters = rng.integers(1, 4, 3).tolist()
    return groups, groups * channels, groups * filters


@pytest.mark.parametrize("seed", range(300))
def test_it_is_the_exact_adjoint_of_conv(seed):
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    mode = MODES[seed // 3 % 6]
    kernel, stride, dilation, spatial = random_geometry(rng, rank)
    groups, channels, filters = random_channels(rng)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    most = [(r + n if mode != "zeros" else r + 1) for r, n in zip(reach, spatial, strict=True)]
    padding = tuple((int(rng.integers(m + 1)), int(rng.integers(m + 1))) for m in most)
    room = [n + sum(p) - r for n, p, r in zip(spatial, padding, reach, strict=True)]
    padding = tuple((p[0] + max(1 - free, 0), p[1]) for p, free in zip(padding, room, strict=True))
    common = {
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "groups": groups,
        "padding_mode": mode,
        "flip": bool(rng.integers(2)),
    }
    x = integers(rng, (2, channels, *spatial))
    weight = integers(rng, (filters, channels // groups, *kernel))
    forward = ft.conv(x, weight, **common)
    y = integers(rng, forward.shape)
    try:
        back = ft.conv_transpose(y, weight, **common, output_size=spatial)
    except ft.WindowError:
        # A stride leaves more cells unread at the end than output_padding may add.
        least = [
            (o - 1) * s + r + 1 - sum(p)
            for o, s, r, p in zip(y.shape[2:], stride, reach, padding, strict=True)
        ]
        limits = [max(s, d) for s, d in zip(stride, dilation, strict=True)]
        assert any(n >= low + m for n, low, m in zip(spatial, least, limits, strict=True))
        return
    assert back.shape == x.shape
    assert (forward * y).sum() == (x * back).sum()


@pytest.mark.parametrize("padding", NAMES)
@pytest.mark.parametrize("mode", MODES)
def test_named_paddings_are_adjoint_where_conv_has_them(padding, mode):
    rng = np.random.default_rng(1)
    for kernel, stride, size in [(3, 1, 7), (4, 1, 6), (5, 2, 8), (2, 3, 9), (1, 4, 8)]:
        weight = integers(rng, (2, 2, kernel))
        name = "valid" if padding == "causal" else padding
        x = integers(rng, (1, 2, size))
        options = {"stride": stride, "padding_mode": mode}
        forward = ft.conv(x, weight, padding=name, **options)
        y = integers(rng, forward.shape)
        back = ft.conv_transpose(y, weight, padding=name, output_size=size, **options)
        assert (forward * y).sum() == (x * back).sum()


@pytest.mark.parametrize("padding", ["same", "half", "same_lower", "causal"])
def test_same_and_causal_multiply_the_size_by_the_stride(padding):
    for kernel in range(1, 6):
        for stride in range(1, 5):
            for dilation in (1, 2):
                span = dilation * (kernel - 1) + 1
                options = {"stride": stride, "dilation": dilation}
                weight = np.arange(1, kernel + 1).reshape(1, 1, kernel)
                x = np.array([[[1, 10, 100]]])
                y = ft.conv_transpose(x, weight, padding=padding, **options)
                assert y.shape == (1, 1, 3 * stride)
                whole = ft.conv_transpose(x, weight, **options)[0, 0]
                total = max(span - stride, 0)
                first = {"causal": 0, "same_lower": total - total // 2}.get(padding, total // 2)
                kept = whole[first : first + 3 * stride]
                assert np.array_equal(y[0, 0, : len(kept)], kept)
                assert not y[0, 0, len(kept) :].any()


def spread(x, weight, stride, dilation, groups):
    """Everything that is spread, nothing removed: one loop over inputs and taps."""
    batch, channels, *spatial = x.shape
    kernel = weight.shape[2:]
    whole = [
        (n - 1) * s + d * (k - 1) + 1
        for n, s, d, k in zip(spatial, stride, dilation, kernel, strict=True)
    ]
    filters = weight.shape[1]
    y = np.zeros((batch, groups * filters, *whole), x.dtype)
    for c in range(channels):
        group = c // (channels // groups)
        for place in np.ndindex(*spatial):
            window = tuple(
                slice(i * s, i * s + d * (k - 1) + 1, d)
                for i, s, d, k in zip(place, stride, dilation, kernel, strict=True)
            )
            part = (slice(None), slice(group * filters, (group + 1) * filters), *window)
            column = x[(slice(None), c, *place)].reshape(-1, 1, *[1] * len(kernel))
            y[part] += column * weight[c]
    return y


@pytest.mark.parametrize("seed", range(150))
def test_zeros_are_what_a_loop_spreads_and_crops(seed):
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    kernel, stride, dilation, spatial = random_geometry(rng, rank)
    groups, channels, filters = random_channels(rng)
    x = integers(rng, (2, channels, *spatial))
    weight = integers(rng, (channels, filters // groups, *kernel))
    bias = integers(rng, filters)
    whole = spread(x, weight, stride, dilation, groups)
    extra = tuple(int(rng.integers(max(s, d))) for s, d in zip(stride, dilation, strict=True))
    before = [int(rng.integers(n)) for n in whole.shape[2:]]
    after = [int(rng.integers(n - b)) for n, b in zip(whole.shape[2:], before, strict=True)]
    y = ft.conv_transpose(
        x,
        weight,
        bias,
        stride=stride,
        dilation=dilation,
        groups=groups,
        padding=tuple(zip(before, after, strict=True)),
        output_padding=extra,
    )
    grown = np.pad(whole, [(0, 0), (0, 0), *((0, e) for e in extra)])
    kept = tuple(slice(b, n - a) for b, a, n in zip(before, after, grown.shape[2:], strict=True))
    expected = grown[(..., *kept)] + bias.reshape(-1, *[1] * rank)
    assert np.array_equal(y, expected)


@pytest.mark.parametrize("seed", range(30))
def test_stride_one_is_the_full_convolution_of_scipy(seed):
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    x = integers(rng, rng.integers(1, 7, rank), "float64")
    kernel = integers(rng, rng.integers(1, 4, rank), "float64")
    y = ft.conv_transpose(x[None, None], kernel[None, None])
    assert np.array_equal(y[0, 0], signal.convolve(x, kernel, method="direct"))


@pytest.mark.parametrize("seed", range(30))
def test_strides_are_scipys_upsampling(seed):
    rng = np.random.default_rng(seed)
    x, kernel = integers(rng, 6, "float64"), integers(rng, 1 + seed % 5, "float64")
    stride = 1 + seed % 4
    y = ft.conv_transpose1d(x[None, None], kernel[None, None], stride=stride)
    expected = signal.upfirdn(kernel, x, up=stride)
    assert np.array_equal(y[0, 0], expected[: y.shape[2]])


def test_long_sums_in_blocks_are_the_same():
    rng = np.random.default_rng(0)
    x = integers(rng, (2, 24, 40, 37), "float64")
    weight = integers(rng, (24, 6, 5, 4), "float64")
    options = {"stride": (2, 3), "padding": ((2, 1), (1, 2)), "groups": 4}
    for mode in ("zeros", "edge", "reflect"):
        y = ft.conv_transpose(x, weight, **options, padding_mode=mode)
        with ft.reproducible():
            assert np.array_equal(y, ft.conv_transpose(x, weight, **options, padding_mode=mode))
        forward = ft.conv(y[:1], weight, **options, padding_mode=mode)
        assert (forward * x[:1]).sum() == (y[:1] * y[:1]).sum()


def test_nan_and_infinities_reach_what_they_are_spread_on():
    x = np.zeros((1, 1, 5))
    x[0, 0, 2] = np.nan
    y = ft.conv_transpose(x, np.ones((1, 1, 3)), stride=2, padding=1)
    assert np.flatnonzero(np.isnan(y)).tolist() == [3, 4, 5]
    weight = np.array([[[1.0, np.inf, 1.0]]])
    y = ft.conv_transpose(np.ones((1, 1, 4)), weight, stride=3)
    assert np.flatnonzero(np.isinf(y)).tolist() == [1, 4, 7, 10]
    assert not np.isnan(y).any()


@pytest.mark.parametrize(
    ("given", "data_format"),
    [
        (8, "channels_first"),
        ((8, 8), "channels_first"),
        ((5, 8, 8), "channels_first"),
        ((2, 5, 8, 8), "channels_first"),
        ((8, 8, 5), "channels_last"),
        ((2, 8, 8, 5), "channels_last"),
        (np.array([8, 8]), "channels_first"),
    ],
    ids=str,
)
def test_output_size_in_every_form(given, data_format):
    rng = np.random.default_rng(0)
    x, weight = integers(rng, (2, 3, 4, 4)), integers(rng, (3, 5, 3, 3))
    expected = ft.conv_transpose(x, weight, stride=2, padding=1, output_padding=1)
    if data_format == "channels_last":
        x, expected = np.moveaxis(x, 1, -1), np.moveaxis(expected, 1, -1)
    options = {"stride": 2, "padding": 1, "output_size": given, "data_format": data_format}
    assert np.array_equal(ft.conv_transpose(x, weight, **options), expected)
    operator = ft.ConvTranspose(weight, **options)
    assert np.array_equal(operator(x), expected)
    assert operator.output_shape(x.shape) == expected.shape


def test_an_operator_with_an_output_size_serves_every_size_that_reaches_it():
    operator = ft.ConvTranspose(np.ones((1, 1, 3)), stride=4, output_size=(9,), padding=1)
    assert operator.output_shape((1, 1, 3)) == (1, 1, 9)
    with pytest.raises(ft.WindowError, match="output_size is 9, but 5 cells reach sizes from 17"):
        operator(np.ones((1, 1, 5)))


def test_the_report_counts_input_positions():
    operator = ft.ConvTranspose(np.ones((4, 3, 3, 2)), stride=2, padding=1)
    report = operator.describe((2, 4, 5, 6))
    assert report.macs == 2 * 4 * 3 * (5 * 3) * (6 * 2)
    assert report.output_shape == (2, 3, 9, 10)
    assert report.matrix_shape == (2 * 3 * 9 * 10, 2 * 4 * 5 * 6)
    inside = sum(0 <= 2 * i + t - 1 < 9 for i in range(5) for t in range(3))
    inside *= sum(0 <= 2 * i + t - 1 < 10 for i in range(6) for t in range(2))
    assert report.macs_without_padding == 2 * 4 * 3 * inside == report.matrix_nonzeros


@pytest.mark.parametrize("mode", MODES)
def test_nonzeros_of_the_matrix_are_counted(mode):
    weight = np.ones((1, 1, 4))
    options = {"stride": 2, "padding": ((3, 5),), "padding_mode": mode, "output_padding": 1}
    operator = ft.ConvTranspose(weight, **options)
    matrix = np.stack([operator(row[None, None])[0, 0] for row in np.eye(6)])
    assert operator.describe((1, 1, 6)).matrix_nonzeros == np.count_nonzero(matrix)


def test_receptive_field_is_what_one_output_gathers():
    for kernel, stride, dilation, before in [
        (3, 1, 1, 1),
        (5, 2, 1, 2),
        (2, 3, 1, 0),
        (3, 2, 3, 1),
    ]:
        operator = ft.ConvTranspose(
            np.ones((1, 1, kernel)), stride=stride, dilation=dilation, padding=((before, 0),)
        )
        rows = [operator(row[None, None])[0, 0] != 0 for row in np.eye(20)]
        spans = [np.flatnonzero(column) for column in np.stack(rows, axis=1)]
        report = operator.describe((1, 1, 20))
        widest = max(cells[-1] - cells[0] + 1 for cells in spans if len(cells))
        assert widest <= report.receptive_field[0] < widest + dilation


def test_huge_inputs_are_described_at_once():
    for mode in MODES:
        operator = ft.ConvTranspose(
            np.ones((1, 1, 3, 3)), stride=2, padding=((1, 0), (3, 2)), padding_mode=mode
        )
        report = operator.describe((1, 1, 2**40, 2**40))
        assert report.output_shape == (1, 1, 2**41, 2**41 - 4)
        assert 0 < report.macs_without_padding <= report.macs


@pytest.mark.parametrize(
    ("arrays", "parameters", "kind", "words"),
    [
        ({}, {"output_padding": 2, "stride": 2}, ft.WindowError, "expected less than 2"),
        ({}, {"output_padding": -1}, ft.WindowError, "output_padding is -1"),
        ({}, {"output_padding": 0.5}, ft.WindowError, "output_padding is 0.5"),
        ({}, {"output_padding": (0, 0, 0)}, ft.WindowError, "has 3 entries for 2 axes"),
        ({}, {"output_size": 3, "stride": 2}, ft.WindowError, "reach sizes from 9 to 10"),
        ({}, {"output_size": (6, 7)}, ft.WindowError, "reach sizes from 6 to 6"),
        ({}, {"output_size": ()}, ft.WindowError, "has 0 entries"),
        ({}, {"output_size": (1, 1, 1, 6, 6)}, ft.WindowError, "has 5 entries"),
        ({}, {"output_size": (7, 3, 6, 6)}, ft.ShapeError, "the result has"),
        ({}, {"output_size": "6"}, ft.WindowError, "output_size is '6'"),
        ({}, {"output_size": 0}, ft.WindowError, "output_size is 0"),
        (
            {},
            {"output_size": 10, "output_padding": 1, "stride": 2},
            ft.OptionError,
            "beside an output_size",
        ),
        ({}, {"padding": 3}, ft.WindowError, "removes 6 cells of 6: no output"),
        ({}, {"padding": 3, "output_size": 1}, ft.WindowError, "no output"),
        ({}, {"padding": -1}, ft.WindowError, "padding is -1"),
        ({}, {"padding": "around"}, ft.WindowError, "padding is 'around'"),
        ({}, {"stride": 0}, ft.WindowError, "stride is 0"),
        ({}, {"dilation": True}, ft.WindowError, "dilation is True"),
        ({}, {"groups": 3}, ft.ShapeError, "groups=3 does not divide the 4 channels of weight"),
        ({}, {"groups": 0}, ft.WindowError, "groups is 0"),
        ({}, {"padding_mode": "constant"}, ft.OptionError, "padding_mode is 'constant'"),
        ({}, {"padding_mode": None}, ft.OptionError, "padding_mode is None"),
        ({}, {"flip": 1}, ft.OptionError, "flip is 1"),
        ({"x": (2, 3, 4, 4)}, {}, ft.ShapeError, "x has 3 channels, weight expects 4"),
        ({"bias": (2,)}, {}, ft.ShapeError, "bias has 2 output channels, weight expects 3"),
        ({"bias": (3, 1)}, {}, ft.ShapeError, "bias has shape"),
        ({"weight": (4, 3)}, {}, ft.ShapeError, "weight has shape"),
        ({"weight": (4, 3, 3, 0)}, {}, ft.WindowError, "at least 1 tap"),
        ({"x": (2, 4, 0, 4)}, {}, ft.WindowError, "0 cells"),
        ({"x": (2, 4)}, {}, ft.ShapeError, "x has 2 axes"),
    ],
)
def test_bad_calls_say_what_is_wrong(arrays, parameters, kind, words):
    shapes = {"x": (2, 4, 4, 4), "weight": (4, 3, 3, 3), **arrays}
    given = {name: np.ones(shape) for name, shape in shapes.items()}
    with pytest.raises(kind, match="conv_transpose: ") as caught:
        ft.conv_transpose(**given, **parameters)
    assert words in str(caught.value)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3)])
def test_an_operator_refuses_a_weight_without_a_kernel(shape):
    with pytest.raises(ft.ShapeError, match="ConvTranspose: weight has shape"):
        ft.ConvTranspose(np.ones(shape))


def test_no_batch_and_no_channels():
    weight = np.ones((4, 3, 3))
    assert ft.conv_transpose(np.ones((0, 4, 5)), weight).shape == (0, 3, 7)
    y = ft.conv_transpose(np.ones((2, 0, 5)), np.ones((0, 3, 3)), np.arange(3.0))
    assert np.array_equal(y, np.broadcast_to(np.arange(3.0)[:, None], (2, 3, 7)))
    assert ft.conv_transpose(np.ones((2, 4, 5)), np.ones((4, 0, 3))).shape == (2, 0, 7)


def test_results_that_cannot_fit_are_refused():
    x = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**20))
    with pytest.raises(ft.ResourceError, match="the result"):
        ft.conv_transpose(x, np.ones((1, 1, 2, 2), np.float32), stride=2)
    line = np.broadcast_to(np.float32(1), (1, 1, 2**40))
    with pytest.raises(ft.ResourceError, match="fall on one of the 3 cells"):
        ft.conv_transpose(line, np.ones((1, 1, 1)), padding=((2**40 - 3, 0),), padding_mode="edge")


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_ranked_variants(rank):
    function = getattr(ft, f"conv_transpose{rank}d")
    x, weight = np.ones((1, 1, *(2,) * rank)), np.ones((1, 1, *(2,) * rank))
    assert function(x, weight).shape == (1, 1, *(3,) * rank)
    assert function(x[0], weight).shape == (1, *(3,) * rank)
    with pytest.raises(ft.ShapeError, match=f"expected {rank}"):
        function(x[..., None], weight[..., None])
