"""Passes along the axes against loops over taps; their bits, memory and overflow."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from compiled_jobs import output_of
from direct_oracle import axis, shapes_of
from faltung.compiled import _jit, machine, parallel
from faltung.compiled.certain import _store_sixteen
from faltung.compiled.low_rank import facts, pack, run
from faltung.compiled.low_rank_schedule import make_schedule, pieces_of
from faltung.compiled.schedule import MOST_WORKSPACE
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import find_row
from low_rank_cases import draw, draw_bytes, is_exact

COUNTS = {"float32": 40, "float64": 12, "uint8": 12, "int16": 8}


def plane(height, width, kernel, dtype="float32", padding=None):
    rows, columns = kernel
    axes = [
        axis(size, taps, 1, 1, taps // 2, (taps - 1) // 2)
        for size, taps in ((height, rows), (width, columns))
    ]
    return DirectTask(1, 1, 1, 1, (Axis(1, 1, 1), *axes), dtype)


@pytest.mark.parametrize("dtype", COUNTS)
def test_whole_numbers_are_exact(dtype):
    assert [seed for seed in range(COUNTS[dtype]) if not is_exact(seed, dtype)] == []


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_bytes_are_rounded_as_in_double_whatever_the_margin(dtype):
    for seed in range(12):
        _, task, x, packed, expected = draw_bytes(seed, dtype)
        y = np.zeros(expected.shape, dtype)
        run(task, x, packed, y)
        assert np.array_equal(y, expected), seed
        apart = np.zeros((*expected.shape, 2), dtype)[..., 0]
        run(task, x, packed, apart)
        assert np.array_equal(apart, expected), seed


def test_a_wrong_factor_is_noticed():
    _, task, x, packed, expected = draw(0, "float32")
    packed.weights[...] += 1
    y = np.zeros_like(expected)
    run(task, x, packed, y)
    assert not np.array_equal(y, expected)


@pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_rounding_of_sixteen_does_what_numpy_means(dtype):
    store_sixteen = _store_sixteen(dtype)

    @_jit.kernel("intp(intp[::1])", key=dtype)
    def run_sixteen(v):
        return store_sixteen(v[0], v[1], v[2])

    rng, margin = np.random.default_rng(0), np.array([0.25], np.float32)
    flags = set()
    for _ in range(20):
        sums = (rng.integers(-1400, 2600, 16) / 8).astype(np.float32)
        results = []
        for function in (run_sixteen, store_sixteen.python):
            out = np.zeros(16, dtype)
            values = [out.ctypes.data, sums.ctypes.data, margin.ctypes.data]
            flag = function(
                np.array(values) if function is run_sixteen else values[0],
                *(() if function is run_sixteen else values[1:]),
            )
            results.append((flag, out.tolist()))
            flags.add(flag)
        assert results[0] == results[1]
        limits = np.iinfo(dtype)
        clipped = np.clip(sums, limits.min, limits.max)
        sure = np.rint(clipped - margin) == np.rint(clipped + margin)
        assert results[0][0] == int((~sure << np.arange(16)).sum())
        assert np.array_equal(np.array(results[0][1])[sure], np.rint(clipped)[sure])
    assert len(flags) > 5


@pytest.mark.parametrize("kernel", [(1, 12, 9), (3, 6, 3)])
def test_bits_do_not_depend_on_boxes_and_threads(kernel, monkeypatch):
    from faltung.compiled import low_rank, low_rank_schedule

    sizes = (9, 60, 300) if kernel[0] > 1 else (1, 200, 900)
    axes = [axis(n, k, 1, 1, k // 2, (k - 1) // 2) for n, k in zip(sizes, kernel, strict=True)]
    task = DirectTask(1, 1, 1, 1, tuple(axes), "float32")
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shapes_of(task)[0]).astype("f4")
    taps = [k for k in kernel if k > 1]
    packed = pack(rng.standard_normal((1, 1, sum(taps))).astype("f4"), task)
    before, results = parallel.get_num_threads(), []
    try:
        for threads, staged in ((1, 384 << 10), (2, 384 << 10), (7, 64 << 10), (3, 200 << 10)):
            parallel.set_num_threads(threads)
            monkeypatch.setattr(low_rank_schedule, "_STAGED_BYTES", staged)
            make_schedule.cache_clear()
            low_rank._runner_of.cache_clear()
            results.append(np.zeros(shapes_of(task)[2], np.float32))
            run(task, x, packed, results[-1])
    finally:
        parallel.set_num_threads(before)
        make_schedule.cache_clear()
        low_rank._runner_of.cache_clear()
    assert all(np.array_equal(results[0], y) for y in results[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_are_not_finite_are_noted_where_that_is_asked_for(dtype):
    task = plane(40, 50, (5, 5), dtype)
    x = np.ones(shapes_of(task)[0], dtype)
    factors, y = np.ones((1, 1, 10), dtype), np.zeros(shapes_of(task)[2], dtype)
    assert not run(task, x, pack(factors, task, checks=True), y)
    for value in (np.inf, -np.inf, np.nan):
        x[..., 20, 30] = value
        assert run(task, x, pack(factors, task, checks=True), y)
        assert not run(task, x, pack(factors, task), y)
    x[..., 20, 30] = np.finfo(dtype).max
    assert not run(task, x, pack(factors / 4, task, checks=True), y)


def test_pieces_cover_the_taps():
    for taps in range(1, 200):
        pieces = pieces_of(taps)
        assert [tap for first, count in pieces for tap in range(first, first + count)] == list(
            range(taps)
        )
        assert max(count for _, count in pieces) <= 8


@pytest.mark.parametrize("kernel", [(1, 3, 3), (1, 101, 101), (9, 9, 9), (64, 64, 64)])
def test_workspace_is_bounded(kernel):
    for shape in ((1, 1, 1), (3, 100, 100_000), (300, 5000, 7), (2000, 2000, 2000)):
        axes = [
            Axis(n, n, k, 1, 1, k // 2, (-1,) * (k // 2), (-1,) * ((k - 1) // 2))
            for n, k in zip(shape, kernel, strict=True)
        ]
        task = DirectTask(1, 1, 1, 1, tuple(axes), "float64")
        told = facts(task)
        assert told.workspace_bytes <= MOST_WORKSPACE or told.refusal
        schedule = make_schedule(task, find_row("float64"))
        boxes = np.prod([-(-n // box) for n, box in zip(shape, schedule.boxes, strict=True)])
        assert told.jobs == boxes


def test_what_cannot_run_is_refused():
    assert "complex64" in facts(plane(9, 9, (3, 3), "complex64")).refusal
    axes = (Axis(1, 1, 1), axis(3000, 2900), axis(3000, 2900))
    assert "stages" in facts(DirectTask(1, 1, 1, 1, axes, "float64")).refusal


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize(("level", "count"), [("generic", 5), ("avx2", 5), ("avx512", 20)])
def test_nothing_outside_the_arrays_is_touched_on_any_level(level, count):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    code = f"import guarded_low_rank as g; g.main({count})"
    assert output_of(code, seconds=120, FALTUNG_MAX_ISA=level).split() == [level, str(count)]
