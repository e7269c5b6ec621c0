"""What an operator holds: copies of its arrays, their text, and their bits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from faltung.geometry.arguments import as_int
from faltung.operators._arrays import Spec, as_array
from faltung.plans import _resources
from faltung.typing import Array

__all__ = ["bits_of", "frozen", "held_copies", "shown_operands", "shown_value"]


def held_copies(operands: Mapping[str, object]) -> dict[str, Array | Spec]:
    """Read-only copies of the arrays, or specs where shapes were given instead of arrays."""
    required = next(iter(operands.values()), None)
    given = {  # the first one is not optional
        name: value
        for place, (name, value) in enumerate(operands.items())
        if value is not None or place == 0
    }
    # Three ints are the shape of a weight, but may be all the numbers of another operand.
    is_weight_shape = "weight" in given and _is_shape(required) and len(required) > 2
    is_shape_only = isinstance(required, Spec) or is_weight_shape
    held: dict[str, Array | Spec] = {}
    for name, value in given.items():
        if isinstance(value, Spec):
            held[name] = value
        elif is_shape_only and _is_shape(value):
            shape = tuple(as_int(size, name, 0) for size in value)
            held[name] = Spec(name, shape, np.dtype(np.float32))
        else:
            source = as_array(value, name)
            _resources.require_array(source.shape, source.dtype, name)
            array = np.array(source, source.dtype.newbyteorder("="), order="C", subok=False)
            array.flags.writeable = False
            held[name] = array
    return held


def bits_of(value: Array | Spec) -> tuple[Any, ...]:
    """What makes an operand equal to another: also NaN equals itself."""
    content = None if isinstance(value, Spec) else value.tobytes()
    return value.shape, value.dtype, content


def _is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(isinstance(e, int | np.integer) for e in value)


def frozen(value: Any) -> Any:
    """Parameters as values that cannot change behind the operator's back."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def shown_operands(operands: Mapping[str, Array | Spec]) -> dict[str, str]:
    """The arrays of an operator in a form that evaluates back.

    More numbers than ``numpy.get_printoptions()["threshold"]`` are not shown, as in NumPy. Where
    the operator can be made of shapes alone, these stand for the arrays: it has the same geometry.
    """
    most = np.get_printoptions()["threshold"]
    is_large = {name: value.size > most for name, value in operands.items() if _is_array(value)}
    shapes_do = "weight" in operands and any(is_large.values())
    texts = {}
    for name, value in operands.items():
        if shapes_do or not _is_array(value):
            texts[name] = repr(value.shape)
        elif is_large[name]:
            texts[name] = f"<{name} {value.shape} of {value.dtype}>"
        elif 0 in value.shape:  # whose other sizes no list tells
            texts[name] = f"numpy.zeros({value.shape}, {str(value.dtype)!r})"
        else:
            texts[name] = f"numpy.array({shown_value(value.tolist())}, {str(value.dtype)!r})"
    return texts


def _is_array(value: Array | Spec) -> TypeGuard[Array]:
    return not isinstance(value, Spec)


def shown_value(value: object) -> str:
    """A number, or a list of them, such that NaN and infinities evaluate back too."""
    return NOT_FINITE.sub(_finite_words, repr(value))


NOT_FINITE = re.compile(r"\b(nan|inf)(j?)\b")


def _finite_words(found: re.Match[str]) -> str:
    number, is_imaginary = found.groups()
    return f"complex(0, float('{number}'))" if is_imaginary else f"float('{number}')"
