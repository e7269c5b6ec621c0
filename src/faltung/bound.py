"""`Operator`: a record with its arguments bound; its methods are the faces.

Operators are immutable values. What they hold is checked when they are made; weights are packed
and the plan is made at the first call for a shape, then reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Self, cast

import numpy as np

from faltung._case import Case
from faltung._held import bits_of, frozen, held_copies, shown_operands, shown_value
from faltung.config import Settings, current_settings
from faltung.errors import FaltungError, ShapeError, out_of_memory
from faltung.faces import Faces
from faltung.geometry.arguments import AMPLE, as_int
from faltung.operators._arrays import Spec, as_array, as_shape, known_dtype
from faltung.operators._call import Bound, beside, bind, finish_all, operands_of
from faltung.operators._record import REGISTRY, Record
from faltung.operators._shortcut import Shortcut, bound_shortcut
from faltung.plans import _resources, _select, _tuned
from faltung.plans._rounding import store_rounded
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

if TYPE_CHECKING:
    from faltung.report import Report

__all__ = ["Operator"]

KEPT = 64
"""Input shapes for which an operator keeps its plan."""

WIDE: dict[str, Any] = {
    **dict.fromkeys("fV", np.float64),
    "c": np.complex128,
    **dict.fromkeys("ib", np.int64),
    "u": np.uint64,
}
"""What the textbook loops compute in, by kind of the result."""


class _Ready(NamedTuple):
    bound: Bound
    prepared: _select.Prepared
    second: tuple[Bound, _select.Prepared] | None


class Operator(Faces):
    """A sliding-window operator with its weights and window bound.

    The subclasses in `faltung.classes` are written from the records of the operators; each takes
    its function's arguments without the data, `dtype` and `out`. An operator is a value: it does
    not change, copies are itself, and equal arguments make equal operators. Its `repr` evaluates
    back; where it holds more numbers than NumPy prints, to one of the same geometry at best.
    """

    __slots__ = (
        *("_kept", "_last", "_newest", "_operands", "_packed", "_parameters"),
        *("_settings", "_shortcuts"),
    )

    name: ClassVar[str] = ""
    """The operator's function, the key of its record."""

    _operands: dict[str, Array | Spec]
    _parameters: dict[str, Any]
    _settings: Settings
    _kept: dict[tuple[Shape, np.dtype[Any], int], _Ready]
    _last: tuple[object, Bound] | None
    _packed: dict[tuple[str, Any], Any]
    _shortcuts: dict[Any, Shortcut | None]
    _newest: tuple[Any, Any, Any, Any, Shortcut | None]  # shape, dtype, strides, tunings, way

    def _hold(
        self,
        operands: Mapping[str, object],
        parameters: Mapping[str, Any],
        settings: Settings | None = None,
    ) -> None:
        """Check and keep the arguments; arrays are copied."""
        keep = object.__setattr__
        keep(self, "_settings", settings or current_settings())
        keep(self, "_parameters", {name: frozen(value) for name, value in parameters.items()})
        keep(self, "_operands", {})
        keep(self, "_kept", {})
        keep(self, "_last", None)
        keep(self, "_packed", {})
        keep(self, "_shortcuts", {})
        keep(self, "_newest", (None,) * 5)
        try:
            keep(self, "_operands", held_copies(operands))
            self._probe()
        except FaltungError as error:
            raise self._dressed(error) from error.__cause__
        except MemoryError as error:
            raise self._dressed(out_of_memory(error)) from error

    @property
    def record(self) -> Record:
        """What is known of the operator beside its arguments."""
        return REGISTRY[self.name]

    def __call__(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Apply the operator to data, as its function does."""
        try:
            kind = None
            if type(x) is np.ndarray:
                # Most calls are of the newest kind: comparing takes half the time of looking up.
                shape, dtype, strides, changes, short = self._newest
                is_newest = x.shape == shape and x.dtype is dtype and x.strides == strides
                if not (is_newest and changes == _tuned.changes):
                    kind = x.shape, x.dtype, x.strides, _tuned.changes
                    short = self._shortcuts.get(kind)
                if short is not None and (y := short(x, out)) is not None:
                    return y
            array = as_array(x, self.record.arrays[0])
            ready = self._ready(array.shape, array.dtype)
            y = finish_all(*ready, array, (), out)
            if kind is not None and kind not in self._shortcuts:
                if len(self._shortcuts) >= KEPT:
                    self._shortcuts.clear()
                self._shortcuts[kind] = short = bound_shortcut(ready.bound, ready.prepared, array)
                object.__setattr__(self, "_newest", (*kind, short))
            return y
        except FaltungError as error:
            raise self._dressed(error, getattr(x, "shape", None)) from error.__cause__
        except MemoryError as error:
            raise self._dressed(out_of_memory(error), getattr(x, "shape", None)) from error

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for an input of this shape, without computing it."""
        return self._bound_to_shape(input_shape, None).shape

    def describe(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Report:
        """Sizes, costs and the plan for an input of this shape, without computing anything.

        Parameters
        ----------
        input_shape : tuple of int
            As the data would have it, with or without a batch axis.
        dtype : dtype, optional
            Of the data; by default that of the weights, or float32.
        """
        from faltung.report import describe  # which loads what writes tables and pages

        bound = self._bound_to_shape(input_shape, dtype)
        operands = tuple(self._specs(None).values())
        data = Spec("x", tuple(input_shape), bound.problem.input_dtype)
        return describe(type(self).__name__, bound, operands, data, self._plan_for_weights(bound))

    def _plan_for_weights(self, bound: Bound) -> _select.Plan | None:
        """The plan for the weights that are held, where their values decide too."""
        has_shapes = any(isinstance(value, Spec) for value in self._operands.values())
        if has_shapes or self.record.positions:
            return None
        operands = operands_of(self.record, bound, self._arrays())
        plan = bound.plan_for(operands)
        if not _select.reads_weights(plan):
            return plan
        prepared = _select.prepare(bound.problem, plan, operands, self._packed)
        return _select.accepted(plan, prepared)

    def _asking(self, algorithm: str) -> Self:
        """The same operator that asks for an algorithm by name."""
        parameters = {**self._parameters, "algorithm": algorithm}
        return cast("Self", _rebuilt(type(self), self._operands, parameters, self._settings))

    def reference(self, x: ArrayLike) -> Array:
        """The textbook loops in float64, complex128 or exact integers, to read and to check.

        The loops are in ``op.record.reference``; they share no code with anything fast.
        """
        try:
            array = as_array(x, self.record.arrays[0])
        except FaltungError as error:
            raise self._dressed(error) from None
        bound = self._bound_to_shape(array.shape, array.dtype)
        dtype = WIDE[bound.problem.dtype.kind]
        arrays = {  # a bool operand may be a mask
            name: held if held.dtype.kind == "b" else held.astype(dtype)
            for name, held in self._arrays().items()
        }
        for name in self.record.positions:
            arrays[name] = bound.layout.canonical(self._arrays()[name])
        with np.errstate(all="ignore"):
            y = self.record.reference(
                bound.layout.canonical(array).astype(dtype),
                *map(arrays.get, self.record.operands),
                **{name: self._parameters[name] for name in self.record.textbook_parameters},
            )
        if bound.problem.dtype.kind in "biu":
            exact, y = y, np.empty(y.shape, bound.problem.dtype)
            if exact.dtype.kind == "f":
                store_rounded(exact, y)
            else:
                y[...] = exact.astype(y.dtype)
        if self._parameters.get("activation") == "relu" and y.dtype.kind not in "bu":
            y = np.maximum(y, 0)
        return bound.layout.own(y)

    def _dressed(self, error: FaltungError, shape: Shape | None = None) -> FaltungError:
        given = {name: value.shape for name, value in self._operands.items()}
        if shape is not None:
            given = {self.record.arrays[0]: shape, **given}
        return error.at(
            type(self).__name__, ", ".join(f"{name} {shape}" for name, shape in given.items())
        )

    def _case(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The operator bound to an input of this shape, with its arrays."""
        self._arrays()
        return self._geometry(input_shape, dtype)

    def _geometry(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        """The same, without those arrays of which there are shapes alone."""
        bound = self._bound_to_shape(input_shape, dtype)
        held = self._operands.items()
        arrays = {name: value for name, value in held if not isinstance(value, Spec)}
        operands = operands_of(self.record, bound, arrays)
        name, shape = type(self).__name__, tuple(input_shape)
        return Case(name, self.record, bound, operands, shape, self._parameters)

    def _made(
        self, name: str, operands: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> Operator:
        """Another operator of the family, by its function; the settings are this one's."""
        kind = next(kind for kind in Operator.__subclasses__() if kind.name == name)
        record = REGISTRY[name]
        taken = {**record.defaults, **record.class_parameters, **parameters}
        skipped = (*record.arrays, "dtype", "out")
        names = [item.name for item in record.parameters if item.name not in skipped]
        held = {key: taken[key] for key in (*names, *record.class_parameters)}
        return _rebuilt(kind, dict(operands), held, self._settings)

    def _spatial_axes(self, shape: Shape) -> range:
        specs = self._specs(Spec(self.record.arrays[0], shape, self._dtype()))
        rank = self.record.rank(specs, self._parameters, None)
        end = len(shape) - (self._parameters["data_format"] == "channels_last")
        return range(end - rank, end)

    def _arrays(self) -> dict[str, Array]:
        arrays = {}
        for name, value in self._operands.items():
            if isinstance(value, Spec):
                raise ShapeError(
                    f"{name} {value.shape} was given as a shape alone, which is enough for "
                    "describe and output_shape, not for computing",
                    "Give an array, or draw one with init",
                ).at(type(self).__name__)
            arrays[name] = value
        return arrays

    def _specs(self, data: Spec | None) -> dict[str, Spec]:
        specs = {} if data is None else {data.name: data}
        for name, value in self._operands.items():
            specs[name] = Spec(name, value.shape, value.dtype)
        return specs

    def _dtype(self) -> np.dtype[Any]:
        held, positions = self._operands.items(), self.record.positions
        dtypes = [value.dtype for name, value in held if name not in positions]
        return np.result_type(*dtypes) if dtypes else np.dtype(np.float32)

    def _probe_shape(self) -> Shape:
        """The shape of an ample input, or of one that fits, with the operands' channels."""
        specs = self._specs(None)
        if self.record.positions:  # one for each cell of the data
            return specs[self.record.positions[0]].shape
        if self.record.probe is not None:
            samples, channels, *cells = self.record.probe(specs, self._parameters)
            if self._parameters["data_format"] == "channels_last":
                return samples, *cells, channels
            return samples, channels, *cells
        rank = self.record.rank(specs, self._parameters, None)
        shapes = {name: specs[name].shape if name in specs else None for name in self.record.arrays}
        known = {"g": as_int(self._parameters.get("groups", 1), "groups")}
        sizes = self.record.signature.bind(shapes, known)
        channels = prod(sizes.get(factor, 1) for factor in self.record.signature.inputs[0].axes[1])
        spatial = (AMPLE,) * rank
        if self._parameters["data_format"] == "channels_last":
            return 1, *spatial, channels
        return 1, channels, *spatial

    def _probe(self) -> None:
        """Bind to an ample input, which finds whatever is wrong with the arguments.

        Without the wanted algorithm: what it can do may depend on the size.
        """
        _select.check_algorithm(self._parameters["algorithm"])
        data = Spec(self.record.arrays[0], self._probe_shape(), self._dtype())
        parameters = {**self._parameters, "dtype": None, "algorithm": None}
        bound = bind(self.record, self._specs(data), parameters, self._settings)
        if self.record.positions:
            operands_of(self.record, bound, self._arrays())

    def _bind(self, shape: Shape, dtype: np.dtype[Any]) -> Bound:
        """The last one is kept: faces are often asked about one shape after the other."""
        key, last = (shape, dtype, _tuned.changes), self._last
        if last is not None and last[0] == key:
            return last[1]
        specs = self._specs(Spec(self.record.arrays[0], shape, dtype))
        bound = bind(self.record, specs, {**self._parameters, "dtype": None}, self._settings)
        object.__setattr__(self, "_last", (key, bound))
        return bound

    def _bound_to_shape(self, input_shape: Shape, dtype: DTypeLike | None) -> Bound:
        try:
            shape = as_shape(input_shape)
            return self._bind(shape, self._dtype() if dtype is None else known_dtype(dtype))
        except FaltungError as error:
            raise self._dressed(error, input_shape) from error.__cause__

    def _ready(self, shape: Shape, dtype: np.dtype[Any]) -> _Ready:
        key = shape, dtype, _tuned.changes
        ready = self._kept.get(key)
        if ready is None:
            bound = self._bind(shape, dtype)
            _resources.require_array(bound.shape, bound.problem.dtype, "the result")
            operands = operands_of(self.record, bound, self._arrays())
            plan = bound.plan_for(operands)
            prepared = _select.prepare(bound.problem, plan, operands, self._packed)
            ready = _Ready(bound, prepared, beside(bound, operands))
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = ready
        return ready

    @classmethod
    def _draw(cls, **arguments: Any) -> dict[str, Array]:
        """Operands at random, as the record draws them."""
        draw: Any = REGISTRY[cls.name].draw
        try:
            drawn: dict[str, Array] = draw(**arguments)
        except FaltungError as error:
            raise error.at(f"{cls.__name__}.init") from None
        return drawn

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            for held in (self._operands, self._parameters):
                if name in held:
                    return held[name]
            if name in self.record.operands:
                return None
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable, make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable, make a new one")

    def __repr__(self) -> str:
        parts = list(shown_operands(self._operands).values())
        defaults = {**self.record.defaults, **self.record.class_parameters}
        for name, value in self._parameters.items():
            if name not in defaults or value != defaults[name]:
                parts.append(f"{name}={shown_value(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _state(self) -> tuple[Any, ...]:
        # As text: a padding value of NaN equals itself, and True is not 1.
        return type(self), repr(self._parameters), self._settings

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Operator):
            return NotImplemented
        same = self._state() == other._state() and self._operands.keys() == other._operands.keys()
        return same and all(
            bits_of(mine) == bits_of(theirs)
            for mine, theirs in zip(self._operands.values(), other._operands.values(), strict=True)
        )

    def __hash__(self) -> int:
        return hash((*self._state(), *((n, v.shape) for n, v in self._operands.items())))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self._operands, self._parameters, self._settings)


def _rebuilt(
    kind: type[Operator],
    operands: dict[str, Any],
    parameters: dict[str, Any],
    settings: Settings,
) -> Operator:
    operator = object.__new__(kind)
    operator._hold(operands, parameters, settings)
    return operator
