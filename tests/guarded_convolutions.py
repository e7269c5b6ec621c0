"""Convolutions whose arrays lie between pages that nobody may touch.

Run in a process of its own: reading or writing one byte outside ends it with a signal.
"""

import ctypes
import mmap

import numpy as np

from direct_oracle import numpy_dtype, random_values, reference, shapes_of, task_2d
from faltung.compiled import call, direct, entry, lanes, lanes_schedule, machine
from faltung.compiled.variants import ROWS

PAGE = mmap.PAGESIZE
WIDTHS = (*range(1, 20), 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97, 127, 128, 129, 200)
FILTERS = (1, 3, 4, 6, 8, 13, 17, 45)
WINDOWS = ((1, 0), (3, 1), (2, 0))  # kernel and padding
DTYPES = {
    "float32": ("float32", "float32", "float16", "complex64"),
    "float64": ("float64",),
    "uint32": ("uint8", "uint8", "int32"),
    "uint64": ("int64",),
}

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
areas = []


def guarded(size, at_end, alignment=1):
    """Bytes whose first or last one is the neighbour of a page that cannot be touched."""
    pages = max(-(-size // PAGE), 1)
    area = mmap.mmap(-1, (pages + 2) * PAGE)
    areas.append(area)
    whole = np.frombuffer(area, np.uint8)
    base = whole.ctypes.data
    for address in (base, base + (pages + 1) * PAGE):
        assert libc.mprotect(address, PAGE, 0) == 0
    start = PAGE + ((pages * PAGE - size) // alignment * alignment if at_end else 0)
    return whole[start : start + size]


def guarded_array(shape, dtype, at_end):
    dtype = numpy_dtype(dtype)
    return guarded(int(np.prod(shape)) * dtype.itemsize, at_end).view(dtype).reshape(shape)


def guarded_copy(array, at_end):
    copy = guarded_array(array.shape, array.dtype, at_end)
    copy[...] = array
    return copy


def check(task, row, at_end, is_last=False):
    """One convolution: input, output, weights, biases and workspace are all guarded."""
    rng = np.random.default_rng(0)
    x_shape, weight_shape, y_shape = shapes_of(task)
    x, y = (guarded_array(shape, task.dtype, at_end) for shape in (x_shape, y_shape))
    if is_last:  # channels last
        x, y = (
            np.moveaxis(guarded_array((n, *spatial, c), task.dtype, at_end), -1, 1)
            for n, c, *spatial in (x_shape, y_shape)
        )
    x[:] = random_values(rng, x_shape, task.dtype)
    weight = random_values(rng, weight_shape, task.dtype)
    bias = random_values(rng, weight_shape[:1], task.dtype)
    packed = direct.pack(weight, task, bias)
    assert packed.row is row
    packed = packed._replace(
        weights=guarded_copy(packed.weights, at_end), biases=guarded_copy(packed.biases, at_end)
    )
    entry._SMALL_BYTES = -1  # no memory of short calls, which would not be guarded
    for module in (call, lanes):
        module.take_workspace = lambda size: guarded(size, at_end, 64)
        module.give_back = lambda memory: None
    call.runner_of.cache_clear()
    lanes.runner_of.cache_clear()
    direct.run(task, x, packed, y)
    wide = {"c": np.complex128, "f": np.float64}.get(y.dtype.kind, y.dtype.type)
    assert np.array_equal(y, reference(task, x, weight, bias, wide).astype(y.dtype)), task
    areas.clear()


def check_row(row, count):
    """`count` convolutions with one variant of the kernel: tails, both ends, both layouts."""
    direct.find_row = lambda _dtype: row
    direct.find_lanes_row = lambda _dtype: None
    dtypes = DTYPES[row.element.dtype]
    for number in range(count):
        kernel, padding = WINDOWS[number % 3]
        width = max(WIDTHS[number % len(WIDTHS)], kernel)
        task = task_2d(
            2, FILTERS[number % len(FILTERS)], kernel + number % 4, width, kernel, padding,
            dtypes[number % len(dtypes)], stride=1 + (number % 5 == 0 and kernel > 1),
        )  # fmt: skip
        check(task, row, number % 2 == 0, is_last=number % 11 == 0)


def check_lanes_row(row, count):
    """The same with output channels in the lanes: whole and part vectors, odd ones, all tiles."""
    direct.find_lanes_row = lambda _dtype: row
    direct.suits = lambda *_: True  # where another tile is quicker too
    dtypes = DTYPES[row.element.dtype]
    for number in range(count):
        kernel, padding = ((3, 1), (2, 0), (4, 2))[number % 3]
        width = max(WIDTHS[number % len(WIDTHS)], kernel)
        filters = row.rows * (1 + number % 3) - (number % 2 and row.rows > 2)
        dtype = dtypes[number % len(dtypes)]
        task = task_2d(
            66 + number % 5, filters, kernel + number % 5, width, kernel, padding, dtype,
            stride=1 + number % 4 // 3, dilation=1 + number % 7 // 6,
        )  # fmt: skip
        check(task, row, number % 2 == 0, is_last=number % 11 == 0)


def main(count):
    """Every row that this machine has; prints their names."""
    for row in lanes_schedule.ROWS:
        if machine.has(row.isa):
            check_lanes_row(row, count // 2)
            print(row.id)
    for row in ROWS:
        if machine.has(row.isa):
            check_row(row, count)
            print(row.id)


def overrun():
    """What must end the process: a window over one row more than there is."""
    task, longer = task_2d(1, 1, 8, 64, 1, 0), task_2d(1, 1, 9, 64, 1, 0)
    x, y = (guarded_array(shape, "float32", at_end=True) for shape in shapes_of(task)[::2])
    direct.run(longer, x, direct.pack(np.ones((1, 1, 1, 1, 1), np.float32), longer), y)
    print("done")
