"""The plan of Fourier transforms: sums under large kernels, block by block (overlap-save).

Its error is bounded by the size of a block's values, not element by element: the direct plans have
the better bound and, for kernels of some hundred taps and less, are faster. What is not finite
would spread over its block, and where a sum may overflow the direct one may do so in its midst:
such blocks are declined, and summed by another plan.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from faltung.compiled import _jit, fourier, fourier_cut
from faltung.compiled.task import Axis, DirectTask
from faltung.geometry.stencil import SlidingAxis
from faltung.plans import _cost
from faltung.plans._compiler import missing_compiler
from faltung.plans._conversion import sliding_boxes
from faltung.plans._converting import CONVERTED_BYTES
from faltung.plans._problem import Operands, Problem
from faltung.plans._rest import RestBox
from faltung.plans._rules import WeightedSum
from faltung.plans._windows import MOST_BORDER, after, clear_part, kernel_axis
from faltung.typing import Array, Shape

__all__ = [
    "LEAST_SUMS",
    "cost",
    "holds",
    "name",
    "prepare",
    "run",
    "seconds",
    "supports",
    "task_of",
    "transform_dtype",
    "workspace",
]

name = "fft"
LEAST_SUMS = 2**20
"""Multiply-adds below which transforms never are the quicker way."""
Axes = tuple[SlidingAxis, ...]


def supports(problem: Problem) -> str | None:
    """Why the plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, WeightedSum):
        return f"it sums, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, SlidingAxis)]
    if len(axes) != len(recipe.axes) or len(axes) > 3:
        return "it knows windows that slide on 1 to 3 axes, no others"
    if problem.compute_dtype.kind not in "fc":
        return f"sums of {problem.dtype} are exact, transforms round"
    if recipe.channels == 0 or recipe.filters == 0 or 0 in problem.output_shape:
        return "there is nothing to sum"
    if problem.settings.reproducible:
        return "what it computes depends on the block that an output lies in"
    if problem.macs < LEAST_SUMS and recipe.algorithm != name:
        return f"{problem.macs:,} multiply-adds are too few for transforms"
    if max(max(axis.before, after(axis)) for axis in axes) > MOST_BORDER << 4:
        return f"a border is longer than {MOST_BORDER << 4:,} cells"
    if reason := missing_compiler():
        return reason
    if fourier_cut.cut(task_of(problem), transform_dtype(problem)) is None:
        return "no block of its workspace holds the kernel"
    return None


def holds(kernel: Shape, dtype: np.dtype[Any]) -> bool:
    """Whether a kernel of one channel has room in a block, whatever it slides over."""
    if dtype.kind not in "fc" or not 1 <= len(kernel) <= 3 or missing_compiler():
        return False
    dense = [Axis(2 * size, size + 1, size) for size in kernel]
    lead = (Axis(1, 1, 1),) * (3 - len(kernel))
    task = DirectTask(1, 1, 1, 1, cast("Any", (*lead, *dense)), "complex128")
    return fourier_cut.cut(task, "float64") is not None


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = fourier_cut.workspace_bytes(task_of(problem), transform_dtype(problem))
    return own if _is_direct(problem) else own + 4 * CONVERTED_BYTES


def cost(problem: Problem) -> _cost.Cost:
    """Operations of the transforms, products and copies of all blocks."""
    dtype = transform_dtype(problem)
    found = fourier_cut.cut(task_of(problem), dtype)
    assert found is not None, problem
    width = _cost.WIDTHS[dtype] / _cost.WIDTHS["float64"]
    return _cost.Cost(found.work * width, _cost.moved_bytes(problem))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> fourier.Spectra | None:
    """Bring the weights into the order of the taps; None where a spectrum would not be finite."""
    if not _jit.available():
        return None
    rule, dtype = cast("WeightedSum", problem.recipe.rule), problem.compute_dtype
    with np.errstate(all="ignore"):
        cast_weight = rule.coefficients(cast("Array", operands.weight)).astype(problem.dtype)
        weight = np.ascontiguousarray(cast_weight, dtype)
        bias = operands.bias
        if bias is not None:
            bias = bias.astype(problem.dtype).astype(dtype)
    if not np.isfinite(weight).all():
        return None
    return fourier.Spectra(weight, bias)


