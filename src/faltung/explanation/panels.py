"""What text and HTML show of an explanation: grids of numbers, notes, and lines of arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from faltung.explanation.arithmetic import Arithmetic, Window
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._rules import Reduction
from faltung.typing import Array, IndexArray, Shape

__all__ = ["Cell", "Grid", "Panel", "View", "number"]

MOST = 9
"""Rows and columns of a grid that are shown."""
DIGITS = {True: 4, False: 3}
"""Of the numbers in a grid, where it is narrow and where it is wide."""
NARROW = 5
MOST_PANELS = 4
MOST_NOTES = 8


class Cell(NamedTuple):
    """A number in a grid; `kind` is empty, "border", "outside" or "winner"."""

    text: str
    kind: str = ""
    note: str = ""


class Grid(NamedTuple):
    """A table of numbers with its name."""

    name: str
    rows: list[list[Cell]]


class Panel(NamedTuple):
    """Grids beside each other: the window, the weights, the products of one channel."""

    title: str
    grids: list[Grid]
    rest: tuple[str, ...]


def number(value: Any, digits: int = 7) -> str:
    """A number as short as it can be read, or several in a row."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.ndim:
        shown = [number(each, digits) for each in array[:MOST]]
        return " ".join(shown) + (
            f" {more(array.size - MOST, 'value')}" if array.size > MOST else ""
        )
    if array.dtype.kind in "biu":
        return str(int(array))
    if array.dtype.kind == "c":
        return f"{complex(array):.{digits}g}"
    return f"{float(array):.{digits}g}"


def more(count: int, what: str) -> str:
    """What is not shown."""
    return f"… {count:,} more {what}{'' if count == 1 else 's'}"


def _places(numbers: IndexArray) -> str:
    """Positions on an axis: ``-1..1`` where they follow each other, else one by one."""
    first, last = int(numbers[0]), int(numbers[-1])
    if len(numbers) > 2 and (np.diff(numbers) == 1).all():
        return f"{first}..{last}"
    return number(numbers).replace(" ", ",")


