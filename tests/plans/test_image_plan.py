"""The image plan: equal to the stencil plan, chosen by shape, in every layout and border."""

import importlib

import numpy as np
import pytest

import faltung as ft
from faltung.plans import _converting, _recording, _resources, image

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
DTYPES = ("float32", "float64", "uint8", "int16", "uint16", "float16", "int64")
KERNELS = ((3, 3), (1, 4), (3, 1), (9, 5), (11, 40))
HEIGHTS, WIDTHS = (1, 5, 16, 40), (1, 3, 16, 33, 70)


def whole_numbers(rng, shape, dtype):
    return rng.integers(0 if dtype.startswith("u") else -2, 3, shape).astype(dtype)


def draw(rng, dtype):
    """Arrays and parameters of a convolution of pictures."""
    groups, channels, filters = (int(n) for n in rng.choice([1, 1, 2, 4, 5, 11], 3))
    size = int(rng.choice(HEIGHTS)), int(rng.choice(WIDTHS))
    kernel = KERNELS[rng.integers(len(KERNELS))]
    extra = rng.integers(4)
    parameters = {
        "groups": groups,
        "padding": str(rng.choice(["valid", "same", "full", "same_lower"])),
        "padding_mode": str(rng.choice(MODES)),
        "flip": bool(rng.integers(2)),
    }
    if extra == 0:
        size, kernel = (*size, 3), (*kernel, 1)
    elif extra == 1:
        size, kernel = (2, *size), (1, *kernel)
    elif extra == 2:
        parameters["stride"] = int(rng.choice([1, 2]))
        parameters["dilation"] = 1, 2
    else:
        parameters["dilation"] = 2
    if parameters["padding_mode"] == "constant":
        parameters["padding_value"] = 3
    x = whole_numbers(rng, (int(rng.integers(1, 3)), groups * channels, *size), dtype)
    weight = whole_numbers(rng, (groups * filters, channels, *kernel), dtype)
    bias = whole_numbers(rng, groups * filters, dtype) if rng.integers(2) else None
    return x, weight, bias, parameters


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_the_stencil_plan(dtype):
    rng, done = np.random.default_rng(DTYPES.index(dtype)), 0
    for _ in range(40 if dtype == "float32" else 15):
        x, weight, bias, parameters = draw(rng, dtype)
        try:
            expected = ft.conv(x, weight, bias, **parameters, algorithm="stencil")
        except ft.WindowError:  # a kernel larger than the picture, without padding
            continue
        y = ft.conv(x, weight, bias, **parameters, algorithm="image")
        assert np.array_equal(y, expected), (x.shape, weight.shape, parameters)
        done += 1
    assert done >= 8


@pytest.mark.parametrize("mode", MODES)
def test_kernels_larger_than_pictures_one_pixel_wide(mode):
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 7, 1), (1, 1, 1, 9), (1, 1, 1, 1)):
        x = whole_numbers(rng, shape, "float32")
        weight = whole_numbers(rng, (1, 1, 11, 40), "float32")
        results = [
            ft.conv(x, weight, padding="same", padding_mode=mode, algorithm=name)
            for name in ("image", "stencil")
        ]
        assert np.array_equal(*results)


def test_memory_orders_and_other_dtypes(monkeypatch):
    monkeypatch.setattr(_converting, "CONVERTED_BYTES", 4000)
    rng = np.random.default_rng(0)
    base = whole_numbers(rng, (2, 4, 40, 70, 3), "float32")
    weight = whole_numbers(rng, (4, 1, 3, 3, 1), "float32")
    parameters = {"groups": 4, "padding": "same", "padding_mode": "reflect"}
    expected = ft.conv(base, weight, **parameters, algorithm="stencil")
    odd = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float32)
    layouts = (
        np.asfortranarray(base),
        np.ascontiguousarray(np.moveaxis(base, -1, 1)).transpose(0, 2, 3, 4, 1),
        np.repeat(base, 2, axis=-1)[..., ::2],
        base.astype(">f4"),
        base.astype(np.int8),
        odd.reshape(base.shape),
    )
    for x in layouts:
        assert np.array_equal(ft.conv(x, weight, **parameters, algorithm="image"), expected)
        target = np.zeros((*expected.shape[:-1], 6), np.float32)[..., ::2]
        ft.conv(x, weight, **parameters, algorithm="image", out=target)
        assert np.array_equal(target, expected)
    operator = ft.Conv(weight, **parameters, algorithm="image")
    assert all(np.array_equal(operator(x), expected) for x in layouts * 2)


