"""NumPy alone: windows unfolded and multiplied, or tap by tap over shifted views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.formulas import FORMULAS, padded
from faltung.bench.peers._peer import Contender, Peer
from faltung.compiled import machine

__all__ = ["PEER", "NumPy"]

MOST_BYTES = 2**28
"""Of unfolded windows: beyond it nobody would do it this way."""


class NumPy(Peer):
    """What one writes without any other package; products on BLAS's threads, the rest on one."""

    name, title, package = "numpy", "NumPy", "numpy"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if threads == machine.available_cores():
            return
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            raise ImportError(
                f"its products take all {machine.available_cores()} cores; "
                f"with threadpoolctl installed they can be kept to {threads}"
            ) from None
        self._limits = threadpool_limits(threads, "blas")

    def conv(self, problem: Problem) -> Contender | str:
        """The one line that people write: all windows, one axis of taps, one matrix product."""
        columns = problem.macs // max(problem.weight.shape[0], 1)
        if columns * problem.groups * problem.x.itemsize > MOST_BYTES:
            return f"would unfold the windows to {columns * problem.x.itemsize >> 20} MiB"
        return Contender(lambda: _unfold_and_multiply(problem))


def _unfold_and_multiply(problem: Problem) -> Any:
    cells, rank, groups = padded(problem), problem.rank, problem.groups
    axes = tuple(range(2, 2 + rank))
    spans = [d * (k - 1) + 1 for k, d in zip(problem.kernel, problem.dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(cells, spans, axes)
    steps = (*(slice(None, None, step) for step in (*problem.stride, *problem.dilation)),)
    windows = np.moveaxis(windows[(slice(None), slice(None), *steps)], axes, range(-rank, 0))
    filters = problem.weight.shape[0]
    matrix = problem.weight.reshape(groups, filters // groups, -1)
    columns = windows.reshape(len(cells), groups, matrix.shape[-1], -1)
    return (matrix @ columns).reshape(len(cells), filters, *problem.output)


def _by_formula(operation: str) -> Callable[[NumPy, Problem], Contender]:
    formula = FORMULAS[operation]
    return lambda _peer, problem: Contender(lambda: formula(problem))


for _operation in FORMULAS:
    if _operation != "conv":
        setattr(NumPy, _operation, _by_formula(_operation))

PEER = NumPy
