"""Scenes: kernel, input and output beside each other, and what is lit in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from faltung.draw.shapes import Group, Label, Scene, Shapes, text_width
from faltung.draw.stack import Stack

__all__ = ["Panel", "Sheet", "one_under_another"]

MARGIN, GAP, LINE = 16.0, 40.0, 20.0
TITLE_SIZE, HEADING_SIZE, CAPTION_SIZE, NOTE_SIZE = 14.0, 12.0, 13.0, 11.0
BOLD = 1.15
"""How much wider bold letters are."""


@dataclass(frozen=True)
class Panel:
    """A stack with words above it."""

    heading: str
    stack: Stack

    @property
    def width(self) -> float:
        """Of the wider of both."""
        return max(self.stack.width, text_width(self.heading, HEADING_SIZE))


@dataclass
class Sheet:
    """The picture while it is made: rows of panels, then lines of words, from top to bottom."""

    title: str
    groups: list[Group] = field(default_factory=list)
    width: float = 0
    height: float = MARGIN

    def __post_init__(self) -> None:
        self.write("title", self.title, TITLE_SIZE)

    def place(self, panels: Sequence[Panel]) -> list[Stack]:
        """Put panels beside each other, in the middle of the highest."""
        highest = max(panel.stack.height for panel in panels)
        top = self.height + LINE
        x = MARGIN
        words: list[Label] = []
        placed = []
        for panel in panels:
            left = x + (panel.width - panel.stack.width) / 2
            y = top + (highest - panel.stack.height) / 2
            at = x + panel.width / 2, y - LINE / 2
            words.append(Label("heading", panel.heading, at, HEADING_SIZE))
            placed.append(replace(panel.stack, left=left, top=y))
            x += panel.width + GAP
        self.width = max(self.width, x - GAP + MARGIN)
        self.height = top + highest + MARGIN
        self.groups.append(Group(tuple(words)))
        return placed

    def write(self, role: str, line: str, size: float) -> None:
        """A line of words."""
        self._write(role, line, size, 0, None)
        self.height += LINE

    def narrate(self, captions: Sequence[str]) -> None:
        """A line for each frame, all in one place."""
        for number, caption in enumerate(captions):
            stop = None if len(captions) == 1 else number + 1
            self._write("caption", caption, CAPTION_SIZE, number, stop)
        self.height += LINE

    def _write(self, role: str, line: str, size: float, start: int, stop: int | None) -> None:
        at = MARGIN, self.height + LINE / 2 - 2
        self.groups.append(Group((Label(role, line, at, size, "start"),), start, stop))
        wide = text_width(line, size) * (BOLD if role == "title" else 1)
        self.width = max(self.width, wide + 2 * MARGIN)

    def add(self, shapes: Shapes, start: int = 0, stop: int | None = None) -> None:
        """Shapes of the frames from `start` to `stop`."""
        if shapes:
            self.groups.append(Group(shapes, start, stop))


def one_under_another(scenes: Sequence[Scene], title: str) -> Scene:
    """The scenes of a chain: each moves while the others stand still.

    Before its turn a scene shows its first frame, after it the last.
    """
    groups: list[Group] = []
    top, before = 0.0, 0
    for scene in scenes:
        count = len(scene.frames)
        for group in scene.groups:
            start = 0 if group.start == 0 else group.start + before
            stop = None if group.stop is None or group.stop >= count else group.stop + before
            groups.append(Group(tuple(shape.moved(top) for shape in group.shapes), start, stop))
        top += scene.height
        before += count
    frames = tuple(frame for scene in scenes for frame in scene.frames)
    description = " ".join(scene.description for scene in scenes)
    width = max(scene.width for scene in scenes)
    return Scene(width, top, title, description, tuple(groups), frames, len(frames) // 2)
