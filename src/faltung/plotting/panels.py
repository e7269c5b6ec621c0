"""Input, kernel and result side by side: pictures a channel, or lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.plotting.canvas import Cell, parts
from faltung.plotting.pictures import draw_lines, draw_picture
from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST", "Panel", "draw_panels", "mosaic"]

MOST = 4
"""Channels that are shown; the title says of how many."""
WIDE = 1.6
"""How much wider lines are than pictures."""


@dataclass(frozen=True)
class Panel:
    """One stage of an operator.

    Attributes
    ----------
    name : str
        What it is; the title of its axes begins with it.
    values : array, shape (rows, columns, *cells)
        The pictures or lines: result channels and their input channels for a kernel; channels
        and one column for data.
    is_kernel : bool
        Kernels are signed, and drawn with 0 in the middle.
    """

    name: str
    values: Array
    is_kernel: bool = False

    @property
    def is_lines(self) -> bool:
        """Whether there is one spatial axis."""
        return self.values.ndim == 3

    @property
    def grid(self) -> tuple[int, int]:
        """Axes below each other and beside each other."""
        rows, columns = self.values.shape[:2]
        return (1, 1) if self.is_lines else (min(rows, MOST), min(columns, MOST))

    @property
    def places(self) -> list[tuple[int, int]]:
        """What is shown of the rows and columns."""
        rows, columns = (min(size, MOST) for size in self.values.shape[:2])
        return [(row, column) for row in range(rows) for column in range(columns)]

    def title(self, place: tuple[int, int] | None = None) -> str:
        """What an axes shows, and what is left out."""
        words = self.name
        if place is not None:
            words += self.index(place, " [", "]")
        if self.values.ndim > 4:
            words += f", slice {', '.join(str(size // 2) for size in self.values.shape[2:-2])}"
        rows, columns = self.values.shape[:2]
        is_first = place is None or place == (0, 0)
        if is_first and max(rows, columns) > MOST:
            left_out = rows * columns - len(self.places)
            words += f", {left_out} not shown"
        return words

    def index(self, place: tuple[int, int], before: str = "", after: str = "") -> str:
        """A place in words: row and column of kernels, the row of data; none where there is one."""
        if max(self.values.shape[:2]) == 1:
            return ""
        numbers = place if self.is_kernel else place[:1]
        return before + ", ".join(map(str, numbers)) + after

    def picture(self, place: tuple[int, int]) -> Array:
        """The cells of a channel; of more than two axes the middle slice."""
        cells: Array = self.values[place]
        while cells.ndim > 2:
            cells = cells[len(cells) // 2]
        return cells


def draw_panels(panels: Sequence[Panel], ax: Axes | None) -> Array:
    """All panels from left to right; the axes in the order of panels, rows and columns."""
    heights = max(panel.grid[0] for panel in panels)
    cells, left = [], 0.0
    for panel in panels:
        rows, columns = panel.grid
        width = WIDE if panel.is_lines else 1
        top = (heights - rows) / 2
        cells += [
            Cell(left + column * width, top + row, width)
            for row in range(rows)
            for column in range(columns)
        ]
        left += columns * width
    axes = parts(ax, cells)
    drawn = iter(axes)
    for panel in panels:
        if panel.is_lines:
            _draw_as_lines(next(drawn), panel)
            continue
        for place in panel.places:
            title, cells_of = panel.title(place), panel.picture(place)
            draw_picture(next(drawn), cells_of, title, "signed" if panel.is_kernel else "data")
    return axes


def _draw_as_lines(ax: Axes, panel: Panel) -> None:
    names = [panel.index(place) for place in panel.places]
    lines = panel.values[tuple(zip(*panel.places, strict=True))]
    draw_lines(ax, lines, names, panel.title())


def mosaic(kernels: Array, rank: int) -> Array:
    """Kernels that differ from place to place, side by side as one picture.

    From (rows, columns, *kernel, *places) with `rank` axes each; along one axis a kernel is a
    column. Of more than two axes, the middle slice of kernels and of places.
    """
    while rank > 2:
        kernels = kernels[:, :, kernels.shape[2] // 2]
        kernels = kernels.take(kernels.shape[1 + rank] // 2, axis=1 + rank)
        rank -= 1
    if rank == 1:
        return kernels
    rows, columns, high, wide, down, across = kernels.shape
    return kernels.transpose(0, 1, 4, 2, 5, 3).reshape(rows, columns, down * high, across * wide)
