"""Random cases of convolution, seeded, with every argument in play."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

NAMES = ("valid", "same", "half", "same_lower", "full", "causal")
MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "int16", "complex64", "float16", "bool")


@dataclass
class ConvCase:
    """Arrays and parameters of one call."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def terms(self) -> int:
        """Products in one output, the bias counted too."""
        return int(np.prod(self.weight.shape[1:])) + 1


def small_integers(rng, shape, dtype):
    """Values for which every order of a sum is exact."""
    kind = np.dtype(dtype).kind
    values = rng.integers(0 if kind in "bu" else -4, 5, shape)
    if kind == "c":
        values = values + 1j * rng.integers(-4, 5, shape)
    return values.astype(dtype)


def draw_padding(rng, rank):
    """One of the ways to write a padding."""
    way = rng.integers(4)
    if way == 0:
        return NAMES[rng.integers(len(NAMES))]
    if way == 1:
        return int(rng.integers(0, 4))
    if way == 2:
        return tuple(int(entry) for entry in rng.integers(0, 4, rank))
    return tuple((int(a), int(b)) for a, b in rng.integers(0, 5, (rank, 2)))


def draw_case(rng, rank=None, dtype=None, largest=None, values=small_integers):
    """A case that fits: the input is made large enough for the window."""
    rank = rank or int(rng.choice([1, 2, 2, 2, 3, 3, 4]))
    dtype = dtype or DTYPES[rng.integers(len(DTYPES))]
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, filters = rng.integers(1, 4, 2)
    kernel = rng.integers(1, 5 if rank < 3 else 3, rank)
    stride = rng.integers(1, 5, rank)
    dilation = rng.integers(1, 4, rank)
    span = dilation * (kernel - 1) + 1
    extra = largest or {1: 24, 2: 8, 3: 4, 4: 2}[rank]
    size = span + rng.integers(0, extra, rank)
    mode = MODES[rng.integers(len(MODES))]
    parameters = {
        "stride": tuple(map(int, stride)) if rng.integers(2) else int(stride[0]),
        "dilation": tuple(map(int, dilation)),
        "padding": draw_padding(rng, rank),
        "groups": groups,
        "padding_mode": mode,
        "flip": bool(rng.integers(2)),
    }
    if mode == "constant":
        parameters["padding_value"] = int(rng.integers(0, 2))
    batch = int(rng.integers(1, 4)) if rng.integers(8) else 0
    return ConvCase(
        values(rng, (batch, groups * channels, *size), dtype),
        values(rng, (groups * filters, channels, *kernel), dtype),
        values(rng, (groups * filters,), dtype) if rng.integers(2) else None,
        parameters,
    )
