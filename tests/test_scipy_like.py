"""SciPy's correlations: the same values, shapes and dtypes, exactly, on small integers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from faltung import scipy_like
from faltung.config import reproducible
from faltung.errors import FaltungError, ShapeError
from faltung.plans._recording import recorded

Array = NDArray[Any]
MODES = ("full", "same", "valid")
DTYPES = ("int64", "uint8", "int16", "float32", "float64", "complex64", "complex128")
SHAPES = [
    ((7,), (3,)),
    ((7,), (4,)),
    ((3,), (7,)),
    ((4,), (8,)),
    ((1,), (1,)),
    ((5, 6), (2, 3)),
    ((5, 6), (7, 8)),
    ((5, 6), (3, 8)),
    ((5, 6), (6, 2)),
    ((3, 4, 5), (2, 2, 2)),
    ((2, 3, 2), (4, 4, 4)),
    ((2, 3, 2), (4, 1, 4)),
    ((2, 1, 3, 2), (1, 2, 2, 2)),
]


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Whole numbers, so that every order of summation gives the same."""
    low = 0 if dtype.startswith("u") else -9
    values = rng.integers(low, 10, shape).astype(dtype)
    if dtype.startswith("complex"):
        values = values + 1j * rng.integers(-9, 10, shape).astype(dtype)
    return values


def same(got: Array, expected: Array) -> bool:
    """Equal in values, shape and dtype."""
    return (
        got.dtype == expected.dtype
        and got.shape == expected.shape
        and bool((got == expected).all())
    )


def test_the_comparison_can_fail() -> None:
    assert same(np.ones(3), np.ones(3))
    assert not same(np.ones(3), np.ones(4))
    assert not same(np.ones(3), np.ones(3, int))
    assert not same(np.ones(3), np.array([1.0, 1, 2]))


def expected_or_none(name: str, *args: Any) -> Array | None:
    """SciPy's result, or None where it refuses."""
    try:
        result: Array = getattr(signal, name)(*args)
    except ValueError:
        return None
    return result


