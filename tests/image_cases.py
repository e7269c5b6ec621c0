"""Random tasks for the kernels of pictures, few enough kinds of tiles to be compiled in a test."""

from dataclasses import fields

import numpy as np

from direct_oracle import axis, numpy_dtype, random_values, reference, relaid, shapes_of
from faltung.compiled import image
from faltung.compiled.task import Axis, DirectTask, RoundedTask

KERNELS = ((1, 3, 3), (1, 1, 5), (1, 3, 8), (1, 11, 3), (1, 3, 70), (3, 3, 3), (1, 1, 40))
HEIGHTS = (1, 8, 16, 33, 70)
WIDTHS = (1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 100, 300)


def draw_task(rng, dtype):
    """A task with borders of random cells, strides and dilations."""
    kernel = KERNELS[rng.integers(len(KERNELS))]
    sizes = int(rng.choice(HEIGHTS)), int(rng.choice(WIDTHS))
    stride = int(rng.choice([1, 1, 1, 2]))
    deep = int(rng.integers(1, 3))
    axes = [Axis(deep, deep, 1)]
    if kernel[0] > 1:
        axes[0] = axis(deep + 3, kernel[0], stride, 1, int(rng.integers(3)), 1)
    for place, (size, taps) in enumerate(zip(sizes, kernel[1:], strict=True)):
        is_spread = (stride == 1 or place == 1) and taps < 40
        dilation = int(rng.choice([1, 1, 2, 3])) if is_spread else 1
        before, after = (int(cells) for cells in rng.integers(0, 6, 2))
        before += max(0, dilation * (taps - 1) + 1 - size - before - after)
        border = rng if rng.random() < 0.5 else None
        axes.append(axis(size, taps, stride, dilation, before, after, border))
    numbers = [int(count) for count in rng.integers(1, 3, 4)]
    fill = 1 if dtype == "bool" else 3
    is_relu = bool(rng.integers(2)) and dtype != "bool"
    return DirectTask(*numbers, tuple(axes), dtype, int(rng.choice([0, fill])), is_relu)


def draw_planes(rng, dtype):
    """A task of many small planes, which are done one after the other."""
    taps, stride = int(rng.choice([2, 3])), int(rng.choice([1, 2]))
    axes = [Axis(1, 1, 1)]
    for size in (int(rng.choice([7, 14])), int(rng.choice([5, 20, 33]))):
        before, after = (int(cells) for cells in rng.integers(0, 4, 2))
        border = rng if rng.random() < 0.5 else None
        axes.append(axis(size, taps, stride, 1, before, after, border))
    numbers = [int(count) for count in (rng.integers(1, 3), *rng.choice([1, 2, 5], 3))]
    return DirectTask(*numbers, tuple(axes), dtype, 3, bool(rng.integers(2)))


def planes_are_exact(seed, dtype):
    """Whether a random task of small planes gives exactly what loops give."""
    rng = np.random.default_rng(seed)
    task = draw_planes(rng, dtype)
    x, weight, bias = draw_arrays(rng, task)
    return np.array_equal(compute(task, x, weight, bias), expected_of(task, x, weight, bias))


def draw_lanes(rng, dtype):
    """A task of planes with a filter each, more of them than a vector has lanes."""
    taps, stride = int(rng.choice([2, 3])), int(rng.choice([1, 2, 3]))
    axes = [Axis(1, 1, 1)]
    for size, dilation in ((7, 1), (int(rng.choice([9, 14])), int(rng.choice([1, 2])))):
        before = int(rng.integers(0, 3))
        after = 2 - before + (dilation - 1) * (taps - 1)  # as many outputs whatever is drawn
        border = rng if rng.random() < 0.5 else None
        axes.append(axis(size, taps, stride, dilation, before, after, border))
    batch, groups = int(rng.integers(1, 3)), int(rng.choice([16, 17, 40]))
    return DirectTask(batch, groups, 1, 1, tuple(axes), dtype, 3, bool(rng.integers(2)))


def lanes_are_exact(seed, dtype):
    """Whether a random task of such planes gives exactly what loops give."""
    rng = np.random.default_rng(seed)
    task = draw_lanes(rng, dtype)
    x, weight, bias = draw_arrays(rng, task)
    return np.array_equal(compute(task, x, weight, bias), expected_of(task, x, weight, bias))


def compute(task, x, weight, bias=None):
    """The kernel's result in a new array."""
    y = np.zeros(shapes_of(task)[2], x.dtype)
    image.run(task, x, image.pack(weight, task, bias), y)
    return y


def expected_of(task, x, weight, bias):
    """What must come out, in the task's dtype; exact for whole numbers."""
    wide = np.float64
    if task.dtype == "bool" or "int" in task.dtype:
        wide = np.int64 if task.dtype == "bool" else np.dtype(task.dtype).type
    sums = reference(task, x, weight, bias, wide).reshape(shapes_of(task)[2])
    sums = sums != 0 if task.dtype == "bool" else sums.astype(x.dtype)
    return np.maximum(sums, np.zeros((), x.dtype)) if task.is_relu else sums


def draw_arrays(rng, task):
    """Input, weights and perhaps biases of whole numbers."""
    x_shape, weight_shape, _ = shapes_of(task)
    x, weight = (random_values(rng, shape, task.dtype) for shape in (x_shape, weight_shape))
    bias = random_values(rng, weight_shape[:1], task.dtype) if rng.random() < 0.5 else None
    return x, weight, bias


def is_exact(seed, dtype):
    """Whether a random task gives exactly what loops give, in any memory order."""
    rng = np.random.default_rng(seed)
    task = draw_task(rng, dtype)
    x, weight, bias = draw_arrays(rng, task)
    expected = expected_of(task, x, weight, bias)
    y = relaid(rng, np.ones(expected.shape, numpy_dtype(dtype)))
    image.run(task, relaid(rng, x), image.pack(weight, task, bias), y)
    return np.array_equal(y, expected)


def draw_rounded(rng, dtype):
    """A task of small integers with weights of quarters, its arrays, and what must come out."""
    task = draw_task(rng, dtype)
    numbers = {field.name: getattr(task, field.name) for field in fields(DirectTask)}
    numbers["is_relu"] = False
    task = RoundedTask(**numbers, sum_dtype=str(rng.choice(["float32", "float64"])))
    x = random_values(rng, shapes_of(task)[0], dtype)
    weight = rng.integers(-8, 9, shapes_of(task)[1]) / 4
    sums = np.rint(reference(task, x, weight)).reshape(shapes_of(task)[2])
    limits = np.iinfo(dtype)
    return task, x, weight, np.clip(sums, limits.min, limits.max).astype(dtype)