def algorithm_of(x_shape, weight_shape, dtype="float32", **parameters):
    return ft.Conv(np.ones(weight_shape, dtype), **parameters).describe(x_shape, dtype).algorithm


def test_it_is_chosen_for_pictures_by_shape_alone():
    assert algorithm_of((1, 1, 300, 200), (1, 1, 3, 3)) == "image"
    assert algorithm_of((1, 64, 30, 30), (64, 1, 3, 3), groups=64) == "image"
    assert algorithm_of((1, 1, 300, 200, 3), (1, 1, 3, 3, 1)) == "image"
    assert algorithm_of((1, 1, 9, 9), (1, 1, 3, 3)) == "stencil"
    assert algorithm_of((1, 64, 30, 30), (64, 64, 3, 3)) == "direct"
    assert algorithm_of((1, 1, 300, 200), (1, 1, 1, 1)) == "direct"
    assert algorithm_of((1, 1, 900, 900), (1, 1, 3, 3), stride=5) == "direct"
    assert algorithm_of((1, 1, 30, 30, 30), (1, 1, 3, 3, 3)) == "image"
    assert algorithm_of((1, 1, 9000), (1, 1, 63)) == "image"
    assert algorithm_of((1, 1, 300, 200), (1, 1, 3, 3), "complex64") == "direct"


def test_functions_of_pictures_land_on_it(monkeypatch):
    runs = []
    monkeypatch.setattr(
        image, "run", lambda *arguments, real=image.run: runs.append(1) or real(*arguments)
    )
    rng = np.random.default_rng(0)
    picture, kernel = rng.standard_normal((80, 90)), rng.standard_normal((5, 4))
    for call in (
        lambda: ft.filter_image(picture, kernel),
        lambda: ft.filter_image(np.dstack([picture] * 3), kernel),
        lambda: ft.filter_array(picture, kernel),
        lambda: ft.correlate2d(picture, kernel),
        lambda: ft.convolve2d(picture, kernel, boundary="symm"),
        lambda: ft.match_template(picture, kernel),
    ):
        before = len(runs)
        call()
        assert len(runs) > before


def test_reproducible_sums_are_those_of_the_direct_plan():
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape) for shape in ((1, 1, 60, 70), (1, 1, 9, 9)))
    with ft.reproducible():
        assert np.array_equal(ft.conv(x, weight), ft.conv(x, weight, algorithm="direct"))
        with pytest.raises(ft.OptionError, match="another order"):
            ft.conv(x, weight, algorithm="image")


@pytest.mark.parametrize("where", ["weight", "x"])
def test_special_values_are_where_the_direct_sum_has_them(where):
    rng = np.random.default_rng(0)
    x, weight = (
        rng.standard_normal(shape).astype("f4") for shape in ((1, 1, 40, 50), (1, 1, 5, 5))
    )
    array = {"x": x, "weight": weight}[where]
    for value in (np.nan, np.inf):
        array[0, 0, 3, 4] = value
        results = [
            ft.conv(x, weight, padding="same", algorithm=name) for name in ("image", "stencil")
        ]
        assert np.array_equal(*(np.isnan(y) for y in results))
        assert np.array_equal(*(np.isinf(y) for y in results))


