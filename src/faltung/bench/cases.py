"""What is measured: a named row for each case, and the arrays that it needs.

Rows are in `networks` (layers of real networks), `family` (the other operators) and `pictures`
(pictures, volumes and signals). Every name is unique; `select` finds cases by name, by family or
by a word in either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np

from faltung.errors import OptionError
from faltung.typing import Array, Shape

__all__ = ["Case", "Pairs", "Problem", "all_cases", "families", "select"]

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Case:
    """One row of the benchmark.

    Parameters
    ----------
    name : str
        Unique; the network and the layer, or what is slid over what.
    family : str
        Cases whose ratios have one geometric mean.
    operation : str
        Which method of a peer builds it: ``"conv"``, ``"max_pool"``, ``"filter_array"``, ….
    shape : tuple of int
        Of the input.
    weight_shape : tuple of int, optional
        Of the weight, where there is one.
    options : mapping, optional
        faltung's keyword arguments, and `is_function` for a call that may prepare nothing.
    dtype : str, optional
        Of all arrays.
    make_weight : function, optional
        The weight from its shape, instead of normal numbers.
    is_heavy : bool, optional
        Whether the case is left out unless it is asked for by its name.
    """

    name: str
    family: str
    operation: str
    shape: Shape
    weight_shape: Shape = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    make_weight: Callable[[Shape], Array] | None = None
    is_heavy: bool = False

    def problem(self) -> Problem:
        """The case with its arrays, the same numbers every time."""
        rng = np.random.default_rng(0)
        if self.dtype == "uint8":
            x = rng.integers(0, 256, self.shape, dtype=np.uint8)
        else:
            x = rng.standard_normal(self.shape).astype(self.dtype)
        if self.make_weight:
            weight = self.make_weight(self.weight_shape)
        else:
            weight = np.asarray(rng.standard_normal(self.weight_shape))
        # The kernel of a picture of integers stays one of fractions.
        return Problem(self, x, weight if self.dtype == "uint8" else weight.astype(self.dtype))


class Problem:
    """A case with arrays, and its geometry in the same form for all peers: one entry an axis.

    Parameters
    ----------
    case : Case
        The row.
    x, weight : array
        What it is about; a weight without cells where the operation has none.
    """

    def __init__(self, case: Case, x: Array, weight: Array) -> None:
        self.case, self.x, self.weight = case, x, weight
        self.options = case.options
        self.rank = x.ndim - 2
        self.groups: int = self.options.get("groups", 1)
        self.kernel: Shape = self._each("kernel_size", weight.shape[2:])
        self.stride: Shape = self._each("stride", 1)
        self.dilation: Shape = self._each("dilation", 1)

    def _each(self, name: str, default: Any) -> Shape:
        value = self.options.get(name, default)
        return (value,) * self.rank if isinstance(value, int) else tuple(value)

    @property
    def padding(self) -> Pairs:
        """Cells before and after, an axis."""
        if self.options.get("padding") == "causal":
            spans = zip(self.kernel, self.dilation, strict=True)
            return tuple((step * (taps - 1), 0) for taps, step in spans)
        return tuple((cells, cells) for cells in self._each("padding", 0))

    @property
    def is_symmetric(self) -> bool:
        """Whether there are as many cells after as before."""
        return all(before == after for before, after in self.padding)

    @property
    def is_function(self) -> bool:
        """Whether calls may prepare nothing: the weight is an argument like the data."""
        return bool(self.options.get("is_function", False))

    @cached_property
    def holed(self) -> Array:
        """The data with a NaN in a tenth of its cells."""
        is_missing = np.random.default_rng(2).random(self.x.shape) < 0.1
        return np.where(is_missing, np.nan, self.x).astype(self.x.dtype)

    @cached_property
    def lines(self) -> tuple[Array, ...]:
        """The kernels of single axes whose product the weight is; none if it is not separable."""
        axes = range(self.weight.ndim)
        if self.case.make_weight is None or not self.weight.sum():
            return ()
        whole = self.weight.sum(dtype=np.float64)
        lines = [
            self.weight.sum(tuple(other for other in axes if other != axis), np.float64) / whole
            for axis in axes
        ]
        kernel = whole * reduce(np.multiply.outer, lines)
        if not np.allclose(kernel, self.weight, rtol=1e-4, atol=1e-7):
            return ()
        lines[0] *= whole
        return tuple(line.astype(self.weight.dtype) for line in lines)

    @property
    def macs(self) -> int:
        """Multiply-adds of one call, cells of the padding among them; taps for what has none."""
        return int(_MACS.get(self.case.operation, _macs_of_window)(self))

    @property
    def flops(self) -> int | None:
        """Floating point operations where a peak of multiply-adds is a measure, None elsewhere."""
        return 2 * self.macs if self.case.operation in _SUMS else None

    @property
    def output(self) -> Shape:
        """The spatial shape of what a window makes."""
        sizes = zip(
            self.x.shape[2:], self.kernel, self.stride, self.dilation, self.padding, strict=True
        )
        return tuple(
            (n + before + after - d * (k - 1) - 1) // s + 1 for n, k, s, d, (before, after) in sizes
        )


def _macs_of_conv(problem: Problem) -> int:
    batch, weight = problem.x.shape[0], problem.weight
    return int(batch * prod(problem.output) * weight.size)


def _macs_of_transposed(problem: Problem) -> int:
    return int(problem.x.shape[0] * prod(problem.x.shape[2:]) * problem.weight.size)


def _macs_of_window(problem: Problem) -> int:
    return int(prod(problem.x.shape[:2]) * prod(problem.output) * prod(problem.kernel))


def _macs_of_plain(problem: Problem) -> int:
    return int(problem.x.size * problem.weight.size)


def _macs_of_order(problem: Problem) -> int:
    return int(problem.x.size * prod(problem.options["size"]))


def _cells(problem: Problem) -> int:
    return int(problem.x.size)


_MACS: dict[str, Callable[[Problem], int]] = {
    "conv": _macs_of_conv,
    "conv_transpose": _macs_of_transposed,
    "filter_array": _macs_of_plain,
    "filter_image": _macs_of_plain,
    "convolve": _macs_of_plain,
    "match_template": _macs_of_plain,
    "dilate": _macs_of_order,
    "median": _macs_of_order,
    "adaptive_avg_pool": _cells,
    "resize": _cells,
    "fold": _cells,
}


_SUMS = {"conv", "conv_transpose", "involution", "filter_array", "convolve"}


def all_cases() -> tuple[Case, ...]:
    """Every case, in the order of the families."""
    from faltung.bench import family, networks, pictures

    return (*networks.CASES, *family.CASES, *pictures.CASES)


def families(cases: Iterable[Case]) -> list[str]:
    """The families of the cases, in their order."""
    return list(dict.fromkeys(case.family for case in cases))


def select(words: Sequence[str], cases: Sequence[Case] | None = None) -> list[Case]:
    """The cases that the words name.

    Parameters
    ----------
    words : sequence of str
        Each the name of a case, the name of a family, or a part of names. None at all: every case
        that is not heavy. A heavy case is found by its whole name only.
    cases : sequence of Case, optional
        Among which; all by default.

    Returns
    -------
    list of Case
        Each once, in the order of the cases.

    Raises
    ------
    OptionError
        If a word names nothing.

    Examples
    --------
    >>> from faltung.bench.cases import select
    >>> [case.name for case in select(["tiny"])][:2]
    ['tiny operator 8x8x8->8 3x3', 'tiny operator 1x6x8->1 1x2']
    """
    cases = all_cases() if cases is None else cases
    if not words:
        return [case for case in cases if not case.is_heavy]
    chosen: set[str] = set()
    for word in words:
        found = _named(word, cases)
        if not found:
            raise OptionError(
                f"no case and no family is called {word!r}",
                f"The families are {', '.join(families(cases))}; `faltung bench --list` has all",
            )
        chosen |= found
    return [case for case in cases if case.name in chosen]


def _named(word: str, cases: Sequence[Case]) -> set[str]:
    if whole := {case.name for case in cases if case.name == word}:
        return whole
    light = [case for case in cases if not case.is_heavy]
    if family := {case.name for case in light if case.family == word}:
        return family
    return {case.name for case in light if word.lower() in case.name.lower()}
