"""What the functions on plain arrays share: checks of their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from reprlib import repr as short_repr
from typing import Any

import numpy as np

from faltung.errors import OptionError
from faltung.operators._arrays import is_known_dtype
from faltung.typing import Shape

__all__ = [
    "as_number",
    "as_scalar_of",
    "choice",
    "window_padding",
]


def as_number(value: object, name: str) -> Any:
    """`value` if it is a single number; NaN and infinities are numbers."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    is_number = isinstance(value, Number | np.number | np.bool_)
    if is_number and is_known_dtype(np.asarray(value).dtype):
        return value
    raise OptionError(f"{name} is {short_repr(value)}, expected a number")


def as_scalar_of(dtype: np.dtype[Any], value: object, name: str) -> Any:
    """`value` if `dtype` can hold it; floats and complex numbers are rounded, not cut."""
    number = as_number(value, name)
    is_held = True
    if dtype.kind in "biu":
        info = None if dtype.kind == "b" else np.iinfo(dtype)
        low, high = (0, 1) if info is None else (info.min, info.max)
        is_held = bool(number == number) and not np.iscomplexobj(number)
        is_held = is_held and low <= number <= high and number == int(number)
    elif dtype.kind == "f":
        is_held = not np.iscomplexobj(number)
    if not is_held:
        raise OptionError(
            f"{name} is {short_repr(value)}, which {dtype} cannot hold",
            f"Give a {name} of the result's kind, or ask for a wider result",
        )
    return number


def choice(value: object, name: str, known: tuple[str, ...]) -> str:
    """`value` if it is one of the known names."""
    if isinstance(value, str) and value in known:
        return value
    raise OptionError(
        f"{name} is {short_repr(value)}, which is not known",
        f"Use one of {', '.join(map(repr, known))}",
    )


def window_padding(
    kernel: Shape, centres: Sequence[int], is_flipped: bool
) -> tuple[tuple[int, int], ...]:
    """The padding that gives a result for every cell, under the kernel's cell `centres`.

    The centre is counted in the kernel as given: where it is flipped, it comes from the end.
    """
    pairs = zip(kernel, centres, strict=True)
    before = [size - 1 - centre if is_flipped else centre for size, centre in pairs]
    return tuple((low, size - 1 - low) for low, size in zip(before, kernel, strict=True))
