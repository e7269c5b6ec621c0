"""Planes side by side in the lanes: their tile, their bits, and when they are chosen."""

from dataclasses import replace

import numpy as np
import pytest

from direct_oracle import axis, reference, shapes_of
from faltung.compiled import _jit, image, machine, parallel
from faltung.compiled.image_schedule import make_schedule
from faltung.compiled.image_tile import PictureTile
from faltung.compiled.plane_lanes import lane_tile
from faltung.compiled.plane_lanes_cut import find_cut
from faltung.compiled.simd import Element
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import ROWS, find_row
from faltung.testing import error_bound
from image_cases import compute, lanes_are_exact


def planes(size, kernel, stride=1, groups=40, dtype="float32", **more):
    axes = (Axis(1, 1, 1), *[axis(size, kernel, stride, 1, kernel // 2, kernel // 2)] * 2)
    return DirectTask(more.pop("batch", 1), groups, 1, 1, axes, dtype, **more)


@pytest.fixture
def lanes_used(monkeypatch):
    """Planes are done side by side wherever they can be; the calls that were."""
    calls = []

    def put(*arguments, real=image._put_lanes):
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(image, "find_lanes", lambda task, _schedule, row: find_cut(task, row))
    monkeypatch.setattr(image, "_put_lanes", put)
    image._runner_of.cache_clear()
    yield calls
    image._runner_of.cache_clear()


def one_by_one(monkeypatch, task, x, weight, bias=None):
    with monkeypatch.context() as patch:
        patch.setattr(image, "find_lanes", lambda *_: None)
        image._runner_of.cache_clear()
        y = compute(task, x, weight, bias)
    image._runner_of.cache_clear()
    return y


@pytest.mark.parametrize(("dtype", "count"), [("float32", 24), ("float64", 8), ("uint32", 4)])
def test_whole_numbers_are_exact(dtype, count, lanes_used):
    assert [seed for seed in range(count) if not lanes_are_exact(seed, dtype)] == []
    assert len(lanes_used) > count // 2


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [(1, 32), (1, 64), (10, 10), (12, 12), (16, 4), (18, 3), (9, 9)])
def test_kernels_in_several_chunks_of_rows_are_exact(kernel, stride, lanes_used):
    axes = [axis(20, kernel[0], stride, 1, kernel[0] // 2, kernel[0] // 2)]
    axes.append(axis(70, kernel[1], stride, 1, kernel[1] // 2, kernel[1] // 2))
    if kernel[0] == 1:
        axes[0] = Axis(1, 1, 1)
    task = DirectTask(2, 32, 1, 1, (Axis(1, 1, 1), *axes), "float32")
    rng = np.random.default_rng(4)
    x, weight = (rng.integers(-3, 4, shape).astype("f4") for shape in shapes_of(task)[:2])
    expected = reference(task, x, weight, np.zeros(32, "f4"), np.float64)
    assert np.array_equal(compute(task, x, weight), expected)


@pytest.mark.parametrize("is_relu", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(7, 3, 1), (14, 5, 2), (10, 7, 1), (13, 3, 3)]
)
def test_bits_are_those_of_planes_one_by_one(
    size, kernel, stride, is_relu, lanes_used, monkeypatch
):
    task = planes(size, kernel, stride, is_relu=is_relu, batch=2)
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype("f4") for shape in shapes_of(task)[:2])
    x[0, 0, 0, 2] *= 2.0**-140
    x[1, 3, 0, 4, 4], x[0, 39, 0, 0, 0], x[0, 17, 0, 6, 6] = np.nan, np.inf, -np.inf
    for bias in (None, rng.standard_normal(40).astype("f4")):
        mine = compute(task, x, weight, bias)
        assert lanes_used
        lanes_used.clear()
        other = one_by_one(monkeypatch, task, x, weight, bias)
        numbers = ~np.isnan(other)
        assert np.array_equal(np.isnan(mine), ~numbers)
        assert np.array_equal(mine[numbers].view("u4"), other[numbers].view("u4"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_is_bounded(dtype, lanes_used):
    task = planes(7, 7, dtype=dtype)
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(dtype) for shape in shapes_of(task)[:2])
    exact = reference(task, x, weight, dtype=np.longdouble).reshape(shapes_of(task)[2])
    magnitude = reference(task, abs(x), abs(weight), dtype=np.longdouble).reshape(exact.shape)
    limit = error_bound(magnitude, task.kernel_taps, dtype)
    assert np.all(abs(compute(task, x, weight) - exact) <= limit)
    assert lanes_used


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_bits(threads, lanes_used):
    before = parallel.get_num_threads()
    task = planes(14, 5, 2, groups=200, batch=3)
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype("f4") for shape in shapes_of(task)[:2])
    try:
        parallel.set_num_threads(1)
        alone = compute(task, x, weight)
        parallel.set_num_threads(threads)
        assert np.array_equal(compute(task, x, weight), alone)
    finally:
        parallel.set_num_threads(before)
    assert lanes_used


@pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")
@pytest.mark.parametrize("is_full", [0, 1])
@pytest.mark.parametrize(("stride", "every"), [(1, 1), (2, 2), (1, 3)])
def test_the_tile_does_what_numpy_means(is_full, stride, every):
    shape = PictureTile(Element("float32", 4, True), 2, 3, 2, stride)
    compute_tile = lane_tile(shape, every)

    @_jit.kernel("void(intp[::1])")
    def run_tile(v):
        compute_tile(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10])

    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (5, 12, 4)).astype("f4")
    weight, ends = rng.integers(-4, 5, (3, 2, 4)).astype("f4"), rng.integers(-4, 5, 5).astype("f4")
    offsets, pitch = np.array([0, 16, 48]), x.strides[0]
    expected = sum(
        weight[j, i] * x[i : i + 2 * stride : stride, offset // 16 :][:, : 3 * every : every]
        for j, offset in enumerate(offsets)
        for i in range(2)
    )
    if is_full:
        expected = np.maximum(expected + ends[:4], ends[4])
    for function in (run_tile, compute_tile.python):
        out = np.zeros((2, 4, 4), "f4")
        values = [
            x.ctypes.data, stride * pitch, pitch, weight.ctypes.data, offsets.ctypes.data, 3,
            out.ctypes.data, out.strides[0], is_full, ends.ctypes.data, ends[4:].ctypes.data,
        ]  # fmt: skip
        function(np.array(values)) if function is run_tile else function(*values)
        assert np.array_equal(out[:, :3], expected)
        assert not out[:, 3].any()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
@pytest.mark.parametrize("size", [5, 7, 14, 28])
def test_tiles_cover_the_outputs(size, row):
    for kernel, stride in ((3, 1), (5, 2), (7, 1)):
        cut = find_cut(planes(size, kernel, stride, dtype=row.element.dtype), row)
        if cut is None:
            continue
        tile, outputs = cut.tile, (size - 1) // stride + 1
        wide, narrow = cut.tiles(row)
        assert tile.wides * wide.vectors + (tile.tiles - tile.wides) * narrow.vectors == outputs
        assert 1 <= tile.wides <= tile.tiles
        assert tile.rows <= outputs
        assert wide.rows * wide.vectors < (32 if row.isa == "avx512" else 16)


@pytest.mark.parametrize("change", ["groups", "channels", "filters", "kernel", "rows", "size"])
def test_planes_that_do_not_fill_vectors_go_the_other_way(change):
    row = find_row("float32")
    task = planes(7, 3)
    assert find_cut(task, row)
    small = {
        "groups": {"groups": row.element.lanes - 1},
        "channels": {"channels": 2},
        "filters": {"filters": 2},
        "kernel": {"axes": (Axis(1, 1, 1), axis(7, 1), axis(7, 3))},
        "rows": {"axes": (Axis(1, 1, 1), axis(14, 3, 1, 2), axis(7, 3))},
        "size": {"axes": (Axis(1, 1, 1), axis(3, 3), axis(3, 3))},
    }
    assert find_cut(replace(task, **small[change]), row) is None


def test_narrow_planes_go_side_by_side_and_wide_ones_do_not(monkeypatch):
    """14×14 planes and larger fill vectors well enough; benchmarks/thresholds.py has both sides."""
    if not machine.has("avx512"):
        pytest.skip("this machine has no AVX-512")
    monkeypatch.setenv("FALTUNG_MAX_ISA", "avx512")
    row = find_row("float32")
    chosen = [
        image.find_lanes(task, make_schedule(task, row), row) is not None
        for task in (planes(7, 3), planes(14, 5, 2), planes(10, 7), planes(16, 3), planes(56, 7))
    ]
    assert chosen == [True, True, True, False, False]


def test_facts_of_planes_side_by_side():
    row = find_row("float32")
    some, none = planes(7, 3, groups=960), planes(7, 3, groups=960, batch=0)
    assert image.find_lanes(some, make_schedule(some, row), row)
    assert image.facts(some).workspace_bytes == find_cut(some, row).workspace
    assert 0 < image.facts(some).lane_use < 1
    assert image.facts(none).lane_use == 1  # no work, and nothing is divided by
