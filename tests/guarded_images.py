"""Filters of pictures whose arrays and workspace lie between pages that nobody may touch.

Run as a script, ``python guarded_images.py COUNT``, in a process of its own: it prints how many
tasks were right; touching a byte outside ends it with a signal.
"""

import sys

import numpy as np

from faltung.compiled import image, machine
from faltung.compiled.plane_lanes_cut import find_cut
from guarded_convolutions import areas, guarded, guarded_array, guarded_copy
from image_cases import draw_arrays, draw_lanes, draw_planes, draw_rounded, draw_task, expected_of

DTYPES = ("float32", "float64", "planes", "lanes", "uint8", "rounded")


def check(rng, dtype, at_end):
    """One task, rows or pixels of channels last; True if its result is right."""
    if dtype == "rounded":
        task, x, weight, expected = draw_rounded(rng, "int16")
        bias = None
    else:
        draw = {"planes": draw_planes, "lanes": draw_lanes}.get(dtype)
        task = draw(rng, "float32") if draw else draw_task(rng, dtype)
        x, weight, bias = draw_arrays(rng, task)
        expected = expected_of(task, x, weight, bias)
    if rng.random() < 0.3 and dtype not in ("planes", "lanes"):  # channels last
        cells, target = (np.moveaxis(array, 1, -1) for array in (x, expected))
        cells = np.moveaxis(guarded_copy(cells, at_end), -1, 1)
        y = np.moveaxis(guarded_array(target.shape, task.dtype, at_end), -1, 1)
    else:
        cells, y = guarded_copy(x, at_end), guarded_array(expected.shape, task.dtype, at_end)
    packed = image.pack(weight, task, bias)
    packed = packed._replace(
        weights=guarded_copy(packed.weights, at_end), biases=guarded_copy(packed.biases, at_end)
    )
    image.run(task, cells, packed, y)
    is_right = np.array_equal(y, expected)
    areas.clear()
    return is_right


def main(count):
    rng = np.random.default_rng(0)
    image.give_back = lambda memory: None
    image.find_lanes = lambda task, _schedule, row: find_cut(task, row)  # wherever it can be
    right = 0
    for number in range(count):
        at_end = number % 2 == 0
        image.take_workspace = lambda size, at_end=at_end: guarded(size, at_end, 64)
        image._runner_of.cache_clear()
        right += check(rng, DTYPES[number % len(DTYPES)], at_end)
    print(machine.isa(), right)


if __name__ == "__main__":
    main(int(sys.argv[1]))
