"""The second call of a kind goes a shorter way; nobody may notice but by the clock."""

from __future__ import annotations

import numpy as np
import pytest

import faltung as ft
from faltung.operators._shortcut import key_of


def normal(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def thrice(function):
    return [function() for _ in range(3)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int16", "float16"])
@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 1, "stride": 2, "groups": 2},
        {"padding": (1, (2, 0)), "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "constant", "padding_value": 2},
        {"padding": 1, "padding_mode": "blank"},
        {"flip": True},
        {"data_format": "channels_last"},
    ],
    ids=str,
)
def test_later_calls_give_the_first_one_s_bits(dtype, options):
    x, bias = normal(2, 16, 16, 16).astype(dtype), normal(16).astype(dtype)
    weight = (3 * normal(16, 16 // options.get("groups", 1), 3, 3, seed=1)).astype(dtype)
    operator = ft.Conv(weight, bias, **options)
    for sample in (x, x[0]):
        results = thrice(lambda x=sample: ft.conv2d(x, weight, bias, **options))
        results += thrice(lambda x=sample: operator(x))
        swapped = sample.astype(np.dtype(dtype).newbyteorder(">"))
        results.append(ft.conv2d(swapped, weight, bias, **options))
        assert all(np.array_equal(each, results[0]) for each in results)
        assert results[0].dtype == np.dtype(dtype)


def test_each_call_has_a_result_of_its_own():
    x, weight = normal(1, 8, 16, 16), normal(8, 8, 3, 3)
    operator = ft.Conv(weight)
    for call in (lambda: operator(x), lambda: ft.conv2d(x, weight)):
        first, second, third = thrice(call)
        second[...] = 0
        assert not np.shares_memory(first, third)
        assert np.array_equal(first, third)


def test_new_values_of_known_arrays_are_seen():
    x, weight, bias = normal(1, 8, 16, 16), normal(8, 8, 3, 3), normal(8)
    for _ in range(3):
        for array in (x, weight, bias):
            np.multiply(array, 2, out=array)
            y = ft.conv2d(x, weight, bias)
            expected = ft.conv2d(x, weight, bias, algorithm="stencil")
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)


def test_arrays_by_name_and_by_place_are_told_apart():
    x, weight, bias = normal(1, 8, 16, 16), normal(8, 8, 1, 1), normal(8)
    plain, biased = ft.conv2d(x, weight), ft.conv2d(x, weight, bias)
    for _ in range(3):
        assert np.array_equal(ft.conv2d(x, weight, bias=bias), biased)
        assert np.array_equal(ft.conv2d(x=x, weight=weight, bias=bias), biased)
        assert np.array_equal(ft.conv2d(bias=bias, weight=weight, x=x), biased)
        assert np.array_equal(ft.conv2d(x, weight=weight), plain)
        assert np.array_equal(ft.conv2d(x, weight, None), plain)


def test_what_counts_as_another_call():
    x, weight = normal(1, 8, 16, 16), normal(8, 8, 3, 3)
    calls = [
        ((x, weight), {}),
        ((x, weight), {"padding": 1}),
        ((x, weight), {"stride": 1}),
        ((x, weight), {"padding": True}),
        ((x, weight), {"padding": (1, 1)}),
        ((x, weight), {"padding": (1, True)}),
        ((x, weight, None), {}),
        ((x, weight, normal(8)), {}),
        ((x.astype("f8"), weight), {}),
        ((x.astype(">f4"), weight), {}),
        ((x[..., ::-1], weight), {}),
        ((x[0], weight), {}),
        ((x,), {"weight": weight}),
    ]
    keys = [key_of(*call) for call in calls]
    with ft.reproducible():
        keys.append(key_of(*calls[0]))
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key_of((x.copy(), weight.copy()), {}) == keys[0]
    assert key_of((x.tolist(), weight), {}) is None
    assert key_of((x, weight), {"padding_value": 0.0}) is None


def test_faults_are_found_after_good_calls():
    x, weight = normal(1, 8, 16, 16), normal(8, 8, 3, 3)
    thrice(lambda: ft.conv2d(x, weight, padding=1))
    for wrong in (True, 1.0, -1):
        with pytest.raises(ft.FaltungError):
            ft.conv2d(x, weight, padding=wrong)
    with pytest.raises(ft.ShapeError):
        ft.conv2d(x[:, :7], weight, padding=1)
    operator = ft.Conv(weight)
    thrice(lambda: operator(x))
    read_only = np.zeros((1, 8, 14, 14), "f4")
    read_only.flags.writeable = False
    for out in (read_only, np.zeros((1, 8, 14, 13), "f4"), np.zeros((1, 8, 14, 14), "i4"), 3):
        with pytest.raises(ft.FaltungError):
            operator(x, out=out)
    assert not read_only.any()


def test_out_of_the_same_memory_or_another_order():
    x, weight = normal(1, 8, 16, 16), normal(8, 8, 1, 1)
    operator = ft.Conv(weight)
    expected = operator(x)
    fitting, transposed = np.empty_like(x), np.empty((1, 16, 16, 8), "f4").transpose(0, 3, 1, 2)
    for out in (fitting, transposed, np.empty(x.shape, "f8")):
        for _ in range(3):
            out[...] = 0
            assert operator(x, out=out) is out
            assert np.array_equal(out, expected)
    same = x.copy()
    assert operator(same, out=same) is same
    assert np.array_equal(same, expected)


def test_unaligned_and_subclassed_data():
    class Kept(np.ndarray):
        pass

    x, weight = normal(1, 8, 16, 16), normal(8, 8, 3, 3)
    operator = ft.Conv(weight)
    expected = thrice(lambda: operator(x))[0]
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    shifted[...] = x
    for _ in range(3):
        assert np.array_equal(operator(shifted), expected)
        assert np.array_equal(ft.conv2d(shifted, weight), expected)
        assert np.array_equal(ft.conv2d(x.view(Kept), weight), expected)


def test_weights_that_are_not_finite_leave_the_padding_out():
    x, weight = normal(1, 8, 16, 16), normal(8, 8, 3, 3)
    thrice(lambda: ft.conv2d(x, weight, padding=1))
    weight[0, 0, 0, 0] = np.inf
    y = ft.conv2d(x, weight, padding=1)
    assert np.isfinite(y[0, 0, 0]).all()
    assert np.isinf(y[0, 0, 1:, 1:]).all()


def test_settings_hold_for_the_call_they_surround():
    """Too small for compiled code, but for the promise of the fixed order."""
    x, weight = normal(1, 3, 9, 9), normal(2, 3, 3, 3)
    plain = thrice(lambda: ft.conv2d(x, weight))
    with ft.reproducible():
        fixed = thrice(lambda: ft.conv2d(x, weight))
        part = ft.conv2d(x[..., 2:7], weight)
    assert np.array_equal(part, fixed[2][..., 2:5])
    assert np.array_equal(ft.conv2d(x, weight), plain[0])


def test_memory_does_not_grow_with_shapes():
    weight = normal(8, 8, 1, 1)
    operator = ft.Conv(weight)
    for width in range(64, 200):
        operator(np.ones((1, 8, 8, width), "f4"))
    assert len(operator._shortcuts) <= 64


def test_calls_of_older_kinds_between_those_of_the_newest():
    """Same shape and other strides, same bytes and another dtype, another shape, and back."""
    operator = ft.Conv(normal(8, 8, 3, 3), padding=1)
    x = normal(1, 8, 16, 16)
    others = [x.transpose(0, 1, 3, 2), x.view("int32"), x[:, :, :9], normal(1, 8, 16, 16, seed=3)]
    expected = [ft.conv2d(each, operator.weight, padding=1) for each in (x, *others)]
    for _ in range(3):
        for each, wanted in zip((x, *others), expected, strict=True):
            for _ in range(2):
                result = operator(each)
                assert result.dtype == wanted.dtype
                np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)
