"""`match_template`: where in a picture a patch is found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung._door import door
from faltung.compiled import _jit, window_scores
from faltung.compiled.window_scores import Limits
from faltung.errors import DTypeError, ShapeError, WindowError
from faltung.operators._arrays import as_array
from faltung.operators.conv import conv
from faltung.plans import fft
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._recording import record, recorded
from faltung.typing import Array, ArrayLike

__all__ = ["match_template"]

EPSILON = float(np.finfo(float).eps)
CELLS_AT_ONCE = 2**20
"""Cells of the windows that are computed one by one at a time: 8 MiB of float64."""
MOST_EXPONENT = 100
"""Of the largest cell: beyond, squares of what matters would overflow or vanish."""


class _Planes(NamedTuple):
    """Channels in float64, shape (C, H, W), without anything infinite or NaN.

    Parameters
    ----------
    cells : array
        The values, scaled where their squares would overflow or vanish: scores do not change.
    is_finite : array of bool, shape (H, W), or None
        Which pixels were; the others are 0. None: all of them.
    largest : float
        No magnitude is above it.
    is_whole : bool
        Whether all cells are whole numbers.
    """

    cells: Array
    is_finite: Array | None
    largest: float
    is_whole: bool


@door
def match_template(image: ArrayLike, template: ArrayLike) -> Array:
    """Normalised cross-correlation of a picture with a patch: the sliding patch detector.

    Parameters
    ----------
    image : array_like, shape (H, W) or (H, W, C)
        Any real dtype.
    template : array_like, shape (h, w) or (h, w, C)
        The patch, not larger than the picture.

    Returns
    -------
    float64 array, shape (H - h + 1, W - w + 1)
        Element (i, j) is the correlation coefficient of the patch with the window that begins
        there: 1 for the patch itself at any brightness and contrast, -1 for its negative, 0
        where window or patch are constant. NaN where the window (or the patch) holds a NaN or an
        infinity. The error is below 1e-6.

    Raises
    ------
    ShapeError
        If the arrays are not 2-D or 3-D, or their channels differ.
    WindowError
        If the patch is larger than the picture, or empty.
    DTypeError
        For complex arrays.

    Notes
    -----
    ``sum(t * p) / sqrt(sum(t**2) * sum(p**2))`` with t and p the patch and the window, each
    without its mean. Channels have their own means, the sums run over all of them. Windows whose
    spread is lost in the rounding of their sums are computed one by one.

    References
    ----------
    J. P. Lewis, "Fast Template Matching", Vision Interface 1995, section 5.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> image = np.array([[1, 2, 1, 1], [1, 1, 9, 2], [1, 1, 1, 1]])
    >>> ft.match_template(image, [[0, 4], [0, 1]]).round(2)
    array([[ 0.97, -0.15, -0.47],
           [ 0.  ,  0.97, -0.33]])
    """
    picture, patch = as_array(image, "image"), as_array(template, "template")
    _check(picture, patch)
    planes, patch_planes = _planes(picture), _planes(patch)
    values = patch_planes.cells
    unit: Array = _unit(values.reshape(1, len(values), -1)).reshape(values.shape)
    if patch_planes.is_finite is not None:
        (height, width), (h, w) = picture.shape[:2], patch.shape[:2]
        return np.full((height - h + 1, width - w + 1), np.nan)
    with np.errstate(all="ignore"):
        scores, doubtful = _by_sums(planes, unit)
    is_broken = None
    if planes.is_finite is not None:
        is_broken = _count(~planes.is_finite, *unit.shape[1:]) > 0
        scores[is_broken] = 0
    if doubtful:
        # The sums may have taken the means off the cells, and with them the last digits.
        _one_by_one(_planes(picture).cells, unit, scores)
    if is_broken is not None:
        scores[is_broken] = np.nan
    return scores


def _check(image: Array, template: Array) -> None:
    for name, array in (("image", image), ("template", template)):
        if array.ndim not in (2, 3):
            raise ShapeError(
                f"{name} has {array.ndim} axes, expected 2 (H, W) or 3 (H, W, C): "
                f"{name} {array.shape}"
            )
        if array.dtype.kind == "c":
            raise DTypeError(
                f"{name} has dtype {array.dtype}, expected real numbers", "Pass its abs or real"
            )
        if array.size == 0:
            raise WindowError(f"{name} has shape {array.shape}, with no cell to compare")
    shapes = f"image {image.shape}, template {template.shape}"
    if image.ndim != template.ndim or image.shape[2:] != template.shape[2:]:
        raise ShapeError(
            f"image and template have different channels: {shapes}",
            "Give both the same number of channels",
        )
    if any(h > n for h, n in zip(template.shape, image.shape, strict=True)):
        raise WindowError(f"template is larger than the image: {shapes}", "Exchange or crop them")


def _planes(array: Array) -> _Planes:
    planes = array[:, :, None] if array.ndim == 2 else array
    cells = np.array(np.moveaxis(planes, 2, 0), np.float64, order="C")
    if array.dtype.kind in "biu":
        largest = 255.0 if array.dtype.itemsize == 1 else _largest(cells)
        return _Planes(cells, None, largest, is_whole=True)
    is_finite, largest = None, _largest(array if array.dtype.char in "fd" else cells)
    if not np.isfinite(largest):  # one NaN is enough
        is_finite = np.asarray(np.isfinite(cells).all(axis=0))
        cells = np.where(is_finite, cells, 0)
        largest = _largest(cells)
    exponent = int(np.frexp(largest)[1])
    if abs(exponent) > MOST_EXPONENT:
        cells, largest = np.ldexp(cells, -exponent), float(np.ldexp(largest, -exponent))
    # The first line usually tells.
    is_whole = all((some == np.rint(some)).all() for some in (cells[:, 0], cells))
    return _Planes(cells, is_finite, largest, is_whole)


def _largest(cells: Array) -> float:
    return max(float(cells.max()), -float(cells.min()))


def _unit(windows: Array) -> Array:
    """Windows of shape (n, C, cells) without their means, scaled to length 1, or 0 if constant."""
    with np.errstate(all="ignore"):
        # Relative to its first cell a constant window is 0 exactly, whatever its mean rounds to.
        spread = windows - windows[:, :, :1]
        # The largest becomes 1: squares then neither overflow nor vanish.
        spread /= np.abs(spread).max(axis=(1, 2), keepdims=True)
        spread -= spread.mean(axis=2, keepdims=True)
        spread /= np.sqrt(np.square(spread).sum(axis=(1, 2), keepdims=True))
    is_constant = (windows == windows[:, :, :1]).all(axis=(1, 2))
    spread[is_constant] = 0
    return spread


def _by_sums(planes: _Planes, patch: Array) -> tuple[Array, int]:
    """The scores from sums over windows; where rounding may have eaten them NaN, and how often."""
    taps, window = patch[0].size, (patch.shape[1], patch.shape[2])
    if not _is_exact(planes, taps):
        planes = _centred(planes)
    is_exact = _is_exact(planes, taps)
    scores, error = _products(planes, patch)
    # Below this share of the energy a spread may be wrong by more than a millionth.
    share = 0.0 if is_exact else 4e6 * taps * EPSILON
    limits = Limits(share, (1e6 * error) ** 2, is_exact)
    is_worth_it = scores.size * patch.size >= LEAST_MACS and missing_compiler() is None
    is_compiled = is_worth_it and _jit.available()
    divide = window_scores.divide_by_spread if is_compiled else _divide_by_spread
    return scores, divide(planes.cells, window, scores, limits)


def _is_exact(planes: _Planes, taps: int) -> bool:
    """Whether all sums over windows, of cells and of their squares, are."""
    return planes.is_whole and len(planes.cells) * (taps * planes.largest) ** 2 < 2.0**52


def _centred(planes: _Planes) -> _Planes:
    """The cells, in place, about their means: their squares then are hardly more than the spread.

    A whole number as the centre keeps whole numbers whole, and their sums exact.
    """
    cells = planes.cells
    cells -= np.rint(cells.mean(axis=(1, 2), keepdims=True))
    largest = _largest(cells) if planes.is_whole else 2 * planes.largest
    return planes._replace(cells=cells, largest=largest)


def _divide_by_spread(cells: Array, patch: tuple[int, int], scores: Array, limits: Limits) -> int:
    """What `window_scores.divide_by_spread` does, in NumPy."""
    taps = patch[0] * patch[1]
    whole = taps * _box_sums(np.square(cells), *patch).sum(axis=0)
    spread = whole - np.square(_box_sums(cells, *patch)).sum(axis=0)
    scores *= np.sqrt(taps) / np.sqrt(spread)
    np.clip(scores, -1, 1, out=scores)
    is_sure = (spread > limits.share * whole) & (spread > limits.floor * taps)
    if limits.is_exact:
        is_sure |= spread == 0
        scores[spread == 0] = 0
    scores[~is_sure] = np.nan
    return int(np.count_nonzero(~is_sure))


def _products(planes: _Planes, patch: Array) -> tuple[Array, float]:
    """The sums of products with the patch, and the rounding error that all windows share."""
    cells = planes.cells
    with recorded() as algorithms:
        products = conv(cells, patch[None])[0]
    for name in algorithms:
        record(name)
    if fft.name not in algorithms:
        return products, 0.0
    if planes.is_whole:
        norm = planes.largest * np.sqrt(cells.size)
    else:
        norm = np.sqrt(np.einsum("i,i", cells.reshape(-1), cells.reshape(-1)))
    return products, float(EPSILON * np.log2(cells.size) * norm)


def _box_sums(planes: Array, height: int, width: int) -> Array:
    """The sum of every window, plane by plane: first along the rows' axis, then the columns'."""
    rows = _line_sums(np.moveaxis(planes, 1, 0), height)
    return np.moveaxis(_line_sums(np.moveaxis(rows, 2, 0), width), (0, 1), (2, 1))


def _line_sums(lines: Array, size: int) -> Array:
    """The sum of `size` neighbours along the first axis, by doubling: log2(size) additions.

    Unlike differences of a running total, such sums lose nothing to what lies outside the window.
    """
    count = len(lines) - size + 1
    total = np.zeros_like(lines[:count])
    width, start = 1, 0
    while width <= size:
        if size & width:
            total += lines[start : start + count]
            start += width
        if 2 * width <= size:
            lines = lines[:-width] + lines[width:]
        width *= 2
    return total


def _is_constant(cells: Array, patch: tuple[int, ...]) -> Array:
    """Where all channels of the window are constant: no step between neighbours inside it."""
    height, width = patch
    down: Array = (cells[:, 1:] != cells[:, :-1]).any(axis=0)
    right: Array = (cells[:, :, 1:] != cells[:, :, :-1]).any(axis=0)
    steps = _count(down, height - 1, width) + _count(right, height, width - 1)
    is_constant: Array = steps == 0
    return is_constant


def _count(flags: Array, height: int, width: int) -> Array:
    """How many flags each window holds, from a table of sums: whole numbers, so exact."""
    table = np.zeros((flags.shape[0] + 1, flags.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(flags, axis=0), axis=1, out=table[1:, 1:])
    rows = table[height:] - table[: len(table) - height]
    counts: Array = rows[:, width:] - rows[:, : rows.shape[1] - width]
    return counts


def _one_by_one(cells: Array, patch: Array, scores: Array) -> None:
    """Compute the scores that are NaN from the means of their windows."""
    where = np.isnan(scores)
    is_constant = where & _is_constant(cells, patch.shape[1:])
    scores[is_constant] = 0
    where &= ~is_constant
    windows = sliding_window_view(cells, patch.shape[1:], axis=(1, 2))
    places = np.argwhere(where)
    step = max(CELLS_AT_ONCE // patch.size, 1)
    for start in range(0, len(places), step):
        rows, columns = places[start : start + step].T
        chosen = windows[:, rows, columns].transpose(1, 0, 2, 3)
        unit = _unit(chosen.reshape(len(rows), len(cells), -1))
        found = unit.reshape(len(rows), -1) @ patch.ravel()
        scores[rows, columns] = np.clip(found, -1, 1)
