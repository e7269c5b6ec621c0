"""Random transposed convolutions of whole numbers, whose sums are exact in any order."""

from typing import Any, NamedTuple

import numpy as np


class TransposedCase(NamedTuple):
    """The arrays and parameters of one call."""

    x: Any
    weight: Any
    bias: Any
    parameters: dict[str, Any]


def draw(rng, low, high, rank):
    return tuple(int(value) for value in rng.integers(low, high, rank))


def draw_transposed(rng, dtype):
    """A case of any rank, with every combination of steps, groups and removed cells."""
    rank = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3]))
    kernel = draw(rng, 1, [9, 6, 4][rank - 1], rank)
    stride, dilation = draw(rng, 1, 5, rank), draw(rng, 1, 5, rank)
    channels, filters = groups * int(rng.choice([1, 2, 5])), int(rng.choice([1, 3, 4, 9]))
    shape = (int(rng.integers(1, 3)), channels, *draw(rng, 1, [60, 12, 5][rank - 1], rank))
    parameters: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": str(rng.choice(["zeros", "blank"])),
        "padding": [draw(rng, 0, 4, 2) for _ in kernel],
    }
    if rng.random() < 0.3:
        names = ["same", "same_lower", "full", "causal", "valid"]
        parameters["padding"] = str(rng.choice(names))
    most = [max(steps) for steps in zip(stride, dilation, strict=True)]
    parameters["output_padding"] = tuple(int(rng.integers(0, n)) for n in most)

    def whole_numbers(shape):
        values = rng.integers(-3, 4, shape)
        if dtype == "bool":
            return values > 1
        with np.errstate(all="ignore"):
            return (values + 1j if "complex" in dtype else values).astype(dtype)

    bias = whole_numbers(groups * filters) if rng.random() < 0.5 else None
    return TransposedCase(
        whole_numbers(shape), whole_numbers((channels, filters, *kernel)), bias, parameters
    )
