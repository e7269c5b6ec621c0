"""Window reductions against scipy.ndimage and NumPy, and what users' functions may do."""

import logging
import pickle

import numpy as np
import pytest
from scipy import ndimage, special

import faltung as ft
from faltung.compiled import _jit
from faltung.compiled.rows import RowFunction

MODES = {
    "zeros": "constant",
    "reflect": "mirror",
    "symmetric": "reflect",
    "edge": "nearest",
    "wrap": "wrap",
}
NUMPY = {
    "sum": np.sum,
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "range": np.ptp,
    "median": np.median,
    "var": np.var,
    "std": np.std,
    "logsumexp": special.logsumexp,
}


def middle_of_extremes(values):
    return 0.5 * (values.min() + values.max())


def calls_what_numba_does_not_know(values):
    return logging.getLogger("nothing").level + values[0]


def gives_an_array(values):
    return values[:2]


def gives_nothing(values):
    values[0] = 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(12))
def test_against_ndimage(mode, seed):
    rng = np.random.default_rng(seed)
    for name, function in NUMPY.items():
        rank = int(rng.integers(1, 4))
        kernel = tuple(rng.integers(1, 5 - (rank == 3), rank).tolist())
        plane = rng.normal(size=rng.integers(4, 8, rank))
        expected = ndimage.generic_filter(plane, function, kernel, mode=MODES[mode])
        # ndimage has the extra cell of an even window before.
        y = ft.window_reduce(plane[None], kernel, name, padding="same_lower", padding_mode=mode)
        np.testing.assert_allclose(y[0], expected, rtol=1e-12, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("seed", range(40))
def test_rank_filters_of_ndimage(seed):
    rng = np.random.default_rng(seed)
    for _ in range(6):
        kernel = tuple((2 * rng.integers(0, 3, 2) + 1).tolist())
        picture = rng.integers(0, 256, (7, 9)).astype(float)
        options = {"padding": "same", "padding_mode": "symmetric"}
        y = ft.window_reduce(picture[None], kernel, "median", **options)
        assert np.array_equal(y[0], ndimage.median_filter(picture, kernel))
        rank = int(rng.integers(0, np.prod(kernel)))
        percent = 100 * rank / max(np.prod(kernel) - 1, 1)
        y = ft.window_reduce(picture[None], kernel, ("percentile", percent), **options)
        expected = ndimage.rank_filter(picture, rank, kernel)
        np.testing.assert_allclose(y[0], expected, rtol=1e-12)


@pytest.mark.parametrize("percent", [0, 12.5, 30, 50, 77.7, 99, 100])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_percentiles_are_those_of_numpy(percent, dtype):
    x = np.random.default_rng(0).integers(-99, 99, (2, 3, 8, 9)).astype(dtype)
    y = ft.window_reduce(x, (3, 4), ("percentile", percent), stride=2)
    views = ft.windows(x, (3, 4), stride=2).reshape(*y.shape, -1)
    expected = np.percentile(views, percent, axis=-1)
    assert y.dtype == (np.float32 if dtype == "float32" else np.float64)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("reduction", [*NUMPY, ("percentile", 40)])
def test_stride_dilation_and_batch(reduction):
    x = np.random.default_rng(1).normal(size=(2, 3, 9, 10))
    y = ft.window_reduce(x, (2, 3), reduction, stride=(2, 3), dilation=(3, 2))
    views = ft.windows(x, (2, 3), stride=(2, 3), dilation=(3, 2)).reshape(*y.shape, -1)
    function = NUMPY.get(reduction, lambda values: np.percentile(values, 40))
    for place in np.ndindex(*y.shape):
        assert y[place] == pytest.approx(function(views[place]), rel=1e-12)


@pytest.mark.parametrize("reduction", [*NUMPY, ("percentile", 60)])
def test_nan_gives_nan_and_stays_in_its_windows(reduction):
    x = np.arange(8.0)[None, None]
    x[0, 0, 3] = np.nan
    y = ft.window_reduce(x, (3,), reduction)
    assert np.isnan(y[0, 0]).tolist() == [False, True, True, True, False, False]


def test_infinities():
    x = np.array([[[-np.inf, 1.0, 2.0, np.inf, np.inf]]])

    def reduced(reduction, size=2):
        return ft.window_reduce(x, (size,), reduction)[0, 0].tolist()

    assert reduced("logsumexp", 1) == [-np.inf, 1, 2, np.inf, np.inf]
    assert reduced("logsumexp")[0] == 1
    assert reduced("logsumexp")[2:] == [np.inf, np.inf]
    assert reduced(("percentile", 0)) == [-np.inf, 1, 2, np.inf]
    assert reduced(("percentile", 100)) == [1, 2, np.inf, np.inf]
    assert reduced("median") == [-np.inf, 1.5, np.inf, np.inf]
    nothing = np.full((1, 1, 3), -np.inf)
    assert ft.window_reduce(nothing, (3,), "logsumexp").item() == -np.inf
    huge = np.full((1, 1, 2), 1e308)
    assert ft.window_reduce(huge, (2,), "logsumexp").item() == pytest.approx(1e308)


def test_dtypes():
    x = np.array([[[100, 100, -100]]], np.int8)
    for name, expected in (("sum", [-56, 0]), ("range", [0, -56]), ("max", [100, 100])):
        y = ft.window_reduce(x, (2,), name)
        assert (y.dtype, y.tolist()) == (np.int8, [[expected]])
    for name in ("mean", "median", "var", "std", "logsumexp", ("percentile", 5)):
        assert ft.window_reduce(x, (2,), name).dtype == np.float64
        half = ft.window_reduce(x.astype(np.float16), (2,), name)
        assert half.dtype == np.float16
    truth = np.array([[[True, True, False]]])
    assert ft.window_reduce(truth, (2,), "range").tolist() == [[[False, True]]]
    assert ft.window_reduce(truth, (2,), "sum").dtype == bool
    assert ft.window_reduce(x * 1j, (2,), "mean").tolist() == [[[100j, 0]]]
    assert ft.window_reduce(x, (2,), "sum", dtype="int32").tolist() == [[[200, 0]]]


def test_padded_cells_are_ordinary_values():
    x = np.full((1, 1, 2), 5.0)
    assert ft.window_reduce(x, (3,), "min", padding=1).tolist() == [[[0, 0]]]
    assert ft.window_reduce(x, (3,), "mean", padding=((1, 0),)).tolist() == [[[10 / 3]]]
    y = ft.window_reduce(x, (3,), "max", padding=1, padding_mode="fill", padding_value=9)
    assert y.tolist() == [[[9, 9]]]
    y = ft.window_reduce(x, (2,), "max", padding=1, padding_mode="blank")
    assert y.tolist() == [[[0, 5, 0]]]


def test_blocks_and_batches_give_the_same_bits():
    x = np.random.default_rng(2).normal(size=(2, 3, 300, 200)).astype(np.float32)
    for reduction in ("sum", "var", "median", middle_of_extremes):
        y = ft.window_reduce(x, (5, 4), reduction)
        part = ft.window_reduce(x[1:, 1:2, 100:105, 50:54], (5, 4), reduction)
        assert np.array_equal(part, y[1:, 1:2, 100:101, 50:51])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool", "float16", "complex64"])
def test_a_function_sees_each_window_in_order(dtype):
    def weighted(values):
        total = values[0] * 0
        for place in range(values.size):
            total += (place + 1) * values[place]
        return total

    x = np.random.default_rng(3).integers(0, 5, (2, 2, 6, 5)).astype(dtype)
    y = ft.window_reduce(x, (2, 3), weighted, stride=2)
    views = ft.windows(x, (2, 3), stride=2).reshape(*y.shape, -1).astype(complex)
    assert np.array_equal(y, (views * np.arange(1, 7)).sum(axis=-1))
    assert y.dtype == (np.float64 if x.dtype.kind in "bi" else x.dtype)


def test_functions_of_numpy_and_closures():
    x = np.random.default_rng(4).normal(size=(1, 2, 9))
    assert np.array_equal(ft.window_reduce(x, (5,), np.median), ft.window_reduce(x, (5,), "median"))
    for power in (1, 3):
        y = ft.window_reduce(x, (2,), lambda values, power=power: (values**power).sum())
        np.testing.assert_allclose(y, x[..., :-1] ** power + x[..., 1:] ** power, rtol=1e-14)


@pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (calls_what_numba_does_not_know, "getLogger"),
        (gives_an_array, "array"),
        (gives_nothing, "none"),
        (lambda values, more: 0, "more"),
        (int, "int"),
    ],
)
def test_a_function_that_cannot_be_compiled_says_why_and_nothing_is_written(function, reason):
    out = np.full((1, 1, 3), 7.0)
    with pytest.raises(ft.OptionError, match="cannot be compiled by Numba") as caught:
        ft.window_reduce(np.ones((1, 1, 4)), (2,), function, out=out)
    text = str(caught.value)
    assert reason in text
    assert len(text.splitlines()) <= 3
    assert (out == 7).all()


