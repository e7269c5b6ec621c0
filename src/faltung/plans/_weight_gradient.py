"""The gradient of every linear rule after its weight and its bias.

That of a convolution is a convolution too, of the data with the cotangent, stride and dilation
exchanged; but its kernel has the size of the image, so it is summed another way. For each block
of outputs the cells under the windows are copied next to each other and multiplied, as a matrix,
with the cotangents of all filters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, cast

import numpy as np

from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans._adjoint import blocks, sum_dtype
from faltung.plans._blocks import Box, ranges
from faltung.plans._environment import default_environment
from faltung.plans._position_products import choose_layout, sum_by_position
from faltung.plans._problem import Problem
from faltung.plans._rules import PositionSum, WeightedSum
from faltung.plans._tables import join_tables
from faltung.typing import Array, IndexArray, Shape

__all__ = ["bias_gradient", "weight_gradient"]

COLUMN_BYTES = 2**20
"""Cells that are copied next to each other at once: with the products they stay in the cache."""
MOST_ROWS = 2**12
"""Rows of such a block, channels times taps; the rest are outputs."""
LEAST_OUTPUTS = 2**6


def bias_gradient(problem: Problem, g: Array) -> Array:
    """The sum of the cotangents of a filter, but those of windows that "blank" leaves out."""
    recipe = problem.recipe
    if recipe.is_blank:
        places: Any = (..., *(_slice(axis.clear_outputs) for axis in recipe.axes))
        g = g[places]
    axes = (0, *range(2, g.ndim))
    return cast("Array", g.sum(axis=axes, dtype=sum_dtype(problem)))


def weight_gradient(problem: Problem, shape: Shape, x: Array, g: Array) -> Array:
    """The gradient after a weight of this shape; x and g are in canonical order."""
    recipe, rule = problem.recipe, problem.recipe.rule
    x = x.conj()
    with default_environment(), np.errstate(all="ignore"):
        if isinstance(rule, PositionSum):
            return _position_gradient(problem, shape, x, g)
        rule = cast("WeightedSum", rule)
        planes = recipe.batch, recipe.groups
        cells = x.reshape(*planes, recipe.channels, *x.shape[2:])
        others = g.reshape(*planes, recipe.filters, *g.shape[2:])
        axes = recipe.axes
        if rule.is_transposed:  # the cotangent is what the windows of the transpose see
            cells, others = others, cells
            axes = tuple(cast("TransposedAxis", axis).forward for axis in axes)
        fill = np.conj(recipe.fill) if recipe.fill_takes_part else None
        sliding = cast("tuple[SlidingAxis, ...]", axes)
        products = _Products(problem, sliding, cells, others, fill, sum_dtype(problem)).sum()
    weight = products.reshape(shape)
    return np.flip(weight, tuple(range(2, weight.ndim))) if rule.is_flipped else weight


@dataclass(frozen=True)
class _Products:
    """``sum(b[n, g, f, i] * a[n, g, c, cell(i, t)])`` over samples n and outputs i.

    `fill` is what a has outside, None where cells outside take no part.
    """

    problem: Problem
    axes: tuple[SlidingAxis, ...]
    a: Array  # (samples, groups, channels, *cells)
    b: Array  # (samples, groups, filters, *outputs)
    fill: Any
    dtype: np.dtype[Any]

    def sum(self) -> Array:
        """The sums, of shape (groups, filters, channels, *taps)."""
        axes = self.axes
        kernel = tuple(axis.taps for axis in axes)
        box = tuple(
            axis.clear_outputs if axis.mode == "blank" else range(axis.outputs) for axis in axes
        )
        sizes = self.b.shape[2], self.a.shape[2]
        layout = choose_layout(self.problem, axes, box, sizes, self.dtype)
        if layout is not None and np.isfinite(self.a).all() and np.isfinite(self.b).all():
            last = np.zeros((*self.b.shape[1:3], *kernel, self.a.shape[2]), self.dtype)
            for sample, group in np.ndindex(*self.a.shape[:2]):
                fill = partial(self._fill_slab, self.a[sample, group])
                sum_by_position(layout, fill, self.b[sample, group], last[group])
            return np.moveaxis(last, -1, 2)
        sums = np.zeros((*self.b.shape[1:3], self.a.shape[2], *kernel), self.dtype)
        for sample in range(len(self.a)):
            for channels, taps, outputs in self._blocks(kernel, box):
                part = self._product(sample, channels, taps, outputs)
                place: Any = (slice(None), slice(None), _slice(channels), *map(_slice, taps))
                sums[place] += part.reshape(sums[place].shape)
        return sums

    def _fill_slab(self, plane: Array, outputs: Box, slab: Array) -> None:
        """Write what a box of outputs sees of a group: (channels, *cells)."""
        taps = tuple(range(axis.taps) for axis in self.axes)
        self._fill(plane, self._sources(taps, outputs), slab)

    def _sources(self, taps: Box, outputs: Box) -> list[IndexArray]:
        """On each axis the cells from the first to the last that is seen, -1 outside."""
        sources = []
        for axis, tap, cut in zip(self.axes, taps, outputs, strict=True):
            first = cut.start * axis.stride - axis.before + tap.start * axis.dilation
            reach = (len(cut) - 1) * axis.stride + axis.dilation * (len(tap) - 1) + 1
            sources.append(source_index(axis.mode, np.arange(first, first + reach), axis.size))
        return sources

    def _blocks(self, kernel: Shape, box: Box) -> Iterator[tuple[range, Box, Box]]:
        """Channels, taps and outputs, so that their cells fit into a block."""
        groups, channels = self.a.shape[1:3]
        taps = list(kernel)
        while groups * prod(taps) > MOST_ROWS and max(taps) > 1:
            longest = taps.index(max(taps))
            taps[longest] = -(-taps[longest] // 2)
        some = max(min(MOST_ROWS // max(groups * prod(taps), 1), channels), 1)
        rows = groups * prod(taps) * some
        outputs = [max(len(cut), 1) for cut in box]
        most = max(COLUMN_BYTES // (self.dtype.itemsize * max(rows, 1)), LEAST_OUTPUTS)
        for place in range(len(outputs)):  # whole rows, as far as they fit
            while prod(outputs) > most and outputs[place] > 1:
                outputs[place] = -(-outputs[place] // 2)
        whole = (range(channels), *map(range, kernel), *box)
        rank = len(kernel)
        for block in ranges(whole, (some, *taps, *outputs)):
            yield block[0], block[1 : 1 + rank], block[1 + rank :]

    def _product(self, sample: int, channels: range, taps: Box, outputs: Box) -> Array:
        """The sums of one block: (groups, filters, channels * taps)."""
        columns, is_outside = self._columns(sample, channels, taps, outputs)
        where: Any = (sample, slice(None), slice(None), *map(_slice, outputs))
        others = self.b[where].astype(self.dtype, copy=False)
        others = others.reshape(*others.shape[:2], prod(map(len, outputs)))
        if is_outside is not None and not np.isfinite(others).all():
            return self._masked_product(columns, others, is_outside)
        rows = columns.reshape(len(columns), prod(columns.shape[1:3]), columns.shape[3])
        return _matrix_product(others, rows.swapaxes(1, 2))

    def _masked_product(self, columns: Array, others: Array, is_outside: Array) -> Array:
        """Tap by tap, where a cell outside times a cotangent that is not finite would be NaN."""
        results = []
        for tap, outside in enumerate(is_outside):
            inside = np.where(outside, others.dtype.type(0), others)
            results.append(_matrix_product(inside, columns[:, :, tap].swapaxes(1, 2)))
        return np.stack(results, axis=3)

    def _columns(
        self, sample: int, channels: range, taps: Box, outputs: Box
    ) -> tuple[Array, Array | None]:
        """The cells as (groups, channels, taps, outputs), and which of them lie outside."""
        sources = self._sources(taps, outputs)
        steps = [(axis.dilation, axis.stride) for axis in self.axes]
        slab = self._slab(sample, channels, sources)
        counts = *map(len, taps), *map(len, outputs)
        columns = np.ascontiguousarray(_windows(slab, steps, counts))
        pairs = prod(map(len, taps)), prod(map(len, outputs))
        columns = columns.reshape(*slab.shape[:2], *pairs)
        if self.fill is not None or all((source >= 0).all() for source in sources):
            return columns, None
        outside = np.zeros(tuple(map(len, sources)), bool)
        for place, source in enumerate(sources):
            beyond: Any = (*(slice(None),) * place, source < 0)
            outside[beyond] = True
        shown = _windows(outside[None, None], steps, counts)
        return columns, shown.reshape(columns.shape[2:])

    def _slab(self, sample: int, channels: range, sources: list[IndexArray]) -> Array:
        """The cells that a block sees, borders included, contiguous."""
        slab = np.empty((self.a.shape[1], len(channels), *map(len, sources)), self.dtype)
        for group in range(len(slab)):
            self._fill(self.a[sample, group, _slice(channels)], sources, slab[group])
        return slab

    def _fill(self, plane: Array, sources: list[IndexArray], slab: Array) -> None:
        """Write the cells of (channels, *cells) that the sources name, and the border."""
        inside = [np.flatnonzero(source >= 0) for source in sources]
        target: Any = (..., *(_run(places) for places in inside))
        if any(len(places) < len(source) for places, source in zip(inside, sources, strict=True)):
            slab[...] = 0 if self.fill is None else self.fill
        for place, (source, places) in enumerate(zip(sources, inside, strict=True), 1):
            cells = source[places]
            is_run = len(cells) > 0 and bool((np.diff(cells) == 1).all())
            cut: Any = (*(slice(None),) * place, _run(cells) if is_run else cells)
            plane = plane[cut]
        slab[target] = plane


def _run(places: Array) -> slice:
    """Numbers that follow each other, as a slice."""
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _slice(cells: range) -> slice:
    return slice(cells.start, cells.stop)


def _windows(slab: Array, steps: list[tuple[int, int]], counts: Shape) -> Array:
    """A view (groups, channels, *taps, *outputs): tap and output move by these steps."""
    pairs = list(zip(steps, slab.strides[2:], strict=True))
    strides = [dilation * size for (dilation, _), size in pairs]
    strides += [stride * size for (_, stride), size in pairs]
    shape = *slab.shape[:2], *counts
    return np.lib.stride_tricks.as_strided(slab, shape, (*slab.strides[:2], *strides))


def _matrix_product(left: Array, right: Array) -> Array:
    """The matrix product, never one with a vector: BLAS splits its sums among threads."""
    if left.shape[1] == 1:
        return (left.repeat(2, axis=1) @ right)[:, :1]
    if right.shape[2] == 1:
        return (left @ right.repeat(2, axis=2))[:, :, :1]
    return left @ right


def _position_gradient(problem: Problem, shape: Shape, x: Array, g: Array) -> Array:
    """Each coefficient is used once a sample or once a channel: products, not a convolution."""
    recipe, dtype = problem.recipe, sum_dtype(problem)
    rule = cast("PositionSum", recipe.rule)
    spatial = x.shape[2:]
    x = x.reshape(recipe.batch, recipe.groups, recipe.channels, *spatial)
    outputs = tuple(axis.outputs for axis in recipe.axes)
    g = g.reshape(recipe.batch, recipe.groups, recipe.filters, *outputs)
    lead = (
        (recipe.batch, recipe.groups)
        if rule.is_shared
        else (recipe.groups, recipe.filters, recipe.channels)
    )
    weight = np.zeros((*lead, problem.taps, *outputs), dtype)
    taps = tuple(range(axis.taps) for axis in recipe.axes)
    fill = np.conj(recipe.fill) if recipe.fill_takes_part else 0
    for samples, groups, box in blocks(problem):
        table = join_tables(recipe.axes, box, taps)
        cells = table.slab_of(x[samples, groups], fill, dtype).take(table.flat, axis=3, mode="wrap")
        positions = prod(map(len, box))
        cells = cells.reshape(*cells.shape[:3], problem.taps, positions)
        places = tuple(map(_slice, box))
        cotangent = g[(samples, groups, slice(None), *places)].astype(dtype, copy=False)
        cotangent = cotangent.reshape(*cotangent.shape[:3], positions)
        if rule.is_shared:
            products = np.einsum("ngctp,ngcp->ngtp", cells, cotangent)
            where: Any = (samples, groups, slice(None), *places)
        else:
            products = np.einsum("ngctp,ngfp->gfctp", cells, cotangent)
            where = (groups, slice(None), slice(None), slice(None), *places)
        if table.is_outside is not None and not recipe.fill_takes_part:
            products[..., table.is_outside] = 0
        target = weight[where]
        np.add(target, products.reshape(target.shape), out=target)
    return weight.reshape(shape)
