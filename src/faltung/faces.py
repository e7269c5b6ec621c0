"""`Faces`: the methods that operators have beyond being applied.

Each method is one call of a function that is generic over all operators; what it needs to know of
the operator is a `faltung._case.Case`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from faltung._case import Case
from faltung.errors import FaltungError, out_of_memory
from faltung.typing import DTypeLike, Shape

__all__ = ["Faces", "face"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def face(
    method: Callable[Concatenate[Any, Arguments], Result],
) -> Callable[Concatenate[Any, Arguments], Result]:
    """A method whose errors name the operator and the shapes of its arrays."""

    @wraps(method)
    def dressed(self: Any, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except FaltungError as error:
            raise self._dressed(error) from error.__cause__
        except MemoryError as error:
            raise self._dressed(out_of_memory(error)) from error

    return dressed  # type: ignore[return-value]  # `wraps` hides that the first one is `self`


class Faces:
    """What every operator can tell of itself for an input of some shape."""

    __slots__ = ()

    def _case(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The operator bound to an input of this shape; raises where it holds shapes alone."""
        raise NotImplementedError

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        """The error with the operator's name and the shapes of its arrays."""
        raise NotImplementedError
