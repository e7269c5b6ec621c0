"""Passes along the axes whose arrays and workspace lie between pages that nobody may touch.

Run as a script, ``python guarded_low_rank.py COUNT``, in a process of its own: it prints how many
tasks were right; touching a byte outside ends it with a signal.
"""

import sys

import numpy as np

from faltung.compiled import low_rank, machine
from guarded_convolutions import areas, guarded, guarded_array, guarded_copy
from low_rank_cases import draw, draw_bytes

DTYPES = ("float32", "float64", "uint8", "float32", "bytes")


def check(seed, dtype, at_end):
    """One task, rows or pixels of channels last; True if its result is right."""
    rng, task, x, packed, expected = (
        draw_bytes(seed, "uint8") if dtype == "bytes" else draw(seed, dtype)
    )
    if rng.random() < 0.3:  # channels last
        cells, target = (np.moveaxis(array, 1, -1) for array in (x, expected))
        cells = np.moveaxis(guarded_copy(cells, at_end), -1, 1)
        y = np.moveaxis(guarded_array(target.shape, task.dtype, at_end), -1, 1)
    else:
        cells, y = guarded_copy(x, at_end), guarded_array(expected.shape, task.dtype, at_end)
    packed = packed._replace(
        weights=guarded_copy(packed.weights, at_end), biases=guarded_copy(packed.biases, at_end)
    )
    low_rank.run(task, cells, packed, y)
    is_right = np.array_equal(y, expected)
    areas.clear()
    return is_right


def main(count):
    low_rank.give_back = lambda memory: None
    right = 0
    for number in range(count):
        at_end = number % 2 == 0
        low_rank.take_workspace = lambda size, at_end=at_end: guarded(size, at_end, 64)
        low_rank._runner_of.cache_clear()
        right += check(number, DTYPES[number % len(DTYPES)], at_end)
    print(machine.isa(), right)


if __name__ == "__main__":
    main(int(sys.argv[1]))