def run(problem: Problem, x: Array, spectra: fourier.Spectra, y: Array) -> list[RestBox] | None:
    """Compute y from x, both in canonical order; tells which boxes of y are still to be done."""
    axes = cast("Axes", problem.recipe.axes)
    starts = (0,) * len(axes)
    if problem.recipe.is_blank:
        y[...] = 0
        clear = tuple(axis.clear_outputs for axis in axes)
        if not all(clear):
            return None
        starts = tuple(box.start for box in clear)
        x, y, axes = clear_part(x, y, axes, clear)
    boxes: list[RestBox] = []
    if x.dtype == problem.compute_dtype == problem.dtype and x.flags.aligned:
        boxes = _run_box(problem, axes, x, spectra, y)
    else:
        cell_bytes = x.shape[1] * problem.compute_dtype.itemsize
        for part in sliding_boxes(axes, cell_bytes, CONVERTED_BYTES):
            firsts = tuple(some.start for some in part.outputs)
            where: Any = (slice(None), *part.outputs)
            for sample in range(len(x)):
                found = _run_converted(problem, part.axes, part.seen(x[sample : sample + 1]),
                                       spectra, y[sample][where])  # fmt: skip
                boxes += [box.moved(sample, firsts) for box in found]
    return [box.moved(0, starts) for box in boxes]


def _run_converted(
    problem: Problem, axes: Axes, x: Array, spectra: fourier.Spectra, y: Array
) -> list[RestBox]:
    """One sample of another dtype than that of the sums."""
    dtype = problem.compute_dtype
    with np.errstate(all="ignore"):
        cells = np.ascontiguousarray(x.astype(problem.dtype, copy=False), dtype)
        sums = np.empty((1, *y.shape), dtype)
        boxes = _run_box(problem, axes, cells, spectra, sums)
        y[...] = sums[0]
    return boxes


def _run_box(
    problem: Problem, axes: Axes, x: Array, spectra: fourier.Spectra, y: Array
) -> list[RestBox]:
    if axes is problem.recipe.axes and len(x) == problem.recipe.batch:
        task = task_of(problem)
    else:
        task = _make_task(problem, axes, len(x))
    dtype = transform_dtype(problem)
    if fourier_cut.cut(task, dtype) is None:  # a box so small that its borders are all there is
        dtype = "float64"
    declined = fourier.run(task, x, spectra, y, dtype)
    return [RestBox(box.sample, box.outputs[3 - len(axes) :]) for box in declined]


def transform_dtype(problem: Problem) -> str:
    """Less than double precision only where products of less than float32 were asked for."""
    is_low = problem.dtype.name == "float32" and problem.settings.precision != "highest"
    return "float32" if is_low else "float64"


def _is_direct(problem: Problem) -> bool:
    return problem.input_dtype == problem.dtype == problem.compute_dtype


def task_of(problem: Problem) -> DirectTask:
    """The convolution that a problem is, found out once."""
    task = problem.kept.get(name)
    if task is None:
        axes = cast("Axes", problem.recipe.axes)
        task = problem.kept[name] = _make_task(problem, axes, problem.recipe.batch)
    return cast("DirectTask", task)


def _make_task(problem: Problem, axes: Axes, batch: int) -> DirectTask:
    recipe = problem.recipe
    lead = (Axis(1, 1, 1),) * (3 - len(axes))
    return DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters,
        axes=cast("Any", (*lead, *map(kernel_axis, axes))),
        dtype=problem.compute_dtype.name,
        fill=recipe.fill,
        is_relu=recipe.activation == "relu",
    )
