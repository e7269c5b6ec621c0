"""From a call to its result: bind shapes once, plan once, then run on data.

Each stage is kept by exactly what it depends on: binding and planning by shapes, dtypes,
parameters and settings, so that the second call of a kind goes straight to the data.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.config import Settings, check_precision, current_settings
from faltung.errors import DTypeError, OptionError, ShapeError, shown
from faltung.geometry.layout import Layout, layout_of
from faltung.operators._arrays import (
    Spec,
    as_array,
    check_cast,
    check_out,
    check_position_spec,
    check_positions,
    is_known_dtype,
    joint_dtype,
    wider_dtype,
)
from faltung.operators._shortcut import Shortcut, function_shortcut, key_of, typed
from faltung.plans import _resources, _select, _tuned
from faltung.plans._problem import Operands, Problem
from faltung.typing import Array, Shape

if TYPE_CHECKING:
    from faltung.operators._record import Record

__all__ = ["Bound", "Door", "beside", "bind", "finish", "finish_all", "operands_of"]

EXECUTION = ("data_format", "dtype", "out")
KEPT = 512
"""Bound calls that are remembered."""


class Bound(NamedTuple):
    """A call whose shapes, dtypes and parameters are settled."""

    layout: Layout
    problem: Problem
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def plan(self) -> _select.Plan:
        """The algorithms that can do it, chosen when first asked for: many faces need none."""
        return self.plan_for(None)

    def plan_for(self, operands: Operands | None) -> _select.Plan:
        """The same; the error where none can names those that could, given these arrays."""
        kept = self.problem.kept
        if "plan" not in kept:
            kept["plan"] = _select.select(self.problem, operands)
        plan: _select.Plan = kept["plan"]
        return plan


def bind(
    record: Record,
    specs: Mapping[str, Spec],
    parameters: Mapping[str, Any],
    settings: Settings | None = None,
    wanted_rank: int | None = None,
) -> Bound:
    """Settle everything that does not depend on data.

    Parameters
    ----------
    record : Record
        The operator.
    specs : mapping of str to Spec
        The arrays that were given; the data first.
    parameters : mapping of str to object
        Every parameter of the function but `out`, and those of the operator's class.
    settings : Settings, optional
        By default those that hold now.
    wanted_rank : int, optional
        The number of spatial axes, where the function's name says it.
    """
    parameters = dict(parameters)
    data_format, wanted = parameters.pop("data_format"), parameters.pop("dtype")
    activation = parameters.pop("activation", None)
    valued = [name for name in specs if name not in record.positions]
    natural = joint_dtype([specs[name].dtype for name in valued], " and ".join(valued))
    natural = record.result_dtype(natural, parameters)
    dtype = natural if wanted is None else check_cast(natural, wanted)
    _check_activation(activation, natural)
    if parameters.get("precision") is not None:
        check_precision(parameters["precision"])
    _select.check_algorithm(parameters.get("algorithm"))

    data = next(iter(specs.values()))
    rank = record.rank(specs, parameters, wanted_rank)
    layout = layout_of(data.shape, rank, data_format, data.name)
    canonical = data._replace(shape=layout.canonical_shape(data.shape))
    arrays = {**specs, data.name: canonical}
    for name in record.positions:
        check_position_spec(specs[name], data)
        arrays[name] = specs[name]._replace(shape=canonical.shape)
    recipe = record.recipe(**arrays, **parameters, data_format=data_format)
    settings = settings or current_settings()
    computed = wider_dtype(natural, dtype)
    if recipe.precision not in (None, "highest") and computed.name != "float32":
        raise OptionError(
            f"precision {recipe.precision!r} is for float32, the sums here are {computed}",
            "Leave precision out, or use 'highest'",
        )
    if recipe.precision is not None:
        settings = Settings(recipe.precision, settings.reproducible)
    fill = _as_fill(recipe.fill, computed, "value" if "value" in parameters else "padding_value")
    recipe = replace(recipe, activation=activation, fill=fill)
    problem = Problem(recipe, computed, settings, data.dtype)
    shape = layout.own_shape(problem.result_shape)
    return Bound(layout, problem, shape, dtype)


def _check_activation(activation: object, dtype: np.dtype[Any]) -> None:
    if activation is not None and not (isinstance(activation, str) and activation == "relu"):
        raise OptionError(
            f"activation is {shown(activation)}, which is not known", "Use None or 'relu'"
        )
    if activation is not None and dtype.kind == "c":
        raise DTypeError(
            f"activation 'relu' has no meaning for {dtype} numbers", "Use activation=None"
        )


def _as_fill(value: Any, dtype: np.dtype[Any], name: str) -> Any:
    """The padding value as a Python number that `dtype` can hold."""
    if type(value) is int and value == 0 and dtype.kind != "V":  # nearly always
        return dtype.type(0).item()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            number = np.asarray(value)
            cast = number.astype(dtype)[()]
            is_exact = dtype.kind in "fcV" and (dtype.kind == "c" or number.dtype.kind != "c")
            if is_known_dtype(number.dtype) and number.ndim == 0 and (is_exact or cast == number):
                return value if dtype.kind == "V" else cast.item()
        except (TypeError, ValueError, OverflowError):
            pass
    raise OptionError(
        f"{name} is {shown(value)}, which {dtype} cannot hold",
        "Pass a number of the result's kind",
    )


def operands_of(record: Record, bound: Bound, arrays: Mapping[str, Array]) -> Operands:
    """The operator's arrays as algorithms take them; positions in canonical order, checked."""
    if not record.positions:
        return Operands(*map(arrays.get, record.operands))
    laid_out = dict(arrays)
    for name in record.positions:
        check_positions(arrays[name], name, bound.problem.output_shape[2:])
        laid_out[name] = bound.layout.canonical(arrays[name])
    return Operands(*map(laid_out.get, record.operands))


