"""Staged planes: what every tap of every pixel finds at its offset, compiled and interpreted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from direct_oracle import axis, shapes_of, sources
from faltung.compiled import words as at
from faltung.compiled.call import prepare, steps_of
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.simd import memory
from faltung.compiled.staging import stage
from faltung.compiled.sweep import enter_box
from faltung.compiled.variants import find_row


def tasks():
    rng = np.random.default_rng(5)
    one = Axis(1, 1, 1)
    yield (one, axis(9, 3, 1, 1, 1, 1), axis(11, 3, 1, 1, 1, 1))
    yield (one, axis(9, 3, 2, 3, 2, 1), axis(40, 5, 3, 2, 4, 4, rng))
    yield (axis(5, 2, 2, 1, 1, 1, rng), axis(6, 3, 1, 2, 2, 2), axis(7, 2, 2, 1, 1, 0))
    yield (one, one, axis(3000, 9, 2, 5, 20, 20, rng))
    yield (one, axis(7, 4, 1, 3, 3, 3), axis(200, 1))


@pytest.mark.parametrize("axes", list(tasks()), ids=range(5))
@pytest.mark.parametrize("box", [0, -1], ids=["first", "last"])
def test_every_tap_finds_its_cell(axes, box):
    """In Python: `test_direct_kernel` holds the compiled code to the same results."""
    task = DirectTask(2, 1, 3, 9, axes, "float32", fill=-7.0)
    x_shape, _, y_shape = shapes_of(task)
    x = np.arange(np.prod(x_shape), dtype=np.float32).reshape(x_shape)
    row = find_row("float32")
    kind = prepare(task, task.sums, row, False, steps_of(x), steps_of(np.empty(y_shape, "f4")))
    call = kind.words.copy()
    schedule = kind.schedule
    workspace = np.full(schedule.workspace // 8, -1, np.int64)
    block, address = workspace.ctypes.data, call.ctypes.data
    call[at.X_BASE] = x.ctypes.data
    number = box % (schedule.jobs // call[at.PARTS_O]) * call[at.PARTS_O]
    enter_box.python(block, address, number)
    workspace[at.CHANNEL], workspace[at.CHANNEL_END] = 0, schedule.chunks.channels
    stage("float32", "float32").python(block, address, 0)

    floats = workspace.view(np.float32)[schedule.staged_at // 4 :]
    taps = task.kernel_taps * schedule.chunks.channels
    table = memory(call[at.TAP_OFFSETS], "int64", taps)
    sample = 0 if box == 0 else 1
    padded = np.full((3, *(n + 1 for n in x_shape[2:])), -7, np.float32)
    padded[:, :-1, :-1, :-1] = x[sample]
    d0, h0, w0 = workspace[at.BOX_D], workspace[at.BOX_H], workspace[at.BOX_W]
    layout_w, layout_h = schedule.layouts[2], schedule.layouts[1]
    pitch = schedule.boxes[2] + layout_w.extra
    rows = layout_h.cells(schedule.boxes[1])
    cells = [sources(each) for each in axes]
    kernel = [each.kernel for each in axes]
    for number, (c, i, j, k) in enumerate(np.ndindex(schedule.chunks.channels, *kernel)):
        for d in range(int(workspace[at.BOX_DS])):
            for h in range(int(workspace[at.BOX_HS])):
                width = int(workspace[at.BOX_WS])
                start = (d * rows + h) * pitch + table[number] // 4
                column = cells[2][w0 : w0 + width, k]
                expected = padded[c, cells[0][d0 + d, i], cells[1][h0 + h, j], column]
                assert np.array_equal(floats[start : start + width], expected)


INTERPRETED = """
import sys, warnings
warnings.simplefilter("error")
sys.path.insert(0, {tests!r})
import numpy as np
from direct_oracle import DTYPES, compute, random_values, reference, shapes_of, task_2d
for dtype in DTYPES:
    task = task_2d(2, 3, 5, 6, dtype=dtype, stride=2)
    rng = np.random.default_rng(0)
    x, weight = (random_values(rng, shape, dtype) for shape in shapes_of(task)[:2])
    wide = np.complex128 if "complex" in dtype else np.float64
    if dtype == "bool" or "int" in dtype:
        wide = np.int64 if dtype == "bool" else np.dtype(dtype).type
    expected = reference(task, x, weight, None, wide)
    expected = expected != 0 if dtype == "bool" else expected.astype(x.dtype)
    assert np.array_equal(compute(task, x, weight), expected), dtype
assert "numba" not in sys.modules
"""


def test_the_whole_kernel_runs_uncompiled():
    source = INTERPRETED.format(tests=str(Path(__file__).resolve().parent.parent))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
