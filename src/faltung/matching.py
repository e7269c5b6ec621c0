"""`match_template`: where in a picture a patch is found."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from faltung._door import door
from faltung.errors import DTypeError, ShapeError, WindowError
from faltung.operators._arrays import as_array
from faltung.operators.conv import conv
from faltung.plans import fft
from faltung.plans._recording import record, recorded
from faltung.typing import Array, ArrayLike

__all__ = ["match_template"]

EPSILON = float(np.finfo(float).eps)
CELLS_AT_ONCE = 2**20
"""Cells of the windows that are computed one by one at a time: 8 MiB of float64."""


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
    spread is lost in the rounding of the running sums are computed one by one.

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
    cells, is_finite = _channels_first(picture)
    values, is_usable = _channels_first(patch)
    unit: Array = _unit(values.reshape(1, len(values), -1)).reshape(values.shape)
    window = unit.shape[1:]
    with np.errstate(all="ignore"):
        scores, is_doubtful = _by_sums(cells, unit)
    is_constant = _is_constant(cells, window)
    scores[is_constant] = 0
    is_broken = _count(~is_finite, *window) > 0
    _one_by_one(cells, unit, scores, is_doubtful & ~is_constant & ~is_broken)
    scores[is_broken | (not is_usable.all())] = np.nan
    return np.clip(scores, -1, 1, out=scores)


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


def _channels_first(array: Array) -> tuple[Array, Array]:
    """The values in float64, shape (C, H, W), and which pixels are finite; the others become 0."""
    planes = array[:, :, None] if array.ndim == 2 else array
    cells = np.moveaxis(planes, 2, 0).astype(np.float64)
    is_finite = np.asarray(np.isfinite(cells).all(axis=0))
    cells = np.where(is_finite, cells, 0)
    exponent = int(np.frexp(np.abs(cells).max())[1])
    if abs(exponent) > 300:  # squares would overflow or vanish; scores do not change with scale
        cells = np.ldexp(cells, -exponent)
    return cells, is_finite


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


def _by_sums(cells: Array, patch: Array) -> tuple[Array, Array]:
    """The scores from sums over windows, and where rounding may have eaten them."""
    count = patch[0].size
    # A whole number as the centre keeps whole numbers whole, and their sums exact.
    centred = cells - np.rint(cells.mean(axis=(1, 2), keepdims=True))
    largest = float(np.abs(centred).max())
    is_whole = bool((centred == np.rint(centred)).all())
    is_exact = is_whole and count * len(cells) * largest**2 < 2.0**40
    if not is_exact and largest > 0:
        centred = np.ldexp(centred, -int(np.frexp(largest)[1]))
    energy = _box_sums(np.square(centred), *patch.shape[1:])
    sums = _box_sums(centred, *patch.shape[1:])
    variance = (energy - np.square(sums) / count).sum(axis=0)
    products, error = _products(centred, patch)
    # Below this share of the energy a variance may be wrong by more than a millionth.
    noise = 0 if is_exact else 1e6 * count * EPSILON
    floor = np.maximum(noise * energy.sum(axis=0), (1e6 * error) ** 2)
    return products / np.sqrt(variance), ~(variance > floor)


def _products(cells: Array, patch: Array) -> tuple[Array, float]:
    """The sums of products with the patch, and the rounding error that all windows share."""
    with recorded() as algorithms:
        products = conv(cells, patch[None])[0]
    for name in algorithms:
        record(name)
    if fft.name not in algorithms:
        return products, 0.0
    error = EPSILON * np.log2(cells.size) * np.linalg.norm(cells)
    return products, float(error)


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


def _one_by_one(cells: Array, patch: Array, scores: Array, where: Array) -> None:
    """Compute the scores of some windows from their own means."""
    windows = sliding_window_view(cells, patch.shape[1:], axis=(1, 2))
    places = np.argwhere(where)
    step = max(CELLS_AT_ONCE // patch.size, 1)
    for start in range(0, len(places), step):
        rows, columns = places[start : start + step].T
        chosen = windows[:, rows, columns].transpose(1, 0, 2, 3)
        unit = _unit(chosen.reshape(len(rows), len(cells), -1))
        scores[rows, columns] = unit.reshape(len(rows), -1) @ patch.ravel()