def test_calls_that_were_made_before_see_their_own_weights():
    rng = np.random.default_rng(0)
    x = whole_numbers(rng, (1, 2, 40, 50), "float32")
    for number in range(4):
        weight, bias = (whole_numbers(rng, shape, "float32") for shape in ((2, 1, 3, 3), 2))
        if number == 3:
            weight[0, 0, 0, 0] = np.inf
        results = [
            ft.conv(x, weight, bias, groups=2, padding=1, **options)
            for options in ({}, {"algorithm": "stencil"})
        ]
        assert np.array_equal(*results, equal_nan=True)


# One tap along the last axis, padded or not, and along the first: a part of the problem may look
# like a picture in colour where the whole does not, and the other way round.
LOOKS = (
    ((2, 5, 1), ((2, 0), (2, 2), (0, 1)), (1, 1, 1)),
    ((2, 5, 1), ((2, 0), (2, 2), (0, 1)), (4, 2, 1)),
    ((1, 5, 1), ((1, 0), (2, 2), (0, 0)), (1, 1, 1)),
    ((1, 3, 5), ((1, 1), (1, 1), (2, 2)), (1, 1, 1)),
)


@pytest.mark.parametrize(("kernel", "padding", "stride"), LOOKS)
@pytest.mark.parametrize("way", ["blank", "converted", "rest"])
def test_parts_are_summed_as_weights_were_packed(kernel, padding, stride, way):
    rng = np.random.default_rng(0)
    x = whole_numbers(rng, (2, 3, 9, 60, 40), "int16" if way == "converted" else "float32")
    weight = whole_numbers(rng, (3, 3, *kernel), "float32")
    parameters = {"padding": padding, "stride": stride}
    if way == "blank":
        parameters["padding_mode"] = "blank"
    if way == "rest":
        x[0, 1, 3, 4, 2] = np.nan
    with _recording.recorded() as names:
        y = ft.conv(x, weight, **parameters, algorithm="fft" if way == "rest" else "image")
    # A part in colour has a stride that the plan does not know.
    assert "image" in names or (way == "rest" and stride[0] > 3)
    expected = ft.conv(x, weight, **parameters, algorithm="stencil")
    # Transforms round; what they leave undone is exact.
    assert np.array_equal(np.rint(y) if way == "rest" else y, expected, equal_nan=True)


@pytest.mark.parametrize("shape", [(1, 3), (1, 9), (3, 1)])
@pytest.mark.parametrize("stride", [1, (2, 1), (1, 2)])
@pytest.mark.parametrize("border", ["edge", "blank"])
def test_rows_and_columns_filter_pictures_of_bytes_in_colour(shape, stride, border):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (90, 110, 3), dtype=np.uint8)
    kernel = whole_numbers(rng, shape, "float64") + 0.25
    y = ft.filter_image(picture, kernel, border=border, stride=stride)
    for channel in range(3):
        sums = ft.filter_image(
            picture[:, :, channel].astype(float), kernel, border=border, stride=stride
        )
        assert np.array_equal(y[:, :, channel], np.clip(np.rint(sums), 0, 255))


