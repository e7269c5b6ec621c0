"""Adjoints, transposes and SciPy's linear operators: the linear part of an operator, both ways.

Where the adjoint of an operator is one of the family for inputs of every shape or of this one, it
is given as that operator, which has all faces; else as an `Adjoint`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from faltung._case import Case
from faltung.errors import FaltungError, ShapeError
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.operators._arrays import as_array
from faltung.plans import _adjoint
from faltung.plans._problem import Problem
from faltung.plans._rules import Copy, Overlap, WeightedSum
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["Adjoint", "adjoint", "linear_operator", "transpose"]

CaseOf = Callable[[Shape, DTypeLike | None], Case]
Make = Callable[[str, Mapping[str, Any], Mapping[str, Any]], Any]
"""Makes an operator from the name of its function, its arrays and its parameters."""


class LinearOperatorLike(Protocol):
    """What an operator and an `Adjoint` have in common."""

    def __call__(self, x: ArrayLike) -> Array:
        """Apply it to data."""

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result."""

    def adjoint(self, input_shape: Shape) -> Any:
        """Its own adjoint."""


class _LinearPart:
    """An operator without bias and constants, bound to one shape; works in the data's dtype."""

    def __init__(self, case_of: CaseOf, case: Case) -> None:
        self._case_of, self.case = case_of, case
        self._kept: dict[tuple[np.dtype[Any], bool], tuple[Case, Callable[[Array], Array]]] = {}

    def forward(self, x: ArrayLike) -> Array:
        """The linear part on an array of the input's shape."""
        case, apply, array = self._ready(x, self.case.input_shape, is_forward=True)
        bound = case.bound
        y = apply(bound.layout.canonical(array).astype(bound.problem.dtype, copy=False))
        return bound.layout.own(y.reshape(bound.problem.result_shape))

    def backward(self, g: ArrayLike) -> Array:
        """The conjugate adjoint on an array of the result's shape."""
        case, apply, array = self._ready(g, self.case.bound.shape, is_forward=False)
        layout, problem = case.bound.layout, case.bound.problem
        g = layout.canonical(array).reshape(problem.output_shape)
        x = apply(g.astype(problem.dtype, copy=False))
        with np.errstate(all="ignore"):
            x = x.astype(problem.dtype, copy=False)
        return layout.own(x.reshape(layout.canonical_shape(case.input_shape)))

    def _ready(
        self, array: ArrayLike, shape: Shape, *, is_forward: bool
    ) -> tuple[Case, Callable[[Array], Array], Array]:
        given = as_array(array, "x")
        if given.shape != shape:
            raise ShapeError(f"x has shape {given.shape}, expected {shape}")
        if given.dtype.kind == "b":  # whose sums are "or", which is not linear
            given = given.astype(np.int64)
        key = given.dtype.newbyteorder("="), is_forward
        if key not in self._kept:
            case = self._case_of(self.case.input_shape, key[0])
            if not case.bound.problem.is_linear:  # rounded to integers
                case = self._case_of(self.case.input_shape, np.dtype(np.float64))
            self._kept[key] = case, _prepared(case, is_forward)
        return *self._kept[key], given


def _prepared(case: Case, is_forward: bool) -> Callable[[Array], Array]:
    problem, operands = case.bound.problem, case.operands
    if is_forward:
        linear = _adjoint.linear_part(problem)
        return _adjoint.apply_problem(linear, operands._replace(bias=None))
    return _adjoint.prepare_adjoint(problem, conjugate(operands.weight))


def conjugate(weight: Array | None) -> Array | None:
    """The complex conjugate, of what has one."""
    return weight.conj() if weight is not None and weight.dtype.kind == "c" else weight


