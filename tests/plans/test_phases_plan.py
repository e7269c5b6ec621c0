"""The phases plan: the stencil plan's numbers, in bits that depend on nothing else."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import _jit
from faltung.operators._call import finish
from faltung.plans import _resources, phases
from transposed_cases import draw_transposed

DTYPES = ("float32", "float16", "complex64", "bool", "int8", "int64")

if not _jit.available():
    pytest.skip("nothing is compiled here", allow_module_level=True)


def both(case, **options):
    """A case through the phases and the stencil plan; None where no output is left."""
    x, weight, bias, parameters = case
    try:
        expected = ft.conv_transpose(x, weight, bias, **parameters, algorithm="stencil")
    except ft.WindowError:
        return None
    y = ft.conv_transpose(x, weight, bias, **parameters, **options, algorithm="phases")
    return y, expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_as_the_stencil_plan(dtype):
    rng = np.random.default_rng(DTYPES.index(dtype))
    compared = 0
    for _ in range(80 if dtype == "float32" else 20):
        case = draw_transposed(rng, dtype)
        results = both(case)
        if results is not None:
            compared += 1
            assert results[0].dtype == results[1].dtype
            assert np.array_equal(*results), case.parameters
    assert compared > 12


def test_any_memory_order_and_output():
    rng = np.random.default_rng(0)
    for seed in range(40):
        case = draw_transposed(rng, "float32")
        results = both(case)
        if results is None:
            continue
        wide = np.zeros((*results[1].shape[:-1], 3 * results[1].shape[-1]), np.float32)
        out = [wide[..., 1::3], wide[..., ::-3], np.asfortranarray(results[1])][seed % 3]
        x = [np.asfortranarray(case.x), case.x[..., ::-1].copy()[..., ::-1]][seed % 2]
        both(case._replace(x=x), out=out)
        assert np.array_equal(out, results[1]), case.parameters


@pytest.mark.parametrize("limit", [1, 300, 4000])
def test_parts_of_another_dtype_change_nothing(monkeypatch, limit):
    monkeypatch.setattr(phases, "CONVERTED_BYTES", limit)
    rng = np.random.default_rng(limit)
    for _ in range(30):
        case = draw_transposed(rng, "int8")
        results = both(case._replace(weight=case.weight.astype(np.float32)))
        assert results is None or np.array_equal(*results), case.parameters


def test_special_values_come_out_where_a_tap_meets_them():
    weight = np.ones((2, 2, 3, 4), np.float32)
    for value in (np.nan, np.inf, -np.inf):
        for place in np.ndindex(2, 3, 4):
            x = np.ones((1, 2, 3, 4), np.float32)
            x[(0, *place)] = value
            for parameters in (
                {"stride": 2, "padding": 1},
                {"stride": (3, 5)},
                {"stride": 2, "dilation": (1, 2), "padding_mode": "blank", "padding": 1},
            ):
                y = ft.conv_transpose(x, weight, **parameters, algorithm="phases")
                expected = ft.ConvTranspose(weight, **parameters).reference(x)
                assert np.array_equal(y, expected, equal_nan=True)


def test_weights_that_are_not_finite_go_another_way():
    x, weight = np.ones((1, 8, 16, 16), np.float32), np.ones((8, 8, 3, 3), np.float32)
    weight[3, 2, 1, 1] = np.inf
    y = ft.conv_transpose(x, weight, stride=2)
    assert np.array_equal(np.isinf(y), np.isinf(ft.ConvTranspose(weight, stride=2).reference(x)))


def test_rounding_is_bounded():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 40, 9, 11)).astype(np.float32)
    weight = rng.standard_normal((40, 5, 4, 5)).astype(np.float32)
    parameters = {"stride": 2, "padding": 1}
    exact = ft.conv_transpose(x.astype(float), weight.astype(float), **parameters)
    bound = ft.conv_transpose(abs(x).astype(float), abs(weight).astype(float), **parameters)
    y = ft.conv_transpose(x, weight, **parameters, algorithm="phases")
    assert np.all(abs(y - exact) <= 1.01 * (40 * 9 + 2) * 2.0**-24 * bound)


def test_a_sample_alone_has_the_same_bits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 20, 21, 22)).astype(np.float32)
    weight = rng.standard_normal((20, 6, 5, 4)).astype(np.float32)
    with ft.reproducible():
        whole = ft.conv_transpose(x, weight, stride=(2, 3))
        assert np.array_equal(ft.conv_transpose(x[1:2], weight, stride=(2, 3)), whole[1:2])
        ahead = ft.conv_transpose(x[:, :, 4:], weight, stride=(2, 3))
        assert np.array_equal(ahead[:, :, 8:], whole[:, :, 16:])


def test_threads_do_not_change_bits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 20, 40, 41)).astype(np.float32)
    weight = rng.standard_normal((20, 19, 3, 4)).astype(np.float32)
    before, found = ft.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            ft.set_num_threads(threads)
            found.add(ft.conv_transpose(x, weight, stride=2, padding=1).tobytes())
    finally:
        ft.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("shape", "weight", "parameters", "dtype"),
    [
        ((1, 64, 112, 112), (64, 64, 4, 4), {"stride": 2, "padding": 1}, "f4"),
        ((1, 3, 300, 300), (3, 64, 16, 16), {"stride": 8}, "f4"),
        ((1, 600, 50, 700), (600, 2, 3, 3), {"stride": 2}, "u1"),
    ],
)
def test_workspace_is_what_describe_says(shape, weight, parameters, dtype):
    x = np.broadcast_to(np.ones((), dtype), shape)
    operator = ft.ConvTranspose(np.ones(weight, np.float32), **parameters)
    report = operator.describe(shape, x.dtype)
    assert report.algorithm == "phases"
    assert report.workspace_bytes <= _resources.WORKSPACE
    bound, prepared, *_ = operator._ready(x.shape, x.dtype)
    out = np.empty(report.output_shape, np.float32)
    tracemalloc.start()
    finish(bound, prepared, x, (), out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= ft.get_num_threads() * report.workspace_bytes + 2**20


def test_refusals_have_reasons():
    def reason(weight, shape=(1, 8, 20, 20), **parameters):
        report = ft.ConvTranspose(np.ones(weight), **parameters).describe(shape)
        return dict(report.rejected)["phases"]

    assert "'reflect' border" in reason((8, 8, 3, 3), padding=1, padding_mode="reflect")
    assert "too few" in reason((1, 1, 2, 2), (1, 1, 3, 3))
    with ft.reproducible():
        assert "no channels" in reason((8, 0, 3, 3))
    assert "1 to 3 axes" in reason((8, 8, 3, 3, 3, 3), (1, 8, 9, 9, 9, 9))
    assert "taps" in reason((1, 1, 5000), (1, 1, 70))
    assert "spans" in reason((1, 1, 40), (1, 1, 2000), dilation=2000)
