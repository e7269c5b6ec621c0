"""The kernel beside the input: its weights, as shades and as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from faltung.draw.numbers import short
from faltung.draw.shapes import Cells, Shapes
from faltung.draw.stack import Stack, stacked
from faltung.typing import Array, Shape

__all__ = ["KernelPanel", "kernel_panel"]

SHADES = 8
PALEST = 0.25


@dataclass(frozen=True)
class KernelPanel:
    """A stack for kernels of one shape; `has_numbers` if all of them fit into the cells."""

    stack: Stack
    has_numbers: bool
    largest: float

    def shapes(self, kernel: Array, taps: frozenset[Shape], *, marks_first: Shape | None) -> Shapes:
        """The kernel (channels, *taps), with those taps that are in use.

        `marks_first` is a tap that gets a frame of its own: by it one sees a kernel turn round.
        """
        by_shade: dict[float, list[Shape]] = {}
        unused, labels = [], []
        for place in self.stack.places():
            value = kernel[place]
            is_used = place[1:] in taps
            if not is_used:
                unused.append(place)
                role = "number-soft"
            else:
                by_shade.setdefault(self._shade(value), []).append(place)
                role = "number-kernel"
            if self.has_numbers and (is_used or not np.isnan(value)):
                labels.append(self.stack.label(role, place, short(value)))
        cells = [self.stack.cells("unused", unused)] if unused else []
        for shade, places in sorted(by_shade.items()):
            cells.append(Cells(*self.stack.cells("kernel", places)[:4], shade))
        if marks_first is not None:
            firsts = [place for place in self.stack.places() if place[1:] == marks_first]
            cells.append(self.stack.cells("tap", firsts))
        return (*cells, *(label for label in labels if label is not None))

    def _shade(self, value: Any) -> float:
        """By size, in steps; full where there are no numbers to tell apart."""
        if not self.largest or not np.isfinite(value):
            return 1.0
        step = round(abs(value) / self.largest * SHADES) / SHADES
        return PALEST + (1 - PALEST) * float(step)


def kernel_panel(kernels: list[Array], *, has_numbers: bool) -> KernelPanel:
    """The panel for kernels of one shape."""
    first = kernels[0]
    focus = (0,) * first.ndim
    stack = stacked(len(first), [range(size) for size in first.shape[1:]], focus, "kernel")
    distinct = {id(kernel): kernel for kernel in kernels}.values()
    numbers = np.concatenate([kernel.ravel() for kernel in distinct])
    real = np.abs(numbers[np.isfinite(numbers)])
    largest = float(real.max(initial=0)) if has_numbers else 0.0
    fitted = None
    if has_numbers:
        shown = [short(number) for number in np.unique(numbers) if not np.isnan(number)]
        fitted = stack.fitted(max(map(len, shown), default=1))
    return KernelPanel(replace(fitted or stack), fitted is not None, largest)