@pytest.mark.parametrize("name", ["correlate", "convolve"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
def test_any_rank_equals_scipy(name: str, mode: str, method: str) -> None:
    rng = np.random.default_rng(2)
    function = getattr(scipy_like, name)
    for (first, second), dtype in product(SHAPES, DTYPES):
        x, v = drawn(rng, first, dtype), drawn(rng, second, dtype)
        expected = expected_or_none(name, x, v, mode, "direct")
        if expected is None:
            with pytest.raises(ShapeError):
                function(x, v, mode, method)
            continue
        got = function(x, v, mode, method)
        if method == "fft" and dtype[0] in "fc":
            assert got.dtype == expected.dtype
            assert got.shape == expected.shape
            assert np.allclose(got, expected, rtol=1e-6, atol=1e-9)
        else:
            assert same(got, expected), (first, second, dtype)


def plane_cases() -> Iterator[tuple[tuple[int, int], tuple[int, int], str, str, int]]:
    shapes = [
        ((5, 6), (2, 3)),
        ((5, 6), (4, 4)),
        ((5, 6), (7, 8)),
        ((5, 6), (13, 15)),
        ((5, 6), (3, 8)),
        ((2, 2), (7, 8)),
        ((1, 1), (3, 4)),
        ((1, 5), (2, 1)),
    ]
    for (first, second), boundary, fill in product(shapes, ("fill", "wrap", "symm"), (0, 3)):
        for dtype in ("int64", "float64", "complex128"):
            yield first, second, boundary, dtype, fill


@pytest.mark.parametrize("name", ["correlate2d", "convolve2d"])
@pytest.mark.parametrize("mode", MODES)
def test_planes_equal_scipy_at_every_boundary(name: str, mode: str) -> None:
    rng = np.random.default_rng(3)
    function = getattr(scipy_like, name)
    for first, second, boundary, dtype, fill in plane_cases():
        x, v = drawn(rng, first, dtype), drawn(rng, second, dtype)
        expected = expected_or_none(name, x, v, mode, boundary, fill)
        if expected is None:
            with pytest.raises(ShapeError):
                function(x, v, mode, boundary, fill)
            continue
        got = function(x, v, mode, boundary, fill)
        assert same(got, expected), (first, second, boundary, dtype, fill)


@pytest.mark.parametrize("name", ["correlate2d", "convolve2d"])
@pytest.mark.parametrize("mode", MODES)
def test_empty_planes_are_those_of_scipy(name: str, mode: str) -> None:
    for first, second in [((0, 3), (3, 3)), ((3, 3), (3, 0)), ((0, 0), (0, 0))]:
        x, v = np.ones(first), np.ones(second)
        expected = expected_or_none(name, x, v, mode, "fill", 3)
        if expected is None:
            with pytest.raises(ShapeError):
                getattr(scipy_like, name)(x, v, mode, "fill", 3)
        else:
            assert same(getattr(scipy_like, name)(x, v, mode, "fill", 3), expected)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=3),
    mode=st.sampled_from(MODES),
    name=st.sampled_from(["correlate", "convolve"]),
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_mixed_dtypes_equal_scipy_in_the_joint_dtype(
    sizes: list[tuple[int, int]], mode: str, name: str, dtypes: tuple[str, str], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    first, second = zip(*sizes, strict=True)
    x, v = drawn(rng, first, dtypes[0]), drawn(rng, second, dtypes[1])
    joint = np.result_type(x, v)
    expected = expected_or_none(name, x.astype(joint), v.astype(joint), mode, "direct")
    if expected is None:
        with pytest.raises(ShapeError):
            getattr(scipy_like, name)(x, v, mode)
    else:
        assert same(getattr(scipy_like, name)(x, v, mode), expected)


def test_half_precision_and_bool_which_scipy_refuses() -> None:
    x = np.array([1, 0, 1, 1], bool)
    assert scipy_like.convolve(x, x).tolist() == [1, 0, 1, 1, 1, 1, 1]
    assert scipy_like.convolve(x, x, method="fft").dtype == bool
    halves = np.array([0.5, 2, 4], np.float16)
    assert scipy_like.correlate(halves, halves).dtype == np.float16
    assert scipy_like.correlate(halves, halves).tolist() == [2, 9, 20.25, 9, 2]


def test_integers_wrap_and_are_exact_with_every_method() -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256, 60).astype(np.uint8)
    large = rng.integers(-(2**62), 2**62, 60)
    medium = rng.integers(-(2**30), 2**30, 60)
    for x in (small, medium, large):
        expected = np.convolve(x, x[:50])
        for method in ("auto", "direct", "fft"):
            assert same(scipy_like.convolve(x, x[:50], method=method), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_finite_stays_in_its_windows(bad: float, method: str, mode: str) -> None:
    rng = np.random.default_rng(5)
    for place in range(12):
        x, v = rng.normal(size=12), rng.normal(size=5)
        x[place] = bad
        expected = np.convolve(x, v, mode)
        assert np.array_equal(
            np.isfinite(scipy_like.convolve(x, v, mode, method)), np.isfinite(expected)
        )
        swapped = scipy_like.convolve(v, x, mode, method)
        if mode != "same":
            assert np.array_equal(np.isfinite(swapped), np.isfinite(expected))


def test_an_overflow_stays_where_it_happens() -> None:
    x = np.ones(30)
    x[4] = 1e300
    result = scipy_like.convolve(x, [1.0, 1e10], method="fft")
    assert np.flatnonzero(np.isinf(result)).tolist() == [5]


def test_auto_transforms_large_floats_only_and_never_when_reproducible() -> None:
    def used(x: np.ndarray, v: np.ndarray, method: str = "auto") -> list[str]:
        with recorded() as algorithms:
            scipy_like.convolve(x, v, "same", method)
        return algorithms

    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(300, 300)), rng.normal(size=(150, 150))
    assert used(x, v) == used(x, v, "fft") == ["fft"]
    assert "fft" not in used(x, v, "direct")
    direct = scipy_like.convolve(x, v, "same", "direct")
    assert np.allclose(scipy_like.convolve(x, v, "same"), direct, atol=1e-9)
    assert "fft" not in used(x[:20, :20], v[:3, :3])
    assert "fft" not in used(x.astype(np.int32), v.astype(np.int32))
    with reproducible():
        assert "fft" not in used(x[:80, :80], v[:60, :60])
        assert used(x, v, "fft") == []


@pytest.mark.parametrize("method", ["auto", "fft"])
def test_kernels_beyond_all_blocks_are_transformed_at_once(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    transform = scipy_like.by_transform
    monkeypatch.setattr(
        scipy_like, "by_transform", lambda *args: used.append(True) or transform(*args)
    )
    x, v = np.ones((1100, 1100), np.float32), np.ones((1100, 1100), np.float32)
    corners = scipy_like.convolve(x, v, "full", method)[::1099, ::1099]
    assert used == [True]
    assert np.allclose(corners, [[1, 1100, 1], [1100, 1100**2, 1100], [1, 1100, 1]], atol=1e-2)


def test_the_transform_of_float32_runs_in_double() -> None:
    x = np.random.default_rng(6).normal(size=(60, 50)).astype(np.float32)
    v = np.random.default_rng(7).normal(size=(30, 20)).astype(np.float32)
    exact = signal.convolve(x.astype(float), v.astype(float), method="direct")
    result = scipy_like.convolve(x, v, method="fft")
    assert result.dtype == np.float32
    assert np.abs(result - exact).max() <= 2.0**-24 * np.abs(exact).max()


def test_scalars_multiply_and_the_second_is_conjugated() -> None:
    assert scipy_like.correlate(2, 3) == 6
    assert scipy_like.correlate(1j, 1j) == 1
    assert scipy_like.convolve(1j, 1j) == -1
    assert np.isnan(scipy_like.convolve(np.inf, 0))
    assert type(scipy_like.convolve(2.0, 3.0)) is type(signal.convolve(2.0, 3.0))


def test_even_kernels_are_centred_as_each_namesake_does() -> None:
    x = np.arange(12.0).reshape(3, 4)
    v = np.array([[1.0, 10], [100, 1000]])
    for name in ("correlate", "correlate2d", "convolve", "convolve2d"):
        expected = getattr(signal, name)(x, v, mode="same")
        assert np.array_equal(getattr(scipy_like, name)(x, v, mode="same"), expected)
    assert not np.array_equal(
        scipy_like.correlate(x, v, "same"), scipy_like.correlate2d(x, v, "same")
    )


def test_our_border_names_extend_the_boundary() -> None:
    x, v = np.arange(20).reshape(4, 5), np.arange(6).reshape(2, 3)
    for boundary, mode in [("edge", "edge"), ("reflect", "reflect"), ("mirror", "reflect")]:
        padded = np.pad(x, ((1, 1), (2, 2)), mode)
        expected = signal.correlate2d(padded, v, "valid")
        assert same(scipy_like.correlate2d(x, v, "full", boundary), expected)


@pytest.mark.parametrize("name", ["correlate", "convolve", "correlate2d", "convolve2d"])
def test_arrays_of_every_kind_are_read_and_left_alone(name: str) -> None:
    x = np.arange(30.0).reshape(5, 6)
    v = np.arange(6.0).reshape(2, 3)
    function = getattr(scipy_like, name)
    expected = function(x, v)
    unaligned = np.frombuffer(b"x" + x.tobytes(), np.uint8)[1:].view(float).reshape(5, 6)
    read_only = x.copy()
    read_only.flags.writeable = False
    kinds = [np.asfortranarray(x), x[::-1][::-1], x.astype(">f8"), unaligned, read_only, x.tolist()]
    for kind in kinds:
        assert same(function(kind, v), expected)
    assert np.array_equal(x, np.arange(30.0).reshape(5, 6))


def test_errors_speak_of_the_function_that_was_called() -> None:
    with pytest.raises(FaltungError, match=r"^convolve2d: in2 has 1 axes, expected 2"):
        scipy_like.convolve2d([[1]], [1])
