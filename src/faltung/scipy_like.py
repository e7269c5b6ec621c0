"""`correlate`, `convolve` and their 2-D sisters: the meaning of `scipy.signal`, on any arrays.

A correlation is the convolution with the second operand reversed and conjugated, and a
convolution does not mind the order of its operands, so that one function does all the work:
output n of the convolution is ``sum(x[i] * v[n + start - i])`` over the cells that both have,
where `start` says which part of the full result is wanted.
"""

from __future__ import annotations

from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from faltung._door import door
from faltung._plain import as_scalar_of, choice
from faltung._transform import by_transform, is_faithful, is_worth_while, result_shape
from faltung.config import current_settings
from faltung.errors import OptionError, ShapeError
from faltung.geometry.border import MODES, canonical_mode
from faltung.operators._arrays import as_array, joint_dtype
from faltung.operators.conv import conv
from faltung.plans import fft
from faltung.typing import Array, ArrayLike, Shape

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d"]

PARTS = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")
SUMS = ("image", "direct", "stencil")
"""Algorithms that multiply and add, the quicker ones first."""
BOUNDARIES = tuple(mode for mode in MODES if mode != "blank")


@door
def correlate(in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto") -> Array:
    """Cross-correlate two arrays of the same rank, as `scipy.signal.correlate` does.

    Parameters
    ----------
    in1, in2 : array_like
        Any rank and dtype; `in2` is conjugated.
    mode : {"full", "same", "valid"}, optional
        All positions where the operands meet; the part of the shape of `in1` around the middle;
        the positions where one lies wholly inside the other.
    method : {"auto", "direct", "fft"}, optional
        ``"fft"`` is fast for large operands, and rounds in relation to the largest values.
        ``"auto"`` takes it for large floats, by shape and dtype alone; never inside
        `reproducible`.

    Returns
    -------
    array
        Of dtype ``np.result_type(in1, in2)``. ``"full"``: ``n1 + n2 - 1`` an axis; ``"same"``:
        ``n1``; ``"valid"``: ``abs(n1 - n2) + 1``.

    Raises
    ------
    ShapeError
        For different ranks, empty operands, or ``"valid"`` where neither contains the other.
    OptionError
        For an unknown mode or method.

    Notes
    -----
    ``y[m] = sum(in1[m - n2 + 1 + j] * conj(in2[j]))`` over all j, for mode ``"full"``.
    Integers are exact and wrap around; a NaN stays in the windows that contain it, with every
    method.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.correlate([1, 2, 3], [0, 1, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    x, template = _operands(in1, in2)
    reversed_template = template[(slice(None, None, -1),) * template.ndim]
    if template.dtype.kind == "c":
        reversed_template = reversed_template.conj()
    return _convolution(x, reversed_template, mode, method)


@door
def convolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto") -> Array:
    """Convolve two arrays of the same rank, as `scipy.signal.convolve` does.

    Parameters
    ----------
    in1, in2 : array_like
        Any rank and dtype.
    mode : {"full", "same", "valid"}, optional
        All positions where the operands meet; the part of the shape of `in1` around the middle;
        the positions where one lies wholly inside the other.
    method : {"auto", "direct", "fft"}, optional
        As in `correlate`.

    Returns
    -------
    array
        Of dtype ``np.result_type(in1, in2)``. ``"full"``: ``n1 + n2 - 1`` an axis; ``"same"``:
        ``n1``; ``"valid"``: ``abs(n1 - n2) + 1``.

    Raises
    ------
    ShapeError
        For different ranks, empty operands, or ``"valid"`` where neither contains the other.
    OptionError
        For an unknown mode or method.

    Notes
    -----
    ``y[m] = sum(in1[m - j] * in2[j])`` over all j, for mode ``"full"``.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.convolve([1, 2, 3], [0, 1, 0.5])
    array([0. , 1. , 2.5, 4. , 1.5])
    >>> ft.convolve([1, 2, 3, 4], [1, 1], mode="valid")
    array([3, 5, 7])
    """
    return _convolution(*_operands(in1, in2), mode, method)


@door
def correlate2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: complex = 0,
) -> Array:
    """Cross-correlate two 2-D arrays, as `scipy.signal.correlate2d` does.

    Parameters
    ----------
    in1, in2 : array_like, 2-D
        Any dtype; `in2` is conjugated.
    mode : {"full", "same", "valid"}, optional
        As in `correlate`. For even sizes ``"same"`` takes the window one cell later than
        `correlate` does, as in SciPy.
    boundary : str, optional
        What lies beyond the edges of `in1`: ``"fill"``, ``"wrap"``, ``"symm"``, or any border
        mode of `conv`.
    fillvalue : number, optional
        For ``"fill"``; with 0 the cells outside take no part.

    Returns
    -------
    array, 2-D
        Of dtype ``np.result_type(in1, in2)``, shape as in `correlate`.

    Raises
    ------
    ShapeError
        If an operand is not 2-D, or for ``"valid"`` where neither contains the other.
    OptionError
        For an unknown mode or boundary.

    Notes
    -----
    Where ``"valid"`` has to exchange the operands, SciPy conjugates the other one; so does this.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.correlate2d([[1, 2], [3, 4]], [[1, 1]], mode="same", boundary="wrap")
    array([[3, 3],
           [7, 7]])
    """
    x, template = _planes(in1, in2)
    border, fill = _boundary(
        boundary, fillvalue, joint_dtype((x.dtype, template.dtype), "in1 and in2")
    )
    is_swapped = choice(mode, "mode", PARTS) == "valid" and _is_swapped(x.shape, template.shape)
    if is_swapped:
        x, template = template, x
    if template.dtype.kind == "c":
        template = template.conj()
    before = {
        "full": [size - 1 for size in template.shape],
        "same": [(size - 1) // 2 for size in template.shape],
        "valid": [0, 0],
    }[mode]
    shape = result_shape(x.shape, template.shape, mode)
    result = _windows(x, template, before, shape, border=border, fill=fill)
    return result[::-1, ::-1] if is_swapped else result


@door
def convolve2d(
    in1: ArrayLike,
    in2: ArrayLike,
    mode: str = "full",
    boundary: str = "fill",
    fillvalue: complex = 0,
) -> Array:
    """Convolve two 2-D arrays, as `scipy.signal.convolve2d` does.

    Parameters
    ----------
    in1, in2 : array_like, 2-D
        Any dtype.
    mode : {"full", "same", "valid"}, optional
        As in `convolve`.
    boundary : str, optional
        What lies beyond the edges of `in1`: ``"fill"``, ``"wrap"``, ``"symm"``, or any border
        mode of `conv`.
    fillvalue : number, optional
        For ``"fill"``; with 0 the cells outside take no part.

    Returns
    -------
    array, 2-D
        Of dtype ``np.result_type(in1, in2)``, shape as in `convolve`.

    Raises
    ------
    ShapeError
        If an operand is not 2-D, or for ``"valid"`` where neither contains the other.
    OptionError
        For an unknown mode or boundary.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.convolve2d([[1, 2], [3, 4]], [[1, 1]], mode="same", boundary="symm")
    array([[2, 3],
           [6, 7]])
    """
    x, kernel = _planes(in1, in2)
    border, fill = _boundary(
        boundary, fillvalue, joint_dtype((x.dtype, kernel.dtype), "in1 and in2")
    )
    if choice(mode, "mode", PARTS) == "valid" and _is_swapped(x.shape, kernel.shape):
        x, kernel = kernel, x
    before = {
        "full": [size - 1 for size in kernel.shape],
        "same": [size // 2 for size in kernel.shape],
        "valid": [0, 0],
    }[mode]
    shape = result_shape(x.shape, kernel.shape, mode)
    return _windows(x, kernel[::-1, ::-1], before, shape, border=border, fill=fill)


def _operands(in1: ArrayLike, in2: ArrayLike) -> tuple[Array, Array]:
    x, v = as_array(in1, "in1"), as_array(in2, "in2")
    if x.ndim != v.ndim:
        raise ShapeError(
            f"in1 has {x.ndim} axes and in2 has {v.ndim}: in1 {x.shape}, in2 {v.shape}",
            "Give both the same number of axes, for example with in2[None]",
        )
    return x, v


def _planes(in1: ArrayLike, in2: ArrayLike) -> tuple[Array, Array]:
    x, v = as_array(in1, "in1"), as_array(in2, "in2")
    for name, array in (("in1", x), ("in2", v)):
        if array.ndim != 2:
            raise ShapeError(
                f"{name} has {array.ndim} axes, expected 2: {name} {array.shape}",
                "Use correlate or convolve for other ranks",
            )
    return x, v


def _boundary(boundary: str, fillvalue: complex, dtype: np.dtype[Any]) -> tuple[str, Any]:
    border = canonical_mode(boundary, "boundary", BOUNDARIES)
    fill = as_scalar_of(dtype, fillvalue, "fillvalue")
    if border != "constant" or fill == 0:
        return ("zeros" if border == "constant" else border), 0
    return border, fill


def _is_swapped(first: Shape, second: Shape) -> bool:
    """Whether the second is the one that contains the other, for mode "valid"."""
    if all(n >= k for n, k in zip(first, second, strict=True)):
        return False
    if all(k >= n for n, k in zip(first, second, strict=True)):
        return True
    raise ShapeError(
        f"mode 'valid' needs one operand inside the other on every axis: in1 {first}, in2 {second}",
        "Use mode 'full' or 'same'",
    )


def _convolution(x: Array, v: Array, mode: str, method: str) -> Array:
    """The wanted part of the convolution of `x` and `v`."""
    choice(mode, "mode", PARTS)
    choice(method, "method", METHODS)
    dtype = joint_dtype((x.dtype, v.dtype), "in1 and in2")
    if x.ndim == 0:
        with np.errstate(all="ignore"):
            product: Array = np.multiply(x, v)
        return product
    if x.size == 0 or v.size == 0:
        raise ShapeError(f"an operand is empty: in1 {x.shape}, in2 {v.shape}")
    if mode == "valid":
        _is_swapped(x.shape, v.shape)
    shape = result_shape(x.shape, v.shape, mode)
    if mode == "valid":
        start = [min(n, k) - 1 for n, k in zip(x.shape, v.shape, strict=True)]
    else:
        start = [(k - 1) // 2 if mode == "same" else 0 for k in v.shape]
    data, kernel = (x, v) if v.size <= x.size else (v, x)
    is_wanted = method == "fft" or (method == "auto" and is_worth_while(x, v, shape))
    is_large = method == "direct" and prod(shape) * kernel.size >= fft.LEAST_SUMS
    is_planned = (is_wanted or is_large) and not current_settings().reproducible
    is_planned = is_planned and fft.holds(kernel.shape, dtype)
    if is_wanted and not is_planned and is_faithful(x, v):
        result = by_transform(x, v, start, shape).astype(dtype)
        if dtype.kind in "iu" or np.isfinite(result).all():
            return result
    before = [k - 1 - first for k, first in zip(kernel.shape, start, strict=True)]
    flipped = kernel[(slice(None, None, -1),) * kernel.ndim]
    if method == "fft" and is_planned:
        return _windows(data, flipped, before, shape, algorithm=fft.name)
    if is_large and is_planned:
        for name in SUMS:  # of which the last one sums everything
            with suppress(OptionError):
                return _windows(data, flipped, before, shape, algorithm=name)
    return _windows(data, flipped, before, shape)


def _windows(
    x: Array,
    kernel: Array,
    before: list[int],
    shape: Shape,
    *,
    border: str = "zeros",
    fill: Any = 0,
    algorithm: str | None = None,
) -> Array:
    """The correlation whose first window begins `before` cells before `x` on each axis."""
    if kernel.size == 0 or 0 in shape or (x.size == 0 and border != "constant"):
        return _empty_sums(x, kernel, shape)
    after = [
        out + k - 1 - pad - n
        for n, k, pad, out in zip(x.shape, kernel.shape, before, shape, strict=True)
    ]
    # Where the first or last windows leave out some cells of x, these are cut off.
    cells = tuple(
        slice(max(-low, 0), n - max(-high, 0))
        for n, low, high in zip(x.shape, before, after, strict=True)
    )
    padding = tuple((max(low, 0), max(high, 0)) for low, high in zip(before, after, strict=True))
    result = conv(
        x[cells][None, None],
        kernel[None, None],
        padding=padding,
        padding_mode=border,
        padding_value=fill,
        algorithm=algorithm,
    )
    plane: Array = result[0, 0]
    return plane


def _empty_sums(x: Array, kernel: Array, shape: Shape) -> Array:
    """Sums without terms, as SciPy's 2-D functions have them."""
    if min(shape) < 0:
        raise ShapeError(f"both operands are empty: {x.shape} and {kernel.shape}")
    return np.zeros(shape, joint_dtype((x.dtype, kernel.dtype), "in1 and in2"))
