"""The short way of calls that were made before: from arrays to a plan's own runner.

A call is settled by shapes, strides and dtypes of exact NumPy arrays, by parameters and settings.
The second one of a kind neither binds nor checks again: it looks up what the first one found,
allocates the result and enters compiled code, which takes two to five microseconds in all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from faltung.config import current_settings
from faltung.plans import _tuned
from faltung.plans._problem import Operands
from faltung.plans._recording import is_recording
from faltung.plans._resources import ALWAYS_ALLOWED
from faltung.plans._select import Prepared
from faltung.typing import Array

if TYPE_CHECKING:
    from faltung.operators._call import Bound

__all__ = ["Shortcut", "bound_shortcut", "function_shortcut", "key_of", "typed"]

Shortcut: TypeAlias = Callable[..., "Array | None"]
"""Takes the arrays of a call; None, and nothing written, if it has to go the long way after all."""

PLAIN = {int, str, bool, type(None)}


def typed(value: object) -> object:
    """A hash key that tells ``True`` from ``1`` from ``1.0``."""
    if isinstance(value, tuple | list):
        return type(value), tuple(map(typed, value))
    if isinstance(value, float | complex):
        return type(value), repr(value)  # -0.0 is not 0.0, and NaN is itself
    return type(value), value


def key_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What settles a call of a function, or None where that takes a closer look."""
    if is_recording():
        return None
    parts: list[Any] = [current_settings(), _tuned.changes, len(args), *kwargs]
    for value in args + tuple(kwargs.values()):
        kind = type(value)
        if kind is np.ndarray:
            parts += (value.shape, value.dtype, value.strides)
        elif kind in PLAIN:
            parts += (kind, value)
        elif kind is tuple:
            parts.append(typed(value))
        else:
            return None
    return tuple(parts)


def _can_be_short(bound: Bound, x: Array) -> bool:
    """Whether the result is what a plan writes, into one new array."""
    problem = bound.problem
    is_plain = problem.input_dtype == problem.dtype == problem.result_dtype == bound.dtype
    has_one_result = problem.recipe.also is None and not problem.recipe.is_flat
    size = prod(bound.shape) * bound.dtype.itemsize
    return is_plain and has_one_result and x.flags.aligned and 0 < size <= ALWAYS_ALLOWED


def bound_shortcut(bound: Bound, prepared: Prepared, x: Array) -> Shortcut | None:
    """The short way of an operator, for data like x and results in C order."""
    make = getattr(prepared.algorithm, "shortcut", None)
    if make is None or not _can_be_short(bound, x):
        return None
    empty, shape, dtype, canonical = np.empty, bound.shape, bound.dtype, bound.layout.canonical
    run = make(bound.problem, canonical(x), canonical(empty(shape, dtype)), prepared.operands)
    if run is None:
        return None
    is_canonical = bound.layout.has_batch and not bound.layout.is_channels_last

    def call(x: Array, out: object) -> Array | None:
        if out is None:
            y = empty(shape, dtype)
        elif type(out) is np.ndarray and out.shape == shape and out.dtype == dtype:
            flags, y = out.flags, out
            is_fit = flags.c_contiguous and flags.writeable and flags.aligned
            if not is_fit or np.may_share_memory(out, x):
                return None
        else:
            return None
        if is_canonical:
            return y if run(x, y) else None
        return y if run(canonical(x), canonical(y)) else None

    return call


def function_shortcut(
    bound: Bound, prepared: Prepared, x: Array, operands: Operands
) -> Shortcut | None:
    """The short way of a function that packs its weights each time, for arrays like these."""
    make = getattr(prepared.algorithm, "packing_shortcut", None)
    if make is None or not _can_be_short(bound, x):
        return None
    empty, shape, dtype, canonical = np.empty, bound.shape, bound.dtype, bound.layout.canonical
    run = make(bound.problem, canonical(x), canonical(empty(shape, dtype)), operands)
    if run is None:
        return None
    is_canonical = bound.layout.has_batch and not bound.layout.is_channels_last

    def call(x: Array, weight: Array | None = None, bias: Array | None = None) -> Array | None:
        y = empty(shape, dtype)
        if is_canonical:
            return y if run(x, y, weight, bias) else None
        return y if run(canonical(x), canonical(y), weight, bias) else None

    return call
