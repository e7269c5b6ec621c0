"""The gradients of convolution as functions of arrays, for those who build their own backward pass.

They are convolutions again, so that gradients of gradients need nothing new: `conv_input_grad` is
linear in `grad` and in `weight`, with `conv` and `conv_weight_grad` as its own gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung._case import Case
from faltung._door import door
from faltung.errors import DTypeError
from faltung.gradient import (
    as_dtype,
    canonical_input,
    input_gradient,
    is_inexact,
    own_input,
    require_cotangent,
)
from faltung.operators._arrays import Spec, as_array, as_shape
from faltung.operators._call import bind
from faltung.operators._record import REGISTRY
from faltung.operators.conv import conv
from faltung.operators.conv_transpose import conv_transpose
from faltung.plans._problem import Operands
from faltung.plans._weight_gradient import weight_gradient
from faltung.typing import Array, ArrayLike, Ints, Padding, Shape

__all__ = [
    "conv_input_grad",
    "conv_transpose_input_grad",
    "conv_transpose_weight_grad",
    "conv_weight_grad",
]


def _bound(
    function: Callable[..., Array],
    shapes: dict[str, Shape],
    given: dict[str, Array],
    parameters: dict[str, Any],
) -> Case:
    """The operator whose gradients are asked for, bound to shapes; dtypes are those of arrays."""
    record = REGISTRY[function.__name__]
    dtype = np.result_type(*(array.dtype for array in given.values()))
    if not is_inexact(dtype):
        raise DTypeError(
            f"{' and '.join(given)} have the joint dtype {dtype}, which has no gradients",
            "Convert one of them to a float dtype",
        )
    specs = {key: Spec(key, shape, dtype) for key, shape in shapes.items()}
    taken = {**record.defaults, **record.class_parameters, **parameters}
    taken.pop("out")
    bound = bind(record, specs, taken)
    operands = Operands(given.get("weight"))
    return Case(record.class_name, record, bound, operands, shapes["x"], taken)


def _cotangent(case: Case, grad: Array) -> Array:
    """The gradient after the result, in canonical order."""
    g = require_cotangent(case, grad, "grad")
    return case.bound.layout.canonical(g).reshape(case.bound.problem.output_shape)


def _input_grad(
    function: Callable[..., Array],
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Shape,
    **parameters: Any,
) -> Array:
    given = {"grad": as_array(grad, "grad"), "weight": as_array(weight, "weight")}
    shapes = {"x": as_shape(input_shape), "weight": given["weight"].shape}
    case = _bound(function, shapes, given, parameters)
    sums = input_gradient(case)(_cotangent(case, given["grad"]))
    return own_input(case, sums, case.bound.dtype)


def _weight_grad(
    function: Callable[..., Array],
    x: ArrayLike,
    grad: ArrayLike,
    weight_shape: Shape,
    **parameters: Any,
) -> Array:
    given = {"x": as_array(x, "x"), "grad": as_array(grad, "grad")}
    shape = as_shape(weight_shape, "weight_shape")
    case = _bound(function, {"x": given["x"].shape, "weight": shape}, given, parameters)
    data = canonical_input(case, given["x"])
    sums = weight_gradient(case.bound.problem, shape, data, _cotangent(case, given["grad"]))
    return as_dtype(sums, case.bound.dtype)


@door
def conv_input_grad(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Shape,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    padding_value: complex = 0,
    flip: bool = False,
    precision: str | None = None,
    data_format: str = "channels_first",
) -> Array:
    r"""The gradient of `conv` after its input, from the gradient after its result.

    Parameters
    ----------
    grad : array, shape (N, O, \*out) or (O, \*out)
        The gradient after the result of ``conv(x, weight, ...)``.
    weight : array, shape (O, C // groups, \*kernel)
        The weight of the convolution.
    input_shape : tuple of int
        The shape of its input x, with a batch axis if `grad` has one.
    stride, padding, dilation, groups, padding_mode, padding_value, flip, precision, data_format
        As in `conv`.

    Returns
    -------
    array, of shape `input_shape`
        Of dtype ``numpy.result_type(grad, weight)``.

    Raises
    ------
    ShapeError
        A `grad` that does not have the shape of the result.
    DTypeError
        Integers, which have no gradients.

    Notes
    -----
    Ignoring space, ``W^H g``; over space the transposed convolution with the conjugate weight,
    what falls on the padding added to the cell that was read there.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285,
    section 4.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.conv_input_grad([[1.0, 10.0]], [[[1, 2, 3]]], (1, 4))
    array([[ 1., 12., 23., 30.]])
    """
    return _input_grad(
        conv,
        grad,
        weight,
        input_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        padding_value=padding_value,
        flip=flip,
        precision=precision,
        data_format=data_format,
    )


@door
def conv_weight_grad(
    x: ArrayLike,
    grad: ArrayLike,
    weight_shape: Shape,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    padding_value: complex = 0,
    flip: bool = False,
    data_format: str = "channels_first",
) -> Array:
    r"""The gradient of `conv` after its weight, from the gradient after its result.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The input of the convolution.
    grad : array, shape (N, O, \*out) or (O, \*out)
        The gradient after the result of ``conv(x, weight, ...)``.
    weight_shape : tuple of int
        The shape of the weight, ``(O, C // groups, *kernel)``.
    stride, padding, dilation, groups, padding_mode, padding_value, flip, data_format
        As in `conv`.

    Returns
    -------
    array, of shape `weight_shape`
        Of dtype ``numpy.result_type(x, grad)``; 16-bit floats are summed in float32.

    Raises
    ------
    ShapeError
        Shapes that do not fit together.
    DTypeError
        Integers, which have no gradients.

    Notes
    -----
    ``sum_{n, i} grad[n, o, i] * conj(x[n, c, i * s + k * d - before])``: a convolution of x with
    `grad`, stride and dilation exchanged. The cost is that of `conv`, in blocks of 1 MiB.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.conv_weight_grad([[1.0, 2, 3, 4]], [[1, 10]], (1, 1, 3))
    array([[[21., 32., 43.]]])
    """
    return _weight_grad(
        conv,
        x,
        grad,
        weight_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        padding_value=padding_value,
        flip=flip,
        data_format=data_format,
    )


@door
def conv_transpose_input_grad(
    grad: ArrayLike,
    weight: ArrayLike,
    input_shape: Shape,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    output_size: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    precision: str | None = None,
    data_format: str = "channels_first",
) -> Array:
    r"""The gradient of `conv_transpose` after its input, from the gradient after its result.

    Parameters
    ----------
    grad : array, shape (N, O, \*out) or (O, \*out)
        The gradient after the result of ``conv_transpose(x, weight, ...)``.
    weight : array, shape (C, O // groups, \*kernel)
        The weight of the transposed convolution.
    input_shape : tuple of int
        The shape of its input x, with a batch axis if `grad` has one.
    stride, padding, output_padding, output_size, dilation, groups, padding_mode, flip
        As in `conv_transpose`, also `precision` and `data_format`.

    Returns
    -------
    array, of shape `input_shape`
        Of dtype ``numpy.result_type(grad, weight)``: the convolution of `grad` with the conjugate
        weight.

    Raises
    ------
    ShapeError
        A `grad` that does not have the shape of the result.
    DTypeError
        Integers, which have no gradients.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.conv_transpose_input_grad([[1.0, 0, 0, 10]], [[[1, 2]]], (1, 3))
    array([[ 1.,  0., 20.]])
    """
    return _input_grad(
        conv_transpose,
        grad,
        weight,
        input_shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        output_size=output_size,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        flip=flip,
        precision=precision,
        data_format=data_format,
    )


@door
def conv_transpose_weight_grad(
    x: ArrayLike,
    grad: ArrayLike,
    weight_shape: Shape,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    output_size: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    data_format: str = "channels_first",
) -> Array:
    r"""The gradient of `conv_transpose` after its weight, from the gradient after its result.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The input of the transposed convolution.
    grad : array, shape (N, O, \*out) or (O, \*out)
        The gradient after the result of ``conv_transpose(x, weight, ...)``.
    weight_shape : tuple of int
        The shape of the weight, ``(C, O // groups, *kernel)``.
    stride, padding, output_padding, output_size, dilation, groups, padding_mode, flip, data_format
        As in `conv_transpose`.

    Returns
    -------
    array, of shape `weight_shape`
        Of dtype ``numpy.result_type(x, grad)``; 16-bit floats are summed in float32.

    Raises
    ------
    ShapeError
        Shapes that do not fit together.
    DTypeError
        Integers, which have no gradients.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.conv_transpose_weight_grad([[1.0, 10]], [[1, 2, 3]], (1, 1, 2))
    array([[[21., 32.]]])
    """
    return _weight_grad(
        conv_transpose,
        x,
        grad,
        weight_shape,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        output_size=output_size,
        dilation=dilation,
        groups=groups,
        padding_mode=padding_mode,
        flip=flip,
        data_format=data_format,
    )
