"""Grounds: the planes that windows move over, before anything is lit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from faltung.draw.numbers import short
from faltung.draw.sights import Sight
from faltung.draw.stack import Stack, stacked
from faltung.draw.subject import Subject
from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._rules import Reduction
from faltung.typing import Array, Shape

__all__ = ["Ground", "input_ground", "output_ground", "stuffed", "stuffed_ground", "turned"]


@dataclass(frozen=True)
class Ground:
    """A stack with the role of every place, and the number in it where numbers fit."""

    stack: Stack
    roles: dict[Shape, str]
    texts: dict[Shape, str]

    def fitted(self) -> Ground:
        """With cells that hold the numbers, or without numbers."""
        longest = max(map(len, self.texts.values()), default=0)
        stack = self.stack.fitted(longest) if longest else None
        if stack is None:
            return replace(self, texts={})
        return replace(self, stack=stack)


def input_ground(subject: Subject, sight: Sight) -> Ground:
    """The input with the border that windows reach."""
    problem = subject.problem
    axes = problem.recipe.axes
    ranges = [
        _reached(axis) if isinstance(axis, SlidingAxis) else range(axis.size) for axis in axes
    ]
    channels = problem.input_shape[1]
    flattened = problem.input_shape[2:] if subject.input_flat and len(axes) > 1 else ()
    focus = _focus(sight)
    if subject.is_transposed:  # the window lies on the output
        focus = sight.lit[0] if sight.lit else (0,) * (len(axes) + 1)
    sizes = [axis.size for axis in axes]
    what = "input" if [len(some) for some in ranges] == sizes else "padded input"
    stack = stacked(channels, ranges, focus, what, flattened)
    outside = "border" if subject.mode in ("zeros", "constant", "blank") else "copy"
    roles = {
        place: "input" if flattened or _is_inside(place[1:], sizes) else outside
        for place in stack.places()
    }
    return Ground(stack, roles, _input_texts(subject, sight, roles, flattened)).fitted()


def _reached(axis: SlidingAxis) -> range:
    """All positions that are input, padding, or under a window."""
    last = (axis.outputs - 1) * axis.stride - axis.before + axis.span
    return range(min(-axis.before, 0), max(axis.size + axis.after, axis.size, last))


def _is_inside(place: Sequence[int], sizes: Sequence[int]) -> bool:
    return all(0 <= position < size for position, size in zip(place, sizes, strict=True))


def _focus(sight: Sight) -> Shape:
    """(channel, *place) of the first thing that is lit."""
    cells = sight.lit or sight.echoes or sight.border
    channel = cells[0][0] if cells else sight.outputs[0][1]
    if sight.window is None:
        return cells[0] if cells else (0,) * (len(sight.outputs[0]) - 1)
    return channel, *sight.window[0]


def _input_texts(
    subject: Subject, sight: Sight, roles: dict[Shape, str], flattened: Shape
) -> dict[Shape, str]:
    """The data, and on the border what shows there, where it takes part."""
    if subject.values is None:
        return {}
    sample = subject.values[sight.sample]
    if flattened:
        sample = sample.reshape(len(sample), -1)
    recipe = subject.problem.recipe
    takes_part = subject.rule.is_linear or isinstance(subject.rule, Reduction)
    fill = short(np.asarray(recipe.fill)) if takes_part else ""
    texts = {}
    for place, role in roles.items():
        if role == "border":
            texts[place] = fill
        elif role == "copy":
            axes = [cast("SlidingAxis", axis) for axis in recipe.axes]
            cell = [
                int(source_index(axis.mode, np.array([position]), axis.size)[0])
                for axis, position in zip(axes, place[1:], strict=True)
            ]
            texts[place] = short(sample[(place[0], *cell)])
        else:
            texts[place] = short(sample[place])
    return {place: text for place, text in texts.items() if text}


def output_ground(subject: Subject, sight: Sight, *, with_border: bool = False) -> Ground:
    """The output; with what a spread kernel loses beyond its ends."""
    problem = subject.problem
    axes, shape = problem.recipe.axes, problem.output_shape
    ranges = [
        _reached(cast("TransposedAxis", axis).forward) if with_border else range(axis.outputs)
        for axis in axes
    ]
    flattened = shape[2:] if subject.output_flat and len(axes) > 1 else ()
    focus = sight.outputs[0][1:] if sight.outputs else (0,) * (len(axes) + 1)
    if with_border and sight.window is not None:
        focus = focus[0], *sight.window[0]
    stack = stacked(shape[1], ranges, focus, "output", flattened)
    roles = {
        place: "output" if flattened or _is_inside(place[1:], shape[2:]) else "border"
        for place in stack.places()
    }
    texts = {}
    if subject.results is not None:
        sample = subject.results[sight.sample]
        sample = sample.reshape(len(sample), -1) if flattened else sample
        texts = {place: short(sample[place]) for place, role in roles.items() if role == "output"}
    return Ground(stack, roles, texts).fitted()


def stuffed_ground(subject: Subject, sight: Sight) -> Ground:
    """The input of a transposed window with zeros between its cells and around them.

    Over it the turned kernel slides with a stride of 1, as over the input of a convolution.
    """
    problem = subject.problem
    forward = [cast("TransposedAxis", axis).forward for axis in problem.recipe.axes]
    ranges = []
    for axis in forward:
        first = axis.before - axis.span + 1
        last = (axis.outputs - 1) * axis.stride
        ranges.append(range(min(first, 0), max(last + 1, axis.size + axis.before)))
    stack = stacked(problem.input_shape[1], ranges, _focus(sight), "stuffed input")
    roles = {}
    for place in stack.places():
        steps = list(zip(place[1:], forward, strict=True))
        if any(not 0 <= p <= (axis.outputs - 1) * axis.stride for p, axis in steps):
            roles[place] = "border"
        else:
            is_real = all(p % axis.stride == 0 for p, axis in steps)
            roles[place] = "input" if is_real else "gap"
    texts = {}
    if subject.values is not None:
        sample = subject.values[sight.sample]
        for place, role in roles.items():
            cell = (p // axis.stride for p, axis in zip(place[1:], forward, strict=True))
            texts[place] = short(sample[(place[0], *cell)]) if role == "input" else "0"
    return Ground(stack, roles, texts).fitted()


def stuffed(subject: Subject, sight: Sight) -> Sight:
    """The sight of one output with places among the zeros, and every tap of the window."""
    forward = [cast("TransposedAxis", axis).forward for axis in subject.problem.recipe.axes]
    place = sight.outputs[0][2:]
    strides = [axis.stride for axis in forward]
    seen = {
        (cell[0], *(position * step for position, step in zip(cell[1:], strides, strict=True)))
        for cell in (*sight.lit, *sight.echoes)
    }
    # Tap t of output c lies at c + before - t * dilation: the kernel is turned round.
    axes = [
        np.arange(axis.taps) * -axis.dilation + output + axis.before
        for axis, output in zip(forward, place, strict=True)
    ]
    taps = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
    recipe = subject.problem.recipe
    group = sight.outputs[0][1] // max(recipe.filters, 1)
    channels = range(group * recipe.channels, (group + 1) * recipe.channels)
    under = [(channel, *tap) for channel in channels for tap in taps.tolist()]
    return replace(
        sight,
        lit=tuple(cell for cell in under if cell in seen),
        border=tuple(cell for cell in under if cell not in seen),
        echoes=tuple(sorted(seen - set(under))),
        window=(tuple(taps.min(axis=0).tolist()), tuple(taps.max(axis=0).tolist())),
        kernel=None if sight.kernel is None else turned(sight.kernel),
        taps=frozenset(
            tuple(axis.taps - 1 - t for t, axis in zip(tap, forward, strict=True))
            for tap in sight.taps
        ),
    )


def turned(kernel: Array) -> Array:
    """The kernel (channels, *taps), reversed on each spatial axis."""
    return kernel[(slice(None), *(slice(None, None, -1),) * (kernel.ndim - 1))]
