"""ONNX's published node cases of this family: an oracle that we did not write.

`tests/data/onnx_node_cases.zip` is written by `tools/onnx_cases.py`. Cases outside the contract
are listed here with the reason; a case that is in neither list fails.
"""

from __future__ import annotations

import json
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faltung as ft

ARCHIVE = Path(__file__).parent.parent / "data" / "onnx_node_cases.zip"

CROPS = "resize samples the whole input; a region of interest is a slice before it"
OTHER_CUBIC = "cubic has a = -0.75 without antialias, and outside cells show the edge"
OUTSIDE = {
    **dict.fromkeys(
        [
            "test_resize_tf_crop_and_resize",
            "test_resize_tf_crop_and_resize_extrapolation_value",
            "test_resize_tf_crop_and_resize_axes_2_3",
            "test_resize_tf_crop_and_resize_axes_3_2",
        ],
        CROPS,
    ),
    "test_resize_upsample_scales_cubic_A_n0p5_exclude_outside": OTHER_CUBIC,
    "test_resize_downsample_scales_cubic_A_n0p5_exclude_outside": OTHER_CUBIC,
    "test_resize_upsample_scales_cubic_asymmetric": "cubic takes half-pixel centres or corners",
    "test_resize_upsample_sizes_nearest_floor_align_corners": "nearest takes no corners",
    "test_resize_upsample_sizes_nearest_ceil_half_pixel": "nearest never looks beyond its cell",
    "test_resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric": "nearest rounds down",
    **dict.fromkeys(
        [
            "test_resize_upsample_sizes_nearest",
            "test_resize_upsample_sizes_nearest_axes_2_3",
            "test_resize_upsample_sizes_nearest_axes_3_2",
            "test_resize_upsample_sizes_nearest_not_larger",
            "test_resize_downsample_sizes_nearest",
            "test_resize_downsample_sizes_nearest_not_larger",
            "test_resize_downsample_sizes_nearest_not_smaller",
        ],
        "half way between two cells ONNX takes the first, nearest-exact the second as PyTorch",
    ),
    **dict.fromkeys(
        [
            "test_resize_downsample_scales_linear_align_corners",
            "test_resize_downsample_scales_cubic_align_corners",
        ],
        "ONNX spreads corners over 2.4 cells of an output that has 2; ours end on the last cell",
    ),
    "test_resize_downsample_sizes_linear_pytorch_half_pixel": (
        "an output of one cell shows the first one there; PyTorch itself shows the centre"
    ),
    **dict.fromkeys(
        [
            "test_resize_downsample_scales_linear_half_pixel_symmetric",
            "test_resize_upsample_scales_linear_half_pixel_symmetric",
        ],
        "a given scale is used for the coordinates as it is",
    ),
    **dict.fromkeys(
        [
            "test_resize_downsample_scales_linear_antialias",
            "test_resize_downsample_sizes_linear_antialias",
            "test_resize_downsample_scales_cubic_antialias",
            "test_resize_downsample_sizes_cubic_antialias",
        ],
        "weights beyond the border are dropped and the rest renormalised, as in Pillow",
    ),
    **dict.fromkeys(
        [
            "test_basic_deform_conv_with_padding",
            "test_basic_deform_conv_without_padding",
            "test_deform_conv_with_mask_bias",
            "test_deform_conv_with_multiple_offset_groups",
        ],
        "windows whose taps move with the data are no operator of this family",
    ),
}


@cache
def published() -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        cases = json.loads(archive.read("cases.json"))["cases"]
    return {case["name"]: case for case in cases}


def arrays_of(case: dict[str, Any]) -> dict[str, Any]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {
            key: np.load(BytesIO(archive.read(name)), allow_pickle=False)
            for key, name in case["arrays"].items()
        }


def padding_of(attributes: dict[str, Any], rank: int) -> Any:
    name = attributes.get("auto_pad", "NOTSET")
    if name != "NOTSET":
        return {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}[name]
    pads = attributes.get("pads", [0] * (2 * rank))
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def window_of(attributes: dict[str, Any], rank: int) -> dict[str, Any]:
    return {
        "stride": tuple(attributes.get("strides", [1] * rank)),
        "dilation": tuple(attributes.get("dilations", [1] * rank)),
        "padding": padding_of(attributes, rank),
    }


