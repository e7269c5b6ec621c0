"""Checks of parameters that several operators share."""

from __future__ import annotations

import numpy as np

from faltung.errors import OptionError, ShapeError, shown
from faltung.geometry.arguments import length_of

__all__ = ["as_flag", "check_border", "rank_of"]


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


def rank_of(value: object, name: str, ndim: int) -> int:
    """Spatial axes: the entries of `value`, or with an int all axes of x but the first two."""
    rank = length_of(value)
    if rank is None:
        rank = ndim - 2
    if rank < 1:
        raise ShapeError(
            f"x has {ndim} axes; with an int as {name} all but the first two are spatial",
            f"Pass one int an axis as {name}, or data with a batch and a channel axis",
        )
    return rank
