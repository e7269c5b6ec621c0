"""Building: from sights to the scene of one operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from faltung.draw.connections import Connections
from faltung.draw.grounds import (
    Ground,
    input_ground,
    output_ground,
    stuffed,
    stuffed_ground,
    turned,
)
from faltung.draw.kernel import KernelPanel, kernel_panel
from faltung.draw.kernel_field import KernelField
from faltung.draw.lighting import Plane, gathering, numbered, spreading
from faltung.draw.numbers import short, sizes, words
from faltung.draw.scene import NOTE_SIZE, Panel, Sheet
from faltung.draw.shapes import Frame, Scene
from faltung.draw.sights import Sight
from faltung.draw.subject import Subject
from faltung.plans._rules import Interpolation, Mean, Morphology, PositionSum, WeightedSum
from faltung.typing import Array, Shape

__all__ = ["build"]


@dataclass(frozen=True)
class _Drawing:
    """What a scene is built from."""

    subject: Subject
    sights: tuple[Sight, ...]
    view: str
    is_animated: bool


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
    drawing = _Drawing(subject, tuple(shown), view, is_animated)
    first = shown[0]
    source = (stuffed_ground if view == "zeros" else input_ground)(subject, first)
    target = output_ground(subject, first, with_border=view == "spread")
    source, target = _alike(source, target)
    kernels = _kernels(drawing)
    panels, kernel = [], None
    if kernels is not None:
        kernel = kernel_panel(kernels, has_numbers=subject.has_weights or not _is_held(subject))
        panels = [Panel(heading, kernel.stack) for heading in _kernel_headings(drawing, kernels)]
    panels += [
        Panel(_source_heading(drawing), source.stack),
        Panel(_heading("output", subject.problem.output_shape, subject.output_flat), target.stack),
    ]
    sheet = Sheet(title)
    placed = sheet.place(panels)
    planes = [
        Plane(stack, ground.texts)
        for stack, ground in zip(placed[-2:], (source, target), strict=True)
    ]
    _add_grounds(sheet, drawing, planes, (source, target))
    after = _add_results(sheet, drawing, planes[1])
    found = _field(sheet, drawing), _matrix(sheet, drawing, sights)
    below = [part for part in found if part is not None]
    for part in below:
        sheet.add(part.base())
    # From here on shapes come and go: what is drawn before can stay where it is.
    if kernel is not None and kernels is not None:
        _add_kernels(sheet, drawing, kernels, [replace(kernel, stack=s) for s in placed[:-2]])
    for part in below:
        _each(sheet, [part.lit(sight) for sight in sights])
    _each(
        sheet,
        [
            spreading(sight, planes[0], planes[1], texts)
            if view == "spread"
            else gathering(sight, planes[0], planes[1])
            for sight, texts in zip(shown, after, strict=True)
        ],
    )
    sheet.narrate([sight.caption for sight in shown])
    cuts = [part.stack.cut for part in (source, target, *below)]
    for cut in filter(None, cuts):
        sheet.write("note", cut, NOTE_SIZE)
    frames = tuple(
        Frame(
            tuple(map(subject.own_output, sight.outputs)),
            tuple(map(subject.own_input, sight.inputs)),
            sight.caption,
        )
        for sight in shown
    )
    description = _description(drawing)
    groups = tuple(sheet.groups)
    still = len(frames) // 2
    return Scene(sheet.width, sheet.height, title, description, groups, frames, still)


def _field(sheet: Sheet, drawing: _Drawing) -> KernelField | None:
    """The kernels of all places, below the planes."""
    if drawing.view == "spread":
        return None
    field = KernelField.of(drawing.subject, drawing.sights[0])
    if field is not None:
        field.placed(sheet.place([Panel(field.heading, field.stack)])[0])
    return field


def _matrix(sheet: Sheet, drawing: _Drawing, sights: Sequence[Sight]) -> Connections | None:
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


def _is_held(subject: Subject) -> bool:
    """Whether the kernel's numbers are the operator's own, and do not follow from its shape."""
    return isinstance(subject.rule, WeightedSum | PositionSum | Morphology)


def _kernels(drawing: _Drawing) -> list[Array] | None:
    """A kernel for each frame; equal ones of neighbours are one object."""
    kernels: list[Array] = []
    for sight in drawing.sights:
        if sight.kernel is None and kernels:  # a blank window: that of its neighbour
            kernels.append(kernels[-1])
        elif sight.kernel is None:
            known = [each.kernel for each in drawing.sights if each.kernel is not None]
            if not known:
                return None
            kernels.append(known[0])
        else:
            is_same = bool(kernels) and np.array_equal(kernels[-1], sight.kernel, equal_nan=True)
            kernels.append(kernels[-1] if is_same else sight.kernel)
    return kernels


def _is_flipped(drawing: _Drawing) -> bool:
    rule = drawing.subject.rule
    return isinstance(rule, WeightedSum) and (
        drawing.view == "zeros" if rule.is_transposed else rule.is_flipped
    )


def _kernel_headings(drawing: _Drawing, kernels: list[Array]) -> list[str]:
    rule, size = drawing.subject.rule, sizes(kernels[0].shape[1:])
    if _is_flipped(drawing):
        return [f"kernel {size}", "turned round"]
    names = {
        PositionSum: "kernel here",
        Interpolation: "weights here",
        Mean: "weights",
        Morphology: "structure",
    }
    return [f"{names.get(type(rule), 'kernel')} {size}"]


def _add_kernels(
    sheet: Sheet, drawing: _Drawing, kernels: list[Array], panels: list[KernelPanel]
) -> None:
    """Each kernel for as long as it stays the same, with the taps in use."""
    runs: list[tuple[Array, frozenset[Shape], int]] = []
    for number, (kernel, sight) in enumerate(zip(kernels, drawing.sights, strict=True)):
        if not runs or runs[-1][0] is not kernel or runs[-1][1] != sight.taps:
            runs.append((kernel, sight.taps, number))
    everything = frozenset(np.ndindex(*kernels[0].shape[1:]))
    first = (0,) * (kernels[0].ndim - 1)
    last = tuple(size - 1 for size in kernels[0].shape[1:])
    for place, (kernel, taps, start) in enumerate(runs):
        stop = runs[place + 1][2] if place + 1 < len(runs) else None
        used = everything if not taps or drawing.view == "spread" else taps
        if len(panels) == 1:
            sheet.add(panels[0].shapes(kernel, used, marks_first=None), start, stop)
            continue
        reversed_kernel = panels[1].shapes(kernel, used, marks_first=last)
        sheet.add(reversed_kernel, start, stop)
        given = panels[0].shapes(turned(kernel), everything, marks_first=first)
        sheet.add(given, start, stop)


def _heading(word: str, shape: Shape, is_flat: bool) -> str:
    """Sizes of one sample."""
    _, channels, *spatial = shape
    if is_flat:
        return f"{word}: {channels} rows of {words(int(np.prod(spatial)), 'window')}"
    text = f"{word} {sizes(spatial)}"
    return text if channels == 1 else f"{text}, {channels} channels"


def _source_heading(drawing: _Drawing) -> str:
    subject = drawing.subject
    word = "input, zeros between:" if drawing.view == "zeros" else "input"
    text = _heading(word, subject.problem.input_shape, subject.input_flat)
    recipe = subject.problem.recipe
    if recipe.groups > 1 and recipe.channels > 1:
        text += f" in {recipe.groups} groups"
    return text


def _add_grounds(
    sheet: Sheet, drawing: _Drawing, planes: list[Plane], grounds: tuple[Ground, Ground]
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


def _each(sheet: Sheet, shapes: Sequence[tuple[object, ...]]) -> None:
    """Shapes for one frame each."""
    for number, own in enumerate(shapes):
        stop = None if len(shapes) == 1 else number + 1
        sheet.add(own, number, stop)  # type: ignore[arg-type]


def _add_results(sheet: Sheet, drawing: _Drawing, target: Plane) -> list[dict[Shape, str]]:
    """The outputs that stay when a frame is over; returns the outputs' numbers frame by frame."""
    texts = [target.texts] * len(drawing.sights)
    if drawing.view == "spread" and drawing.is_animated:
        texts = _sums(drawing, target)
    for number, sight in enumerate(drawing.sights[:-1]):
        outputs = target.stack.keys([index[1:] for index in sight.outputs])
        sheet.add(numbered(target, "output", "number", outputs, texts[number]), number + 1)
    return texts


def _sums(drawing: _Drawing, target: Plane) -> list[dict[Shape, str]]:
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


def _description(drawing: _Drawing) -> str:
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
