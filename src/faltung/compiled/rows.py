"""A user's function of one row, compiled and applied to every row of a matrix.

Code that is not ours takes Numba's whole pipeline, for any types, and is never kept between
processes: nobody can tell whether what it refers to has stayed the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter
from types import FunctionType
from typing import Any

import numpy as np

from faltung.compiled import _jit
from faltung.errors import OptionError, shown
from faltung.typing import Array

__all__ = ["RowFunction", "row_function"]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SHORT, LONG = 0.01, 0.04
"""Seconds that a slice of rows should take."""
MOST_WORDS = 240
"""Characters of the compiler's reason that are passed on."""


class RowFunction:
    """``results[i] = function(rows[i])``, compiled where Numba is available."""

    def __init__(self, function: Callable[[Array], Any]) -> None:
        self.python = function
        self._compiled: Any = None

    def compile(self, dtype: np.dtype[Any]) -> None:
        """Compile for rows of this dtype; raises `OptionError` with the compiler's reason."""
        if not _jit.available():
            return
        import numba

        row = numba.from_dtype(dtype)
        try:
            compiled = self._compiled or _row_loop(self.python)
            compiled.compile((numba.types.Array(row, 2, "C"), numba.types.Array(row, 1, "C")))
        except Exception as error:
            raise OptionError(
                f"reduction {shown(self.python)} cannot be compiled by Numba: {_reason(error)}",
                "A reduction takes a 1-D array and returns a number; set NUMBA_DISABLE_JIT=1 to "
                "run it as it is",
            ) from error
        self._compiled = compiled

    def __call__(self, rows: Array) -> Array:
        """The function of every row of a C-contiguous matrix, in the dtype of the rows."""
        results = np.empty(len(rows), rows.dtype)
        self.compile(rows.dtype)
        if self._compiled is not None:
            _run_in_slices(self._compiled, rows, results)
            return results
        for place, row in enumerate(rows):
            value = np.asarray(self.python(row))
            kinds = "biufc" if rows.dtype.kind == "c" else "biuf"
            if value.ndim or value.dtype.kind not in kinds:
                raise OptionError(
                    f"reduction {shown(self.python)} gave {shown(value)}, expected one number"
                )
            results[place] = value
        return results


def _run_in_slices(compiled: Callable[[Array, Array], None], rows: Array, results: Array) -> None:
    """All rows, as many at a time as take some milliseconds: in between Ctrl-C is looked after.

    A row's result does not depend on the others, so the time may decide how many go together.
    """
    place, together = 0, 1
    while place < len(rows):
        some = slice(place, place + together)
        began = perf_counter()
        compiled(rows[some], results[some])
        took = perf_counter() - began
        place += together
        if took < SHORT:
            together *= 2
        elif took > LONG:
            together = max(together // 2, 1)


def _row_loop(python: Callable[[Array], Any]) -> Any:
    import numba

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    # Numba knows functions of NumPy by themselves, and what is compiled already.
    function = numba.njit(**options)(python) if isinstance(python, FunctionType) else python

    def loop(rows, results):  # type: ignore[no-untyped-def]
        for place in range(rows.shape[0]):
            results[place] = function(rows[place])

    return numba.njit(**options)(loop)


def _reason(error: Exception) -> str:
    """What the compiler has to say, without its preamble, on one line."""
    lines = [line.strip() for line in COLOUR.sub("", str(error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Failed in", "- Resolution"))]
    return " ".join(told)[:MOST_WORDS] or type(error).__name__


@lru_cache(maxsize=64)
def row_function(function: Callable[[Array], Any]) -> RowFunction:
    """The row function of `function`, the same one for every call with it."""
    return RowFunction(function)
