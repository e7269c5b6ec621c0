"""Whether compiled code may be counted on, found out without loading the compiler."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import find_spec

from faltung.compiled import machine
from faltung.compiled._log import warn_once

__all__ = ["LEAST_MACS", "missing_compiler"]

LEAST_MACS = 2**15
"""Below so many multiply-adds NumPy is quick enough, and the compiler need not be loaded."""


def missing_compiler() -> str | None:
    """Why kernels cannot be compiled, or None; loads nothing, and is logged once."""
    reason = None
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        reason = "NUMBA_DISABLE_JIT is set"
    elif not machine.allows_machine_code():
        reason = "this process may not make memory executable"
    else:
        for module, name in (("numba", "Numba"), ("llvmlite", "llvmlite, a part of Numba,")):
            if module in sys.modules:
                reason = reason or (None if sys.modules[module] else f"{name} cannot be imported")
            elif not _is_installed(module):
                reason = reason or f"{name} is not installed"
    if reason:
        warn_once("numba", f"compiled kernels are off, NumPy does the work: {reason}")
    return reason


@cache
def _is_installed(module: str) -> bool:
    """Whether a module could be imported; the search takes a quarter of a millisecond a call."""
    return find_spec(module) is not None
