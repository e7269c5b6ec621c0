"""Random involutions and untied kernels of whole numbers, whose sums are exact in any order."""

from typing import Any, NamedTuple

import numpy as np

import faltung as ft

BORDERS = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")


class PositionCase(NamedTuple):
    """A function and the arguments of one call."""

    function: Any
    arrays: tuple[Any, ...]
    parameters: dict[str, Any]

    def through(self, algorithm, **options):
        """The result of an algorithm."""
        arrays = self.arrays
        return self.function(*arrays, **self.parameters, **options, algorithm=algorithm)


def whole_numbers(rng, shape, dtype):
    values = rng.integers(-3, 4, shape)
    with np.errstate(all="ignore"):
        return values > 1 if dtype == "bool" else values.astype(dtype)


def draw_positions(rng, dtype, weight_dtype=None):
    """A case of any rank, border, stride and dilation; None where no window fits."""
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(n) for n in rng.integers(1, [8, 5, 4][rank - 1], rank))
    spatial = tuple(int(n) for n in rng.integers(1, [150, 14, 6][rank - 1], rank))
    mode = str(rng.choice(BORDERS))
    parameters: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "dilation": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "padding": [tuple(int(n) for n in rng.integers(0, 4, 2)) for _ in kernel],
        "padding_mode": mode,
    }
    names = ("stride", "dilation", "padding")
    window = ft.Window(kernel, **{name: parameters[name] for name in names})
    try:
        outputs = tuple(window.output_size(spatial))
    except ft.WindowError:
        return None
    if mode == "constant":
        parameters["padding_value"] = int(rng.integers(0, 4)) if dtype != "bool" else True
    samples, groups, each = (
        int(rng.integers(1, 3)),
        int(rng.integers(1, 4)),
        int(rng.integers(1, 4)),
    )
    x = whole_numbers(rng, (samples, groups * each, *spatial), dtype)
    taps, weight_dtype = int(np.prod(kernel)), weight_dtype or dtype
    if rng.random() < 0.5:
        weight = whole_numbers(rng, (samples, groups, taps, *outputs), weight_dtype)
        return PositionCase(ft.involution, (x, weight), parameters)
    filters = groups * int(rng.integers(1, 4))
    weight = whole_numbers(rng, (filters, each, taps, *outputs), weight_dtype)
    bias = whole_numbers(rng, (filters,), weight_dtype) if rng.random() < 0.5 else None
    return PositionCase(ft.local_conv, (x, weight, bias), {**parameters, "groups": groups})
