"""Arrays of any range as pictures that can be looked at: uint8, (H, W) or (H, W, 3)."""

from __future__ import annotations

import numpy as np

from faltung.typing import Array

__all__ = ["as_rgb", "counts", "framed", "positive", "signed", "unit"]

_BELOW, _ZERO, _ABOVE = (
    np.array(colour, float) for colour in ((33, 90, 170), (247,) * 3, (190, 60, 20))
)


def as_rgb(pixels: Array) -> Array:
    """A picture or array of any real dtype as RGB: integers by their range, floats by theirs."""
    values: Array = np.nan_to_num(pixels.astype(np.float32))
    if pixels.dtype == bool:
        values *= 255
    elif pixels.dtype.kind == "u":
        values *= 255 / np.iinfo(pixels.dtype).max
    else:
        low, high = (
            (0, 1) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        )
        values = (values - low) * (255 / max(high - low, np.finfo(np.float32).tiny))
    grey = values.ndim == 2 or values.shape[2] < 3
    if grey:
        values = np.repeat(values.reshape(*values.shape[:2], -1)[..., :1], 3, axis=2)
    return unit(values[..., :3] / 255)


def unit(values: Array) -> Array:
    """Values from 0 to 1 as shades of grey."""
    shades: Array = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return shades


def positive(values: Array) -> Array:
    """Values from 0 up as shades of grey; the strongest half per cent is white."""
    return unit(values / _strength(values))


def signed(values: Array, strongest: float | None = None) -> Array:
    """Values around 0: blue below, orange above, the stronger the darker."""
    share = np.clip(values / (strongest or _strength(values)), -1, 1)[..., None]
    colours = _ZERO + np.where(share < 0, -share * (_BELOW - _ZERO), share * (_ABOVE - _ZERO))
    return unit(colours / 255)


def _strength(values: Array) -> float:
    strength = float(np.quantile(np.abs(values), 0.995))
    return strength or float(np.abs(values).max()) or 1.0


def counts(values: Array, most: int, times: int) -> Array:
    """Whole numbers up to `most` as shades of grey, each a square of `times` by `times` pixels."""
    return unit(values / most).repeat(times, 0).repeat(times, 1)


def framed(picture: Array, row: int, column: int, height: int, width: int) -> Array:
    """A grey picture as RGB with a frame around a rectangle of it."""
    marked = np.repeat(picture[..., None], 3, axis=2)
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    depth = np.minimum(
        np.minimum(rows - row, row + height - 1 - rows),
        np.minimum(columns - column, column + width - 1 - columns),
    )
    marked[(depth >= -4) & (depth < -1)] = (255, 120, 0)
    return marked
