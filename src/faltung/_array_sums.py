"""Sums under windows along any axes of an array, all cells taken or the valid ones alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.compiled.normalised import scale_sums, split_cells
from faltung.config import Settings, current_settings
from faltung.geometry.stencil import SlidingAxis
from faltung.operators._arrays import Spec
from faltung.operators._call import Bound, bind
from faltung.operators._record import REGISTRY
from faltung.operators.conv import conv
from faltung.plans import _resources, _tuned
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._converting import converted_part, output_boxes
from faltung.plans._normalised import Missing, limits_of, magnitudes_of, sum_valid
from faltung.plans._problem import Problem
from faltung.plans._windows import clear_part
from faltung.typing import Array, Shape

__all__ = ["Missing", "Windows", "correlate", "correlate_valid"]

LEAST_TRAILING = 32
"""Cells behind a single filtered axis from which on they are the columns of a picture."""
BAND_BYTES = 8 << 20
"""Cells that are looked at together, where one pass over all of them cannot do both sums."""
LEAST_SHARE = 2.0**-12
"""Of the weights; transforms are not exact to the last digit of what is less than that."""
LEAST_TAPS = 64
"""Taps of kernels that may be summed by transforms."""


class Windows(NamedTuple):
    """How the windows lie over an array."""

    axes: Shape
    padding: tuple[tuple[int, int], ...]
    stride: Shape
    mode: str
    fill: Any
    is_flipped: bool


class _Layout(NamedTuple):
    """The order of the axes for `conv`: samples, filtered axes as they lie, what is behind them."""

    order: Shape
    lead: int
    rank: int
    windows: Windows

    def samples(self, array: Array) -> Array:
        """(batch, 1, *spatial), a view where that can be."""
        turned = array.transpose(self.order)
        filtered = turned.shape[self.lead : self.lead + self.rank]
        trailing = turned.shape[self.lead + self.rank :]
        spatial = (*filtered, prod(trailing)) if trailing else filtered
        return turned.reshape(prod(turned.shape[: self.lead]), 1, *spatial)

    def restored(self, samples: Array, shape: Shape) -> Array:
        """The result with its axes where they were; `shape` is that of the array."""
        turned = [shape[place] for place in self.order]
        turned[self.lead : self.lead + self.rank] = samples.shape[2 : 2 + self.rank]
        back: Array = samples.reshape(turned).transpose(np.argsort(self.order))
        return back


def _lay_out(shape: Shape, kernel: Array, windows: Windows) -> tuple[_Layout, Array]:
    """The order of the axes, and the kernel in that order.

    Axes behind the filtered ones stay there, as columns that no window moves on: what lies side by
    side in memory then does so in vectors.
    """
    order = sorted(range(kernel.ndim), key=lambda place: windows.axes[place])
    places = [windows.axes[each] for each in order]
    trailing = list(range(places[-1] + 1, len(shape)))
    enough = LEAST_TRAILING if kernel.ndim == 1 else 2
    if kernel.ndim > 2 or prod(shape[place] for place in trailing) < enough:
        trailing = []
    lead = [place for place in range(len(shape)) if place not in (*places, *trailing)]
    weight, padding, stride = (
        kernel.transpose(order),
        tuple(windows.padding[each] for each in order),
        tuple(windows.stride[each] for each in order),
    )
    if trailing:
        weight, padding, stride = weight[..., None], (*padding, (0, 0)), (*stride, 1)
    turned = windows._replace(axes=tuple(places), padding=padding, stride=stride)
    return _Layout((*lead, *places, *trailing), len(lead), len(places), turned), weight


def _window_parameters(windows: Windows) -> dict[str, Any]:
    return {
        "stride": windows.stride,
        "padding": windows.padding,
        "padding_mode": windows.mode,
        "padding_value": windows.fill,
        "flip": windows.is_flipped,
    }


def correlate(
    x: Array, kernel: Array, windows: Windows, dtype: np.dtype[Any], out: Array | None = None
) -> Array:
    """The plain sums, in `out` if it can be seen as a batch of samples."""
    layout, weight = _lay_out(x.shape, kernel, windows)
    target = _target(layout, out)
    result = conv(
        layout.samples(x),
        weight[None, None],
        dtype=dtype,
        out=target,
        **_window_parameters(layout.windows),
    )
    if target is not None and out is not None:
        return out
    return layout.restored(result, x.shape)


def _target(layout: _Layout, out: Array | None) -> Array | None:
    """The samples of `out`, None where they would be a copy."""
    if out is None:
        return None
    samples = layout.samples(out)
    return samples if np.may_share_memory(samples, out) else None


def correlate_valid(
    x: Array,
    kernel: Array,
    windows: Windows,
    missing: Missing,
    dtype: np.dtype[Any],
    out: Array | None = None,
) -> Array:
    """The sums over valid cells, scaled up for the missing ones; in `out` where that can be.

    A mask has the shape of x. `dtype` is that of the sums: float32, float64 or their complex kin.
    """
    layout, weight = _lay_out(x.shape, kernel, windows)
    cells, bank, mask = layout.samples(x), weight[None, None], missing.mask
    missing = missing._replace(mask=None if mask is None else layout.samples(mask))
    specs = Spec("x", cells.shape, cells.dtype), Spec("weight", bank.shape, bank.dtype)
    bound = _bind(specs, layout.windows, dtype, current_settings(), _tuned.changes)
    target = None
    if out is not None and out.dtype == dtype and out.flags.aligned:
        others = (array for array in (x, kernel, mask) if array is not None)
        if not any(np.may_share_memory(out, array) for array in others):
            target = _target(layout, out)
    y = _resources.allocate(bound.problem.output_shape, dtype) if target is None else target
    if bound.problem.recipe.is_blank:
        _sum_clear(bound, bank, layout.windows, cells, missing, y)
    else:
        _sum_valid(bound, bank, layout.windows, cells, missing, y)
    return layout.restored(y, x.shape) if target is None or out is None else out


def _sum_clear(
    bound: Bound, weight: Array, windows: Windows, x: Array, missing: Missing, y: Array
) -> None:
    """Compute the outputs whose windows do not leave the array; the others are 0."""
    axes = cast("tuple[SlidingAxis, ...]", bound.problem.recipe.axes)
    y[...] = 0
    boxes = tuple(axis.clear_outputs for axis in axes)
    if not all(boxes):
        return
    if missing.mask is not None:
        missing = missing._replace(mask=clear_part(missing.mask, y, axes, boxes)[0])
    x, inner, axes = clear_part(x, y, axes, boxes)
    windows = windows._replace(mode="zeros", padding=((0, 0),) * len(axes))
    specs = Spec("x", x.shape, x.dtype), Spec("weight", weight.shape, weight.dtype)
    bound = _bind(specs, windows, y.dtype, current_settings(), _tuned.changes)
    _sum_valid(bound, weight, windows, x, missing, inner)


def _sum_valid(
    bound: Bound, weight: Array, windows: Windows, x: Array, missing: Missing, y: Array
) -> None:
    """Compute y in one pass where that can be, what is left of it in bands."""
    problem, rest = bound.problem, None
    if not weight.any():
        y[...] = 0
        y *= np.nan  # no cell counts, wherever it lies
        return
    if problem.macs >= LEAST_MACS:
        rest = sum_valid(problem, bound.plan, weight, x, missing, y)
    if rest is None:
        axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
        boxes = _boxes(axes, len(x), problem.dtype.itemsize)
    else:
        boxes = ((slice(box.sample, box.sample + 1), box.outputs) for box in rest)
    _sum_in_bands(bound, weight, windows, x, missing, y, boxes)


@lru_cache(maxsize=256)
def _bind(
    specs: tuple[Spec, ...],
    windows: Windows,
    dtype: np.dtype[Any],
    settings: Settings,
    tuned: int,
) -> Bound:
    """The problem of the plain sums; `tuned` counts the changes of what was measured."""
    record = REGISTRY["conv"]
    parameters = {**record.defaults, **_window_parameters(windows), "dtype": dtype}
    parameters.pop("out", None)
    return bind(record, {spec.name: spec for spec in specs}, parameters, settings)


class _Kernel(NamedTuple):
    """Weights and their magnitudes; how `conv` takes them, and without transforms."""

    weight: Array
    magnitudes: Array
    window: dict[str, Any]
    exact: str


def _sum_in_bands(
    bound: Bound,
    weight: Array,
    windows: Windows,
    x: Array,
    missing: Missing,
    y: Array,
    boxes: Iterable[tuple[slice, tuple[range, ...]]],
) -> None:
    """Compute boxes of y: each one's cells with their borders, which are valid, and its sums."""
    problem, plan = bound.problem, bound.plan
    axes, mask = cast("tuple[SlidingAxis, ...]", problem.recipe.axes), missing.mask
    real = np.zeros(0, problem.dtype).real.dtype
    window: dict[str, Any] = {
        "stride": tuple(axis.stride for axis in axes),
        "flip": windows.is_flipped,
    }
    exact = next(each.name for each in plan.candidates if each.name not in ("fft", "low_rank"))
    with np.errstate(all="ignore"):
        magnitudes, weight = magnitudes_of(weight, real), weight.astype(problem.dtype)
        taken = _Kernel(weight, magnitudes, window, exact)
        for samples, box in boxes:
            some = missing._replace(mask=None if mask is None else mask[samples])
            cells, valid, is_whole = _seen(problem, axes, x[samples], some, box)
            sums = conv(cells, weight, **window)
            if not is_whole:
                _scale(sums, cells, valid, taken)
            y[(samples, slice(None), *(slice(cut.start, cut.stop) for cut in box))] = sums


