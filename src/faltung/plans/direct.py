"""The direct plan: compiled sums over taps, for weighted sums on one to three axes.

Each output is summed in one fixed order that depends on channels and kernel alone, so that its
bits do not depend on batch, position, image size or threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, cast

import numpy as np

from faltung.compiled import _jit, direct
from faltung.geometry.border import source_index
from faltung.geometry.stencil import SlidingAxis
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import after, kernel_axis
from faltung.typing import Array

__all__ = [
    "name",
    "packing_shortcut",
    "prepare",
    "run",
    "shortcut",
    "supports",
    "workspace",
]

name = "direct"
MOST_BORDER = 2**16
"""Cells of a border that are kept in a table."""
MOST_TAPS = 2**12
"""Taps of one axis; longer kernels belong to other algorithms."""
CONVERTED_BYTES = 3 * 2**20
"""How much of an input of another dtype is converted at once, in the dtype of the result."""


def supports(problem: Problem) -> str | None:
    """Why the direct plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, WeightedSum):
        return f"it sums, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, SlidingAxis)]
    if len(axes) != len(recipe.axes):
        return "it knows windows that slide, no others"
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    if problem.macs < LEAST_MACS and not is_wanted:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if recipe.channels == 0 or recipe.filters == 0:
        return "there are no channels to sum over"
    if max(axis.taps for axis in axes) > MOST_TAPS:
        return f"a kernel is longer than {MOST_TAPS:,} taps"
    most = MOST_BORDER << 8 if problem.settings.reproducible else MOST_BORDER
    if max(max(axis.before, after(axis)) for axis in axes) > most:
        return f"a border is longer than {most:,} cells"
    if reason := missing_compiler():
        return reason
    return direct.facts(_task_of(problem)).refusal or None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = direct.facts(_task_of(problem)).workspace_bytes
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def prepare(problem: Problem, operands: Operands) -> direct.PackedWeights | None:
    """Pack the weights; None where their values have to go another way."""
    if not _jit.available():
        return None
    rule = cast("WeightedSum", problem.recipe.rule)
    weight = np.ascontiguousarray(rule.coefficients(cast("Array", operands.weight)), problem.dtype)
    bias = operands.bias
    if bias is not None:
        bias = np.ascontiguousarray(bias, problem.dtype)
    packed = direct.pack(weight, _task_of(problem), bias)
    # On staged padding a weight that is not finite would make a NaN of a cell that is not there.
    return packed if packed.is_finite else None


def shortcut(
    problem: Problem, x: Array, y: Array, packed: direct.PackedWeights
) -> Callable[[Array, Array], bool] | None:
    """What computes y from x for arrays of these strides; it tells whether it could."""
    if problem.recipe.is_blank:
        return None
    run_kind = direct.runner(_task_of(problem), x, y, packed.row, packed.has_bias)
    weights, biases = packed.weights, packed.biases
    return lambda x, y: not run_kind(x, y, weights, biases)


def packing_shortcut(
    problem: Problem, x: Array, y: Array, operands: Operands
) -> Callable[[Array, Array, Array, Array | None], bool] | None:
    """The same for weights and biases that are packed on the way."""
    weight, bias = cast("Array", operands.weight), operands.bias
    held = [weight] if bias is None else [weight, bias]
    is_as_packed = all(
        array.dtype == problem.dtype and array.flags.c_contiguous and array.flags.aligned
        for array in held
    )
    is_in_order = cast("WeightedSum", problem.recipe.rule).coefficients(weight) is weight
    has_own_sums = problem.dtype.name in ("float32", "float64")
    if problem.recipe.is_blank or not (is_as_packed and is_in_order and has_own_sums):
        return None
    run_kind = direct.packing_runner(_task_of(problem), x, y, bias is not None)
    return lambda x, y, weight, bias: not run_kind(x, y, weight, bias)


