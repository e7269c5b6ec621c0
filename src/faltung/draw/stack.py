"""Planes of cells: where they lie on the picture, and which part of a large array is drawn.

One plane is seen from the front. Several, channels or the slices of a volume, are sheets that lie
over each other. Of data with one spatial axis the channels are rows of a single plane, as are
those of columns that a window was unfolded to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from faltung.draw.numbers import sizes
from faltung.draw.shapes import Cells, Label, Point, text_width
from faltung.typing import Shape

__all__ = ["MOST_CELLS", "MOST_PLANES", "Stack", "stacked"]

MOST_CELLS, MOST_OF_SHEETS = 32, 16
"""Rows and columns that are drawn of one plane, and of each of several."""
MOST_OF_LARGE = 20
MOST_PLANES = 6
MOST_ROWS = 45
"""Rows of all sheets together, above which cells are small."""
LARGE, SMALL, MOST_WIDTH = 26.0, 15.0, 46.0
LEAN, FLATNESS, BETWEEN = 0.42, 0.62, 12.0
"""Of sheets: how far a row lies to the left of the one above, how high it is, and the gap."""
NUMBER_SIZE = 11.0


class _Spot(NamedTuple):
    plane: int
    row: int
    column: int


@dataclass(frozen=True)
class Stack:
    """The part of an array that is drawn.

    Attributes
    ----------
    planes : tuple of (channel, *leading places)
        Those that are drawn; one empty key where the rows are channels.
    rows, columns : range
        Of cells; they begin below 0 where there is a border.
    cell : float
        How wide a cell is.
    flattened : tuple of int
        The spatial sizes that are drawn as one axis, or nothing.
    cut : str
        What is not drawn, in words.
    """

    planes: tuple[Shape, ...]
    rows: range
    columns: range
    has_channel_rows: bool = False
    cell: float = LARGE
    flattened: Shape = ()
    cut: str = ""
    left: float = 0
    top: float = 0

    @property
    def is_tilted(self) -> bool:
        """Whether there are several sheets."""
        return len(self.planes) > 1

    @property
    def across(self) -> Point:
        """The upper edge of a cell."""
        return self.cell, 0

    @cached_property
    def down(self) -> Point:
        """The left edge of a cell."""
        high = min(self.cell, LARGE)
        return (-LEAN * high, FLATNESS * high) if self.is_tilted else (0, high)

    @property
    def width(self) -> float:
        """Of the whole."""
        return len(self.columns) * self.cell - len(self.rows) * self.down[0]

    @cached_property
    def _pitch(self) -> float:
        return len(self.rows) * self.down[1] + BETWEEN

    @property
    def height(self) -> float:
        """Of the whole."""
        return len(self.planes) * self._pitch - BETWEEN

    def keys(self, places: Sequence[Shape]) -> list[Shape]:
        """Each (channel, *place) as it is drawn: with spatial axes as one, where they are."""
        if not self.flattened:
            return list(places)
        flat = (int(np.ravel_multi_index(place[1:], self.flattened)) for place in places)
        return [(place[0], number) for place, number in zip(places, flat, strict=True)]

    def spot(self, place: Shape) -> _Spot | None:
        """Where (channel, *place) is drawn; None where it is not."""
        plane = () if self.has_channel_rows else place[:-2]
        if plane not in self.planes or place[-2] not in self.rows or place[-1] not in self.columns:
            return None
        spot = self.planes.index(plane), place[-2] - self.rows.start
        return _Spot(*spot, place[-1] - self.columns.start)

    def corner(self, spot: _Spot) -> Point:
        """The upper left corner of a cell."""
        lean, high = self.down
        x = self.left + spot.column * self.cell + (spot.row - len(self.rows)) * lean
        return x, self.top + spot.plane * self._pitch + spot.row * high

    def places(self) -> Iterator[Shape]:
        """Every (channel, *place) that is drawn."""
        for plane, row, column in product(self.planes, self.rows, self.columns):
            yield (*plane, row, column)

    def corners(self, places: Sequence[Shape]) -> tuple[Point, ...]:
        """The corners of those places that are drawn."""
        spots = (self.spot(place) for place in places)
        return tuple(self.corner(spot) for spot in spots if spot is not None)

    def cells(self, role: str, places: Sequence[Shape], shade: float = 1.0) -> Cells:
        """The places as parallelograms."""
        return Cells(role, self.corners(places), self.across, self.down, shade)

    def box(self, role: str, first: Shape, last: Shape) -> Cells | None:
        """One parallelogram around the places from `first` to `last` of one plane."""
        plane = () if self.has_channel_rows else first[:-2]
        if plane not in self.planes:
            return None
        rows = [min(max(p[-2], self.rows.start), self.rows.stop - 1) for p in (first, last)]
        columns = [
            min(max(p[-1], self.columns.start), self.columns.stop - 1) for p in (first, last)
        ]
        if not (_meet(first[-2], last[-2], self.rows) and _meet(first[-1], last[-1], self.columns)):
            return None
        spot = self.planes.index(plane), rows[0] - self.rows.start
        corner = self.corner(_Spot(*spot, columns[0] - self.columns.start))
        high, wide = rows[1] - rows[0] + 1, columns[1] - columns[0] + 1
        down = self.down[0] * high, self.down[1] * high
        return Cells(role, (corner,), (self.cell * wide, 0), down)

    def label(self, role: str, place: Shape, text: str) -> Label | None:
        """A number in a cell."""
        spot = self.spot(place)
        if spot is None:
            return None
        x, y = self.corner(spot)
        middle = x + (self.across[0] + self.down[0]) / 2, y + self.down[1] / 2
        return Label(role, text, middle, min(NUMBER_SIZE, self.down[1] * 0.72))

    def fitted(self, longest: int) -> Stack | None:
        """With cells that hold so many letters; None where they would be too wide."""
        needed = text_width("0" * longest, NUMBER_SIZE) + 6
        if needed > MOST_WIDTH or len(self.rows) * len(self.columns) * len(self.planes) > 600:
            return None
        return replace(self, cell=max(self.cell, LARGE, needed))


def _meet(first: int, last: int, shown: range) -> bool:
    return first < shown.stop and last >= shown.start


def stacked(
    channels: int,
    ranges: Sequence[range],
    focus: Shape,
    what: str,
    flattened: Shape = (),
) -> Stack:
    """The planes of an array, the part around `focus` where it is large.

    Parameters
    ----------
    channels : int
        Of the array.
    ranges : sequence of range
        The places of each spatial axis, borders included.
    focus : tuple of int
        (channel, *place) of the first thing to be seen.
    what : str
        What the array is called, for the words on what is not drawn.
    flattened : tuple of int
        Spatial sizes that are one axis of the array.
    """
    if flattened:
        place = np.ravel_multi_index(focus[1:], flattened)
        ranges, focus = [range(prod(flattened))], (focus[0], int(place))
    everything = [range(channels), *ranges]
    has_channel_rows = len(ranges) == 1
    most = [] if has_channel_rows else _planes_of(everything[:-2])
    most += [MOST_OF_SHEETS if prod(most) > 1 else MOST_CELLS] * 2
    shown = [_around(*part) for part in zip(everything, focus, most, strict=True)]
    planes = tuple(product(*shown[:-2]))
    cut = ""
    if shown != everything:
        limit = f"{MOST_CELLS} × {MOST_CELLS}"
        if prod(most[:-2]) > 1:
            limit = f"{MOST_PLANES} planes of {MOST_OF_SHEETS} × {MOST_OF_SHEETS}"
        cut = (
            f"{what} {sizes(map(len, everything))} is too large to draw, at most {limit} are: "
            f"here {_spoken(shown, everything)}"
        )
    rows, columns = len(shown[-2]), len(shown[-1])
    is_large = max(rows, columns) > MOST_OF_LARGE or len(planes) * rows > MOST_ROWS
    cell = SMALL if is_large else LARGE
    return Stack(planes, shown[-2], shown[-1], has_channel_rows, cell, flattened, cut)


def _planes_of(leading: Sequence[range]) -> list[int]:
    """How many entries of each leading axis are drawn: the last ones whole, as far as they go."""
    most, left = [], MOST_PLANES
    for axis in reversed(leading):
        most.append(min(len(axis), left))
        left = max(left // max(len(axis), 1), 1)
    return most[::-1]


def _around(whole: range, focus: int, most: int) -> range:
    """At most so many entries, from shortly before the one to be seen."""
    if len(whole) <= most:
        return whole
    start = whole.start if focus < whole.start + most - 1 else focus - most // 2
    start = max(min(start, whole.stop - most), whole.start)
    return range(start, start + most)


def _spoken(shown: Sequence[range], everything: Sequence[range]) -> str:
    names = ["channels", *["places"] * (len(shown) - 1)]
    if len(shown) == 3:
        names[1:] = ["rows", "columns"]
    parts = [
        f"{name} {some.start} to {some.stop - 1}"
        for name, some, whole in zip(names, shown, everything, strict=True)
        if some != whole
    ]
    return ", ".join(parts)
