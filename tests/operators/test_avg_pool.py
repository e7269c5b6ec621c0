"""Average pooling beside brute force, closed forms of the divisors, SciPy and convolution."""

import itertools
from functools import reduce

import ml_dtypes
import numpy as np
import pytest
from scipy import ndimage

import faltung as ft
from faltung.testing import assert_within_bound
from pooling_cases import counted_taps, draw_pooling, seen_cells


def brute_force(x, case, counts_padding, divisor):
    """Sums and divisors, window by window."""
    places = seen_cells(x.shape[2:], case)
    counts = counted_taps(x.shape[2:], case)
    if not counts_padding:
        counts = [np.array([len(cells) for cells in axis]) for axis in places]
    sums = np.zeros((*x.shape[:2], *map(len, places)), x.dtype)
    for place in np.ndindex(*sums.shape[2:]):
        where = np.ix_(*(axis[i] for axis, i in zip(places, place, strict=True)))
        cells = x[(slice(None), slice(None), *where)]
        sums[(slice(None), slice(None), *place)] = cells.reshape(*x.shape[:2], -1).sum(axis=-1)
    return sums, divisor or reduce(np.multiply.outer, counts)


@pytest.mark.parametrize("seed", range(4))
def test_means_are_those_of_the_loops(seed):
    rng = np.random.default_rng(seed)
    for _ in range(80):
        case = draw_pooling(rng)
        counts_padding, divisor = bool(rng.integers(2)), int(rng.integers(1, 9))
        divisor = divisor if rng.random() < 0.3 else None
        dtype = rng.choice(["float64", "int8", "uint16", "int64", "bool", "complex128"])
        x = rng.integers(0, 6, case.shape).astype(dtype)
        if dtype == "complex128":
            x += 1j * rng.integers(0, 6, case.shape)
        options = {"count_include_pad": counts_padding, "divisor_override": divisor}
        y = ft.avg_pool(x, **case.parameters, **options)
        wide = np.complex128 if dtype == "complex128" else np.float64
        sums, divisors = brute_force(x.astype(wide), case, counts_padding, divisor)
        assert y.dtype == wide
        assert np.array_equal(y.real, sums.real / divisors), case
        assert np.array_equal(y.imag, sums.imag / divisors), case


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16, "complex64"])
def test_rounding_stays_within_the_bound(dtype):
    rng = np.random.default_rng(5)
    for _ in range(60):
        case = draw_pooling(rng)
        x = rng.normal(size=case.shape).astype(dtype)
        y = ft.avg_pool(x, **case.parameters)
        exact_in = np.complex128 if x.dtype.kind == "c" else np.float64
        sums, divisors = brute_force(x.astype(exact_in), case, True, None)
        sizes, _ = brute_force(np.abs(x).astype(np.float64), case, True, None)
        terms = int(np.prod(case.parameters["kernel_size"]))
        assert_within_bound(y, sums / divisors, sizes / divisors, terms)