def test_a_colour_picture_is_filtered_channel_by_channel():
    rng = np.random.default_rng(0)
    picture = rng.standard_normal((60, 50, 3)).astype("f4")
    kernel = rng.standard_normal((5, 3))
    for border in ("reflect", "wrap", "constant"):
        y = ft.filter_image(picture, kernel, border=border, cval=2)
        for channel in range(3):
            alone = ft.filter_image(picture[..., channel], kernel, border=border, cval=2)
            assert np.array_equal(y[..., channel], alone)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "bool"]
)
def test_pictures_of_integers_are_what_float64_gives(dtype, monkeypatch):
    rng, used = np.random.default_rng(0), []
    limits = np.iinfo("uint8" if dtype == "bool" else dtype)
    ends = (0, 1) if dtype == "bool" else (limits.min, limits.max)
    if limits.bits == 64:  # sums of larger ones round, and differ with their order
        ends = 0, 2**40
    filtering = importlib.import_module("faltung.images.filtering")
    quick = filtering.rounding_filter

    def watched(*arguments, **options):
        used.append(quick(*arguments, **options))
        return used[-1]

    monkeypatch.setattr(filtering, "MOST_KEY", -1)  # nothing is known from the call before
    for other in ("byte_filter", "filter_by_factors"):
        monkeypatch.setattr(filtering, other, lambda *arguments: None)
    for shape in ((90, 80), (40, 50, 3), (80, 30, 3)):
        drawn = "uint8" if dtype == "bool" else dtype
        picture = rng.integers(*ends, shape, drawn, endpoint=True).astype(dtype)
        if shape[0] == 80:
            picture = np.repeat(picture, 2, axis=-1)[..., ::2]
        for kernel in (ft.kernels.sobel(1), ft.kernels.gaussian(1.5), np.full((2, 2), 0.25)):
            for options in (
                {}, {"border": "constant", "cval": 3.25}, {"flip": True, "anchor": (0, 1)},
                {"border": "blank"}, {"stride": 2, "border": "wrap"},
            ):  # fmt: skip
                monkeypatch.setattr(filtering, "rounding_filter", watched)
                y = ft.filter_image(picture, kernel, **options)
                monkeypatch.setattr(filtering, "rounding_filter", lambda *_, **__: None)
                expected = ft.filter_image(picture, kernel, **options)
                if limits.bits == 64 and kernel.size > 9:
                    assert (np.maximum(y, expected) - np.minimum(y, expected) <= 1).all()
                else:
                    assert np.array_equal(y, expected)
    assert sum(result is not None for result in used) >= 22


def test_what_rounding_does_not_know_goes_the_long_way():
    picture = np.full((60, 60), 200, np.uint8)
    with np.errstate(all="ignore"):
        assert (ft.filter_image(picture, [[np.inf, -np.inf]]) == 0).all()
        assert (ft.filter_image(picture, [[1e308, -1e308, 1e308]]) == 255).all()


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_sums_beyond_the_largest_integers_are_its_end(dtype):
    limits = np.iinfo(dtype)
    picture = np.full((60, 60), limits.max, dtype)
    assert (ft.filter_image(picture, np.ones((3, 3))) == limits.max).all()
    assert (ft.filter_image(picture, -np.ones((3, 3))) == limits.min).all()
    assert (ft.filter_image(picture // 4, np.ones((1, 2))) == limits.max // 2 + 1).all()


@pytest.mark.parametrize("value", [2**51 + 1, 2**52 - 1, 2**53 - 1])
def test_halves_of_large_integers_are_rounded_to_even(value):
    picture = np.full((60, 60), value, np.int64)
    expected = value // 2 + (value // 2) % 2
    assert (ft.filter_image(picture, np.full((1, 2), 0.25)) == expected).all()
    assert (ft.filter_image(-picture, np.full((1, 2), 0.25)) == -expected).all()


def test_a_bool_is_true_above_one_half():
    picture = np.zeros((60, 60), bool)
    picture[30, 30:33] = True
    counts = ft.filter_image(picture.astype(np.uint8), np.ones((1, 4)))
    assert np.array_equal(ft.filter_image(picture, np.full((1, 4), 0.25)), counts > 2)


def test_describe_tells_the_workspace():
    operator = ft.Conv(np.ones((1, 1, 31, 31)), padding="same", algorithm="image")
    report = operator.describe((1, 1, 5000, 5000), np.uint8)
    assert report.algorithm == "image"
    assert 0 < report.workspace_bytes <= _resources.WORKSPACE


def test_it_says_why_it_refuses():
    report = ft.Conv(np.ones((20, 18, 3, 3))).describe((1, 18, 40, 40))
    assert "18 and 20" in report.rejected["image"]