def run(problem: Problem, x: Array, packed: direct.PackedWeights, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    if problem.recipe.is_blank:
        y[...] = 0
        boxes = tuple(axis.clear_outputs for axis in axes)
        if not all(boxes):
            return
        x, y, axes = _clear_part(x, y, axes, boxes)
    if x.dtype == problem.dtype and x.flags.aligned:
        _run_box(problem, axes, x, packed, y)
    else:
        _run_converted(problem, axes, x, packed, y)


def _clear_part(
    x: Array, y: Array, axes: tuple[SlidingAxis, ...], boxes: tuple[range, ...]
) -> tuple[Array, Array, tuple[SlidingAxis, ...]]:
    """Views of the outputs whose windows lie inside, and of the cells they see."""
    cells, inner = [], []
    for axis, box in zip(axes, boxes, strict=True):
        first = box.start * axis.stride - axis.before
        size = (len(box) - 1) * axis.stride + axis.span
        cells.append(slice(first, first + size))
        inner.append(replace(axis, size=size, outputs=len(box), before=0))
    outputs = tuple(slice(box.start, box.stop) for box in boxes)
    every = (slice(None), slice(None))
    return x[(*every, *cells)], y[(*every, *outputs)], tuple(inner)


def _run_box(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    x: Array,
    packed: direct.PackedWeights,
    y: Array,
) -> None:
    if axes is problem.recipe.axes and len(x) == problem.recipe.batch:
        task = _task_of(problem)
    else:
        task = _make_task(problem, axes, len(x))
    direct.run(task, x, packed, y)


def _run_converted(
    problem: Problem,
    axes: tuple[SlidingAxis, ...],
    x: Array,
    packed: direct.PackedWeights,
    y: Array,
) -> None:
    """Convert a box of the input at a time, borders included, and run on that."""
    at_once = _converted_outputs(axes, x.shape[1] * problem.dtype.itemsize)
    cuts = [
        [range(start, min(start + step, axis.outputs)) for start in range(0, axis.outputs, step)]
        for axis, step in zip(axes, at_once, strict=True)
    ]
    for sample, box in product(range(len(x)), product(*cuts)):
        samples = slice(sample, sample + 1)
        part, inner = _converted_part(problem, axes, x[samples], box)
        outputs = (samples, slice(None), *(slice(cut.start, cut.stop) for cut in box))
        _run_box(problem, inner, part, packed, y[outputs])


def _converted_outputs(axes: tuple[SlidingAxis, ...], cell_bytes: int) -> list[int]:
    """How many outputs of each axis are done at once: their windows stay under the limit."""
    counts = [axis.outputs for axis in axes]

    def reaches() -> list[int]:
        pairs = zip(axes, counts, strict=True)
        return [(count - 1) * axis.stride + axis.span for axis, count in pairs]

    while prod(reaches()) * cell_bytes > CONVERTED_BYTES and max(counts) > 1:
        longest = max(range(len(axes)), key=lambda place: (counts[place] > 1, reaches()[place]))
        counts[longest] = -(-counts[longest] // 2)
    return counts


def _converted_part(
    problem: Problem, axes: tuple[SlidingAxis, ...], x: Array, box: tuple[range, ...]
) -> tuple[Array, tuple[SlidingAxis, ...]]:
    """The cells that a box of outputs sees, padding filled in, and its axes without borders."""
    sources, inner = [], []
    for axis, cut in zip(axes, box, strict=True):
        first = cut.start * axis.stride - axis.before
        reach = (len(cut) - 1) * axis.stride + axis.span
        sources.append(source_index(axis.mode, np.arange(first, first + reach), axis.size))
        inner.append(replace(axis, size=reach, outputs=len(cut), before=0))
    is_whole = all((np.diff(source) == 1).all() and source[0] >= 0 for source in sources)
    if is_whole:
        where: Any = (..., *(slice(source[0], source[-1] + 1) for source in sources))
    else:
        where = (slice(None), slice(None), *np.ix_(*(np.maximum(s, 0) for s in sources)))
    with np.errstate(all="ignore"):
        if x.size == 0:  # an axis without cells: all that is seen is padding
            shape = (*x.shape[:2], *map(len, sources))
            return np.full(shape, problem.recipe.fill, problem.dtype), tuple(inner)
        part = x[where].astype(problem.dtype)
    for place, source in enumerate(sources):
        outside: Any = (slice(None),) * (2 + place) + (source < 0,)
        part[outside] = problem.recipe.fill
    return part, tuple(inner)


def _task_of(problem: Problem) -> direct.DirectTask:
    task = problem.kept.get(name)
    if task is None:
        axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
        task = problem.kept[name] = _make_task(problem, axes, problem.recipe.batch)
    return cast("direct.DirectTask", task)


def _make_task(problem: Problem, axes: tuple[SlidingAxis, ...], batch: int) -> direct.DirectTask:
    recipe = problem.recipe
    lead = (direct.Axis(1, 1, 1),) * (3 - len(axes))
    return direct.DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters,
        axes=cast("Any", (*lead, *map(kernel_axis, axes))),
        dtype=problem.dtype.name,
        fill=recipe.fill,
        is_relu=recipe.activation == "relu",
    )
