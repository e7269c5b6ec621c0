"""Gradients: the vector-Jacobian product of every operator that has one.

For a cotangent g of the result, the gradient of ``sum(g * y)`` after everything that y was computed
from. For complex numbers, in the convention of PyTorch and JAX's adjoints: the gradient after x is
``A^H g`` for ``y = A x``, so that ``<A x, g> == <x, A^H g>``.

References
----------
M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation", 2008. V. Dumoulin, F. Visin, arXiv:1603.07285, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from faltung._case import Case
from faltung.errors import DTypeError, FaltungError, ShapeError
from faltung.operators._arrays import as_array
from faltung.plans import _adjoint, _pullback
from faltung.plans._rules import PositionSum, WeightedSum
from faltung.plans._weight_gradient import bias_gradient, weight_gradient
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

__all__ = [
    "Pullback",
    "as_dtype",
    "canonical_input",
    "input_gradient",
    "is_inexact",
    "own_input",
    "require_cotangent",
    "vjp",
]

CaseOf = Callable[[Shape, DTypeLike], Case]


def vjp(case_of: CaseOf, operator: Callable[[Array], Any], x: ArrayLike) -> tuple[Array, Pullback]:
    """The result of an operator and its pullback; `case_of` binds it to a shape and a dtype."""
    array = as_array(x, "x")
    case = case_of(array.shape, array.dtype)
    problem = case.bound.problem
    if not is_inexact(problem.dtype):
        raise DTypeError(
            f"x has dtype {array.dtype} and the result {problem.dtype}, which has no gradient",
            "Convert x to a float dtype, such as with x.astype(float)",
        )
    _pullback.require_gradient(problem)
    y = operator(array)
    if isinstance(y, tuple):
        y = y[0]
    return y, Pullback(case, array, y)


class Pullback:
    """What brings a cotangent of an operator's result back: call it with one.

    It keeps what it needs of the data, so that the arrays may be changed before it is called.
    """

    def __init__(self, case: Case, x: Array, y: Array) -> None:
        problem = case.bound.problem
        self._case, self._shape, self._dtype = case, y.shape, x.dtype
        self._adjoint: Callable[[Array], Array] | None = None
        self._is_zero: Array | None = None
        if problem.recipe.activation == "relu":
            self._is_zero = y <= 0
        is_needed = not problem.recipe.rule.is_linear or _has_weight_gradient(case)
        self._x: Array | None = np.array(x) if is_needed else None

    def __repr__(self) -> str:
        name, given = self._case.name, self._case.input_shape
        return f"<pullback of {name}: {self._shape} -> {given}>"

    def __call__(self, g: ArrayLike) -> dict[str, Array]:
        """The gradients of ``sum(g * y)``.

        Parameters
        ----------
        g : array
            A cotangent, of the shape of the result.

        Returns
        -------
        dict
            ``input`` and, where the operator holds such arrays, ``weight`` (or ``structure``) and
            ``bias``: arrays of the shapes and dtypes of what they belong to; after integers, of
            the dtype of the result.
        """
        try:
            return self._apply(g)
        except FaltungError as error:
            raise error.at(f"pullback of {self._case.name}") from error.__cause__

    def _apply(self, g: ArrayLike) -> dict[str, Array]:
        case = self._case
        cotangent = require_cotangent(case, as_array(g, "g"), "g")
        if self._is_zero is not None:
            cotangent = np.where(self._is_zero, cotangent.dtype.type(0), cotangent)
        problem = case.bound.problem
        laid_out = case.bound.layout.canonical(cotangent).reshape(problem.output_shape)
        if problem.recipe.rule.is_linear:
            if self._adjoint is None:
                self._adjoint = input_gradient(case)
            gradients = {"input": self._adjoint(laid_out)}
            if self._x is not None:
                gradients |= _weight_gradients(case, self._x, laid_out)
        else:
            gradients = self._pull_back(laid_out)
        return {name: self._finished(name, array) for name, array in gradients.items()}

    def _pull_back(self, g: Array) -> dict[str, Array]:
        problem, operands = self._case.bound.problem, self._case.operands
        x = canonical_input(self._case, _given(self._x))
        sums, structure = _pullback.pull_back(problem, x, operands.weight, g)
        gradients = {"input": sums}
        if structure is not None:
            gradients[self._case.record.operands[0]] = structure
        return gradients

    def _finished(self, name: str, sums: Array) -> Array:
        case = self._case
        if name == "input":
            return own_input(case, sums, gradient_dtype(case, self._dtype))
        held = dict(zip(case.record.operands, case.operands, strict=False))[name]
        return as_dtype(sums, gradient_dtype(case, _given(held).dtype))


def _given(array: Array | None) -> Array:
    assert array is not None
    return array


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is that of real or complex numbers; bfloat16 is of another kind."""
    return dtype.kind in "fcV"


def gradient_dtype(case: Case, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the gradient after an array: its own, or after integers the result's."""
    return dtype.newbyteorder("=") if is_inexact(dtype) else case.bound.dtype


def as_dtype(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums rounded once; of complex ones after a real array only the real part counts."""
    if sums.dtype.kind == "c" and dtype.kind != "c":
        sums = sums.real
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(sums, dtype)


def own_input(case: Case, sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums in canonical order as an array of the input's own shape and layout."""
    layout = case.bound.layout
    laid_out = layout.own(sums.reshape(layout.canonical_shape(case.input_shape)))
    return as_dtype(laid_out, dtype)


def require_cotangent(case: Case, g: Array, name: str) -> Array:
    """`g` if it has the shape of the result, in the dtype of the problem."""
    bound = case.bound
    if g.shape != bound.shape:
        raise ShapeError(
            f"{name} has shape {g.shape}, the result has {bound.shape}",
            f"Pass a cotangent of shape {bound.shape}, one number for each of the result",
        )
    if g.dtype.kind == "c" and bound.problem.dtype.kind != "c":
        raise DTypeError(
            f"{name} has dtype {g.dtype}, the result is {bound.problem.dtype}",
            "Pass a real cotangent, or its real and imaginary part one after the other",
        )
    with np.errstate(all="ignore"):
        return g.astype(bound.problem.dtype, copy=False)


def canonical_input(case: Case, x: Array) -> Array:
    """The data in canonical order."""
    return case.bound.layout.canonical(x).reshape(case.bound.problem.input_shape)


def input_gradient(case: Case) -> Callable[[Array], Array]:
    """The adjoint of a linear operator, as a function on cotangents in canonical order."""
    weight = case.operands.weight
    conjugate = weight.conj() if weight is not None and weight.dtype.kind == "c" else weight
    return _adjoint.prepare_adjoint(case.bound.problem, conjugate)


def _has_weight_gradient(case: Case) -> bool:
    rule = case.bound.problem.recipe.rule
    return isinstance(rule, WeightedSum | PositionSum) and case.operands.weight is not None


def _weight_gradients(case: Case, x: Array, g: Array) -> Mapping[str, Array]:
    """The gradients after the weight and the bias; x in its own layout, g in canonical order."""
    problem, operands = case.bound.problem, case.operands
    shape = _given(operands.weight).shape
    gradients = {"weight": weight_gradient(problem, shape, canonical_input(case, x), g)}
    if operands.bias is not None:
        gradients["bias"] = bias_gradient(problem, g)
    return gradients