def test_without_numba_functions_run_as_they_are(monkeypatch):
    monkeypatch.setattr(_jit, "_reason", "for this test")
    x = np.ones((1, 1, 4))
    assert ft.window_reduce(x, (2,), calls_what_numba_does_not_know).tolist() == [[[1, 1, 1]]]
    y = ft.window_reduce(x, (3,), lambda values: values.sum() / 2)
    assert y.tolist() == [[[1.5, 1.5]]]
    for function in (gives_an_array, gives_nothing):
        with pytest.raises(ft.OptionError, match="expected one number"):
            RowFunction(function)(np.ones((2, 3)))


def test_operators_with_functions():
    op = ft.WindowReduce((3,), middle_of_extremes, padding=1)
    x = np.arange(5.0)[None, None]
    assert op(x).tolist() == op.reference(x).tolist() == [[[0.5, 1, 2, 3, 2]]]
    copy = pickle.loads(pickle.dumps(op))
    assert copy == op
    assert copy(x).tolist() == op(x).tolist()
    assert op.describe(x.shape).matrix_shape is None


@pytest.mark.parametrize(
    ("reduction", "words"),
    [
        ("average", "'median'"),
        (None, "is not known"),
        (3, "is not known"),
        (("percentile",), "is not known"),
        (("percentile", 101), "from 0 to 100"),
        (("percentile", -1), "from 0 to 100"),
        (("percentile", float("nan")), "from 0 to 100"),
        (("percentile", True), "from 0 to 100"),
        (("percentile", "5"), "from 0 to 100"),
        (("quantile", 5), "is not known"),
    ],
)
def test_unknown_reductions(reduction, words):
    with pytest.raises(ft.OptionError, match=words):
        ft.window_reduce(np.ones((1, 1, 4)), (2,), reduction)


def test_bad_calls():
    x = np.ones((1, 1, 4))
    with pytest.raises(ft.DTypeError, match=r"complex128.*'median' has no meaning"):
        ft.window_reduce(x * 1j, (2,), "median")
    with pytest.raises(ft.WindowError, match="no output"):
        ft.window_reduce(x, (5,), "median")
    with pytest.raises(ft.WindowError, match="kernel_size"):
        ft.window_reduce(x, (0,), "sum")
    with pytest.raises(ft.OptionError, match="padding_mode"):
        ft.window_reduce(x, (2,), "sum", padding_mode="mirrored")


@pytest.mark.parametrize("reduction", ["min", "max", "range"])
def test_the_textbook_keeps_nan_wherever_it_stands(reduction):
    x = np.array([[[3.0, np.nan, 1.0, 2.0]]])
    operator = ft.WindowReduce(2, reduction)
    np.testing.assert_array_equal(operator.reference(x), operator(x))
    assert np.isnan(operator.reference(x)[0, 0, :2]).all()
