"""The kernels of an animation: which one stands beside the input, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faltung.draw.grounds import turned
from faltung.draw.kernel import KernelPanel, kernel_panel
from faltung.draw.numbers import sizes
from faltung.draw.scene import Sheet
from faltung.draw.sights import Sight
from faltung.draw.subject import Subject
from faltung.plans._entries import kernel_shape
from faltung.plans._rules import Interpolation, Mean, Morphology, PositionSum, WeightedSum
from faltung.typing import Array, Shape

__all__ = ["Drawing", "add_kernels", "kernel_headings", "kernels_of", "panel_of"]


@dataclass(frozen=True)
class Drawing:
    """What a scene is built from."""

    subject: Subject
    sights: tuple[Sight, ...]
    view: str
    is_animated: bool


def panel_of(drawing: Drawing, kernels: list[Array]) -> KernelPanel:
    """The panel that holds them all, one after the other."""
    subject = drawing.subject
    # Of a held kernel there may be no numbers; others follow from the shapes.
    is_held = isinstance(subject.rule, WeightedSum | PositionSum | Morphology)
    return kernel_panel(kernels, has_numbers=subject.has_weights or not is_held)


def kernels_of(drawing: Drawing) -> list[Array] | None:
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


def _is_flipped(drawing: Drawing) -> bool:
    rule = drawing.subject.rule
    return isinstance(rule, WeightedSum) and (
        drawing.view == "zeros" if rule.is_transposed else rule.is_flipped
    )


def kernel_headings(drawing: Drawing) -> list[str]:
    """What stands above the kernel; two where it is turned round."""
    names = {
        PositionSum: "kernel here",
        Interpolation: "weights here",
        Mean: "weights",
        Morphology: "structure",
    }
    size = sizes(kernel_shape(drawing.subject.problem.recipe.axes))
    heading = f"{names.get(type(drawing.subject.rule), 'kernel')} {size}"
    return [heading, "turned round"] if _is_flipped(drawing) else [heading]


def add_kernels(
    sheet: Sheet, drawing: Drawing, kernels: list[Array], panels: list[KernelPanel]
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