class Adjoint:
    """The conjugate adjoint of a linear operator, for inputs of one shape.

    Applied to an array of the shape of the operator's result, it gives one of the shape of its
    input, such that ``<A x, y> == <x, A^H y>``. It has the dtype that y and the weights make.
    """

    def __init__(self, part: _LinearPart, *, is_back: bool = False) -> None:
        self._part, self._is_back = part, is_back

    @property
    def input_shape(self) -> Shape:
        """The shape that it is applied to."""
        case = self._part.case
        return case.input_shape if self._is_back else case.bound.shape

    def __call__(self, x: ArrayLike) -> Array:
        """Apply it to an array of its input's shape."""
        try:
            return self._part.forward(x) if self._is_back else self._part.backward(x)
        except FaltungError as error:
            raise error.at(f"adjoint of {self._part.case.name}") from error.__cause__

    def output_shape(self, input_shape: Shape | None = None) -> Shape:
        """The shape of its result; there is only one."""
        self._check(input_shape)
        case = self._part.case
        return case.bound.shape if self._is_back else case.input_shape

    def adjoint(self, input_shape: Shape | None = None) -> Adjoint:
        """The way back: the operator itself, without bias and constants."""
        self._check(input_shape)
        return Adjoint(self._part, is_back=not self._is_back)

    def _check(self, input_shape: Shape | None) -> None:
        if input_shape is not None and tuple(input_shape) != self.input_shape:
            raise ShapeError(
                f"input_shape is {tuple(input_shape)}, the adjoint takes {self.input_shape}",
                "Ask the operator for the adjoint that belongs to another input_shape",
            )

    def __repr__(self) -> str:
        what = "linear part" if self._is_back else "adjoint"
        shapes = f"{self.input_shape} -> {self.output_shape()}"
        return f"<{what} of {self._part.case.name}: {shapes}>"


def adjoint(case_of: CaseOf, input_shape: Shape, make: Make) -> LinearOperatorLike:
    """The conjugate adjoint for inputs of a shape, as an operator where there is one."""
    case = case_of(input_shape, None)
    case.require_linear("adjoint")
    found = _as_operator(case, make, is_conjugate=True, has_size=True)
    if found is not None:
        try:
            if found.output_shape(case.bound.shape) == case.input_shape:
                return cast("LinearOperatorLike", found)
        except FaltungError:  # an operator of the family, but not for these sizes
            pass
    return Adjoint(_LinearPart(case_of, case))


def transpose(case: Case, make: Make) -> Any:
    """The plain transpose as an operator that takes every shape; `case` has an ample one."""
    case.require_linear("transpose")
    problem = case.bound.problem
    found = None
    if _is_decided(problem):
        found = _as_operator(case, make, is_conjugate=False, has_size=False)
    if found is None:
        raise ShapeError(
            f"the transpose of {case.name} depends on the shape of the input here",
            "Use adjoint(input_shape), or matrix(input_shape).T",
        )
    return found


def _is_decided(problem: Problem) -> bool:
    """Whether the transpose is the same operator for inputs of every shape."""
    rule, axes = problem.recipe.rule, problem.recipe.axes
    if isinstance(rule, WeightedSum) and not rule.is_transposed:
        # With a stride, several inputs have as many outputs.
        return all(cast("SlidingAxis", axis).stride == 1 for axis in axes)
    if isinstance(rule, WeightedSum | Overlap):
        transposed = cast("tuple[TransposedAxis, ...]", axes)
        return all(_surplus(axis) < axis.forward.stride for axis in transposed)
    return False


def _surplus(axis: TransposedAxis) -> int:
    """Cells of the output behind the last window; below 0 where the window is cut off."""
    forward = axis.forward
    return forward.size - ((forward.outputs - 1) * forward.stride + forward.span - forward.before)


