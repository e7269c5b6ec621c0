"""scipy.signal: sums of one channel, by transform where they are long."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender, Peer

__all__ = ["PEER", "Signal"]


class Signal(Peer):
    """scipy.signal; its transforms share the work among threads, its loops do not."""

    name, title, package = "scipy", "SciPy", "scipy"

    def __init__(self, threads: int) -> None:
        from scipy import fft, signal

        super().__init__(threads)
        self._signal, self._fft = signal, fft

    def _overlap_add(self, x: Any, kernel: Any) -> Contender:
        def call() -> Any:
            with self._fft.set_workers(self.threads):
                return self._signal.oaconvolve(x, kernel, "same")

        return Contender(call)

    def conv(self, problem: Problem) -> Contender | str:
        """correlate2d."""
        is_plain = not any(map(any, problem.padding)) and {*problem.stride, *problem.dilation} == {
            1
        }
        if (
            problem.rank != 2
            or not is_plain
            or {1} != {problem.x.shape[0], *problem.weight.shape[:2]}
        ):
            return "has sums of one channel to one only, without padding here"
        run, x, kernel = self._signal.correlate2d, problem.x[0, 0], problem.weight[0, 0]
        return Contender(lambda: run(x, kernel, "valid"), lambda result: result[None, None])

    def filter_array(self, problem: Problem) -> Contender:
        """Oaconvolve with the flipped kernel."""
        return self._overlap_add(problem.x, np.flip(problem.weight))

    def convolve(self, problem: Problem) -> Contender:
        """Oaconvolve."""
        return self._overlap_add(problem.x, problem.weight)


PEER = Signal
