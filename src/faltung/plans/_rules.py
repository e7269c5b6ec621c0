"""Rules: what an operator does with the cells that its stencil shows.

Algorithms and faces dispatch on the rule, never on the operator. Each rule states whether it is
linear, whether it multiplies (its cost is counted in multiply-adds), whether it accumulates (the
16-bit floats are then widened), and what a cell outside the input counts as.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from faltung.plans._order import Order
from faltung.typing import Array

__all__ = [
    "Copy",
    "Extreme",
    "Interpolation",
    "Mean",
    "Morphology",
    "Overlap",
    "Placement",
    "PositionSum",
    "PowerSum",
    "Reduction",
    "Rule",
    "WeightedSum",
]


class _Base:
    is_linear = False
    multiplies = False
    accumulates = False

    def outside(self, fill: Any, dtype: np.dtype[Any]) -> Any:
        """What cells outside the input hold while the rule is applied."""
        return fill


@dataclass(frozen=True)
class WeightedSum(_Base):
    """``y = sum(coefficient * x)`` over channels and taps, plus a bias for each filter.

    The weight has the axes ``(groups * filters, channels, *taps)``, or with `is_transposed`
    ``(groups * channels, filters, *taps)``; `is_flipped` reverses its spatial axes.
    """

    is_flipped: bool = False
    is_transposed: bool = False
    groups: int = 1

    is_linear = True
    multiplies = True
    accumulates = True

    def coefficients(self, weight: Array) -> Array:
        """The weight as (groups * filters, channels, *taps), in the order of the taps."""
        if self.is_transposed:
            channels, filters, *kernel = weight.shape
            channels //= self.groups  # sizes in full: a -1 has no meaning among zeros
            split = weight.reshape(self.groups, channels, filters, *kernel).swapaxes(1, 2)
            weight = split.reshape(self.groups * filters, channels, *kernel)
        if not self.is_flipped:
            return weight
        return weight[:, :, *(slice(None, None, -1),) * (weight.ndim - 2)]


@dataclass(frozen=True)
class PositionSum(_Base):
    """A weighted sum whose coefficients differ from output to output.

    With `is_shared` the weight is ``(samples, groups, taps, *outputs)`` and each channel keeps to
    itself (involution); else ``(groups * filters, channels, taps, *outputs)`` (untied kernels).
    """

    is_shared: bool

    is_linear = True
    multiplies = True
    accumulates = True


@dataclass(frozen=True)
class Interpolation(_Base):
    """A sum weighted by the product of the axes' own coefficients; integers are rounded."""

    is_linear = True
    multiplies = True
    accumulates = True


@dataclass(frozen=True)
class Mean(_Base):
    """The sum of the cells, divided by the product of the axes' divisors, or by `divisor`."""

    divisor: int | None = None

    is_linear = True
    accumulates = True


@dataclass(frozen=True)
class PowerSum(_Base):
    """``sum(|x| ** order) ** (1 / order)``; the maximum of ``|x|`` for an infinite order."""

    order: float

    accumulates = True


@dataclass(frozen=True)
class Extreme(_Base):
    """The largest cell, or with `gives_position` its flat place in the plane of the input."""

    gives_position: bool = False

    def outside(self, fill: Any, dtype: np.dtype[Any]) -> Any:
        """Nothing is smaller."""
        return lowest(dtype)


@dataclass(frozen=True)
class Morphology(_Base):
    """The largest ``x + structure`` or the smallest ``x - structure`` over the taps in use."""

    is_dilation: bool

    def in_tap_order(self, structure: Array) -> Array:
        """The structure as the window sees it: a dilation reflects it."""
        return np.flip(structure) if self.is_dilation else structure

    def outside(self, fill: Any, dtype: np.dtype[Any]) -> Any:
        """Nothing is smaller, or nothing is larger."""
        return lowest(dtype) if self.is_dilation else highest(dtype)


@dataclass(frozen=True)
class Reduction(_Base):
    """Any function of the cells of a window, padding included.

    `function` maps a C-contiguous matrix with a row for each window to one number a row;
    `check` raises what it has against a dtype; `gradient` maps the same matrix to the derivatives
    of a row's number after each of its values, where it is known. `order` tells, for a number of
    values, which of them in ascending order the function looks at, where it looks at no others.
    `divisor` tells, for a number of values, what their sum is divided by, where that is all.
    """

    name: str
    function: Callable[[Array], Array]
    check: Callable[[np.dtype[Any]], None] | None = None
    gradient: Callable[[Array], Array] | None = None
    order: Callable[[int], Order] | None = None
    divisor: Callable[[int], int] | None = None

    accumulates = True

    @property
    def is_linear(self) -> bool:  # type: ignore[override]  # of the others, the class tells
        """Whether the function is a sum, or one that is divided by a number."""
        return self.divisor is not None


@dataclass(frozen=True)
class Copy(_Base):
    """Each output shows one cell, or with `keeps_taps` all cells of its window as channels."""

    keeps_taps: bool = False

    is_linear = True


@dataclass(frozen=True)
class Overlap(_Base):
    """Each output adds what falls on it: channel t of a group is what tap t of a window holds.

    The axes are transposed ones with zeros around, and have the same kernel: a column of their
    joined table that belongs to tap t reads channel t and no other.
    """

    is_linear = True
    accumulates = True


@dataclass(frozen=True)
class Placement(_Base):
    """Each input goes to one cell of its output plane, the rest is 0: the stencil is data.

    The operand has the shape of the input and holds flat positions in the output plane. Of inputs
    with the same position, the last in row-major order stays. The axes only say where a window
    that slid over the output may have found the inputs.
    """

    is_linear = True


Rule: TypeAlias = (
    WeightedSum
    | PositionSum
    | Interpolation
    | Mean
    | PowerSum
    | Extreme
    | Morphology
    | Reduction
    | Copy
    | Overlap
    | Placement
)


def lowest(dtype: np.dtype[Any]) -> Any:
    """A number that no other of the dtype is below."""
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def highest(dtype: np.dtype[Any]) -> Any:
    """A number that no other of the dtype is above."""
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf
