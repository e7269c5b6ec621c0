"""The adjoint of every linear rule: what each cell gave is brought back to it.

Where the adjoint is itself an operator of the family, it runs as one, by whatever algorithm suits
it: that of a convolution is a transposed convolution, and the reverse; that of folding is
unfolding. For all others the values go back axis by axis, block by block. Weights are given as
the adjoint wants them: conjugate, unless the plain transpose is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Any, cast

import numpy as np

from faltung.geometry.stencil import SlidingAxis, StencilAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans import _resources, _select
from faltung.plans._blocks import Box, choose_blocking, ranges
from faltung.plans._environment import default_environment
from faltung.plans._problem import Operands, Problem
from faltung.plans._return import return_taps, return_values
from faltung.plans._rules import (
    Copy,
    Interpolation,
    Mean,
    Overlap,
    Placement,
    PositionSum,
    Reduction,
    WeightedSum,
)
from faltung.typing import Array

__all__ = ["apply_problem", "blocks", "linear_part", "prepare_adjoint", "sum_dtype", "zeros"]

PLAIN = ("zeros", "constant", "blank")
"""Borders that show no cell of the input."""
Apply = Callable[[Array], Array]


def linear_part(problem: Problem) -> Problem:
    """The problem without bias and constants, and whichever algorithm it was asked of."""
    recipe = replace(
        problem.recipe,
        has_bias=False,
        fill=0,
        fill_takes_part=False,
        also=None,
        algorithm=None,
    )
    return replace(problem, recipe=recipe, kept={})


def apply_problem(problem: Problem, operands: Operands) -> Apply:
    """A function that runs a problem, prepared once."""
    plan = _select.select(problem)
    prepared = _select.prepare(problem, plan, operands)

    def run(x: Array) -> Array:
        y = _resources.allocate(problem.output_shape, problem.result_dtype)
        _select.execute(problem, prepared, x.reshape(problem.input_shape), y)
        return y

    return run


def prepare_adjoint(problem: Problem, weight: Array | None) -> Apply:
    """A function from an array of the problem's output shape to one of its input shape.

    Results have the problem's dtype, or the wider one of its sums.
    """
    rule = problem.recipe.rule
    if isinstance(rule, WeightedSum):
        return _reversed_sum(problem, cast("Array", weight))
    if isinstance(rule, Overlap):
        axes = _forward(problem.recipe.axes)
        return apply_problem(_reversed(problem, Copy(keeps_taps=True), axes), Operands())
    if isinstance(rule, Placement):
        return lambda g: _taken(problem, cast("Array", weight), g)
    return lambda g: _returned(problem, weight, g)


def _reversed(
    problem: Problem, rule: Any, axes: tuple[StencilAxis, ...], dtype: np.dtype[Any] | None = None
) -> Problem:
    """The problem with inputs and outputs exchanged."""
    recipe = problem.recipe
    is_blank = any(isinstance(axis, SlidingAxis) and axis.mode == "blank" for axis in axes)
    reverse = replace(
        recipe,
        rule=rule,
        axes=axes,
        channels=recipe.filters,
        filters=recipe.channels,
        fill=0,
        fill_takes_part=False,
        is_blank=is_blank,
        is_flat=False,
        has_bias=False,
        also=None,
        activation=None,
        algorithm=None,
    )
    dtype = dtype or problem.dtype
    return replace(problem, recipe=reverse, dtype=dtype, input_dtype=dtype, kept={})


def _forward(axes: tuple[StencilAxis, ...]) -> tuple[SlidingAxis, ...]:
    return tuple(cast("TransposedAxis", axis).forward for axis in axes)


def _reversed_sum(problem: Problem, weight: Array) -> Apply:
    rule = cast("WeightedSum", problem.recipe.rule)
    if rule.is_transposed:
        forward = _forward(problem.recipe.axes)
        plain = WeightedSum(is_flipped=rule.is_flipped)
        return apply_problem(_reversed(problem, plain, forward), Operands(weight))
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    rule = replace(rule, is_transposed=True, groups=problem.recipe.groups)
    if all(axis.mode in PLAIN or _fits(axis) for axis in axes):
        without = (replace(axis, mode="zeros") if axis.mode != "blank" else axis for axis in axes)
        transposed = tuple(map(TransposedAxis, without))
        return apply_problem(_reversed(problem, rule, transposed), Operands(weight))
    return _reversed_with_border(problem, rule, axes, weight)


def _fits(axis: SlidingAxis) -> bool:
    """Whether no window leaves the input."""
    return len(axis.clear_outputs) == axis.outputs


def _reversed_with_border(
    problem: Problem, rule: WeightedSum, axes: tuple[SlidingAxis, ...], weight: Array
) -> Apply:
    """Transpose the windows over the input with its border, then add the border to its cells.

    One sample at a time: what is between has the size of a padded sample.
    """
    reach = [(axis.outputs - 1) * axis.stride + axis.span for axis in axes]
    padded = tuple(
        TransposedAxis(replace(axis, size=size, before=0, mode="zeros"))
        for axis, size in zip(axes, reach, strict=True)
    )
    border = tuple(
        SlidingAxis(axis.size, size, 1, before=axis.before, mode=axis.mode)
        for axis, size in zip(axes, reach, strict=True)
    )
    single = replace(problem, recipe=replace(problem.recipe, batch=1))
    spread = _reversed(single, rule, padded, dtype=sum_dtype(problem))
    transpose = apply_problem(spread, Operands(weight))
    box = tuple(map(range, reach))

    def run(g: Array) -> Array:
        sums = zeros(problem)
        for sample, result in zip(g, sums, strict=True):
            values = transpose(sample[None].astype(spread.dtype, copy=False))
            part, where = return_values(border, box, values[0], is_weighted=False)
            result[where] = part
        return sums

    return run


def sum_dtype(problem: Problem) -> np.dtype[Any]:
    """The dtype in which values add up: also where the forward rule adds nothing."""
    is_half = problem.dtype.kind in "fV" and problem.dtype.itemsize == 2
    return np.dtype(np.float32) if is_half else problem.compute_dtype


def zeros(problem: Problem) -> Array:
    """Where the values add up: an array of the problem's input shape."""
    sums = _resources.allocate(problem.input_shape, sum_dtype(problem), "the gradient")
    sums[...] = 0
    return sums


