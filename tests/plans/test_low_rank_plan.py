"""The low-rank plan: as exact as direct sums, chosen by shape, declined by values."""

import importlib
from math import prod

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import machine, parallel
from faltung.plans import _rounded_products
from faltung.plans._recording import recorded
from faltung.testing import assert_within_bound

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
TAPS = ((3, 3), (6, 9), (12, 2), (6, 40), (3, 6, 5), (6, 1, 3), (1, 3, 5), (6, 3, 1))
SIZES = (1, 17, 40, 70)


def bell(taps, dtype=np.float64):
    cells = np.arange(taps) - taps // 2
    values = np.exp(-0.5 * (cells / (taps / 6)) ** 2)
    return (values / values.sum()).astype(dtype)


def bells(*taps):
    product = np.ones(())
    for count in taps:
        product = np.multiply.outer(product, bell(count))
    return product


def draw(rng, dtype):
    """Arrays and parameters of a convolution with a product, of whole numbers or of any."""
    taps = TAPS[rng.integers(len(TAPS))]
    sizes = tuple(int(size) for size in rng.choice(SIZES, len(taps)))
    groups, channels, filters = (int(n) for n in rng.choice([1, 1, 2], 3))
    is_whole = np.dtype(dtype).kind in "iu" or rng.random() < 0.3
    channels = channels if len(taps) == 2 or taps[0] == 1 else 1

    def values(*shape):
        if is_whole or dtype == "float16":
            return rng.integers(0 if dtype == "uint8" else -3, 4, shape).astype(np.float64)
        return rng.standard_normal(shape)

    weight = np.ones((groups * filters, channels))
    for count in taps:
        lead = weight.shape[:2]
        part = values(*lead, count)
        weight = weight[..., None] * part.reshape(*lead, *(1,) * (weight.ndim - 2), count)
    parameters = {
        "groups": groups,
        "padding": str(rng.choice(["valid", "same", "full", "same_lower"])),
        "padding_mode": str(rng.choice(MODES)),
        "flip": bool(rng.integers(2)),
    }
    if len(taps) == 2:
        parameters["dilation"] = tuple(int(n) for n in rng.choice([1, 1, 2, 3], 2))
    if parameters["padding_mode"] == "constant":
        parameters["padding_value"] = 3
    x = values(int(rng.integers(1, 3)), groups * channels, *sizes).astype(dtype)
    bias = values(groups * filters).astype(dtype) if rng.integers(2) else None
    return x, weight.astype(dtype), bias, parameters


def runs(function, *arguments, **parameters):
    """The result and the algorithms that ran."""
    with recorded() as names:
        return function(*arguments, **parameters), names


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint8"])
def test_as_good_as_sums_over_all_taps(dtype):
    done = 0
    for seed in range(50 if dtype == "float32" else 20):
        x, weight, bias, parameters = draw(np.random.default_rng(seed), dtype)
        try:
            y, names = runs(ft.conv, x, weight, bias, **parameters, algorithm="low_rank")
        except (ft.WindowError, ft.OptionError):
            continue
        assert names == ["low_rank"]
        done += 1
        if x.dtype.kind in "iu":
            expected = ft.conv(x, weight, bias, **parameters, algorithm="stencil")
            assert np.array_equal(y, expected), seed
            continue
        arrays = [array if array is None else array.astype("f8") for array in (x, weight, bias)]
        sizes = [array if array is None else abs(array) for array in arrays]
        if dtype == "float64":
            arrays = [a if a is None else a.astype(np.longdouble).astype("f8") for a in arrays]
        exact = ft.conv(*arrays, **parameters, algorithm="stencil")
        magnitude = ft.conv(*sizes, **parameters, algorithm="stencil")
        terms = prod(weight.shape[1:]) * (2 if dtype == "float64" else 1)  # the oracle rounds too
        assert_within_bound(y, exact, magnitude, terms)
    assert done >= 8


def test_whole_numbers_in_floats_are_exact():
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (1, 1, 90, 80)).astype("f4")
    weight = np.multiply.outer([1, 6, 15, 20, 15, 6, 1], [1, 4, 6, 4, 1]).astype("f4")[None, None]
    results = [ft.conv(x, weight, algorithm=name) for name in ("low_rank", "stencil")]
    assert np.array_equal(*results)


@pytest.mark.parametrize("mode", MODES)
def test_kernels_larger_than_pictures_one_pixel_wide(mode):
    rng = np.random.default_rng(0)
    weight = np.multiply.outer(rng.integers(-2, 3, 11), rng.integers(-2, 3, 40))[None, None]
    for shape in ((1, 1, 7, 1), (1, 1, 1, 9), (1, 1, 1, 1)):
        x = rng.integers(-2, 3, shape).astype("f4")
        results = [
            ft.conv(x, weight.astype("f4"), padding="same", padding_mode=mode, algorithm=name)
            for name in ("low_rank", "stencil")
        ]
        assert np.array_equal(*results)


