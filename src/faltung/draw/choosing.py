"""Choosing: which operator, view and outputs a figure or animation is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np

from faltung.draw import VIEWS
from faltung.draw.building import build
from faltung.draw.grounds import input_ground, output_ground
from faltung.draw.palette import check_options
from faltung.draw.shapes import Scene
from faltung.draw.sights import Sight, gathered, spread
from faltung.draw.subject import Subject
from faltung.errors import OptionError, ResourceError, ShapeError, shown
from faltung.explanation.indices import checked_index
from faltung.geometry.arguments import as_int
from faltung.operators._arrays import Spec, as_array
from faltung.plans._rules import Overlap
from faltung.typing import Array, Shape

__all__ = ["Options", "as_data", "holds_numbers", "moving_scene", "still_scene"]

LONGEST_TITLE = 90
MOST_SEEN = 2**20


@dataclass(frozen=True)
class Options:
    """How something is drawn; see `faltung.draw.face.Drawn`."""

    palette: str = "classic"
    theme: str = "light"
    view: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        check_options(self.palette, self.theme)
        if self.view is not None and not (isinstance(self.view, str) and self.view in VIEWS):
            raise OptionError(
                f"view is {shown(self.view)}, which is not known",
                f"Use one of {', '.join(map(repr, VIEWS))}",
            )
        if self.title is not None and not isinstance(self.title, str):
            raise OptionError(f"title is {shown(self.title)}, expected a str", "Pass text")


def still_scene(
    operator: Any, input_shape: Shape, x: object, index: object, options: Options
) -> Scene:
    """One output of an operator, and what it sees."""
    subject = _subject(operator, input_shape, x)
    view = _view_of(subject, options.view)
    problem, bound = subject.problem, subject.case.bound
    if view == "spread":
        cells = problem.input_shape[2:] if subject.input_flat else None
        given = subject.case.input_shape, bound.layout, cells, "input"
        start = _first(problem.input_shape)
    else:
        cells = problem.output_shape[2:] if subject.output_flat else None
        given = bound.shape, bound.layout, cells, "result"
        start = _first(problem.output_shape)
    chosen = start if index is None else checked_index(index, *given)[1]
    sight = _sight(subject, view, [chosen])
    return build(subject, [sight], view, _title(subject, options), is_animated=False)


def moving_scene(operator: Any, data: object, frames: object, options: Options) -> Scene:
    """One output after the other, those of the part that is drawn."""
    most = as_int(frames, "frames", 1)
    shape, x = as_data(data)
    subject = _subject(operator, shape, x)
    view = _view_of(subject, options.view)
    sights = [_sight(subject, view, indices) for indices in islice(_places(subject, view), most)]
    return build(subject, sights, view, _title(subject, options), is_animated=True)


def as_data(data: object) -> tuple[Shape, Array | None]:
    """The shape and the array; a tuple of ints is a shape alone."""
    if isinstance(data, tuple) and all(isinstance(size, int | np.integer) for size in data):
        return data, None
    array = as_array(data, "x")
    return array.shape, array


def holds_numbers(operator: Any) -> bool:
    """Whether an operator can compute: it may hold shapes alone."""
    held = getattr(operator, "_operands", {})
    return not any(isinstance(value, Spec) for value in held.values())


def _subject(operator: Any, input_shape: object, x: object) -> Subject:
    """The operator bound to the shape; where it holds shapes alone, to ones in their place."""
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list) else input_shape
    data = None if x is None else as_array(x, "x")
    if data is not None and data.shape != shape:
        raise ShapeError(
            f"x has shape {data.shape}, input_shape is {shown(shape)}", "Pass the shape of x"
        )
    if holds_numbers(operator):
        case = operator._case(shape, None if data is None else data.dtype)
        return _checked(Subject(case, operator, data))
    held = operator._operands.items()
    ones = {name: np.ones(value.shape, value.dtype) for name, value in held}
    operator = operator._made(operator.name, ones, operator._parameters)
    case = operator._case(shape, None if data is None else data.dtype)
    return _checked(Subject(case, operator, None, has_weights=False))


def _checked(subject: Subject) -> Subject:
    problem = subject.problem
    if 0 in problem.output_shape or 0 in problem.input_shape:
        raise ShapeError(
            f"there is nothing to draw: input {subject.case.input_shape}, "
            f"result {subject.case.bound.shape}",
            "Use sizes of at least 1",
        )
    seen = prod(axis.taps for axis in problem.recipe.axes) * problem.recipe.channels
    if seen > MOST_SEEN:
        raise ResourceError(
            f"one output sees {seen:,} cells, at most {MOST_SEEN:,} are drawn",
            "Draw a smaller kernel or input",
        )
    return subject


def _view_of(subject: Subject, view: str | None) -> str:
    if view == "matrix":
        subject.case.require_linear("matrix")
    if view in ("window", "matrix"):
        return view
    has_zeros = subject.is_transposed and not isinstance(subject.rule, Overlap)
    if (view == "zeros" and not has_zeros) or (view == "spread" and not subject.is_transposed):
        raise OptionError(
            f"view is {view!r}, which shows a transposed window, and {subject.case.name} has none",
            "Use 'window' or 'matrix', or draw a ConvTranspose",
        )
    return view or ("spread" if subject.is_transposed else "window")


def _first(shape: Shape) -> Shape:
    """The second place of each spatial axis: near the border, and with neighbours on each side."""
    return (0, 0, *(min(size - 1, 1) for size in shape[2:]))


def _sight(subject: Subject, view: str, indices: list[Shape]) -> Sight:
    return spread(subject, indices) if view == "spread" else gathered(subject, indices)


def _places(subject: Subject, view: str) -> Iterator[list[Shape]]:
    """The cells of each frame: of one sample, the part that is drawn, in row-major order.

    All taps of a window that is unfolded, or folded, are one frame.
    """
    problem = subject.problem
    shape = problem.input_shape if view == "spread" else problem.output_shape
    first = _sight(subject, view, [(0,) * len(shape)])
    ground = input_ground(subject, first) if view == "spread" else output_ground(subject, first)
    stack = ground.stack
    taps = subject.keeps_taps if view != "spread" else subject.input_flat
    step = shape[1] // problem.recipe.groups if taps else 1
    for channel in range(0, shape[1], step):
        for place in _spatial(stack, shape[2:]):
            cells = [(0, channel + tap, *place) for tap in range(step)]
            if stack.spot(stack.keys([cells[0][1:]])[0]) is not None:
                yield cells


def _spatial(stack: Any, sizes: Shape) -> Iterable[Shape]:
    """The places of a plane that may be drawn, without visiting those far from it."""
    if stack.flattened:
        return (
            tuple(int(part) for part in np.unravel_index(flat, sizes)) for flat in stack.columns
        )
    if stack.has_channel_rows:
        return ((column,) for column in stack.columns)
    leading = [
        sorted({plane[1 + axis] for plane in stack.planes}) for axis in range(len(sizes) - 2)
    ]
    return product(*leading, stack.rows, stack.columns)


def _title(subject: Subject, options: Options) -> str:
    """The operator with all that is not its default."""
    if options.title is not None:
        return options.title
    case = subject.case
    defaults = {**case.record.defaults, **case.record.class_parameters}
    parts = [
        f"{name}={getattr(value, '__name__', value)}"
        for name, value in case.parameters.items()
        if name not in defaults or value != defaults[name]
    ]
    title = f"{case.name}({', '.join(parts)})"
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
