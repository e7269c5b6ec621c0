"""Rules: what an operator does with the cells that its stencil shows.

Algorithms and faces dispatch on the rule, never on the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from faltung.typing import Array

__all__ = ["Copy", "Rule", "WeightedSum"]


@dataclass(frozen=True)
class WeightedSum:
    """``y = sum(coefficient * x)`` over channels and taps, plus a bias for each filter.

    The weight has the axes ``(groups * filters, channels, *taps)``; `is_flipped` reverses its
    spatial axes, which makes the correlation a convolution in the mathematical sense.
    """

    is_flipped: bool = False

    is_linear = True
    multiplies = True

    def coefficients(self, weight: Array) -> Array:
        """The weight in the order of the stencil's taps."""
        if not self.is_flipped:
            return weight
        return weight[:, :, *(slice(None, None, -1),) * (weight.ndim - 2)]


@dataclass(frozen=True)
class Copy:
    """Each output shows one cell."""

    is_linear = True
    multiplies = False


Rule: TypeAlias = WeightedSum | Copy