def _boxes(
    axes: tuple[SlidingAxis, ...], batch: int, itemsize: int
) -> Iterator[tuple[slice, tuple[range, ...]]]:
    """Ranges of samples and of outputs whose windows see a band of cells, or a few windows."""
    limit = max(BAND_BYTES, itemsize * prod(2 * axis.span for axis in axes))
    whole = itemsize * prod(max(axis.size, axis.span) for axis in axes)
    step = max(1, limit // whole)
    for first in range(0, batch, step):
        for box in output_boxes(axes, itemsize, limit):
            yield slice(first, first + step), box


def _seen(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    x: Array,
    missing: Missing,
    box: tuple[range, ...],
) -> tuple[Array, Array, bool]:
    """The cells that outputs see, ones where they are valid, and whether all are."""
    recipe, real = problem.recipe, np.zeros(0, problem.dtype).real.dtype
    cells, _ = converted_part(problem, axes, x, box)
    if missing.mask is None:
        valid = np.ones(cells.shape, real)
    else:
        of_mask = replace(problem, recipe=replace(recipe, fill=1), dtype=real, kept={})
        valid, _ = converted_part(of_mask, axes, missing.mask, box)
    is_constant_nan = missing.ignores_nan and recipe.fill != recipe.fill
    is_large = problem.macs >= LEAST_MACS and problem.dtype == real
    if is_large and not is_constant_nan and missing_compiler() is None:
        return cells, valid, split_cells(cells, valid, missing) == 0
    if missing.ignores_nan:
        looked_at = cells
        if is_constant_nan:  # what lies beyond the edge is valid
            plain = replace(problem, recipe=replace(recipe, fill=0), kept={})
            looked_at, _ = converted_part(plain, axes, x, box)
        valid[np.isnan(looked_at)] = 0
    cells[valid == 0] = 0
    return cells, valid, bool(valid.all())


def _scale(sums: Array, cells: Array, valid: Array, kernel: _Kernel) -> None:
    """Scale sums up by the share of the weights that the valid cells have.

    Where that is so small that the rounding of transforms would show, rows are summed once more,
    tap by tap; but not where no cell is valid at all, of which there are long ones.
    """
    whole, slack = limits_of(kernel.magnitudes)
    seen = conv(valid, kernel.magnitudes, **kernel.window)
    if kernel.magnitudes.size >= LEAST_TAPS and seen.min() < LEAST_SHARE * whole:
        is_empty = ~_has_valid(valid, kernel)
        sums[is_empty], seen[is_empty] = 0, 0
        is_small = (seen < LEAST_SHARE * whole) & ~is_empty
        step, span = kernel.window["stride"][0], kernel.weight.shape[2]
        rows = np.flatnonzero(is_small.any(axis=(0, 1, *range(3, seen.ndim))))
        for run in np.split(rows, np.flatnonzero(np.diff(rows) * step > span) + 1):
            if len(run):
                some = slice(int(run[0]), int(run[-1]) + 1)
                below = slice(some.start * step, (some.stop - 1) * step + span)
                again = {**kernel.window, "algorithm": kernel.exact}
                sums[:, :, some] = conv(cells[:, :, below], kernel.weight, **again)
                seen[:, :, some] = conv(valid[:, :, below], kernel.magnitudes, **again)
    if sums.size >= LEAST_MACS and sums.dtype == seen.dtype and missing_compiler() is None:
        scale_sums(sums, seen, (whole, slack))
    else:
        sums *= np.where(np.abs(seen - whole) <= slack, 1, whole / seen)


def _has_valid(valid: Array, kernel: _Kernel) -> Array:
    """Whether a window holds any valid cell, counted axis by axis."""
    found: Array = valid != 0
    for axis, size in enumerate(kernel.weight.shape[2:], 2):
        counts = np.cumsum(found, axis=axis, dtype=np.int64)
        counts = np.concatenate([np.zeros_like(counts.take([0], axis)), counts], axis)
        count, step = counts.shape[axis] - size, kernel.window["stride"][axis - 2]
        before: Any = (slice(None),) * axis
        first = counts[(*before, slice(0, count, step))]
        last = counts[(*before, slice(size, None, step))]
        found = last > first
    return found
