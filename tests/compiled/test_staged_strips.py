"""Strips of staged convolutions: the bits of single tiles, bounds, and where there are any."""

from __future__ import annotations

import numpy as np
import pytest

from direct_oracle import axis, random_values, reference, shapes_of
from faltung.compiled import call, direct, parallel
from faltung.compiled import words as at
from faltung.compiled.schedule import Shape, make_schedule
from faltung.compiled.staged_strips import staged_strip_tiles
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import ROWS, find_row

ONE = Axis(1, 1, 1)


def task_of(channels, filters, *axes, dtype="float32", is_relu=False, batch=1):
    return DirectTask(
        batch, 1, channels, filters, (ONE,) * (3 - len(axes)) + axes, dtype, 0, is_relu
    )


def tiles_of(task):
    shapes = shapes_of(task)
    row, sums = find_row(task.dtype), task.sums
    steps = (np.empty(shapes[place], task.dtype) for place in (0, 2))
    x_steps, y_steps = (call.steps_of(array) for array in steps)
    return call.prepare(task, sums, row, False, x_steps, y_steps).words[at.STRIP_TILES]


@pytest.fixture
def without_strips(monkeypatch):
    """Computes a task tile by tile."""

    def compute(task, x, packed, y):
        with monkeypatch.context() as patch:
            patch.setattr(call, "staged_strip_tiles", lambda *_: 1)
            for kept in (call.prepare, call.runner_of):
                kept.cache_clear()
            direct.run(task, x, packed, y)
        for kept in (call.prepare, call.runner_of):
            kept.cache_clear()

    return compute


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32"])
@pytest.mark.parametrize("filters", [40, 64, 77, 93])
@pytest.mark.parametrize(
    ("channels", "axes"),
    [
        (1, (axis(4001, 10, 5),)),
        (5, (axis(1003, 3, 1, 4, 8),)),
        (3, (axis(11, 3, 1, 1, 1, 1), axis(500, 3, 1, 1, 1, 1))),
    ],
)
def test_strips_give_what_single_tiles_give(dtype, filters, channels, axes, without_strips):
    """Blocks whose rows do not all exist, rows that make no block, and pixels left over."""
    task = task_of(channels, filters, *axes, dtype=dtype, is_relu=filters == 64, batch=2)
    rng = np.random.default_rng(filters)
    shapes = shapes_of(task)
    x, weight = (random_values(rng, shape, dtype) for shape in shapes[:2])
    if dtype != "uint32":
        x, weight = x + rng.standard_normal(x.shape), weight + rng.standard_normal(weight.shape)
        x, weight = x.astype(dtype), weight.astype(dtype)
    packed = direct.pack(weight, task, random_values(rng, (filters,), dtype), is_scattered=True)
    count = int(np.prod(shapes[2]))
    room = np.full(count + 64, 7, dtype)
    y, single = room[32 : 32 + count].reshape(shapes[2]), np.empty(shapes[2], dtype)
    assert tiles_of(task) > 1
    direct.run(task, x, packed, y)
    without_strips(task, x, packed, single)
    assert np.array_equal(y, single)
    assert (room[:32] == 7).all()
    assert (room[-32:] == 7).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_whole_numbers_are_exact_whatever_the_threads(threads):
    before = parallel.get_num_threads()
    task = task_of(2, 88, axis(9000, 4, 3))
    rng = np.random.default_rng(1)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    y = np.empty(shapes_of(task)[2], "f4")
    try:
        parallel.set_num_threads(threads)
        direct.run(task, x, direct.pack(weight, task, is_scattered=True), y)
    finally:
        parallel.set_num_threads(before)
    assert np.array_equal(y, reference(task, x, weight).reshape(y.shape))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_sums_of_strips_are_whole_and_have_room(row):
    for channels, filters, kernel in ((1, 512, 10), (16, 61, 2), (64, 128, 2), (128, 64, 3)):
        shape = Shape(1, 1, channels, filters, (ONE, ONE, axis(6000, kernel)))
        schedule = make_schedule(shape, row, may_be_direct=False, may_be_flat=True)
        tiles = staged_strip_tiles(schedule, shape, row)
        assert tiles == 1 or channels * kernel == schedule.chunks.taps
        if (filters - schedule.singles) % row.rows:
            assert schedule.scratch_at + tiles * row.wide.size <= schedule.staged_at
        many = 32 if channels == 1 else 1
        assert tiles >= many or channels > 1
    pointwise = Shape(1, 1, 8, 64, (ONE, ONE, axis(6000, 1)))
    schedule = make_schedule(pointwise, row, may_be_direct=True, may_be_flat=True)
    assert staged_strip_tiles(schedule, pointwise, row) == 1
