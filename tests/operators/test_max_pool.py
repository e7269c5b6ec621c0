"""Max pooling beside brute force: values, places, NaNs, ties, and windows that see nothing."""

import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
from scipy import ndimage

import faltung as ft
from pooling_cases import draw_pooling, seen_cells


def brute_force(x, case):
    """The winner of each window and its place, cell by cell in Python."""
    places, plane = seen_cells(x.shape[2:], case), np.arange(np.prod(x.shape[2:]))
    shape = (*x.shape[:2], *[len(axis) for axis in places])
    values, indices = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    plane = plane.reshape(x.shape[2:])
    for n, c in np.ndindex(*shape[:2]):
        for place in np.ndindex(*shape[2:]):
            best = None
            for cell in itertools.product(
                *(axis[i] for axis, i in zip(places, place, strict=True))
            ):
                value = x[(n, c, *cell)]
                if best is None or value > x[(n, c, *best)] or value != value:
                    best = cell
            values[(n, c, *place)] = x[(n, c, *best)]
            indices[(n, c, *place)] = plane[best]
    return values, indices


@pytest.mark.parametrize("seed", range(3))
def test_values_and_indices_are_those_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    for dtype in ["float32", "float64", "float16", "int8", "uint64", "bool", ml_dtypes.bfloat16]:
        for _ in range(15):
            case = draw_pooling(rng)
            x = rng.integers(0 if np.dtype(dtype).kind in "bu" else -4, 5, case.shape).astype(dtype)
            if x.dtype.kind in "fV":
                x[rng.random(x.shape) < 0.05] = np.nan
                x[rng.random(x.shape) < 0.05] = -np.inf
            y, indices = ft.max_pool(x, **case.parameters, return_indices=True)
            values, places = brute_force(x, case)
            assert y.dtype == x.dtype
            assert indices.dtype == np.int64
            is_float = x.dtype.kind in "fV"
            wide = np.float64 if is_float else x.dtype
            y, values = y.astype(wide), values.astype(wide)
            assert np.array_equal(y, values, equal_nan=is_float)
            assert np.array_equal(indices, places), case


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (5, 1)])
def test_stride_1_is_the_maximum_filter(size):
    x = np.random.default_rng(0).normal(size=(1, 1, 13, 9))
    y = ft.max_pool(x, size, stride=1, padding="same_lower")
    assert np.array_equal(
        y[0, 0], ndimage.maximum_filter(x[0, 0], size, mode="constant", cval=-np.inf)
    )


