"""`Case`: all that a face may know of an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faltung.errors import NotLinearError
from faltung.operators._call import Bound
from faltung.operators._record import Record
from faltung.plans._problem import Operands
from faltung.typing import Shape

__all__ = ["Case"]

LINEAR = (
    "AdaptiveAvgPool, AvgPool, Conv, ConvTranspose, Fold, Involution, LocalConv, MaxUnpool, Pad, "
    "Resize and Unfold"
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
