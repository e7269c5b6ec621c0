"""`Case`: all that a face may know of an operator; `face`: the door of the methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from faltung.errors import FaltungError, NotLinearError, out_of_memory
from faltung.operators._call import Bound
from faltung.operators._record import Record
from faltung.plans._problem import Operands
from faltung.typing import Array, Shape

__all__ = ["LINEAR", "Case", "face", "first"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LINEAR = (
    "AdaptiveAvgPool, AvgPool, Conv, ConvTranspose, Fold, Involution, LocalConv, MaxUnpool, Pad, "
    "Resize, Unfold, and WindowReduce with 'sum' or 'mean'"
)
"""The linear operators, for the message of an error."""


@dataclass(frozen=True)
class Case:
    """An operator bound to one shape and dtype of its input: what faces compute from.

    Attributes
    ----------
    name : str
        The class name, for titles and messages.
    record : Record
        What is known of the operator beside its arguments.
    bound : Bound
        Layout, problem (recipe, dtypes), plan, and shape and dtype of the result.
    operands : Operands
        The arrays that the operator holds.
    input_shape : tuple of int
        In the array's own layout.
    parameters : mapping
        The operator's parameters by name.
    """

    name: str
    record: Record
    bound: Bound
    operands: Operands
    input_shape: Shape
    parameters: Mapping[str, Any]

    def require_linear(self, what: str) -> None:
        """Raise `NotLinearError` where there is no such thing as `what`."""
        problem = self.bound.problem
        if problem.is_linear:
            return
        reason = f"it has no {what}, because it is not linear"
        if self.parameters.get("activation") is not None:
            reason += f" with activation {self.parameters['activation']!r}"
        elif problem.recipe.rule.is_linear:
            reason += f", its results are rounded to {problem.dtype}"
        raise NotLinearError(reason, f"Linear are {LINEAR}; others have vjp")


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


def first(result: Any) -> Array:
    """What faces work on: of a result with indices, the first element."""
    array: Array = result[0] if isinstance(result, tuple) else result
    return array
