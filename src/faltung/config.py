"""Settings of the library: precision, reproducibility and the memory limit.

Settings are read once, when a function is called or an operator is bound. `set_precision` changes
the default of the process; the same call in a ``with`` statement changes it for the code inside,
in this thread or task only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from itertools import product
from typing import NamedTuple

from faltung.errors import FaltungError, OptionError, shown

__all__ = [
    "PRECISIONS",
    "Settings",
    "check_precision",
    "current_settings",
    "memory_limit",
    "reproducible",
    "set_memory_limit",
    "set_precision",
]

PRECISIONS = ("highest", "high", "medium")

_default_precision = "highest"
_local_precision: ContextVar[str | None] = ContextVar("faltung_precision", default=None)
_reproducible: ContextVar[bool] = ContextVar("faltung_reproducible", default=False)
_memory_limit: int | None = None


class Settings(NamedTuple):
    """What a plan may depend on beside shapes, dtypes and parameters."""

    precision: str
    reproducible: bool


_SETTINGS = {key: Settings(*key) for key in product(PRECISIONS, (False, True))}
"""All there are: making one takes twice as long as looking it up, which every call does."""


def current_settings() -> Settings:
    """The settings that hold here and now."""
    return _SETTINGS[_local_precision.get() or _default_precision, _reproducible.get()]


def check_precision(precision: object) -> str:
    """`precision` if it is one of the known names."""
    if isinstance(precision, str) and precision in PRECISIONS:
        return precision
    raise OptionError(
        f"precision is {shown(precision)}, which is not known",
        f"Use one of {', '.join(map(repr, PRECISIONS))}",
    )


class _PrecisionChange:
    """A new precision: the default of the process, or in a ``with`` statement that of the block."""

    def __init__(self, precision: str) -> None:
        global _default_precision  # noqa: PLW0603
        self._precision, self._before = precision, _default_precision
        self._tokens: list[Token[str | None]] = []
        self._change: Token[str | None] | None = None
        if _local_precision.get() is None:
            _default_precision = precision
        else:
            self._change = _local_precision.set(precision)

    def __enter__(self) -> None:
        global _default_precision  # noqa: PLW0603
        if not self._tokens:  # the change was meant for the block: take it back outside
            if self._change is None:
                _default_precision = self._before
            else:
                _local_precision.reset(self._change)
        self._tokens.append(_local_precision.set(self._precision))

    def __exit__(self, *error: object) -> None:
        _local_precision.reset(self._tokens.pop())

    def __repr__(self) -> str:
        return f"<precision {self._precision!r}>"


def set_precision(precision: str) -> _PrecisionChange:
    """Set the precision of float32 products.

    Parameters
    ----------
    precision : {"highest", "high", "medium"}
        ``"highest"``: products of float32. ``"high"``: about 16 bits of mantissa.
        ``"medium"``: products of bfloat16. A lower precision allows faster algorithms, it does
        not force them.

    Returns
    -------
    context manager
        Used in a ``with`` statement, the setting ends with the block.

    Raises
    ------
    OptionError
        For any other name.

    Examples
    --------
    >>> import faltung as ft
    >>> with ft.set_precision("high"):
    ...     y = ft.conv2d([[[1.0, 2.0]]], [[[[1.0, -1.0]]]])
    """
    try:
        return _PrecisionChange(check_precision(precision))
    except FaltungError as error:
        raise error.at("set_precision") from None


@contextmanager
def reproducible() -> Iterator[None]:
    """Run the direct algorithm in one fixed order, at any size, inside the ``with`` block.

    The bits of a result then depend on the window of each element alone: a batch computed in
    parts equals the whole with `numpy.array_equal`.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> x, w = np.random.rand(4, 1, 9), np.random.rand(2, 1, 3)
    >>> with ft.reproducible():
    ...     bool(np.array_equal(ft.conv1d(x, w)[:1], ft.conv1d(x[:1], w)))
    True
    """
    token = _reproducible.set(True)
    try:
        yield
    finally:
        _reproducible.reset(token)


def set_memory_limit(limit: int | None) -> None:
    """Limit the memory that one call may ask for.

    Parameters
    ----------
    limit : int or None
        Bytes; requests above it (and above 256 MiB) raise `ResourceError`. None: the machine's
        memory, or that of the control group, is the limit.

    Raises
    ------
    OptionError
        For anything else than a positive number of bytes or None.
    """
    global _memory_limit  # noqa: PLW0603
    is_bytes = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    if limit is not None and not is_bytes:
        raise OptionError(
            f"set_memory_limit: limit is {shown(limit)}, expected a positive number of bytes",
            "Pass an int such as 8 * 2**30, or None for the machine's memory",
        )
    _memory_limit = limit


def memory_limit() -> int | None:
    """The limit that was set, in bytes, or None."""
    return _memory_limit
