"""Chains: each operator's scene under that of the one before, with its result as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from faltung.draw.choosing import Options, as_data, holds_numbers
from faltung.draw.scene import one_under_another
from faltung.draw.shapes import Scene
from faltung.typing import Shape

__all__ = ["moving_chain", "still_chain"]


def still_chain(chain: Any, input_shape: Shape, x: Any, index: object, options: Options) -> Scene:
    """One output of each operator; `index` is that of the last."""
    own = replace(options, title=None)
    scenes = []
    for place, (operator, shape, data) in enumerate(_stages(chain, input_shape, x)):
        chosen = index if place == len(chain) - 1 else None
        with chain._at(place):
            scenes.append(operator._still_scene(shape, data, chosen, own))
    return one_under_another(scenes, _title(chain, options))


def moving_chain(chain: Any, data: object, frames: int, options: Options) -> Scene:
    """The frames of one operator after those of the other; each gets its share of them."""
    own = replace(options, title=None)
    shape, x = as_data(data)
    share = max(frames // len(chain), 1)
    scenes = []
    for place, (operator, own_shape, values) in enumerate(_stages(chain, shape, x)):
        with chain._at(place):
            given = own_shape if values is None else values
            scenes.append(operator._moving_scene(given, share, own))
    return one_under_another(scenes, _title(chain, options))


def _stages(chain: Any, input_shape: Shape, x: Any) -> Iterator[tuple[Any, Shape, Any]]:
    """Each operator with the shape of its input, and the data as long as they are known."""
    data = x
    for place, (operator, shape) in enumerate(zip(chain, chain.shapes(input_shape), strict=False)):
        yield operator, shape, data
        if data is not None and place < len(chain) - 1:
            if not holds_numbers(operator):
                data = None
                continue
            with chain._at(place):
                data = operator(data)
                data = np.asarray(data[0] if isinstance(data, tuple) else data)


def _title(chain: Any, options: Options) -> str:
    names = ", ".join(type(operator).__name__ for operator in chain)
    return options.title if options.title is not None else f"Sequential({names})"
