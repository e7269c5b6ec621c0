"""Convolution as a product of Fourier transforms, and when it may stand in for the sums."""

from __future__ import annotations

from math import log2, prod

import numpy as np

from faltung.config import current_settings
from faltung.operators._arrays import joint_dtype
from faltung.typing import Array, Shape

__all__ = ["by_transform", "is_faithful", "is_worth_while", "result_shape"]


def result_shape(first: Shape, second: Shape, mode: str) -> Shape:
    """The shape of a convolution: all of it, or one of its parts."""
    if mode == "same":
        return first
    pairs = zip(first, second, strict=True)
    if mode == "valid":
        return tuple(abs(n - k) + 1 for n, k in pairs)
    return tuple(n + k - 1 for n, k in pairs)


def is_worth_while(x: Array, v: Array, shape: Shape) -> bool:
    """Whether the transform takes less time than the sums: floats only, by shapes alone."""
    if (
        joint_dtype((x.dtype, v.dtype), "in1 and in2").kind not in "fc"
        or current_settings().reproducible
    ):
        return False
    multiplications = prod(shape) * min(x.size, v.size)
    points = prod(result_shape(x.shape, v.shape, "full"))
    return multiplications >= 2**20 and multiplications >= 40 * points * log2(points)


def is_faithful(x: Array, v: Array) -> bool:
    """Whether the transform gives what the sums would: nothing to smear, no integer to round."""
    kind = joint_dtype((x.dtype, v.dtype), "in1 and in2").kind
    if kind in "fc":
        return bool(np.isfinite(x).all() and np.isfinite(v).all())
    if kind == "b":
        return False
    # The error of the transform is below 2**-52 * log2(points) * |x| |v|, and 1/4 rounds safely.
    bound = _norm(x) * _norm(v) * log2(2 + x.size + v.size)
    return bound < 2.0**48


def _norm(x: Array) -> float:
    return float(np.sqrt(np.square(x, dtype=float).sum()))


def by_transform(x: Array, v: Array, start: list[int], shape: Shape) -> Array:
    """The convolution as a product of transforms, in double precision."""
    from scipy import fft

    is_complex = "c" in (x.dtype.kind, v.dtype.kind)
    dtype = np.complex128 if is_complex else np.float64
    forward, backward = (fft.fftn, fft.ifftn) if is_complex else (fft.rfftn, fft.irfftn)
    full = result_shape(x.shape, v.shape, "full")
    fast = [fft.next_fast_len(n, real=not is_complex) for n in full]
    with np.errstate(all="ignore"):
        spectrum = forward(x.astype(dtype), fast)
        spectrum *= forward(v.astype(dtype), fast)
        result: Array = backward(spectrum, fast)
    result = result[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
    is_integer = joint_dtype((x.dtype, v.dtype), "in1 and in2").kind in "iu"
    if is_integer:
        result = np.rint(result).astype(np.int64)
    return result
