"""What a scene is made of: parallelograms, lines and words, each with a role that has a colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from faltung.typing import Shape

__all__ = ["Cells", "Frame", "Group", "Label", "Lines", "Point", "Scene", "Shapes", "text_width"]

Point: TypeAlias = tuple[float, float]


class Cells(NamedTuple):
    """Parallelograms that are alike: their first corners, and the two edges from there."""

    role: str
    corners: tuple[Point, ...]
    across: Point
    down: Point
    shade: float = 1.0

    def moved(self, by: float) -> Cells:
        """Further down."""
        return self._replace(corners=tuple((x, y + by) for x, y in self.corners))


class Lines(NamedTuple):
    """Straight lines from the first point to the second."""

    role: str
    ends: tuple[tuple[Point, Point], ...]

    def moved(self, by: float) -> Lines:
        """Further down."""
        return self._replace(ends=tuple(((a, b + by), (c, d + by)) for (a, b), (c, d) in self.ends))


class Label(NamedTuple):
    """Words; `anchor` says what lies at the point, which is half-way up the letters."""

    role: str
    text: str
    at: Point
    size: float
    anchor: str = "middle"

    def moved(self, by: float) -> Label:
        """Further down."""
        return self._replace(at=(self.at[0], self.at[1] + by))


Shapes: TypeAlias = tuple[Cells | Lines | Label, ...]


class Group(NamedTuple):
    """Shapes that are there from frame `start` on, and are gone at frame `stop`."""

    shapes: Shapes
    start: int = 0
    stop: int | None = None

    def is_shown(self, frame: int) -> bool:
        """Whether the shapes are there."""
        return self.start <= frame and (self.stop is None or frame < self.stop)


class Frame(NamedTuple):
    """One picture of an animation: which cells are lit.

    Attributes
    ----------
    outputs, inputs : tuple of index
        In the layouts of the operator's own arrays.
    caption : str
        The arithmetic, where it is short, or what is seen.
    """

    outputs: tuple[Shape, ...]
    inputs: tuple[Shape, ...]
    caption: str


@dataclass(frozen=True)
class Scene:
    """A picture, or several of one size, as shapes; what comes later lies above.

    `still` is the frame that stands for all where nothing moves.
    """

    width: float
    height: float
    title: str
    description: str
    groups: tuple[Group, ...]
    frames: tuple[Frame, ...]
    still: int = 0

    def shown(self, frame: int) -> list[Group]:
        """The groups that are there in a frame."""
        return [group for group in self.groups if group.is_shown(frame)]


def text_width(text: str, size: float) -> float:
    """About how wide words are, for every sans-serif face: rather too much than too little."""
    return 0.58 * size * len(text)
