"""`LayerFaces`: what can be told of a layer whose kernels are generated from its input.

Such a layer sees its input twice, through the window and through the generator, and is not linear.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np

from faltung._case import LINEAR, Case, face
from faltung._chain import counted, joined_axes
from faltung._layer_parts import renaming
from faltung.coverage import connections
from faltung.errors import NotLinearError, OptionError
from faltung.faces import Faces
from faltung.operators._arrays import Spec, as_array, as_shape
from faltung.plans._problem import Operands
from faltung.stream import Stream
from faltung.typing import Array, ArrayLike, DTypeLike, IndexArray, Shape

__all__ = ["LayerFaces"]


class LayerFaces(Faces):
    """The faces that follow from the geometry of the window and that of the generator."""

    __slots__ = ()

    def coverage(self, input_shape: Shape, of: str = "input") -> IndexArray:
        """How many outputs each input cell takes part in, or how many cells reach each output.

        A cell takes part in an output that it reaches through the window, through the generator
        of its kernel, or both ways; see `Operator.coverage`.
        """
        with renaming():
            shape = as_shape(input_shape)
            through = joined_axes(self._generator_cases(shape))
            case = self._window_case(shape, None, np.dtype(np.float32))
            around = connections(case)
            if case.bound.problem.recipe.is_blank:  # such outputs have no use for their kernel
                through = [
                    made * (own.sum(axis=1) > 0)[:, None]
                    for made, own in zip(through, around, strict=True)
                ]
            both = [made * own for made, own in zip(through, around, strict=True)]
            counts = counted(around, of) + counted(through, of) - counted(both, of)
            return np.asarray(counts)

    def stream(self, axis: int = -1, length: int | None = None) -> Stream:
        """The layer along an axis that arrives in chunks; see `Operator.stream`."""
        with renaming():
            return LayerStream(self, axis, length)

    def _generator_cases(self: Any, shape: Shape) -> list[Case]:
        self._layout(shape)
        cases: list[Case] = []
        self.generator._collect(shape, cases)
        return cases

    def _window_case(
        self: Any, shape: Shape, dtype: DTypeLike | None, kernel_dtype: np.dtype[Any]
    ) -> Case:
        """The involution for an input of this shape, without kernels."""
        samples, _, *cells = self._layout(shape).canonical_shape(shape)
        kernels = samples, self.groups, prod(self.kernel_size), *self._outputs(cells)
        case: Case = self._involution(Spec("weight", kernels, kernel_dtype))._geometry(shape, dtype)
        return case

    def _spatial_axes(self: Any, shape: Shape) -> range:
        start = len(shape) - len(self.stride) - (self.data_format == "channels_last")
        return range(start, start + len(self.stride))

    def _case(self, input_shape: Shape = (), dtype: DTypeLike | None = None) -> Case:
        raise NotLinearError(
            "it is not linear: the kernels are generated from the input",
            "Ask an Involution with the kernels that its generator gives for one input. "
            f"Linear are {LINEAR}",
        )

    def _geometry(self, input_shape: Shape, dtype: DTypeLike | None = None) -> Case:
        raise OptionError(
            "it connects cells in two ways, through its window and through its generator, which "
            "axes alone do not tell",
            "Ask the operators one by one for their coverage",
        ).at("InvolutionLayer")

    @face
    def _transpose(self) -> Case:
        return self._case()


class LayerStream(Stream):
    """A stream with one of the generator beside it, whose kernels wait for their windows."""

    def __init__(self, layer: Any, axis: int, length: int | None) -> None:
        super().__init__(self._case_for, layer._spatial_axes, axis, length)
        self._layer, self._generator = layer, layer.generator.stream(axis, length)
        self._kernels: Array | None = None
        self._first_kernel = 0

    def _case_for(self, shape: Shape, dtype: DTypeLike | None) -> Case:
        kind = np.dtype(np.float32) if self._kernels is None else self._kernels.dtype
        case: Case = self._layer._window_case(shape, dtype, kind)
        return case

    def push(self, chunk: ArrayLike) -> Array:
        """Take the next cells of the axis and return the outputs that they complete."""
        with renaming():
            array = as_array(chunk, "chunk")
            if not self._is_over:
                # Raises in the layer's own words; a chunk may have no cells.
                self._layer._layout(tuple(max(size, 1) for size in array.shape))
                self._wait(self._generator.push(array))
            return super().push(array)

    def flush(self) -> Array:
        """End the data and return the outputs that are left."""
        with renaming():
            if not self._is_over and self._case is not None:
                self._wait(self._generator.flush())
            return super().flush()

    def _wait(self, made: Array) -> None:
        """Keep kernels for outputs to come."""
        own = self._generator.axis
        kept = [made] if self._kernels is None else [self._kernels, made]
        self._kernels = np.concatenate(kept, axis=own)

    def _complete(self) -> int:
        kernels = self._kernels
        count = 0 if kernels is None else kernels.shape[self._axis]
        return min(super()._complete(), max(self._first_kernel + count, self.given))

    def _of_places(self, operands: Operands, outputs: range, rank: int) -> Operands:
        """The kernels of some outputs, which are then forgotten."""
        assert self._kernels is not None
        before = (slice(None),) * self._axis
        stop = outputs.stop - self._first_kernel
        taken = self._kernels[(*before, slice(outputs.start - self._first_kernel, stop))]
        self._kernels = self._kernels[(*before, slice(stop, None))].copy()
        self._first_kernel = outputs.stop
        case = cast("Case", self._case)
        return Operands(self._layer._in_groups(taken, case.bound.layout))
