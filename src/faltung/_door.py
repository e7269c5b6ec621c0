"""The door of the functions that are no operators: their name in front of every error."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from faltung.errors import FaltungError, ResourceError

__all__ = ["door"]

P = ParamSpec("P")
R = TypeVar("R")


def door(function: Callable[P, R]) -> Callable[P, R]:
    """`function` with its name in front of every error.

    The operator inside sees reshaped arrays: its name and shapes would only mislead.
    """
    name = getattr(function, "__name__", "")

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except FaltungError as error:
            raise type(error)(error.fact, error.advice, name) from None
        except MemoryError as error:
            fact = str(error) or "the memory is exhausted"
            raise ResourceError(fact, "Work in parts, or use a smaller dtype", name) from error

    return call