def blocks(problem: Problem) -> Iterator[tuple[slice, slice, Box]]:
    """Samples, groups and outputs, cut so that the gathered cells of a block stay small.

    Outputs of windows that leave the input under "blank" are in no block.
    """
    recipe = problem.recipe
    blocking = choose_blocking(problem, problem.compute_dtype.itemsize)
    box = tuple(
        axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in recipe.axes
    )
    planes = (range(recipe.batch), range(recipe.groups))
    for samples, groups in ranges(planes, (blocking.samples, blocking.groups)):
        for outputs in ranges(box, blocking.outputs):
            yield slice(samples.start, samples.stop), slice(groups.start, groups.stop), outputs


def _returned(problem: Problem, weight: Array | None, g: Array) -> Array:
    """The values of every block, weighted, back at their cells."""
    recipe, sums = problem.recipe, zeros(problem)
    planes = sums.reshape(recipe.batch, recipe.groups, recipe.channels, *sums.shape[2:])
    outputs = tuple(axis.outputs for axis in recipe.axes)
    g = g.reshape(recipe.batch, recipe.groups, recipe.filters, *outputs)
    back = BACK[type(recipe.rule)]
    with default_environment(), np.errstate(all="ignore"):
        for samples, groups, box in blocks(problem):
            places: Any = (samples, groups, slice(None), *(slice(b.start, b.stop) for b in box))
            values = g[places].astype(sum_dtype(problem), copy=False)
            part, where = back(problem, weight, (samples, groups), box, values)
            target = planes[samples, groups][where]
            np.add(target, part, out=target)
    return sums


Planes = tuple[slice, slice]


def _copy_back(
    problem: Problem, weight: Array | None, planes: Planes, box: Box, values: Array
) -> tuple[Array, Any]:
    axes = problem.recipe.axes
    if not cast("Copy", problem.recipe.rule).keeps_taps:
        return return_values(axes, box, values, is_weighted=False)
    taps = tuple(axis.taps for axis in axes)
    shape = (*values.shape[:2], 1, *taps, *map(len, box))
    return return_taps(axes, box, values.reshape(shape))


