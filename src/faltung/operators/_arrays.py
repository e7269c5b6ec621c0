"""What comes in: arrays of every kind, checked once, in Python, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.errors import DTypeError, OptionError, PositionError, ShapeError, shown
from faltung.geometry.arguments import as_int, unpacked
from faltung.typing import Array, Shape

__all__ = [
    "Spec",
    "as_array",
    "as_shape",
    "check_cast",
    "check_out",
    "check_position_spec",
    "check_positions",
    "is_known_dtype",
    "joint_dtype",
    "known_dtype",
    "wider_dtype",
]

FOREIGN = {"xarray": "xarray.DataArray.values", "jax": "numpy.asarray", "jaxlib": "numpy.asarray"}


class Spec(NamedTuple):
    """What shapes, dtypes and plans depend on: an array without its data."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)


def as_array(value: object, name: str) -> Array:
    """`value` as an array that faltung can compute with; its data is not copied."""
    if type(value) is not np.ndarray:
        value = _converted(value, name)
    if not is_known_dtype(value.dtype):
        raise DTypeError(
            f"{name} has dtype {_dtype_name(value.dtype)}, which faltung does not compute with",
            "Convert it to bool, an integer, float16, bfloat16, float32, float64, "
            "complex64 or complex128",
        )
    return value


def _converted(value: object, name: str) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"{name} is a masked array, whose mask would be lost",
            "Pass its data, or use filter_array with mask=",
        )
    package = type(value).__module__.partition(".")[0]
    if package in FOREIGN:
        raise DTypeError(
            f"{name} is a {package} {type(value).__name__}, not a NumPy array",
            f"Convert it with {FOREIGN[package]}",
        )
    try:
        return np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ShapeError(
            f"{name} cannot be made an array: {error}", "Pass rows of equal length"
        ) from None
    except (TypeError, RuntimeError) as error:
        raise DTypeError(
            f"{name} cannot be made an array: {error}", "Pass a NumPy array or nested lists"
        ) from None


def as_shape(shape: object, name: str = "input_shape") -> Shape:
    """`shape` as the shape of an array; `name` is that of the argument."""
    given = unpacked(shape)
    if not isinstance(given, tuple | list):
        raise ShapeError(
            f"{name} is {shown(shape)}, expected a tuple of ints",
            "Pass the shape of an array, such as (1, 3, 224, 224)",
        )
    return tuple(as_int(size, name, 0) for size in given)


def is_known_dtype(dtype: np.dtype[Any]) -> bool:
    """Whether faltung computes with this dtype."""
    kind, size = dtype.kind, dtype.itemsize
    if kind in "biu":
        return True
    return (kind == "f" and size <= 8) or (kind == "c" and size <= 16) or dtype.name == "bfloat16"


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype) if len(str(dtype)) < 40 else dtype.name


def joint_dtype(dtypes: Iterable[np.dtype[Any]], names: str) -> np.dtype[Any]:
    """What `numpy.result_type` makes of the dtypes, in native byte order."""
    dtypes = list(dtypes)
    try:
        joint = np.result_type(*dtypes).newbyteorder("=")
    except TypeError:
        joint = None
    if joint is None or not is_known_dtype(joint):
        raise DTypeError(
            f"{names} have dtypes {', '.join(map(str, dtypes))}, which have no common dtype here",
            "Convert one of them",
        )
    return joint


def check_cast(natural: np.dtype[Any], wanted: object) -> np.dtype[Any]:
    """The dtype that ``dtype=`` asks for, if the result may be cast to it."""
    dtype = known_dtype(wanted)
    is_castable = np.can_cast(_standard(natural), _standard(dtype), "same_kind")
    if not is_known_dtype(dtype) or not is_castable:
        raise DTypeError(
            f"dtype {dtype} is asked for, but the result is {natural}",
            "Only a dtype of the same kind, or a wider one, can be asked for",
        )
    return dtype


def known_dtype(wanted: object) -> np.dtype[Any]:
    """A dtype by any of its names, in native byte order."""
    try:
        return cast("np.dtype[Any]", np.dtype(wanted).newbyteorder("="))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise DTypeError(
            f"dtype is {shown(wanted)}, which NumPy does not know",
            "Pass the name of a dtype, such as 'float32'",
        ) from None


def _standard(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype of NumPy's own with the same kind and size: bfloat16 counts as a float."""
    return np.dtype(np.float16) if dtype.name == "bfloat16" else dtype


def wider_dtype(natural: np.dtype[Any], wanted: np.dtype[Any]) -> np.dtype[Any]:
    """What to compute in for a result that is asked for in another dtype."""
    if natural == wanted:
        return natural
    joint = np.result_type(_standard(natural), _standard(wanted))
    if joint == np.float16 and "bfloat16" in (natural.name, wanted.name):
        is_mixed = "float16" in (natural.name, wanted.name)
        return np.dtype(np.float32) if is_mixed else wanted
    return joint


def check_out(out: object, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """`out` if a result of this shape and dtype may be written to it."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise DTypeError(f"out is a {type(out).__name__}, expected a NumPy array")
    if out.shape != shape:
        raise ShapeError(
            f"out has shape {out.shape}, the result has {shape}",
            f"Pass numpy.empty({shape}, {str(dtype)!r})",
        )
    if not is_known_dtype(out.dtype) or not np.can_cast(dtype, out.dtype, "safe"):
        raise DTypeError(
            f"out has dtype {out.dtype}, to which {dtype} does not cast safely",
            f"Pass numpy.empty({shape}, {str(dtype)!r})",
        )
    if not out.flags.writeable:
        raise OptionError("out is read-only, expected a writable array", "Pass a copy of it")
    return out


def check_position_spec(positions: Spec, data: Spec) -> None:
    """Positions are integers, one for each cell of the data."""
    if positions.dtype.kind not in "iu":
        raise DTypeError(
            f"{positions.name} has dtype {positions.dtype}, expected integers",
            f"Pass positions as max_pool gives them, or {positions.name}.astype('int64')",
        )
    if positions.shape != data.shape:
        raise ShapeError(
            f"{positions.name} has shape {positions.shape}, {data.name} has {data.shape}, "
            "expected one position for each cell",
            f"Pass {positions.name} in the shape and layout of {data.name}",
        )


def check_positions(positions: Array, name: str, plane: Shape) -> None:
    """Every position lies in a plane of this shape."""
    if not positions.size:
        return
    count = prod(plane)
    for worst in (positions.argmin(), positions.argmax()):
        value = int(positions.flat[worst])
        if not 0 <= value < count:
            place = ", ".join(map(str, np.unravel_index(worst, positions.shape)))
            raise PositionError(
                f"{name}[{place}] is {value}, expected a position from 0 to {count - 1} in the "
                f"output plane of {' x '.join(map(str, plane))} cells",
                "Pass output_size as the spatial shape that was pooled",
            )
