"""Cutting a problem into blocks whose workspace stays under the limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from faltung.plans._problem import Problem
from faltung.plans._resources import WORKSPACE
from faltung.plans._rules import (
    Extreme,
    Mean,
    Morphology,
    Overlap,
    PositionSum,
    PowerSum,
    WeightedSum,
)
from faltung.typing import Shape

__all__ = [
    "Blocking",
    "Box",
    "block_bytes",
    "choose_blocking",
    "halved_at_first",
    "ranges",
    "whole_blocking",
]

Box = tuple[range, ...]


@dataclass(frozen=True)
class Blocking:
    """How many samples, groups, channels, taps and outputs one block has."""

    samples: int
    groups: int
    channels: int
    taps: Shape
    outputs: Shape


def block_bytes(problem: Problem, blocking: Blocking, itemsize: int) -> int:
    """The workspace of a block: slab, table, gathered cells and sums."""
    if isinstance(problem.recipe.rule, Overlap):  # what is read is not copied
        sums = blocking.samples * blocking.groups * prod(blocking.outputs)
        return 2 * itemsize * sums  # also those of the block before, until they are replaced
    gathered = prod(blocking.taps) * prod(blocking.outputs)
    slab, axis_tables = 1, 0
    spans = zip(problem.recipe.axes, blocking.outputs, blocking.taps, strict=True)
    for axis, outputs, taps in spans:
        reach = (outputs - 1) * axis.geometry.stride + axis.geometry.span
        slab *= min(reach, axis.size, 2 * outputs * taps) + 1
        axis_tables += outputs * taps
    planes = blocking.samples * blocking.groups
    sums = planes * problem.recipe.filters * prod(blocking.outputs)
    # A matrix product needs the gathered cells alone; other rules have intermediate results.
    copies = 2 if isinstance(problem.recipe.rule, WeightedSum) else 5
    cells = planes * blocking.channels * (slab + copies * gathered)
    if isinstance(problem.recipe.rule, PositionSum):  # the weight of the block, cut and masked
        is_shared = problem.recipe.rule.is_shared
        kernels = blocking.samples if is_shared else problem.recipe.filters * blocking.channels
        cells += 2 * blocking.groups * kernels * gathered
    return itemsize * (cells + 2 * sums) + 16 * gathered + 32 * axis_tables


def whole_blocking(problem: Problem) -> Blocking:
    """One block for everything."""
    recipe = problem.recipe
    return Blocking(
        max(recipe.batch, 1),
        max(recipe.groups, 1),
        max(recipe.channels, 1),
        tuple(axis.taps for axis in recipe.axes),
        tuple(axis.outputs for axis in recipe.axes),
    )


def choose_blocking(problem: Problem, itemsize: int) -> Blocking:
    """The largest blocks that fit: samples and groups give way first, taps last.

    Taps are cut only when one channel is left, so that a sum in fixed order runs channel by
    channel and tap by tap whatever the blocks are.
    """
    blocking = whole_blocking(problem)
    rule = problem.recipe.rule
    cuts_taps = isinstance(rule, WeightedSum | Mean | PowerSum | Extreme | Morphology)
    while block_bytes(problem, blocking, itemsize) > WORKSPACE:
        smaller = _smaller(blocking, cuts_taps=cuts_taps)
        if smaller == blocking:
            break
        blocking = smaller
    return blocking


def _smaller(blocking: Blocking, *, cuts_taps: bool) -> Blocking:
    if blocking.samples > 1:
        return replace(blocking, samples=_half(blocking.samples))
    if blocking.groups > 1:
        return replace(blocking, groups=_half(blocking.groups))
    if prod(blocking.outputs) > 512:
        return replace(blocking, outputs=_halved_at_largest(blocking.outputs))
    if cuts_taps and blocking.channels > 1:
        return replace(blocking, channels=_half(blocking.channels))
    if prod(blocking.outputs) > 1:
        return replace(blocking, outputs=_halved_at_largest(blocking.outputs))
    return replace(blocking, taps=halved_at_first(blocking.taps)) if cuts_taps else blocking


def _half(count: int) -> int:
    return -(-count // 2)


def _halved_at_largest(counts: Shape) -> Shape:
    largest = counts.index(max(counts))
    return *counts[:largest], _half(counts[largest]), *counts[largest + 1 :]


def halved_at_first(counts: Shape) -> Shape:
    """Halve the first count above one, which keeps blocks of taps in row-major order."""
    for place, count in enumerate(counts):
        if count > 1:
            return *counts[:place], _half(count), *counts[place + 1 :]
    return counts


def ranges(box: Box, steps: Shape) -> Iterator[Box]:
    """Boxes of at most `steps` cells an axis that fill `box`, in row-major order."""
    cuts = [
        [range(start, min(start + step, whole.stop)) for start in whole[::step]]
        for whole, step in zip(box, steps, strict=True)
    ]
    return product(*cuts)
