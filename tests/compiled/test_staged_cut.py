"""The cut of staged convolutions: all outputs once, jobs end together, little is staged twice."""

from __future__ import annotations

import heapq
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from direct_oracle import axis, shapes_of, task_2d
from faltung.compiled import words as at
from faltung.compiled.call import prepare, schedule_of, steps_of
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.schedule import MOST_WORKSPACE, Shape, make_schedule
from faltung.compiled.staged_cut import even_parts, makespan, most_macs
from faltung.compiled.sweep import enter_box
from faltung.compiled.variants import ROWS, find_row

ONE = Axis(1, 1, 1)
LAYERS = {
    "vgg16 conv4_2": task_2d(512, 512, 28, 28),
    "vgg16 conv3_2": task_2d(256, 256, 56, 56),
    "resnet50 conv2": task_2d(64, 64, 56, 56),
    "resnet50 conv3 first": task_2d(128, 128, 56, 56, stride=2),
    "aspp rate 12": task_2d(320, 256, 33, 33, padding=12, dilation=12),
    "c3d conv3a": DirectTask(
        1, 1, 128, 256, (axis(8, 3, 1, 1, 1, 1), *[axis(28, 3, 1, 1, 1, 1)] * 2), "float32"
    ),
}


def cut_of(task, row=None):
    row = row or find_row(task.sums.dtype)
    return schedule_of(task, task.sums, row, None, None)[0]


def random_tasks(count):
    rng = np.random.default_rng(3)
    for _ in range(count):
        height, width = (int(n) for n in rng.choice([1, 2, 5, 14, 28, 33, 60, 97], 2))
        kernel = int(rng.choice([1, 2, 3, 5]))
        options = {"stride": int(rng.integers(1, 3)), "dilation": int(rng.integers(1, 3))}
        numbers = [int(n) for n in rng.choice([1, 3, 20, 64, 130], 2)]
        kind = str(rng.choice(["float32", "float64", "int32"]))
        batch = int(rng.integers(1, 3))
        yield task_2d(*numbers, height, width, kernel, 4, kind, batch=batch, groups=2, **options)


@pytest.mark.parametrize("number", range(24))
def test_every_output_belongs_to_one_job(number):
    task = list(random_tasks(24))[number]
    row, (x_shape, _, y_shape) = find_row(task.sums.dtype), shapes_of(task)
    arrays = (np.empty(shape, task.dtype) for shape in (x_shape, y_shape))
    kind = prepare(task, task.sums, row, False, *map(steps_of, arrays))
    schedule, call = kind.schedule, kind.words.copy()
    call[at.X_BASE] = call[at.Y_BASE] = 0
    block = np.zeros(64, np.int64)
    outputs = [each.outputs for each in task.axes]
    blocks = schedule.blocks + schedule.singles
    times = np.zeros((task.batch, task.groups, *outputs, blocks), np.int64)
    for job in range(schedule.jobs):
        enter_box.python(block.ctypes.data, call.ctypes.data, job)
        place, group = divmod(int(block[at.BOX_Y]), max(1, int(call[at.Y_BATCH])))
        group //= int(call[at.Y_GROUP])
        d, h, w = (
            slice(int(block[i]), int(block[i] + block[i + 1]))
            for i in (at.BOX_D, at.BOX_H, at.BOX_W)
        )
        first, count = int(block[at.BOX_BLOCK]), int(block[at.BOX_BLOCKS])
        mine = np.r_[first : first + count]
        if block[at.BOX_SINGLES]:
            mine = np.r_[mine, schedule.blocks : blocks]
        seen = times[place, group]
        if schedule.is_flat:
            pixel = int(block[at.BOX_PIXEL])
            seen = seen.reshape(outputs[0], -1, blocks)
            seen[d, pixel : pixel + int(block[at.BOX_PIXELS]), mine[:, None]] += 1
            staged = (int(block[at.BOX_H]) * outputs[2], (h.stop) * outputs[2])
            assert staged[0] <= pixel
            assert pixel + block[at.BOX_PIXELS] <= staged[1]
            assert block[at.BOX_HS] <= schedule.boxes[1]
        else:
            for each in mine:
                seen[d, h, w, each] += 1
    assert (times == 1).all()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
