"""JAX on the CPU: jitted functions, channels last, which is what XLA's CPU code is made for."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender, Peer

__all__ = ["PEER", "Jax"]

LAYOUTS = {
    1: ("NWC", "WIO", "NWC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
}


class Jax(Peer):
    """Functions of `jax.lax`."""

    name, title, package = "jax", "JAX", "jax"

    def __init__(self, threads: int) -> None:
        for variable in ("NPROC", "PJRT_NPROC"):  # read when the backend starts
            os.environ.setdefault(variable, str(threads))
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        import jax

        super().__init__(threads)
        self._jax = jax

    def _contender(self, run: Any, *arguments: Any) -> Contender | str:
        if any(array.dtype == np.float64 for array in arguments):
            return "computes float64 only where a whole process is set to it"
        held = [self._jax.device_put(array) for array in arguments]
        compiled = self._jax.jit(run)
        return Contender(
            lambda: compiled(*held).block_until_ready(),
            lambda result: np.moveaxis(np.asarray(result), -1, 1),
        )

    def conv(self, problem: Problem) -> Contender | str:
        """conv_general_dilated."""
        lax = self._jax.lax

        def run(x: Any, weight: Any) -> Any:
            return lax.conv_general_dilated(
                x,
                weight,
                problem.stride,
                problem.padding,
                rhs_dilation=problem.dilation,
                dimension_numbers=LAYOUTS[problem.rank],
                feature_group_count=problem.groups,
            )

        return self._contender(run, _last(problem.x), _kernel(problem.weight))

    def conv_transpose(self, problem: Problem) -> Contender | str:
        """conv_general_dilated over the spread input."""
        lax = self._jax.lax
        ends = zip(problem.kernel, problem.padding, strict=True)
        padding = [(k - 1 - before, k - 1 - after) for k, (before, after) in ends]

        def run(x: Any, weight: Any) -> Any:
            return lax.conv_general_dilated(
                x,
                weight,
                (1,) * problem.rank,
                padding,
                lhs_dilation=problem.stride,
                dimension_numbers=LAYOUTS[problem.rank],
            )

        turned = np.flip(problem.weight, tuple(range(2, problem.weight.ndim)))
        return self._contender(run, _last(problem.x), _kernel(turned.swapaxes(0, 1)))

    def max_pool(self, problem: Problem) -> Contender | str:
        """reduce_window with the maximum."""
        lax = self._jax.lax

        def run(x: Any) -> Any:
            return lax.reduce_window(x, -np.inf, lax.max, *_window(problem))

        return self._contender(run, _last(problem.x))

    def avg_pool(self, problem: Problem) -> Contender | str:
        """reduce_window with the sum, divided by the cells."""
        lax, cells = self._jax.lax, np.float32(np.prod(problem.kernel))

        def run(x: Any) -> Any:
            return lax.reduce_window(x, np.float32(0), lax.add, *_window(problem)) / cells

        return self._contender(run, _last(problem.x))

    def adaptive_avg_pool(self, problem: Problem) -> Contender | str:
        """A mean over equal bins."""
        batch, channels, n, m = problem.x.shape
        rows, columns = problem.options["output_size"]
        bins = batch, rows, n // rows, columns, m // columns, channels
        return self._contender(lambda x: x.reshape(bins).mean((2, 4)), _last(problem.x))

    def resize(self, problem: Problem) -> Contender | str:
        """jax.image.resize without antialiasing."""
        image, options = self._jax.image, problem.options
        shape = problem.x.shape[0], *options["size"], problem.x.shape[1]

        def run(x: Any) -> Any:
            return image.resize(x, shape, options["mode"], antialias=False)

        return self._contender(run, _last(problem.x))


def _last(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _kernel(weight: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(weight, (1, 0), (-2, -1)))


def _window(problem: Problem) -> tuple[Any, Any, Any]:
    return (
        (1, *problem.kernel, 1),
        (1, *problem.stride, 1),
        ((0, 0), *problem.padding, (0, 0)),
    )


PEER = Jax