def _mean_back(
    problem: Problem, weight: Array | None, planes: Planes, box: Box, values: Array
) -> tuple[Array, Any]:
    """Divide as the mean does, then give each cell of the window the same."""
    axes, rule = problem.recipe.axes, cast("Mean", problem.recipe.rule)
    divisor: Any = 1 if rule.divisor is None else rule.divisor
    if rule.divisor is None:
        for axis, outputs in zip(axes, box, strict=True):
            divisor = np.multiply.outer(divisor, axis.divisors(outputs.start, outputs.stop))
    return return_values(axes, box, _divided(values, np.asarray(divisor)), is_weighted=False)


def _divided(values: Array, divisor: Array) -> Array:
    values = values.copy()
    divisor = divisor.astype(values.real.dtype)
    # Parts one by one: a complex division would make a NaN of an infinite part.
    for part in (values.real, values.imag) if values.dtype.kind == "c" else (values,):
        np.divide(part, divisor, out=part)
    return values


def _reduction_back(
    problem: Problem, weight: Array | None, planes: Planes, box: Box, values: Array
) -> tuple[Array, Any]:
    """Each value of a window counts the same; sums of integers are not divided, and stay exact."""
    divisor = cast("Any", problem.recipe.rule).divisor(problem.taps)
    if divisor != 1:
        values = _divided(values, np.asarray(divisor))
    return return_values(problem.recipe.axes, box, values, is_weighted=False)


def _interpolation_back(
    problem: Problem, weight: Array | None, planes: Planes, box: Box, values: Array
) -> tuple[Array, Any]:
    return return_values(problem.recipe.axes, box, values, is_weighted=True)


def _positions_back(
    problem: Problem, weight: Array | None, planes: Planes, box: Box, values: Array
) -> tuple[Array, Any]:
    """Each tap of each output has its own coefficient."""
    recipe, rule = problem.recipe, cast("PositionSum", problem.recipe.rule)
    samples, groups = planes
    kernels = cast("Array", weight)
    taps = tuple(axis.taps for axis in recipe.axes)
    counts = tuple(map(len, box))
    where: Any = (..., *(slice(cut.start, cut.stop) for cut in box))
    if rule.is_shared:
        if kernels.ndim == len(box) + 2:  # of a sample without batch axis
            kernels = kernels[None]
        part = kernels[samples, groups][where].astype(values.dtype, copy=False)
        products = np.einsum("ngc...,ngt...->ngct...", values, part)
    else:
        kernels = kernels.reshape(recipe.groups, recipe.filters, *kernels.shape[1:])
        part = kernels[groups][where].astype(values.dtype, copy=False)
        products = np.einsum("ngf...,gfct...->ngct...", values, part)
    products = products.reshape(*products.shape[:3], *taps, *counts)
    return return_taps(recipe.axes, box, products)


BACK: dict[type, Callable[..., tuple[Array, Any]]] = {
    Copy: _copy_back,
    Mean: _mean_back,
    Interpolation: _interpolation_back,
    PositionSum: _positions_back,
    Reduction: _reduction_back,
}
"""How the values of a block of outputs go back to the cells; one function a rule."""


def _taken(problem: Problem, positions: Array, g: Array) -> Array:
    """The cells at the positions; 0 for values that were overwritten by a later one."""
    planes, cells = problem.input_shape[:2], problem.input_shape[2:]
    flat = positions.reshape(*planes, prod(cells)).astype(np.int64, copy=False)
    g = g.reshape(*planes, prod(problem.output_shape[2:]))
    result = np.take_along_axis(g, flat, axis=2)
    for plane in np.ndindex(*problem.input_shape[:2]):
        last = np.zeros(g.shape[2], np.int64)
        np.maximum.at(last, flat[plane], np.arange(1, flat.shape[2] + 1))
        result[plane][last[flat[plane]] != np.arange(1, flat.shape[2] + 1)] = 0
    return result.reshape(problem.input_shape)
