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
from faltung.report import Report
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

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

    def __call__(self, x: ArrayLike) -> Any:
        """Apply the operator to data."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, without computing it."""
        raise NotImplementedError

    def describe(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Report:
        """Sizes, costs and the plan for an input of this shape, without computing anything."""
        raise NotImplementedError

    def reference(self, x: ArrayLike) -> Array:
        """The textbook loops, to read and to check."""
        raise NotImplementedError

    def _case(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The operator bound to an input of this shape; raises where it holds shapes alone."""
        raise NotImplementedError

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        """The error with the operator's name and the shapes of its arrays."""
        raise NotImplementedError
