"""The positions plan: involutions and untied kernels as the stencil plan computes them."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import _jit
from faltung.plans import _resources, positions
from position_cases import draw_positions

if not _jit.available():
    pytest.skip("nothing is compiled here", allow_module_level=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bool", "int8", "uint64"])
def test_as_the_stencil_plan(dtype):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(150 if dtype == "float32" else 40):
        case = draw_positions(rng, dtype)
        if case is not None:
            compared += 1
            y, expected = case.through("positions"), case.through("stencil")
            assert y.dtype == expected.dtype
            assert np.array_equal(y, expected), case.parameters
    assert compared > 25


@pytest.mark.parametrize("limit", [1, 300, 4000])
def test_parts_of_another_dtype_change_nothing(monkeypatch, limit):
    monkeypatch.setattr(positions, "CONVERTED_BYTES", limit)
    rng = np.random.default_rng(limit)
    for _ in range(40):
        case = draw_positions(rng, "int8", "float32")
        if case is not None:
            expected = case.through("stencil")
            assert np.array_equal(case.through("positions"), expected), case.parameters


def test_any_memory_order_and_output():
    rng = np.random.default_rng(1)
    for number in range(60):
        case = draw_positions(rng, "float32")
        if case is None:
            continue
        expected = case.through("stencil")
        x, weight, *bias = case.arrays
        relaid = [
            (np.asfortranarray(x), weight),
            (x, np.asfortranarray(weight)),
            (x[..., ::-1].copy()[..., ::-1], weight.repeat(2, axis=-1)[..., ::2]),
        ][number % 3]
        wide = np.zeros((*expected.shape[:-1], 3 * expected.shape[-1]), np.float32)
        out = [wide[..., ::-3], np.asfortranarray(expected * 0), expected * 0][number % 3]
        case._replace(arrays=(*relaid, *bias)).through("positions", out=out)
        assert np.array_equal(out, expected), case.parameters


def special(shape, place, value):
    array = np.ones(shape, np.float32)
    array[place] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("mode", ["zeros", "constant", "reflect", "blank"])
def test_special_values_come_out_where_a_tap_meets_them(value, mode):
    parameters = {"kernel_size": (2, 3), "padding": 1, "stride": (1, 2), "padding_mode": mode}
    x_shape, weight_shape = (1, 2, 3, 4), (1, 1, 6, 4, 2)
    pairs = [
        (special(x_shape, (0, *place), value), np.ones(weight_shape, np.float32))
        for place in np.ndindex(*x_shape[1:])
    ] + [
        (np.ones(x_shape, np.float32), special(weight_shape, (0, 0, *place), value))
        for place in np.ndindex(*weight_shape[2:])
    ]
    for x, weight in pairs:
        expected = ft.involution(x, weight, **parameters, algorithm="stencil")
        y = ft.involution(x, weight, **parameters, algorithm="positions")
        assert np.array_equal(y, expected, equal_nan=True)
    assert sum(np.isfinite(ft.involution(*pair, **parameters)).all() for pair in pairs) < len(pairs)


def test_samples_and_threads_do_not_change_bits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 12, 40, 41)).astype(np.float32)
    weight = rng.standard_normal((3, 4, 15, 40, 41)).astype(np.float32)
    parameters = {"kernel_size": (3, 5), "padding": "same", "algorithm": "positions"}
    before, found = ft.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            ft.set_num_threads(threads)
            found.add(ft.involution(x, weight, **parameters).tobytes())
    finally:
        ft.set_num_threads(before)
    alone = [ft.involution(x[n : n + 1], weight[n : n + 1], **parameters) for n in range(3)]
    assert found == {np.concatenate(alone).tobytes()}


def test_a_small_sample_alone_has_the_same_bits_on_request():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 8, 6, 7)).astype(np.float32)
    weight = rng.standard_normal((8, 8, 9, 6, 7)).astype(np.float32)
    with ft.reproducible():
        whole = ft.local_conv(x, weight, kernel_size=3, padding=1)
        alone = ft.local_conv(x[7:8], weight, kernel_size=3, padding=1)
    assert np.array_equal(alone, whole[7:8])


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_a_large_involution_needs_little(dtype, data_format):
    x, weight = np.ones((1, 256, 56, 56), dtype), np.ones((1, 16, 49, 56, 56), np.float32)
    if data_format == "channels_last":
        x = np.ones((1, 56, 56, 256), dtype)
    parameters = {"kernel_size": 7, "padding": 3, "data_format": data_format}
    out = np.empty(x.shape, np.float32)
    ft.involution(x, weight, **parameters, out=out)
    out[:] = 0
    tracemalloc.start()
    ft.involution(x, weight, **parameters, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < _resources.WORKSPACE
    assert (out[:, 10:20, 10:20, 10:20] == 49).all()
    operator = ft.Involution(weight, **parameters)
    report = operator.describe(x.shape, x.dtype)
    assert report.algorithm == "positions"
    assert report.workspace_bytes <= _resources.WORKSPACE


def test_refusals_have_reasons():
    def reason(shape, weight, dtype=np.float32, **parameters):
        operator = ft.Involution(np.ones(weight, dtype), **parameters)
        return dict(operator.describe(shape, dtype).rejected)["positions"]

    assert "too few" in reason((1, 1, 4, 4), (1, 1, 9, 2, 2), kernel_size=3)
    many = (1, 4, 9, 60, 60)
    assert "complex64" in reason((1, 4, 62, 62), many, "c8", kernel_size=3)
    long = (1, 4, 9, 10**5)
    assert "border" in reason((1, 4, 8), long, kernel_size=9, padding=((10**5, 0),))
    assert "1 to 3 axes" in reason((1, 4, 9, 9, 9, 9), (1, 4, 1, 9, 9, 9, 9), kernel_size=(1,) * 4)
    case = {"kernel_size": (3, 3), "dilation": 600, "stride": 5}
    assert "workspace" in reason((1, 4, 1601, 1601), (1, 4, 9, 81, 81), **case)
