"""Pointwise convolutions read in place, small inputs staged by a table: bits, tails, borders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from direct_oracle import axis, compute, random_values, reference, shapes_of
from faltung.compiled import gathering, machine, parallel
from faltung.compiled.call import prepare, steps_of
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.pointwise import multiply_box
from faltung.compiled.staging import stage
from faltung.compiled.variants import find_row

ONE = Axis(1, 1, 1)


def pointwise_task(channels, filters, pixels, dtype="float32", **options):
    numbers = options.pop("batch", 1), options.pop("groups", 1), channels, filters
    return DirectTask(*numbers, (ONE, ONE, axis(pixels, 1)), dtype, **options)


def prepared(task, x, y):
    sums = task.sums
    return prepare(task, sums, find_row(sums.dtype), False, steps_of(x), steps_of(y))


def normal(task):
    rng = np.random.default_rng(0)
    x_shape, weight_shape, _ = shapes_of(task)
    x, weight = (rng.standard_normal(shape).astype(task.dtype) for shape in (x_shape, weight_shape))
    return x, weight


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("filters", [1, 3, 4, 8, 11, 19, 40])
@pytest.mark.parametrize("channels", [1, 8, 170])
def test_bits_are_those_of_the_staged_way(dtype, filters, channels):
    """A pixel more, a pixel less: tails overlap. Every second pixel of a wide array is staged."""
    row = find_row(dtype)
    for pixels in (row.line.pixels, 3 * row.wide.pixels + 1, 1023, 1500):
        task = pointwise_task(channels, filters, pixels, dtype, batch=2, is_relu=pixels == 1500)
        x, weight = normal(task)
        y = compute(task, x, weight)
        assert prepared(task, x, y).job is multiply_box
        apart = np.zeros((*x.shape[:-1], 2 * pixels), dtype)[..., ::2]
        apart[...] = x
        assert prepared(task, apart, y).job is not multiply_box
        assert np.array_equal(compute(task, apart, weight), y)


def test_groups_and_biases_go_to_their_rows():
    rng = np.random.default_rng(1)
    for filters in (1, 8, 13):
        task = pointwise_task(5, filters, 700, groups=3, batch=2)
        x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
        bias = random_values(rng, (3 * filters,), "float32")
        expected = reference(task, x, weight, bias)
        assert np.array_equal(compute(task, x, weight, bias), expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_threads_do_not_change_bits(threads):
    task = pointwise_task(64, 70, 5003)
    x, weight = normal(task)
    before = parallel.get_num_threads()
    try:
        parallel.set_num_threads(1)
        alone = compute(task, x, weight)
        parallel.set_num_threads(threads)
        assert all(np.array_equal(compute(task, x, weight), alone) for _ in range(5))
    finally:
        parallel.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32", "uint64"])
def test_gathered_inputs_give_the_bits_of_staged_ones(dtype, monkeypatch):
    """Every border of random cells, stride, dilation and reversed memory."""
    from faltung.compiled import call, direct

    rng = np.random.default_rng(2)
    tasks = [
        (axis(h, k, s, d, b, a, rng), axis(h + 3, k, s, d, a, b, rng))
        for h, k, s, d, (b, a) in itertools.product(
            (3, 9, 14), (1, 2, 3), (1, 2), (1, 2), ((0, 0), (2, 1))
        )
        if h + a + b > d * (k - 1)
    ]
    assert len(tasks) > 40
    for axes in tasks:
        task = DirectTask(2, 1, 3, 9, (ONE, *axes), dtype, fill=2)
        x, weight = (random_values(rng, shape, dtype) for shape in shapes_of(task)[:2])
        turned = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
        gathered = [compute(task, each, weight) for each in (x, turned)]
        with monkeypatch.context() as patch:
            patch.setattr(call, "has_short_rows", lambda *_: False)
            patch.setattr(direct, "runner_of", call.runner_of.__wrapped__)
            patch.setattr(call, "prepare", call.prepare.__wrapped__)
            staged = compute(task, x, weight)
        assert all(np.array_equal(each, staged) for each in gathered)


def test_gathering_means_in_python_what_it_does_compiled():
    source = np.arange(40, dtype=np.float32)
    rng = np.random.default_rng(0)
    table = rng.integers(0, 40, 32) * 4
    table[rng.random(32) < 0.3] = gathering._OUTSIDE
    fill = np.full(1, -7, np.float32)
    target = np.zeros(32, np.float32)
    gather = gathering._gatherer("float32", 16)
    gather(target.ctypes.data, source.ctypes.data, table.ctypes.data, 2, fill.ctypes.data)
    expected = np.where(table < 0, -7, source[np.maximum(table, 0) // 4])
    assert np.array_equal(target, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_runs_stage_what_a_gather_stages(dtype):
    """In Python's words; where cells lie apart there are no runs."""
    size, lanes, rng = np.dtype(dtype).itemsize, 8, np.random.default_rng(0)
    source = rng.standard_normal(60).astype(dtype)
    fill, target = np.full(1, -7, dtype), np.zeros(3 * lanes, dtype)
    # Runs that end in the middle of a vector, from a place before the array too; then none.
    cells = np.concatenate([np.arange(-3, 5), np.arange(20, 24), np.arange(40, 44), np.full(8, -1)])
    table = np.where(cells < 0, gathering._OUTSIDE, cells * size)
    runs = gathering.run_table(table, size, lanes)
    assert runs is not None
    assert runs[0] == 2
    expected = np.where(cells < 0, -7, source[np.maximum(cells, 0)])
    for make, places in ((gathering._gatherer, table), (gathering._run_loader, runs)):
        target[...] = 0
        addresses = (each.ctypes.data for each in (target, source, places))
        make(dtype, lanes)(*addresses, 3, fill.ctypes.data)
        assert np.array_equal(target, expected)
    assert gathering.run_table(table[::-1].copy(), size, lanes) is None


@pytest.mark.skipif(not machine.has("avx2"), reason="vectors of four cells gain nothing by runs")
def test_short_rows_go_by_a_table_and_long_ones_do_not():
    """By runs without a stride, by a gather with one."""
    lanes = find_row("float32").element.lanes
    runs, gather = (gathering.gather_stage("float32", lanes, by_runs) for by_runs in (True, False))
    rows = stage("float32", "float32", False)
    for size, stride, used in [(8, 1, runs), (14, 1, runs), (16, 3, gather), (60, 1, rows)]:
        axes = (ONE, axis(size, 3, 1, 1, 1, 1), axis(size, 3, stride))
        task = DirectTask(1, 1, 3, 9, axes, "float32")
        x_shape, _, y_shape = shapes_of(task)
        words = prepared(task, np.zeros(x_shape, "f4"), np.zeros(y_shape, "f4")).words
        assert words[gathering.at.STAGE] == used.address or not used.address
