"""The gradient of every rule that is not linear, after the data and after what it holds.

Block by block the cells under the windows are gathered again; the rule says which cell won or how
much each tap counts, and the cotangent goes back to those cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any, cast

import numpy as np

from faltung.errors import OptionError
from faltung.plans._adjoint import apply_problem, blocks, sum_dtype, zeros
from faltung.plans._environment import default_environment
from faltung.plans._problem import Operands, Problem
from faltung.plans._reduce import Gathered, places_of, winning_tap
from faltung.plans._return import return_taps
from faltung.plans._rules import Extreme, Morphology, PowerSum, Reduction
from faltung.plans._tables import join_tables
from faltung.typing import Array, IndexArray

__all__ = ["pull_back", "require_gradient"]

AT_ONCE = 2**17
"""Cotangents that are added to their cells together, in float64."""


def require_gradient(problem: Problem) -> None:
    """Raise for a reduction whose derivative nobody knows."""
    rule = problem.recipe.rule
    if isinstance(rule, Reduction) and rule.gradient is None:
        raise OptionError(
            "reduction is a Python function, whose derivative is not known",
            "Use a named reduction, or differentiate the function on windows(x)",
        )


def pull_back(
    problem: Problem, x: Array, structure: Array | None, g: Array
) -> tuple[Array, Array | None]:
    """The gradients after the data and after the structure of a morphology.

    `x` and `g` are in canonical order; the results are in the dtype of sums.
    """
    sums = zeros(problem)
    with default_environment(), np.errstate(all="ignore"):
        if isinstance(problem.recipe.rule, Extreme):
            _extreme_back(problem, x, g, sums)
            return sums, None
        heights = None if structure is None else np.zeros(structure.size)
        for gathered, cotangent, target in _parts(problem, x, structure, g, sums):
            BACK[type(problem.recipe.rule)](gathered, cotangent, target, heights)
    if structure is None or structure.dtype.kind == "b":
        return sums, None
    rule = cast("Morphology", problem.recipe.rule)
    return sums, rule.in_tap_order(cast("Array", heights).reshape(structure.shape))


def _parts(problem: Problem, x: Array, structure: Array | None, g: Array, sums: Array) -> Any:
    """The windows of each block, their cotangents, and the planes to which these go back."""
    recipe = problem.recipe
    planes = recipe.batch, recipe.groups, recipe.channels
    spatial = tuple(axis.size for axis in recipe.axes)
    x, targets = x.reshape(*planes, *spatial), sums.reshape(*planes, *spatial)
    g = g.reshape(*planes, *(axis.outputs for axis in recipe.axes))
    taps = tuple(range(axis.taps) for axis in recipe.axes)
    dtype = problem.compute_dtype
    for samples, groups, box in blocks(problem):
        table = join_tables(recipe.axes, box, taps)
        slab = table.slab_of(x[samples, groups], recipe.rule.outside(recipe.fill, dtype), dtype)
        cells = slab.take(table.flat, axis=3, mode="wrap")
        cells = cells.reshape(*cells.shape[:3], problem.taps, prod(map(len, box)))
        cut: Any = (samples, groups, slice(None), *(slice(b.start, b.stop) for b in box))
        cotangent = g[cut].astype(sum_dtype(problem), copy=False)
        cotangent = cotangent.reshape(*cells.shape[:3], cells.shape[4])
        gathered = Gathered(problem, cells, table.is_outside, box, structure)
        yield gathered, cotangent, targets[samples, groups]


def _extreme_back(problem: Problem, x: Array, g: Array, sums: Array) -> None:
    """Everything goes to the winners, whose places the forward pass can tell."""
    places = apply_problem(_with_places(problem), Operands())(x)
    _add_to_planes(sums, places, g)


def _with_places(problem: Problem) -> Problem:
    recipe = replace(problem.recipe, rule=Extreme(gives_position=True), also=None, algorithm=None)
    return replace(problem, recipe=recipe, kept={})


def _add_to_planes(sums: Array, places: IndexArray, values: Array) -> None:
    """Add values to flat places in their plane; the two leading axes are planes.

    Neighbours have places close to each other, so a part of them spans few cells.
    """
    for plane in np.ndindex(*sums.shape[:2]):
        cells = sums[plane].reshape(-1)  # a view: planes are contiguous
        flat, cotangents = places[plane].ravel(), values[plane].ravel()
        for start in range(0, len(flat), AT_ONCE):
            part = flat[start : start + AT_ONCE]
            first = int(part.min())
            added = np.bincount(part - first, cotangents[start : start + AT_ONCE])
            target = cells[first : first + len(added)]
            np.add(target, added, out=target, casting="same_kind")


def _morphology_back(gathered: Gathered, g: Array, target: Array, heights: Array | None) -> None:
    """Everything goes to the winner; what the structure adds there has the same gradient."""
    rule = cast("Morphology", gathered.problem.recipe.rule)
    structure = rule.in_tap_order(cast("Array", gathered.weight)).ravel()
    cells, outside = gathered.cells, gathered.is_outside
    used = np.arange(len(structure))
    if structure.dtype.kind == "b":
        used = np.flatnonzero(structure)
        cells, outside = cells[:, :, :, used], None if outside is None else outside[used]
    else:
        steps = structure[:, None].astype(cells.dtype)
        cells = cells + steps if rule.is_dilation else cells - steps
        if outside is not None:
            cells[:, :, :, outside] = rule.outside(0, cells.dtype)
    best = cells.max(axis=3) if rule.is_dilation else cells.min(axis=3)
    tap = used[winning_tap(cells, best, outside)]
    places = places_of(gathered, tap)[:, :, 0]
    added = target[:, :, 0]
    _add_to_planes(added, places, g[:, :, 0])
    if structure.dtype.kind != "b" and heights is not None:
        counts = np.bincount(tap.ravel(), g.ravel(), minlength=len(heights))
        heights += counts if rule.is_dilation else -counts


def _power_back(gathered: Gathered, g: Array, target: Array, heights: Array | None) -> None:
    """The derivative of the norm: ``(|x| / norm) ** (order - 1)``, with the sign of x."""
    order, cells = cast("PowerSum", gathered.problem.recipe.rule).order, gathered.cells
    sizes = np.abs(cells)
    if np.isinf(order):
        tap = winning_tap(sizes, sizes.max(axis=3), gathered.is_outside)
        is_counted = np.arange(sizes.shape[3])[:, None] == tap[:, :, :, None]
        parts = is_counted.astype(sizes.dtype)
    else:
        norm = (sizes**order).sum(axis=3, keepdims=True) ** (1 / order)
        # A window of zeros has a corner there: 0, the middle of its slopes.
        parts = np.where(sizes == 0, 0, (sizes / np.where(norm == 0, 1, norm)) ** (order - 1))
    g = g.real if cells.dtype.kind == "c" else g
    _return(gathered, parts * np.sign(cells) * g[:, :, :, None], target)


def _reduction_back(gathered: Gathered, g: Array, target: Array, heights: Array | None) -> None:
    """The derivatives after each value of the window; those of padding are left out."""
    rule = cast("Reduction", gathered.problem.recipe.rule)
    rows = np.ascontiguousarray(np.moveaxis(gathered.cells, 3, -1))
    gradient = cast("Callable[[Array], Array]", rule.gradient)
    slopes = gradient(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape)
    _return(gathered, np.moveaxis(slopes, -1, 3) * g[:, :, :, None], target)


def _return(gathered: Gathered, values: Array, target: Array) -> None:
    axes, box = gathered.problem.recipe.axes, gathered.outputs
    shape = (*values.shape[:3], *(axis.taps for axis in axes), *map(len, box))
    part, where = return_taps(axes, box, values.reshape(shape))
    np.add(target[where], part, out=target[where], casting="same_kind")


BACK: dict[type, Callable[[Gathered, Array, Array, Array | None], None]] = {
    PowerSum: _power_back,
    Morphology: _morphology_back,
    Reduction: _reduction_back,
}
"""How the cotangents of a block go back to the cells; one function a rule."""
