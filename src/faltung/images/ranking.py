"""Ranks under a window: median, minimum, maximum and percentile filters of pictures."""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as short_repr
from typing import Any

import numpy as np

from faltung._door import door
from faltung._plain import as_number, as_scalar_of, window_padding
from faltung.errors import DTypeError, OptionError
from faltung.geometry.arguments import as_ints
from faltung.geometry.border import canonical_mode
from faltung.images._arguments import as_anchor, as_picture
from faltung.operators.window_reduce import window_reduce
from faltung.typing import Array, ArrayLike, Ints

__all__ = ["maximum_filter", "median_filter", "minimum_filter", "percentile_filter"]


@door
def median_filter(
    image: ArrayLike,
    size: Ints,
    *,
    border: str = "reflect",
    cval: float = 0,
    anchor: str | Ints = "center",
    stride: Ints = 1,
) -> Array:
    """Replace every pixel by the median of its neighbourhood, which takes out what stands alone.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype; every channel is filtered by itself.
    size : int or pair of int
        Height and width of the window.
    border : str, optional
        What the pixels beyond the edges show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge (`scipy.ndimage` calls that ``"mirror"``).
    cval : number, optional
        The value of pixels outside for the border ``"constant"``.
    anchor : "center" or int or pair of int, optional
        The cell of the window that lies on the pixel, row first; ``"center"`` is ``k // 2``.
    stride : int or pair of int, optional
        Keep every so-manieth row and column.

    Returns
    -------
    array, shape (ceil(H / stride), ceil(W / stride)[, C])
        Values of the picture, in its dtype. NaN in a window gives NaN.

    Raises
    ------
    ShapeError, WindowError, OptionError
        As in `filter_image`.
    DTypeError
        For complex pictures.

    Notes
    -----
    The median of an even number of values is the upper of the two in the middle, as in
    `scipy.ndimage.median_filter`: always a value of the picture. `window_reduce` takes the mean.
    SciPy's windows of a colour picture reach across the channels, these do not.

    References
    ----------
    J. W. Tukey, "Exploratory Data Analysis", 1977, chapter 7. `scipy.ndimage.median_filter`,
    `cv2.medianBlur`.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> image = np.full((3, 5), 100, np.uint8)
    >>> image[1, 2] = 255
    >>> ft.median_filter(image, 3).max()
    np.uint8(100)
    """
    return _filtered(
        image,
        size,
        lambda taps: taps // 2,
        {"border": border, "cval": cval, "anchor": anchor, "stride": stride},
    )


@door
def minimum_filter(
    image: ArrayLike,
    size: Ints,
    *,
    border: str = "reflect",
    cval: float = 0,
    anchor: str | Ints = "center",
    stride: Ints = 1,
) -> Array:
    """Replace every pixel by the smallest of its neighbourhood.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype; every channel is filtered by itself.
    size : int or pair of int
        Height and width of the window.
    border : str, optional
        What the pixels beyond the edges show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge (`scipy.ndimage` calls that ``"mirror"``).
    cval : number, optional
        The value of pixels outside for the border ``"constant"``.
    anchor : "center" or int or pair of int, optional
        The cell of the window that lies on the pixel, row first; ``"center"`` is ``k // 2``.
    stride : int or pair of int, optional
        Keep every so-manieth row and column.

    Returns
    -------
    array, shape (ceil(H / stride), ceil(W / stride)[, C])
        Values of the picture, in its dtype. NaN in a window gives NaN.

    Raises
    ------
    ShapeError, WindowError, OptionError
        As in `filter_image`.
    DTypeError
        For complex pictures.

    Notes
    -----
    `erode` takes structures of any shape, and leaves out what lies beyond the edges.

    References
    ----------
    `scipy.ndimage.minimum_filter`, `cv2.erode`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.minimum_filter([[5, 1, 4, 9]], (1, 3))
    array([[1, 1, 1, 4]])
    """
    return _filtered(
        image,
        size,
        lambda _: 0,
        {"border": border, "cval": cval, "anchor": anchor, "stride": stride},
    )


