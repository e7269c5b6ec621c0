"""NaN, Inf, the largest finite number and denormals at every position of small inputs.

Results are compared with a direct sum over the real cells, which is written out in `direct_sums`.
Where a number may come out twice from one window (a border that repeats cells), only combinations
are used whose sum does not depend on the order of the terms.
"""

import itertools
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from compiled_jobs import exchange_mxcsr
from direct_sums import direct_sum, through_every_algorithm
from faltung.compiled import _pool

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype(name) for name in ("float32", "float64", "float16", "complex64", "complex128")]
SIZES = list(itertools.product(range(1, 7), repeat=2))
BORDERS = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
FLUSH_TO_ZERO = 0x9FC0
GEOMETRIES = [
    {"padding": 1},
    {"padding": 2, "stride": 2},
    {"padding": 2, "dilation": 2},
    {"padding": 3, "stride": 3, "dilation": 2},
    {"padding": 1, "stride": 5},
]


def real_part_of(dtype):
    return {"complex64": np.float32, "complex128": np.float64}.get(dtype.name, dtype.type)


def not_finite(dtype):
    """NaNs of several payloads, both infinities; for complex numbers in either part."""
    if dtype == np.float32:
        bits = [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7F800000, 0xFF800000]
        return np.array(bits, np.uint32).view(np.float32)
    if dtype == np.float64:
        bits = [
            0x7FF8 << 48,
            (1 << 63) - 1,
            (1 << 64) - 1,
            (0x7FF0 << 48) + 1,
            0x7FF0 << 48,
            0xFFF0 << 48,
        ]
        return np.array(bits, np.uint64).view(np.float64)
    if dtype in (np.float16, BFLOAT16):
        infinity = 0x7C00 if dtype == np.float16 else 0x7F80
        bits = [infinity + 1, 0x7FFF, 0xFFFF, infinity, infinity | 0x8000]
        return np.array(bits, np.uint16).view(dtype)
    parts = not_finite(np.dtype(real_part_of(dtype)))
    made = np.zeros(2 * len(parts), dtype)
    made.real[: len(parts)] = parts
    made.imag[len(parts) :] = parts
    return made


def ordinary(shape, dtype, seed=0, low=-3):
    values = np.random.default_rng(seed).integers(low, 4, shape)
    return np.where(values == 0, 1, values).astype(dtype)


def placed_everywhere(shape, values, dtype, background=None):
    """One array for each value at each position: (len(values) * positions, *shape)."""
    count = int(np.prod(shape))
    base = ordinary(shape, dtype) if background is None else background
    arrays = np.tile(base.reshape(1, 1, count), (len(values), count, 1))
    for i, value in enumerate(values):
        arrays[i, range(count), range(count)] = value
    return arrays.reshape(-1, *shape)


def kinds(y):
    """0 finite, 1 NaN, 2 and 3 the infinities; for complex numbers 1 is anything not finite."""
    if y.dtype.kind == "c":
        return (~np.isfinite(y)).astype(int)
    with np.errstate(invalid="ignore"):  # a signalling NaN is announced when it is cast
        wide = y.astype(np.float64)
    return np.select([np.isnan(wide), np.isposinf(wide), np.isneginf(wide)], [1, 2, 3], 0)


def assert_same_positions(y, expected, name="", largest=0):
    assert np.array_equal(kinds(y), kinds(expected)), name
    finite = kinds(expected) == 0
    if name == "fft":  # its sums are exact but for what float64 rounds of the largest numbers
        largest = max(float(abs(largest)), float(abs(expected[finite]).max(initial=1)))
        assert (abs(y[finite] - expected[finite]) <= 1e-12 * largest).all(), name
    else:
        assert np.array_equal(y[finite], expected[finite]), name