def beside(bound: Bound, operands: Operands) -> tuple[Bound, _select.Prepared] | None:
    """The same call with the second rule of its recipe, for functions that return two arrays."""
    recipe = bound.problem.recipe
    if recipe.also is None:
        return None
    problem = replace(bound.problem, recipe=replace(recipe, rule=recipe.also, also=None), kept={})
    second = bound._replace(problem=problem, dtype=problem.result_dtype)
    return second, _select.prepare(problem, second.plan, operands)


def finish_all(
    bound: Bound,
    prepared: _select.Prepared,
    second: tuple[Bound, _select.Prepared] | None,
    x: Array,
    others: Iterable[Array],
    out: object,
) -> Array:
    """What the function returns: the result, or a tuple of it and the second rule's."""
    if second is None:
        return finish(bound, prepared, x, others, out)
    others = tuple(others)
    if _select.finds_both(prepared, second[1]):
        beside_it = _resources.allocate(second[0].shape, second[0].dtype)
        return finish(bound, prepared, x, others, out, beside_it), beside_it  # type: ignore[return-value]
    # `out` may overlap x, so it is written last.
    beside_it = finish(*second, x, others, None)
    return finish(bound, prepared, x, others, out), beside_it  # type: ignore[return-value]


def finish(
    bound: Bound,
    prepared: _select.Prepared,
    x: Array,
    others: Iterable[Array],
    out: object,
    beside_it: Array | None = None,
) -> Array:
    """Run the plan on data and hand over the result.

    A result goes straight into `out` where it has the right dtype and shares no memory with x
    or the `others`; else through an array of its own. What the second rule gives goes into
    `beside_it`, if the plan finds both at once.
    """
    problem, canonical = bound.problem, bound.layout.canonical
    target = None if out is None else check_out(out, bound.shape, bound.dtype)
    is_direct = (
        target is not None
        and target.dtype == problem.result_dtype == bound.dtype
        and target.flags.aligned
        and not any(np.may_share_memory(target, array) for array in (x, *others))
    )
    if target is not None and is_direct:
        y = target
    else:
        y = _resources.allocate(bound.shape, problem.result_dtype)
    # Views also where the data or the result has fewer axes: one axis that is split.
    x, laid_out = canonical(x).reshape(problem.input_shape), canonical(y)
    y_laid_out = laid_out.reshape(problem.output_shape)
    if beside_it is None:
        _select.execute(problem, prepared, x, y_laid_out)
    else:
        _select.execute_both(problem, x, y_laid_out, canonical(beside_it))
    if is_direct:
        return y
    if problem.result_dtype != bound.dtype:
        with np.errstate(all="ignore"):
            y = y.astype(bound.dtype)
    if target is None:
        return y
    target[...] = y
    return target


