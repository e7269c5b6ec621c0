"""Nothing outside the arrays is touched: input and output lie against pages that forbid it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

GUARDED = """
    import ctypes, mmap, sys
    import numpy as np
    sys.path.insert(0, {tests!r})
    from direct_oracle import axis, reference, random_values, shapes_of, task_2d
    from faltung.compiled.direct import Axis, DirectTask, pack, run

    PAGE = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    keep = []

    def guarded(shape, dtype, at_end):
        '''An array whose first or last byte is the neighbour of a page that cannot be touched.'''
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = -(-size // PAGE)
        area = mmap.mmap(-1, (pages + 2) * PAGE)
        keep.append(area)
        whole = np.frombuffer(area, np.uint8)
        base = whole.ctypes.data
        for address in (base, base + (pages + 1) * PAGE):
            assert libc.mprotect(address, PAGE, 0) == 0
        start = PAGE + (pages * PAGE - size if at_end else 0)
        return whole[start : start + size].view(dtype).reshape(shape)

    def check(task, at_end, last=False):
        rng = np.random.default_rng(0)
        x_shape, weight_shape, y_shape = shapes_of(task)
        x = guarded(x_shape, task.dtype, at_end)
        y = guarded(y_shape, task.dtype, at_end)
        if last:  # channels last
            x, y = (
                np.moveaxis(guarded((n, *spatial, c), task.dtype, at_end), -1, 1)
                for n, c, *spatial in (x_shape, y_shape)
            )
        x[:] = random_values(rng, x_shape, task.dtype)
        weight = random_values(rng, weight_shape, task.dtype)
        run(task, x, pack(weight, task), y)
        wide = np.float64 if "float" in task.dtype else np.dtype(task.dtype).type
        assert np.array_equal(y, reference(task, x, weight, dtype=wide).astype(task.dtype)), task
        keep.clear()
"""

RUNS = """
    count = 0
    for at_end in (False, True):
        for width in (*range(1, 20), 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 200):
            for filters in (1, 3, 4, 8, 13):
                kernel, padding = [(1, 0), (3, 1), (2, 0)][count % 3]
                if width < kernel:
                    continue
                dtype = ["float32", "float32", "float64", "uint8", "float16", "int64"][count % 6]
                stride = 1 + count % 2 if kernel > 1 else 1
                check(task_2d(2, filters, kernel + count % 4, width, kernel, padding, dtype,
                              stride=stride), at_end, last=count % 5 == 0)
                count += 1
    print("done", count)
"""

BEYOND = """
    task = task_2d(1, 1, 8, 64, 1, 0)
    x = guarded((1, 1, 1, 8, 64), "float32", True)
    y = guarded((1, 1, 1, 8, 64), "float32", True)
    shorter = task_2d(1, 1, 9, 64, 1, 0)
    run(shorter, x, pack(np.ones((1, 1, 1, 1, 1), np.float32), shorter), y)
    print("done")
"""


def _run(body):
    source = textwrap.dedent(GUARDED).format(tests=str(TESTS)) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
def test_no_byte_outside_the_arrays_is_touched():
    result = _run(RUNS)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout.split()[1]) > 200


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
def test_the_guard_pages_bite():
    result = _run(BEYOND)
    assert result.returncode < 0
    assert "done" not in result.stdout