def alike(x, weight, bias=None, *, largest=0, **options):
    """Every algorithm gives what the direct sum gives, with terms of a size or smaller."""
    expected = direct_sum(x, weight, bias, **options)
    public = {"mode": "padding_mode", "value": "padding_value"}
    options = {public.get(key, key): value for key, value in options.items()}
    with np.errstate(all="ignore"):
        runs = through_every_algorithm(ft.conv, x, weight, bias, without={"fft"}, **options)
        # Samples that transforms decline are summed one by one: a few of many will do.
        some = slice(None, None, len(x) // 8 + 1)
        with suppress(ft.OptionError):  # half precision, for instance, is not transformed
            y = ft.conv(x[some], weight, bias, algorithm="fft", **options)
            assert_same_positions(y, expected[some], "fft", largest)
    for name, y in runs:
        assert_same_positions(y, expected, name, largest)
    return expected


@pytest.mark.parametrize("dtype", [*FLOATS, BFLOAT16], ids=str)
def test_non_finite_values_at_every_position_of_every_small_input(dtype):
    """All sizes to 6×6, each position in a sample of its own."""
    weight = ordinary((2, 1, 2, 3), dtype, 1)
    for index, size in enumerate(SIZES):
        x = placed_everywhere((1, *size), not_finite(dtype), dtype)
        expected = alike(x, weight, **GEOMETRIES[index % 4])
        assert kinds(expected).any()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
def test_non_finite_values_under_every_border(dtype, mode, geometry):
    weight, bias = ordinary((2, 1, 3, 3), dtype, 1), ordinary((2,), dtype, 2)
    for size in ((6, 6), (3, 5)):
        x = placed_everywhere((1, *size), not_finite(dtype), dtype)
        options = {"value": 2} if mode == "constant" else {}
        alike(x, weight, bias, mode=mode, **options, **geometry)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_non_finite_border(dtype, value):
    """A constant border takes part like any number."""
    x, weight = ordinary((2, 2, 4, 5), dtype), ordinary((3, 2, 3, 2), dtype, 1)
    expected = alike(x, weight, padding=1, mode="constant", value=value)
    assert kinds(expected).any()
    assert not kinds(expected).all()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_cells_outside_take_no_part(dtype):
    """Inf or NaN as weight meets no padding: 0 × Inf would be NaN."""
    for value, size in itertools.product(not_finite(dtype)[-3:], ((1, 1), (2, 3), (6, 6))):
        x = np.ones((1, 1, *size), dtype)
        for taps in ((3, 3), (1, 3), (2, 2)):
            for weight in placed_everywhere((1, 1, *taps), [value], dtype):
                for geometry in GEOMETRIES:
                    if min(n + 2 * geometry["padding"] for n in size) < 5:
                        continue
                    alike(x, weight, **geometry)


@pytest.mark.parametrize("mode", BORDERS)
@pytest.mark.parametrize("dtype", [*FLOATS[:4], BFLOAT16], ids=str)
def test_non_finite_weights_at_every_position(dtype, mode):
    x = ordinary((2, 2, 4, 5), dtype, low=1)
    for weight in placed_everywhere((2, 2, 3, 2), not_finite(dtype)[-3:], dtype):
        alike(x, weight, mode=mode, padding=2, stride=2)
        alike(x, weight, mode=mode, padding=2, dilation=2)


@pytest.mark.parametrize("dtype", FLOATS[:4], ids=str)
def test_filters_up_to_six_by_six(dtype):
    """A non-finite weight in one filter at each of 36 positions, the other filter finite."""
    x = ordinary((1, 1, 6, 6), dtype)
    everywhere = placed_everywhere((1, 6, 6), not_finite(dtype)[-2:], dtype)
    for start in range(0, len(everywhere), 9):
        weight = everywhere[start : start + 9].copy()
        weight[4] = 1
        expected = alike(x, weight, padding=3)
        assert not kinds(expected)[:, 4].any()
        assert kinds(expected)[:, [0, 1, 2, 3, 5, 6, 7, 8]].any()


def test_zero_weights_still_meet_their_cell():
    """0 × NaN is NaN and 0 × Inf is NaN, on real cells."""
    for dtype, value in itertools.product(FLOATS[:3], (np.nan, np.inf)):
        x = placed_everywhere((1, 4, 4), [value], dtype)
        for weight in (np.zeros((1, 1, 3, 3), dtype), np.eye(3, dtype=dtype)[None, None]):
            expected = alike(x, weight, padding=1)
            assert np.isnan(expected.astype(float)).any()
        infinite = np.full((1, 1, 2, 2), value, dtype)
        assert (kinds(alike(np.zeros((1, 1, 3, 3), dtype), infinite, padding=1)) == 1).all()


def test_infinities_cancel_to_nan():
    x = np.ones((1, 1, 1, 6), np.float32)
    x[0, 0, 0, 2], x[0, 0, 0, 3] = np.inf, -np.inf
    expected = alike(x, np.ones((1, 1, 1, 2), np.float32))
    assert kinds(expected).ravel().tolist() == [0, 2, 1, 3, 0]
    assert kinds(alike(x, -np.ones((1, 1, 1, 2), np.float32))).ravel().tolist() == [0, 3, 1, 2, 0]


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", FLOATS[:3], ids=str)
def test_arrays_of_nothing_else(fill, dtype):
    x, weight = np.full((2, 2, 5, 6), fill, dtype), ordinary((3, 2, 3, 3), dtype, 1)
    for mode in BORDERS:
        alike(x, weight, padding=1, mode=mode)
    alike(np.ones_like(x), np.full_like(weight, fill), padding=1)
    alike(np.ones_like(x), weight, np.full(3, fill, dtype), padding=1)


@pytest.mark.parametrize("dtype", [*FLOATS[:4], BFLOAT16], ids=str)
@pytest.mark.parametrize("mode", BORDERS)
def test_largest_finite_number(dtype, mode):
    """Overflows where and only where the sum does; weights are positive, so order is no matter."""
    largest = np.array(
        ml_dtypes.finfo(dtype).max if dtype == BFLOAT16 else np.finfo(dtype).max, dtype
    )
    zeros = np.zeros((1, 4, 5), dtype)
    x = placed_everywhere((1, 4, 5), [largest, -largest], dtype, zeros)
    once = np.zeros((1, 1, 3, 3), dtype)
    once[0, 0, 1, 2] = 1
    expected = alike(x, once, padding=1, mode=mode)
    assert not kinds(expected).any()
    assert (np.abs(expected.astype(np.complex128)).max(axis=(1, 2, 3)) > 0).any()
    twice = np.full((1, 1, 3, 3), 2, dtype)
    assert kinds(alike(x, twice, padding=1, mode=mode, largest=largest)).any()


def test_float16_sums_in_float32():
    """Partial sums beyond float16 do not overflow; float32's own range does."""
    x = np.array([[[60000, 60000, -60000, -60000.0]]], np.float16)
    y = alike(x, np.ones((1, 1, 4), np.float16))
    assert y.ravel().tolist() == [0]
    assert np.isposinf(alike(x, np.ones((1, 1, 2), np.float16)).ravel()).tolist() == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("dtype", [*FLOATS[:4], BFLOAT16], ids=str)
def test_denormals_at_every_position(dtype):
    """Kept exactly: times small integers, in the data and in the weights."""
    tiny = np.array(ml_dtypes.finfo(dtype).smallest_subnormal if dtype == BFLOAT16
                    else np.finfo(dtype).smallest_subnormal, dtype)  # fmt: skip
    three = np.array(3, dtype)
    zeros = np.zeros((1, 6, 6), dtype)
    x = placed_everywhere((1, 6, 6), [tiny, -tiny, three * tiny], dtype, zeros)
    for mode in ("zeros", "reflect", "wrap"):
        for geometry in GEOMETRIES:
            expected = alike(x, ordinary((2, 1, 3, 3), dtype, 1), mode=mode, **geometry)
            if geometry.get("stride", 1) == 1:
                assert (np.abs(expected.astype(np.complex128)).max(axis=(1, 2, 3)) > 0).all()
    data = ordinary((2, 1, 6, 6), dtype)
    zeros = np.zeros((1, 1, 3, 3), dtype)
    for weight in placed_everywhere((1, 1, 3, 3), [tiny, -three * tiny], dtype, zeros):
        assert (alike(data, weight, padding=1) != 0).any()


@pytest.mark.skipif(not _pool.is_supported(), reason="needs x86")
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_flush_to_zero_set_by_others_flushes_nothing(dtype, threads):
    """Another library has switched denormals off in this thread; it stays so, and we compute."""
    tiny = np.finfo(dtype).smallest_subnormal
    x = (ordinary((2, 4, 60, 70), "float64") * 5 * tiny).astype(dtype)
    weight = ordinary((6, 4, 3, 3), dtype, 1)
    count = ft.get_num_threads()
    try:
        ft.set_num_threads(threads)
        expected = ft.conv(x, weight, algorithm="direct")
        before = exchange_mxcsr(FLUSH_TO_ZERO)
        y = ft.conv(x, weight, algorithm="direct")
        during = exchange_mxcsr(before)
    finally:
        ft.set_num_threads(count)
    assert during & FLUSH_TO_ZERO == FLUSH_TO_ZERO
    assert 0 < np.abs(expected).max() < np.finfo(dtype).tiny
    assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pad_keeps_every_bit(dtype):
    values = not_finite(dtype)
    x = placed_everywhere((1, 3, 4), values, dtype)
    bits = np.uint8
    for mode in ("zeros", "reflect", "symmetric", "edge", "wrap"):
        for name, y in through_every_algorithm(ft.pad, x, (2, 3), mode):
            expected = np.pad(
                x, [(0, 0), (0, 0), (2, 2), (3, 3)], mode={"zeros": "constant"}.get(mode, mode)
            )
            assert np.array_equal(kinds(y), kinds(expected)), name
            if dtype.kind == "f":
                assert np.array_equal(y.view(bits), expected.view(bits)), name
    for value in (np.nan, np.inf):
        y = ft.pad(np.ones((1, 1, 2, 2), dtype), 1, "constant", value)
        assert kinds(y).sum() == 12 * (1 if np.isnan(value) or dtype.kind == "c" else 2)


@pytest.mark.parametrize("dtype", FLOATS[:3], ids=str)
def test_one_sample_does_not_touch_another(dtype):
    """Larger arrays, one NaN: only its own window, filter by filter and sample by sample."""
    x, weight = ordinary((3, 4, 23, 41), dtype), ordinary((6, 2, 3, 3), dtype, 1)
    for position in ((1, 2, 0, 0), (0, 0, 22, 40), (2, 3, 11, 17), (1, 0, 5, 40)):
        for value in not_finite(dtype)[1:]:
            poisoned = x.copy()
            poisoned[position] = value
            expected = alike(poisoned, weight, groups=2, padding=1)
            n, c, i, j = position
            where = np.argwhere(kinds(expected))
            assert set(where[:, 0]) == {n}
            assert set(where[:, 1]) == set(range(c // 2 * 3, c // 2 * 3 + 3))
            assert (np.abs(where[:, 2:] - (i, j)) <= 1).all()


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_relu_after_special_values(name):
    weight = ordinary((2, 1, 2, 2), "float32", 1)
    arrays = {"x": weight[:1, :, :1].repeat(3, 2), "weight": weight, "bias": weight[:, 0, 0, 0]}
    for value in (np.nan, np.inf, -np.inf):
        broken = {**arrays, name: arrays[name].copy()}
        broken[name].flat[0] = value
        y = ft.Conv(broken["weight"], broken["bias"], activation="relu")(broken["x"])
        expected = direct_sum(*broken.values())
        assert_same_positions(y, np.where(expected < 0, np.float32(0), expected))


def test_comparison_finds_differences():
    a = np.array([1, np.nan, np.inf, -np.inf], np.float32)
    assert_same_positions(a, a)
    for i, value in ((0, 2), (0, np.nan), (1, np.inf), (2, 3), (2, -np.inf), (3, np.inf)):
        changed = a.copy()
        changed[i] = value
        with pytest.raises(AssertionError):
            assert_same_positions(changed, a)