def chosen(x_shape, weight_shape, dtype="float32", **parameters):
    return ft.Conv(np.ones(weight_shape, dtype), **parameters).describe(x_shape, dtype).algorithm


def test_it_is_chosen_by_shape_where_it_pays():
    assert chosen((1, 1, 2048, 2048), (1, 1, 9, 9)) == "low_rank"
    assert chosen((1, 1, 2048, 2048, 3), (1, 1, 15, 15, 1)) == "low_rank"
    assert chosen((1, 1, 96, 96, 96), (1, 1, 9, 9, 9)) == "low_rank"
    assert chosen((1, 1, 2048, 2048), (1, 1, 3, 3)) != "low_rank"
    assert chosen((1, 1, 2048, 2048), (1, 1, 1, 81)) != "low_rank"
    assert chosen((1, 1, 60, 60), (1, 1, 9, 9)) != "low_rank"
    assert chosen((1, 64, 512, 512), (64, 64, 9, 9)) != "low_rank"
    assert chosen((1, 1, 2048, 2048), (1, 1, 9, 9), stride=2) != "low_rank"
    assert chosen((1, 1, 2048, 2048), (1, 1, 9, 9), "complex64") != "low_rank"
    with ft.reproducible():
        assert chosen((1, 1, 2048, 2048), (1, 1, 9, 9)) == "direct"


@pytest.mark.parametrize("off", [0, 1e-7, 1e-6, 1e-3])
def test_weights_decide_and_both_ways_keep_the_bound(off):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 400, 500)).astype("f4")
    weight = bells(15, 15) * (1 + off * rng.choice([-1, 1], (15, 15)))
    weight = weight.astype("f4")[None, None]
    y, names = runs(ft.conv, x, weight)
    assert (names == ["low_rank"]) == (off <= 1e-6)
    exact = ft.conv(x.astype("f8"), weight.astype("f8"), algorithm="image")
    magnitude = ft.conv(abs(x).astype("f8"), abs(weight).astype("f8"), algorithm="image")
    assert_within_bound(y, exact, magnitude, 225)
    operator = ft.Conv(weight)
    assert np.array_equal(operator(x), y)
    assert np.array_equal(operator(x), y)


def test_asked_for_by_name_it_says_what_weights_it_cannot_do():
    x, weight = np.ones((1, 1, 20, 20), "f4"), np.eye(5, dtype="f4")[None, None]
    with pytest.raises(ft.OptionError, match="no product of one kernel an axis"):
        ft.conv(x, weight, algorithm="low_rank")
    with pytest.raises(ft.OptionError, match="stride"):
        ft.conv(x, weight, stride=2, algorithm="low_rank")


def test_what_was_called_before_changes_nothing():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 300, 400)).astype("f4")
    product, other = bells(11, 11).astype("f4"), rng.standard_normal((11, 11)).astype("f4")
    first = ft.conv(x, product[None, None], padding=3)
    for weight in (other, product, other, product):
        y = ft.conv(x, weight[None, None], padding=3)
        assert np.array_equal(y, first) == (weight is product)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("has_zeros", [False, True])
def test_special_values_are_where_the_direct_sum_has_them(value, has_zeros):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 30, 40)).astype("f4")
    first, second = rng.standard_normal(5), rng.standard_normal(6)
    if has_zeros:
        first[2] = second[0] = 0
    weight = np.multiply.outer(first, second).astype("f4")[None, None]
    for places in ([(3, 4)], [(0, 0), (29, 39)], [(10, 10), (11, 10)], [(10, 10), (11, 13)]):
        spoiled = x.copy()
        for number, place in enumerate(places):
            spoiled[0, 0][place] = value if number == 0 else -value
        for mode in ("zeros", "reflect"):
            results = [
                ft.conv(spoiled, weight, padding="same", padding_mode=mode, algorithm=name)
                for name in ("low_rank", "stencil")
            ]
            assert np.array_equal(*map(np.isnan, results))
            infinite = [np.where(np.isinf(y), y, 0) for y in results]
            assert np.array_equal(*infinite)


