"""Convolution in any number of axes with padding on one side only, against JAX."""

from typing import Any

import numpy as np
import pytest

import faltung as ft

pytestmark = pytest.mark.peers


@pytest.fixture(name="lax", scope="module")
def _lax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.lax


@pytest.mark.parametrize("seed", range(100))
def test_conv_with_any_padding(lax: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    groups = int(rng.integers(1, 3))
    kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    dilation = tuple(int(d) for d in rng.integers(1, 3, rank))
    stride = tuple(int(s) for s in rng.integers(1, 4, rank))
    sizes = [int(d * k + rng.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True)]
    x = rng.normal(size=(2, 2 * groups, *sizes))
    weight = rng.normal(size=(3 * groups, 2, *kernel))
    padding: Any = tuple(tuple(int(p) for p in rng.integers(0, 4, 2)) for _ in range(rank))
    if seed % 3 == 0:
        padding = "same"
    expected = lax.conv_general_dilated(
        x,
        weight,
        stride,
        "SAME" if padding == "same" else padding,
        rhs_dilation=dilation,
        feature_group_count=groups,
    )
    actual = ft.conv(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", range(50))
def test_windows_of_extremes_and_sums(lax: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(k) for k in rng.integers(1, 4, rank))
    stride = tuple(int(s) for s in rng.integers(1, 4, rank))
    pairs = tuple(tuple(int(rng.integers(0, k)) for _ in range(2)) for k in kernel)
    x = rng.normal(size=(2, 3, *(int(k + rng.integers(1, 5)) for k in kernel)))
    window = ((1, 1, *kernel), (1, 1, *stride), ((0, 0), (0, 0), *pairs))
    largest = lax.reduce_window(x, -np.inf, lax.max, *window)
    np.testing.assert_array_equal(ft.max_pool(x, kernel, stride=stride, padding=pairs), largest)
    sums = lax.reduce_window(x, 0.0, lax.add, *window)
    actual = ft.window_reduce(x, kernel, "sum", stride=stride, padding=pairs)
    np.testing.assert_allclose(actual, sums, rtol=1e-12, atol=1e-12)
