"""Adaptive pooling: the bins in exact fractions, means and winners by brute force."""

import itertools
from fractions import Fraction
from math import ceil, floor

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from faltung.geometry.adaptive_axis import AdaptiveAxis


def bins_of(n, o):
    """The bins in exact arithmetic."""
    return [range(floor(Fraction(i * n, o)), ceil(Fraction((i + 1) * n, o))) for i in range(o)]


def draw_case(rng):
    rank = int(rng.integers(1, 4))
    shape = tuple(int(n) for n in rng.integers(1, 9, rank))
    size = tuple(int(o) if rng.random() < 0.9 else None for o in rng.integers(1, 11, rank))
    return (*(int(n) for n in rng.integers(1, 4, 2)), *shape), size


def cells_of_bins(x, output_size):
    """Place of the output, places of the cells of its bin in row-major order."""
    axes = [bins_of(n, o or n) for n, o in zip(x.shape[2:], output_size, strict=True)]
    for place in np.ndindex(*map(len, axes)):
        yield (
            place,
            list(itertools.product(*(axis[i] for axis, i in zip(axes, place, strict=True)))),
        )


def test_bins_follow_the_closed_form():
    for n, o in itertools.product(range(1, 61), range(1, 61)):
        axis, bins = AdaptiveAxis(n, o), bins_of(n, o)
        index = axis.index(0, o)
        assert [row[row >= 0].tolist() for row in index] == [list(cells) for cells in bins]
        lengths = [len(cells) for cells in bins]
        assert axis.divisors(0, o).tolist() == lengths
        assert axis.taps == max(lengths) == index.shape[1]
        counts = {axis.count_taps(), axis.count_real_taps(), axis.count_distinct_cells()}
        assert counts == {sum(lengths)}


def test_any_part_of_the_table_is_the_same():
    axis = AdaptiveAxis(17, 7)
    assert np.array_equal(axis.index(2, 5), axis.index(0, 7)[2:5])
    assert np.array_equal(axis.divisors(2, 5), axis.divisors(0, 7)[2:5])