def test_divisors_follow_the_closed_form():
    count = 0
    for n, k, s, d in itertools.product(range(1, 6), range(1, 5), range(1, 5), range(1, 3)):
        for before, after, ceil in itertools.product(range(3), range(4), (False, True)):
            span = d * (k - 1) + 1
            room = n + before + after - span
            outputs = (-(-room // s) if ceil else room // s) + 1
            outputs -= ceil and (outputs - 1) * s >= n + before
            starts = [i * s - before for i in range(max(outputs, 0))]
            taps = [[a + t * d for t in range(k)] for a in starts]
            real = [sum(0 <= p < n for p in window) for window in taps]
            if outputs < 1 or 0 in real:
                continue
            padded = [sum(p < n + after for p in window) for window in taps]
            for counts_padding, divisors in ((True, padded), (False, real)):
                y = ft.avg_pool(
                    np.ones((1, 1, n)),
                    (k,),
                    stride=s,
                    padding=((before, after),),
                    dilation=d,
                    ceil_mode=ceil,
                    count_include_pad=counts_padding,
                )
                assert np.array_equal(y[0, 0], np.divide(real, divisors))
                count += 1
    assert count > 3000


def test_same_counts_real_cells_alone_on_request():
    y = ft.avg_pool(
        np.ones((1, 1, 5, 5)), (3, 3), stride=1, padding="same", count_include_pad=False
    )
    assert np.array_equal(y, np.ones((1, 1, 5, 5)))
    padded = ft.avg_pool(np.ones((1, 1, 5)), (3,), stride=2, padding="same", ceil_mode=True)
    assert np.allclose(padded, [[[2 / 3, 1, 2 / 3]]], rtol=1e-15)


def test_stride_1_is_the_uniform_filter():
    x = np.random.default_rng(0).normal(size=(1, 1, 13, 9))
    y = ft.avg_pool(x, (4, 3), stride=1, padding="same_lower")
    assert np.allclose(
        y[0, 0], ndimage.uniform_filter(x[0, 0], (4, 3), mode="constant"), atol=1e-13
    )


def test_it_is_a_convolution_with_a_box():
    x = np.random.default_rng(1).integers(-9, 9, (2, 3, 9, 10)).astype(float)
    y = ft.avg_pool(x, (2, 4), stride=(3, 2), padding=1, dilation=(2, 1))
    box = np.ones((3, 1, 2, 4))
    sums = ft.conv(x, box, stride=(3, 2), padding=1, dilation=(2, 1), groups=3)
    assert np.array_equal(y, sums / 8)


def test_non_finite_cells_reach_exactly_the_windows_over_them():
    for place, value in itertools.product(np.ndindex(4, 5), (np.nan, np.inf, -np.inf)):
        x = np.ones((1, 1, 4, 5))
        x[(0, 0, *place)] = value
        y = ft.avg_pool(x, (2, 3), stride=1, padding=1)
        is_hit = ft.conv((x != 1).astype(int), np.ones((1, 1, 2, 3), int), padding=1) > 0
        assert np.array_equal(y[is_hit], np.full(is_hit.sum(), value), equal_nan=True)
        assert np.isfinite(y[~is_hit]).all()


def test_an_infinite_real_part_leaves_the_imaginary_one_alone():
    x = np.array([[[np.inf + 4j, 2, 3]]])
    for options in ({}, {"divisor_override": 4}):
        y = ft.avg_pool(x, (2,), stride=1, **options)
        assert y[0, 0, 0].real == np.inf
        assert y[0, 0, 0].imag == 4 / options.get("divisor_override", 2)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_reproducible_bits_depend_on_the_window_alone(dtype):
    x = np.random.default_rng(2).normal(size=(3, 2, 40, 30)).astype(dtype)
    with ft.reproducible():
        whole = ft.avg_pool(x, (9, 11), stride=(1, 2))
        for sample, row, column in ((0, 0, 0), (1, 13, 4), (2, 31, 9)):
            part = x[sample : sample + 1, :, row : row + 9, 2 * column : 2 * column + 11]
            alone = ft.avg_pool(part, (9, 11))
            expected = whole[sample : sample + 1, :, row : row + 1, column : column + 1]
            assert np.array_equal(alone, expected)


def test_integer_sums_do_not_wrap():
    assert ft.avg_pool(np.full((1, 1, 300), 127, np.int8), (300,)).item() == 127
    assert ft.avg_pool(np.full((1, 1, 2), 2**63, np.uint64), (2,)).item() == 2.0**63
    assert ft.avg_pool(np.full((1, 1, 2), True), (2,), dtype="f4").dtype == np.float32
    # float16 is summed in float32, where the sum of 60000s is finite.
    assert ft.avg_pool(np.full((1, 1, 9), 60000, np.float16), (9,)).item() == 60000


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"divisor_override": 0}, "divisor_override"),
        ({"divisor_override": True}, "divisor_override"),
        ({"divisor_override": 2.0}, "divisor_override"),
        ({"count_include_pad": None}, "count_include_pad"),
        ({"ceil_mode": "no"}, "ceil_mode"),
        ({"padding": (2, 0)}, "no cell"),
        ({"kernel_size": -1}, "kernel_size"),
    ],
)
def test_malformed_calls_are_refused_with_and_without_data(parameters, word):
    arguments = {"kernel_size": 2, **parameters}
    with pytest.raises((ft.WindowError, ft.OptionError), match=word):
        ft.avg_pool(np.ones((1, 2, 7, 7)), **arguments)
    with pytest.raises((ft.WindowError, ft.OptionError), match=word):
        ft.AvgPool(**arguments)
    with pytest.raises(ft.WindowError, match="spans 9 cells"):
        ft.avg_pool(np.ones((1, 2, 7, 7)), 9)
    with pytest.raises(ft.WindowError):
        ft.avg_pool(np.ones((1, 2, 0, 7)), 2, padding=1)


def test_ranked_functions_know_their_rank():
    x = np.ones((2, 4, 5, 6))
    assert ft.avg_pool3d(x, 2).shape == (2, 2, 2, 3)
    assert ft.avg_pool2d(x, 2).shape == (2, 4, 2, 3)
    assert ft.avg_pool1d(x[0, 0], 2).shape == (5, 3)
