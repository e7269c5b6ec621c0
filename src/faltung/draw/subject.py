"""`Subject`: what is drawn, an operator bound to a shape, with the data where there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from faltung._case import Case
from faltung.explanation import Explanation, explain
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._problem import Problem
from faltung.plans._rules import Copy, Overlap, Placement, Rule
from faltung.typing import Array, Shape

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """An operator bound to one shape, and what its arrays hold.

    Attributes
    ----------
    case : Case
        The operator; of one that holds shapes alone, with ones in their place.
    apply : callable
        What computes the result.
    x : array or None
        The data in the array's own layout.
    has_weights : bool
        Whether the operator holds numbers, and not shapes alone.
    """

    case: Case
    apply: Callable[[Array], Any]
    x: Array | None = None
    has_weights: bool = True
    kept: dict[Shape, Explanation] = field(default_factory=dict, compare=False, repr=False)

    @property
    def problem(self) -> Problem:
        """Shapes, rule and stencil."""
        return self.case.bound.problem

    @property
    def rule(self) -> Rule:
        """What is done with the cells that are seen."""
        return self.problem.recipe.rule

    @property
    def rank(self) -> int:
        """Spatial axes of the stencil."""
        return len(self.problem.recipe.axes)

    @property
    def keeps_taps(self) -> bool:
        """Whether each tap is an output of its own."""
        return isinstance(self.rule, Copy) and self.rule.keeps_taps

    @property
    def is_transposed(self) -> bool:
        """Whether a window lies on the output: there is something to be spread."""
        axes = self.problem.recipe.axes
        slides = all(isinstance(axis, TransposedAxis) for axis in axes)
        return slides and not isinstance(self.rule, Placement)

    @property
    def mode(self) -> str:
        """What shows on the border of the input."""
        modes = [axis.mode for axis in self.problem.recipe.axes if isinstance(axis, SlidingAxis)]
        return modes[0] if modes else "zeros"

    @property
    def input_flat(self) -> bool:
        """Whether the input has all spatial axes as one."""
        return isinstance(self.rule, Overlap)

    @property
    def output_flat(self) -> bool:
        """Whether the result has all spatial axes as one."""
        return self.problem.recipe.is_flat

    @cached_property
    def values(self) -> Array | None:
        """The data in canonical order."""
        return None if self.x is None else self.canonical_input(self.x)

    @cached_property
    def results(self) -> Array | None:
        """The result in canonical order."""
        return None if self.x is None else self.result_of(self.x)

    def result_of(self, x: Array) -> Array:
        """What comes of data, in canonical order."""
        with np.errstate(all="ignore"):
            y = self.apply(x)
        y = np.asarray(y[0] if isinstance(y, tuple) else y)
        layout = self.case.bound.layout
        y = y if layout.has_batch else y[None]
        y = np.moveaxis(y, -1, 1) if layout.is_channels_last else y
        return y.reshape(self.problem.output_shape)

    def canonical_input(self, x: Array) -> Array:
        """The data in canonical order, as a view where there is one."""
        return self.case.bound.layout.canonical(x).reshape(self.problem.input_shape)

    def own_output(self, index: Shape) -> Shape:
        """The index in the result's own layout, of one in canonical order."""
        return self._own(index, self.problem.output_shape, self.output_flat)

    def own_input(self, index: Shape) -> Shape:
        """The index in the data's own layout, of one in canonical order."""
        return self._own(index, self.problem.input_shape, self.input_flat)

    def _own(self, index: Shape, shape: Shape, is_flat: bool) -> Shape:
        layout, place = self.case.bound.layout, index[2:]
        if is_flat:
            place = (int(np.ravel_multi_index(place, shape[2:])),)
        inner = (*place, index[1]) if layout.is_channels_last else (index[1], *place)
        return (index[0], *inner) if layout.has_batch else inner

    def explanation(self, index: Shape) -> Explanation | None:
        """The arithmetic behind an output in canonical order, where there are numbers."""
        if self.x is None or not self.has_weights:
            return None
        if index not in self.kept:
            self.kept[index] = explain(self.case, self.x, self.own_output(index))
        return self.kept[index]
