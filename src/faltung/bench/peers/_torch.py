"""PyTorch in either memory format: the functions of `torch.nn.functional`, without gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender, Peer

__all__ = ["Torch"]


class Torch(Peer):
    """What both have in common."""

    package = "torch"
    most_macs: ClassVar[Mapping[str, float]] = {"filter_array": 1.2e9, "convolve": 1e8}
    is_channels_last: ClassVar[bool] = False

    def __init__(self, threads: int) -> None:
        import torch

        super().__init__(threads)
        torch.set_num_threads(threads)
        self._torch, self._functions = torch, torch.nn.functional

    def _tensor(self, array: Any) -> Any:
        tensor = self._torch.from_numpy(np.ascontiguousarray(array))
        formats = {4: self._torch.channels_last, 5: self._torch.channels_last_3d}
        if self.is_channels_last and tensor.ndim in formats:
            return tensor.contiguous(memory_format=formats[tensor.ndim])
        return tensor

    def _contender(self, run: Any, *arguments: Any, **options: Any) -> Contender:
        def call() -> Any:
            with self._torch.inference_mode():
                return run(*arguments, **options)

        return Contender(call, lambda result: np.ascontiguousarray(result.numpy()))

    def conv(self, problem: Problem) -> Contender | str:
        """conv1d, conv2d or conv3d; padding on one side by a call of its own."""
        if self.is_channels_last and problem.rank == 1:
            return "has no channels-last format for lines"
        functions = self._functions
        run = getattr(functions, f"conv{problem.rank}d")
        x, weight = self._tensor(problem.x), self._tensor(problem.weight)
        options: dict[str, Any] = {
            "stride": problem.stride,
            "dilation": problem.dilation,
            "groups": problem.groups,
        }
        if problem.is_symmetric:
            before = tuple(pair[0] for pair in problem.padding)
            return self._contender(run, x, weight, padding=before, **options)
        ends = [cells for pair in reversed(problem.padding) for cells in pair]
        return self._contender(lambda: run(functions.pad(x, ends), weight, **options))

    def conv_transpose(self, problem: Problem) -> Contender:
        """conv_transpose2d."""
        return self._contender(
            self._functions.conv_transpose2d,
            self._tensor(problem.x),
            self._tensor(problem.weight),
            stride=problem.stride,
            padding=tuple(pair[0] for pair in problem.padding),
        )

    def max_pool(self, problem: Problem) -> Contender:
        """max_pool2d."""
        return self._contender(
            self._functions.max_pool2d, self._tensor(problem.x), **problem.options
        )

    def avg_pool(self, problem: Problem) -> Contender:
        """avg_pool2d."""
        return self._contender(
            self._functions.avg_pool2d, self._tensor(problem.x), **problem.options
        )

    def adaptive_avg_pool(self, problem: Problem) -> Contender:
        """adaptive_avg_pool2d."""
        return self._contender(
            self._functions.adaptive_avg_pool2d, self._tensor(problem.x), **problem.options
        )

    def resize(self, problem: Problem) -> Contender:
        """Interpolate."""
        mode = {"linear": "bilinear"}.get(problem.options["mode"], problem.options["mode"])
        size = problem.options["size"]
        run = self._functions.interpolate
        return self._contender(run, self._tensor(problem.x), size=size, mode=mode)

    def involution(self, problem: Problem) -> Contender | str:
        """unfold, times the kernels, summed: what the authors of involution wrote in PyTorch."""
        if self.is_channels_last:
            return "unfolds to columns, which have no memory format"
        x, weight = self._tensor(problem.x), self._tensor(problem.weight).unsqueeze(2)
        batch, channels = problem.x.shape[:2]
        _, groups, taps, *output = problem.weight.shape
        cells = channels // groups
        window = {**problem.options}
        functions = self._functions

        def run() -> Any:
            columns = functions.unfold(x, **window).view(batch, groups, cells, taps, *output)
            return (weight * columns).sum(3).view(batch, channels, *output)

        return self._contender(run)

    def unfold(self, problem: Problem) -> Contender | str:
        """Unfold."""
        if self.is_channels_last:
            return "unfolds to columns, which have no memory format"
        return self._contender(self._functions.unfold, self._tensor(problem.x), **problem.options)

    def fold(self, problem: Problem) -> Contender | str:
        """Fold."""
        if self.is_channels_last:
            return "folds columns, which have no memory format"
        return self._contender(self._functions.fold, self._tensor(problem.x), **problem.options)

    def filter_array(self, problem: Problem) -> Contender | str:
        """A convolution of one channel to one."""
        if self.is_channels_last:
            return "has one channel: both formats are the same"
        kernel = problem.weight
        run = getattr(self._functions, f"conv{kernel.ndim}d")
        padding = tuple(size // 2 for size in kernel.shape)
        x, weight = self._tensor(problem.x[None, None]), self._tensor(kernel[None, None])
        made = self._contender(run, x, weight, padding=padding)
        return Contender(made.call, lambda result: made.as_array(result)[0, 0])

    def convolve(self, problem: Problem) -> Contender | str:
        """conv1d of one channel to one, the taps reversed."""
        if self.is_channels_last:
            return "has one channel: both formats are the same"
        x = self._tensor(problem.x[None, None])
        weight = self._tensor(problem.weight[None, None, ::-1])
        padding = problem.weight.size // 2
        made = self._contender(self._functions.conv1d, x, weight, padding=padding)
        return Contender(made.call, lambda result: made.as_array(result)[0, 0])
