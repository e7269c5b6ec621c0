"""`DrawnLayer`: a layer that generates its kernels is drawn as the involution with these."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from faltung.draw.choosing import Options, as_data, moving_scene, still_scene
from faltung.draw.shapes import Scene
from faltung.operators._arrays import Spec
from faltung.typing import Shape

__all__ = ["DrawnLayer"]


class DrawnLayer:
    """What `InvolutionLayer` draws: with data the kernels that it generates, else shapes."""

    __slots__ = ()

    def _still_scene(
        self: Any, input_shape: Shape, x: object, index: object, options: Options
    ) -> Scene:
        inner = self._inner(tuple(input_shape), x)
        return still_scene(inner, input_shape, x, index, _named(options))

    def _moving_scene(self: Any, data: object, frames: int, options: Options) -> Scene:
        inner = self._inner(*as_data(data))
        return moving_scene(inner, data, frames, _named(options))

    def _inner(self: Any, shape: Shape, x: object) -> Any:
        """The involution for an input of this shape."""
        if x is not None:
            return self._involution(self._generated(x, self.generator)[1])
        samples, _, *cells = self._layout(shape).canonical_shape(shape)
        kernels = samples, self.groups, prod(self.kernel_size), *self._outputs(cells)
        return self._involution(Spec("weight", kernels, self.span.dtype))


def _named(options: Options) -> Options:
    title = "InvolutionLayer: the kernels are generated from the input"
    return options if options.title is not None else replace(options, title=title)
