"""Streams: an operator along an axis that arrives in chunks.

An output is computed as soon as all cells are there that its row of the stencil shows; it is the
same in every longer input. Cells that no later output sees are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from faltung._case import Case
from faltung.errors import (
    DTypeError,
    FaltungError,
    OptionError,
    ShapeError,
    WindowError,
    shown,
)
from faltung.geometry.arguments import as_int
from faltung.geometry.part_axis import part_of
from faltung.geometry.stencil import SlidingAxis, StencilAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.operators._arrays import as_array
from faltung.operators._call import Bound, finish
from faltung.plans import _select
from faltung.plans._problem import Operands
from faltung.plans._rules import Overlap, Placement, PositionSum
from faltung.typing import Array, ArrayLike, DTypeLike, Shape

__all__ = ["Stream"]

CaseOf = Callable[[Shape, DTypeLike | None], Case]
ENDLESS = 2**40
"""Cells of an axis whose end is never seen."""
ROWS = 64
"""Rows of a stencil that are looked at together."""
KEPT = 64
"""Kinds of chunk for which a stream keeps its plan."""
MOST_TAPS = 2**20
SHOWING = ("reflect", "symmetric", "edge")
"""Borders that show cells of the input."""


class _Ready(NamedTuple):
    bound: Bound
    prepared: _select.Prepared


class Stream:
    """An operator along one axis of data that arrives in chunks; see `Operator.stream`.

    Attributes
    ----------
    received, given : int
        Cells of the axis that were pushed, and cells of the result that were returned.
    """

    def __init__(
        self,
        case_of: CaseOf,
        spatial_of: Callable[[Shape], range],
        axis: int,
        length: int | None,
        name: str = "",
    ) -> None:
        if type(axis) is not int:
            raise OptionError(
                f"axis is {shown(axis)}, expected an int",
                "Count the spatial axes from 0, or from -1",
            )
        self._case_of, self._spatial_of, self._asked = case_of, spatial_of, axis
        self._name = name
        self._length = None if length is None else as_int(length, "length", 0)
        self.received = self.given = 0
        self._is_over = False
        self._case: Case | None = None
        self._tail: Array = np.empty(0)
        self._kept: dict[tuple[StencilAxis, int], _Ready] = {}
        self._packed: dict[tuple[str, object], object] = {}

    @property
    def held(self) -> int:
        """Cells of the axis that are kept for outputs to come."""
        return 0 if self._case is None else self._tail.shape[self._axis]

    @property
    def axis(self) -> int:
        """The streamed axis of the result, known from the first chunk on."""
        if self._case is None:
            raise ShapeError("no chunk was pushed, so the shape is not known", "Push one first")
        return self._axis

    def push(self, chunk: ArrayLike) -> Array:
        """Take the next cells of the axis and return the outputs that they complete.

        Parameters
        ----------
        chunk : array
            With the shape of the data, and any number of cells on the streamed axis.

        Returns
        -------
        array
            The next part of the result; its streamed axis may have no cells.

        Raises
        ------
        ShapeError, DTypeError
            A chunk unlike the first one, or more cells than `length`.
        OptionError
            After `flush`, and where a result before the end depends on how much is to come.
        """
        with self._named():
            return self._push(chunk)

    def _push(self, chunk: ArrayLike) -> Array:
        array = as_array(chunk, "chunk")
        if self._is_over:
            raise OptionError("the stream was flushed", "Make a new one with stream()")
        case = self._case or self._begin(array)
        self._check(array)
        received = self.received + array.shape[self._axis]
        if self._length is not None and received > self._length:
            raise ShapeError(
                f"chunk makes {received} cells, but length is {self._length}",
                "Leave length out, or give the number of cells of all chunks",
            )
        if array.size:
            self._tail = np.concatenate([self._tail, array], axis=self._axis)
        self.received = received
        return self._result(case, range(self.given, self._complete()))

    def flush(self) -> Array:
        """End the data and return the outputs that are left.

        Raises
        ------
        OptionError
            If it was flushed before.
        ShapeError
            If nothing was pushed, or another number of cells than `length`.
        WindowError
            If all that was pushed is too short for the window, as in one call.
        """
        with self._named():
            return self._flush()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name the operator whose stream this is."""
        try:
            yield
        except FaltungError as error:
            raise error.at(self._name) from error.__cause__

    def _flush(self) -> Array:
        if self._is_over:
            raise OptionError("the stream was flushed", "Make a new one with stream()")
        if self._case is None:
            raise ShapeError("no chunk was pushed, so the shape is not known", "Push one first")
        if self._length is not None and self.received != self._length:
            raise ShapeError(
                f"{self.received} cells were pushed, but length is {self._length}",
                "Push what is missing, or leave length out",
            )
        case = self._bound(self.received)
        self._is_over = True
        self._stencil = case.bound.problem.recipe.axes[self._place]
        return self._result(case, range(self.given, self._stencil.outputs))

    def _begin(self, chunk: Array) -> Case:
        """Bind the operator to an input without end: the first chunk tells all other sizes."""
        spatial = self._spatial_of(chunk.shape)
        if not -len(spatial) <= self._asked < len(spatial):
            raise OptionError(
                f"axis is {self._asked}, there are {len(spatial)} spatial axes",
                f"Use one from {-len(spatial)} to {len(spatial) - 1}",
            )
        self._place = self._asked % len(spatial)
        self._axis = spatial[self._place]
        self._shape, self._dtype = chunk.shape, chunk.dtype
        case = self._endless() if self._length is None else self._bound(self._length)
        recipe = case.bound.problem.recipe
        stencil = recipe.axes[self._place]
        if isinstance(recipe.rule, Placement | Overlap) or (recipe.is_flat and self._place):
            raise OptionError(
                f"axis {self._asked} of {case.name} has no order in which outputs are completed",
                "Call the operator on the whole array",
            )
        sliding = stencil.forward if isinstance(stencil, TransposedAxis) else stencil
        if isinstance(sliding, SlidingAxis) and sliding.mode == "wrap":
            raise OptionError(
                "padding_mode is 'wrap': the first outputs show the last cells",
                "Use another border, or call the operator on the whole array",
            )
        empty = (*chunk.shape[: self._axis], 0, *chunk.shape[self._axis + 1 :])
        self._tail, self._first = np.empty(empty, chunk.dtype), 0
        self._stencil = stencil
        self._case = case
        return case

    def _endless(self) -> Case:
        """The operator on an endless axis, whose first rows must not depend on where it ends."""
        try:
            case = self._bound(ENDLESS)
        except FaltungError as error:
            if not re.search(r"\d{12}", error.fact):  # the length has nothing to do with it
                raise
            raise _length_is_needed() from None
        stencil = case.bound.problem.recipe.axes[self._place]
        more = [*range(1, min(stencil.geometry.stride, ROWS) + 1), ENDLESS]
        for cells in more:
            try:
                other = self._bound(ENDLESS + cells).bound.problem.recipe.axes[self._place]
            except WindowError:  # a length that the operator does not take
                continue
            if _first_rows(other) != _first_rows(stencil):
                raise _length_is_needed()
        return case

    def _bound(self, cells: int) -> Case:
        shape = (*self._shape[: self._axis], cells, *self._shape[self._axis + 1 :])
        return self._case_of(shape, self._dtype)

    def _check(self, chunk: Array) -> None:
        # An empty list is of float64 by no one's choice.
        if chunk.dtype != self._dtype and chunk.size:
            raise DTypeError(
                f"chunk has dtype {chunk.dtype}, the first one had {self._dtype}",
                "Convert all chunks to one dtype",
            )
        own, first = list(chunk.shape), list(self._shape)
        if len(own) == len(first):
            own[self._axis] = first[self._axis]
        if own != first:
            raise ShapeError(
                f"chunk has shape {chunk.shape}, the first one had {self._shape}",
                f"Only axis {self._axis} may have another size",
            )

    def _complete(self) -> int:
        """The end of the outputs that no cell to come can change."""
        stencil = self._stencil
        if not self.received:
            return self.given
        if isinstance(stencil, SlidingAxis):
            if stencil.mode in SHOWING and self.received <= stencil.before:
                return self.given  # the border before the first cell shows cells to come
            # An end that is cropped away.
            beyond = stencil.geometry.padding[1] if stencil.stride == 1 else stencil.after
            cells = self.received + min(int(beyond), 0)
            stop = (cells - stencil.span + stencil.before) // stencil.stride + 1
            return min(max(stop, self.given), stencil.outputs)
        stop = self.given
        most = self._outputs_so_far()
        while stop < most:
            rows = stencil.index(stop, min(stop + ROWS, most))
            is_open = (rows >= self.received).any(axis=1)
            if is_open.any():
                return stop + int(np.argmax(is_open))
            stop += len(rows)
        return stop

    def _outputs_so_far(self) -> int:
        """Outputs that would stay as they are if more came, or nothing more."""
        if self._length is not None and not isinstance(self._stencil, TransposedAxis):
            return self._stencil.outputs
        try:
            axis = self._bound(self.received).bound.problem.recipe.axes[self._place]
        except FaltungError:  # none yet
            return 0
        if not isinstance(axis, TransposedAxis):
            return axis.outputs
        forward = axis.forward
        if forward.mode == "blank":  # the last windows hang over the end, and are left out
            return axis.outputs - forward.span
        if not axis.has_images:
            return axis.outputs
        # Cells near the end also get what falls on the padding behind it.
        reach = (forward.outputs - 1) * forward.stride + forward.span - forward.before
        return axis.outputs - 1 - max(reach - forward.size, 0)

    def _result(self, case: Case, outputs: range) -> Array:
        bound = case.bound
        canonical = list(bound.problem.output_shape)
        canonical[2 + self._place] = len(outputs)
        if bound.problem.recipe.is_flat:
            canonical = [*canonical[:2], int(np.prod(canonical[2:], dtype=object))]
        shape = bound.layout.own_shape(tuple(canonical))
        if not outputs:
            return np.empty(shape, bound.dtype)
        start = self._start(outputs)
        cells = range(start, self.received)
        x = self._tail[(slice(None),) * self._axis + (slice(start - self._first, None),)]
        ready = self._ready(case, part_of(self._stencil, outputs, cells), outputs, shape)
        result = finish(*ready, x, (), None)
        self.given = outputs.stop
        self._drop()
        return result

    def _start(self, outputs: range) -> int:
        """The first held cell that these outputs see."""
        stencil = self._stencil
        if not isinstance(stencil, SlidingAxis):
            return self._first
        start = outputs.start * stencil.stride - stencil.before
        beyond = (outputs.stop - 1) * stencil.stride - stencil.before + stencil.span - self.received
        if beyond > 0 and stencil.mode in SHOWING:
            start = min(start, self.received - 1 - beyond)
        return min(max(start, self._first), self.received - 1)

    def _ready(self, case: Case, axis: StencilAxis, outputs: range, shape: Shape) -> _Ready:
        """The plan for some outputs; kept where the next chunk may be of the same kind."""
        recipe = case.bound.problem.recipe
        has_place = isinstance(recipe.rule, PositionSum)
        key = axis, len(outputs)
        if key in self._kept and not has_place:
            return self._kept[key]
        axes = (*recipe.axes[: self._place], axis, *recipe.axes[self._place + 1 :])
        part = replace(recipe, axes=axes, also=None)
        problem = replace(case.bound.problem, recipe=part, kept={})
        bound = case.bound._replace(problem=problem, shape=shape)
        # What is made of weights depends on the axes where they are not plain windows.
        is_plain = all(isinstance(each, SlidingAxis) for each in axes)
        operands, packed = case.operands, self._packed if is_plain else {}
        if has_place:
            operands, packed = self._of_places(operands, outputs, len(axes)), {}
        prepared = _select.prepare(problem, bound.plan_for(operands), operands, packed)
        ready = _Ready(bound, prepared)
        if isinstance(axis, SlidingAxis) and not has_place:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = ready
        return ready

    def _of_places(self, operands: Operands, outputs: range, rank: int) -> Operands:
        """The part of the weights that belongs to some outputs."""
        weight = cast("Array", operands.weight)
        along = weight.ndim - rank + self._place
        cut = (slice(None),) * along + (slice(outputs.start, outputs.stop),)
        return Operands(weight[cut], operands.bias)

    def _drop(self) -> None:
        """Forget the cells that no output to come sees."""
        stencil, last = self._stencil, self.received - 1
        if isinstance(stencil, SlidingAxis):
            needed = self.given * stencil.stride - stencil.before
            if stencil.mode in SHOWING:
                needed = min(needed, last - max(stencil.after, int(stencil.geometry.padding[1])))
        else:
            rows = stencil.index(self.given, min(self.given + ROWS, stencil.outputs))
            shown_cells = rows[rows >= 0]
            needed = min(int(shown_cells.min()), last) if shown_cells.size else self._first
        first = min(max(needed, self._first), last)
        kept = slice(first - self._first, None)
        self._tail = self._tail[(slice(None),) * self._axis + (kept,)].copy()
        self._first = first


def _length_is_needed() -> OptionError:
    return OptionError(
        "length is None, but here the first outputs depend on the length of the whole",
        "Pass the number of cells that will be pushed in all as length",
    )


def _first_rows(axis: StencilAxis) -> tuple[object, ...]:
    """What the first outputs of an axis see, in a form that compares."""
    if isinstance(axis, SlidingAxis):
        return (axis.before,)
    if axis.taps > MOST_TAPS or getattr(axis, "mode", "") == "area":  # bins of a whole axis
        return axis.taps, axis.size
    rows = 0, min(4, axis.outputs)
    parts = axis.index(*rows), axis.coefficients(*rows), axis.divisors(*rows)
    return tuple(part.tobytes() for part in parts)
