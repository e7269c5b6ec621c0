"""Numbers in cells: as short as they can be read."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["short", "sizes", "words"]


def short(value: Any) -> str:
    """A number in some five letters.

    Examples
    --------
    >>> [short(value) for value in (3, -0.25, 1 / 3, 12.0, 1234.56, 1e-9, float("nan"))]
    ['3', '-0.25', '0.33', '12', '1235', '1e-09', 'nan']
    >>> short(1 + 2j), short(-2j)
    ('1+2j', '-2j')
    """
    kind = np.asarray(value).dtype.kind
    if kind in "biu":
        return str(int(value))
    if kind == "c":
        number = complex(value)
        if not (number.imag and number.real):
            return f"{short(number.imag)}j" if number.imag else short(number.real)
        sign = "" if number.imag < 0 else "+"
        return f"{short(number.real)}{sign}{short(number.imag)}j"
    number = float(value)
    size = abs(number)
    if not np.isfinite(number):
        return str(number)
    if size >= 1e5 or 0 < size < 0.0005:
        return f"{number:.0e}"
    digits = 0 if size >= 100 else 2 if size >= 0.005 else 3
    text = f"{number:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if digits else text
    return "0" if text == "-0" else text


def sizes(numbers: Any) -> str:
    """Sizes as they are spoken: ``5 × 7``."""
    return " × ".join(map(str, numbers))


def words(count: int, word: str) -> str:
    """A count with its noun: ``1 cell``, ``3 cells``."""
    return f"{count} {word}{'' if count == 1 else 's'}"
