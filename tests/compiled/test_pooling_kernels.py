"""Rows of window reductions: compiled as they are meant, on every instruction set, in bounds."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from faltung.compiled import machine
from faltung.compiled import pooling_words as at
from faltung.compiled._jit import available
from faltung.compiled.pooling import DTYPES
from faltung.compiled.pooling_cut import PoolAxis, PoolTask, cut_task
from faltung.compiled.pooling_moves import copy_row, fill_row, split_row, spread_row, write_places
from faltung.compiled.pooling_rows import ROWS, find_row, reduce_rows

LENGTHS = (1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 33, 63, 64, 65, 70, 130)
needs_compiler = pytest.mark.skipif(not available(), reason="nothing is compiled here")


def call(function, block, words):
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)
    kind(function.address)(block.ctypes.data, words.ctypes.data, 0)


def test_every_dtype_has_a_row_everywhere():
    assert len({row.id for row in ROWS}) == len(ROWS)
    for dtype in DTYPES:
        assert [row for row in ROWS if row.element.dtype == dtype][-1].isa == "generic"
        assert machine.has(find_row(dtype).isa)


def memory_for(dtype, length, taps, seed):
    """A row's source, room for its result between guards, and the block that names them."""
    rng = np.random.default_rng(seed)
    size = np.dtype(dtype).itemsize
    source = rng.integers(0, 100, length + 2 * taps).astype(dtype)
    if source.dtype.kind == "f":
        source[rng.integers(0, length, 2)] = np.nan, -np.inf
    target = np.full(2 * (length + 64), 77, dtype)
    offsets = np.arange(taps) * 2 * size
    block, words = np.zeros(at.THREAD_BYTES // 8, np.int64), np.zeros(400, np.int64)
    block[at.SRC], block[at.OFFSETS] = source.ctypes.data, offsets.ctypes.data
    block[at.TAPS], block[at.LENGTH] = taps, length
    block[at.FLAT], block[at.FLAT_STEP], block[at.LANE_STEP] = 5, 20, 1
    words[at.PLACES_AT] = (length + 64) * size
    return source, target, offsets, block, words


@needs_compiler
@pytest.mark.parametrize(
    ("dtype", "operation", "before", "has_places"),
    [
        ("float32", "max", "", False),
        ("float64", "min", "", False),
        ("float32", "sum", "square", False),
        ("uint8", "max", "", False),
        ("int16", "sum", "", False),
        ("float32", "max", "", True),
        ("int64", "max", "", True),
    ],
)
def test_rows_do_what_they_mean_and_no_more(dtype, operation, before, has_places):
    function = reduce_rows(find_row(dtype), operation, before, has_places, True)
    for length in LENGTHS:
        source, target, offsets, block, words = memory_for(dtype, length, 3, length)
        results = []
        for run in (
            lambda b, w: call(function, b, w),
            lambda b, w: function.python(b.ctypes.data, w.ctypes.data, 0),
        ):
            here = target.copy()
            block[at.DST] = here[8:].ctypes.data
            run(block, words)
            results.append(here)
        assert results[0].tobytes() == results[1].tobytes()
        found = results[0]
        cells = np.stack([source[2 * t : 2 * t + length] for t in range(3)])
        with np.errstate(all="ignore"):
            cells = cells**2 if before else cells
            reduce = {"max": np.max, "min": np.min, "sum": np.sum}[operation]
            expected = reduce(cells, axis=0).astype(dtype)
        assert np.array_equal(found[8 : 8 + length], expected, equal_nan=cells.dtype.kind == "f")
        beyond = found[8 + length :]
        if has_places:
            beyond = np.concatenate([beyond[:64], beyond[64 + length :]])
        assert (found[:8] == 77).all()
        assert (beyond == 77).all()
        assert offsets.size == 3


@needs_compiler
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_moves_do_what_they_mean(size):
    dtype = np.dtype(f"uint{8 * size}")
    rng = np.random.default_rng(size)
    for length in LENGTHS:
        source = rng.integers(0, 200, length + 128).astype(dtype)
        for make, taps, step in (
            (fill_row, 0, 0),
            (copy_row, 0, 0),
            (spread_row, 0, 3 * size),
            (split_row, 2, (length + 64) * size),
            (split_row, 3, (length + 64) * size),
        ):
            function = make(size)
            results = []
            for is_compiled in (True, False):
                block, words = np.zeros(at.THREAD_BYTES // 8, np.int64), np.zeros(400, np.int64)
                target = np.full(4 * (length + 128), 7, dtype)
                block[at.DST], block[at.SRC] = target.ctypes.data, source.ctypes.data
                block[at.LENGTH], block[at.TAPS], block[at.STEP] = length, taps, step
                block[at.VALUE] = 99
                if is_compiled:
                    call(function, block, words)
                else:
                    function.python(block.ctypes.data, words.ctypes.data, 0)
                results.append(target)
            assert np.array_equal(*results)
            if make is copy_row:
                assert np.array_equal(target[:length], source[:length])
                assert (target[length:] == 7).all()
            elif make is split_row:
                for part in range(taps):
                    row = target[part * step // size :]
                    cells = source[part:length:taps]
                    assert np.array_equal(row[: len(cells)], cells)
            elif make is spread_row:
                assert np.array_equal(target[: 3 * length : 3], source[:length])


@needs_compiler
def test_places_are_widened():
    block, words = np.zeros(at.THREAD_BYTES // 8, np.int64), np.zeros(400, np.int64)
    source, target = np.array([3, 2**31 - 2, 0], np.int32), np.zeros(6, np.int64)
    block[at.DST], block[at.SRC] = target.ctypes.data, source.ctypes.data
    block[at.LENGTH], block[at.STEP] = 3, 16
    call(write_places(4), block, words)
    assert target[::2].tolist() == source.tolist()


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
import numpy as np, faltung as ft
from faltung.compiled.pooling_rows import find_row, reduce_rows
rng = np.random.default_rng(0)
wrong = []
for width in (1, 5, 17, 40, 70):
    x = rng.integers(0, 9, (2, 3, 7, width)).astype("f4")
    for kernel, stride in (((2, 1), 1), ((3, min(3, width)), 2), ((1, 1), 3)):
        for call in (ft.max_pool2d, ft.avg_pool2d):
            found, expected = (
                call(x, kernel, stride=stride, algorithm=a) for a in ("pooling", "stencil")
            )
            if not np.array_equal(found, expected):
                wrong.append([width, kernel, stride])
row = find_row("float32")
code = reduce_rows(row, "max", "", False, False).assembly()
print(json.dumps([row.isa, wrong, code]))
"""
FORBIDDEN = {"generic": r"%ymm", "avx2": r"%zmm", "avx512": None}
WANTED = {"generic": r"%xmm", "avx2": r"%ymm", "avx512": r"%zmm"}


@needs_compiler
@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_each_level_computes_with_its_own_vectors(level):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    tests = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=tests)],
        capture_output=True, text=True, check=False, env={**os.environ, "FALTUNG_MAX_ISA": level},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    isa, wrong, code = json.loads(done.stdout)
    assert isa == level
    assert wrong == []
    assert WANTED[level] in code
    assert FORBIDDEN[level] is None or FORBIDDEN[level] not in code


@pytest.mark.parametrize("is_last", [False, True])
def test_boxes_cover_all_outputs_once_and_fit(is_last):
    rng = np.random.default_rng(0)
    for _ in range(200):
        axes = []
        for _ in range(3):
            size, kernel, stride = (int(n) for n in rng.integers([1, 1, 1], [3000, 40, 20]))
            kernel = min(kernel, size)
            axes.append(PoolAxis(size, (size - kernel) // stride + 1, kernel, stride))
        task = PoolTask(2, int(rng.integers(1, 300)), tuple(axes), "float32", "max")
        whole = tuple((0, axis.outputs) for axis in axes)
        cut = cut_task(task, is_last, whole)
        ranges = zip(cut.ranges, cut.boxes, strict=True)
        count = 1
        for (start, stop), box in ranges:
            assert 1 <= box <= stop - start
            count *= -(-(stop - start) // box)
        assert cut.jobs == count * -(-cut.planes // cut.planes_a_job)
        assert cut.workspace <= 16 << 20
