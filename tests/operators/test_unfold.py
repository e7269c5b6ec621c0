"""Unfold against NumPy's own windows, against conv as a matrix product, and its layouts."""

import numpy as np
import pytest

import faltung as ft

BORDERS = {
    "zeros": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
    "wrap": "wrap",
}


def random_case(seed):
    """Data and a window of every kind that fits it."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 4
    kernel = rng.integers(1, 4, rank).tolist()
    stride = rng.integers(1, 4, rank).tolist()
    dilation = rng.integers(1, 3, rank).tolist()
    spatial = rng.integers(1, 6, rank).tolist()
    padding = []
    for n, k, d in zip(spatial, kernel, dilation, strict=True):
        before, after = rng.integers(0, 4, 2).tolist()
        padding.append((before + max(d * (k - 1) + 1 - n - before - after, 0), after))
    x = rng.integers(-99, 100, (2, 1 + seed % 3, *spatial))
    return x, tuple(kernel), tuple(stride), tuple(dilation), tuple(padding)


def windows_of(padded, kernel, stride, dilation):
    """Columns by NumPy's sliding windows, dilated and strided by slices."""
    rank = len(kernel)
    axes = tuple(range(2, 2 + rank))
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded, spans, axes)
    steps = tuple(slice(None, None, s) for s in (*stride, *dilation))
    view = view[(slice(None), slice(None), *steps)]
    places, taps = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
    return view.transpose(0, 1, *taps, *places).reshape(
        len(padded), padded.shape[1] * int(np.prod(kernel)), -1
    )


@pytest.mark.parametrize("seed", range(300))
def test_columns_are_numpys_windows(seed):
    x, kernel, stride, dilation, padding = random_case(seed)
    mode = list(BORDERS)[seed // 4 % 5]
    padded = np.pad(x, [(0, 0), (0, 0), *padding], BORDERS[mode])
    expected = windows_of(padded, kernel, stride, dilation)
    options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": mode}
    for algorithm in (None, "stencil", "copying") if mode == "zeros" else (None, "stencil"):
        y = ft.unfold(x, kernel, **options, algorithm=algorithm)
        assert np.array_equal(y, expected), algorithm
    assert np.array_equal(ft.unfold(x[0], kernel, **options), expected[0])
    last = ft.unfold(np.moveaxis(x, 1, -1), kernel, **options, data_format="channels_last")
    assert np.array_equal(last, expected.transpose(0, 2, 1))
    alone = ft.unfold(np.moveaxis(x[0], 0, -1), kernel, **options, data_format="channels_last")
    assert np.array_equal(alone, expected[0].T)


@pytest.mark.parametrize("seed", range(40))
def test_conv_is_a_product_with_the_columns(seed):
    x, kernel, stride, dilation, padding = random_case(seed)
    weight = np.random.default_rng(seed).integers(-9, 10, (3, x.shape[1], *kernel))
    options = {
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "padding_mode": ("zeros", "edge", "blank", "constant")[seed % 4],
    }
    if options["padding_mode"] == "constant":
        options["padding_value"] = 7
    y = ft.conv(x, weight, **options)
    for algorithm in ("stencil", "copying") if options["padding_mode"] != "edge" else (None,):
        product = weight.reshape(3, -1) @ ft.unfold(x, kernel, **options, algorithm=algorithm)
        assert np.array_equal(product.reshape(y.shape), y), algorithm


def test_large_inputs_are_copied_tap_by_tap():
    x = np.random.default_rng(0).integers(-99, 100, (2, 3, 40, 30))
    operator = ft.Unfold((3, 2), padding=((2, 1), (0, 3)), stride=(1, 2), algorithm="copying")
    padded = np.pad(x, [(0, 0), (0, 0), (2, 1), (0, 3)])
    assert np.array_equal(operator(x), windows_of(padded, (3, 2), (1, 2), (1, 1)))
    last = ft.unfold(
        np.moveaxis(x, 1, -1),
        (3, 2),
        padding=((2, 1), (0, 3)),
        stride=(1, 2),
        data_format="channels_last",
    )
    assert np.array_equal(last, operator(x).transpose(0, 2, 1))
    assert ft.Unfold((3, 2), padding=1).describe((1, 1, 5, 5)).algorithm == "stencil"


def test_an_int_stands_for_all_but_batch_and_channels():
    x = np.arange(2 * 3 * 5 * 4).reshape(2, 3, 5, 4)
    assert np.array_equal(ft.unfold(x, 2), ft.unfold(x, (2, 2)))
    assert np.array_equal(ft.Unfold(2, padding=1)(x), ft.unfold(x, (2, 2), padding=1))


def test_shapes_without_computing():
    operator = ft.Unfold((3, 2), stride=2)
    assert operator.output_shape((2, 5, 9, 8)) == (2, 30, 16)
    assert operator.output_shape((5, 9, 8)) == (30, 16)
    last = ft.Unfold((3, 2), stride=2, data_format="channels_last")
    assert last.output_shape((2, 9, 8, 5)) == (2, 16, 30)
    report = operator.describe((2, 5, 9, 8))
    assert report.output_shape == (2, 30, 16)
    assert report.macs == report.parameters == 0
    assert report.matrix_shape == (2 * 30 * 16, 2 * 5 * 72)


@pytest.mark.parametrize("mode", [*BORDERS, "constant", "blank"])
def test_the_matrix_has_an_entry_for_each_cell_that_is_copied(mode):
    window = {"padding": ((1, 2), (0, 1)), "stride": (2, 1), "padding_mode": mode}
    operator = ft.Unfold((3, 2), **window)
    matrix = [operator(cell.reshape(1, 2, 4, 3)) for cell in np.eye(24)]
    assert operator.describe((1, 2, 4, 3)).matrix_nonzeros == np.count_nonzero(matrix)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("order", ["C", "F", "reversed", "strided", "wider"])
def test_out_of_every_kind(order, data_format):
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (2, 5, 4, 3))
    expected = ft.unfold(x, (3, 2), data_format=data_format)
    shape = expected.shape
    out = {
        "C": lambda: np.zeros(shape, np.int64),
        "F": lambda: np.zeros(shape, np.int64, order="F"),
        "reversed": lambda: np.zeros(shape, np.int64)[::-1, ::-1, ::-1],
        "strided": lambda: np.zeros((*shape[:2], 2 * shape[2]), np.int64)[..., ::2],
        "wider": lambda: np.zeros(shape, np.float64),
    }[order]()
    assert ft.unfold(x, (3, 2), data_format=data_format, out=out) is out
    assert np.array_equal(out, expected)


