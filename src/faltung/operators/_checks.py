"""Checks of parameters that several operators share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import DTypeError, OptionError, ShapeError, WindowError, shown
from faltung.geometry.arguments import length_of
from faltung.operators._arrays import Spec

__all__ = [
    "as_flag",
    "as_generator",
    "check_border",
    "float_of_integers",
    "ordered",
    "rank_of",
]


def check_border(
    mode: str, value: object, mode_name: str = "padding_mode", value_name: str = "padding_value"
) -> None:
    """A padding value only means something where the border is constant."""
    is_zero = isinstance(value, int | float | np.number) and value == 0
    if mode != "constant" and not is_zero:
        raise OptionError(
            f"{value_name} is {shown(value)} with {mode_name} {mode!r}, which does not use it",
            f"Use {mode_name}='constant'",
        )


def as_flag(value: object, name: str) -> bool:
    """`value` if it is True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise OptionError(f"{name} is {shown(value)}, expected True or False")


def as_generator(rng: object) -> np.random.Generator:
    """The generator of random numbers that `rng` is or seeds."""
    try:
        return np.random.default_rng(rng)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise OptionError(
            f"rng is {shown(rng)}, which seeds no generator",
            "Pass a non-negative int, a numpy.random.Generator, or None",
        ) from None


def rank_of(
    name: str, specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None = None
) -> int:
    """Spatial axes: the entries of parameter `name`, or with an int all axes but the first two.

    `wanted` is the number that a function's name states. Without data (an operator that is being
    made) any number serves.
    """
    rank = length_of(parameters[name])
    if rank == 0:
        raise WindowError(f"{name} is empty, expected an int or one entry an axis")
    if rank is not None:
        return rank
    if wanted is not None:
        return wanted
    rank = next(iter(specs.values())).ndim - 2 if specs else 2
    if rank < 1:
        raise ShapeError(
            f"x has {rank + 2} axes; with an int as {name} all but the first two are spatial",
            f"Pass one int an axis as {name}, or data with a batch and a channel axis",
        )
    return rank


def ordered(dtype: np.dtype[Any], parameters: Mapping[str, Any]) -> np.dtype[Any]:
    """The dtype of an extreme: that of the data, whose numbers must have an order."""
    if dtype.kind == "c":
        raise DTypeError(
            f"x has dtype {dtype}, and complex numbers have no largest",
            "Pass numpy.abs(x), or the real and the imaginary part one after the other",
        )
    return dtype


def float_of_integers(dtype: np.dtype[Any], parameters: Mapping[str, Any]) -> np.dtype[Any]:
    """The dtype of a mean or norm: float64 for integers and bool, as NumPy has it."""
    return np.dtype(np.float64) if dtype.kind in "biu" else dtype
