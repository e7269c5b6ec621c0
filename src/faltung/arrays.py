"""`filter_array`: one filter over N-D arrays without channels, missing values included."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import repr as short_repr
from typing import Any

import numpy as np

from faltung._array_sums import Missing, Windows, correlate, correlate_valid
from faltung._door import door
from faltung._plain import as_scalar_of, choice, window_padding
from faltung.errors import DTypeError, ShapeError, WindowError
from faltung.geometry.arguments import as_int, as_ints
from faltung.geometry.border import canonical_mode
from faltung.operators._arrays import as_array, check_cast, check_out, joint_dtype, wider_dtype
from faltung.operators._checks import as_flag
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Shape

__all__ = ["filter_array"]


@door
def filter_array(
    x: ArrayLike,
    kernel: ArrayLike,
    *,
    axes: Ints | None = None,
    border: str = "reflect",
    cval: complex = 0,
    origin: Ints = 0,
    flip: bool = False,
    stride: Ints = 1,
    nan: str = "propagate",
    mask: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Array:
    """Filter an array without channels: a volume, a stack, a series.

    Parameters
    ----------
    x : array_like
        Any rank and dtype.
    kernel : array_like
        The filter; its rank is the number of axes that are filtered.
    axes : int or sequence of int, optional
        Which axis of `x` each axis of the kernel lies along, by default the last ones. All other
        axes count samples that are filtered independently.
    border : str, optional
        What the cells beyond the ends show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge, as in NumPy (`scipy.ndimage` calls that ``"mirror"``).
    cval : number, optional
        The value of cells outside for the border ``"constant"``; others do not look at it.
    origin : int or sequence of int, optional
        Shifts the kernel's centre, ``k // 2``, as in `scipy.ndimage`: from ``-(k // 2)`` to
        ``(k - 1) // 2``, positive numbers let the window see earlier cells.
    flip : bool, optional
        Convolution in the mathematical sense, as `scipy.ndimage.convolve`.
    stride : int or sequence of int, optional
        Keep every so-manieth result along the filtered axes.
    nan : {"propagate", "ignore"}, optional
        ``"ignore"`` takes NaN cells for missing.
    mask : array_like of bool, optional
        True where a cell is valid; broadcasts to the shape of `x`.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the inputs.

    Returns
    -------
    array
        The shape of `x`, with ``ceil(n / stride)`` along filtered axes, of dtype
        ``np.result_type(x, kernel)``. With missing cells at least float: float64 for integers.

    Raises
    ------
    ShapeError
        If kernel, axes or mask do not fit `x`.
    WindowError
        If an origin or stride is impossible, or a filtered axis has no cells.
    OptionError
        For an unknown border mode.
    DTypeError
        For arrays that have no common dtype, or a mask that is not bool.

    Notes
    -----
    ``y[i] = sum(kernel[j] * x[i * stride + j - k // 2 - origin])`` over all j. Where cells are
    missing the mean of the valid ones stands in for them (normalised convolution):
    ``y = conv(x * v, w) * sum(abs(w)) / conv(v, abs(w))`` with v = 1 for valid cells, 0 for
    missing ones. That is the plain result where all cells are valid, and NaN where none is that has
    a weight: a kernel of zeros alone gives NaN everywhere. The cells outside repeat what they
    show, missing or not; constants are valid.

    References
    ----------
    H. Knutsson, C.-F. Westin, "Normalized and differential convolution", CVPR 1993, section 3.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> ft.filter_array([1, 2, 4, 8], [1, 1, 1], border="edge")
    array([ 4,  7, 14, 20])
    >>> ft.filter_array([1, np.nan, 4, 8], [0.5, 0.5], nan="ignore", border="edge")
    array([1., 1., 4., 6.])
    """
    array, weights = as_array(x, "x"), as_array(kernel, "kernel")
    windows = _windows(array, weights, axes, border, origin, flip, stride)
    has_missing = choice(nan, "nan", ("propagate", "ignore")) == "ignore"
    natural = joint_dtype((array.dtype, weights.dtype), "x and kernel")
    if (has_missing or mask is not None) and natural.kind in "biu":
        natural = np.dtype(np.float64)
    wanted = natural if dtype is None else check_cast(natural, dtype)
    if windows.mode == "constant":
        windows = windows._replace(fill=as_scalar_of(wanted, cval, "cval"))
    missing = Missing(_as_mask(array, mask), has_missing and array.dtype.kind not in "biu")
    shape = _result_shape(array.shape, windows)
    if out is not None:
        check_out(out, shape, wanted)
    has_weight = not has_missing or bool(weights.any())
    if missing.mask is None and not missing.ignores_nan and has_weight:
        result = correlate(array, weights, windows, wanted, out)
    else:
        working = _working_dtype(wider_dtype(natural, wanted))
        result = correlate_valid(array, weights, windows, missing, working, out)
    if result is out:
        return result
    with np.errstate(all="ignore"):
        result = result.astype(wanted, copy=False)
    if out is None:
        return result
    np.copyto(out, result)
    return out


def _working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What sums are scaled in before they are rounded: no less than float32."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _windows(
    x: Array,
    kernel: Array,
    axes: object,
    border: object,
    origin: object,
    flip: object,
    stride: object,
) -> Windows:
    """The checked geometry of a call."""
    if kernel.ndim == 0 or kernel.ndim > x.ndim:
        raise ShapeError(
            f"kernel has {kernel.ndim} axes, x has {x.ndim}: kernel {kernel.shape}, x {x.shape}",
            "Give a kernel with at least one axis and at most as many as x",
        )
    if kernel.size == 0:
        raise WindowError(f"kernel has shape {kernel.shape}, expected at least 1 cell an axis")
    places = _places(axes, kernel.ndim, x)
    if any(x.shape[place] == 0 for place in places):
        raise WindowError(f"x has shape {x.shape}, with no cell along the filtered axes {places}")
    shifts = as_ints(origin, "origin", kernel.ndim, minimum=-(2**60))
    for size, shift in zip(kernel.shape, shifts, strict=True):
        if not -(size // 2) <= shift <= (size - 1) // 2:
            raise WindowError(
                f"origin is {shift} for a kernel of {size} cells along that axis",
                f"Use {-(size // 2)} to {(size - 1) // 2}",
            )
    is_flipped = as_flag(flip, "flip")
    centres = [size // 2 + shift for size, shift in zip(kernel.shape, shifts, strict=True)]
    return Windows(
        axes=places,
        padding=window_padding(kernel.shape, centres, is_flipped),
        stride=as_ints(stride, "stride", kernel.ndim),
        mode=canonical_mode(border, "border"),
        fill=0,
        is_flipped=is_flipped,
    )


def _places(axes: object, rank: int, x: Array) -> Shape:
    """The axis of x that each axis of the kernel lies along, counted from the first."""
    if axes is None:
        return tuple(range(x.ndim - rank, x.ndim))
    is_one = np.ndim(axes) == 0 if isinstance(axes, np.ndarray) else not isinstance(axes, Sequence)
    names = [axes] if is_one else list(axes)  # type: ignore[call-overload]
    if len(names) != rank:
        raise ShapeError(
            f"axes {short_repr(axes)} names {len(names)} axes, the kernel has {rank}",
            "Name one axis of x for each axis of the kernel",
        )
    places = [as_int(axis, "axes", -x.ndim) for axis in names]
    if max(places) >= x.ndim:
        raise ShapeError(f"axes {short_repr(axes)} names an axis that x {x.shape} does not have")
    places = [place % x.ndim for place in places]
    if len(set(places)) < rank:
        raise ShapeError(f"axes {short_repr(axes)} names an axis twice")
    return tuple(places)


def _result_shape(shape: Shape, windows: Windows) -> Shape:
    result = list(shape)
    for place, step in zip(windows.axes, windows.stride, strict=True):
        result[place] = -(-shape[place] // step)
    return tuple(result)


def _as_mask(x: Array, mask: ArrayLike | None) -> Array | None:
    """The mask in the shape of x, None for none."""
    if mask is None:
        return None
    valid = as_array(mask, "mask")
    if valid.dtype != bool:
        raise DTypeError(f"mask has dtype {valid.dtype}, expected bool", "True marks a valid cell")
    try:
        return np.broadcast_to(valid, x.shape)
    except ValueError:
        raise ShapeError(
            f"mask has shape {valid.shape}, which does not broadcast to x {x.shape}"
        ) from None
