"""Where a plot goes: the axes that were given, or those of a new figure, in one or in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from faltung.errors import MissingExtraError, OptionError, shown
from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Cell", "parts", "single"]

CELL = 2.5, 2.2
"""Inches of a part with its labels, in a figure of our own."""
MARGINS = 0.42, 0.33, 0.53, 0.33
"""Inches that labels and colour bars take of a part: left, bottom, right, top."""
MOST_MARGIN = 0.6
"""What they take of it at most, where the given axes are small."""


class Cell(NamedTuple):
    """The place of a part, in parts: those of the first row have ``top=0``."""

    left: float
    top: float
    width: float = 1
    height: float = 1


def pyplot() -> Any:
    """Matplotlib's `pyplot`, or an error that names the extra."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingExtraError(
            "plots need Matplotlib, which is not installed", 'Run pip install "faltung[plot]"'
        ) from error
    return pyplot


def single(ax: Any, size: tuple[float, float] = (6.4, 4.0)) -> Axes:
    """The axes that were given, or those of a new figure of so many inches."""
    if ax is None:
        made: Axes = pyplot().figure(figsize=size, layout="constrained").add_subplot()
        return made
    pyplot()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        advice = "Pass one of the axes that matplotlib.pyplot.subplots() gives, or None"
        raise OptionError(f"ax is {shown(ax)}, expected Matplotlib axes", advice)
    given: Axes = ax
    return given


def parts(ax: Axes | None, cells: Sequence[Cell], cell: tuple[float, float] = CELL) -> Array:
    """Axes for each cell, inside of those that were given or of a new figure."""
    width = max(place.left + place.width for place in cells)
    height = max(place.top + place.height for place in cells)
    if ax is None:
        figure = pyplot().figure(figsize=(cell[0] * width, cell[1] * height))
        ax = figure.add_axes((0, 0, 1, 1))
    ax = single(ax)
    ax.set_axis_off()
    box = ax.get_window_extent()
    inches = box.width / ax.figure.dpi / width, box.height / ax.figure.dpi / height
    left, right = _margins(MARGINS[0], MARGINS[2], inches[0])
    bottom, top = _margins(MARGINS[1], MARGINS[3], inches[1])
    made = np.empty(len(cells), object)
    for index, place in enumerate(cells):
        made[index] = ax.inset_axes(
            (
                (place.left + left) / width,
                1 - (place.top + place.height - bottom) / height,
                (place.width - left - right) / width,
                (place.height - bottom - top) / height,
            )
        )
    return made


def _margins(before: float, after: float, inches: float) -> tuple[float, float]:
    """Both margins as parts of so many inches."""
    scale = 1 / max(inches, (before + after) / MOST_MARGIN)
    return before * scale, after * scale