@pytest.mark.parametrize("seed", range(3))
def test_means_are_those_of_the_bins(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        shape, size = draw_case(rng)
        dtype = rng.choice(["float64", "int8", "uint16", "bool", "int64"])
        x = rng.integers(0, 6, shape).astype(dtype)
        y = ft.adaptive_avg_pool(x, size)
        assert y.dtype == np.float64
        for place, cells in cells_of_bins(x, size):
            at = (slice(None), slice(None))
            total = sum(x[(*at, *cell)].astype(np.float64) for cell in cells)
            assert np.array_equal(y[(*at, *place)], total / len(cells))


@pytest.mark.parametrize("seed", range(3))
def test_winners_are_those_of_the_bins(seed):
    rng = np.random.default_rng(seed)
    for dtype in ("float64", "float16", "int8", "uint64", "bool", ml_dtypes.bfloat16):
        for _ in range(15):
            shape, size = draw_case(rng)
            x = rng.integers(0 if np.dtype(dtype).kind in "bu" else -4, 5, shape).astype(dtype)
            if x.dtype.kind in "fV":
                x[rng.random(shape) < 0.05] = np.nan
                x[rng.random(shape) < 0.2] = -np.inf
            y, indices = ft.adaptive_max_pool(x, size, return_indices=True)
            assert y.dtype == x.dtype
            for place, cells in cells_of_bins(x, size):
                for n, c in np.ndindex(*shape[:2]):
                    best = cells[0]
                    for cell in cells[1:]:
                        value = x[(n, c, *cell)]
                        if value > x[(n, c, *best)] or value != value:
                            best = cell
                    assert indices[(n, c, *place)] == np.ravel_multi_index(best, shape[2:])
                    winner, expected = y[(n, c, *place)], x[(n, c, *best)]
                    assert winner == expected or (winner != winner and expected != expected)


def test_one_bin_is_global_pooling():
    x = np.random.default_rng(0).integers(-99, 99, (2, 3, 9, 11)).astype(np.float32)
    assert np.array_equal(ft.adaptive_avg_pool(x, 1)[..., 0, 0], x.sum((2, 3)) / np.float32(99))
    y, indices = ft.adaptive_max_pool(x, 1, return_indices=True)
    assert np.array_equal(y, x.max((2, 3), keepdims=True))
    assert np.array_equal(indices[..., 0, 0], x.reshape(2, 3, -1).argmax(-1))


def test_bins_that_divide_are_plain_pooling():
    x = np.random.default_rng(1).normal(size=(2, 3, 12, 10))
    assert np.array_equal(ft.adaptive_avg_pool(x, (4, 5)), ft.avg_pool(x, (3, 2)))
    assert np.array_equal(ft.adaptive_max_pool(x, (4, 5)), ft.max_pool(x, (3, 2)))


def test_none_keeps_an_axis():
    x = np.random.default_rng(2).normal(size=(2, 3, 12, 10))
    assert np.array_equal(ft.adaptive_avg_pool(x, (None, None)), x)
    assert ft.AdaptiveAvgPool((None, 4)).output_shape((2, 3, 7, 10)) == (2, 3, 7, 4)
    assert ft.AdaptiveMaxPool((2, None)).output_shape((3, 7, 10)) == (3, 2, 10)


def test_blocks_give_the_same_as_the_whole():
    x = np.random.default_rng(3).integers(-9, 9, (1, 2, 230, 410)).astype(np.float32)
    y = ft.adaptive_avg_pool(x, (100, 97))
    z, indices = ft.adaptive_max_pool(x, (100, 97), return_indices=True)
    rows, columns = bins_of(230, 100), bins_of(410, 97)
    for i, j in itertools.product((0, 41, 99), (0, 50, 96)):
        part = x[:, :, rows[i].start : rows[i].stop, columns[j].start : columns[j].stop]
        assert np.allclose(y[:, :, i, j], part.astype(float).mean((2, 3)), rtol=1e-6, atol=1e-6)
        assert np.array_equal(z[:, :, i, j], part.max((2, 3)))
    assert np.array_equal(
        np.take_along_axis(x.reshape(1, 2, -1), indices.reshape(1, 2, -1), 2), z.reshape(1, 2, -1)
    )


def test_a_nan_reaches_exactly_the_bins_over_it():
    for place in range(7):
        x = np.ones((1, 1, 7))
        x[..., place] = np.nan
        hit = [place in cells for cells in bins_of(7, 3)]
        assert np.isnan(ft.adaptive_avg_pool(x, (3,)))[0, 0].tolist() == hit
        assert np.isnan(ft.adaptive_max_pool(x, (3,)))[0, 0].tolist() == hit


@pytest.mark.parametrize("name", ["AvgPool", "MaxPool"])
@pytest.mark.parametrize(
    "size", [0, -1, True, 1.5, None, "2", (), (2, 0), (2, True), (2, 2.0), 10**30, (2, "3"), 1j]
)
def test_impossible_sizes_are_refused(name, size):
    function = ft.adaptive_avg_pool if name == "AvgPool" else ft.adaptive_max_pool
    with pytest.raises(ft.WindowError, match="output_size"):
        function(np.ones((1, 2, 7, 7)), size)
    with pytest.raises(ft.WindowError, match="output_size"):
        getattr(ft, f"Adaptive{name}")(size)


def test_other_malformed_calls():
    with pytest.raises(ft.WindowError, match=r"output_size.* 3 entries, expected 2"):
        ft.adaptive_avg_pool2d(np.ones((1, 2, 7, 7)), (1, 2, 3))
    with pytest.raises(ft.WindowError, match="0 cells"):
        ft.adaptive_avg_pool(np.ones((1, 2, 0, 7)), (2, 2))
    with pytest.raises(ft.ResourceError, match="bytes"):
        ft.adaptive_avg_pool(np.ones((1, 2, 7, 7)), 10**9)
    with pytest.raises(ft.OptionError, match="return_indices"):
        ft.AdaptiveMaxPool(1, return_indices="yes")
    with pytest.raises(ft.DTypeError, match="complex128"):
        ft.adaptive_max_pool(np.ones((1, 1, 4), complex), 2)


def test_empty_batches_and_ranked_functions():
    assert ft.adaptive_avg_pool(np.ones((0, 2, 7, 7)), 3).shape == (0, 2, 3, 3)
    assert ft.adaptive_max_pool(np.ones((2, 0, 7, 7)), 3).shape == (2, 0, 3, 3)
    x = np.ones((2, 4, 5, 6))
    assert ft.adaptive_avg_pool3d(x, 2).shape == (2, 2, 2, 2)
    assert ft.adaptive_avg_pool2d(x, 2).shape == (2, 4, 2, 2)
    assert ft.adaptive_max_pool1d(x[0, 0], 2).shape == (5, 2)
