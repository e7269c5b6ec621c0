"""`Case`: all that a face may know of an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faltung.operators._call import Bound
from faltung.operators._record import Record
from faltung.plans._problem import Operands
from faltung.typing import Shape

__all__ = ["Case"]


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