@door
def maximum_filter(
    image: ArrayLike,
    size: Ints,
    *,
    border: str = "reflect",
    cval: float = 0,
    anchor: str | Ints = "center",
    stride: Ints = 1,
) -> Array:
    """Replace every pixel by the largest of its neighbourhood.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype; every channel is filtered by itself.
    size : int or pair of int
        Height and width of the window.
    border : str, optional
        What the pixels beyond the edges show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge (`scipy.ndimage` calls that ``"mirror"``).
    cval : number, optional
        The value of pixels outside for the border ``"constant"``.
    anchor : "center" or int or pair of int, optional
        The cell of the window that lies on the pixel, row first; ``"center"`` is ``k // 2``.
    stride : int or pair of int, optional
        Keep every so-manieth row and column.

    Returns
    -------
    array, shape (ceil(H / stride), ceil(W / stride)[, C])
        Values of the picture, in its dtype. NaN in a window gives NaN.

    Raises
    ------
    ShapeError, WindowError, OptionError
        As in `filter_image`.
    DTypeError
        For complex pictures.

    Notes
    -----
    `dilate` takes structures of any shape, and leaves out what lies beyond the edges.

    References
    ----------
    `scipy.ndimage.maximum_filter`, `cv2.dilate`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.maximum_filter([[5, 1, 4, 9]], (1, 3))
    array([[5, 5, 9, 9]])
    """
    return _filtered(
        image,
        size,
        lambda taps: taps - 1,
        {"border": border, "cval": cval, "anchor": anchor, "stride": stride},
    )


@door
def percentile_filter(
    image: ArrayLike,
    percentile: float,
    size: Ints,
    *,
    border: str = "reflect",
    cval: float = 0,
    anchor: str | Ints = "center",
    stride: Ints = 1,
) -> Array:
    """Replace every pixel by a percentile of its neighbourhood.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype; every channel is filtered by itself.
    percentile : number
        From 0, the smallest, to 100, the largest.
    size : int or pair of int
        Height and width of the window.
    border : str, optional
        What the pixels beyond the edges show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge (`scipy.ndimage` calls that ``"mirror"``).
    cval : number, optional
        The value of pixels outside for the border ``"constant"``.
    anchor : "center" or int or pair of int, optional
        The cell of the window that lies on the pixel, row first; ``"center"`` is ``k // 2``.
    stride : int or pair of int, optional
        Keep every so-manieth row and column.

    Returns
    -------
    array, shape (ceil(H / stride), ceil(W / stride)[, C])
        Values of the picture, in its dtype. NaN in a window gives NaN.

    Raises
    ------
    ShapeError, WindowError, OptionError
        As in `filter_image`, and for a percentile outside 0 to 100.
    DTypeError
        For complex pictures.

    Notes
    -----
    The result is the value at place ``floor(K * percentile / 100)`` of the window's K values in
    ascending order, 100 being the largest, as in `scipy.ndimage.percentile_filter`: always a value
    of the picture. `window_reduce` interpolates, as `numpy.percentile` does.

    References
    ----------
    `scipy.ndimage.percentile_filter`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.percentile_filter([[5, 1, 4, 9, 7]], 75, (1, 4), border="edge")
    array([[5, 5, 9, 9, 9]])
    """
    share = _share(percentile)
    return _filtered(
        image,
        size,
        lambda taps: min(int(taps * share / 100), taps - 1),
        {"border": border, "cval": cval, "anchor": anchor, "stride": stride},
    )


def _filtered(
    image: ArrayLike, size: Ints, place_of: Callable[[int], int], options: dict[str, Any]
) -> Array:
    """The value at a place in ascending order, which depends on the number of taps."""
    picture = as_picture(image, "window_reduce")
    if picture.dtype.kind == "c":
        raise DTypeError(
            f"image has dtype {picture.dtype}, whose values have no order",
            "Pass numpy.abs(image), or the real and the imaginary part one after the other",
        )
    kernel = as_ints(size, "size", 2)
    mode = canonical_mode(options["border"], "border")
    cval = as_scalar_of(picture.dtype, options["cval"], "cval") if mode == "constant" else 0
    taps = kernel[0] * kernel[1]
    place = place_of(taps)
    result = window_reduce(
        picture if picture.ndim == 3 else picture[:, :, None],
        kernel,
        # The ends of the order have plans of their own.
        {0: "min", taps - 1: "max"}.get(place, ("rank", place)),
        stride=as_ints(options["stride"], "stride", 2),
        padding=window_padding(kernel, as_anchor(options["anchor"], kernel), False),
        padding_mode=mode,
        padding_value=cval,
        data_format="channels_last",
    )
    return result if picture.ndim == 3 else result[:, :, 0]


def _share(percentile: object) -> float:
    number = as_number(percentile, "percentile")
    if isinstance(number, bool | np.bool_) or np.iscomplexobj(number) or not 0 <= number <= 100:
        raise OptionError(f"percentile is {short_repr(percentile)}, expected 0 to 100")
    return float(number)
