"""Fold against a brute force over columns, as the adjoint of unfold, and its layouts."""

import itertools
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from cases import NAMES
from faltung.plans import _blocks, _resources, stencil

DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"]


def amounts(padding, size, kernel, stride, dilation):
    """Before and after of one axis, by the table of names."""
    reach = dilation * (kernel - 1)
    if padding in ("same", "half", "same_lower"):
        total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
        ends = total // 2, total - total // 2
        return ends[::-1] if padding == "same_lower" else ends
    named = {"valid": (0, 0), "full": (reach, reach), "causal": (reach, 0)}
    if isinstance(padding, str):
        return named[padding]
    return padding


def random_case(seed):
    """Parameters of a window that fits, with padding of every form, and the number of windows."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 4
    sizes, kernel, stride, dilation = (
        rng.integers(1, top, rank).tolist() for top in ((13, 7, 5, 4)[rank - 1], 4, 4, 3)
    )
    way = seed // 4 % 3
    if way == 0:
        padding = NAMES[rng.integers(len(NAMES))]
        padding = "full" if padding in ("valid", "causal") and rank > 1 else padding
    else:
        padding = tuple(map(tuple, rng.integers(0, 4, (rank, 2)).tolist()))
    each = [padding] * rank if isinstance(padding, str) else padding
    places = []
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        span = d * (k - 1) + 1
        while sizes[axis] + sum(amounts(each[axis], sizes[axis], k, s, d)) < span:
            sizes[axis] += 1
        room = sizes[axis] + sum(amounts(each[axis], sizes[axis], k, s, d))
        places.append((room - span) // s + 1)
    window = {"stride": tuple(stride), "dilation": tuple(dilation), "padding": padding}
    return tuple(sizes), tuple(kernel), window, places


def added_one_by_one(columns, sizes, kernel, window, places):
    """Every number of every column to its cell of a padded array, which is then cropped."""
    rank = len(sizes)
    padding = window["padding"]
    each = [padding] * rank if isinstance(padding, str) else padding
    steps = list(zip(sizes, kernel, window["stride"], window["dilation"], strict=True))
    ends = [amounts(pad, *step) for pad, step in zip(each, steps, strict=True)]
    channels = columns.shape[1] // int(np.prod(kernel))
    room = [n + sum(e) for n, e in zip(sizes, ends, strict=True)]
    y = np.zeros((len(columns), channels, *room), columns.dtype)
    for row, (c, *taps) in enumerate(itertools.product(range(channels), *map(range, kernel))):
        for column, place in enumerate(itertools.product(*map(range, places))):
            cell = tuple(
                i * s + t * d for i, t, (_, _, s, d) in zip(place, taps, steps, strict=True)
            )
            y[(slice(None), c, *cell)] += columns[:, row, column]
    return y[(..., *(slice(e[0], e[0] + n) for e, n in zip(ends, sizes, strict=True)))]


@pytest.mark.parametrize("seed", range(300))
def test_columns_are_added_where_their_windows_are(seed):
    sizes, kernel, window, places = random_case(seed)
    rng = np.random.default_rng(seed)
    entries = (1 + seed % 3) * int(np.prod(kernel))
    columns = rng.integers(-99, 100, (2, entries, int(np.prod(places))))
    expected = added_one_by_one(columns, sizes, kernel, window, places)
    y = ft.fold(columns, sizes, kernel, **window)
    assert np.array_equal(y, expected)
    assert np.array_equal(ft.fold(columns[0], sizes, kernel, **window), expected[0])
    last = ft.fold(columns.transpose(0, 2, 1), sizes, kernel, **window, data_format="channels_last")
    assert np.array_equal(last, np.moveaxis(expected, 1, -1))
    alone = ft.fold(columns[0].T, sizes, kernel, **window, data_format="channels_last")
    assert np.array_equal(alone, np.moveaxis(expected[0], 0, -1))


@pytest.mark.parametrize("seed", range(100))
def test_it_is_the_adjoint_of_unfold(seed):
    sizes, kernel, window, places = random_case(seed)
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, 3, *sizes))
    columns = rng.integers(-9, 10, (2, 3 * int(np.prod(kernel)), int(np.prod(places))))
    unfolded = ft.unfold(x, kernel, **window)
    assert unfolded.shape == columns.shape
    folded = ft.fold(columns, sizes, kernel, **window)
    assert (unfolded * columns).sum() == (x * folded).sum()


def test_columns_of_ones_count_the_windows_over_each_cell():
    x = np.ones((1, 1, 5, 4), int)
    y = ft.fold(ft.unfold(x, (3, 2), padding="same"), (5, 4), (3, 2), padding="same")
    rows, columns = np.array([2, 3, 3, 3, 2]), np.array([1, 2, 2, 2])
    assert np.array_equal(y[0, 0], np.outer(rows, columns))


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16], ids=str)
def test_every_dtype(dtype):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2 if np.dtype(dtype) == bool else 100, (1, 6, 8))
    columns = values.astype(dtype)
    y = ft.fold(columns, (5, 4), (3, 2), padding=((0, 1), (1, 0)), stride=(2, 1))
    wide = np.result_type(dtype, np.int64) if np.dtype(dtype).kind in "iufc" else np.int64
    window = {"stride": (2, 1), "dilation": (1, 1), "padding": ((0, 1), (1, 0))}
    exact = added_one_by_one(columns.astype(wide), (5, 4), (3, 2), window, [2, 4])
    assert y.dtype == dtype
    assert np.array_equal(y, exact.astype(dtype))


def test_integers_wrap_and_wider_ones_do_not():
    columns = np.full((3, 2), 100, np.int8)
    assert ft.fold(columns, (4,), (3,)).tolist() == [[100, -56, -56, 100]]
    assert ft.fold(columns, (4,), (3,), dtype=np.int16).tolist() == [[100, 200, 200, 100]]
    assert ft.fold(columns > 0, (4,), (3,)).tolist() == [[True] * 4]


def test_half_precision_is_rounded_once():
    columns = np.full((64, 1), 1 + 2**-10, np.float16)
    columns[1:] = 2**-11
    y = ft.fold(columns.repeat(64, 1), (127,), (64,))
    exact = ft.fold(columns.astype(np.float64).repeat(64, 1), (127,), (64,))
    assert np.array_equal(y, exact.astype(np.float16))


def test_special_values_reach_their_own_cell_alone():
    for value in (np.nan, np.inf, -np.inf):
        columns = np.zeros((4, 9))
        columns[3, 4] = value  # the lower right tap of the window in the middle
        y = ft.fold(columns, (4, 4), (2, 2))
        assert np.array_equal(y[0, 2, 2], value, equal_nan=True)
        assert np.count_nonzero(y) == 1


def test_ints_alone_are_one_axis():
    columns = np.arange(2 * 6 * 4).reshape(2, 6, 4)
    assert np.array_equal(ft.fold(columns, 6, 3), ft.fold(columns, (6,), (3,)))
    assert ft.fold(np.ones((4, 9)), (4, 4), 2).shape == (1, 4, 4)
    assert ft.fold(np.ones((4, 9)), 4, (2, 2)).shape == (1, 4, 4)
    assert ft.Fold((4, 4), 2, padding=1).output_shape((3, 8, 25)) == (3, 2, 4, 4)


def test_shapes_without_computing():
    operator = ft.Fold((9, 8), (3, 2), stride=2)
    assert operator.output_shape((2, 30, 16)) == (2, 5, 9, 8)
    assert operator.output_shape((30, 16)) == (5, 9, 8)
    last = ft.Fold((9, 8), (3, 2), stride=2, data_format="channels_last")
    assert last.output_shape((2, 16, 30)) == (2, 9, 8, 5)
    report = operator.describe((2, 30, 16))
    assert report.macs == report.parameters == 0
    assert report.matrix_shape == (2 * 5 * 72, 2 * 30 * 16)


def test_the_matrix_has_an_entry_for_each_number_that_is_not_lost():
    operator = ft.Fold((4, 3), (3, 2), padding=((1, 2), (0, 1)), stride=(2, 1))
    matrix = [operator(cell.reshape(1, 12, 9)) for cell in np.eye(12 * 9)]
    assert operator.describe((1, 12, 9)).matrix_nonzeros == np.count_nonzero(matrix)


def test_empty_columns():
    assert ft.fold(np.ones((0, 12, 6)), (4, 3), (2, 2)).shape == (0, 3, 4, 3)
    assert ft.fold(np.ones((2, 0, 6)), (4, 3), (2, 2)).shape == (2, 0, 4, 3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_blocks_give_what_the_whole_gives(monkeypatch, dtype):
    """With a workspace of a few hundred bytes every axis is cut."""
    rng = np.random.default_rng(0)
    columns = rng.integers(-9, 10, (2, 2 * 6, 40)).astype(dtype)
    given = (10, 7), (3, 2)
    window = {"stride": (2, 1), "dilation": (1, 2), "padding": ((1, 0), (1, 2))}
    expected = added_one_by_one(columns, *given, window, [5, 8])
    monkeypatch.setattr(_blocks, "WORKSPACE", 256)
    operator = ft.Fold(*given, **window)
    bound = operator._bind(columns.shape, columns.dtype)
    assert stencil.workspace(bound.problem) <= 256
    assert np.array_equal(ft.fold(columns, *given, **window, algorithm="stencil"), expected)


def test_workspace_keeps_the_promise_whatever_the_kernel():
    for size, kernel in (((3000, 3000), (3, 3)), ((200, 200), (64, 64)), ((10**7,), (5,))):
        operator = ft.Fold(size, kernel)
        windows = int(np.prod([n - k + 1 for n, k in zip(size, kernel, strict=True)]))
        shape = (4, 2 * int(np.prod(kernel)), windows)
        bound = operator._bind(shape, np.dtype(np.float32))
        assert stencil.workspace(bound.problem) <= _resources.WORKSPACE


def test_memory_that_is_really_taken():
    columns = np.broadcast_to(np.float16(1), (1, 4, 2999 * 2999))
    out = np.empty((1, 1, 3000, 3000), np.float16)
    tracemalloc.start()
    ft.fold(columns, (3000, 3000), (2, 2), out=out, algorithm="stencil")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < _resources.WORKSPACE + 2**20
    assert (out[0, 0, 1:-1, 1:-1] == 4).all()


@pytest.mark.parametrize(
    ("shape", "size", "kernel", "parameters", "kind", "words"),
    [
        ((1, 4, 9), (5, 5), 2, {}, ft.ShapeError, "expected 4 * 4 = 16 windows, given 9"),
        ((1, 4, 9), 10, 2, {"padding": 1}, ft.ShapeError, "expected 11 windows, given 9"),
        ((1, 7, 9), (4, 4), 2, {}, ft.ShapeError, "the taps of the kernel, 2 * 2 = 4"),
        ((9,), (4, 4), 2, {}, ft.ShapeError, "columns has 1 axes"),
        ((1, 1, 4, 9), (4, 4), 2, {}, ft.ShapeError, "columns has 4 axes"),
        ((1, 4, 9), (4, 4), (2, 2, 2), {}, ft.WindowError, "kernel_size (2, 2, 2) has 3 entries"),
        ((1, 4, 9), (1, 4), 2, {}, ft.WindowError, "kernel_size spans 2 cells"),
        ((1, 4, 9), (0, 4), 2, {}, ft.WindowError, "output_size is 0"),
        ((1, 4, 9), (4.0, 4), 2, {}, ft.WindowError, "output_size is 4.0"),
        ((1, 4, 9), None, 2, {}, ft.WindowError, "output_size is None"),
        ((1, 4, 9), (4, 4), 2, {"stride": 0}, ft.WindowError, "stride is 0"),
        ((1, 4, 9), (4, 4), 2, {"padding": "outer"}, ft.WindowError, "padding is 'outer'"),
        ((1, 4, 9), (4, 4), 2, {"dilation": True}, ft.WindowError, "dilation is True"),
        ((1, 4, 9), (4, 4), 2, {"algorithm": "direct"}, ft.OptionError, "'direct' cannot do this"),
        ((1, 4, 9), (4, 4), 2, {"data_format": "last"}, ft.OptionError, "data_format is 'last'"),
        ((1, 4, 9), (4, 4), 2, {"out": np.zeros((4, 4))}, ft.ShapeError, "(1, 1, 4, 4)"),
    ],
)  # fmt: skip
def test_bad_calls_say_what_is_wrong(shape, size, kernel, parameters, kind, words):
    with pytest.raises(kind, match="fold: ") as caught:
        ft.fold(np.ones(shape), size, kernel, **parameters)
    assert words in str(caught.value)


def test_results_that_cannot_fit_are_refused():
    columns = np.broadcast_to(np.float32(1), (1, 1, 2))
    with pytest.raises(ft.ResourceError, match="the result"):
        ft.fold(columns, 2**50, 1, stride=2**49)
