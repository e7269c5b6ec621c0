"""Checks that every operator has to pass, for tests of faltung and of operators built on it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from faltung.bound import Operator
from faltung.typing import Array, ArrayLike, Shape

__all__ = ["assert_within_bound", "check_operator", "error_bound"]

UNIT_ROUNDOFF = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}


def error_bound(magnitude: Array, terms: int, dtype: Any) -> Array:
    """How far a sum of `terms` products may be from the exact one, element by element.

    Parameters
    ----------
    magnitude : array
        The operator applied to absolute values: ``|x| * |weight| + |bias|``.
    terms : int
        Products in a sum.
    dtype : dtype
        Of the result: a float or complex type.

    Notes
    -----
    ``1.01 (K + 2) u magnitude + K * smallest``; float16 and bfloat16 are summed in float32 and
    rounded once more; complex sums may be three times as far off.
    """
    kind = np.dtype(dtype)
    factor = 3.0 if kind.kind == "c" else 1.0
    name = {"complex64": "float32", "complex128": "float64"}.get(kind.name, kind.name)
    summed = "float32" if name in ("float16", "bfloat16") else name
    bound = 1.01 * (terms + 2) * UNIT_ROUNDOFF[summed] * magnitude + terms * SMALLEST[summed]
    if summed != name:
        bound = bound + UNIT_ROUNDOFF[name] * (magnitude + bound) + SMALLEST[name]
    return np.asarray(factor * bound)


def assert_within_bound(actual: Array, exact: Array, magnitude: Array, terms: int) -> None:
    """Raise `AssertionError` where `actual` is further from `exact` than `error_bound` allows."""
    assert actual.shape == exact.shape, f"shape {actual.shape}, expected {exact.shape}"
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    distance = np.abs(actual.astype(wide) - exact)
    excess = distance - error_bound(magnitude, terms, actual.dtype)
    worst = np.unravel_index(np.argmax(excess), excess.shape) if excess.size else None
    assert not (excess > 0).any(), f"{actual[worst]} at {worst}, expected {exact[worst]}"


def check_operator(operator: Operator, x: ArrayLike) -> None:
    """Check that an operator agrees with itself and with its textbook reference on `x`.

    Parameters
    ----------
    operator : Operator
        What to check.
    x : array
        Data with a batch axis. Where its values and those of the weights are small integers,
        results must be equal to the reference; else they must be close to it.

    Raises
    ------
    AssertionError
        Saying which promise is broken.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> ft.testing.check_operator(ft.Conv([[[[1, -1]]]]), np.arange(12).reshape(1, 1, 3, 4))
    """
    array = np.asarray(x)
    before = array.copy()
    y = _first(operator(array))
    _same(array, before, "the input was changed")
    assert y.shape == operator.output_shape(array.shape), "output_shape differs from the result"
    _close(y, operator.reference(array), "differs from the reference")
    _same(_first(operator(array)), y, "a second call gives other bits")
    _check_layouts(operator, array, y)
    _check_out(operator, array, y)
    _check_linearity(operator, array, y)
    _check_report(operator, array.shape, y)
    copy = pickle.loads(pickle.dumps(operator))
    assert copy == operator, "differs from itself after pickling"
    _same(_first(copy(array)), y, "gives other results after pickling")


def _first(result: Array | tuple[Array, Array]) -> Array:
    """What the faces work on, where a function returns a tuple."""
    return result[0] if isinstance(result, tuple) else result


def _check_layouts(operator: Operator, x: Array, y: Array) -> None:
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    _same(_first(operator(strided)), y, "strided input gives other results")
    reversed_twice = x[..., ::-1].copy()[..., ::-1]
    _same(_first(operator(reversed_twice)), y, "negative strides give other results")
    _same(_first(operator(np.asfortranarray(x))), y, "Fortran order gives other results")
    swapped = x.astype(x.dtype.newbyteorder("S"))
    _same(_first(operator(swapped)), y, "byte-swapped input gives other results")
    locked = x.copy()
    locked.flags.writeable = False
    _same(_first(operator(locked)), y, "read-only input gives other results")
    data, *others = operator.record.signature.inputs
    rank = len(operator.describe(x.shape).receptive_field) if data.spatial else 0
    has_batch = x.ndim == len(data.axes) + rank
    if len(x) and has_batch and not any(("n",) in operand.axes for operand in others):
        _close(_first(operator(x[0])), y[0], "a sample without batch axis gives other results")


def _check_out(operator: Operator, x: Array, y: Array) -> None:
    out = np.full(y.shape, 7, y.dtype)
    assert _first(operator(x, out=out)) is out, "out is not returned"
    _same(out, y, "out has other values than the result")


def _check_linearity(operator: Operator, x: Array, y: Array) -> None:
    """``op(2x) - op(x) == op(x) - op(0)``, which holds up to constants; skipped for bool."""
    if operator.describe(x.shape, x.dtype).matrix_shape is None or x.dtype.kind == "b":
        return
    with np.errstate(over="ignore"):
        twice, none = _first(operator(x + x)), _first(operator(np.zeros_like(x)))
        linear = y - none
        _close(twice - y, linear, "is not linear")
        _check_adjoint(operator, x, linear)


def _check_adjoint(operator: Operator, x: Array, linear: Array) -> None:
    """``<A x, g> == <x, A^H g>``; exact for integers, also where they wrap."""
    g = (np.arange(linear.size) % 5 - 2).reshape(linear.shape).astype(linear.dtype)
    back = operator.adjoint(x.shape)(g)
    assert back.shape == x.shape, f"the adjoint gives shape {back.shape}, expected {x.shape}"
    if linear.dtype.kind in "iu":
        exact = linear.dtype
    else:
        exact = np.dtype(np.complex128 if linear.dtype.kind == "c" else np.float64)
    pairs = (g, linear), (back, x)
    left, right = (np.vdot(a.astype(exact), b.astype(exact)) for a, b in pairs)
    if exact.kind in "iu":
        assert left == right, f"fails the dot test: {left} and {right}"
        return
    limit = {2: 1e-2, 4: 1e-5, 8: 1e-5 if linear.dtype.kind == "c" else 1e-12, 16: 1e-12}
    scale = max(float(np.abs(a.astype(exact) * b.astype(exact)).sum()) for a, b in pairs)
    is_near = abs(left - right) <= limit[linear.dtype.itemsize] * max(scale, 1.0)
    assert is_near, f"fails the dot test: {left} and {right}"


def _check_report(operator: Operator, shape: Shape, y: Array) -> None:
    report = operator.describe(shape, y.dtype)
    assert report.output_shape == y.shape, "describe has another output shape"
    assert report.flops == 2 * report.macs, "describe counts FLOPs that are not two a MAC"
    assert report.macs_without_padding <= report.macs, "fewer taps without padding expected"
    assert str(report).startswith(type(operator).__name__), "the report does not name the operator"
    assert report._repr_html_().startswith("<table"), "the report has no HTML form"


def _same(actual: Array, expected: Array, what: str) -> None:
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, expected {expected.dtype}"
    assert np.array_equal(actual, expected, equal_nan=actual.dtype.kind in "fc"), what


def _close(actual: Array, expected: Array, what: str) -> None:
    assert actual.shape == expected.shape, f"{what}: {actual.shape}, expected {expected.shape}"
    if actual.dtype.kind in "biu":
        assert np.array_equal(actual, expected), what
        return
    wide = expected.astype(np.complex128 if expected.dtype.kind == "c" else np.float64)
    limit = {2: 1e-2, 4: 1e-5, 8: 1e-5 if actual.dtype.kind == "c" else 1e-12, 16: 1e-12}
    scale = float(np.abs(wide).max(initial=1.0))
    distance = np.abs(actual.astype(wide.dtype) - wide).max(initial=0.0)
    assert distance <= limit[actual.dtype.itemsize] * scale, f"{what}: by {distance}"
