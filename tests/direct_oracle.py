"""Random tasks for the direct kernel, and what they must give: loops over taps in NumPy.

Shares nothing with the kernels: the padded coordinates of every tap are written out.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from faltung.compiled.direct import Axis, DirectTask, pack, run

DTYPES = (
    "float32", "float64", "complex64", "complex128", "float16", "bfloat16", "bool", "int8",
    "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
)  # fmt: skip


def axis(length, kernel, stride=1, dilation=1, before=0, after=0, rng=None):
    """An axis with zero padding or, given a generator, with a border of random cells."""
    outputs = (length + before + after - dilation * (kernel - 1) - 1) // stride + 1
    low, high = (-1,) * before, (-1,) * after
    if rng is not None:
        low, high = (tuple(rng.integers(-1, length, n).tolist()) for n in (before, after))
    return Axis(length, outputs, kernel, stride, dilation, before, low, high)


def task_2d(channels, filters, height, width, kernel=3, padding=1, dtype="float32", **options):
    """A task of two axes with the same kernel, padding, stride and dilation on both."""
    steps = [options.pop(name, 1) for name in ("stride", "dilation")]
    axes = [axis(length, kernel, *steps, padding, padding) for length in (height, width)]
    numbers = options.pop("batch", 1), options.pop("groups", 1), channels, filters
    return DirectTask(*numbers, (Axis(1, 1, 1), *axes), dtype, **options)


def numpy_dtype(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def shapes_of(task, rank=3):
    """Shapes of input, weights and output with the last `rank` axes of the task."""
    lengths, kernel, outputs = (
        tuple(getattr(each, name) for each in task.axes[3 - rank :])
        for name in ("length", "kernel", "outputs")
    )
    rows = task.groups * task.filters
    x = (task.batch, task.groups * task.channels, *lengths)
    return x, (rows, task.channels, *kernel), (task.batch, rows, *outputs)


def sources(window):
    """The input cell of every (output, tap) of an axis, -1 for the fill value."""
    first = np.arange(window.outputs)[:, None] * window.stride
    cells = np.concatenate([window.low, np.arange(window.length), window.high]).astype(int)
    return cells[first + np.arange(window.kernel) * window.dilation]


def reference(task, x, weight, bias=None, dtype: Any = np.float64):
    """The direct sum in `dtype`, of shape (batch, rows, depth, height, width), not yet rounded."""
    x = x.astype(dtype).reshape(task.batch, -1, *(each.length for each in task.axes))
    padded = np.full((*x.shape[:2], *(n + 1 for n in x.shape[2:])), dtype(task.fill))
    padded[:, :, :-1, :-1, :-1] = x
    groups, outputs = task.groups, [each.outputs for each in task.axes]
    kernel = [each.kernel for each in task.axes]
    weight = weight.astype(dtype).reshape(groups, task.filters, task.channels, *kernel)
    total = np.zeros((task.batch, groups, task.filters, *outputs), dtype)
    table_d, table_h, table_w = (sources(each) for each in task.axes)
    with np.errstate(all="ignore"):
        for d, h, w in np.ndindex(*kernel):
            seen = padded[:, :, table_d[:, d, None, None], table_h[:, h, None], table_w[:, w]]
            seen = seen.reshape(task.batch, groups, task.channels, *outputs)
            for channel in range(task.channels):
                factor = weight[None, :, :, channel, d, h, w, None, None, None]
                total += factor * seen[:, :, channel, None]
        total = total.reshape(task.batch, -1, *outputs)
        return total if bias is None else total + bias.astype(dtype)[:, None, None, None]


def random_values(rng, shape, dtype):
    """Whole numbers, small for floats so that sums are exact, of the full range for integers."""
    if dtype == "bool":
        return rng.integers(0, 4, shape) == 0
    if "int" in dtype:
        range_ = np.iinfo(dtype)
        return rng.integers(range_.min, range_.max, shape, dtype=dtype, endpoint=True)
    largest = 2 if dtype.endswith("float16") else 4
    values = rng.integers(-largest, largest + 1, shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.integers(-4, 5, shape)
    return values.astype(numpy_dtype(dtype))


def relaid(rng, array):
    """The same values in another memory order."""
    kind = rng.integers(0, 5)
    if kind == 1:
        return np.asfortranarray(array)
    if kind == 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if kind == 3:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if kind == 4:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    return array


def random_task(rng, dtype):
    """A task of any rank with at least one output, and its rank."""
    rank = int(rng.integers(1, 4))
    axes = [Axis(1, 1, 1)] * (3 - rank)
    for _ in range(rank):
        kernel = int(rng.choice([1, 1, 2, 3, 3, 4, 5, 7] if rank < 3 else [1, 2, 3]))
        stride, dilation = (int(rng.choice([1, 1, 2, 3])) for _ in range(2))
        length = int(rng.integers(1, [400, 40, 12][rank - 1]))
        before, after = (int(n) for n in rng.integers(0, 5, 2) * rng.integers(0, 2))
        if rng.random() < 0.25:
            kernel, stride, before, after = 1, 1, 0, 0
        before += max(0, dilation * (kernel - 1) + 1 - length - before - after)
        borders = rng if rng.random() < 0.5 else None
        axes.append(axis(length, kernel, stride, dilation, before, after, borders))
    numbers = [
        int(rng.choice(choice)) for choice in ([1, 2, 3], [1, 1, 2, 3], [1, 2, 3, 8, 17, 40])
    ]
    filters = int(rng.choice([1, 2, 3, 4, 8, 11, 13, 24]))
    if rng.random() < 0.1:
        numbers, filters = [numbers[0], 7, 1], 1
    fill: Any = rng.choice([0, 1 if dtype == "bool" else 3])
    is_relu = bool(rng.random() < 0.3) and dtype != "bool" and "complex" not in dtype
    return DirectTask(*numbers, filters, tuple(axes), dtype, fill.item(), is_relu), rank


def compute(task, x, weight, bias=None, rank=3):
    """The kernel's result in a new array."""
    y = np.zeros(shapes_of(task, rank)[2], x.dtype)
    run(task, x, pack(weight, task, bias), y)
    return y


def is_exact(seed, dtype):
    """Whether one random task of whole numbers gives exactly what the loops give."""
    rng = np.random.default_rng(seed)
    task, rank = random_task(rng, dtype)
    x_shape, weight_shape, y_shape = shapes_of(task, rank)
    x = relaid(rng, random_values(rng, x_shape, dtype))
    weight = random_values(rng, weight_shape, dtype)
    bias = random_values(rng, weight_shape[:1], dtype) if rng.random() < 0.5 else None
    y = relaid(rng, np.ones(y_shape, numpy_dtype(dtype)))
    run(task, x, pack(weight, task, bias), y)
    wide: Any = np.complex128 if "complex" in dtype else np.float64
    if dtype == "bool" or "int" in dtype:
        wide = np.int64 if dtype == "bool" else np.dtype(dtype).type
    expected = reference(task, x, weight, bias, wide).reshape(y_shape)
    expected = expected != 0 if dtype == "bool" else expected.astype(y.dtype)
    if task.is_relu:
        expected = np.maximum(expected, np.zeros((), y.dtype))
    return np.array_equal(y, expected)
