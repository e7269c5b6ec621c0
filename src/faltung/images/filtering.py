"""`filter_image`: one 2-D filter over a picture, the result in the picture's own dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np

from faltung._door import door
from faltung._plain import as_scalar_of, window_padding
from faltung.classes import Conv
from faltung.config import current_settings
from faltung.errors import DTypeError, OptionError, ShapeError, WindowError
from faltung.geometry.arguments import as_ints
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.images._arguments import as_anchor, as_picture
from faltung.operators._arrays import as_array, is_known_dtype
from faltung.operators._checks import as_flag
from faltung.operators._shortcut import key_of, typed
from faltung.operators.conv import conv
from faltung.plans._pictures import rounding_filter
from faltung.plans._rounded_bytes import byte_filter
from faltung.plans._rounded_products import filter_by_factors, may_have_factors
from faltung.plans._rounding import store_rounded
from faltung.typing import Array, ArrayLike, DTypeLike, Ints

__all__ = ["filter_image"]

Filter: TypeAlias = Callable[[Array], Array | None]
"""From a picture to the result; None for one that has to go another way."""

MOST_KEY = 2**11
"""Bytes of a kernel that are looked up: a twentieth of what is checked and packed instead."""
KEPT = 256
"""Calls that are remembered, with packed kernels."""
_known: dict[Any, Filter] = {}


@door
def filter_image(
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    border: str = "reflect",
    cval: complex = 0,
    anchor: str | Ints = "center",
    flip: bool = False,
    stride: Ints = 1,
    normalize: bool = False,
    dtype: DTypeLike | None = None,
) -> Array:
    """Filter a picture, every channel by itself.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any dtype.
    kernel : array_like, 2-D
        The filter, applied as it is printed (correlation, as in OpenCV and `scipy.ndimage`).
    border : str, optional
        What the pixels beyond the edges show: any border mode of `conv`. ``"reflect"`` does not
        repeat the edge.
    cval : number, optional
        The value of pixels outside for the border ``"constant"``; others do not look at it.
    anchor : "center" or int or pair of int, optional
        The cell of the kernel that lies on the pixel, row first; ``"center"`` is ``k // 2``.
    flip : bool, optional
        Convolution in the mathematical sense; the anchor turns with the kernel.
    stride : int or pair of int, optional
        Keep every so-manieth row and column.
    normalize : bool, optional
        Divide the kernel by its sum.
    dtype : dtype, optional
        Dtype of the result, by default that of the picture.

    Returns
    -------
    array, shape (ceil(H / stride), ceil(W / stride)[, C])
        Computed in float64, in float32 for pictures of float32 and smaller floats. Integers are
        rounded, halves to even, and saturate; a NaN becomes 0. Bool is True above 0.5.

    Raises
    ------
    ShapeError
        If the picture is neither 2-D nor 3-D, or the kernel not 2-D.
    WindowError
        If the anchor lies outside the kernel, a stride is impossible, or there are no pixels.
    OptionError
        For an unknown border, or ``normalize`` with a kernel that sums to 0.
    DTypeError
        If a complex result would have to be stored as real numbers.

    Notes
    -----
    ``y[i] = sum(kernel[j] * image[i * stride + j - anchor])`` over all j. The cost is one
    multiply-add for each pixel, channel and cell of the kernel; for large pictures under a kernel
    that is a column times a row, such as a Gaussian, one for each cell of column and row.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> image = np.array([[10, 10, 200, 200]] * 3, np.uint8)
    >>> ft.filter_image(image, ft.kernels.sobel(1))
    array([[  0, 255, 255,   0],
           [  0, 255, 255,   0],
           [  0, 255, 255,   0]], dtype=uint8)
    """
    key = _key_of(image, kernel, (border, cval, anchor, flip, stride, normalize, dtype))
    known = None if key is None else _known.get(key)
    if known is not None and (filtered := known(cast("Array", image))) is not None:
        return filtered
    picture, weights = as_picture(image, "filter_array"), as_array(kernel, "kernel")
    _check_kernel(weights)
    target = _target(picture, weights, dtype)
    if as_flag(normalize, "normalize"):
        weights = _normalized(weights)
    working = _working_dtype(picture, weights, target)
    mode = canonical_mode(border, "border")
    is_flipped = as_flag(flip, "flip")
    window: dict[str, Any] = {
        "stride": as_ints(stride, "stride", 2),
        "padding": window_padding(weights.shape, as_anchor(anchor, weights.shape), is_flipped),
        "padding_mode": mode,
        "padding_value": as_scalar_of(working, cval, "cval") if mode == "constant" else 0,
        "flip": is_flipped,
    }
    bank = weights.astype(working)[None, None]
    whole: Filter | None = None
    # Small pictures are rounded from sums of their own order: so are parts of large ones then.
    is_reproducible = current_settings().reproducible
    if working == target == picture.dtype and window["stride"][1] == 1 and picture.size:
        whole = _pixel_filter(picture, bank, window)
    elif working == np.float64 and target == picture.dtype and picture.size and not is_reproducible:
        whole = _rounding_filter(picture, bank[0, 0], window)
    if whole is not None and (filtered := whole(picture)) is not None:
        if key is not None and picture is image:
            _remember(key, whole)
        return filtered
    planes = picture[:, :, None] if picture.ndim == 2 else picture
    rows, columns = (
        -(-n // step) for n, step in zip(picture.shape, window["stride"], strict=False)
    )
    result = np.empty((rows, columns, planes.shape[2]), target)
    for channel in range(planes.shape[2]):
        # One channel at a time: the float64 copy of a large picture is eight times its size.
        sums = conv(planes[None, None, :, :, channel], bank, dtype=working, **window)
        store_rounded(sums[0, 0], result[:, :, channel])
    return result[:, :, 0] if picture.ndim == 2 else result


def _key_of(image: object, kernel: object, options: tuple[object, ...]) -> Any:
    """What settles a call but the pixels, or None where that takes a closer look."""
    if type(kernel) is not np.ndarray or kernel.nbytes > MOST_KEY or kernel.dtype.hasobject:
        return None
    call = key_of((image,), {})
    key = call, kernel.shape, kernel.dtype, kernel.tobytes(), *map(typed, options)
    try:
        hash(key)
    except TypeError:
        return None
    return None if call is None else key


def _remember(key: Any, whole: Filter) -> None:
    if len(_known) >= KEPT:
        _known.clear()
    _known[key] = whole


def _pixel_filter(picture: Array, bank: Array, window: dict[str, Any]) -> _PixelFilter:
    """All channels at once: the last axis of a picture in colour is one that no window moves on."""
    if picture.ndim == 3:
        bank = bank[..., None]
        window = {
            **window,
            "stride": (*window["stride"], 1),
            "padding": (*window["padding"], (0, 0)),
        }
    return _PixelFilter(bank, window)


class _PixelFilter:
    """A filter that becomes an operator, which takes longer to make, when it is used again."""

    def __init__(self, bank: Array, window: dict[str, Any]) -> None:
        self._bank, self._window, self._is_known = bank, window, False
        self._operator: Conv | None = None

    def __call__(self, picture: Array) -> Array:
        if self._operator is None and self._is_known:
            self._operator = Conv(self._bank, **self._window)
        self._is_known, x = True, picture[None, None]
        operator = self._operator
        filtered = operator(x) if operator else conv(x, self._bank, **self._window)
        return cast("Array", filtered[0, 0])


def _rounding_filter(picture: Array, kernel: Array, window: dict[str, Any]) -> Filter | None:
    """A picture of integers, if compiled code can round what it stores."""
    others = picture.ndim - 2
    windows = axis_windows(
        picture.ndim,
        (*kernel.shape, *(1,) * others),
        (*window["stride"], *(1,) * others),
        1,
        (*window["padding"], *((0, 0),) * others),
    )
    modes = (window["padding_mode"],) * picture.ndim
    axes = tuple(map(sliding_axis, windows, picture.shape, modes))
    if window["flip"]:
        kernel = kernel[::-1, ::-1]
    fill = float(window["padding_value"])
    is_blank = window["padding_mode"] == "blank"
    if not is_blank and (by_bytes := byte_filter(picture, kernel, axes, fill)) is not None:
        return by_bytes
    rounding = partial(rounding_filter, kernel=kernel, axes=axes, fill=fill, is_blank=is_blank)
    if is_blank or not may_have_factors(picture, kernel, axes):
        return rounding(picture)

    def by_factors(picture: Array) -> Array | None:
        filtered = filter_by_factors(picture, kernel, axes, fill)
        if filtered is not None or (whole := rounding(picture)) is None:
            return filtered
        return whole(picture)

    return by_factors


def _check_kernel(kernel: Array) -> None:
    if kernel.ndim != 2:
        raise ShapeError(
            f"kernel has {kernel.ndim} axes, expected 2: kernel {kernel.shape}",
            "Use kernel[None] for a row, kernel[:, None] for a column",
        )
    if kernel.size == 0:
        raise WindowError(f"kernel has shape {kernel.shape}, expected at least 1 cell an axis")


def _target(image: Array, kernel: Array, wanted: object) -> np.dtype[Any]:
    """The dtype of the result."""
    target = image.dtype
    if wanted is not None:
        try:
            target = np.dtype(wanted)  # type: ignore[call-overload]
        except (TypeError, ValueError):
            raise DTypeError(f"dtype is {wanted!r}, which NumPy does not know") from None
    if not is_known_dtype(target):
        raise DTypeError(f"dtype is {target}, which faltung does not compute with")
    if target.kind != "c" and "c" in (image.dtype.kind, kernel.dtype.kind):
        raise DTypeError(
            f"image has dtype {image.dtype}, kernel {kernel.dtype}: no {target} holds the result",
            "Pass dtype='complex128'",
        )
    return target.newbyteorder("=")


def _normalized(kernel: Array) -> Array:
    values = kernel.astype(np.result_type(kernel.dtype, np.float64))
    with np.errstate(all="ignore"):
        total, size = values.sum(), np.abs(values).sum()
        if abs(total) <= values.size * np.finfo(float).eps * size:
            raise OptionError(
                f"normalize=True with a kernel that sums to {total:.3g}",
                "Leave normalize out; the results then depend on the kernel's scale",
            )
        normalized: Array = values / total
    return normalized


def _working_dtype(image: Array, kernel: Array, target: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for small floats, float64 for all else, or their complex counterparts."""
    parts = image.dtype.itemsize // (2 if image.dtype.kind == "c" else 1)
    is_single = image.dtype.kind not in "biu" and parts <= 4
    is_single &= target.kind not in "fc" or target.itemsize <= (8 if target.kind == "c" else 4)
    if "c" in (image.dtype.kind, kernel.dtype.kind):
        return np.dtype(np.complex64 if is_single else np.complex128)
    return np.dtype(np.float32 if is_single else np.float64)
