"""Which algorithms have really run: a record of calls, for those who report them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_recording", "record", "recorded"]

_names: ContextVar[list[str] | None] = ContextVar("faltung_recorded", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """A list that the names of the algorithms go to that this thread or task runs in the block.

    Functions take no short way meanwhile, which would pass by the record; an operator that was
    called before does.
    """
    names: list[str] = []
    token = _names.set(names)
    try:
        yield names
    finally:
        _names.reset(token)


def is_recording() -> bool:
    """Whether somebody wants to know."""
    return _names.get() is not None


def record(name: str) -> None:
    """Note that the algorithm `name` runs."""
    names = _names.get()
    if names is not None:
        names.append(name)
