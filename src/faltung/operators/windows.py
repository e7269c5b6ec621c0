"""`windows`: every window of an array as a view, without a copy."""

from __future__ import annotations

from math import prod

import numpy as np

from faltung.errors import FaltungError, ResourceError
from faltung.geometry.layout import layout_of
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec, as_array
from faltung.operators._checks import rank_of
from faltung.typing import Array, ArrayLike, Ints

__all__ = ["windows"]


def windows(
    x: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints = 1,
    dilation: Ints = 1,
    data_format: str = "channels_first",
) -> Array:
    r"""Every window of the data as a read-only view; nothing is copied or computed.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data.
    kernel_size : int or sequence of int
        Taps of the window. With an int, all axes but the first two are spatial.
    stride, dilation : int or sequence of int
        Cells between neighbouring windows, and between neighbouring taps.
    data_format : {"channels_first", "channels_last"}
        The layout of x; that of the result does not change.

    Returns
    -------
    array, shape (N, C, \*out, \*kernel) or (C, \*out, \*kernel)
        ``out = (n - dilation * (k - 1) - 1) // stride + 1`` on each axis. The view shares x's
        memory: a write to x shows in it.

    Raises
    ------
    WindowError
        Impossible parameters, or a window larger than the input.
    ShapeError
        An array with the wrong number of axes.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.windows([[[1, 2, 3, 4]]], 2, stride=2)
    array([[[[1, 2],
             [3, 4]]]])
    """
    try:
        return _windows(as_array(x, "x"), kernel_size, stride, dilation, data_format)
    except FaltungError as error:
        shape = getattr(x, "shape", None)
        raise error.at("windows", "" if shape is None else f"x {shape}") from None


def _windows(
    x: Array, kernel_size: object, stride: object, dilation: object, data_format: str
) -> Array:
    spec = Spec("x", x.shape, x.dtype)
    rank = rank_of("kernel_size", {"x": spec}, {"kernel_size": kernel_size})
    layout = layout_of(x.shape, rank, data_format)
    cells = layout.canonical(x)
    axes = axis_windows(rank, kernel_size, stride, dilation)
    sizes, steps = cells.shape[2:], cells.strides[2:]
    outputs = tuple(axis.output_size(size) for axis, size in zip(axes, sizes, strict=True))
    shape = (*cells.shape[:2], *outputs, *(axis.kernel for axis in axes))
    if prod(shape) * x.itemsize >= 2**63:
        raise ResourceError(
            f"a view of shape {shape} has more bytes than NumPy can count",
            "Use a smaller kernel_size or a larger stride",
        )
    view = np.lib.stride_tricks.as_strided(
        cells,
        shape,
        (
            *cells.strides[:2],
            *(step * axis.stride for axis, step in zip(axes, steps, strict=True)),
            *(step * axis.dilation for axis, step in zip(axes, steps, strict=True)),
        ),
        writeable=False,
    )
    return view if layout.has_batch else view[0]
