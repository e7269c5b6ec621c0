"""One axes with a picture and its colour bar, or with lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_lines", "draw_numbers", "draw_picture", "plain"]

COLOURS = {"data": "gray", "signed": "coolwarm", "counts": "viridis"}
MOST_NUMBERS = 144


def plain(values: Array) -> Array:
    """Real numbers that Matplotlib can draw: the size of complex ones, in float64."""
    sizes = np.abs(values) if values.dtype.kind == "c" else values
    return sizes.astype(np.float64)


def draw_picture(ax: Axes, values: Array, title: str, scale: str = "data") -> Any:
    """A matrix as a picture with a colour bar; cells that are not finite stay empty.

    The `scale` is that of ``"data"``, grey from the smallest to the largest number; ``"signed"``,
    with 0 in the middle; or ``"counts"``, from 0.
    """
    from matplotlib import rcParams

    finite = np.ma.masked_invalid(plain(values))
    largest = float(np.abs(finite).max()) if finite.count() else 0.0
    limits: dict[str, tuple[float, float] | tuple[None, None]] = {
        "data": (None, None) if finite.count() else (0, 1),
        "signed": (-largest or -1, largest or 1),
        "counts": (0, largest or 1),
    }
    low, high = limits[scale]
    image = ax.imshow(finite, cmap=COLOURS[scale], interpolation="nearest", vmin=low, vmax=high)
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.05, 0, 0.06, 1)))
    bar.ax.tick_params(labelsize="x-small", length=2)
    bar.ax.locator_params(nbins=4)
    bar.outline.set_linewidth(0.4)
    if rcParams["axes.grid"]:  # of some styles, over everything
        ax.grid(visible=False)
        bar.ax.grid(visible=False)
    _label(ax, title)
    ax.locator_params(nbins=4, integer=True, min_n_ticks=1)
    return image


def draw_lines(ax: Axes, lines: Array, names: list[str], title: str) -> None:
    """Rows of numbers as lines; with a mark for each number where there are few."""
    drawn = np.ma.masked_invalid(plain(lines))
    mark = "." if lines.shape[1] <= 64 else ""
    for name, line in zip(names, drawn, strict=True):
        ax.plot(np.arange(len(line)), line, marker=mark, label=name, linewidth=1.2)
    if len(names) > 1:
        ax.legend(fontsize="x-small", frameon=False)
    _label(ax, title)
    ax.locator_params(axis="x", nbins=5, integer=True)
    ax.locator_params(axis="y", nbins=5)


def draw_numbers(ax: Axes, image: Any, values: Array) -> None:
    """The numbers of a picture in its cells, dark on light and light on dark, if they fit."""
    if values.size > MOST_NUMBERS:
        return
    shades = image.cmap(image.norm(plain(values)))[..., :3] @ [0.299, 0.587, 0.114]
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if shades[row, column] > 0.5 else "white"
        place: dict[str, Any] = {"ha": "center", "va": "center"}
        ax.text(column, row, f"{value:g}", place, color=colour, fontsize="small")


def _label(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize="small")
    ax.tick_params(which="both", labelsize="x-small", length=2)
