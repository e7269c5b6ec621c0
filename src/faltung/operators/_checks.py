"""Checks of parameters that several operators share."""

from __future__ import annotations

import numpy as np

from faltung.errors import OptionError

__all__ = ["as_flag", "check_border"]


def check_border(
    mode: str, value: object, mode_name: str = "padding_mode", value_name: str = "padding_value"
) -> None:
    """A padding value only means something where the border is constant."""
    is_zero = isinstance(value, int | float | np.number) and value == 0
    if mode != "constant" and not is_zero:
        raise OptionError(
            f"{value_name} is {value!r} with {mode_name} {mode!r}, which does not use it",
            f"Use {mode_name}='constant'",
        )


def as_flag(value: object, name: str) -> bool:
    """`value` if it is True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise OptionError(f"{name} is {value!r}, expected True or False")
