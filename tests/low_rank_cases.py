"""Random tasks whose kernels are products, few enough kinds of tiles to be compiled in a test."""

import numpy as np

from direct_oracle import axis, random_values, reference, relaid, shapes_of
from faltung.compiled import low_rank
from faltung.compiled.task import Axis, DirectTask, RoundedTask

KERNELS = ((1, 3, 3), (1, 12, 4), (1, 3, 70), (3, 6, 2))
HEIGHTS = (1, 8, 17, 33, 100)
WIDTHS = (1, 2, 7, 15, 16, 17, 31, 33, 64, 300)


def draw_task(rng, dtype):
    """A task with borders of random cells and dilations."""
    kernel = KERNELS[rng.integers(len(KERNELS))]
    sizes = [int(rng.choice(some)) for some in ((1, 9, 20), HEIGHTS, WIDTHS)]
    is_volume, axes = kernel[0] > 1, []
    for place, (size, taps) in enumerate(zip(sizes, kernel, strict=True)):
        dilation = int(rng.choice([1, 1, 2, 3])) if place > 0 else 1
        before, after = (int(cells) for cells in rng.integers(0, 6, 2))
        before += max(0, dilation * (taps - 1) + 1 - size - before - after)
        border = rng if rng.random() < 0.5 else None
        is_passed = place == 0 and not is_volume
        axes.append(
            Axis(size, size, 1)
            if is_passed
            else axis(size, taps, 1, dilation, before, after, border)
        )
    numbers = [int(count) for count in rng.integers(1, 3, 4)]
    numbers[2] = 1 if is_volume else numbers[2]
    return DirectTask(*numbers, tuple(axes), dtype, int(rng.choice([0, 3])), bool(rng.integers(2)))


def draw_factors(rng, task, terms=1):
    """Whole factors for each filter and term, and the weights that they make."""
    taps = [axis.kernel for axis in task.axes if axis is not task.axes[0] or axis.kernel > 1]
    shape = task.groups * task.filters, terms * task.channels
    parts = [random_values(rng, (*shape, count), task.dtype) for count in taps]
    weight = np.ones(shape, task.dtype)
    for part in parts:
        weight = weight[..., None] * part.reshape(*shape, *(1,) * (weight.ndim - 2), -1)
    weight = weight.reshape(shape[0], task.channels, terms, *(axis.kernel for axis in task.axes))
    return np.concatenate(parts, axis=2), weight.sum(axis=2).astype(task.dtype)


def expected_of(task, x, weight, bias):
    """What must come out; exact for whole numbers."""
    wide = np.float64 if np.dtype(task.dtype).kind == "f" else np.dtype(task.dtype).type
    sums = reference(task, x, weight, bias, wide).reshape(shapes_of(task)[2]).astype(x.dtype)
    return np.maximum(sums, np.zeros((), x.dtype)) if task.is_relu else sums


def draw(seed, dtype):
    """A task, its input, factors and biases, and what must come out."""
    rng = np.random.default_rng(seed)
    task = draw_task(rng, dtype)
    x = random_values(rng, shapes_of(task)[0], dtype)
    terms = int(rng.integers(1, 3)) if task.axes[0].kernel == 1 else 1
    factors, weight = draw_factors(rng, task, terms)
    bias = random_values(rng, len(factors), dtype) if rng.random() < 0.5 else None
    return rng, task, x, low_rank.pack(factors, task, bias), expected_of(task, x, weight, bias)


def is_exact(seed, dtype):
    """Whether a random task gives exactly what loops give, in any memory order."""
    rng, task, x, packed, expected = draw(seed, dtype)
    y = relaid(rng, np.ones(expected.shape, dtype))
    declined = low_rank.run(task, relaid(rng, x), packed, y)
    return not declined and np.array_equal(y, expected)


def draw_bytes(seed, dtype):
    """A task of bytes with factors of quarters, and what must come out with any margin."""
    rng = np.random.default_rng(seed)
    sizes, kernel = rng.choice([16, 17, 40, 100], 2), (int(rng.choice([3, 6])), 5)
    axes = [
        axis(int(size), taps, 1, dilation, 9, 9, rng if rng.random() < 0.5 else None)
        for size, taps, dilation in zip(sizes, kernel, (1, int(rng.integers(1, 3))), strict=True)
    ]
    task = RoundedTask(1, 1, 1, 1, (Axis(1, 1, 1), *axes), dtype, 3, sum_dtype="float32")
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max, shapes_of(task)[0], dtype=dtype, endpoint=True)
    factors = [rng.integers(-2, 5, taps) / 4 for taps in kernel]
    weight = np.multiply.outer(*factors)
    sums = np.rint(reference(task, x, weight[None, None, None])).reshape(shapes_of(task)[2])
    margin = float(rng.choice([0, 0.01, 0.4, 10]))  # the larger, the more is summed again
    packed = low_rank.pack_certain(np.concatenate(factors), weight, margin)
    return rng, task, x, packed, np.clip(sums, limits.min, limits.max).astype(dtype)
