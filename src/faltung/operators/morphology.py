"""Grey morphology: the smallest and the largest cell under a structure, channel by channel.

Dilation by a structure and erosion by the same structure are adjoint in the order of pictures:
``dilate(a) <= b`` everywhere just where ``a <= erode(b)`` everywhere (interior cells).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import ShapeError, WindowError
from faltung.operators._arrays import Spec
from faltung.operators._checks import ordered
from faltung.operators._pooling import pooling_axes
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._problem import Recipe
from faltung.plans._rules import Morphology
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["dilate", "erode"]


def rank_of_structure(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: those of the structure."""
    rank = specs["structure"].ndim
    if rank < 1:
        raise ShapeError("structure is one number, expected an array with the spatial axes of x")
    return rank


def _slide(
    x: Array, structure: Array, stride: Any, padding: Any, dilation: Any, *, is_dilation: bool
) -> Array:
    """The loops over every output; each is one extreme over the cells in use."""
    if is_dilation:
        structure = structure[(slice(None, None, -1),) * structure.ndim]
    padded, is_real = pad_input(x, structure.shape, stride, padding, dilation)
    is_flat = structure.dtype.kind == "b"
    kernel, rank = structure.shape, structure.ndim
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    outputs = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    y = np.zeros((*x.shape[:2], *outputs), x.dtype)
    for place in np.ndindex(*outputs):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, strides, dilations, kernel, strict=True)
        )
        in_use = is_real[window] & structure if is_flat else is_real[window]
        where: Any = (..., *window)
        cells = padded[where][:, :, in_use]
        heights = 0 if is_flat else structure[in_use]
        values = (cells + heights).max(axis=2) if is_dilation else (cells - heights).min(axis=2)
        y[(slice(None), slice(None), *place)] = values
    return y


def textbook_erosion(
    x: Array, structure: Array, *, stride: Any, padding: Any, dilation: Any
) -> Array:
    """The smallest difference under each window."""
    padding = "same_lower" if padding in ("same", "half") else padding
    return _slide(x, structure, stride, padding, dilation, is_dilation=False)


def textbook_dilation(
    x: Array, structure: Array, *, stride: Any, padding: Any, dilation: Any
) -> Array:
    """The largest sum under each window."""
    return _slide(x, structure, stride, padding, dilation, is_dilation=True)


SAMPLES = (
    Sample("plain", {"x": (2, 3, 5, 7), "structure": (3, 3)}),
    Sample("even sides", {"x": (1, 2, 6, 5), "structure": (2, 4)}),
    Sample(
        "one side padded, strides differ",
        {"x": (2, 2, 7, 6), "structure": (3, 2)},
        {"stride": (2, 1), "padding": ((1, 0), (0, 1))},
    ),
    Sample("axes of one cell", {"x": (1, 2, 1, 4), "structure": (3, 3)}, {"padding": 1}),
    Sample(
        "dilated signal, stride above the kernel",
        {"x": (2, 3, 17), "structure": (3,)},
        {"dilation": 2, "stride": 6, "padding": "valid"},
    ),
    Sample("volume", {"x": (1, 2, 4, 3, 5), "structure": (3, 1, 2)}, {"stride": (1, 2, 3)}),
)


def _recipe(
    name: str,
    arrays: dict[str, Any],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    algorithm: str | None,
) -> Recipe:
    """The recipe of either, apart from its rule: a dilation."""
    sizes = match(name, arrays)
    kernel = sizes.spatial["k"]
    if 0 in kernel:
        raise WindowError(f"structure has shape {kernel}, expected at least 1 cell an axis")
    return Recipe(
        rule=Morphology(is_dilation=name == "dilate"),
        axes=pooling_axes(sizes.spatial["i"], kernel, stride, padding, dilation, False),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


@operator(
    signature="n c i..., k... -> n c j...",
    operands=("structure",),
    rank=rank_of_structure,
    reference=textbook_erosion,
    samples=SAMPLES,
    sources=("J. Serra, Image Analysis and Mathematical Morphology, 1982", "scipy.ndimage"),
    result_dtype=ordered,
)
def erode(
    x: ArrayLike,
    structure: ArrayLike,
    *,
    stride: Ints = 1,
    padding: Padding = "same",
    dilation: Ints = 1,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""The smallest cell under a structure: bright regions shrink.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data, of any dtype but a complex one; each channel by itself.
    structure : array, shape kernel
        Bool: the cells of the window that take part. Numbers: heights, which are subtracted.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring cells of the structure.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`; they take no part. ``"same"`` centres
        the structure as scipy.ndimage does: the extra cell of an even side is before, here as
        under ``"same_lower"``.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the result are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the inputs.

    Returns
    -------
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, of
        dtype ``numpy.result_type(x, structure)``.

    Raises
    ------
    WindowError
        Impossible stride, padding or dilation, or a window that sees no cell of the input.
    DTypeError
        Complex numbers, which have no order.
    ShapeError
        Data whose spatial axes are not those of the structure.

    Notes
    -----
    ``y[n, c, i] = min_k x[n, c, i * s + k * d - before] - structure[k]``. NaN in a window gives
    NaN. Differences of integers wrap like NumPy's: give `dtype` or heights of a wider type.

    References
    ----------
    J. Serra, "Image Analysis and Mathematical Morphology", 1982, chapter XII.
    `scipy.ndimage.grey_erosion`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.erode([[3, 5, 4, 9, 9]], [True, True, True])
    array([[3, 3, 4, 4, 9]])
    """
    arrays = {"x": x, "structure": structure}
    centred = "same_lower" if isinstance(padding, str) and padding in ("same", "half") else padding
    return _recipe("erode", arrays, stride, centred, dilation, algorithm)


@operator(
    signature="n c i..., k... -> n c j...",
    operands=("structure",),
    rank=rank_of_structure,
    reference=textbook_dilation,
    samples=SAMPLES,
    sources=("J. Serra, Image Analysis and Mathematical Morphology, 1982", "scipy.ndimage"),
    result_dtype=ordered,
)
def dilate(
    x: ArrayLike,
    structure: ArrayLike,
    *,
    stride: Ints = 1,
    padding: Padding = "same",
    dilation: Ints = 1,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""The largest cell under a reflected structure: bright regions grow by it.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data, of any dtype but a complex one; each channel by itself.
    structure : array, shape kernel
        Bool: the cells of the window that take part. Numbers: heights, which are added. A cell of
        the data that stands alone becomes the structure; that is why the window sees it reflected.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring cells of the structure.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`; they take no part. ``"same"`` centres
        the reflected structure as scipy.ndimage does: the extra cell of an even side is after.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the result are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the inputs.

    Returns
    -------
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, of
        dtype ``numpy.result_type(x, structure)``.

    Raises
    ------
    WindowError
        Impossible stride, padding or dilation, or a window that sees no cell of the input.
    DTypeError
        Complex numbers, which have no order.
    ShapeError
        Data whose spatial axes are not those of the structure.

    Notes
    -----
    ``y[n, c, i] = max_k x[n, c, i * s + k * d - before] + structure[K - 1 - k]``. NaN in a window
    gives NaN. Sums of integers wrap like NumPy's: give `dtype` or heights of a wider type.

    References
    ----------
    J. Serra, "Image Analysis and Mathematical Morphology", 1982, chapter XII.
    `scipy.ndimage.grey_dilation`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.dilate([[0, 0, 5, 0, 0]], [1, 2, 4])
    array([[2, 6, 7, 9, 4]])
    """
    arrays = {"x": x, "structure": structure}
    return _recipe("dilate", arrays, stride, padding, dilation, algorithm)
