"""The ordering plan: medians, percentiles and ranks of windows by comparing shifted pictures.

The cells under one tap, for all outputs of a block, are a picture: the padded input, shifted. A
network of comparisons orders as many pictures as there are taps, cell by cell, with nothing but
the smaller and the larger of two pictures. NumPy does that with the widest instructions there are,
and the narrower the dtype the more cells at once; sorting window by window has neither. The rank 12
of 5×5 windows over 600 × 512: 11 ms for uint8, 31 ms for float32; `scipy.ndimage` takes 205 to 230
ms (one core of an Emerald Rapids server). `tests/plans/test_ordering_plan.py` compares the results.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log2, prod
from typing import Any, cast

import numpy as np

from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._blocks import Box, ranges
from faltung.plans._environment import default_environment
from faltung.plans._order import Comparison, Order, between, comparisons
from faltung.plans._problem import Operands, Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import Reduction
from faltung.typing import Array, IndexArray, Shape

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "ordering"
MOST_TAPS = 1024
"""Larger windows have too many comparisons."""
LARGEST_WIRE = 2**16
"""Bytes of a wire: best of 8 to 128 KiB from 3×3 to 11×11 on the server named above."""
TOGETHER = 2**23
"""Bytes of all wires of a block, where windows are larger."""


def supports(problem: Problem) -> str | None:
    """Why the ordering plan cannot do the problem, or None."""
    rule = problem.recipe.rule
    if not isinstance(rule, Reduction) or rule.order is None:
        of = rule.name if isinstance(rule, Reduction) else type(rule).__name__
        return f"it finds medians, percentiles and ranks, the rule here is {of}"
    if not all(isinstance(axis, SlidingAxis) for axis in problem.recipe.axes):
        return "it knows windows that slide, no others"
    if problem.taps > MOST_TAPS:
        return f"a window has {problem.taps:,} taps, more than {MOST_TAPS:,}"
    cells = prod(problem.output_shape)
    if 0 in problem.input_shape or cells == 0:
        return "there is nothing to order"
    needed = workspace(problem)
    if needed > WORKSPACE:
        return f"a block needs {needed:,} bytes of workspace, more than the {WORKSPACE:,} allowed"
    return None


def workspace(problem: Problem) -> int:
    """Bytes of workspace: the wires of a block and the part of the input under it."""
    block = _block(problem)
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    reach = prod((n - 1) * a.stride + a.span for n, a in zip(block[1:], axes, strict=True))
    wires = (problem.taps + 6) * prod(block)  # six: what is between two places in order
    # The part under a block is taken axis by axis: there are two of it for a moment.
    return problem.compute_dtype.itemsize * (wires + 2 * block[0] * reach)


def _block(problem: Problem) -> Shape:
    """How many channels, and outputs on each axis, are ordered at once."""
    size = min(TOGETHER // problem.taps, LARGEST_WIRE)
    cells, block = max(size // problem.compute_dtype.itemsize, 1), []
    for available in reversed(problem.output_shape[1:]):
        block.append(min(available, cells))
        cells = max(cells // available, 1)
    return tuple(reversed(block))


def cost(problem: Problem) -> _cost.Cost:
    """Comparisons of wires, each a call of NumPy or two for each block.

    Those of Batcher's network, whether looked at or not: to list them takes longer than to sort.
    """
    doublings = log2(max(problem.taps, 2))
    steps = problem.taps * doublings * (doublings + 1) / 4
    cells = prod(problem.output_shape)
    blocks = -(-cells // prod(_block(problem)))
    moved = 4 * steps * cells * problem.compute_dtype.itemsize
    return _cost.Cost(0, moved, calls=blocks * steps)


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> bool:
    """Nothing to prepare."""
    return True


def run(problem: Problem, x: Array, prepared: bool, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    recipe = problem.recipe
    axes = cast("tuple[SlidingAxis, ...]", recipe.axes)
    order = cast("Callable[[int], Order]", cast("Reduction", recipe.rule).order)(problem.taps)
    steps = comparisons(problem.taps, frozenset((order.below, order.above)))
    box = [axis.clear_outputs if recipe.is_blank else range(axis.outputs) for axis in axes]
    if recipe.is_blank:
        y[...] = 0
    with default_environment(), np.errstate(all="ignore"):
        for sample in range(recipe.batch):
            for channels, *outputs in ranges((range(x.shape[1]), *box), _block(problem)):
                planes = x[sample, channels.start : channels.stop]
                wires = _shifted(_under(problem, planes, tuple(outputs)), axes, tuple(outputs))
                box_of: Any = (channels, *outputs)
                where: Any = (sample, *(slice(part.start, part.stop) for part in box_of))
                y[where] = _ordered(wires, steps, order)


def _under(problem: Problem, planes: Array, outputs: Box) -> Array:
    """The part of the padded planes that the windows of a box of outputs lie on."""
    fill = problem.recipe.rule.outside(problem.recipe.fill, problem.compute_dtype)
    part, shown = planes, []
    for place, (axis, some) in enumerate(zip(problem.recipe.axes, outputs, strict=True), 1):
        sliding = cast("SlidingAxis", axis)
        first = some.start * sliding.stride - sliding.before
        reach = (len(some) - 1) * sliding.stride + sliding.span
        positions = np.arange(first, first + reach, dtype=np.int64)
        shown.append(source_index(sliding.mode, positions, axis.size))
        part = _taken(part, shown[-1], place)
    part = part.astype(problem.compute_dtype, order="C")
    for place, index in enumerate(shown, 1):
        if (index < 0).any():
            part[(slice(None),) * place + (index < 0,)] = fill
    return part


def _taken(part: Array, index: IndexArray, axis: int) -> Array:
    """Some cells of an axis, the first one for those outside; a view where they are neighbours."""
    if index[0] >= 0 and (np.diff(index) == 1).all():
        cells: Any = (slice(None),) * axis + (slice(index[0], index[-1] + 1),)
        return cast("Array", part[cells])
    return part.take(np.maximum(index, 0), axis)


def _shifted(part: Array, axes: tuple[SlidingAxis, ...], outputs: Box) -> list[Array | None]:
    """For each tap the cells that it shows to the outputs: views of `part`."""
    views: list[Array | None] = []
    for taps in np.ndindex(*(axis.taps for axis in axes)):
        starts = [tap * axis.dilation for tap, axis in zip(taps, axes, strict=True)]
        cells = [
            slice(start, start + (len(some) - 1) * axis.stride + 1, axis.stride)
            for start, axis, some in zip(starts, axes, outputs, strict=True)
        ]
        views.append(part[(slice(None), *cells)])
    return views


def _ordered(wires: list[Array | None], steps: tuple[Comparison, ...], order: Order) -> Array:
    """The statistic, of what lies on each place of all wires."""
    spare: list[Array] = []
    is_view = [True] * len(wires)
    for step in steps:
        a, b = cast("Array", wires[step.first]), cast("Array", wires[step.second])
        buffers = [spare.pop() if spare else np.empty(a.shape, a.dtype) for _ in range(2)]
        smaller = np.minimum(a, b, out=buffers.pop()) if step.keeps_smaller else None
        larger = np.maximum(a, b, out=buffers.pop()) if step.keeps_larger else None
        spare += buffers
        for wire, old, new in ((step.first, a, smaller), (step.second, b, larger)):
            if not is_view[wire]:
                spare.append(old)
            wires[wire], is_view[wire] = new, False
    low, high = cast("Array", wires[order.below]), cast("Array", wires[order.above])
    return between(low, high, order)
