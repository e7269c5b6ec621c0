"""What a chain of operators makes of its operators' faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung._case import Case
from faltung.coverage import connections
from faltung.errors import OptionError, ShapeError, shown
from faltung.typing import Array, ArrayLike, IndexArray, Shape

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "ChainAdjoint",
    "ChainStream",
    "Pullback",
    "chain_coverage",
    "check_axes",
    "counted",
    "joined_axes",
]

Pullback = Callable[[ArrayLike], dict[str, Array]]


class ChainAdjoint:
    """The adjoints of a chain's operators in reverse order, for inputs of one shape."""

    def __init__(self, parts: Sequence[Any], shapes: Sequence[Shape]) -> None:
        self._parts, self._shapes = tuple(parts), tuple(shapes)

    def __call__(self, x: ArrayLike) -> Array:
        """Apply it to an array of the shape of the chain's result."""
        self._check(np.shape(x))
        for part in self._parts:
            x = part(x)
        return np.asarray(x)

    def output_shape(self, input_shape: Shape | None = None) -> Shape:
        """The shape of its result; there is only one."""
        if input_shape is not None:
            self._check(tuple(input_shape))
        return self._shapes[-1]

    def adjoint(self, input_shape: Shape | None = None) -> ChainAdjoint:
        """The way back: the chain itself, without bias and constants."""
        if input_shape is not None:
            self._check(tuple(input_shape))
        shapes = zip(self._parts, self._shapes, strict=False)
        back = [part.adjoint(shape) for part, shape in shapes]
        return ChainAdjoint(back[::-1], self._shapes[::-1])

    def _check(self, shape: Shape) -> None:
        if shape != self._shapes[0]:
            raise ShapeError(
                f"x has shape {shape}, expected {self._shapes[0]}",
                "Ask the chain for the adjoint that belongs to another input_shape",
            ).at("adjoint of Sequential")

    def __repr__(self) -> str:
        return f"<adjoint of Sequential: {self._shapes[0]} -> {self._shapes[-1]}>"


class ChainStream:
    """The streams of a chain's operators: what one returns is pushed into the next."""

    def __init__(self, chain: Any, axis: int, length: int | None) -> None:
        self._chain, self._asked, self._length = chain, axis, length
        self._parts: list[Any] = [] if length is not None else [op.stream(axis) for op in chain]

    @property
    def held(self) -> int:
        """Cells that are kept for outputs to come, by all operators together."""
        return sum(part.held for part in self._parts)

    def push(self, chunk: ArrayLike) -> Array:
        """Take the next cells of the axis and return the outputs that they complete."""
        if not self._parts:
            self._begin(np.shape(chunk))
        for place, part in enumerate(self._parts):
            with self._chain._at(place):
                chunk = part.push(chunk)
        return np.asarray(chunk)

    def flush(self) -> Array:
        """End the data and return the outputs that are left."""
        if not self._parts:
            raise ShapeError("no chunk was pushed, so the shape is not known", "Push one first")
        rest: Array | None = None
        for place, part in enumerate(self._parts):
            with self._chain._at(place):
                if rest is None:
                    rest = part.flush()
                else:
                    some = part.push(rest)
                    rest = np.concatenate([some, part.flush()], axis=part.axis)
        return np.asarray(rest)

    @property
    def axis(self) -> int:
        """The streamed axis of the result, known from the first chunk on."""
        own: int = self._parts[-1].axis
        return own

    def _begin(self, shape: Shape) -> None:
        """Streams of known length, each of its own operator's input."""
        first_axis = self._chain[0]._spatial_axes(shape)[self._asked]
        whole = (*shape[:first_axis], self._length, *shape[first_axis + 1 :])
        for operator, own in zip(self._chain, self._chain.shapes(whole), strict=False):
            size = own[operator._spatial_axes(own)[self._asked]]
            self._parts.append(operator.stream(self._asked, size))


def chain_coverage(cases: Sequence[Case], of: object) -> IndexArray:
    """The counts of `Faces.coverage` for operators one after another."""
    return counted(joined_axes(cases), of)


def joined_axes(cases: Sequence[Case]) -> list[csr_array]:
    """Which outputs of the last operator and cells of the first are connected, axis by axis."""
    parts = [connections(case) for case in cases]
    check_axes([len(part) for part in parts])
    return [_joined(axes) for axes in zip(*parts, strict=True)]


def counted(axes: Sequence[csr_array], of: object) -> IndexArray:
    """How many outputs each cell is connected with, or how many cells each output."""
    if not (isinstance(of, str) and of in ("input", "output")):
        raise OptionError(f"of is {shown(of)}, which is not known", "Use 'input' or 'output'")
    counts: Any = np.ones((), np.int64)
    for joined in axes:
        along = joined.sum(axis=0 if of == "input" else 1)
        counts = np.multiply.outer(counts, np.asarray(along, np.int64).ravel())
    result: IndexArray = counts
    return result


def check_axes(counts: Sequence[int]) -> None:
    """Raise where operators with different numbers of spatial axes follow each other.

    They may compute, for an array does not tell which of its axes is the batch.
    """
    for place, (before, own) in enumerate(pairwise(counts)):
        if before != own:
            raise ShapeError(
                f"operators[{place + 1}] has {own} spatial {'axis' if own == 1 else 'axes'}, "
                f"operators[{place}] has {before}, so that no cell of one is a cell of the other",
                "With one int for all axes the first axis counts as the batch: give one entry an "
                "axis, or an input_shape with a batch; else ask the operators one by one",
            )


def _joined(axes: Sequence[csr_array]) -> csr_array:
    """Which outputs of the last operator and cells of the first are connected, on one axis."""
    joined = axes[0]
    for following in axes[1:]:
        joined = following @ joined
        joined.data[:] = 1  # by however many ways
    return joined