def test_a_pass_that_overflows_alone_hands_over():
    weight = (4 * bells(7, 7) / bells(7, 7).max()).astype("f4")[None, None]
    x = np.zeros((1, 1, 300, 200), "f4")
    x[..., 100, 100] = x[..., 101, 100] = 6e37
    expected = ft.conv(x, weight, padding="same", algorithm="stencil")
    y, names = runs(ft.conv, x, weight, padding="same", algorithm="low_rank")
    assert names[0] == "low_rank"
    assert len(names) == 2
    assert np.array_equal(np.isinf(y), np.isinf(expected))
    assert np.isinf(y).any()
    assert np.isinf(y).sum() < 49
    _, names = runs(ft.conv, x / 2**20, weight, padding="same", algorithm="low_rank")
    assert names == ["low_rank"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pass_that_overflows_under_weights_of_zero_hands_over(dtype):
    weight = np.multiply.outer([1, 2, 3, 2, 1, 2, 3], [1, 0, -1, 0, 2, 0, 1]).astype(dtype)
    x = np.ones((1, 1, 60, 70), dtype)
    x[..., 30, 31] = np.finfo(dtype).max
    bank = weight[None, None]
    expected = ft.conv(x, bank, padding="same", algorithm="stencil")
    y, names = runs(ft.conv, x, bank, padding="same", algorithm="low_rank")
    assert len(names) == 2
    assert not np.isnan(expected).any()
    assert np.array_equal(y, expected)


def test_the_smallest_numbers_lose_no_more_than_in_direct_sums():
    rng = np.random.default_rng(0)
    x = (rng.integers(-9, 10, (1, 1, 40, 50)) * 2.0**-149).astype("f4")
    for scale in (1, 100):
        weight = (scale * bells(9, 9)).astype("f4")[None, None]
        y = ft.conv(x, weight, algorithm="low_rank")
        exact, magnitude = (
            ft.conv(a.astype("f8"), weight.astype("f8"), algorithm="stencil") for a in (x, abs(x))
        )
        assert_within_bound(y, exact, magnitude, 81)


def test_weights_that_are_not_finite_go_another_way():
    x, weight = np.ones((1, 1, 300, 300), "f4"), bells(11, 11).astype("f4")[None, None]
    weight[0, 0, 3, 4] = np.inf
    y, names = runs(ft.conv, x, weight)
    assert "low_rank" not in names
    assert np.isinf(y).all()


def test_memory_orders_and_other_dtypes():
    rng = np.random.default_rng(0)
    base = rng.integers(-4, 5, (1, 1, 120, 90, 3)).astype("f4")
    weight = np.multiply.outer(rng.integers(-2, 3, 7), [1, 2, 3, 2, 1])[None, None, ..., None]
    weight = weight.astype("f4")
    expected = ft.conv(base, weight, padding="valid", algorithm="stencil")
    layouts = (
        base,
        np.asfortranarray(base),
        np.ascontiguousarray(np.moveaxis(base, -1, 1)).transpose(0, 2, 3, 4, 1),
        np.repeat(base, 2, axis=-1)[..., ::2],
        base[:, :, ::-1].copy()[:, :, ::-1],
        base.astype(">f4"),
        base.astype(np.int8),
    )
    operator = ft.Conv(weight, algorithm="low_rank")
    for x in layouts:
        assert np.array_equal(operator(x), expected)
        target = np.zeros((*expected.shape[:-1], 6), np.float32)[..., ::2]
        operator(x, out=target)
        assert np.array_equal(target, expected)


def test_bits_do_not_depend_on_threads_and_batches():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 1, 200, 300)).astype("f4")
    operator = ft.Conv(bells(13, 11).astype("f4")[None, None], padding="same", algorithm="low_rank")
    before, results = parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            ft.set_num_threads(threads)
            results.append(operator(x))
    finally:
        ft.set_num_threads(before)
    assert all(np.array_equal(results[0], y) for y in results[1:])
    assert np.array_equal(operator(x[1:2]), results[0][1:2])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_pictures_of_small_integers_are_what_float64_gives(dtype, monkeypatch):
    rng, limits = np.random.default_rng(0), np.iinfo(dtype)
    filtering = importlib.import_module("faltung.images.filtering")
    monkeypatch.setattr(_rounded_products, "LEAST_MACS", 1000)
    monkeypatch.setattr(filtering, "byte_filter", lambda *arguments: None)
    kernels = (
        bells(6, 12) * 1.5,
        bells(12, 7),
        np.full((6, 5), 1 / 16),
        np.full((6, 6), 0.1 / np.pi),
    )
    for shape in ((90, 80), (40, 50, 3), (80, 30, 2)):
        picture = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        if shape[0] == 80:
            picture = np.repeat(picture, 2, axis=-1)[..., ::2]
        for number, kernel in enumerate(kernels):
            options = ({}, {"border": "constant", "cval": 3.25}, {"flip": True}, {"border": "wrap"})
            y, names = runs(ft.filter_image, picture, kernel, **options[number])
            assert names == ["low_rank"]
            with monkeypatch.context() as patch:
                patch.setattr(filtering, "filter_by_factors", lambda *arguments: None)
                expected = ft.filter_image(picture, kernel, **options[number])
            assert np.array_equal(y, expected)


