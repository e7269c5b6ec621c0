"""Checks of what a filter is asked to be, and the outer product that builds most of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from numbers import Real
from reprlib import repr as short_repr

import numpy as np

from faltung.errors import ResourceError, WindowError
from faltung.geometry.arguments import as_int, as_ints
from faltung.typing import Array, Ints

LARGEST = 2**28  # bytes; a filter above 256 MiB is a slip of the pen
MOST_AXES = 32


def outer_product(factors: list[Array]) -> Array:
    """The outer product, one axis a factor."""
    product: Array = reduce(np.multiply.outer, factors)
    return product


def as_rank(ndim: object, size: int) -> int:
    """`ndim` as an int, if a filter of `size` cells along each of so many axes is possible."""
    rank = as_int(ndim, "ndim")
    check_rank(rank)
    check_size((size,) * rank)
    return rank


def entries_of(value: object) -> list[object] | None:
    """The entries of a sequence or of an array with axes, None for everything else."""
    if isinstance(value, str | bytes):
        return None
    if isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return list(value)
    return None


def rank_of(value: object, name: str, ndim: int | None) -> int:
    """The number of axes that `value` (one entry an axis, or one for all) and `ndim` give."""
    given = None if ndim is None else as_int(ndim, "ndim")
    entries = entries_of(value)
    if entries is None:
        return 2 if given is None else given
    if not entries or (given is not None and given != len(entries)):
        raise WindowError(
            f"{name} {short_repr(value)} has {len(entries)} entries, ndim is {ndim}",
            "Give one number, or one an axis",
        )
    return len(entries)


def as_shape(size: Ints, ndim: int | None) -> tuple[int, ...]:
    """One positive int an axis, of a filter that is not too large."""
    rank = rank_of(size, "size", ndim)
    check_rank(rank)
    shape = as_ints(size, "size", rank)
    check_size(shape)
    return shape


def check_rank(rank: int) -> None:
    """Refuse more axes than an array can have in every version of NumPy."""
    if rank > MOST_AXES:
        raise WindowError(f"ndim is {rank}, expected an int of at most {MOST_AXES}")


def check_size(shape: tuple[int, ...]) -> None:
    """Refuse filters of more than `LARGEST` bytes before anything is allocated."""
    needed = 8 * math.prod(shape)
    if needed > LARGEST:
        sizes = " x ".join(map(str, shape[:4])) + (" x …" if len(shape) > 4 else "")
        raise ResourceError(
            f"a filter of {sizes} cells takes {needed} bytes, the most is {LARGEST}",
            "Filter one axis after the other, or reduce the array first",
        )


def as_radius(value: float, name: str) -> int:
    """`value` cut to an int; `name` says what it was computed from."""
    if value > LARGEST:
        raise WindowError(f"{name} is {value}, expected at most {LARGEST}")
    return int(value)


def finite(value: object, name: str) -> float:
    """`value` as a float, if it is a finite real number."""
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise WindowError(f"{name} is {short_repr(value)}, expected a finite number")


def positive(value: object, name: str) -> float:
    """`value` as a float, if it is finite and above 0."""
    number = finite(value, name)
    if number <= 0:
        raise WindowError(f"{name} is {short_repr(value)}, expected a positive number")
    return number