def test_out_may_overlap_the_input():
    memory = np.arange(80)
    x = memory[:20].reshape(1, 20)
    expected = ft.unfold(x.copy(), (3,))
    out = memory[10:64].reshape(3, 18)
    ft.unfold(x, (3,), out=out)
    assert np.array_equal(out, expected)


def test_no_batch():
    assert ft.unfold(np.ones((0, 2, 4, 4)), (2, 3)).shape == (0, 12, 6)
    assert ft.unfold(np.ones((2, 0, 4, 4)), (2, 3)).shape == (2, 0, 6)


def test_special_values_are_copied_as_they_are():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]])
    y = ft.unfold(x, (2,), padding=1)
    assert np.array_equal(y, [[0, *x[0]], [*x[0], 0]], equal_nan=True)
    assert np.signbit(y[0, 4])
    assert ft.unfold(np.array([[True, False]]), (2,)).dtype == bool


@pytest.mark.parametrize(
    ("x", "kernel_size", "parameters", "kind", "words"),
    [
        ((1, 1, 4, 4), (5, 1), {}, ft.WindowError, "kernel_size spans 5 cells"),
        ((1, 1, 4, 4), 0, {}, ft.WindowError, "kernel_size is 0"),
        ((1, 1, 4, 4), (), {}, ft.WindowError, "kernel_size is empty"),
        ((1, 1, 4, 4), 2.0, {}, ft.WindowError, "kernel_size is 2.0"),
        ((1, 1, 4, 4), (2, 2), {"stride": 0}, ft.WindowError, "stride is 0"),
        ((1, 1, 4, 4), (2, 2), {"dilation": (1, 1, 1)}, ft.WindowError, "dilation"),
        ((1, 1, 4, 4), (2, 2), {"padding": "outer"}, ft.WindowError, "padding is 'outer'"),
        ((1, 1, 4, 4), (2, 2), {"padding_mode": "mean"}, ft.OptionError, "padding_mode is 'mean'"),
        ((1, 1, 4, 4), (2, 2), {"padding_value": 3}, ft.OptionError, "padding_value is 3"),
        ((4, 4), 2, {}, ft.ShapeError, "x has 2 axes"),
        ((1, 1, 4), (2, 2, 2), {}, ft.ShapeError, "x has 3 axes"),
        ((1, 1, 4, 4), (2, 2), {"data_format": "last"}, ft.OptionError, "data_format is 'last'"),
        ((1, 1, 4, 4), (2, 2), {"out": np.zeros((1, 4, 3, 3))}, ft.ShapeError, "(1, 4, 9)"),
    ],
)
def test_bad_calls_say_what_is_wrong(x, kernel_size, parameters, kind, words):
    with pytest.raises(kind, match="unfold: ") as caught:
        ft.unfold(np.ones(x), kernel_size, **parameters)
    assert words in str(caught.value)


def test_results_that_cannot_fit_are_refused():
    x = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**20))
    with pytest.raises(ft.ResourceError, match="the result"):
        ft.unfold(x, (9, 9))
