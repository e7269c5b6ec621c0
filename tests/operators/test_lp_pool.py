"""Power-average pooling beside `numpy.linalg.norm` of each window."""

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from pooling_cases import draw_pooling, seen_cells


def brute_force(x, case, order):
    """The norm of the cells of each window."""
    places = seen_cells(x.shape[2:], case)
    y = np.zeros((*x.shape[:2], *map(len, places)))
    for n, c in np.ndindex(*x.shape[:2]):
        for place in np.ndindex(*y.shape[2:]):
            where = np.ix_(*(axis[i] for axis, i in zip(places, place, strict=True)))
            y[(n, c, *place)] = np.linalg.norm(x[n, c][where].ravel(), order)
    return y


@pytest.mark.parametrize("order", [1, 2, 2.0, 3, 0.5, 1.7, np.inf])
def test_norms_are_those_of_numpy(order):
    rng = np.random.default_rng(int(min(order * 10, 99)))
    for _ in range(45):
        case = draw_pooling(rng)
        dtype = rng.choice(["float64", "float32", "int16", "uint8", "bool", "complex128"])
        x = rng.normal(0, 3, case.shape)
        x = x + 1j * rng.normal(0, 3, case.shape) if dtype == "complex128" else abs(x).round()
        x = (-x if dtype in ("float64", "int16") else x).astype(dtype)
        y = ft.lp_pool(x, order, **case.parameters)
        wide = x if x.dtype.kind == "c" else x.astype(np.float64)
        assert y.dtype == (np.float64 if x.dtype.kind in "biu" else x.dtype)
        limit = 1e-5 if dtype == "float32" else 1e-13
        assert np.allclose(y, brute_force(wide, case, order), rtol=limit, atol=0), case


@pytest.mark.parametrize("dtype", ["float16", ml_dtypes.bfloat16])
def test_short_floats_are_summed_in_float32(dtype):
    x = np.full((1, 1, 16), 300, dtype)  # 300**2 is beyond float16
    assert float(ft.lp_pool(x, 2, (16,)).item()) == 1200


def test_an_infinite_order_is_the_max_pool_of_magnitudes():
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    y = ft.lp_pool(x, np.inf, 3, stride=2, padding=1, ceil_mode=True)
    assert np.array_equal(y, ft.max_pool(abs(x), 3, stride=2, padding=1, ceil_mode=True))


def test_special_values_reach_exactly_the_windows_over_them():
    for order in (1, 2, 3, np.inf):
        for place in np.ndindex(4, 5):
            for value in (np.nan, -np.inf):
                x = np.ones((1, 1, 4, 5))
                x[(0, 0, *place)] = value
                y = ft.lp_pool(x, order, (2, 3), stride=1, padding=1)
                is_hit = ft.conv((x != 1).astype(int), np.ones((1, 1, 2, 3), int), padding=1) > 0
                expected = np.full(is_hit.sum(), abs(value))
                assert np.array_equal(y[is_hit], expected, equal_nan=True)
                assert np.isfinite(y[~is_hit]).all()


def test_reproducible_bits_depend_on_the_window_alone():
    x = np.random.default_rng(2).normal(size=(2, 2, 40)).astype(np.float32)
    with ft.reproducible():
        whole = ft.lp_pool(x, 2, (33,), stride=1)
        for i in range(8):
            alone = ft.lp_pool(x[1:, :, i : i + 33], 2, (33,))
            assert np.array_equal(alone, whole[1:, :, i : i + 1])


@pytest.mark.parametrize("order", [0, -1, np.nan, -np.inf, True, None, "2", 1j, 10**400, (2,), []])
def test_impossible_orders_are_refused(order):
    with pytest.raises(ft.OptionError, match="norm_type"):
        ft.lp_pool(np.ones((1, 1, 4)), order, 2)
    with pytest.raises(ft.OptionError, match="norm_type"):
        ft.LpPool(order, 2)


def test_impossible_windows_are_refused():
    with pytest.raises(ft.WindowError, match="no cell"):
        ft.LpPool(2, 2, padding=(2, 0))
    with pytest.raises(ft.WindowError, match="kernel_size"):
        ft.LpPool(2, 0)


def test_operators_survive_every_order():
    for order in (np.inf, np.float32(2), np.int64(3)):
        operator = ft.LpPool(order, (2,))
        assert operator == ft.LpPool(order, (2,))
        assert operator(np.ones((1, 1, 4))).shape == (1, 1, 2)


def test_ranked_functions_know_their_rank():
    x = np.ones((2, 4, 5, 6))
    assert ft.lp_pool3d(x, 2, 2).shape == (2, 2, 2, 3)
    assert ft.lp_pool2d(x, 2, 2).shape == (2, 4, 2, 3)
    assert ft.lp_pool1d(x[0, 0], 2, 2).shape == (5, 3)


def test_a_last_window_behind_the_input_is_left_out_in_the_loops_too():
    x = np.arange(12.0).reshape(1, 1, 12)
    window = {"stride": 1, "padding": ((0, 3),), "dilation": 2, "ceil_mode": True}
    for operator in (ft.LpPool(3, (2,), **window), ft.MaxPool((2,), **window)):
        assert operator.output_shape(x.shape) == (1, 1, 12)
        assert np.allclose(operator(x), operator.reference(x))
