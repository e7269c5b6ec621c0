"""An index that a user gives, checked and put into canonical order."""

from __future__ import annotations

import operator

import numpy as np

from faltung.errors import PositionError, shown
from faltung.geometry.layout import Layout
from faltung.typing import Shape

__all__ = ["checked_index"]


def checked_index(
    index: object, shape: Shape, layout: Layout, cells: Shape | None, what: str = "result"
) -> tuple[Shape, Shape]:
    """The index in the array's own layout, from 0, and in canonical order.

    Parameters
    ----------
    index : object
        What was given.
    shape : tuple of int
        Of the array, in its own layout.
    layout : Layout
        That of the data, which the result shares.
    cells : tuple of int or None
        The spatial sizes, of an array that has all of them as one axis.
    what : str
        What the array is called in messages.
    """
    entries = tuple(index) if isinstance(index, tuple | list) else (index,)
    if len(entries) != len(shape):
        raise PositionError(
            f"index is {shown(index)}, expected one int for each of the {len(shape)} axes "
            f"of the {what} of shape {shape}",
            f"Pass a tuple such as {(0,) * len(shape)}",
        )
    own = []
    for place, (entry, size) in enumerate(zip(entries, shape, strict=True)):
        try:
            if isinstance(entry, bool):
                raise TypeError
            number = operator.index(entry)
        except TypeError:
            raise PositionError(
                f"index[{place}] is {shown(entry)}, expected an int", "Pass one cell, not a part"
            ) from None
        if not -size <= number < size:
            raise PositionError(
                f"index[{place}] is {shown(number)}, the {what} of shape {shape} has {size} there",
                f"Use {-size} to {size - 1}" if size else f"The {what} is empty",
            )
        own.append(number % size)
    ordered = own if layout.has_batch else [0, *own]
    if layout.is_channels_last:
        ordered = [ordered[0], ordered[-1], *ordered[1:-1]]
    canonical = ordered[2:]
    if cells is not None:
        canonical = [int(cell) for cell in np.unravel_index(canonical[0], cells)]
    return tuple(own), (*ordered[:2], *canonical)
