"""Factors of kernels: found where sums made of them are as good, and only there."""

import numpy as np
import pytest

from faltung.plans._factors import factors_of, products_of

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


def outer(*factors):
    product = np.ones(())
    for factor in factors:
        product = np.multiply.outer(product, np.asarray(factor))
    return product


def bell(taps):
    cells = np.arange(taps) - taps // 2
    values = np.exp(-0.5 * (cells / (taps / 6)) ** 2)
    return values / values.sum()


def product_of(values, taps):
    parts = np.split(values.astype(np.longdouble), np.cumsum(taps)[:-1])
    product = np.ones((), np.longdouble)
    for part in parts:
        product = np.multiply.outer(product, part)
    return product


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("taps", [(3, 3), (5, 4), (2, 7), (31, 31), (9, 9, 9), (2, 3, 4)])
def test_products_are_found_to_the_last_digits(taps, dtype):
    rng = np.random.default_rng(0)
    kernels = [outer(*map(bell, taps)), outer(*(rng.standard_normal(n) for n in taps))]
    kernels = np.array(kernels).astype(dtype)
    found = factors_of(kernels, dtype)
    assert found is not None
    for kernel, values in zip(kernels, found.values, strict=True):
        off = np.abs(product_of(values, taps) - kernel)
        # What a direct sum may be off beyond what the passes round.
        left = 1.01 * (kernel.size + 2) - sum(taps) - 2
        assert (off <= left * UNIT[dtype] * np.abs(kernel)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_nearly_a_product_is_none_beyond_the_bound(dtype):
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (7, 7))
    exact = outer(bell(7), bell(7))
    found = {}
    for units in (1, 10, 1000, 2**12):
        kernel = exact * (1 + signs * units * UNIT[dtype])
        found[units] = factors_of(kernel.astype(dtype)[None], dtype) is not None
    assert found == {1: True, 10: True, 1000: False, 2**12: False}
    for change in (1e-3, 1.0):
        kernel = exact.copy()
        kernel[2, 3] += change
        assert factors_of(kernel[None], dtype) is None
    assert factors_of(rng.standard_normal((1, 5, 5)), dtype) is None
    assert factors_of(np.eye(3)[None], dtype) is None


def test_whole_numbers_stay_whole():
    rng = np.random.default_rng(0)
    for dtype in ("uint8", "int32", "int64", "float32", "float64"):
        parts = [rng.integers(0 if dtype[0] == "u" else -4, 5, n) for n in (5, 3, 4)]
        kernel = outer(*parts).astype(dtype)
        found = factors_of(kernel[None], "float32" if dtype == "float32" else "float64")
        assert found is not None
        assert np.array_equal(product_of(found.values[0], (5, 3, 4)), kernel)
        assert np.array_equal(found.values, np.rint(found.values))
        assert not found.may_overflow or not kernel.all()
    whole = outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
    for kernel in (whole, whole / 256):
        found = factors_of(kernel.astype("f4")[None], "float32")
        assert np.array_equal(product_of(found.values[0], (5, 5)), kernel)
    # A hair off, and sums of whole numbers would not be exact any more.
    assert factors_of((whole * 1000 + np.eye(5)).astype("f4")[None], "float32") is None


def test_integers_that_wrap_around_are_factored_as_they_are():
    kernel = outer(np.array([100, 3], np.uint8), np.array([7, 1], np.uint8)).astype(np.uint8)
    found = factors_of(kernel[None], "float32")
    if found is not None:
        first, second = found.values[0, :2], found.values[0, 2:]
        assert np.array_equal(np.multiply.outer(first, second), kernel)
    assert factors_of(np.array([[[0, 1], [1, 0]]]), "float32") is None


def test_zeros_are_zeros_of_a_factor():
    kernel = outer([0, 1.5, 0, 0.3], [0.7, 0, 0.1]).astype("f4")
    found = factors_of(kernel[None], "float32")
    assert np.array_equal(product_of(found.values[0], (4, 3)) == 0, kernel == 0)
    found = factors_of(np.zeros((1, 4, 3), "f4"), "float32")
    assert not product_of(found.values[0], (4, 3)).any()


def test_passes_stay_in_range_where_sums_do():
    kernel = outer(bell(9), bell(9)).astype("f4")
    for scale in (1, 2.0**-60, 2.0**10):
        found = factors_of(kernel[None] * np.float32(scale), "float32")
        first, second = found.values[0, :9], found.values[0, 9:]
        lost = 9 * np.abs(second).sum() + 9  # halves of the smallest number, of 81 pairs
        assert lost <= 2 * 81
        assert found.may_overflow == (scale > 1)
        assert found.may_overflow == (np.abs(first).sum() > 1)


def test_zeros_behind_a_large_pass_may_make_nan_of_its_overflow():
    for last, may_overflow in ([1, 0, -1], True), ([1, 2, -1], False):
        assert factors_of(outer([1, 2, 1], last)[None], "float32").may_overflow == may_overflow
    assert not factors_of(outer([0, 1, 0], [1, 0, -1])[None], "float32").may_overflow
    assert not factors_of(outer([1, 2, 1], [1, 0, 1]).astype("i4")[None], "float32").may_overflow


def test_kernels_at_the_end_of_the_range_are_left_alone():
    kernel = outer(bell(5), bell(5))
    assert factors_of((kernel * 1e-42).astype("f4")[None], "float32") is None
    huge = factors_of((kernel * 1e38).astype("f4")[None], "float32")
    assert huge is None or np.isfinite(huge.values).all()


def sums_of(seed, terms, taps):
    """Kernels that are sums of some products of positive numbers."""
    rng = np.random.default_rng(seed)
    parts = [[0.5 + rng.random((2, count)) for count in taps] for _ in range(terms)]
    return sum(rows[:, :, None] * columns[:, None] for rows, columns in parts)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("terms", "taps"), [(1, (9, 9)), (2, (15, 13)), (3, (21, 25))])
def test_sums_of_a_few_products_are_found_in_as_few(dtype, terms, taps):
    kernels = sums_of(0, terms, taps).astype(dtype)
    found = products_of(kernels, dtype, 3)
    assert found is not None
    assert found.values.shape == (2, terms, sum(taps))
    assert found.values.dtype == dtype
    assert products_of(kernels, dtype, terms - 1) is None or terms == 1
    for kernel, values in zip(kernels, found.values, strict=True):
        products = [product_of(factors, taps) for factors in values]
        off = np.abs(sum(products) - kernel)
        sizes = sum(np.abs(product) for product in products)
        rounding = (sum(taps) + terms) * sizes if terms > 1 else sum(taps) * np.abs(kernel)
        left = 1.01 * (kernel.size + 2) - 2
        assert (off / UNIT[dtype] + rounding <= left * np.abs(kernel)).all()


def test_terms_that_cancel_are_refused_where_too_little_is_left():
    kernel = outer(bell(15), bell(15))
    kernel = kernel - (1 - 1e-4) * kernel[4, 5] * outer(np.ones(15), np.ones(15))
    assert products_of(kernel[None].astype("f4"), "float32", 3) is None
    kernel += outer(np.ones(15), np.ones(15))
    assert products_of(kernel[None].astype("f4"), "float32", 3) is not None


def test_sums_that_have_to_be_exact_are_no_sums_of_products():
    kernel = 64 * outer(np.eye(9)[4], np.eye(9)[4]) - outer(np.ones(9), np.ones(9))
    assert products_of(kernel[None], "float32", 3) is None
    assert products_of(kernel[None].astype(int), "float32", 3) is None
    assert products_of(kernel[None] / 3, "float64", 3) is not None
