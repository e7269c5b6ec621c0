"""Memory: requests that cannot fit are refused before anything is allocated."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from faltung.compiled import machine
from faltung.config import memory_limit
from faltung.errors import ResourceError
from faltung.typing import Array, Shape

__all__ = ["WORKSPACE", "allocate", "require", "require_array"]

WORKSPACE = 16 * 2**20
"""Bytes of workspace that a plan may use in one thread."""

ALWAYS_ALLOWED = 256 * 2**20


def require(size: int, what: str) -> None:
    """Raise `ResourceError` if `size` bytes for `what` cannot be had."""
    if size <= ALWAYS_ALLOWED:
        return
    limit = memory_limit()
    if limit is None:
        limit = machine.total_memory()
    if limit is not None and size > limit:
        raise ResourceError(
            f"{what} needs {size:,} bytes, the limit is {limit:,}",
            "Work in parts, use a smaller dtype, or raise the limit with set_memory_limit",
        )


def require_array(shape: Shape, dtype: np.dtype[Any], what: str) -> int:
    """The bytes of an array, if it can be had."""
    size = prod(shape) * dtype.itemsize
    if size > ALWAYS_ALLOWED:
        require(size, f"{what} of shape {shape} and dtype {dtype}")
    return size


def allocate(shape: Shape, dtype: np.dtype[Any], what: str = "the result") -> Array:
    """An uninitialised array, or `ResourceError`."""
    size = require_array(shape, dtype, what)
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise ResourceError(
            f"{what} of shape {shape} and dtype {dtype} needs {size:,} bytes, "
            "which could not be allocated",
            "Work in parts, or use a smaller dtype",
        ) from error