class Door:
    """Where a public function is entered: arguments in, result or dressed error out."""

    def __init__(self, record: Record, rank: int | None) -> None:
        self.record, self.rank = record, rank
        self.arrays = record.arrays
        self.required = {
            parameter.name
            for parameter in record.parameters
            if parameter.default is inspect.Parameter.empty
        }
        self.positional = [
            parameter.name
            for parameter in record.parameters
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        self.names = {parameter.name for parameter in record.parameters}
        self.kept: dict[Any, Bound] = {}
        self.shortcuts: dict[Any, Shortcut | None] = {}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
        """Compute the operator on arrays."""
        key = key_of(args, kwargs)
        try:
            short = self.shortcuts.get(key)
        except TypeError:  # a parameter that has no hash
            key, short = None, None
        if short is not None:
            given_arrays = args[: len(self.arrays)]
            if kwargs:
                given_arrays += tuple(map(kwargs.get, self.arrays[len(args) :]))
            y = short(*given_arrays)
            if y is not None:
                return y
        given = self._assign(args, kwargs)
        out = given.pop("out", None)
        arrays = {}
        for name in self.arrays:
            value = given.pop(name, None)
            if value is not None or name in self.required:
                arrays[name] = as_array(value, name)
        bound = self._bind(arrays, given)
        if out is None:
            _resources.require_array(bound.shape, bound.problem.dtype, "the result")
        x = arrays.pop(self.arrays[0])
        operands = operands_of(self.record, bound, arrays)
        prepared = _select.prepare(bound.problem, bound.plan_for(operands), operands)
        y = finish_all(bound, prepared, beside(bound, operands), x, arrays.values(), out)
        # What comes after a plan that declined these weights may be wrong for others.
        is_first = prepared.algorithm is bound.plan.chosen
        if is_first and key is not None and out is None and key not in self.shortcuts:
            if len(self.shortcuts) >= KEPT:
                self.shortcuts.clear()
            self.shortcuts[key] = function_shortcut(bound, prepared, x, operands)
        return y

    def _assign(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by name; a call that does not fit the signature is Python's TypeError."""
        given = dict(zip(self.positional, args, strict=False))
        given.update(kwargs)
        fits = len(given) == len(args) + len(kwargs) and self.required <= given.keys() <= self.names
        if not fits:
            signature = inspect.Signature(self.record.parameters)
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{self.record.name}() {error}") from None
        return given

    def _bind(self, arrays: Mapping[str, Array], given: dict[str, Any]) -> Bound:
        shapes = tuple((name, array.shape, array.dtype) for name, array in arrays.items())
        try:
            settings = current_settings(), _tuned.changes
            key = (shapes, settings, *[(k, typed(v)) for k, v in given.items()])
            bound = self.kept.get(key)
        except TypeError:  # a parameter that has no hash: bind anew
            key, bound = None, None
        if bound is None:
            bound = self._bind_new(arrays, given)
            if key is not None:
                if len(self.kept) >= KEPT:
                    self.kept.clear()
                self.kept[key] = bound
        return bound

    def _bind_new(self, arrays: Mapping[str, Array], given: dict[str, Any]) -> Bound:
        specs = {name: Spec(name, array.shape, array.dtype) for name, array in arrays.items()}
        parameters = {**self.record.defaults, **given}
        parameters.pop("out", None)
        if self.rank is not None:
            self._check_rank(specs, parameters)
        return bind(self.record, specs, parameters, wanted_rank=self.rank)

    def _check_rank(self, specs: Mapping[str, Spec], parameters: dict[str, Any]) -> None:
        rank = self.record.rank(specs, parameters, self.rank)
        if rank != self.rank:
            last = list(specs.values())[-1] if "weight" not in specs else specs["weight"]
            raise ShapeError(
                f"{last.name} has {last.ndim} axes, which makes {rank} spatial axes, "
                f"expected {self.rank}",
                f"Use {self.record.name}{rank}d or {self.record.name}" if 1 <= rank <= 3 else "",
            )

    def describe(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """The shapes of the arrays of a call, for its error."""
        given = {**dict(zip(self.positional, args, strict=False)), **kwargs}
        shapes = ((name, getattr(given.get(name), "shape", None)) for name in self.arrays)
        return ", ".join(f"{name} {shape}" for name, shape in shapes if isinstance(shape, tuple))