def _as_operator(case: Case, make: Make, *, is_conjugate: bool, has_size: bool) -> Any:
    """The transpose by the name of its function; None where the family has no such operator."""
    problem = case.bound.problem
    rule, axes = problem.recipe.rule, problem.recipe.axes
    if isinstance(rule, WeightedSum):
        arrays = {"weight": case.operands.weight}
        if is_conjugate:
            arrays = {"weight": conjugate(case.operands.weight)}
        shared = {
            name: case.parameters[name] for name in ("groups", "flip", "precision", "data_format")
        }
        if rule.is_transposed:
            window = _window(_forward(axes))
            mode = {"padding_mode": case.parameters["padding_mode"]}
            return make("conv", arrays, {**shared, **window, **mode})
        sliding = cast("tuple[SlidingAxis, ...]", axes)
        modes = {axis.mode for axis in sliding}
        # With a border that repeats cells, an `Adjoint` is quicker than the operator.
        if has_size and not modes <= set(_adjoint.PLAIN):
            return None
        mode = {"padding_mode": "zeros" if modes == {"constant"} else sliding[0].mode}
        size = {"output_size": tuple(axis.size for axis in axes)} if has_size else {}
        return make("conv_transpose", arrays, {**shared, **_window(sliding), **mode, **size})
    last = {"data_format": case.parameters["data_format"]}
    if isinstance(rule, Overlap):
        forward = _forward(axes)
        return make("unfold", {}, {"kernel_size": _kernel(forward), **_window(forward), **last})
    if isinstance(rule, Copy) and rule.keeps_taps and has_size:
        sliding = cast("tuple[SlidingAxis, ...]", axes)
        if all(axis.mode in ("zeros", "constant") for axis in sliding):
            size = {"output_size": tuple(axis.size for axis in axes)}
            window = {"kernel_size": _kernel(sliding), **_window(sliding)}
            return make("fold", {}, {**size, **window, **last})
    return None


def _forward(axes: tuple[Any, ...]) -> tuple[SlidingAxis, ...]:
    return tuple(axis.forward for axis in axes)


def _kernel(axes: tuple[SlidingAxis, ...]) -> Shape:
    return tuple(axis.taps for axis in axes)


def _window(axes: tuple[SlidingAxis, ...]) -> dict[str, Any]:
    """Stride, dilation, and the padding in numbers."""
    reach = [(axis.outputs - 1) * axis.stride + axis.span - axis.before for axis in axes]
    ends = [max(end - axis.size, 0) for axis, end in zip(axes, reach, strict=True)]
    pairs = [(axis.before, end) for axis, end in zip(axes, ends, strict=True)]
    is_even = len({entry for pair in pairs for entry in pair}) == 1
    return {
        "stride": _short([axis.stride for axis in axes]),
        "dilation": _short([axis.dilation for axis in axes]),
        "padding": pairs[0][0] if is_even else tuple(pairs),
    }


def _short(entries: list[int]) -> int | Shape:
    """One number where all are the same, as people write it."""
    return entries[0] if len(set(entries)) == 1 else tuple(entries)


def linear_operator(case_of: CaseOf, case: Case) -> LinearOperator:
    """The linear part for SciPy's solvers; matrix-free both ways."""
    from scipy.sparse.linalg import LinearOperator

    case.require_linear("linear operator")
    part = _LinearPart(case_of, case)

    def columns(apply: Callable[[Array], Array], shape: Shape, results: int) -> Any:
        def matmat(x: Array) -> Array:
            y = [apply(column.reshape(shape)).ravel() for column in x.T]
            return np.stack(y, axis=1) if y else np.zeros((results, 0), case.bound.dtype)

        return matmat

    cells, outputs = prod(case.input_shape), prod(case.bound.shape)
    return LinearOperator(
        (outputs, cells),
        matvec=lambda x: part.forward(x.reshape(case.input_shape)).ravel(),
        rmatvec=lambda y: part.backward(y.reshape(case.bound.shape)).ravel(),
        matmat=columns(part.forward, case.input_shape, outputs),
        rmatmat=columns(part.backward, case.bound.shape, cells),
        dtype=case.bound.dtype,
    )
