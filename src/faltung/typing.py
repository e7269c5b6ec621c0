"""Types that the signatures of faltung use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Array",
    "ArrayLike",
    "DTypeLike",
    "IndexArray",
    "Ints",
    "OutputSize",
    "Padding",
    "Shape",
]

Array: TypeAlias = NDArray[Any]
IndexArray: TypeAlias = NDArray[np.int64]
Shape: TypeAlias = tuple[int, ...]
Ints: TypeAlias = int | Sequence[int]
"""One int for every axis, or one int an axis."""
OutputSize: TypeAlias = int | Sequence[int | None]
"""One size for every axis, or one an axis; None keeps the size of the input."""
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
"""An int, one int an axis, one ``(before, after)`` pair an axis, or a name."""
