"""Normalised convolution: sums over the valid cells, scaled up for those that are missing."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np

from faltung.compiled import normalised, normalised_blocks
from faltung.compiled.normalised import Missing
from faltung.compiled.task import DirectTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _select, fft, image, low_rank
from faltung.plans._pictures import joins, kernel_axes
from faltung.plans._problem import Operands, Problem
from faltung.plans._recording import record
from faltung.plans._rest import RestBox
from faltung.typing import Array

__all__ = ["Missing", "limits_of", "magnitudes_of", "sum_valid"]

Axes: TypeAlias = tuple[SlidingAxis, ...]

MOST_TIMES = 2.5
"""How much slower than the best one an algorithm may be that does both sums in one pass."""


def magnitudes_of(kernel: Array, dtype: np.dtype[Any]) -> Array:
    """The weights' magnitudes; one that is not finite shows in the sum, here it would spread."""
    sizes = np.abs(kernel.astype(np.result_type(kernel, dtype)))
    return np.where(np.isfinite(sizes), sizes, 0).astype(dtype)


def limits_of(magnitudes: Array) -> tuple[Any, Any]:
    """Their sum, and how far off it sums of all of them may be by rounding."""
    whole = magnitudes.sum(dtype=magnitudes.dtype)
    return whole, magnitudes.size * float(np.finfo(magnitudes.dtype).eps) * whole


def sum_valid(
    problem: Problem, plan: _select.Plan, weight: Array, x: Array, missing: Missing, y: Array
) -> list[RestBox] | None:
    """Compute y from the valid cells of x, if compiled code can do both sums at once.

    Parameters
    ----------
    problem : Problem
        The plain sums, of one channel and one filter, whose border is not blank.
    plan : Plan
        The algorithms that can do it.
    weight : array, (1, 1, *kernel)
        As the problem takes it; not all zero.
    x, y : array, (batch, 1, *spatial)
        They share no memory.
    missing : Missing
        A mask has the shape of `x`.

    Returns
    -------
    list of RestBox or None
        The boxes of y that are still to be done; None if that is all of it.
    """
    is_known = problem.dtype.name in ("float32", "float64") and x.dtype == problem.dtype
    if not (is_known and x.flags.aligned and x.dtype.isnative and y.dtype == x.dtype and y.size):
        return None
    if missing.mask is None and problem.recipe.fill != problem.recipe.fill:
        return None  # beyond the borders NaN is a value
    magnitudes = magnitudes_of(weight, problem.dtype)
    best = 0.0  # time of the best one that accepts the weights
    for place, (algorithm, seconds) in enumerate(
        zip(plan.candidates, plan.seconds, strict=True), 1
    ):
        if best and seconds > MOST_TIMES * best:
            break
        others = plan._replace(candidates=plan.candidates[place:], seconds=plan.seconds[place:])
        packed = algorithm.prepare(problem, Operands(weight))
        if packed is None or not _select.is_best(problem, algorithm, packed, others):
            continue
        best = best or seconds
        if algorithm is fft and (rest := _transform(problem, weight, x, missing, y)) is not None:
            return rest
        if algorithm not in (image, low_rank):
            continue
        other = algorithm.prepare(problem, Operands(magnitudes))
        if other is not None and _select.is_best(problem, algorithm, other, others):
            record(algorithm.name)
            if not _run(problem, (packed, other), x, missing, limits_of(magnitudes), y):
                return []
    return None


def _transform(
    problem: Problem, weight: Array, x: Array, missing: Missing, y: Array
) -> list[RestBox] | None:
    """Sum by transforms of the cells and of their validity, where both have room."""
    task = fft.task_of(problem)
    is_double = fft.transform_dtype(problem) == "float64"
    if not (is_double and normalised_blocks.has_room(task)):
        return None
    bank = np.concatenate([weight.astype(problem.dtype), magnitudes_of(weight, problem.dtype)])
    spectra = fft.prepare(problem, Operands(bank))
    if spectra is None:
        return None
    record(fft.name)
    mask: Any = None if missing.mask is None else missing.mask.view(np.uint8)
    declined = normalised_blocks.run(task, x, spectra, missing._replace(mask=mask), y)
    return [RestBox(box.sample, box.outputs[3 - len(problem.recipe.axes) :]) for box in declined]


def _run(
    problem: Problem,
    packed: Any,
    x: Array,
    missing: Missing,
    limits: tuple[float, float],
    y: Array,
) -> bool:
    """Run one algorithm; whether it declines its results."""
    axes, mask = cast("Axes", problem.recipe.axes), missing.mask
    is_joined = packed[0].is_joined
    arrays = [each for each in (x, y, mask) if each is not None]
    places = [arrays]
    if is_joined:
        if all(map(joins, arrays)):
            places = [[each.reshape(*each.shape[:-2], -1) for each in arrays]]
        else:
            is_joined, axes, count = False, axes[:2], x.shape[-1]
            places = [[each[..., place] for each in arrays] for place in range(count)]
    task = DirectTask(
        batch=len(x),
        groups=1,
        channels=1,
        filters=1,
        axes=kernel_axes(axes, is_joined),
        dtype=problem.dtype.name,
        fill=problem.recipe.fill,
    )
    declined = False
    for cells, sums, *masks in places:
        some = missing._replace(mask=masks[0].view(np.uint8) if masks else None)
        target = sums if sums.strides[-1] == sums.itemsize else np.empty(sums.shape, sums.dtype)
        declined |= normalised.run(task, cells, packed, some, limits, target)
        if target is not sums:
            sums[...] = target
    return declined
