"""The operator record: what every face, test, command and page knows of an operator.

A record is made by decorating the operator's function. The function's body never sees data: it is
called with array *specs* (name, shape, dtype) in canonical order and returns a `Recipe`; the
decorator turns it into the public function on arrays, with the same signature.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, ParamSpec, cast

import numpy as np

from faltung.errors import FaltungError, ShapeError, out_of_memory
from faltung.geometry.signature import Signature, parse
from faltung.operators._arrays import Spec
from faltung.plans._problem import Recipe
from faltung.typing import Array, Shape

__all__ = ["REGISTRY", "Record", "Sample", "Sizes", "match", "operator", "ranked"]

Parameters = ParamSpec("Parameters")
ParameterDict = dict[str, Any]
RankRule = Callable[[Mapping[str, Spec], ParameterDict, int | None], int]
"""The number of spatial axes, from specs, parameters and the number in the function's name."""
DtypeRule = Callable[[np.dtype[Any], ParameterDict], np.dtype[Any]]
"""The dtype of the result, from the joint one of the arrays and from the parameters."""
ProbeRule = Callable[[Mapping[str, Spec], ParameterDict], Shape]
"""The canonical shape of an input that operands fit, from their specs and the parameters."""

REGISTRY: dict[str, Record] = {}
"""All operators by name, in the order in which their files were imported."""


@dataclass(frozen=True)
class Sample:
    """A named case: shapes of the arrays and the parameters of one call.

    Tests, benchmarks, documentation and pages take their cases from here, so a sample is there
    to be awkward: sides of different length, a stride above the kernel, padding on one side.
    Arrays that hold positions have the number of places that there are in `places`.
    """

    name: str
    arrays: Mapping[str, Shape]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)

    def draw(self, dtype: Any = np.float64, seed: int = 0) -> dict[str, Array]:
        """Arrays of small integers of both signs, for which every order of a sum is exact."""
        rng = np.random.default_rng(seed)
        kind = np.dtype(dtype)
        drawn = {}
        for name, shape in self.arrays.items():
            if name in self.places:
                drawn[name] = rng.integers(0, self.places[name], shape)
                continue
            values: Array = rng.integers(0 if kind.kind in "bu" else -5, 6, shape)
            if kind.kind == "c":
                values = values + 1j * rng.integers(-5, 6, shape)
            drawn[name] = values.astype(kind)
        return drawn


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of an operator beside its function."""

    name: str
    class_name: str
    recipe: Callable[..., Recipe]
    signature: Signature
    operands: tuple[str, ...]
    positions: tuple[str, ...]
    rank: RankRule
    reference: Callable[..., Array]
    samples: tuple[Sample, ...]
    sources: tuple[str, ...]
    class_parameters: Mapping[str, Any]
    result_dtype: DtypeRule
    probe: ProbeRule | None
    draw: Callable[..., dict[str, Array]] | None
    parameters: tuple[inspect.Parameter, ...]

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of the array arguments, the data first."""
        return (self.parameters[0].name, *self.operands)

    @cached_property
    def defaults(self) -> ParameterDict:
        """The default of every parameter that has one and is not an array."""
        return {
            parameter.name: parameter.default
            for parameter in self.parameters
            if parameter.name not in self.arrays and parameter.default is not parameter.empty
        }

    @cached_property
    def textbook_parameters(self) -> tuple[str, ...]:
        """Parameters of the textbook reference: all but those of layout and execution."""
        skipped = {*self.arrays, "data_format", "dtype", "out", "precision", "algorithm"}
        return tuple(item.name for item in self.parameters if item.name not in skipped)


