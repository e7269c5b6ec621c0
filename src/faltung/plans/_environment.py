"""The floating-point environment: NumPy obeys a flush-to-zero that somebody else has switched on.

Some libraries set the processor to flush denormal numbers to zero and leave it so. Compiled jobs
set their own environment; what runs in NumPy is given the default one here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

__all__ = ["default_environment", "keeps_denormals"]

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
