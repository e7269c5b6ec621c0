"""Transforms of convolutions whose arrays and workspace lie between pages that nobody may touch.

Run as a script, ``python guarded_fourier.py COUNT``, in a process of its own: it prints how many
tasks were right; touching a byte outside ends it with a signal.
"""

import sys
from dataclasses import replace

import numpy as np

from direct_oracle import axis, random_values, reference, shapes_of
from faltung.compiled import fourier, machine, normalised_blocks
from faltung.compiled.normalised import Missing
from faltung.compiled.task import Axis, DirectTask
from guarded_convolutions import areas, guarded, guarded_array, guarded_copy

DTYPES = ("float32", "complex64", "float64", "float32", "complex128")
WINDOWS = (  # lengths, kernel
    ((1, 1, 61), (1, 1, 17)),
    ((1, 1, 700), (1, 1, 90)),
    ((1, 23, 37), (1, 5, 9)),
    ((1, 3, 130), (1, 2, 33)),
    ((6, 9, 20), (3, 4, 5)),
)


def draw(rng, number):
    """A task with borders of random cells, its lines, planes or volumes in turns."""
    groups, channels, filters, batch = (int(n) for n in rng.choice([1, 1, 2, 3], 4))
    axes = []
    for length, kernel in zip(*WINDOWS[number % len(WINDOWS)], strict=True):
        if length == 1:
            axes.append(Axis(1, 1, 1))
            continue
        stride, before, after = (int(n) for n in rng.integers((1, 0, 0), (4, 7, 7)))
        axes.append(axis(length, kernel, stride, 1, before, after, rng))
    dtype = DTYPES[int(rng.integers(len(DTYPES)))]
    return DirectTask(batch, groups, channels, filters, tuple(axes), dtype)


def check(rng, number, at_end):
    """One task, rows or pixels of channels last; True if its result is right."""
    task = draw(rng, number)
    x_shape, weight_shape, y_shape = shapes_of(task)
    x, weight = (random_values(rng, shape, task.dtype) for shape in (x_shape, weight_shape))
    bias = random_values(rng, weight_shape[:1], task.dtype)
    expected = reference(
        task, x, weight, bias, np.complex128 if x.dtype.kind == "c" else np.float64
    )
    if rng.random() < 0.3:  # channels last
        cells = np.moveaxis(guarded_copy(np.moveaxis(x, 1, -1), at_end), -1, 1)
        last = guarded_array((y_shape[0], *y_shape[2:], y_shape[1]), task.dtype, at_end)
        y = np.moveaxis(last, -1, 1)
    else:
        cells, y = guarded_copy(x, at_end), guarded_array(y_shape, task.dtype, at_end)
    spectra = fourier.Spectra(guarded_copy(weight, at_end), guarded_copy(bias, at_end))
    is_low = task.dtype == "float32" and number % 2
    declined = fourier.run(task, cells, spectra, y, "float32" if is_low else "float64")
    is_near = np.allclose(y, expected, 1e-4, 1e-2 if is_low else 1e-6)
    areas.clear()
    return is_near and not declined


def check_valid(rng, number, at_end):
    """The valid cells of one task, by a mask, or where they are not NaN; True if it is right."""
    task = replace(draw(rng, number), batch=2, groups=1, channels=1, filters=1)
    task = replace(task, dtype=("float32", "float64")[number % 2])
    x_shape, weight_shape, y_shape = shapes_of(task)
    x, weight = (random_values(rng, shape, task.dtype) for shape in (x_shape, weight_shape))
    weight, mask, no_bias = abs(weight), rng.random(x_shape) > 0.2, np.zeros(1)
    values, ones = np.where(mask, x, 0).astype("f8"), replace(task, fill=1, dtype="float64")
    sums = reference(task, values, weight, no_bias, np.float64)
    seen = reference(ones, mask.astype("f8"), weight, no_bias, np.float64)
    has_mask = bool(number % 3)
    cells = guarded_copy(x if has_mask else np.where(mask, x, np.nan).astype(x.dtype), at_end)
    y = guarded_array(y_shape, task.dtype, at_end)
    missing = Missing(guarded_copy(mask.view("u1"), at_end) if has_mask else None, not has_mask)
    bank = guarded_copy(np.concatenate([weight, weight]), at_end)
    declined = normalised_blocks.run(task, cells, fourier.Spectra(bank, None), missing, y)
    with np.errstate(all="ignore"):
        expected = sums * weight.sum(dtype=float) / seen
    areas.clear()
    return not declined and np.allclose(y, expected, 1e-4, 1e-5, equal_nan=True)


def main(count):
    rng = np.random.default_rng(0)
    fourier.give_back = lambda memory: None
    right = 0
    for number in range(count):
        at_end = number % 2 == 0
        fourier.take_workspace = lambda size, at_end=at_end: guarded(size, at_end, 64)
        fourier._aligned = lambda size, dtype, at_end=at_end: guarded(size, at_end, 64).view(dtype)
        fourier._line_factors.cache_clear()
        right += check(rng, number, at_end) and check_valid(rng, number, at_end)
    print(machine.isa(), right)


if __name__ == "__main__":
    main(int(sys.argv[1]))