def conv(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    x, weight = arrays["in0"], arrays["in1"]
    attributes = case["attributes"]
    window = window_of(attributes, x.ndim - 2)
    return ft.conv(x, weight, arrays.get("in2"), groups=attributes.get("group", 1), **window)


def conv_integer(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    x = arrays["in0"].astype(np.int32) - arrays["in2"].astype(np.int32)
    weight = arrays["in1"].astype(np.int32)
    if "in3" in arrays:  # one zero point a filter
        weight = weight - arrays["in3"].astype(np.int32).reshape(-1, 1, 1, 1)
    return conv(case, {"in0": x, "in1": weight})


def quantised_conv(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """Scales and zero points around a convolution of integers."""
    x = arrays["in0"].astype(np.int32) - arrays["in2"].astype(np.int32)
    weight = arrays["in3"].astype(np.int32) - arrays["in5"].astype(np.int32)
    sums = conv(case, {"in0": x, "in1": weight})
    scaled = sums * (arrays["in1"] * arrays["in4"] / arrays["in6"])
    return np.clip(np.rint(scaled) + arrays["in7"], 0, 255).astype(np.uint8)


def conv_transpose(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    x, weight = arrays["in0"], arrays["in1"]
    attributes, rank = case["attributes"], x.ndim - 2
    given = window_of(attributes, rank)
    if "output_shape" in attributes:  # ONNX then adds what is missing after the end
        given["output_size"] = tuple(attributes["output_shape"])
    else:
        given["output_padding"] = tuple(attributes.get("output_padding", [0] * rank))
    return ft.conv_transpose(
        x, weight, arrays.get("in2"), groups=attributes.get("group", 1), **given
    )


def pooling_of(case: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    attributes = case["attributes"]
    given = window_of(attributes, arrays["in0"].ndim - 2)
    given["kernel_size"] = tuple(attributes["kernel_shape"])
    return given | {"ceil_mode": bool(attributes.get("ceil_mode", 0))}


def average_pool(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    counts = bool(case["attributes"].get("count_include_pad", 0))
    return ft.avg_pool(arrays["in0"], **pooling_of(case, arrays), count_include_pad=counts)


def lp_pool(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    return ft.lp_pool(arrays["in0"], case["attributes"].get("p", 2), **pooling_of(case, arrays))


def max_pool(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    x = arrays["in0"]
    if "out1" not in arrays:
        return ft.max_pool(x, **pooling_of(case, arrays))
    y, places = ft.max_pool(x, **pooling_of(case, arrays), return_indices=True)
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
    if case["attributes"].get("storage_order", 0):  # column-major within the plane
        rows, columns = x.shape[2:]
        places = places % columns * rows + places // columns
    return y, places + planes * x[0, 0].size


def max_unpool(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """ONNX's positions are those in the whole tensor of the smallest output."""
    x, attributes = arrays["in0"], case["attributes"]
    kernel, stride = tuple(attributes["kernel_shape"]), tuple(attributes["strides"])
    sizes = zip(x.shape[2:], stride, kernel, strict=True)
    height, width = ((size - 1) * step + taps for size, step, taps in sizes)
    rows, columns = np.divmod(arrays["in1"] % (height * width), width)
    if "in2" in arrays:
        height, width = (int(size) for size in arrays["in2"][2:])
    places = rows * width + columns
    return ft.max_unpool(x, places, kernel, stride=stride, output_size=(height, width))


def fold(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    size = tuple(int(n) for n in arrays["in1"])
    kernel = tuple(int(n) for n in arrays["in2"])
    return ft.fold(arrays["in0"], size, kernel, **window_of(case["attributes"], len(size)))


def pad(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """Every axis is spatial here: a batch and a channel of one are put before."""
    x, pads = arrays["in0"], [int(n) for n in arrays["in1"]]
    axes = [int(axis) % x.ndim for axis in arrays.get("in3", np.arange(x.ndim))]
    pairs = [(0, 0)] * x.ndim
    for place, axis in enumerate(axes):
        pairs[axis] = (pads[place], pads[place + len(axes)])
    value = arrays["in2"].item() if "in2" in arrays else 0
    return ft.pad(x[None, None], tuple(pairs), case["attributes"]["mode"], value)[0, 0]


def center_crop_pad(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """A pad with negative numbers where it crops; the odd cell goes after, or off the front."""
    x, wanted = arrays["in0"], [int(n) for n in arrays["in1"]]
    axes = [axis % x.ndim for axis in case["attributes"].get("axes", range(x.ndim))]
    pairs = [(0, 0)] * x.ndim
    for axis, size in zip(axes, wanted, strict=True):
        more = size - x.shape[axis]
        before = more // 2 if more >= 0 else -((-more) // 2)
        pairs[axis] = (before, more - before)
    return ft.pad(x[None, None], tuple(pairs))[0, 0]


def resize(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    x, attributes = arrays["in0"], case["attributes"]
    centre = attributes.get("coordinate_transformation_mode", "half_pixel")
    axes = attributes.get("axes", [0, 1, 2, 3])
    mode = attributes["mode"]
    given: dict[str, Any] = {"align_corners": True} if centre == "align_corners" else {}
    if attributes.get("antialias"):
        given["antialias"] = True
    scales = arrays.get("in2", np.ones(0))
    factors, size = [1.0] * 4, list(x.shape)
    for place, axis in enumerate(axes):
        if scales.size:
            factors[axis] = float(scales[place])
        else:
            size[axis] = int(arrays["in3"][place])
    if scales.size and centre != "align_corners":
        given["scale_factor"] = tuple(factors[2:])
    elif scales.size:  # corners fix the coordinates
        given["size"] = tuple(int(n * f) for n, f in zip(x.shape[2:], factors[2:], strict=True))
    else:
        given["size"] = keep_aspect(x.shape[2:], size[2:], attributes)
    if mode == "nearest":
        given.pop("align_corners", None)
        mode = "nearest" if centre == "asymmetric" else "nearest-exact"
    return ft.resize(x, mode=mode, **given)


def keep_aspect(given: Any, wanted: list[int], attributes: dict[str, Any]) -> tuple[int, ...]:
    policy = attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return tuple(wanted)
    ratios = [new / old for new, old in zip(wanted, given, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return tuple(int(ratio * old + 0.5) for old in given)


def upsample(case: dict[str, Any], arrays: dict[str, Any]) -> Any:
    factors = tuple(float(factor) for factor in arrays["in1"][2:])
    return ft.resize(arrays["in0"], scale_factor=factors, mode="nearest")


RUN = {
    "AveragePool": average_pool,
    "CenterCropPad": center_crop_pad,
    "Col2Im": fold,
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": lambda _, arrays: ft.adaptive_avg_pool(arrays["in0"], 1),
    "GlobalMaxPool": lambda _, arrays: ft.adaptive_max_pool(arrays["in0"], 1),
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "Pad": pad,
    "QLinearConv": quantised_conv,
    "Resize": resize,
    "Upsample": upsample,
}


@pytest.mark.parametrize("name", [name for name in published() if name not in OUTSIDE])
def test_a_published_case(name: str) -> None:
    case = published()[name]
    arrays = arrays_of(case)
    actual = RUN[case["operator"]](case, arrays)
    results = actual if isinstance(actual, tuple) else (actual,)
    for place, result in enumerate(results):
        expected = arrays[f"out{place}"]
        assert result.shape == expected.shape
        # One case publishes its results to four digits.
        limit = 5e-4 if name.endswith("last_window_starts_on_pad") else 1e-5
        np.testing.assert_allclose(result, expected, rtol=limit, atol=2e-6)


def test_what_is_left_out_is_published_and_has_a_reason() -> None:
    assert set(OUTSIDE) <= set(published())
    assert all(OUTSIDE.values())
    assert len(published()) - len(OUTSIDE) >= 100
