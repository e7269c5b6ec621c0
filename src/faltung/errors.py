"""The errors that faltung raises.

Every message has one form: the operator, what is wrong with the numbers that show it, and what
would work. Code deep inside raises the bare fact; the operator's door adds the call.
"""

from __future__ import annotations

from reprlib import Repr

__all__ = [
    "DTypeError",
    "FaltungError",
    "MissingExtraError",
    "NotLinearError",
    "OptionError",
    "PositionError",
    "ResourceError",
    "ShapeError",
    "WindowError",
    "out_of_memory",
    "shown",
]

_short = Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 2, 60, 60, 40


def shown(value: object) -> str:
    """A short form of what was given, for a message."""
    try:
        return _short.repr(value)
    except ValueError:  # Python refuses to print ints of very many digits
        bits = value.bit_length() if isinstance(value, int) else 0
        return f"an int of {bits} bits"


class FaltungError(Exception):
    """Base of everything that faltung raises on purpose.

    Parameters
    ----------
    fact : str
        What is wrong, with the argument's name and the numbers.
    advice : str
        What would work, a whole sentence; may be empty.
    operator : str
        The operator that was called; filled in at its door.
    given : str
        The shapes and dtypes of the call; filled in at the door.
    """

    def __init__(
        self, fact: str = "", advice: str = "", operator: str = "", given: str = ""
    ) -> None:
        super().__init__(fact, advice, operator, given)
        self.fact, self.advice, self.operator, self.given = fact, advice, operator, given

    def at(self, operator: str, given: str = "") -> FaltungError:
        """The same error with the call that led to it; the innermost operator's name stays."""
        if self.operator:
            return self
        return type(self)(self.fact, self.advice, operator, given)

    def __str__(self) -> str:
        text = f"{self.operator}: {self.fact}" if self.operator else self.fact
        if self.given:
            text += f": {self.given}"
        if self.advice:
            text += f". {self.advice}"
        return text


class ShapeError(FaltungError, ValueError):
    """Arrays whose shapes do not fit together."""


class WindowError(FaltungError, ValueError):
    """An impossible kernel size, stride, dilation or padding."""


class OptionError(FaltungError, ValueError):
    """An unknown mode, algorithm, precision or name; the message lists the known ones."""


class DTypeError(FaltungError, TypeError):
    """An array of a kind that the operator cannot compute with."""


class NotLinearError(FaltungError, TypeError):
    """A matrix or adjoint was asked of an operator that is not linear."""


class PositionError(FaltungError, IndexError):
    """An index that lies outside the array it points into."""


class ResourceError(FaltungError, MemoryError):
    """A request that does not fit into memory."""


def out_of_memory(error: MemoryError) -> ResourceError:
    """What a failed allocation becomes."""
    fact = str(error) or "the memory is exhausted"
    return ResourceError(fact, "Work in parts, or use a smaller dtype")


class MissingExtraError(FaltungError, ImportError):
    """A feature that needs a package which is not installed."""
