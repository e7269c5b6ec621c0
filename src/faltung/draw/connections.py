"""The matrix view: outputs are rows, inputs columns, and the row of the current output is lit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from faltung.draw.shapes import Shapes
from faltung.draw.sights import Sight, gathered
from faltung.draw.stack import Stack
from faltung.draw.subject import Subject
from faltung.explanation.indices import checked_index
from faltung.typing import Shape

__all__ = ["Connections"]

MOST_ROWS, MOST_COLUMNS = 48, 96
WIDEST, NARROWEST, MOST_WIDTH = 12.0, 5.0, 640.0


class Connections:
    """The entries of an operator's matrix for one sample, those around the first frame.

    Rows and columns are numbered as ``y.ravel()`` and ``x.ravel()`` of one sample are.
    """

    def __init__(self, subject: Subject, sights: Sequence[Sight]) -> None:
        self.subject = subject
        bound, case = subject.case.bound, subject.case
        self._is_batch = bound.layout.has_batch
        self._shape = bound.shape[self._is_batch :]
        self._input_shape = case.input_shape[self._is_batch :]
        sizes = prod(self._shape), prod(self._input_shape)
        first = self._rows(sights[0])[:1] or [0]
        columns = self._columns(sights[0]) or [0]
        rows = _around(sizes[0], first[0], MOST_ROWS)
        shown = _around(sizes[1], columns[0], MOST_COLUMNS)
        cell = min(max(MOST_WIDTH / len(shown), NARROWEST), WIDEST)
        cut = ""
        if (len(rows), len(shown)) != sizes:
            cut = (
                f"matrix {sizes[0]} × {sizes[1]} is too large to draw, at most {MOST_ROWS} × "
                f"{MOST_COLUMNS} are: here rows {rows.start} to {rows.stop - 1}, "
                f"columns {shown.start} to {shown.stop - 1}"
            )
        self.stack = Stack(((),), rows, shown, has_channel_rows=True, cell=cell, cut=cut)
        self.heading = f"matrix {sizes[0]} × {sizes[1]}: an output a row, an input cell a column"
        self.sample = sights[0].outputs[0][0]

    def base(self) -> Shapes:
        """The entries of all rows that are drawn."""
        entries: list[Shape] = []
        for row in self.stack.rows:
            index = self._index(row)
            entries += [(row, column) for column in self._columns(gathered(self.subject, [index]))]
        rows, columns = self.stack.rows, self.stack.columns
        whole = self.stack.box(
            "frame", (rows.start, columns.start), (rows.stop - 1, columns.stop - 1)
        )
        return (self.stack.cells("entry", entries), *([whole] if whole else []))

    def lit(self, sight: Sight) -> Shapes:
        """The rows of one frame."""
        columns = self.stack.columns
        shapes = []
        for index in sight.outputs:
            row = self._row(index)
            band = self.stack.box("band", (row, columns.start), (row, columns.stop - 1))
            shapes += [] if band is None else [band]
        entries = [
            (row, column)
            for row, part in zip(self._rows(sight), self._parts(sight), strict=True)
            for column in self._columns(part)
        ]
        return (*shapes, self.stack.cells("entry-lit", entries))

    def placed(self, stack: Stack) -> None:
        """Take the place that was found for the stack."""
        self.stack = replace(stack)

    def _parts(self, sight: Sight) -> list[Sight]:
        if len(sight.outputs) == 1:
            return [sight]
        return [gathered(self.subject, [index]) for index in sight.outputs]

    def _rows(self, sight: Sight) -> list[int]:
        return [self._row(index) for index in sight.outputs]

    def _row(self, index: Shape) -> int:
        own = self.subject.own_output(index)[self._is_batch :]
        return int(np.ravel_multi_index(own, self._shape))

    def _columns(self, sight: Sight) -> list[int]:
        own = (self.subject.own_input(index)[self._is_batch :] for index in sight.inputs)
        return [int(np.ravel_multi_index(index, self._input_shape)) for index in own]

    def _index(self, row: int) -> Shape:
        own = tuple(int(part) for part in np.unravel_index(row, self._shape))
        bound, problem = self.subject.case.bound, self.subject.problem
        whole = (self.sample, *own) if self._is_batch else own
        cells = problem.output_shape[2:] if problem.recipe.is_flat else None
        return checked_index(whole, bound.shape, bound.layout, cells)[1]


def _around(size: int, first: int, most: int) -> range:
    if size <= most:
        return range(size)
    start = max(min(first - most // 2, size - most), 0)
    return range(start, start + most)
