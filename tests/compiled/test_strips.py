"""Strips of the pointwise convolution: bits, bounds, what they ask for ahead, their meaning."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from direct_oracle import axis, random_values, shapes_of
from faltung.compiled import direct, machine
from faltung.compiled import words as at
from faltung.compiled._jit import available
from faltung.compiled.call import prepare, steps_of
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.microkernel import TileShape
from faltung.compiled.pointwise import multiply_box
from faltung.compiled.pointwise_schedule import coming_offsets, with_strips
from faltung.compiled.schedule import Shape, make_schedule
from faltung.compiled.simd import Element
from faltung.compiled.strips import FETCHES_A_TILE, strip
from faltung.compiled.variants import ROWS, find_row

ONE = Axis(1, 1, 1)


def job_of(task, x, y):
    sums = task.sums
    return prepare(task, sums, find_row(sums.dtype), False, steps_of(x), steps_of(y)).job


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32"])
@pytest.mark.parametrize("filters", [8, 13, 24, 40, 47])
@pytest.mark.parametrize("channels", [3, 33, 350])
@pytest.mark.parametrize("offset", [0, 1, 5, 15])
def test_strips_give_what_single_tiles_give(dtype, filters, channels, offset):
    """Outputs that begin anywhere in a cache line, in planes of whole lines and of others.

    The same arrays with a gap behind each pixel are staged, tile by tile.
    """
    rng = np.random.default_rng(3)
    for pixels in (16 * 41, 16 * 25 + 3):
        axes = (ONE, ONE, axis(pixels, 1))
        task = DirectTask(1, 1, channels, filters, axes, dtype, is_relu=offset == 5)
        shapes = shapes_of(task)
        x, weight = (random_values(rng, shape, dtype) for shape in shapes[:2])
        bias = random_values(rng, (filters,), dtype) if offset else None
        size = x.itemsize
        room = np.zeros(2 * shapes[2][1] * pixels + 64, dtype)
        start = -room.ctypes.data % 64 // size + offset
        y = room[start : start + filters * pixels].reshape(shapes[2])
        before = room.copy()
        packed = direct.pack(weight, task, bias)
        direct.run(task, x, packed, y)
        x_apart = np.repeat(x, 2, axis=-1)[..., ::2]
        apart = np.zeros((*shapes[2][:-1], 2 * pixels), dtype)[..., ::2]
        direct.run(task, x_apart, packed, apart)
        assert job_of(task, x, y) is multiply_box
        assert job_of(task, x_apart, apart) is not multiply_box
        assert np.array_equal(y, apart)
        before[start : start + y.size] = y.ravel()
        assert np.array_equal(room, before), "written beyond the output"


@pytest.mark.parametrize("isa", ["avx512", "avx2", "generic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_lines_of_the_next_strip_are_asked_for(isa, dtype):
    row = next(row for row in ROWS if row.isa == isa and row.element.dtype == dtype)
    for channels, filters in [(17, 8), (64, 64), (300, 40), (1024, 256)]:
        shape = Shape(1, 1, channels, filters, (ONE, ONE, axis(4096, 1)))
        cut = make_schedule(shape, row, may_be_direct=True, may_be_flat=True)
        schedule = with_strips(cut, shape, row)
        plane = 4096 * row.element.size
        offsets = coming_offsets(schedule, row, plane)
        tiles, taps = schedule.strip_tiles, schedule.chunks.channels
        assert 1 <= tiles <= 8
        assert len(offsets) == FETCHES_A_TILE * tiles * taps
        run = tiles * row.wide.row_size
        for begin in (0, 16, 60):  # wherever in a line the planes begin
            asked = {(begin + offset) // 64 for offset in offsets}
            cells = {(begin + c * plane + at) // 64 for c in range(taps) for at in range(run)}
            assert cells <= asked
        panels = tiles * taps * row.wide.row_size
        assert schedule.panel_at + panels <= schedule.scratch_at <= schedule.staged_at
        assert schedule.workspace < cut.workspace + 2**18


def test_a_strip_means_in_python_what_it_does_compiled():
    element = Element("float32", 4, True)
    shape = TileShape(element, 2, 2)
    rng = np.random.default_rng(4)
    tiles, taps, blocks, pixels = 3, 5, 4, 24
    x = rng.integers(-4, 5, (taps, 64)).astype("f4")
    weight = rng.integers(-4, 5, (blocks, taps, 2)).astype("f4")
    expected = (weight.transpose(0, 2, 1) @ x[:, :pixels]).reshape(2 * blocks, pixels)
    offsets, linear = np.arange(taps) * 256, np.arange(taps) * shape.row_size
    lines = np.zeros(FETCHES_A_TILE * tiles * taps, np.int64)
    for packs, fetches, direct_blocks in [(True, 1, 4), (True, 2, 3), (False, 4, 0), (False, 0, 4)]:
        out = np.zeros((2 * blocks, 32), "f4")
        scratch = np.zeros((blocks, tiles, 2, 8), "f4")
        panel = np.zeros((tiles, taps, 8), "f4")
        block = np.zeros(64, np.int64)
        for place, value in {
            at.X: x.ctypes.data, at.WEIGHT: weight.ctypes.data, at.TAPS: taps,
            at.OFFSETS: offsets.ctypes.data, at.LINEAR: linear.ctypes.data,
            at.PANEL: panel.ctypes.data, at.BLOCKS: blocks, at.DIRECT: direct_blocks,
            at.OUT: out.ctypes.data, at.PITCH: 128, at.OUT_STEP: 256, at.TILES: tiles,
            at.SCRATCH: scratch.ctypes.data, at.COMING: x.ctypes.data,
            at.COMING_OFFSETS: lines.ctypes.data,
        }.items():  # fmt: skip
            block[place] = value
        job = strip(shape, packs, fetches)
        runs = [job.python]
        if available() and machine.has("avx2"):  # that fuses products and sums, as `element` says
            runs.append(ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(job.address))
        for run in runs:
            out[...], scratch[...] = 0, 0
            run(block.ctypes.data, 0, 0)
            kept = scratch.transpose(0, 2, 1, 3).reshape(2 * blocks, pixels)
            rows = 2 * direct_blocks
            assert np.array_equal(out[:rows, :pixels], expected[:rows])
            assert np.array_equal(kept[rows:], expected[rows:])
            assert not out[rows:].any()
            assert not out[:, pixels:].any()
