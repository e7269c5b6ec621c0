"""Names that tell the variants of a factory apart, in every process alike."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from faltung.errors import OptionError

__all__ = ["identify"]


def identify(function: FunctionType) -> str:
    """A name for `function` that differs where the closure or the defaults differ."""
    cells = [_describe(cell.cell_contents, function) for cell in function.__closure__ or ()]
    defaults = [_describe(value, function) for value in function.__defaults__ or ()]
    return f"{function.__module__}.{function.__qualname__}({', '.join(cells + defaults)})"


def _describe(value: Any, owner: FunctionType) -> str:
    if hasattr(value, "identity"):
        return str(value.identity)
    if isinstance(value, FunctionType):
        return identify(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_describe(item, owner) for item in value)})"
    if value is None or isinstance(value, (int, float, complex, str, bytes, type)):
        return repr(value)
    if type(value).__module__.partition(".")[0] in {"llvmlite", "numpy", "numba"}:
        return f"{type(value).__name__} {value}"
    raise OptionError(
        f"key: {owner.__qualname__} closes over {value!r}, which the cache cannot name",
        "Pass key=, a string that differs for every variant",
    )
