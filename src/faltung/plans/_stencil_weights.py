"""The weights of operators as the stencil plan takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import Morphology, Placement, PositionSum, WeightedSum
from faltung.typing import Array

__all__ = ["Prepared", "as_column", "in_rows", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Weights as one matrix a group, in the dtype of the sums."""

    weight: Array | None  # of a weighted sum: (groups, filters, channels, taps)
    bias: Array | None  # (groups, filters, 1)
    is_finite: bool

    def part(self, problem: Problem, samples: range, groups: range) -> Prepared:
        """What belongs to some samples and groups."""
        weight, rule = self.weight, problem.recipe.rule
        cut_samples, cut_groups = (slice(cut.start, cut.stop) for cut in (samples, groups))
        if weight is not None and not isinstance(rule, Morphology):
            is_shared = isinstance(rule, PositionSum) and rule.is_shared
            weight = weight[cut_samples, cut_groups] if is_shared else weight[cut_groups]
        bias = None if self.bias is None else self.bias[cut_groups]
        return Prepared(weight, bias, self.is_finite)


def prepare(problem: Problem, operands: Operands) -> Prepared:
    """Bring the weights into the form that `run` takes."""
    recipe, weight, bias = problem.recipe, operands.weight, operands.bias
    dtype = problem.compute_dtype
    if weight is not None and isinstance(recipe.rule, Morphology):
        weight = recipe.rule.in_tap_order(weight)
        return Prepared(weight, None, True)
    if weight is None:
        return Prepared(None, None, True)
    if isinstance(recipe.rule, Placement):
        return Prepared(weight.astype(np.int64, copy=False), None, True)
    if isinstance(recipe.rule, WeightedSum):
        weight = in_rows(problem, weight)
    else:
        weight = weight.astype(dtype, copy=False)
        if not cast("PositionSum", recipe.rule).is_shared:
            weight = weight.reshape(recipe.groups, recipe.filters, *weight.shape[1:])
        elif weight.ndim == len(recipe.axes) + 2:  # of a sample without batch axis
            weight = weight[None]
    is_finite = dtype.kind in "biu" or bool(np.isfinite(weight).all())
    return Prepared(weight, as_column(problem, bias), is_finite)


def in_rows(problem: Problem, weight: Array) -> Array:
    """The weight of a weighted sum as (groups, filters, channels, taps)."""
    recipe = problem.recipe
    weight = cast("WeightedSum", recipe.rule).coefficients(weight).astype(problem.compute_dtype)
    for place, axis in enumerate(recipe.axes):
        if not isinstance(axis, SlidingAxis):  # whose columns are its taps
            weight = weight.take(axis.kernel_taps, axis=2 + place)
    return weight.reshape(recipe.groups, recipe.filters, recipe.channels, problem.taps)


def as_column(problem: Problem, bias: Array | None) -> Array | None:
    """The bias as (groups, filters, 1)."""
    if bias is None:
        return None
    recipe = problem.recipe
    return bias.astype(problem.compute_dtype).reshape(recipe.groups, recipe.filters, 1)
