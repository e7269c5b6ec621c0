"""The separable plan: interpolation one axis after the other, instead of over all taps at once.

The axis that shrinks most goes first, so that what lies between is never larger than input or
output; planes are done a few at a time, which bounds the workspace.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from faltung.geometry.stencil import StencilAxis
from faltung.plans import _cost
from faltung.plans._environment import default_environment
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rounding import store_rounded
from faltung.plans._rules import Interpolation
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "separable"


def supports(problem: Problem) -> str | None:
    """Why the separable plan cannot do the problem, or None."""
    if not isinstance(problem.recipe.rule, Interpolation):
        return f"it interpolates, the rule here is {type(problem.recipe.rule).__name__}"
    if _plane_bytes(problem) > WORKSPACE:
        return f"one plane needs {_plane_bytes(problem):,} bytes of workspace"
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace."""
    planes = max(problem.input_shape[0] * problem.input_shape[1], 1)
    return min(planes, max(WORKSPACE // _plane_bytes(problem), 1)) * _plane_bytes(problem)


def _plane_bytes(problem: Problem) -> int:
    """What one plane needs: the largest result between two axes, thrice, and the tables."""
    sizes = [axis.size for axis in problem.recipe.axes]
    largest = prod(sizes)
    for place in _order(problem):
        sizes[place] = problem.recipe.axes[place].outputs
        largest = max(largest, prod(sizes))
    tables = sum(axis.outputs * axis.taps for axis in problem.recipe.axes)
    return 3 * largest * problem.compute_dtype.itemsize + 40 * tables


def _order(problem: Problem) -> list[int]:
    axes = problem.recipe.axes
    return sorted(range(len(axes)), key=lambda place: axes[place].outputs / axes[place].size)


def cost(problem: Problem) -> _cost.Cost:
    """What lies between two axes is moved five times for each tap."""
    sizes, moved, taps = [axis.size for axis in problem.recipe.axes], 0, 0
    for place in _order(problem):
        axis = problem.recipe.axes[place]
        sizes[place] = axis.outputs
        moved, taps = moved + 5 * axis.taps * prod(sizes), taps + axis.taps
    planes = problem.input_shape[0] * problem.input_shape[1]
    item, blocks = problem.compute_dtype.itemsize, -(-planes * _plane_bytes(problem) // WORKSPACE)
    return _cost.Cost(0, planes * moved * item, calls=blocks * taps)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> bool:
    """Nothing to prepare."""
    return True


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    at_once = max(WORKSPACE // _plane_bytes(problem), 1)
    channels = x.shape[1]
    with default_environment(), np.errstate(all="ignore"):
        for sample in range(len(x)):
            for first in range(0, channels, at_once):
                planes = slice(first, first + at_once)
                part = x[sample, planes].astype(problem.compute_dtype)
                for place in _order(problem):
                    part = _along(problem.recipe.axes[place], part, 1 + place)
                target = y[sample, planes]
                if part.dtype.kind == "f" and y.dtype.kind in "biu":
                    store_rounded(part, target)
                else:
                    target[...] = part


def _along(axis: StencilAxis, x: Array, place: int) -> Array:
    """Interpolate one axis: a weighted sum of as many shifted copies as there are taps."""
    index, weights = axis.index(0, axis.outputs), axis.coefficients(0, axis.outputs)
    spread: list[Any] = [1] * x.ndim
    spread[place] = axis.outputs
    result = np.zeros((*x.shape[:place], axis.outputs, *x.shape[place + 1 :]), x.dtype)
    for tap in range(axis.taps):
        cells = x.take(np.maximum(index[:, tap], 0), axis=place)
        is_used = index[:, tap] >= 0
        cells *= np.where(is_used, weights[:, tap], 0).astype(x.real.dtype).reshape(spread)
        if is_used.all():
            result += cells
        else:
            np.add(result, cells, out=result, where=is_used.reshape(spread))
    return result
