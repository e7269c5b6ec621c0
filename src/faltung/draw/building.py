"""Building: from sights to the scene of one operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from faltung.draw.connections import Connections
from faltung.draw.grounds import (
    Ground,
    input_ground,
    output_ground,
    stuffed,
    stuffed_ground,
)
from faltung.draw.kernel import KernelPanel
from faltung.draw.kernel_field import KernelField
from faltung.draw.kernel_runs import Drawing, add_kernels, kernel_headings, kernels_of, panel_of
from faltung.draw.lighting import Plane, gathering, numbered, spreading
from faltung.draw.numbers import short, sizes, words
from faltung.draw.scene import NOTE_SIZE, Panel, Sheet
from faltung.draw.shapes import Frame, Scene, Shapes
from faltung.draw.sights import Sight
from faltung.draw.stack import Stack
from faltung.draw.subject import Subject
from faltung.typing import Shape

__all__ = ["build"]


def build(
    subject: Subject, sights: Sequence[Sight], view: str, title: str, *, is_animated: bool
) -> Scene:
    """The scene of an operator in one view.

    Parameters
    ----------
    subject : Subject
        The operator.
    sights : sequence of Sight
        One for each frame, at least one.
    view : {"window", "spread", "zeros", "matrix"}
        Which.
    title : str
        What stands above the figure.
    is_animated : bool
        Whether outputs appear frame by frame, or are all there.
    """
    shown = [stuffed(subject, sight) for sight in sights] if view == "zeros" else list(sights)
    drawing = Drawing(subject, tuple(shown), view, is_animated)
    first = shown[0]
    source = (stuffed_ground if view == "zeros" else input_ground)(subject, first)
    target = output_ground(subject, first, with_border=view == "spread")
    source, target = _alike(source, target)
    kernels = kernels_of(drawing)
    kernel = None if kernels is None else panel_of(drawing, kernels)
    sheet = Sheet(title)
    placed = sheet.place(_panels(drawing, source.stack, target.stack, kernel))
    planes = Plane(placed[-2], source.texts), Plane(placed[-1], target.texts)
    _add_grounds(sheet, drawing, planes, (source, target))
    after = _add_results(sheet, drawing, planes[1])
    found = _field(sheet, drawing), _matrix(sheet, drawing, sights)
    below = [part for part in found if part is not None]
    for part in below:
        sheet.add(part.base())
    # From here on shapes come and go: what is drawn before can stay where it is.
    if kernel is not None and kernels is not None:
        add_kernels(sheet, drawing, kernels, [replace(kernel, stack=s) for s in placed[:-2]])
    for part in below:
        _each(sheet, [part.lit(sight) for sight in sights])
    _add_lights(sheet, drawing, planes, after)
    sheet.narrate([sight.caption for sight in shown])
    for cut in (part.stack.cut for part in (source, target, *below)):
        if cut:
            sheet.write("note", cut, NOTE_SIZE)
    return Scene(
        sheet.width,
        sheet.height,
        title,
        _description(drawing),
        tuple(sheet.groups),
        tuple(_frame(subject, sight) for sight in shown),
        len(shown) // 2,
    )


def _frame(subject: Subject, sight: Sight) -> Frame:
    outputs = tuple(map(subject.own_output, sight.outputs))
    return Frame(outputs, tuple(map(subject.own_input, sight.inputs)), sight.caption)


def _panels(
    drawing: Drawing, source: Stack, target: Stack, kernel: KernelPanel | None
) -> list[Panel]:
    """Kernel, input and output, from left to right."""
    headings = [] if kernel is None else kernel_headings(drawing)
    problem, is_flat = drawing.subject.problem, drawing.subject.output_flat
    return [
        *(Panel(heading, kernel.stack) for heading in headings if kernel is not None),
        Panel(_source_heading(drawing), source),
        Panel(_heading("output", problem.output_shape, is_flat), target),
    ]


def _field(sheet: Sheet, drawing: Drawing) -> KernelField | None:
    """The kernels of all places, below the planes."""
    if drawing.view == "spread":
        return None
    field = KernelField.of(drawing.subject, drawing.sights[0])
    if field is not None:
        field.placed(sheet.place([Panel(field.heading, field.stack)])[0])
    return field


def _matrix(sheet: Sheet, drawing: Drawing, sights: Sequence[Sight]) -> Connections | None:
    """The matrix, below the planes."""
    if drawing.view != "matrix":
        return None
    matrix = Connections(drawing.subject, sights)
    matrix.placed(sheet.place([Panel(matrix.heading, matrix.stack)])[0])
    return matrix


def _alike(source: Ground, target: Ground) -> tuple[Ground, Ground]:
    """Both with cells of one size, unless numbers need their own."""
    cell = min(source.stack.cell, target.stack.cell)
    made = (
        ground if ground.texts else replace(ground, stack=replace(ground.stack, cell=cell))
        for ground in (source, target)
    )
    return next(made), next(made)


def _heading(word: str, shape: Shape, is_flat: bool) -> str:
    """Sizes of one sample."""
    _, channels, *spatial = shape
    if is_flat:
        return f"{word}: {channels} rows of {words(int(np.prod(spatial)), 'window')}"
    text = f"{word} {sizes(spatial)}"
    return text if channels == 1 else f"{text}, {channels} channels"


def _source_heading(drawing: Drawing) -> str:
    subject = drawing.subject
    word = "input, zeros between:" if drawing.view == "zeros" else "input"
    text = _heading(word, subject.problem.input_shape, subject.input_flat)
    recipe = subject.problem.recipe
    if recipe.groups > 1 and recipe.channels > 1:
        text += f" in {recipe.groups} groups"
    return text


def _add_grounds(
    sheet: Sheet,
    drawing: Drawing,
    planes: tuple[Plane, Plane],
    grounds: tuple[Ground, Ground],
) -> None:
    """Input, border and output as they are before anything is lit."""
    source, target = planes
    for role in ("gap", "border", "copy", "input"):
        places = [place for place, own in grounds[0].roles.items() if own == role]
        word = "number-soft" if role in ("border", "copy", "gap") else "number"
        sheet.add(numbered(source, role, word, places))
    for role in ("border", "output"):
        places = [place for place, own in grounds[1].roles.items() if own == role]
        shown = "pending" if role == "output" and drawing.is_animated else role
        texts: dict[Shape, str] | None = {} if drawing.is_animated else None
        sheet.add(numbered(target, shown, "number", places, texts))


def _each(sheet: Sheet, shapes: Sequence[Shapes]) -> None:
    """Shapes for one frame each."""
    for number, own in enumerate(shapes):
        stop = None if len(shapes) == 1 else number + 1
        sheet.add(own, number, stop)


def _add_results(sheet: Sheet, drawing: Drawing, target: Plane) -> list[dict[Shape, str]]:
    """The outputs that stay when a frame is over; returns the outputs' numbers frame by frame."""
    texts = [target.texts] * len(drawing.sights)
    if drawing.view == "spread" and drawing.is_animated:
        texts = _sums(drawing, target)
    for number, sight in enumerate(drawing.sights[:-1]):
        outputs = target.stack.keys([index[1:] for index in sight.outputs])
        sheet.add(numbered(target, "output", "number", outputs, texts[number]), number + 1)
    return texts


