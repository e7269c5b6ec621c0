"""The field of kernels: where every place has a kernel of its own, all of them at once."""

from __future__ import annotations

from math import prod
from typing import cast

import numpy as np

from faltung.draw.shapes import Cells, Shapes
from faltung.draw.sights import Sight
from faltung.draw.stack import Stack
from faltung.draw.subject import Subject
from faltung.plans._entries import kernel_shape
from faltung.plans._rules import PositionSum
from faltung.typing import Array, Shape

__all__ = ["KernelField"]

MOST_SQUARES = 2500
CELL = 7.0
SHADES = 6


class KernelField:
    """Kernels laid out as the outputs are, one group of channels: the pattern that they share.

    Of one spatial axis the taps go down; of two, each place shows its kernel as it is.
    """

    def __init__(self, weight: Array, kernel: Shape, outputs: Shape, group: int) -> None:
        rows, columns = kernel if len(kernel) == 2 else (*kernel, 1)
        places = outputs if len(outputs) == 2 else (1, *outputs)
        self._kernel, self._places = (rows, columns), places
        # Kernels keep a distance of one square.
        shape = range(places[0] * (rows + 1) - 1), range(places[1] * (columns + 1) - 1)
        self.stack = Stack(((),), *shape, has_channel_rows=True, cell=CELL)
        self._weight = weight.reshape(rows, columns, *places)
        self.heading = f"all kernels, place by place (group {group})"

    @classmethod
    def of(cls, subject: Subject, sight: Sight) -> KernelField | None:
        """The field of an operator, if it has one that is small enough."""
        rule, axes = subject.rule, subject.problem.recipe.axes
        if not isinstance(rule, PositionSum) or not rule.is_shared or len(axes) > 2:
            return None
        weight = cast("Array", subject.case.operands.weight)
        kernel, outputs = kernel_shape(axes), subject.problem.output_shape[2:]
        if prod(kernel) * prod(outputs) > MOST_SQUARES or not subject.has_weights:
            return None
        sample, channel = sight.outputs[0][:2]
        group = channel // max(subject.problem.recipe.channels, 1)
        own = weight[sample] if weight.ndim > len(axes) + 2 else weight
        return cls(own[group], kernel, outputs, group)

    def placed(self, stack: Stack) -> None:
        """Take the place that was found for the stack."""
        self.stack = stack

    def base(self) -> Shapes:
        """Every weight as a square, darker where it is larger."""
        sizes = np.abs(np.nan_to_num(self._weight.astype(complex)))
        largest = float(sizes.max(initial=0)) or 1.0
        steps = np.rint(sizes / largest * SHADES).astype(int)
        by_step: dict[int, list[Shape]] = {}
        for (row, column, down, right), step in np.ndenumerate(steps):
            place = down * (self._kernel[0] + 1) + row, right * (self._kernel[1] + 1) + column
            by_step.setdefault(int(step), []).append(place)
        return tuple(
            Cells(*self.stack.cells("kernel", places)[:4], 0.15 + 0.85 * step / SHADES)
            for step, places in sorted(by_step.items())
        )

    def lit(self, sight: Sight) -> Shapes:
        """An outline around the kernel of one output."""
        place = sight.outputs[0][2:]
        row, column = place if len(place) == 2 else (0, *place)
        first = row * (self._kernel[0] + 1), column * (self._kernel[1] + 1)
        last = first[0] + self._kernel[0] - 1, first[1] + self._kernel[1] - 1
        box = self.stack.box("window", first, last)
        return () if box is None else (box,)
