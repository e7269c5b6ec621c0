"""scipy.ndimage: plain loops over arrays of any rank, on one thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender, Peer

__all__ = ["PEER", "NDImage"]


class NDImage(Peer):
    """Functions of `scipy.ndimage`; separable kernels are one pass an axis."""

    name, title, package = "scipy.ndimage", "scipy.ndimage", "scipy"
    most_macs: ClassVar[Mapping[str, float]] = {"filter_array": 3.5e8, "filter_valid": 2e8}

    def __init__(self, threads: int) -> None:
        from scipy import ndimage

        super().__init__(threads)
        self._ndimage: Any = ndimage

    def build(self, problem: Problem) -> Contender | str:
        """The contender; one pass an axis is never too long."""
        if problem.case.operation == "filter_array" and problem.lines:
            return self._separable(problem)
        return super().build(problem)

    def _separable(self, problem: Problem) -> Contender:
        ndimage, x, lines = self._ndimage, problem.x, problem.lines
        target = np.empty_like(x)

        def call() -> Any:
            source = x
            for axis, line in enumerate(lines):
                ndimage.correlate1d(source, line, axis, target, mode="constant")
                source = target
            return target

        return Contender(call)

    def filter_array(self, problem: Problem) -> Contender:
        """Correlate with zeros outside."""
        ndimage, x, kernel, target = (
            self._ndimage,
            problem.x,
            problem.weight,
            np.empty_like(problem.x),
        )
        return Contender(lambda: ndimage.correlate(x, kernel, target, mode="constant"))

    def filter_valid(self, problem: Problem) -> Contender:
        """Two passes, of cells and of ones where they are valid, and a division."""
        ndimage, x, kernel = self._ndimage, problem.holed, problem.weight
        sizes = np.abs(kernel)

        def call() -> Any:
            valid = ~np.isnan(x)
            cells = np.where(valid, x, 0)
            sums = ndimage.correlate(cells, kernel, mode="constant")
            seen = ndimage.correlate(valid.astype(x.dtype), sizes, mode="constant", cval=1)
            return sums * (sizes.sum() / seen)

        return Contender(call)

    def dilate(self, problem: Problem) -> Contender:
        """maximum_filter; cells outside are lower than all others."""
        ndimage, x, size = self._ndimage, problem.x, problem.options["size"]
        lowest = 0 if x.dtype == np.uint8 else -np.inf
        target = np.empty_like(x)
        return Contender(
            lambda: ndimage.maximum_filter(x, size, output=target, mode="constant", cval=lowest)
        )

    def median(self, problem: Problem) -> Contender:
        """median_filter, the edge repeated."""
        ndimage, x, size = self._ndimage, problem.x, problem.options["size"]
        target = np.empty_like(x)
        return Contender(lambda: ndimage.median_filter(x, size, output=target, mode="nearest"))


PEER = NDImage
