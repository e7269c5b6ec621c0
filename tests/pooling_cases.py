"""Random windows for the poolings, and the cells that they see, counted without the library."""

from typing import Any, NamedTuple

import numpy as np


class Pooling(NamedTuple):
    """A shape and the parameters of one call; padding as numbers."""

    shape: tuple[int, ...]
    parameters: dict[str, Any]


def axis_cells(size, kernel, stride, dilation, pads, is_ceil):
    """For each place of the window on one axis, the real cells that it sees and the taps counted.

    The number of places is the closed form; None where there is none.
    """
    room = size + sum(pads) - dilation * (kernel - 1) - 1
    outputs = (-(-room // stride) if is_ceil else room // stride) + 1
    if is_ceil and (outputs - 1) * stride >= size + pads[0]:
        outputs -= 1
    cells, counted = [], []
    for i in range(outputs):
        positions = [i * stride - pads[0] + t * dilation for t in range(kernel)]
        cells.append([p for p in positions if 0 <= p < size])
        counted.append(sum(p < size + pads[1] for p in positions))
    return cells, counted


def columns_of(shape, case):
    """The parameters of `case`, one row an axis."""
    names = ("kernel_size", "stride", "dilation", "padding")
    flag = case.parameters["ceil_mode"]
    rows = zip(shape, *(case.parameters[name] for name in names), strict=True)
    return [axis_cells(*row, flag) for row in rows]


def seen_cells(spatial, case):
    """For each axis, the real cells of each place."""
    return [cells for cells, _ in columns_of(spatial, case)]


def counted_taps(spatial, case):
    """For each axis, how many taps of each place lie before the end of the padding."""
    return [np.array(counted) for _, counted in columns_of(spatial, case)]


def draw_pooling(rng):
    """A case in which every window sees a cell, drawn until there is one."""
    rank = int(rng.choice([1, 2, 2, 3]))
    while True:
        spatial = tuple(int(n) for n in rng.integers(1, 8, rank))
        case = Pooling(
            (*(int(n) for n in rng.integers(1, 3, 2)), *spatial),
            {
                "kernel_size": tuple(int(n) for n in rng.integers(1, 5, rank)),
                "stride": tuple(int(n) for n in rng.integers(1, 5, rank)),
                "dilation": tuple(int(n) for n in rng.integers(1, 3, rank)),
                "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2))),
                "ceil_mode": bool(rng.integers(2)),
            },
        )
        places = seen_cells(spatial, case)
        if all(axis and all(axis) for axis in places):
            return case