@pytest.mark.parametrize("task", list(random_tasks(8)), ids=range(8))
def test_jobs_are_short_and_memory_is_bounded(row, task):
    shape = Shape(task.batch, task.groups, 8 * task.channels, 8 * task.filters, task.axes)
    for may_be_flat in (False, True):
        cut = make_schedule(shape, row, may_be_direct=False, may_be_flat=may_be_flat)
        assert cut.workspace <= MOST_WORKSPACE
        pixels = cut.boxes[0] * (cut.box_pixels if cut.is_flat else cut.boxes[1] * cut.boxes[2])
        rows = min(cut.blocks_a_part * row.rows + cut.singles, shape.rows)
        macs = pixels * rows * shape.channels * task.kernel_taps
        assert macs <= most_macs(row.isa, row.element.dtype)


@pytest.mark.parametrize("name", LAYERS)
def test_little_is_staged_again_for_parts_of_the_output_channels(name):
    """Cells take half a cycle each, multiply-adds the 32nd part of one where there is AVX-512."""
    task = LAYERS[name]
    cut = cut_of(task, next(row for row in ROWS if row.isa == "avx512"))
    cells = cut.jobs * task.channels * cut.plane_size / 4
    assert 0.5 * cells < 0.2 * task.macs / 32


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("name", LAYERS)
def test_threads_end_together(name, threads):
    task = LAYERS[name]
    cut = cut_of(task)
    outputs = [each.outputs for each in task.axes]
    lengths = (outputs[0], outputs[1] * outputs[2]) if cut.is_flat else outputs
    boxes = (cut.boxes[0], cut.box_pixels) if cut.is_flat else cut.boxes
    parts = -(-cut.blocks // cut.blocks_a_part)
    sizes = [1] * parts
    for length, box in zip(lengths, boxes, strict=True):
        sizes = [n * min(box, length - i) for n in sizes for i in range(0, length, box)]
    assert len(sizes) == cut.jobs
    assert sum(sizes) == parts * prod(outputs)
    assert in_turn(sizes, threads) * threads <= 1.3 * sum(sizes)


def in_turn(lengths, threads):
    """When the last job ends if each thread takes the next one as soon as it is free."""
    free = [0.0] * threads
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def test_the_end_of_jobs_is_that_of_taking_them_in_turn():
    for whole in range(12):
        for rest in range(5):
            for threads in (1, 2, 4, 8):
                exact = in_turn([3.0] * whole + [1.0] * rest, threads)
                assert exact <= makespan(whole, 3.0, rest, 1.0, threads) <= exact + 3.0
    assert makespan(8, 3.0, 0, 3.0, 4) == 6
    assert makespan(7, 3.0, 1, 1.0, 4) == 6
    assert makespan(8, 3.0, 1, 1.0, 4) == 7


def test_parts_are_even_and_whole():
    for count in (1, 7, 48, 784, 1000):
        for multiple in (1, 16, 48):
            sizes = list(even_parts(count, multiple))
            assert sizes[0] == count
            assert all(a > b for a, b in pairwise(sizes))
            assert all(size % multiple == 0 for size in sizes[1:])
            assert sizes[-1] <= max(multiple, 1)


def test_the_cut_does_not_depend_on_the_threads():
    """Nor on anything but numbers: it is made again for the same ones."""
    shape = Shape(1, 1, 64, 64, LAYERS["resnet50 conv2"].axes)
    row = find_row("float32")
    first = make_schedule(shape, row, may_be_direct=False, may_be_flat=True)
    make_schedule.cache_clear()
    assert make_schedule(shape, row, may_be_direct=False, may_be_flat=True) == first
