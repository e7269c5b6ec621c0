"""Tiles with output channels in their lanes: the bits of the other tile, and how they are cut."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import faltung as ft
from direct_oracle import axis, compute, shapes_of, task_2d
from faltung.compiled import direct, machine
from faltung.compiled._jit import available
from faltung.compiled.direct import Axis, DirectTask
from faltung.compiled.lanes import schedule_of
from faltung.compiled.lanes_schedule import ROWS, _Cutter, find_lanes_row, suits
from faltung.compiled.lanes_store import transposer
from faltung.compiled.lanes_tile import LanesTile, tile
from faltung.compiled.schedule import MOST_WORKSPACE, Shape
from faltung.compiled.simd import memory

HERE = [row for row in ROWS if machine.has(row.isa)]


def test_ids_differ_and_end_with_the_level():
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert all(row.id.endswith(f"__{row.isa}") for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_tile_fits_the_registers(row):
    registers = 32 if row.isa == "avx512" else 16
    # A cell that has one use is an operand in memory.
    cells = 0 if row.vectors == 1 and row.isa == "avx512" else 1
    sums = max(runs * columns for runs, columns in row.tiles) * row.vectors
    assert sums + row.vectors + cells <= registers


LARGE = [
    task_2d(64, 64, 27, 35),
    task_2d(40, 41, 7, 7, groups=2, batch=2),
    task_2d(33, 48, 29, 31, kernel=4, padding=3, stride=2, dilation=2),
    task_2d(300, 32, 5, 3, is_relu=True),
    task_2d(12, 32, 40, 17, kernel=7, padding=6),
    DirectTask(1, 1, 48, 32, (axis(5, 3, 2, 1, 1, 1), axis(6, 2), axis(40, 3, 3, 2)), "float32"),
    DirectTask(1, 1, 144, 96, (Axis(1, 1, 1), Axis(1, 1, 1), axis(40, 2, 1, 26)), "float32"),
]


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize("task", LARGE, ids=range(len(LARGE)))
def test_both_tiles_give_the_same_bits(monkeypatch, task, dtype):
    task = DirectTask(
        task.batch, task.groups, task.channels, task.filters, task.axes, dtype,
        is_relu=task.is_relu and dtype != "complex64",
    )  # fmt: skip
    assert direct.row_of(task) is find_lanes_row(task.sums.dtype)
    rng = np.random.default_rng(7)
    x_shape, weight_shape, _ = shapes_of(task)
    x, weight, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in (x_shape, weight_shape, weight_shape[:1])
    )
    x[rng.random(x.shape) < 0.2] = -0.0
    ours = compute(task, x, weight, bias)
    monkeypatch.setattr(direct, "find_lanes_row", lambda _dtype: None)
    direct.facts.cache_clear()
    other = compute(task, x, weight, bias)
    direct.facts.cache_clear()
    assert np.array_equal(ours.view(np.uint8), other.view(np.uint8))


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("row", HERE, ids=lambda row: row.id)
def test_blocks_are_turned_round(row):
    lanes, dtype = row.element.lanes, row.element.dtype
    transpose = transposer(row.element)
    source = np.arange(2 * lanes * lanes, dtype=dtype).reshape(lanes, 2 * lanes)
    for pixels, rows in ((lanes, lanes), (1, lanes), (lanes, 1), (max(1, lanes - 1), 2)):
        out = np.full((lanes, lanes + 3), -1, dtype)
        transpose(
            source.ctypes.data, source.strides[0], out.ctypes.data, out.strides[0], pixels, rows
        )
        expected = np.full_like(out, -1)
        expected[:rows, :pixels] = source[:pixels, :rows].T
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("is_dense", [True, False])
def test_a_tile_by_its_meaning_in_numpy(is_dense):
    apart = 1 if is_dense else 3
    shape = LanesTile(HERE[0].element, 2, 3, 2, 2, 2, is_dense)
    lanes, size = shape.element.lanes, shape.element.size
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (4, 9)).astype(shape.element.dtype)
    weight = rng.integers(-3, 4, (2, 4, lanes)).astype(x.dtype)
    places, steps = np.array([0, 2 * x.strides[0]]), np.full((2, 2), 2 * shape.element.vector_size)
    steps[:, 0] = x.strides[0], 0
    out = np.zeros((2, 3, 2, lanes), x.dtype)
    bias, floor = np.ones((2, lanes), x.dtype), np.zeros(1, x.dtype)
    run = tile(shape)
    run(
        places.ctypes.data, x.ctypes.data, weight.ctypes.data, weight.strides[0],
        steps.ctypes.data, apart * size, 2, 0, out.ctypes.data, 1, out.ctypes.data,
        bias.ctypes.data, floor.ctypes.data,
    )  # fmt: skip
    expected = np.zeros_like(out)
    for row, column in np.ndindex(2, 3):
        window = x[2 * row : 2 * row + 2, 2 * column :][:, [0, apart]].reshape(4)
        expected[row, column] = np.maximum(np.einsum("vtl,t->vl", weight, window) + 1, 0)
    assert np.array_equal(out, expected)
    assert memory(out.ctypes.data, "float64" if size == 8 else "float32")[0] == expected.flat[0]
    assert ctypes.sizeof(ctypes.c_void_p) == 8


def test_which_convolutions_belong_here():
    row = next(row for row in ROWS if row.id == "f32_lanes_28x1__avx512")
    small = task_2d(64, 64, 14, 14).axes
    assert suits(64, 64, small, row)
    assert not suits(64, 64, task_2d(64, 64, 14, 14, 1, 0).axes, row)  # read where they lie
    assert not suits(64, 4, small, row)  # a quarter of a vector
    assert not suits(3, 64, small, row)  # 27 products do not pay for turning the sums round
    assert suits(12, 16, small, row)
    assert not suits(12, 16, task_2d(12, 16, 56, 56).axes, row)  # whole vectors of pixels
    assert suits(16, 16, task_2d(16, 16, 56, 56).axes, row)
    line = Axis(1, 1, 1), Axis(1, 1, 1), axis(4096, 3, 1, 1, 1, 1)
    assert suits(86, 64, line, row)
    assert not suits(85, 64, line, row)  # a row of the kernel is used for three taps only
    assert suits(64, 64, task_2d(64, 64, 56, 56).axes, row)
    column = axis(8, 3, 1, 1, 1, 1), Axis(56, 1, 56), Axis(56, 1, 56)
    assert not suits(144, 64, column, row)  # each cell of a row is used for three taps only
    strided = task_2d(128, 128, 56, 56, stride=2).axes
    assert not suits(128, 128, strided, row)  # half of the cells that are read for a tap are used
    assert suits(128, 128, task_2d(128, 128, 28, 28, stride=2).axes, row)
    assert suits(320, 256, task_2d(320, 256, 33, 33, padding=12, dilation=12).axes, row)
    assert not suits(100_000, 64, small, row)  # their cells would fill the workspace


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_of_a_box_that_is_staged_once(threads):
    task = task_2d(64, 512, 7, 7)
    cut = schedule_of(task, task.sums, find_lanes_row("float32"))
    assert cut.blocks > cut.blocks_a_part
    rng = np.random.default_rng(5)
    x_shape, weight_shape, _ = shapes_of(task)
    x = rng.integers(-3, 4, x_shape).astype("f4")
    weight = rng.integers(-3, 4, weight_shape).astype("f4")
    plain = ft.conv(x[:, :, 0], weight[:, :, 0], padding=1, algorithm="stencil")
    before = ft.get_num_threads()
    ft.set_num_threads(threads)
    try:
        first = compute(task, x, weight)
        # Workspace is kept between calls: what an earlier call has staged must not be taken.
        second = compute(task, -x, weight)
    finally:
        ft.set_num_threads(before)
    assert np.array_equal(first[:, :, 0], plain)
    assert np.array_equal(second, -first)


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
def test_an_operator_serves_small_and_large_planes():
    rng = np.random.default_rng(3)
    operator = ft.Conv(rng.integers(-2, 3, (32, 40, 3, 3)).astype("f4"), algorithm="direct")
    for size in (9, 50, 10, 51):
        x = rng.integers(-3, 4, (1, 40, size, size)).astype("f4")
        assert np.array_equal(operator(x), ft.conv(x, operator.weight, algorithm="stencil"))


def tasks():
    yield from LARGE
    yield task_2d(512, 512, 7, 7)
    yield task_2d(320, 256, 33, 33, padding=12, dilation=12)
    yield task_2d(64, 64, 500, 700)
    yield DirectTask(3, 2, 32, 64, (axis(1, 1), axis(1, 1), axis(100_000, 9)), "float64")
    yield DirectTask(1, 1, 2000, 64, (axis(9, 5), axis(60, 5), axis(60, 5)), "float32")


@pytest.mark.parametrize(
    ("channels", "size", "batch", "dilation"),
    [(2048, 40, 8, 4), (4096, 40, 16, 1), (1024, 56, 64, 4), (16384, 14, 8, 1)],
)
def test_many_channels_are_cut_into_boxes_that_fit(channels, size, batch, dilation):
    options = {"padding": dilation, "dilation": dilation}
    for samples in (1, batch):
        task = task_2d(channels, 16, size, size, batch=samples, **options)
        assert not direct.facts(task).refusal


def test_tiles_of_small_last_boxes_are_counted():
    row = next(row for row in ROWS if row.id == "f32_lanes_28x1__avx512")
    cutter = _Cutter(Shape(1, 1, 64, 64, task_2d(64, 64, 33, 33).axes), row)
    assert cutter.filled((1, 33, 33)) == 1
    # Five runs a row, four runs a tile: eight boxes with five tiles and one with two.
    assert cutter.filled((1, 4, 33)) == 42 / 45
    assert cutter.filled((1, 1, 28)) == pytest.approx((33 * 1 + 33 * 1) / 66)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_cuts_cover_every_output_once_within_the_workspace(row):
    for task in tasks():
        cut = schedule_of(task, task.sums, row)
        assert cut.workspace <= MOST_WORKSPACE
        boxes = task.batch * task.groups
        for window, box, cells in zip(task.axes, cut.box, cut.boxes, strict=True):
            assert 1 <= box <= window.outputs
            assert cells == box * window.stride
            boxes *= -(-window.outputs // box)
        parts = -(-cut.blocks // cut.blocks_a_part)
        assert cut.jobs == boxes * parts
        assert (cut.blocks - 1) * row.rows < task.filters <= cut.blocks * row.rows
        assert (cut.tile.runs, cut.tile.columns) in row.tiles
        # To read all cells again for each part is a small share of the sums.
        read = cut.jobs * task.channels * cut.plane_size / row.element.vector_size
        sums = task.macs / row.element.lanes
        assert parts == 1 or read < 0.2 * sums
