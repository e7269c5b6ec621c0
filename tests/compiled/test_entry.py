"""The native entry of a call, and packing as part of it."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest

from direct_oracle import axis, random_values, reference, shapes_of, task_2d
from faltung.compiled import call, direct, entry, packing, parallel
from faltung.compiled.direct import Axis, DirectTask, pack, packing_runner, runner
from faltung.compiled.variants import find_row


def arrays_of(task, seed=0):
    rng = np.random.default_rng(seed)
    x_shape, weight_shape, y_shape = shapes_of(task)
    x = random_values(rng, x_shape, task.dtype)
    weight = random_values(rng, weight_shape, task.dtype)
    bias = random_values(rng, weight_shape[:1], task.dtype)
    return x, weight, bias, np.zeros(y_shape, task.dtype)


def test_arrays_hold_their_address_behind_the_object_header():
    """What the entry reads; NumPy's C interface promises it."""
    whole = np.arange(100.0)
    for array in (whole, whole[3:], whole[::-2], np.empty((2, 3, 0)), np.array(1, "i1")):
        place = id(array) + object.__basicsize__
        assert ctypes.c_void_p.from_address(place).value == array.ctypes.data


def test_where_arrays_are_laid_out_otherwise_python_looks_their_addresses_up(monkeypatch):
    """Short and long calls, weights packed before and on the way, with biases and without."""
    for size, packs, has_bias in itertools.product((9, 70), (False, True), (False, True)):
        task = DirectTask(1, 1, 9, 11, (Axis(1, 1, 1), axis(size, 3), axis(size, 3)), "float32")
        x, weight, bias, y = arrays_of(task)
        held = weight, bias if has_bias else None
        if not packs:
            packed = direct.pack(weight, task, held[1])
            held = packed.weights, packed.biases
        results = []
        for is_known in (True, False):
            with monkeypatch.context() as patch:
                patch.setattr(entry, "_addresses_are_in_objects", lambda known=is_known: known)
                patch.setattr(direct, "runner_of", call.runner_of.__wrapped__)
                patch.setattr(direct.lanes, "runner_of", direct.lanes.runner_of.__wrapped__)
                row = direct.row_of(task)
                run = direct.runner(task, x, y, row, has_bias, packs=packs)
            y[...] = -1
            assert run(x, y, *held) == 0
            results.append(y.copy())
        assert np.array_equal(*results)
        expected = reference(task, x, weight, bias if has_bias else np.zeros_like(bias))
        assert np.array_equal(results[0], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("channels", "filters", "kernel", "groups"),
    [(3, 8, 3, 1), (200, 9, 1, 1), (1, 1, 1, 1), (5, 19, 3, 2), (2, 12, 13, 1), (1, 3, 14, 3)],
)
def test_weights_packed_on_the_way_give_the_same_bits(dtype, channels, filters, kernel, groups):
    task = task_2d(channels, filters, 20, 21, kernel, 1, dtype, groups=groups)
    x, weight, bias, y = arrays_of(task)
    for each in (None, bias):
        packed = pack(weight, task, each)
        other = np.ones_like(y)
        assert runner(task, x, y, packed.row, each is not None)(x, y, *packed[:2]) == 0
        assert packing_runner(task, x, other, each is not None)(x, other, weight, each) == 0
        assert np.array_equal(y, other)
        assert np.array_equal(y, reference(task, x, weight, each).astype(dtype))


@pytest.mark.parametrize("size", [6, 300])
def test_weights_that_are_not_finite_are_refused(size):
    """Alone on the caller's thread, and shared."""
    task = task_2d(8, 9, size, size)
    x, weight, bias, y = arrays_of(task)
    run = packing_runner(task, x, y, True)
    for value in (np.nan, np.inf, -np.inf):
        for place in (0, weight.size - 1):
            spoiled = weight.copy()
            spoiled.flat[place] = value
            assert run(x, y, spoiled, bias) == entry.NOT_FINITE
    assert not y.any()
    assert run(x, y, weight, np.full_like(bias, np.inf)) == 0
    assert np.isposinf(y).all()
    largest = np.full_like(weight, np.finfo(np.float32).max)
    assert run(np.zeros_like(x), y, largest, bias * 0) == 0


def test_data_between_two_elements_is_refused():
    task = task_2d(8, 8, 8, 8)
    x, weight, _, y = arrays_of(task)
    run = packing_runner(task, x, y, False)
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert run(shifted, y, weight, None) == entry.MISALIGNED
    assert not y.any()


def test_integers_have_no_value_that_is_not_finite():
    task = task_2d(2, 3, 5, 5, dtype="uint32")
    weight = np.full(shapes_of(task)[1], 0x7F80_0000, np.uint32)
    assert pack(weight, task).is_finite


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8, 13, 24])
def test_packing_keeps_every_weight_once(rows):
    row = find_row("float32")
    weight = np.arange(1, rows * 5 * 9 + 1, dtype=np.float32).reshape(rows, 5, 3, 3)
    task = task_2d(5, rows, 9, 9)
    assert task.sums is not None
    packed, is_finite = packing.pack_weights(weight, 1, "float32", task.sums, find_row("float32"))
    assert is_finite
    assert sorted(packed[packed != 0].tolist()) == weight.ravel().tolist()
    assert packed.size == packing.packing_of(1, rows, 5, 9, row).weight_bytes // 4


def test_two_threads_do_not_share_memory():
    import threading

    task = task_2d(8, 8, 8, 8)
    cases = [arrays_of(task, seed) for seed in range(8)]
    run = packing_runner(task, cases[0][0], cases[0][3], True)
    wrong = []

    def work(case):
        x, weight, bias, y = case
        expected = reference(task, x, weight, bias).astype(np.float32)
        for _ in range(200):
            run(x, y, weight, bias)
            if not np.array_equal(y, expected):
                wrong.append(case)

    threads = [threading.Thread(target=work, args=(case,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_short_calls_stay_with_the_caller(monkeypatch):
    task = task_2d(8, 8, 8, 8)
    x, weight, _, y = arrays_of(task)
    run = packing_runner(task, x, y, False)
    monkeypatch.setattr(parallel, "run", lambda *_: pytest.fail("shared"))
    assert run(x, y, weight, None) == 0
