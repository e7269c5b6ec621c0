"""Lighting: the shapes that one frame lays over the planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faltung.draw.shapes import Cells, Label, Lines, Point, Shapes
from faltung.draw.sights import Sight
from faltung.draw.stack import Stack
from faltung.typing import Shape

__all__ = ["Plane", "gathering", "numbered", "spreading"]


@dataclass(frozen=True)
class Plane:
    """A stack that has its place, and the numbers in it."""

    stack: Stack
    texts: dict[Shape, str]


def numbered(
    plane: Plane,
    role: str,
    word: str,
    places: Sequence[Shape],
    texts: dict[Shape, str] | None = None,
) -> Shapes:
    """Cells with their numbers."""
    if not places:
        return ()
    cells = plane.stack.cells(role, places)
    known = plane.texts if texts is None else texts
    labels = [plane.stack.label(word, place, known[place]) for place in places if place in known]
    return ((cells,) if cells.corners else ()) + tuple(label for label in labels if label)


def gathering(sight: Sight, source: Plane, target: Plane) -> Shapes:
    """The cells that outputs see, the window around them, and the outputs."""
    lit, border, echoes = map(source.stack.keys, (sight.lit, sight.border, sight.echoes))
    shapes: list[Cells | Lines | Label] = [
        *numbered(source, "lit-border", "number", border),
        *numbered(source, "echo", "number-lit", echoes),
        *numbered(source, "lit", "number-lit", lit),
    ]
    windows = _windows(source.stack, sight, [*lit, *border], sight.outputs[0][1])
    outputs = target.stack.keys([index[1:] for index in sight.outputs])
    now = numbered(target, "now", "number-now", outputs)
    shapes += windows
    if sight.winner is not None:
        winner = source.stack.cells("winner", source.stack.keys([sight.winner]))
        shapes += [winner] if winner.corners else []
    around = _around(target.stack, outputs)
    if windows and around is not None:
        shapes.append(_beams(windows[len(windows) // 2], around))
    return (*shapes, *now)


def spreading(sight: Sight, source: Plane, target: Plane, texts: dict[Shape, str] | None) -> Shapes:
    """The cells that are spread, the kernel on the output, and what falls beyond its ends.

    `texts` are the outputs' numbers after this frame.
    """
    lit = source.stack.keys(sight.lit)
    outputs = target.stack.keys([index[1:] for index in sight.outputs])
    shapes: list[Cells | Lines | Label] = [
        *numbered(source, "lit", "number-lit", lit),
        *numbered(target, "lit-border", "number", [*sight.removed, *sight.border]),
        *numbered(target, "now", "number-now", outputs, texts),
    ]
    marks = [*outputs, *sight.removed, *sight.border]
    windows = _windows(target.stack, sight, marks, 0)
    around = _around(source.stack, lit)
    if windows and around is not None:
        shapes.append(_beams(around, windows[len(windows) // 2]))
    return (*shapes, *windows)


def _windows(stack: Stack, sight: Sight, marks: Sequence[Shape], channel: int) -> list[Cells]:
    """The outline of the window on every plane where there is something under it."""
    if sight.window is None or stack.flattened:
        return []
    first, last = sight.window
    if stack.has_channel_rows:
        channels = sorted({mark[0] for mark in marks}) or [channel]
        # Of a window over several channels the rows lie next to each other.
        box = stack.box("window", (channels[0], *first), (channels[-1], *last))
        return [] if box is None else [box]
    planes = dict.fromkeys(mark[:-2] for mark in marks) or {(channel, *first[:-2]): None}
    boxes = [stack.box("window", (*plane, *first[-2:]), (*plane, *last[-2:])) for plane in planes]
    return [box for box in boxes if box is not None]


def _around(stack: Stack, places: Sequence[Shape]) -> Cells | None:
    """The parallelogram around the cells of the plane that has the first of them."""
    spots = [place for place in places if stack.spot(place) is not None]
    if not spots:
        return None
    same = [spot for spot in spots if stack.has_channel_rows or spot[:-2] == spots[0][:-2]]
    rows, columns = [spot[-2] for spot in same], [spot[-1] for spot in same]
    plane = spots[0][:-2]
    return stack.box("window", (*plane, min(rows), min(columns)), (*plane, max(rows), max(columns)))


def _beams(left: Cells, right: Cells) -> Lines:
    """From the right edge of one parallelogram to the left edge of another."""
    (start, end), (to_start, to_end) = _edge(left, is_right=True), _edge(right, is_right=False)
    return Lines("beam", ((start, to_start), (end, to_end)))


def _edge(cells: Cells, *, is_right: bool) -> tuple[Point, Point]:
    (x, y), (across, _), (lean, high) = cells.corners[0], cells.across, cells.down
    x += across if is_right else 0
    return (x, y), (x + lean, y + high)
