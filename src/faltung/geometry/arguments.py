"""From what a caller wrote to integers an axis: the checks that every window argument passes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import islice

import numpy as np

from faltung.errors import WindowError, shown
from faltung.geometry.axis import PADDING_NAMES

__all__ = ["AMPLE", "as_int", "as_ints", "as_padding", "length_of", "unpacked"]

MOST_AXES = 64  # NumPy's own limit
LIMIT = 2**60  # so that sums of a few of these stay inside int64
AMPLE = 2**40
"""The size of every spatial axis while an operator is made: no sensible window is larger."""


def as_int(value: object, name: str, minimum: int = 1) -> int:
    """`value` as a Python int of at least `minimum`; bool and float are not taken for ints."""
    if not isinstance(value, bool):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
        else:
            if minimum <= number < LIMIT:
                return number
    expected = "an int" if minimum <= -LIMIT else f"an int of at least {minimum}"
    bound = f" below 2**{LIMIT.bit_length() - 1}" if _is_large(value) else ""
    raise WindowError(f"{name} is {shown(value)}, expected {expected}{bound}")


def _is_large(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LIMIT


def as_ints(value: object, name: str, rank: int, minimum: int = 1) -> tuple[int, ...]:
    """One int an axis, from an int or from a sequence of `rank` ints."""
    value = unpacked(value)
    if not isinstance(value, tuple | list):
        return (as_int(value, name, minimum),) * rank
    if len(value) != rank:
        raise WindowError(
            f"{name} {shown(value)} has {len(value)} entries for {_axes(rank)}",
            "Give one int, or one int an axis",
        )
    return tuple(as_int(entry, name, minimum) for entry in value)


def as_padding(
    value: object, rank: int, *, name: str = "padding", minimum: int = 0
) -> tuple[tuple[int, int] | str, ...]:
    """One ``(before, after)`` pair or one canonical name an axis."""
    value = unpacked(value)
    if isinstance(value, str):
        return (_padding_name(value, name),) * rank
    if not isinstance(value, tuple | list):
        amount = as_int(value, name, minimum)
        return ((amount, amount),) * rank
    if len(value) != rank:
        raise WindowError(
            f"{name} {shown(value)} has {len(value)} entries for {_axes(rank)}",
            "Give one int, one int an axis, one (before, after) pair an axis, or a name",
        )
    return tuple(_pair(unpacked(entry), name, minimum) for entry in value)


def _pair(entry: object, name: str, minimum: int) -> tuple[int, int]:
    if not isinstance(entry, tuple | list):
        amount = as_int(entry, name, minimum)
        return amount, amount
    if len(entry) != 2:
        raise WindowError(f"{name} has an entry {shown(entry)}, expected a (before, after) pair")
    return as_int(entry[0], name, minimum), as_int(entry[1], name, minimum)


def _padding_name(value: str, name: str) -> str:
    if value not in PADDING_NAMES:
        raise WindowError(
            f"{name} is {shown(value)}, which is not a known name",
            f"Use numbers or one of {', '.join(map(repr, PADDING_NAMES))}",
        )
    return "same" if value == "half" else value


def length_of(*values: object) -> int | None:
    """The number of axes that the arguments speak of, or None where all hold for every axis."""
    for value in map(unpacked, values):
        if isinstance(value, tuple | list):
            return len(value)
    return None


def unpacked(value: object) -> object:
    """Arrays of one or more dimensions as lists, ranges and the like as tuples."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, tuple | list | str | bytes):
        return tuple(islice(value, MOST_AXES + 1))
    return value


def _axes(rank: int) -> str:
    return "1 axis" if rank == 1 else f"{rank} axes"
