"""A window on one axis: how many places it has, which cells it covers, and the way back.

Letters as in the literature: n cells of input, k taps, s stride, d dilation, p padding before and
after, o outputs; the span of the window is ``d * (k - 1) + 1``.

References
----------
V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
ONNX operator specification, ``auto_pad`` of Conv and ``ceil_mode`` of MaxPool.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cached_property

from faltung.errors import WindowError

__all__ = ["PADDING_NAMES", "AxisChain", "AxisGeometry", "AxisWindow"]

PADDING_NAMES = ("valid", "same", "half", "same_lower", "full", "causal")


class AxisGeometry:
    """What a window and a chain of windows have in common.

    A subclass gives `span`, `stride`, `places`, `resolve` and `footprint`.
    """

    span: int
    stride: int
    kernel: int
    dilation: int
    padding: tuple[int, int] | str

    def places(self, n: int) -> int:
        """The number of outputs for n inputs; 0 where the window does not fit."""
        raise NotImplementedError

    def resolve(self, n: int) -> tuple[int, int]:
        """The padding before and after an input of n cells."""
        raise NotImplementedError

    def footprint(self, i: int, n: int | None = None) -> tuple[int, ...]:
        """The input positions that output i sees."""
        raise NotImplementedError

    def output_size(self, n: int) -> int:
        """The number of outputs for n inputs; a window that does not fit raises."""
        outputs = self.places(n)
        if outputs < 1:
            before, after = self.resolve(n)
            raise WindowError(
                f"kernel_size spans {self.span} cells, but the input has {n} "
                f"with padding {before} before and {after} after: no output",
                f"At least {max(self.span - n, 0)} cells of padding or a smaller kernel would work",
            )
        return outputs

    def input_size(self, outputs: int) -> range:
        """All input sizes that give so many outputs; empty where none does."""
        beyond = outputs * self.stride + self.span + 1
        sizes = range(beyond)
        first = bisect_left(sizes, outputs, key=self.places)
        last = bisect_left(sizes, outputs + 1, key=self.places)
        return range(first, last)


@dataclass(frozen=True)
class AxisWindow(AxisGeometry):
    """A window on one axis with checked parameters; `padding` is a pair or a canonical name."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: tuple[int, int] | str = (0, 0)
    ceil_mode: bool = False

    @cached_property
    def span(self) -> int:  # type: ignore[override]
        """Cells from the first to the last tap."""
        return self.dilation * (self.kernel - 1) + 1

    def resolve(self, n: int) -> tuple[int, int]:
        """The padding before and after an input of n cells."""
        if not isinstance(self.padding, str):
            return self.padding
        reach = self.span - 1
        if self.padding == "valid":
            return 0, 0
        if self.padding == "full":
            return reach, reach
        if self.padding == "causal":
            return reach, 0
        outputs = -(-n // self.stride)
        return self._split(max((outputs - 1) * self.stride + self.span - n, 0))

    def _split(self, total: int) -> tuple[int, int]:
        if self.padding == "causal":
            return total, 0
        smaller, larger = total // 2, total - total // 2
        return (larger, smaller) if self.padding == "same_lower" else (smaller, larger)

    def places(self, n: int) -> int:
        """The number of outputs for n inputs; 0 where the window does not fit."""
        if self.padding in ("same", "same_lower"):
            return -(-n // self.stride)
        before, after = self.resolve(n)
        room = n + before + after - self.span
        if not self.ceil_mode:
            return max(room // self.stride + 1, 0)
        outputs = -(-room // self.stride) + 1
        if (outputs - 1) * self.stride >= n + before:  # would start beyond the input
            outputs -= 1
        return max(outputs, 0)

    def padding_for(self, n: int, outputs: int) -> tuple[int, int]:
        """The least padding with which n inputs give so many outputs."""
        total = max((outputs - 1) * self.stride + self.span - n, 0)
        padding = self._split(total)
        reached = replace(self, padding=padding).places(n)
        if reached != outputs:
            raise WindowError(
                f"no padding gives {outputs} outputs from {n} cells: "
                f"without padding there are {reached} already",
                "Crop the input, or use a larger stride or kernel_size",
            )
        return padding

    def footprint(self, i: int, n: int | None = None) -> tuple[int, ...]:
        """The input positions that output i sees; with n, only those inside the input."""
        if n is None and self.padding in ("same", "same_lower") and self.stride > 1:
            raise WindowError(
                f"padding {self.padding!r} with stride {self.stride} depends on the input size",
                "Pass the input size as n",
            )
        start = i * self.stride - self.resolve(self.span if n is None else n)[0]
        cells = range(start, start + self.span, self.dilation)
        return tuple(cell for cell in cells if n is None or 0 <= cell < n)


@dataclass(frozen=True)
class AxisChain(AxisGeometry):
    """One window after another, seen as one window on the first one's input.

    Its span is the receptive field of an output, its stride the jump between neighbours.

    References
    ----------
    A. Araujo, W. Norris, J. Sim, "Computing receptive fields of convolutional neural networks",
    Distill 2019, doi:10.23915/distill.00021, equations 2 and 3.
    """

    first: AxisGeometry
    second: AxisGeometry
    dilation = 1

    @property
    def kernel(self) -> int:  # type: ignore[override]
        """A window of this size sees the same cells, if the taps leave no gaps."""
        return self.span

    @property
    def padding(self) -> tuple[int, int] | str:  # type: ignore[override]
        """Both paddings joined; a name stays where one of them depends on the input."""
        parts = self.first.padding, self.second.padding
        for part in parts:
            if isinstance(part, str):
                return part
        return self.resolve(self.span)

    @cached_property
    def span(self) -> int:  # type: ignore[override]
        """The receptive field of one output."""
        return self.first.span + (self.second.span - 1) * self.first.stride

    @cached_property
    def stride(self) -> int:  # type: ignore[override]
        """The jump between the receptive fields of neighbours."""
        return self.first.stride * self.second.stride

    def places(self, n: int) -> int:
        """The number of outputs for n inputs; 0 where a window does not fit."""
        between = self.first.places(n)
        return self.second.places(between) if between else 0

    def resolve(self, n: int) -> tuple[int, int]:
        """The padding of both windows, counted in cells of the first input."""
        before, after = self.first.resolve(n)
        inner_before, inner_after = self.second.resolve(self.first.places(n))
        return before + inner_before * self.first.stride, after + inner_after * self.first.stride

    def footprint(self, i: int, n: int | None = None) -> tuple[int, ...]:
        """The input positions that output i depends on, in rising order."""
        between = None if n is None else self.first.places(n)
        cells: set[int] = set()
        for j in self.second.footprint(i, between):
            cells.update(self.first.footprint(j, n))
        return tuple(sorted(cells))