@dataclass(frozen=True)
class View:
    """An explanation, ready to be shown."""

    operator: str
    index: Shape
    total: Any
    window: Window
    arithmetic: Arithmetic

    @property
    def title(self) -> str:
        """The output and its value."""
        place = ", ".join(map(str, self.index))
        return f"{self.operator}: y[{place}] = {number(self.total)}"

    @cached_property
    def _is_moved(self) -> Array:
        """The taps to which a border shows another cell than the one at their position."""
        terms = self.window.terms
        is_moved: Array = (terms.positions != terms.cells).any(axis=1) & ~terms.is_outside
        return is_moved

    def note(self, tap: int) -> str:
        """What is to be said of a tap: what the border shows it."""
        terms, recipe = self.window.terms, self.window.problem.recipe
        if terms.is_outside[tap]:
            takes_part = recipe.rule.is_linear or isinstance(recipe.rule, Reduction)
            return f"outside: {number(recipe.fill)}" if takes_part else "outside: takes no part"
        if not self._is_moved[tap]:
            return ""
        mode = next(axis.mode for axis in recipe.axes if isinstance(axis, SlidingAxis))
        return f"border ({mode} → cell {','.join(map(str, terms.cells[tap]))})"

    @property
    def border(self) -> list[Cell]:
        """The notes by kind: one for each tap on a border, one for all outside."""
        terms = self.window.terms
        moved, outside = np.flatnonzero(self._is_moved), np.flatnonzero(terms.is_outside)
        lines = []
        for tap in moved[:MOST_NOTES].tolist():
            where = [",".join(map(str, part[tap])) for part in (terms.taps, terms.positions)]
            lines.append(Cell(f"tap {where[0]} at {where[1]}: {self.note(tap)}", "border"))
        if len(moved) > MOST_NOTES:
            hidden = more(len(moved) - MOST_NOTES, "tap")
            lines.append(Cell(f"{hidden} on the border", "border"))
        if len(outside):
            taps = "tap" if len(outside) == 1 else "taps"
            text = f"{self.note(int(outside[0]))} ({len(outside):,} {taps})"
            lines.append(Cell(text, "outside"))
        return lines

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The steps, as text."""
        return [(step.label, number(step.value)) for step in self.arithmetic.steps]

    @property
    def panels(self) -> list[Panel]:
        """The window, channel by channel and plane by plane."""
        if not self.window.values.size:
            return []
        *planes, rows, columns = self._shape
        count = len(self.window.values) * prod(planes)
        panels = [self._panel(place, (rows, columns)) for place in range(min(count, MOST_PANELS))]
        if count > MOST_PANELS:
            rest = more(count - MOST_PANELS, "plane of taps" if prod(planes) > 1 else "channel")
            panels[-1] = panels[-1]._replace(rest=(*panels[-1].rest, rest))
        return panels

    @cached_property
    def _axes(self) -> list[IndexArray]:
        """The taps of each axis."""
        return [np.unique(column) for column in self.window.terms.taps.T]

    @property
    def _is_grid(self) -> bool:
        """Whether every tap of an axis meets every one of the others."""
        return prod(map(len, self._axes)) == len(self.window.terms.taps)

    @cached_property
    def _shape(self) -> Shape:
        """The taps as planes of rows; in rows of nine where they do not fill a grid."""
        if not self._is_grid:
            return -(-len(self.window.terms.taps) // MOST), MOST
        sizes = map(len, self._axes)
        return (1, *sizes) if len(self._axes) == 1 else tuple(sizes)

    @property
    def _digits(self) -> int:
        return DIGITS[self._shape[-1] <= NARROW]

    def _panel(self, number_of_panel: int, shape: tuple[int, int]) -> Panel:
        planes = prod(self._shape[:-2])
        channel, plane = divmod(number_of_panel, planes)
        first = plane * prod(shape)
        taps = np.arange(first, min(first + prod(shape), self.window.values.shape[1]))
        found = self.arithmetic
        columns = [("window", self.window.values), (found.factor, found.factors)]
        columns.append((found.product, found.products))
        grids = [
            Grid(name, self._rows(array[channel], taps, shape, is_window=name == "window"))
            for name, array in columns
            if array is not None
        ]
        if not self._is_grid:
            cells = [",".join(map(str, cell)) for cell in self.window.terms.cells.tolist()]
            grids.insert(0, Grid("cell", self._rows(np.array(cells), taps, shape, is_window=False)))
        hidden = zip(shape, ("row", "column"), strict=True)
        rest = tuple(more(size - MOST, what) for size, what in hidden if size > MOST)
        return Panel(self._panel_title(channel, plane), grids, rest)

    def _panel_title(self, channel: int, plane: int) -> str:
        channels = np.broadcast_to(self.window.terms.channels, self.window.values.shape)[channel]
        title = f"channel {channels[0]}"
        if channels[0] != channels[-1]:
            title = f"channels {channels[0]} to {channels[-1]}, one for each tap"
        leading = self._shape[:-2]
        if not self._is_grid:
            return title
        positions = self.window.terms.positions.reshape(*self._shape, -1)
        place: Any = np.unravel_index(plane, leading) if leading else ()
        rows, columns = positions[(*place, slice(None), 0)], positions[(*place, 0)]
        axes = [f"{int(each)}" for each in columns[0][: len(place)]]
        if len(self._axes) > 1:
            axes.append(_places(rows[:, -2]))
        return f"{title}, cells {' × '.join([*axes, _places(columns[:, -1])])}"

    def _rows(
        self, values: Array, taps: IndexArray, shape: tuple[int, int], *, is_window: bool
    ) -> list[list[Cell]]:
        """The numbers of one plane of taps, as many rows and columns as are shown."""
        rows = []
        for start in range(0, len(taps), shape[1])[:MOST]:
            row = taps[start : min(start + shape[1], start + MOST)]
            rows.append([self._cell(values[tap], int(tap), is_window=is_window) for tap in row])
        return rows

    def _cell(self, value: Any, tap: int, *, is_window: bool) -> Cell:
        note = self.note(tap)
        if tap == self.arithmetic.winner:
            return Cell(number(value, self._digits), "winner", note)
        if not is_window or not note:
            return Cell(number(value, self._digits), "", note)
        return Cell(
            number(value, self._digits), "outside" if note.startswith("outside") else "border", note
        )
