"""Coverage: how many outputs a cell takes part in, and how many cells an output is made of.

A cell and an output are connected if they are on every axis, so the counts of several axes multiply
and a plane costs no more than its rim. Only a structure that leaves cells out does not factor: its
taps in use are summed, one contraction an axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from faltung._case import Case
from faltung.errors import OptionError, shown
from faltung.geometry.stencil import StencilAxis
from faltung.plans import _resources
from faltung.plans._entries import axis_rows, is_by_tap, shown_outputs
from faltung.plans._problem import Problem
from faltung.plans._rules import Morphology, Overlap, Placement
from faltung.typing import Array, IndexArray, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["connections", "coverage"]

ENTRIES_AT_ONCE = 2**17


def coverage(case: Case, of: object) -> IndexArray:
    """The counts of the cells of the input or of the output; see `faltung.faces.Faces.coverage`."""
    if not (isinstance(of, str) and of in ("input", "output")):
        raise OptionError(f"of is {shown(of)}, which is not known", "Use 'input' or 'output'")
    problem = case.bound.problem
    place = ("input", "output").index(of)
    shape = (problem.input_shape, problem.output_shape)[place][2:]
    _resources.require_array(shape, np.dtype(np.int64), "the coverage")
    rule = problem.recipe.rule
    if isinstance(rule, Placement):
        counts = _of_placement(problem, cast("Array", case.operands.weight), place)
    elif isinstance(rule, Morphology):
        structure = rule.in_tap_order(cast("Array", case.operands.weight))
        counts = _of_taps(problem, structure if structure.dtype.kind == "b" else None, place)
    else:
        counts = _of_axes(problem, place)
    own = case.input_shape if of == "input" else case.bound.shape
    return counts.reshape(_spatial(case, own))


def _spatial(case: Case, own: Shape) -> Shape:
    """The spatial part of a shape in its own layout, where several axes may be one."""
    layout = case.bound.layout
    start = layout.has_batch + (not layout.is_channels_last)
    return own[start : len(own) - layout.is_channels_last]


def _of_axes(problem: Problem, place: int) -> IndexArray:
    counts: Any = np.ones((), np.int64)
    for axis, shown_ones in zip(problem.recipe.axes, shown_outputs(problem), strict=True):
        both = _axis_counts(axis, shown_ones, is_each_tap=is_by_tap(problem))
        counts = np.multiply.outer(counts, both[place])
    return cast("IndexArray", counts)


def _axis_counts(
    axis: StencilAxis, outputs: range, *, is_each_tap: bool
) -> tuple[IndexArray, IndexArray]:
    """Connected outputs of each cell of an axis, and connected cells of each output."""
    cells, own = np.zeros(axis.size, np.int64), np.zeros(axis.outputs, np.int64)
    step = max(ENTRIES_AT_ONCE // axis.taps, 1)
    for start in outputs[::step]:
        some = range(start, min(start + step, outputs.stop))
        rows = axis_rows(axis, some)
        is_counted = rows.cells >= 0
        if not is_each_tap:
            is_counted &= rows.repeats == 0
        cells += np.bincount(rows.cells[is_counted], minlength=axis.size)
        own[some.start : some.stop] = np.count_nonzero(is_counted, axis=1)
    return cells, own


def connections(case: Case) -> tuple[csr_array, ...]:
    """Which outputs and cells of each axis are connected: matrices of ones, (outputs, cells)."""
    from scipy.sparse import csr_array

    problem = case.bound.problem
    rule, is_flat = problem.recipe.rule, problem.recipe.is_flat
    structure = case.operands.weight if isinstance(rule, Morphology) else None
    has_holes = structure is not None and structure.dtype.kind == "b" and not structure.all()
    if is_flat or has_holes or isinstance(rule, Placement | Overlap):
        raise OptionError(
            f"{case.name} connects cells that its axes alone do not tell",
            "Ask the operators one by one for their coverage",
        )
    joined = []
    for axis, shown_ones in zip(problem.recipe.axes, shown_outputs(problem), strict=True):
        cells = axis.index(shown_ones.start, shown_ones.stop)
        outputs, columns = np.nonzero(cells >= 0)
        where = outputs + shown_ones.start, cells[outputs, columns]
        ones = np.ones(len(outputs), np.int64)
        matrix = csr_array((ones, where), shape=(axis.outputs, axis.size))
        matrix.sum_duplicates()
        matrix.data[:] = 1
        joined.append(matrix)
    return tuple(joined)


def _of_taps(problem: Problem, structure: Array | None, place: int) -> IndexArray:
    """Where a structure leaves cells out: the sum over its taps of what each alone connects."""
    if structure is None or structure.all():
        return _of_axes(problem, place)
    counts = structure.astype(np.int64)
    for axis in problem.recipe.axes:
        alone = np.zeros((axis.taps, axis.outputs if place else axis.size), np.int64)
        step = max(ENTRIES_AT_ONCE // axis.taps, 1)
        for start in range(0, axis.outputs, step):
            cells = axis.index(start, min(start + step, axis.outputs))
            outputs, taps = np.nonzero(cells >= 0)
            where = outputs + start if place else cells[outputs, taps]
            np.add.at(alone, (taps, where), 1)
        counts = np.tensordot(counts, alone, axes=((0,), (0,)))
    return counts


def _of_placement(problem: Problem, positions: Array, place: int) -> IndexArray:
    """Where the stencil is data: summed over samples and channels, of which each has its own."""
    samples, channels, *cells = problem.input_shape
    planes = positions.reshape(samples * channels, -1)
    counts = np.zeros(problem.output_shape[2:] if place else tuple(cells), np.int64)
    for plane in planes:
        # Counted from the end, the first of equal positions is the last, the one that stays.
        targets, last = np.unique(plane[::-1], return_index=True)
        counts.flat[targets if place else plane.size - 1 - last] += 1
    return counts
