"""Kernels as products of one kernel an axis, or as sums of a few, if that is as good as the kernel.

A product is accepted only where sums made of it keep the promise of the direct sums, element by
element: with factors a, b of m and n taps the rounding of both passes, m + n units, and what the
product of the rounded factors is off each weight must stay within the ``1.01 (m n + 2)`` units
that a direct sum may take.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from faltung.typing import Array

__all__ = ["Factors", "factors_of", "products_of"]

DIGITS = {"float32": 24, "float64": 53}


class Factors(NamedTuple):
    """Kernels as products, or sums of a few products.

    Parameters
    ----------
    values : array, shape (kernels, sum(taps)), of sums (kernels, terms, sum(taps))
        Of each product one factor an axis, behind each other.
    may_overflow : bool
        Whether a sum along one axis can leave the range of the dtype where the whole does not.
    """

    values: Array
    may_overflow: bool


def factors_of(kernels: Array, dtype: str) -> Factors | None:
    """One factor an axis for each kernel, or None where some kernel has none that are good enough.

    The parameters are those of `products_of`.
    """
    found = products_of(kernels, dtype, 1)
    return None if found is None else found._replace(values=found.values[:, 0])


def products_of(kernels: Array, dtype: str, most_terms: int) -> Factors | None:
    """A few products for each kernel, or None where some kernel has none that are good enough.

    Parameters
    ----------
    kernels : array, shape (kernels, *taps)
        Finite floats, or integers, whose sums wrap around.
    dtype : {"float32", "float64"}
        The dtype that factors are rounded to and sums are kept in; of integers it does not matter.
    most_terms : int
        Products that a kernel of two axes may be the sum of, unless sums of it have to be exact.
    """
    if kernels.dtype.kind in "iu":
        with np.errstate(over="ignore"):
            exact = _whole_factors(kernels)
        return None if exact is None else Factors(np.concatenate(exact, axis=1)[:, None], False)
    whole = _as_whole(kernels, DIGITS[dtype])
    if whole is not None:  # sums of whole numbers are exact, and have to stay so
        scaled, unit = whole
        exact = _whole_factors(scaled)
        factors = None if exact is None else [part.astype(np.float64) for part in exact]
        if factors is not None:
            factors[-1] = factors[-1] * unit[:, None]
        return None if factors is None else _rounded(kernels, [factors], dtype)
    factors = _real_factors(kernels.astype(np.float64))
    found = None if factors is None else _rounded(kernels, [factors], dtype)
    if found is None and most_terms > 1 and kernels.ndim == 3:
        found = _sum_of_products(kernels, dtype, most_terms)
    return found


def _room(taps: tuple[int, ...], terms: int = 1) -> float:
    """Units of each weight that are left of the promise for what its products are off.

    One unit is for the measurement, where long double is no longer than double; one for the bias;
    and one for what the product of roundings adds to their sum.
    """
    return 1.01 * (prod(taps) + 2) - 3 - (sum(taps) if terms == 1 else 0)


def _sum_of_products(kernels: Array, dtype: str, most: int) -> Factors | None:
    """Two products or more, as few as will do; None where there are too many.

    The determinant of a few rows and columns is no larger than what so many products may be off,
    times the block's size: that refuses most kernels at once. The singular values of the whole
    tell how many products it takes at least.
    """
    taps, side = kernels.shape[1:], most + 1
    if min(taps) < side:
        return None
    middle = (slice((n - side) // 2, (n + side) // 2) for n in taps)
    block = kernels[:, *middle].astype(np.float64)
    noise = 2.0 ** -DIGITS[dtype] * (_room(taps, most) + 2.0**side)
    with np.errstate(all="ignore"):
        volume = np.sqrt((block * block).sum(axis=(1, 2))) ** side
        if (np.abs(np.linalg.det(block)) > noise * volume).any():
            return None
    matrices = kernels.astype(np.float64)
    sizes = np.linalg.svd(matrices, compute_uv=False)
    largest = noise * np.sqrt((sizes * sizes).sum(axis=1))[:, None]
    for terms in range(max(2, int((sizes > largest).sum(axis=1).max())), side):
        found = _rounded(kernels, _crosses(matrices, terms), dtype)
        if found is not None:
            return found
    return None


def _crosses(matrices: Array, terms: int) -> list[list[Array]]:
    """Products of the column and the row through the largest element of what is left."""
    products, rest, every = [], matrices, np.arange(len(matrices))
    for _ in range(terms):
        columns, rows = _cross(rest)
        places = np.abs(rest).reshape(len(rest), -1).argmax(axis=1)
        pivots = rest.reshape(len(rest), -1)[every, places][:, None]
        first = columns / np.where(pivots == 0, 1, pivots)
        products.append([first, rows])
        rest = rest - first[:, :, None] * rows[:, None]
    return products


def _cross(kernels: Array) -> tuple[Array, Array]:
    """Row and column through the largest element of matrices (n, a, b): shapes (n, a), (n, b)."""
    count, columns = len(kernels), kernels.shape[2]
    places = np.abs(kernels.reshape(count, -1)).argmax(axis=1)
    every = np.arange(count)
    return kernels[every, :, places % columns], kernels[every, places // columns]


def _whole_factors(kernels: Array) -> list[Array] | None:
    """Factors of kernels of integers, without any remainder."""
    count, *taps = kernels.shape
    if len(taps) == 1:
        return [kernels]
    matrices = kernels.reshape(count, taps[0], -1)
    columns, rows = _cross(matrices)
    divisors = np.gcd.reduce(columns, axis=1, keepdims=True)
    first = columns // np.maximum(divisors, 1)
    # The row through the largest element is what is left, times that element of the first factor.
    places = np.abs(matrices).reshape(count, -1).argmax(axis=1) // matrices.shape[2]
    heads = first[np.arange(count), places][:, None]
    rest = rows // np.where(heads == 0, 1, heads).astype(rows.dtype)
    if not (first[:, :, None] * rest[:, None] == matrices).all():
        return None
    others = _whole_factors(rest.reshape(count, *taps[1:]))
    return None if others is None else [first, *others]


def _as_whole(kernels: Array, digits: int) -> tuple[Array, Array] | None:
    """Each kernel as integers times a power of two, if sums of small integers are then exact."""
    flat = kernels.reshape(len(kernels), -1).astype(np.float64)
    sizes = np.abs(flat).sum(axis=1)
    _, exponents = np.frexp(np.where(sizes > 0, sizes, 1))
    with np.errstate(under="ignore"):
        units = np.ldexp(1.0, exponents - digits)  # the sum has at most so many digits above it
        if not ((units > 0) & np.isfinite(units)).all():
            return None
        scaled = flat / units[:, None]
    whole = np.rint(scaled)
    if not (whole == scaled).all():
        return None
    return whole.astype(np.int64).reshape(kernels.shape), units


def _real_factors(kernels: Array) -> list[Array] | None:
    """Factors of kernels of float64, the noise of rounded weights averaged away."""
    count, *taps = kernels.shape
    if len(taps) == 1:
        return [kernels]
    matrices = kernels.reshape(count, taps[0], -1)
    with np.errstate(all="ignore"):
        columns, rows = _cross(matrices)
        heads = np.abs(columns).max(axis=1, keepdims=True)
        heads = np.where(heads == 0, 1, heads)
        first = columns / (heads * np.sign(_at_largest(columns)))
        rest = rows
        off = np.abs(first[:, :, None] * rest[:, None] - matrices)
        if not (off <= 2.0**-12 * np.abs(matrices)).all():
            return None
        rest = _mean_ratio(matrices, first[:, :, None], 1)
        first = _mean_ratio(matrices, rest[:, None], 2)
    others = _real_factors(rest.reshape(count, *taps[1:]))
    return None if others is None else [first, *others]


def _at_largest(columns: Array) -> Array:
    signs = columns[np.arange(len(columns)), np.abs(columns).argmax(axis=1)]
    return np.where(signs == 0, 1, signs)[:, None]


def _mean_ratio(matrices: Array, factor: Array, axis: int) -> Array:
    """The mean of ``matrices / factor`` over the elements of the factor that are not zero."""
    is_used = factor != 0
    ratios = np.where(is_used, matrices / np.where(is_used, factor, 1), 0)
    mean: Array = ratios.sum(axis=axis) / np.maximum(is_used.sum(axis=axis), 1)
    return mean


def _rounded(kernels: Array, products: list[list[Array]], dtype: str) -> Factors | None:
    """The factors of the products in their dtype, if sums made of them keep the promise."""
    taps, terms = kernels.shape[1:], len(products)
    # Long double where the sums are double: what the measurement itself is off must not count.
    wide = np.float64 if dtype == "float32" else np.longdouble
    unit, room = 2.0 ** -DIGITS[dtype], _room(taps, terms)
    total = sizes = np.zeros((), wide)
    values, may_overflow = [], terms > 1
    with np.errstate(all="ignore"):
        for factors in products:
            rounded = [factor.astype(dtype) for factor in _balanced(factors, taps, terms)]
            product = rounded[0].astype(wide)
            for factor in rounded[1:]:
                axes = (len(factor), *(1,) * (product.ndim - 1), -1)
                product = product[..., None] * factor.reshape(axes)
            total, sizes = total + product, sizes + np.abs(product)
            values.append(np.concatenate(rounded, axis=1))
            may_overflow = may_overflow or _may_overflow(rounded)
        exact = kernels.astype(wide)
        off = np.abs(total - exact)
        if terms > 1:  # which may cancel: each is rounded as its own size has it
            off = off + (sum(taps) + terms) * unit * sizes
    if room <= 0 or not (off <= room * unit * np.abs(exact)).all():
        return None
    return Factors(np.stack(values, axis=1), may_overflow)


def _balanced(factors: list[Array], taps: tuple[int, ...], terms: int) -> list[Array]:
    """The factors with powers of two moved among them, so that underflow is as harmless as ever.

    Each pass loses at most half of the smallest number a tap, times the weights of later passes.
    With m taps and then n, whose weights sum to s, that is (m s + n) / 2, of m n that are allowed
    for all terms together.
    """
    if terms == 1 and all((factor == np.rint(factor)).all() for factor in factors):
        return factors  # whole numbers lose nothing at all
    scaled, exponents = [], np.zeros(len(factors[0]), np.int64)
    for factor in factors[:-1]:  # what a pass gives is no larger than its cells, rounding included
        _, own = np.frexp((1 + 2.0**-9) * np.abs(factor).sum(axis=1))
        scaled.append(np.ldexp(factor, -own[:, None]))
        exponents = exponents + own
    last = np.ldexp(factors[-1], exponents[:, None])
    _, own = np.frexp(2 ** (terms - 1) * np.abs(last).sum(axis=1) / taps[-1])
    excess = np.maximum(own, 0)[:, None]  # unless later weights then are too large
    return [np.ldexp(scaled[0], excess), *scaled[1:], np.ldexp(last, -excess)]


def _may_overflow(factors: list[Array]) -> bool:
    """Whether a pass can leave the range of its dtype where the whole sum does not.

    It cannot where its weights sum to 1 at most, nor where later ones are at least 1. A later
    weight of zero keeps cells out of the whole sum, and would make NaN of their overflow.
    """
    with np.errstate(all="ignore"):
        sizes = [np.abs(factor.astype(np.float64)) for factor in factors]
        sums = np.cumprod([size.sum(axis=1) for size in sizes[:-1]], axis=0)
        least = [size.min(axis=1) for size in sizes[:0:-1]]
        later = np.cumprod(least, axis=0)[::-1]
    return not bool(((sums <= 1) | (later >= 1)).all())
