"""Sights: which cells one frame lights, straight from the terms of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from faltung.draw.captions import gathered_caption, name_of
from faltung.draw.numbers import sizes, words
from faltung.draw.subject import Subject
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._entries import kernel_shape, shown_outputs
from faltung.plans._rules import (
    Interpolation,
    Mean,
    Morphology,
    Overlap,
    PositionSum,
    WeightedSum,
)
from faltung.plans._terms import Terms, terms_of
from faltung.typing import Array, Shape

__all__ = ["Sight", "gathered", "is_blank_at", "spread"]


@dataclass(frozen=True)
class Sight:
    """What one frame shows; channels and places as on the drawn planes, borders included.

    Attributes
    ----------
    outputs, inputs : tuple of index
        In canonical order; the cells that the outputs see, or that are spread onto them.
    lit, border, echoes : tuple of (channel, *place)
        Cells under a tap, taps on the border, and cells that are seen through the border.
    window : pair of places, or None
        The first and the last place that the window covers.
    kernel : array (channels, *kernel), or None
        What cells are multiplied with.
    taps : frozenset of tap
        The taps that are in use.
    winner : (channel, *place), or None
        The cell that a maximum or minimum took.
    removed : tuple of (channel, *place)
        Of a spread kernel, what falls outside the output.
    """

    outputs: tuple[Shape, ...]
    inputs: tuple[Shape, ...]
    lit: tuple[Shape, ...]
    border: tuple[Shape, ...] = ()
    echoes: tuple[Shape, ...] = ()
    window: tuple[Shape, Shape] | None = None
    kernel: Array | None = None
    taps: frozenset[Shape] = frozenset()
    winner: Shape | None = None
    removed: tuple[Shape, ...] = ()
    caption: str = ""

    @property
    def sample(self) -> int:
        """The sample that all cells belong to; one of both has cells."""
        return (self.outputs or self.inputs)[0][0]


def is_blank_at(subject: Subject, place: Shape) -> bool:
    """Whether the window of an output leaves the input and a blank border makes it 0."""
    outputs = shown_outputs(subject.problem)
    return not all(output in some for output, some in zip(place, outputs, strict=True))


def gathered(subject: Subject, indices: Sequence[Shape]) -> Sight:
    """What some outputs of one place see: one, or all taps of a window that are outputs."""
    parts = [_gathered(subject, index) for index in indices]
    if len(parts) == 1:
        return parts[0]
    boxes = [part.window for part in parts if part.window is not None]
    window = None
    if boxes:
        low = tuple(map(min, *(box[0] for box in boxes)))
        window = low, tuple(map(max, *(box[1] for box in boxes)))
    names = ("inputs", "lit", "border", "echoes")
    joined: dict[str, Any] = {
        name: tuple(dict.fromkeys(cell for part in parts for cell in getattr(part, name)))
        for name in names
    }
    first = subject.own_output(indices[0])
    caption = f"{words(len(indices), 'tap')} of one window, a row each: {name_of(first)} and below"
    if subject.case.bound.layout.is_channels_last:
        caption = caption.replace("a row each", "a channel each").replace("below", "following")
    taps = frozenset().union(*(part.taps for part in parts))
    return Sight(tuple(indices), window=window, taps=taps, caption=caption, **joined)


def _gathered(subject: Subject, index: Shape) -> Sight:
    problem, place = subject.problem, index[2:]
    if is_blank_at(subject, place):
        window = _window(subject, place)
        caption = (
            f"{name_of(subject.own_output(index))}: the window leaves the input, which yields 0"
        )
        return Sight((index,), (), (), window=window, caption=caption)
    explanation = subject.explanation(index)
    if explanation is not None:
        terms = explanation.window.terms
    else:
        terms = terms_of(problem, subject.case.operands, index)
    count = terms.coefficients.shape
    channels = np.broadcast_to(terms.channels, count).ravel()
    positions: Array = np.tile(terms.positions, (count[0], 1))
    cells: Array = np.tile(terms.cells, (count[0], 1))
    outside = np.tile(terms.is_outside, count[0])
    moved = ~outside & np.any(positions != cells, axis=1)
    seen = _cells(channels[~outside], cells[~outside])
    winner = None if explanation is None else explanation.arithmetic.winner
    lit = _cells(channels[~outside & ~moved], cells[~outside & ~moved])
    border = _cells(channels[outside | moved], positions[outside | moved])
    under_taps = set(lit)
    return Sight(
        (index,),
        tuple(sorted((index[0], *cell) for cell in seen)),
        lit,
        border,
        echoes=tuple(cell for cell in seen if cell not in under_taps),
        window=_window(subject, place) if subject.keeps_taps else _box(terms.positions),
        kernel=_kernel(subject, terms, index),
        taps=frozenset(map(tuple, terms.taps.tolist())),
        winner=None if winner is None else (int(channels[winner]), *positions[winner].tolist()),
        caption=gathered_caption(subject, index, explanation, (len(seen), len(border))),
    )


def _window(subject: Subject, place: Shape) -> tuple[Shape, Shape]:
    """The whole window of an output, of an operator whose window slides."""
    parts = [
        cast("SlidingAxis", axis).positions(output, output + 1)[0]
        for axis, output in zip(subject.problem.recipe.axes, place, strict=True)
    ]
    return tuple(int(part.min()) for part in parts), tuple(int(part.max()) for part in parts)


def _cells(channels: Array, places: Array) -> tuple[Shape, ...]:
    joined = np.column_stack([channels, places])
    return tuple(dict.fromkeys(map(tuple, joined.tolist())))


def _box(places: Array) -> tuple[Shape, Shape] | None:
    if not len(places):
        return None
    return tuple(places.min(axis=0).tolist()), tuple(places.max(axis=0).tolist())


def _kernel(subject: Subject, terms: Terms, index: Shape) -> Array | None:
    """What stands beside the cells: (channels, *kernel), NaN where there is no tap."""
    rule = subject.rule
    shape = kernel_shape(subject.problem.recipe.axes)
    if isinstance(rule, WeightedSum):
        weight = rule.coefficients(cast("Array", subject.case.operands.weight))
        return cast("Array", weight[index[1]])
    if not isinstance(rule, PositionSum | Interpolation | Mean | Morphology):
        return None
    kind = np.result_type(terms.coefficients.dtype, np.float16)
    kernel = np.full((len(terms.coefficients), *shape), np.nan, kind)
    kernel[(slice(None), *terms.taps.T)] = terms.coefficients
    return kernel


def spread(subject: Subject, indices: Sequence[Shape]) -> Sight:
    """Where some inputs of one place are added to the output of a transposed operator."""
    problem = subject.problem
    recipe, place = problem.recipe, indices[0][2:]
    axes = [cast("TransposedAxis", axis) for axis in recipe.axes]
    is_spread = all(cell in axis.sources for cell, axis in zip(place, axes, strict=True))
    forward = [axis.forward for axis in axes]
    positions = _grid([f.positions(i, i + 1)[0] for f, i in zip(forward, place, strict=True)])
    cells = _grid([f.index(i, i + 1)[0] for f, i in zip(forward, place, strict=True)])
    group = indices[0][1] // max(recipe.channels, 1)
    filters = np.arange(group * recipe.filters, (group + 1) * recipe.filters)
    window = _box(positions)
    if isinstance(recipe.rule, Overlap):  # each input belongs to one tap
        taps = [index[1] % recipe.channels for index in indices]
        positions, cells = positions[taps], cells[taps]
    inside = (cells >= 0).all(axis=1) & is_spread
    moved = inside & (cells != positions).any(axis=1)
    reached = _crossed(filters, cells[inside])
    kernel = None
    if isinstance(recipe.rule, WeightedSum):
        weight = recipe.rule.coefficients(cast("Array", subject.case.operands.weight))
        kernel = weight[filters, indices[0][1] % max(recipe.channels, 1)]
    own = [subject.own_input(index) for index in indices]
    name = name_of(own[0], "x")
    if len(indices) > 1:
        name = f"{len(indices)} values from {name} on"
    target = words(len(reached), "output")
    caption = f"{name} {'is' if len(indices) == 1 else 'are'} added to {target}"
    if kernel is not None:
        caption = f"{name} times the kernel of {sizes(kernel.shape[1:])} is added to {target}"
    return Sight(
        tuple((indices[0][0], *cell) for cell in reached),
        tuple(indices),
        lit=tuple(index[1:] for index in indices),
        border=_crossed(filters, positions[moved]),
        window=window,
        kernel=kernel,
        removed=_crossed(filters, positions[~inside]),
        caption=caption if is_spread else f"{name} has no window inside the output",
    )


def _grid(parts: Sequence[Array]) -> Array:
    """All places, from those on each axis."""
    return np.stack([part.ravel() for part in np.meshgrid(*parts, indexing="ij")], axis=1)


def _crossed(filters: Array, places: Array) -> tuple[Shape, ...]:
    """Each place on each of the filters' planes."""
    return tuple(
        dict.fromkeys((int(number), *place) for number in filters for place in places.tolist())
    )