def test_sizes_follow_the_closed_form():
    count = 0
    for n, k, s, d in itertools.product(range(1, 12), range(1, 5), range(1, 5), range(1, 4)):
        for before, after, ceil in itertools.product(range(4), range(4), (False, True)):
            span = d * (k - 1) + 1
            room = n + before + after - span
            outputs = (-(-room // s) if ceil else room // s) + 1
            if ceil and (outputs - 1) * s >= n + before:
                outputs -= 1
            starts = [i * s - before for i in range(max(outputs, 0))]
            sees = [any(0 <= a + t * d < n for t in range(k)) for a in starts]
            parameters = {"stride": s, "dilation": d, "padding": ((before, after),)}
            operator = None
            if outputs >= 1 and all(sees):
                operator = ft.MaxPool(k, **parameters, ceil_mode=ceil)
                assert operator.output_shape((1, 1, n)) == (1, 1, outputs)
                count += 1
            else:
                with pytest.raises(ft.WindowError):
                    ft.MaxPool(k, **parameters, ceil_mode=ceil).output_shape((1, 1, n))
    assert count > 3000


@pytest.mark.parametrize(
    "dtype", ["float32", ml_dtypes.bfloat16, "float16", "int8", "uint8", "bool"]
)
def test_windows_of_the_least_number_win_with_a_real_cell(dtype):
    kind = np.dtype(dtype)
    least = {"b": False, "i": -128, "u": 0}.get(kind.kind, -np.inf)
    x = np.full((1, 1, 4, 4), least, dtype)
    y, indices = ft.max_pool(x, 3, padding=2, return_indices=True)
    assert (y == least).all()
    assert indices.tolist() == [[[[0, 1], [4, 5]]]]


def test_ties_give_the_first_and_nan_the_last_place():
    x = np.array([[[1.0, 5, 5, np.nan, 0, np.nan, 2]]])
    y, indices = ft.max_pool1d(x, 3, stride=2, return_indices=True)
    assert np.array_equal(y, [[[5, np.nan, np.nan]]], equal_nan=True)
    assert indices.tolist() == [[[1, 3, 5]]]


def test_one_nan_reaches_exactly_the_windows_over_it():
    for place in np.ndindex(5, 6):
        x = np.ones((1, 1, 5, 6))
        x[(0, 0, *place)] = np.nan
        y = ft.max_pool(x, (2, 3), stride=1, padding=1)
        expected = ft.conv(np.isnan(x).astype(int), np.ones((1, 1, 2, 3), int), padding=1)
        assert np.array_equal(np.isnan(y), expected > 0)


def test_blocks_give_the_same_as_the_whole():
    x = np.random.default_rng(1).normal(size=(2, 3, 300, 260)).astype(np.float32)
    y, indices = ft.max_pool2d(x, 5, stride=2, padding=2, return_indices=True)
    some, places = ft.max_pool2d(x[1:, 2:], 5, stride=2, padding=2, return_indices=True)
    assert np.array_equal(y[1:, 2:], some)
    assert np.array_equal(indices[1:, 2:], places)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-np.inf), (5, 5), (2, 3)
    )[:, :, ::2, ::2]
    assert np.array_equal(y, windows.max((-1, -2)))


def test_tuples_come_from_every_way_of_calling():
    x = np.random.default_rng(2).normal(size=(2, 3, 6, 5))
    y, indices = ft.max_pool(x, (2, 2), stride=1, return_indices=True)
    operator = ft.MaxPool((2, 2), stride=1, return_indices=True)
    for call in (operator, pickle.loads(pickle.dumps(operator))):
        again, places = call(x)
        assert np.array_equal(again, y)
        assert np.array_equal(places, indices)
    assert operator.output_shape(x.shape) == y.shape
    assert np.array_equal(operator.reference(x), y)
    last, places = ft.max_pool(
        np.moveaxis(x, 1, -1), (2, 2), stride=1, return_indices=True, data_format="channels_last"
    )
    assert np.array_equal(np.moveaxis(last, -1, 1), y)
    assert np.array_equal(np.moveaxis(places, -1, 1), indices)
    one, places = operator(x[0])
    assert np.array_equal(one, y[0])
    assert np.array_equal(places, indices[0])
    wide, places = ft.max_pool(x.astype("f4"), 2, stride=1, return_indices=True, dtype="f8")
    assert wide.dtype == np.float64
    assert places.dtype == np.int64


def test_indices_are_right_where_out_overlaps_the_input():
    x = np.random.default_rng(3).normal(size=(1, 2, 4, 4))
    y, indices = ft.max_pool(x, 3, stride=1, padding=1, return_indices=True)
    for call in (
        lambda x: ft.max_pool(x, 3, stride=1, padding=1, return_indices=True, out=x),
        lambda x: ft.MaxPool(3, stride=1, padding=1, return_indices=True)(x, out=x),
    ):
        own = x.copy()
        result, places = call(own)
        assert result is own
        assert np.array_equal(own, y)
        assert np.array_equal(places, indices)


