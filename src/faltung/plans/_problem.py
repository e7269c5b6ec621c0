"""`Problem`: all that an algorithm may know of a call before it sees the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from faltung.config import Settings
from faltung.geometry.stencil import StencilAxis
from faltung.plans._rules import Copy, Extreme, Interpolation, Overlap, PositionSum, Rule
from faltung.typing import Array, Shape

__all__ = ["Operands", "Problem", "Recipe"]


class Operands(NamedTuple):
    """The arrays that belong to an operator, as opposed to the data it is applied to."""

    weight: Array | None = None
    bias: Array | None = None


@dataclass(frozen=True)
class Recipe:
    """What an operator makes of shapes and parameters; sizes are those of one group.

    `fill` is the value of cells outside the input. With `fill_takes_part` false such cells are
    left out of sums, as zeros are. `is_blank`: a window that leaves the input yields 0. `is_flat`:
    the result has all spatial axes as one. `also` is a second rule, whose result the function
    returns beside the first one's.
    """

    rule: Rule
    axes: tuple[StencilAxis, ...]
    batch: int
    groups: int
    channels: int
    filters: int
    fill: Any = 0
    fill_takes_part: bool = False
    is_blank: bool = False
    is_flat: bool = False
    has_bias: bool = False
    also: Rule | None = None
    activation: str | None = None
    precision: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True)
class Problem:
    """A recipe with the dtype of the result and the settings that hold.

    `kept` is where algorithms keep what follows from the problem alone, for the next call.
    """

    recipe: Recipe
    dtype: np.dtype[Any]
    settings: Settings
    input_dtype: np.dtype[Any]
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def input_shape(self) -> Shape:
        """(batch, channels, *spatial)."""
        recipe = self.recipe
        return recipe.batch, recipe.groups * recipe.channels, *(axis.size for axis in recipe.axes)

    @cached_property
    def output_shape(self) -> Shape:
        """(batch, output channels, *spatial)."""
        recipe = self.recipe
        return recipe.batch, recipe.groups * recipe.filters, *(axis.outputs for axis in recipe.axes)

    @property
    def result_shape(self) -> Shape:
        """What the caller sees: the output shape, or with its spatial axes as one."""
        if not self.recipe.is_flat:
            return self.output_shape
        samples, channels, *spatial = self.output_shape
        return samples, channels, prod(spatial)

    @cached_property
    def compute_dtype(self) -> np.dtype[Any]:
        """The dtype of sums: wider for 16-bit floats, and for integers that are interpolated."""
        if isinstance(self.recipe.rule, Interpolation) and self.dtype.kind in "biu":
            return np.dtype(np.float64)
        is_half = self.dtype.kind in "fV" and self.dtype.itemsize == 2
        return np.dtype(np.float32) if is_half and self.recipe.rule.accumulates else self.dtype

    @property
    def is_linear(self) -> bool:
        """Whether the result is linear in the data, up to a constant."""
        is_rounded = self.compute_dtype.kind == "f" and self.dtype.kind in "biu"
        return self.recipe.rule.is_linear and self.recipe.activation is None and not is_rounded

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """The dtype of what the rule gives: that of the values, or of positions."""
        rule = self.recipe.rule
        is_position = isinstance(rule, Extreme) and rule.gives_position
        return np.dtype(np.int64) if is_position else self.dtype

    @cached_property
    def taps(self) -> int:
        """Taps of the whole window."""
        return prod(axis.taps for axis in self.recipe.axes)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds, taps that fall on padding included."""
        if not self.recipe.rule.multiplies:
            return 0
        return self.connections * prod(axis.count_taps() for axis in self.recipe.axes)

    @cached_property
    def connections(self) -> int:
        """Pairs of filter and channel that are connected, over the whole batch."""
        recipe, rule = self.recipe, self.recipe.rule
        is_by_channel = isinstance(rule, PositionSum) and rule.is_shared
        if is_by_channel or (isinstance(rule, Copy) and rule.keeps_taps):
            return recipe.batch * recipe.groups * recipe.channels
        if isinstance(rule, Overlap):  # one channel a tap, and the taps are counted by the axes
            return recipe.batch * recipe.groups
        return recipe.batch * recipe.groups * recipe.filters * recipe.channels
