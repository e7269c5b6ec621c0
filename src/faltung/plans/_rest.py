"""What an algorithm leaves undone after it has seen the data, for the next one to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, cast

from faltung.geometry.stencil import SlidingAxis
from faltung.plans._converting import converted_part
from faltung.plans._problem import Problem
from faltung.typing import Array

__all__ = ["RestBox", "parts_of_rest"]


class RestBox(NamedTuple):
    """Outputs of one sample, all its channels."""

    sample: int
    outputs: tuple[range, ...]

    def moved(self, sample: int, firsts: tuple[int, ...]) -> RestBox:
        """The box as it lies in an array that begins earlier."""
        shifted = (
            range(some.start + first, some.stop + first)
            for some, first in zip(self.outputs, firsts, strict=True)
        )
        return RestBox(self.sample + sample, tuple(shifted))


def parts_of_rest(
    problem: Problem, rest: list[RestBox], x: Array, y: Array
) -> Iterator[tuple[Problem, Array, Array]]:
    """Each box as a problem by itself: its cells, borders filled in, and where its outputs go."""
    axes = cast("tuple[SlidingAxis, ...]", problem.recipe.axes)
    for box in rest:
        own = slice(box.sample, box.sample + 1)
        cells, inner = converted_part(problem, axes, x[own], box.outputs)
        recipe = replace(
            problem.recipe, axes=inner, batch=1, is_blank=False, is_flat=False, algorithm=None
        )
        part = replace(problem, recipe=recipe, input_dtype=problem.dtype, kept={})
        where: Any = (own, slice(None), *(slice(some.start, some.stop) for some in box.outputs))
        yield part, cells, y[where]