def test_empty_batches_and_channels():
    for shape in ((0, 2, 4, 4), (2, 0, 4, 4)):
        y, indices = ft.max_pool(np.ones(shape), 2, return_indices=True)
        assert y.shape == indices.shape == (*shape[:2], 2, 2)


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"padding": ((3, 0), (0, 0))}, "no cell"),
        ({"padding": 10**12}, "no cell"),
        ({"padding": (0, 4), "stride": 1}, "no cell"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": True}, "kernel_size"),
        ({"kernel_size": (2, 2.0)}, "kernel_size"),
        ({"kernel_size": ()}, "kernel_size"),
        ({"kernel_size": 10**30}, "kernel_size"),
        ({"stride": 0}, "stride"),
        ({"kernel_size": (2, 2), "stride": (1, 2, 3)}, "entries"),
        ({"stride": (1, 2), "dilation": (1, 2, 3)}, "entries"),
        ({"padding": (0, 2), "stride": 1}, "no cell"),
        ({"padding": "smae"}, "padding"),
        ({"padding": -1}, "padding"),
        ({"dilation": 0}, "dilation"),
        ({"ceil_mode": 1}, "ceil_mode"),
        ({"return_indices": None}, "return_indices"),
        ({"algorithm": "fft3"}, "algorithm"),
        ({"data_format": "NCHW"}, "data_format"),
    ],
)
def test_malformed_calls_are_refused_with_and_without_data(parameters, word):
    arguments = {"kernel_size": 2, **parameters}
    with pytest.raises((ft.WindowError, ft.OptionError, ft.ShapeError), match=word):
        ft.max_pool(np.ones((1, 2, 7, 7)), **arguments)
    with pytest.raises((ft.WindowError, ft.OptionError), match=word):
        ft.MaxPool(**arguments)


def test_an_operator_is_not_refused_for_sizes_it_will_not_see():
    operator = ft.MaxPool(2, stride=3, padding=((0, 3),))  # some sizes end in an empty window
    good = [n for n in range(1, 12) if sees_input(operator, n)]
    assert good
    assert len(good) < 11


def sees_input(operator, n):
    try:
        operator.output_shape((1, 1, n))
    except ft.WindowError:
        return False
    return True


def test_a_dilation_beyond_the_input_is_checked_in_no_time():
    x = np.ones((1, 1, 5))
    with pytest.raises(ft.WindowError, match="window 5 sees no cell"):
        ft.max_pool(x, 2, stride=1, dilation=10**12, padding=((10**12, 10**12),))
    with pytest.raises(ft.WindowError, match="window 0 sees no cell"):
        ft.max_pool(x[..., :4], (2,), dilation=7, padding="same", stride=1)


def test_complex_data_are_refused():
    with pytest.raises(ft.DTypeError, match="x has dtype complex64"):
        ft.max_pool(np.ones((1, 1, 4), np.complex64), 2)


def test_ranked_functions_know_their_rank():
    x = np.ones((2, 4, 5, 6))
    assert ft.max_pool3d(x, 2).shape == (2, 2, 2, 3)
    assert ft.max_pool2d(x, 2).shape == (2, 4, 2, 3)
    assert ft.max_pool1d(x[0, 0], 2).shape == (5, 3)
    with pytest.raises(ft.WindowError, match=r"kernel_size.* 3 entries, expected 2"):
        ft.max_pool2d(x, (2, 2, 2))


def test_a_window_beyond_all_memory_is_refused():
    x = np.ones((1, 1, 6, 6))
    for call in (
        lambda: ft.max_pool(x, (2**30, 1), padding="full"),
        lambda: ft.MaxPool(2**25, stride=2**24, padding=2**24)(x),
        lambda: ft.avg_pool(x, 2**30, stride=2**29, padding=2**29),
    ):
        with pytest.raises(ft.ResourceError, match=r"taps needs .* bytes"):
            call()


def test_parameters_of_another_rank_than_the_data_are_refused():
    x = np.ones((1, 2, 7, 7))
    for parameters in ({"stride": (1, 2, 3)}, {"padding": ((1, 1),)}, {"dilation": (1,)}):
        with pytest.raises(ft.WindowError, match=f"{next(iter(parameters))}.* entries for 2 axes"):
            ft.max_pool(x, 2, **parameters)
        assert ft.MaxPool(2, **parameters)  # fits data of another rank