def test_describe_tells_workspace_and_reasons():
    report = ft.Conv(np.ones((1, 1, 31, 31)), padding="same").describe((1, 1, 5000, 5000))
    assert report.algorithm == "low_rank"
    assert 0 < report.workspace_bytes <= 16 << 20
    refused = ft.Conv(np.ones((1, 1, 3, 3))).describe((1, 1, 500, 500))
    assert "one pass an axis" in refused.rejected["low_rank"]


def test_a_report_of_weights_that_are_declined_says_so():
    weight = np.random.default_rng(0).standard_normal((1, 1, 11, 11)).astype("f4")
    report = ft.Conv(weight).describe((1, 1, 600, 700))
    assert report.algorithm == "image"
    assert "declines the values" in report.rejected["low_rank"]
    assert "image" not in report.rejected
    with recorded() as names:
        ft.Conv(weight)(np.ones((1, 1, 600, 700), "f4"))
    assert names == ["image"]


def sharpening(taps, dtype="f4"):
    """Twice the cell less a Gaussian: a sum of two products, no product."""
    kernel = -bells(taps, taps)
    kernel[taps // 2, taps // 2] += 2
    return kernel.astype(dtype)[None, None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e-38])
def test_sums_of_two_products_keep_the_bound(dtype, scale):
    rng = np.random.default_rng(7)
    x = (rng.standard_normal((2, 2, 90, 301)) * scale).astype(dtype)
    weight = np.concatenate([sharpening(15, dtype), bells(15, 15).astype(dtype)[None, None]], 1)
    parameters = {"padding": "same", "padding_mode": "reflect"}
    y, names = runs(ft.conv, x, weight, **parameters, algorithm="low_rank")
    assert names == ["low_rank"]
    wide = np.float64 if dtype == "float32" else np.longdouble
    padded = np.pad(x, ((0, 0), (0, 0), (7, 7), (7, 7)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (15, 15), axis=(2, 3))
    some = windows[:, :, ::11, ::7].astype(wide)
    exact = (some * weight[0, :, None, None].astype(wide)).sum(axis=(1, 4, 5))
    sizes = (abs(some) * abs(weight[0, :, None, None]).astype(wide)).sum(axis=(1, 4, 5))
    assert_within_bound(y[:, 0, ::11, ::7], exact, sizes, 450)


def test_sums_of_products_are_taken_where_they_are_predicted_to_be_quicker():
    if not machine.has("avx512"):
        pytest.skip("the prices are those of AVX-512")
    x = np.random.default_rng(0).standard_normal((1, 1, 1024, 1024)).astype("f4")
    assert runs(ft.conv, x, sharpening(15))[1] == ["low_rank"]
    for weight in (sharpening(9), sharpening(101)):  # the ways around are shorter, or very short
        operator = ft.Conv(weight)
        assert operator.describe(x.shape).algorithm != "low_rank"
        _, names = runs(operator, x)
        assert "low_rank" not in names
    assert runs(ft.conv, x, sharpening(101), algorithm="low_rank")[1] == ["low_rank"]
    with ft.reproducible():
        assert runs(ft.conv, x, sharpening(15))[1] == ["direct"]


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf, 3e38])
def test_special_values_under_sums_of_products(special):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1, 200, 200)).astype("f4")
    x[0, 0, 50, 60] = special
    weight = sharpening(15)
    y, names = runs(ft.conv, x, weight, padding="same", algorithm="low_rank")
    assert names[0] == "low_rank"
    expected = ft.conv(x, weight, padding="same", algorithm="direct")
    assert np.array_equal(np.isfinite(y), np.isfinite(expected))
    assert np.allclose(y, expected, 1e-4, 1e-4, equal_nan=True)


def test_normalised_convolution_under_sums_of_products():
    rng = np.random.default_rng(1)
    x, mask = rng.standard_normal((300, 310)).astype("f4"), rng.random((300, 310)) > 0.2
    kernel = sharpening(15)[0, 0]
    y, names = runs(ft.filter_array, x, kernel, mask=mask)
    wide = ft.filter_array(x.astype("f8"), kernel.astype("f8"), mask=mask)
    assert names == ["low_rank"]
    assert np.allclose(y, wide, 1e-4, 1e-4)