def operator(
    *,
    signature: str,
    rank: RankRule,
    reference: Callable[..., Array],
    samples: tuple[Sample, ...],
    sources: tuple[str, ...],
    operands: tuple[str, ...] = (),
    positions: tuple[str, ...] = (),
    class_parameters: Mapping[str, Any] | None = None,
    result_dtype: DtypeRule = lambda dtype, _: dtype,
    probe: ProbeRule | None = None,
    draw: Callable[..., dict[str, Array]] | None = None,
) -> Callable[[Callable[Parameters, Recipe]], Callable[Parameters, Array]]:
    """Register an operator and make its function work on arrays.

    Parameters
    ----------
    signature : str
        Which sizes belong together, see `faltung.geometry.signature`.
    rank : callable
        The number of spatial axes, from the specs and parameters of a call, and from the number
        in the name of a ranked variant (None for the others).
    reference : callable
        The textbook loops, on canonical arrays; NumPy only, shares nothing with geometry.
    samples : tuple of Sample
        Awkward cases for tests, benchmarks, documentation and pages.
    sources : tuple of str
        Where the operator is defined.
    operands : tuple of str
        The array arguments after the first, which an operator object holds.
    positions : tuple of str
        Those of the operands that hold flat positions in the output plane: integers in the shape
        and layout of the data, which have no part in the dtype of the result.
    class_parameters : mapping, optional
        Parameters that only the operator's class has, with their defaults.
    result_dtype : callable, optional
        The dtype of the result from that of the arrays and the parameters; that of the arrays by
        default.
    probe : callable, optional
        For operands whose shape depends on the output's: the shape of an input that they fit. The
        others are checked against an ample input when an operator is made.
    draw : callable, optional
        Draws operands at random; becomes the class method ``init``.
    """

    def decorate(function: Callable[Parameters, Recipe]) -> Callable[Parameters, Array]:
        record = Record(
            name=function.__name__,
            class_name=function.__name__.title().replace("_", ""),
            recipe=function,
            signature=parse(signature),
            operands=operands,
            positions=positions,
            rank=rank,
            reference=reference,
            samples=samples,
            sources=sources,
            class_parameters=class_parameters or {},
            result_dtype=result_dtype,
            probe=probe,
            draw=draw,
            parameters=tuple(inspect.signature(function).parameters.values()),
        )
        REGISTRY[record.name] = record
        return _public(function, record, record.name, None)

    return decorate


def _public(
    function: Callable[Parameters, Any], record: Record, name: str, rank: int | None
) -> Callable[Parameters, Array]:
    from faltung.operators._call import Door

    door = Door(record, rank)

    @wraps(function)
    def public(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Array:
        try:
            return door.call(args, kwargs)
        except FaltungError as error:
            raise error.at(name, door.describe(args, kwargs)) from error.__cause__
        except MemoryError as error:
            raise out_of_memory(error).at(name, door.describe(args, kwargs)) from error

    public.__name__ = public.__qualname__ = name
    public.record = record  # type: ignore[attr-defined]
    return public


def ranked(function: Callable[Parameters, Array], rank: int) -> Callable[Parameters, Array]:
    """The same operator for data with exactly `rank` spatial axes, named after the rank."""
    record = cast("Record", function.record)  # type: ignore[attr-defined]
    name = f"{record.name}{rank}d"
    variant = _public(function, record, name, rank)
    axes = "axis" if rank == 1 else "axes"
    variant.__doc__ = f"`{record.name}` for {rank} spatial {axes}.\n\n{inspect.getdoc(function)}"
    return variant


@dataclass(frozen=True)
class Sizes:
    """The sizes that the arrays of a call agree on."""

    named: Mapping[str, int]
    spatial: Mapping[str, Shape]

    def __getitem__(self, name: str) -> int:
        return self.named[name]


def match(name: str, arrays: Mapping[str, object], **known: int) -> Sizes:
    """Bind the signature of operator `name` to the shapes of `arrays`."""
    signature = REGISTRY[name].signature
    shapes = {
        key: None if spec is None else cast("Spec", spec).shape for key, spec in arrays.items()
    }
    spatial = {}
    for (key, shape), operand in zip(shapes.items(), signature.inputs, strict=True):
        fixed = len(operand.axes)
        if operand.spatial and shape is not None:
            spatial[operand.spatial] = shape[fixed:]
        elif shape is not None and len(shape) != fixed:
            raise ShapeError(f"{key} has shape {shape}, expected {fixed} axis: one number a filter")
    return Sizes(signature.bind(shapes, known), spatial)
