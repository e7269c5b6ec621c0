"""The floating-point environment: NumPy obeys a flush-to-zero that somebody else has switched on.

Some libraries set the processor to flush denormal numbers to zero and leave it so. Compiled jobs
set their own environment; what runs in NumPy is given the default one here.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from typing import Any

import numpy as np

__all__ = ["default_environment", "keeps_denormals", "quietly"]

_SMALLEST = 5e-324
_ONE = 1.0
_NOTHING: AbstractContextManager[None] = nullcontext()


def default_environment() -> AbstractContextManager[None]:
    """Keep denormal numbers inside the block; free of cost where they are kept anyway."""
    return _NOTHING if keeps_denormals() else _restored()


def keeps_denormals() -> bool:
    """Whether the processor keeps denormal numbers in this thread, as it does by default."""
    # A product of variables is computed now; with flush-to-zero it is 0.
    return bool(_SMALLEST * _ONE)


@contextmanager
def _restored() -> Iterator[None]:
    try:
        library = ctypes.CDLL("libm.so.6")
        before = ctypes.create_string_buffer(64)  # more than any fenv_t
        library.fegetenv(before)
    except (OSError, AttributeError):  # another C library: nothing to be done
        yield
        return
    library.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV
    try:
        yield
    finally:
        library.fesetenv(before)


class _Quiet(threading.local):
    """A context for each thread, in which NumPy does not warn."""

    def __init__(self) -> None:
        context = Context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


_quiet = _Quiet()


def quietly(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function that NumPy's warnings are nothing for, and that may be called twice.

    It sees no context variables. A context that is there costs 0.1 us, `numpy.errstate` 0.7 us of
    the 4 us that the smallest calls take.
    """
    try:
        _quiet.run(function, *arguments)
    except RuntimeError:  # a signal's handler came between, whose thread is in the context already
        with np.errstate(all="ignore"):
            function(*arguments)