def _add_lights(
    sheet: Sheet,
    drawing: Drawing,
    planes: tuple[Plane, Plane],
    after: list[dict[Shape, str]],
) -> None:
    """What every frame lights."""
    source, target = planes
    if drawing.view == "spread":
        pairs = zip(drawing.sights, after, strict=True)
        _each(sheet, [spreading(sight, source, target, texts) for sight, texts in pairs])
    else:
        _each(sheet, [gathering(sight, source, target) for sight in drawing.sights])


def _sums(drawing: Drawing, target: Plane) -> list[dict[Shape, str]]:
    """What stands in the outputs after each frame: the operator applied to what was spread."""
    subject = drawing.subject
    if subject.x is None or not target.texts or not subject.has_weights:
        return [{} for _ in drawing.sights]
    spread_so_far = np.zeros_like(subject.x)
    found = []
    for sight in drawing.sights:
        for index in sight.inputs:
            own = subject.own_input(index)
            spread_so_far[own] = subject.x[own]
        result = subject.result_of(spread_so_far)[sight.inputs[0][0]]
        found.append({place: short(result[place]) for place in target.texts})
    return found


def _description(drawing: Drawing) -> str:
    """The picture in words, for those who do not see it."""
    subject, sights = drawing.subject, drawing.sights
    inputs, outputs = subject.problem.input_shape[1:], subject.problem.output_shape[1:]
    what = {
        "spread": "An input cell is multiplied with the kernel and added to the output",
        "zeros": "The turned kernel over the input with zeros between its cells",
    }.get(drawing.view, "A window over the padded input, and the output that it gives")
    count = f" {len(sights)} frames." if len(sights) > 1 else ""
    size = f"Input {sizes(inputs)} (channels first), output {sizes(outputs)}."
    return f"{what}. {size}{count} {sights[0].caption}."
