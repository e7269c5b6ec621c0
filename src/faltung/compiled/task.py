"""What a direct convolution is asked to do, in numbers, and how its dtype is summed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

__all__ = ["Axis", "DirectTask", "RoundedTask", "SumType", "is_short", "sum_type"]

# Up to here a call takes about 20 µs on one thread: another one is not worth waking.
_SHORT_MACS, _SHORT_NUMBERS = 1_000_000, 300_000


def is_short(macs: int, moved_numbers: int) -> bool:
    """Whether so many multiply-adds, and numbers of input and output, are done by one thread."""
    return macs < _SHORT_MACS and moved_numbers < _SHORT_NUMBERS


class Axis(NamedTuple):
    """One axis of a window over padded cells.

    Parameters
    ----------
    length, outputs, kernel, stride, dilation : int
        Cells of the input and of the output, taps, and the usual steps.
    before : int
        Cells before the input's first one.
    low, high : tuple of int
        The cell that is read in place of each cell before the input (``low[0]`` is the outermost,
        ``len(low) == before``) and after it (``high[0]`` is the next); -1 stands for the fill
        value.
    """

    length: int
    outputs: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()


class SumType(NamedTuple):
    """How numbers of a dtype are summed.

    Parameters
    ----------
    dtype : {"float32", "float64", "uint32", "uint64"}
        What sums are kept in; unsigned integers wrap, which is exact modulo the result's range.
    memory : str
        What input and output are read and written as: the real dtype of complex numbers.
    parts : {1, 2}
        Real numbers that a number is made of.
    """

    dtype: str
    memory: str
    parts: int


_SUMS = {
    "float32": SumType("float32", "float32", 1),
    "float64": SumType("float64", "float64", 1),
    "float16": SumType("float32", "float16", 1),
    "bfloat16": SumType("float32", "bfloat16", 1),
    "complex64": SumType("float32", "float32", 2),
    "complex128": SumType("float64", "float64", 2),
    **{
        f"{sign}int{bits}": SumType("uint64" if bits == 64 else "uint32", f"{sign}int{bits}", 1)
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


def sum_type(dtype: str, terms: int) -> SumType | None:
    """How sums of so many products are kept, or None for a dtype that has no kernel."""
    if dtype == "bool":  # sums count: the count must not come round to zero
        return SumType("uint32" if terms < 2**32 - 1 else "uint64", "bool", 1)
    return _SUMS.get(dtype)


@dataclass(frozen=True)
class DirectTask:
    """One convolution.

    Parameters
    ----------
    batch, groups : int
        Samples and groups of channels.
    channels, filters : int
        Input and output channels of a group.
    axes : tuple of three Axis
        The spatial axes; those of lower rank are filled up in front with ``Axis(1, 1, 1)``.
    dtype : str
        Name of the dtype of input, weights, bias and output; ``"bfloat16"`` is an array of
        ml_dtypes or of its bits as uint16.
    fill : float, int, complex or bool
        The value of cells whose source is -1.
    is_relu : bool
        Whether negative results become zero; NaN stays.
    """

    batch: int
    groups: int
    channels: int
    filters: int
    axes: tuple[Axis, Axis, Axis]
    dtype: str
    fill: Any = 0
    is_relu: bool = False

    @cached_property
    def _hash(self) -> int:
        # Numbers only: hashes of strings differ between processes, and tasks travel.
        return hash((self.batch, self.groups, self.channels, self.filters, self.axes))

    def __hash__(self) -> int:
        return self._hash

    @property
    def kernel_taps(self) -> int:
        """Taps of the kernel."""
        return prod(axis.kernel for axis in self.axes)

    @property
    def macs(self) -> int:
        """Multiply-adds, those with padding included."""
        rows = self.batch * self.groups * self.filters
        pixels = prod(axis.outputs for axis in self.axes)
        return rows * pixels * self.channels * self.kernel_taps

    @property
    def moved_numbers(self) -> int:
        """Numbers of input and output."""
        cells = prod(axis.length for axis in self.axes)
        pixels = prod(axis.outputs for axis in self.axes)
        return self.batch * self.groups * (self.channels * cells + self.filters * pixels)

    @cached_property
    def sums(self) -> SumType | None:
        """How sums are kept, or None for a dtype without kernels."""
        return sum_type(self.dtype, self.channels * self.kernel_taps + 1)

    @property
    def is_pointwise(self) -> bool:
        """Whether every output sees the one cell at its own place."""
        return all(
            axis.kernel == 1 and axis.stride == 1 and axis.before == 0
            and axis.length == axis.outputs
            for axis in self.axes
        )  # fmt: skip


@dataclass(frozen=True)
class RoundedTask(DirectTask):
    """A filter of small integers whose sums are floats, rounded and saturated when stored.

    Parameters
    ----------
    sum_dtype : {"float32", "float64"}
        Dtype of the sums, the weights and the fill value.
    """

    sum_dtype: str = "float64"

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def sums(self) -> SumType:
        """How sums are kept."""
        return SumType(self.sum_dtype, self.dtype, 1)
