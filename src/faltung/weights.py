"""`weight_from`: filter banks of other libraries in the order of `conv`."""

from __future__ import annotations

from reprlib import repr as short_repr

import numpy as np

from faltung._door import door
from faltung.errors import OptionError, ShapeError
from faltung.operators._arrays import as_array
from faltung.typing import Array, ArrayLike

__all__ = ["weight_from"]

EXAMPLES = "Write for example 'OHWI', 'HWIO' (TensorFlow, JAX), 'OIHW' (PyTorch) or 'HWIM'"


@door
def weight_from(w: ArrayLike, layout: str) -> Array:
    r"""Reorder a filter bank to ``(O, C, *kernel)``, the weight layout of `conv`.

    Parameters
    ----------
    w : array_like
        The filter bank.
    layout : str
        One letter an axis of `w`: ``O`` filters, ``I`` or ``C`` the channels that a filter sees,
        and ``D``, ``H``, ``W`` depth, height, width. Instead of ``O``, ``M`` counts the filters
        of each channel (TensorFlow's depthwise kernels, ``"HWIM"``).

    Returns
    -------
    array, shape (O, C, \*kernel), or (C * M, 1, \*kernel) with ``M``
        C-contiguous, kernel axes in the order D, H, W; `w` itself where nothing changes.
        Depthwise filter ``c * M + m`` is filter m of channel c, as in TensorFlow; use it with
        ``groups=C``.

    Raises
    ------
    OptionError
        For letters that are unknown, missing or repeated.
    ShapeError
        If `layout` has not one letter for each axis.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> ft.weight_from(np.zeros((3, 5, 16, 32)), "HWIO").shape
    (32, 16, 3, 5)
    >>> ft.weight_from(np.zeros((3, 5, 16, 2)), "HWIM").shape
    (32, 1, 3, 5)
    """
    bank = as_array(w, "w")
    letters = _letters(layout)
    if bank.ndim != len(letters):
        raise ShapeError(
            f"layout {layout!r} has {len(letters)} letters, w has {bank.ndim} axes: {bank.shape}",
            "Give one letter for each axis",
        )
    kernel = [letter for letter in "DHW" if letter in letters]
    is_depthwise = "M" in letters
    order = ["I", "M", *kernel] if is_depthwise else ["O", "I", *kernel]
    moved = bank.transpose([letters.index(letter) for letter in order])
    if is_depthwise:
        channels, multiplier, *sizes = moved.shape
        moved = moved.reshape(channels * multiplier, 1, *sizes)
    return np.ascontiguousarray(moved)


def _letters(layout: object) -> str:
    """The layout in capitals with ``I`` for the channels, once it is known to make sense."""
    if not isinstance(layout, str):
        raise OptionError(f"layout is {short_repr(layout)}, expected letters", EXAMPLES)
    letters = layout.upper().replace("C", "I")
    unknown = [letter for letter in letters if letter not in "OIMDHW"]
    if unknown:
        raise OptionError(
            f"layout is {short_repr(layout)}, whose {unknown[0]!r} is not known", EXAMPLES
        )
    repeated = [letter for letter in letters if letters.count(letter) > 1]
    if repeated:
        also = " (C is the same)" if repeated[0] == "I" else ""
        raise OptionError(f"layout {layout!r} names {repeated[0]}{also} more than once", EXAMPLES)
    if "O" in letters and "M" in letters:
        raise OptionError(f"layout {layout!r} has both O and M, which both count filters", EXAMPLES)
    for group, meaning in (("OM", "filters"), ("I", "channels"), ("DHW", "kernel")):
        if not set(group) & set(letters):
            names = " or ".join(group)
            raise OptionError(f"layout {layout!r} has no {names} for the {meaning}", EXAMPLES)
    return letters
