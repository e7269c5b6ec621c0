"""Whether compiled code may be counted on, found out without loading the compiler."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

__all__ = ["LEAST_MACS", "missing_compiler"]

LEAST_MACS = 2**15
"""Below so many multiply-adds NumPy is quick enough, and the compiler need not be loaded."""


def missing_compiler() -> str | None:
    """Why kernels cannot be compiled, or None; loads nothing."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT is set"
    if "numba" in sys.modules:
        return None if sys.modules["numba"] else "Numba cannot be imported"
    return None if find_spec("numba") else "Numba is not installed"
