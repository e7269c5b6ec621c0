"""OpenCV: pictures of one channel, colours side by side, and what it has for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender, Peer

__all__ = ["PEER", "OpenCV"]


class OpenCV(Peer):
    """Every call writes into the same memory again; separable kernels go to the separable call."""

    name, title, package = "opencv", "OpenCV", "opencv-python-headless"

    def __init__(self, threads: int) -> None:
        import cv2

        super().__init__(threads)
        cv2.setNumThreads(threads)
        self._cv: Any = cv2

    def filter_array(self, problem: Problem) -> Contender | str:
        """filter2D or sepFilter2D, zeros outside."""
        cv, x, kernel = self._cv, problem.x, problem.weight
        if x.ndim != 2:
            return "has pictures only"
        target, border = np.empty_like(x), cv.BORDER_CONSTANT
        if lines := problem.lines:
            rows, columns = lines
            return Contender(
                lambda: cv.sepFilter2D(x, -1, columns, rows, target, borderType=border)
            )
        return Contender(lambda: cv.filter2D(x, -1, kernel, target, borderType=border))

    def filter_valid(self, problem: Problem) -> Contender | str:
        """filter2D of the cells and of the holes, and a division."""
        cv, x, kernel = self._cv, problem.holed, problem.weight
        if x.ndim != 2:
            return "has pictures only"
        sizes, border = np.abs(kernel), cv.BORDER_CONSTANT
        whole = float(sizes.sum())

        def call() -> Any:
            holes = np.isnan(x)
            cells = np.where(holes, np.float32(0), x)
            sums = cv.filter2D(cells, -1, kernel, borderType=border)
            lost = cv.filter2D(holes.astype(x.dtype), -1, sizes, borderType=border)
            return sums * (whole / (whole - lost))

        return Contender(call)

    def filter_image(self, problem: Problem) -> Contender:
        """filter2D or GaussianBlur, the edge not repeated."""
        cv, x, kernel = self._cv, problem.x, problem.weight
        target, border = np.empty_like(x), cv.BORDER_REFLECT_101
        if problem.lines:
            size = kernel.shape[::-1]
            sigmas = kernel.shape[1] / 6, kernel.shape[0] / 6
            return Contender(lambda: cv.GaussianBlur(x, size, *sigmas[:1], target, sigmas[1]))
        return Contender(lambda: cv.filter2D(x, -1, kernel, target, borderType=border))

    def resize(self, problem: Problem) -> Contender | str:
        """Resize of colours side by side."""
        cv, options = self._cv, problem.options
        if problem.x.shape[0] != 1 or problem.x.shape[1] > 4:
            return "has pictures of up to four channels only"
        x = np.ascontiguousarray(np.moveaxis(problem.x[0], 0, -1))
        modes = {"nearest": cv.INTER_NEAREST, "linear": cv.INTER_LINEAR}
        size, mode = options["size"][::-1], modes[options["mode"]]
        return Contender(
            lambda: cv.resize(x, size, interpolation=mode),
            lambda result: np.moveaxis(result, -1, 0)[None],
        )

    def dilate(self, problem: Problem) -> Contender:
        """Dilate with a rectangle."""
        cv, x, target = self._cv, problem.x, np.empty_like(problem.x)
        structure = np.ones(problem.options["size"], np.uint8)
        return Contender(lambda: cv.dilate(x, structure, target))

    def median(self, problem: Problem) -> Contender:
        """medianBlur, the edge repeated."""
        cv, x, target = self._cv, problem.x, np.empty_like(problem.x)
        size = problem.options["size"][0]
        return Contender(lambda: cv.medianBlur(x, size, target))

    def match_template(self, problem: Problem) -> Contender:
        """MatchTemplate with coefficients of correlation."""
        cv, x, patch = self._cv, problem.x, problem.weight
        return Contender(lambda: cv.matchTemplate(x, patch, cv.TM_CCOEFF_NORMED))


PEER = OpenCV
