"""What the filters of pictures ask of their arguments."""

from __future__ import annotations

from faltung.errors import OptionError, ShapeError, WindowError
from faltung.geometry.arguments import as_ints
from faltung.operators._arrays import as_array
from faltung.typing import Array

__all__ = ["as_anchor", "as_picture"]


def as_picture(image: object, alternative: str) -> Array:
    """The array of a picture, (H, W) or (H, W, C); `alternative` does the same on others."""
    picture = as_array(image, "image")
    if picture.ndim not in (2, 3):
        raise ShapeError(
            f"image has {picture.ndim} axes, expected 2 (H, W) or 3 (H, W, C): "
            f"image {picture.shape}",
            f"Use {alternative} for other arrays",
        )
    if 0 in picture.shape[:2]:
        raise WindowError(f"image has shape {picture.shape}, with no pixel to filter")
    return picture


def as_anchor(anchor: object, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The cell of the kernel that lies on the pixel; the centre is ``k // 2``."""
    if isinstance(anchor, str):
        if anchor in ("center", "centre"):
            return tuple(size // 2 for size in kernel)
        raise OptionError(
            f"anchor is {anchor!r}, which is not known", "Use 'center' or one int an axis"
        )
    cells = as_ints(anchor, "anchor", 2, minimum=0)
    if any(cell >= size for cell, size in zip(cells, kernel, strict=True)):
        raise WindowError(
            f"anchor {cells} lies outside the kernel of shape {kernel}",
            f"Use 0 to {kernel[0] - 1} for the rows and 0 to {kernel[1] - 1} for the columns",
        )
    return cells
