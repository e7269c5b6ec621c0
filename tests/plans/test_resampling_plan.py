"""The resampling plan: what the stencil plan interpolates and copies, within two rows of memory."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import _jit
from resized_cases import draw_resize

if not _jit.available():
    pytest.skip("nothing is compiled here", allow_module_level=True)

UNITS = {"float32": 2.0**-23, "complex64": 2.0**-23, "float16": 2.0**-10}


def is_near(y, expected, x, dtype):
    """Whether results differ by no more than the rounding of sums of few products."""
    if y.dtype.kind in "biu":  # a half may be rounded to either side
        return (abs(y.astype(float) - expected.astype(float)) <= 1).all()
    largest = max(abs(x).max(), 1)
    return (abs(y - expected) <= 60 * UNITS.get(dtype, 2.0**-52) * largest).all()


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "complex64", "bool", "uint8", "int32"]
)
def test_as_the_stencil_plan(dtype):
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(120 if dtype == "float32" else 40):
        x, parameters = draw_resize(rng, dtype)
        expected = ft.resize(x, **parameters, algorithm="stencil")
        try:
            y = ft.resize(x, **parameters, algorithm="resampling")
        except ft.OptionError:
            continue
        taken += 1
        assert y.dtype == expected.dtype
        if parameters["mode"].startswith("nearest"):
            assert np.array_equal(y, expected)
        else:
            assert is_near(y, expected, x, dtype), parameters
    assert taken > 30


def test_halves_are_rounded_to_even_and_the_range_is_kept():
    x = np.array([[[0, 1, 2, 3, 255, 254]]], np.uint8)
    y = ft.resize(x, (3,), mode="area", algorithm="resampling")
    assert y.tolist() == [[[0, 2, 254]]]
    steps = np.array([[[0, 255, 0, 255]]], np.uint8)
    wide = ft.resize(steps, (64,), mode="cubic", algorithm="resampling")
    assert wide.min() == 0
    assert wide.max() == 255
    low = ft.resize(np.array([[[-128, 127]]], np.int8), (32,), mode="cubic", algorithm="resampling")
    assert (low.min(), low.max()) == (-128, 127)


def test_any_memory_order_and_output():
    rng = np.random.default_rng(0)
    for number in range(60):
        x, parameters = draw_resize(rng, "float32")
        try:
            expected = ft.resize(x, **parameters, algorithm="resampling")
        except ft.OptionError:
            continue
        byte = np.zeros(x.nbytes + 1, np.uint8)
        unaligned = byte[1:].view(np.float32).reshape(x.shape)
        unaligned[...] = x
        swapped = x.astype(x.dtype.newbyteorder())
        turned = x[..., ::-1].copy()[..., ::-1]
        relaid = [np.asfortranarray(x), turned, unaligned, swapped][number % 4]
        wide = np.zeros((*expected.shape[:-1], 3 * expected.shape[-1]), np.float32)
        out = [wide[..., ::-3], np.asfortranarray(expected * 0)][number // 4 % 2]
        ft.resize(relaid, **parameters, algorithm="resampling", out=out)
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("parameters", [{"mode": "area"}, {"mode": "linear", "antialias": True}])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_reach_the_outputs_that_use_them(parameters, value):
    for place in np.ndindex(5, 6):
        x = np.ones((1, 1, 5, 6), np.float32)
        x[(0, 0, *place)] = value
        for size in ((3, 2), (4, 9), (2, 6)):
            y = ft.resize(x, size, **parameters, algorithm="resampling")
            expected = ft.resize(x, size, **parameters, algorithm="separable")
            assert np.array_equal(np.isnan(y), np.isnan(expected))
            assert np.array_equal(np.isinf(y), np.isinf(expected))


def test_threads_and_samples_do_not_change_bits():
    x = np.random.default_rng(0).standard_normal((3, 5, 61, 40)).astype(np.float32)
    before, found = ft.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            ft.set_num_threads(threads)
            found.add(ft.resize(x, (97, 81), mode="cubic").tobytes())
    finally:
        ft.set_num_threads(before)
    alone = [ft.resize(x[n : n + 1], (97, 81), mode="cubic") for n in range(3)]
    assert found == {np.concatenate(alone).tobytes()}


def test_a_small_sample_alone_has_the_same_bits_on_request():
    x = np.random.default_rng(0).standard_normal((90, 1, 9, 5)).astype(np.float32)
    with ft.reproducible():
        whole = ft.resize(x, (4, 12), mode="cubic")
        assert np.array_equal(ft.resize(x[7:8], (4, 12), mode="cubic"), whole[7:8])


@pytest.mark.parametrize("mode", ["nearest", "linear", "lanczos"])
def test_workspace_is_what_describe_says(mode):
    x = np.ones((1, 64, 112, 112), np.float32)
    operator = ft.Resize((224, 224), mode=mode)
    report = operator.describe(x.shape)
    assert report.algorithm == "resampling"
    out = np.empty(report.output_shape, np.float32)
    operator(x, out=out)
    tracemalloc.start()
    operator(x, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= ft.get_num_threads() * report.workspace_bytes + 2**16
    assert np.allclose(out, 1)


def test_refusals_have_reasons():
    def reason(shape, size, dtype=np.float32, **parameters):
        return dict(ft.Resize(size, **parameters).describe(shape, dtype).rejected)["resampling"]

    assert "too few" in reason((1, 1, 4, 4), (5, 5))
    assert "int64" in reason((1, 1, 99, 99), (50, 50), np.int64, mode="linear")
    assert "complex128" in reason((1, 1, 99, 99), (50, 50), np.complex128)
    assert "table" in reason((1, 1, 99), (10**6,), mode="linear")
    assert "two rows" in reason((1, 1, 2**21), (99,), mode="linear")
    assert "products" in reason((1, 1, 10**4, 10**4), (1, 10), mode="area")
    assert "1 to 3 axes" in reason((1, 1, 9, 9, 9, 9), (9, 9, 9, 9))
