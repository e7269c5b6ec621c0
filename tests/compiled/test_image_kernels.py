"""The kernels of pictures against loops over taps; their bits, special values and memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from compiled_jobs import output_of
from direct_oracle import axis, random_values, reference, shapes_of, task_2d
from faltung.compiled import _jit, image, machine, parallel
from faltung.compiled.casts import narrowing, widening
from faltung.compiled.image import facts, pack, run
from faltung.compiled.image_pieces import FOLD, order_of, pieces_of
from faltung.compiled.image_tile import PictureTile, tile
from faltung.compiled.schedule import MOST_WORKSPACE
from faltung.compiled.simd import Element
from faltung.compiled.task import Axis, DirectTask
from faltung.testing import error_bound
from image_cases import compute, draw_rounded, is_exact, planes_are_exact

COUNTS = {
    "float32": 60, "float64": 12, "float16": 8, "uint8": 12, "int16": 8, "uint16": 8, "int64": 6,
    "bool": 6,
}  # fmt: skip


def task_1d(length, taps, stride=1):
    one = Axis(1, 1, 1)
    return DirectTask(1, 1, 1, 1, (one, one, axis(length, taps, stride)), "float32")


def task_3d(lengths, kernel):
    axes = tuple(axis(length, kernel, 1, 1, kernel // 2, kernel // 2) for length in lengths)
    return DirectTask(1, 1, 1, 1, axes, "float32")


def normal(task, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(task.dtype) for shape in shapes_of(task)[:2]]


@pytest.mark.parametrize("dtype", COUNTS)
def test_whole_numbers_are_exact(dtype):
    assert [seed for seed in range(COUNTS[dtype]) if not is_exact(seed, dtype)] == []


@pytest.mark.parametrize(("dtype", "count"), [("float32", 24), ("float64", 8), ("uint32", 4)])
def test_small_planes_of_whole_numbers_are_exact(dtype, count, monkeypatch):
    calls = []
    monkeypatch.setattr(
        image, "_put_planes", lambda *args, real=image._put_planes: calls.append(1) or real(*args)
    )
    assert [seed for seed in range(count) if not planes_are_exact(seed, dtype)] == []
    assert len(calls) > count // 2


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_small_integers_are_rounded_and_saturate(dtype):
    rng = np.random.default_rng(0)
    for _ in range(8):
        task, x, weight, expected = draw_rounded(rng, dtype)
        assert np.array_equal(compute(task, x, weight), expected)


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint64"])
def test_what_rounding_means(source, dtype):
    """The meaning of the instruction; `compute` above compares it with what LLVM does."""
    cast, limits = narrowing(source, dtype).cast, np.iinfo(dtype)
    pairs = [(0.5, 0), (1.5, 2), (2.5, 2), (2.51, 3), (1e30, limits.max), (-1e30, limits.min)]
    for value, expected in [*pairs, (np.nan, 0), (np.inf, limits.max), (-0.5, 0)]:
        result = cast(np.dtype(source).type(value))
        assert result == expected
        assert result.dtype == dtype
    assert widening(dtype, source).cast(limits.min) == float(limits.min)


def test_a_wrong_tap_is_noticed():
    task = task_2d(2, 2, 20, 20)
    rng = np.random.default_rng(0)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    right = reference(task, x, weight)
    weight[0, 0, 0, 0, 0] += 1
    assert not np.array_equal(compute(task, x, weight), right)


@pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")
@pytest.mark.parametrize("is_full", [0, 1])
def test_the_tile_does_what_numpy_means(is_full):
    """A tile of which two rows and eleven columns exist, over kernel and strided input alike."""
    shape = PictureTile(Element("float32", 4, True), 3, 4, 2, 2)
    compute_tile = tile(shape)

    @_jit.kernel("void(intp[::1])")
    def run_tile(v):
        compute_tile(
            v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13],
            v[14],
        )  # fmt: skip

    rng = np.random.default_rng(0)
    x, weight = (rng.integers(-4, 5, size).astype("f4") for size in (2 * 4 * 24, 6))
    previous = rng.integers(-4, 5, (3, 16)).astype("f4")
    offsets, ends = np.array([0, 4, 20]), np.array([2, -3], "f4")
    results = []
    for function in (run_tile, compute_tile.python):
        out = np.zeros((3, 16), "f4")
        values = [
            x.ctypes.data, 96, 4 * 96, weight.ctypes.data, offsets.ctypes.data, 3, out.ctypes.data,
            64, is_full, previous.ctypes.data, 64, ends.ctypes.data, ends[1:].ctypes.data, 11, 2,
        ]  # fmt: skip
        function(np.array(values)) if function is run_tile else function(*values)
        results.append(out)
    planes, columns = x.reshape(2, 4, 24), weight.reshape(3, 2)
    expected = sum(
        columns[j, i] * planes[i, :2, offset // 4 :][:, :11]
        for j, offset in enumerate(offsets)
        for i in range(2)
    )
    if is_full:
        expected = np.maximum(expected + previous[:2, :11] + 2, -3)
    for out in results:
        assert np.array_equal(out[:2, :11], expected)
        assert (out[2] == 0).all()
        assert (out[:, 11:] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [3, 15, 41])
def test_rounding_is_bounded(dtype, kernel):
    task = task_2d(1, 1, 30, 50, kernel, kernel // 2, dtype)
    x, weight = normal(task)
    exact = reference(task, x, weight, dtype=np.longdouble)
    magnitude = reference(task, abs(x), abs(weight), dtype=np.longdouble)
    limit = error_bound(magnitude, kernel * kernel, dtype)
    assert np.all(abs(compute(task, x, weight) - exact) <= limit)


def test_rounding_is_that_of_the_direct_kernel():
    from direct_oracle import compute as compute_directly

    for seed, kernel in enumerate((9, 31, 63)):
        task = task_2d(1, 1, 64, 64, kernel, kernel // 2)
        x, weight = normal(task, seed)
        for cells in (x, abs(x)):
            exact = reference(task, cells, weight)
            errors = [f(task, cells, weight) - exact for f in (compute, compute_directly)]
            ours, direct = (np.sqrt(np.mean(error**2)) for error in errors)
            assert ours <= 2 * direct


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_do_not_change_bits(threads):
    before = parallel.get_num_threads()
    tasks = [
        task_2d(1, 1, 300, 200, 5, 2), task_2d(2, 2, 70, 90, 11, 5), task_2d(1, 1, 9, 9000),
        task_1d(30_000, 101), task_3d((20, 30, 40), 5), task_2d(1, 1, 40, 40, groups=150, batch=3),
    ]  # fmt: skip
    try:
        for task in tasks:
            x, weight = normal(task)
            parallel.set_num_threads(1)
            alone = compute(task, x, weight)
            parallel.set_num_threads(threads)
            assert np.array_equal(compute(task, x, weight), alone)
    finally:
        parallel.set_num_threads(before)


@pytest.mark.parametrize("kernel", [3, 11])
def test_bits_depend_on_the_window_alone(kernel):
    """Tails of rows and columns, other tiles and other boxes sum in the same order."""
    whole = task_2d(1, 1, 75, 140, kernel, 0)
    x, weight = normal(whole)
    y = compute(whole, x, weight)
    for height, width, top, left in (
        (kernel, kernel, 3, 5),
        (kernel + 1, 60, 9, 31),
        (40, 13, 2, 7),
    ):
        part = task_2d(1, 1, height, width, kernel, 0)
        cells = np.ascontiguousarray(x[..., top : top + height, left : left + width])
        mine = compute(part, cells, weight)
        rows, columns = mine.shape[3:]
        assert np.array_equal(mine, y[..., top : top + rows, left : left + columns])


@pytest.mark.parametrize(("taps", "stride"), [(63, 1), (101, 2)])
def test_bits_of_a_signal_do_not_depend_on_the_place(taps, stride):
    whole = task_1d(9000, taps, stride)
    x, weight = normal(whole)
    y = compute(whole, x, weight)[0, 0, 0, 0]
    for length, start in ((taps, 12), (taps + 40, 300), (700, 5000)):
        cells = np.ascontiguousarray(x[..., start : start + length])
        mine = compute(task_1d(length, taps, stride), cells, weight)[0, 0, 0, 0]
        assert np.array_equal(mine, y[start // stride :][: len(mine)])


@pytest.mark.parametrize("taps", [40, 63])
def test_special_values_of_a_signal_stay_in_their_windows(taps):
    task = task_1d(700, taps)
    x, weight = normal(task)
    x[..., 350] = np.inf
    with np.errstate(invalid="ignore"):
        expected = reference(task, x, weight).ravel()
    y = compute(task, x, weight).ravel()
    assert np.array_equal(np.isfinite(y), np.isfinite(expected))
    assert np.isfinite(y).sum() == y.size - taps


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_stay_in_their_planes(value):
    task = task_2d(1, 1, 14, 20, 3, 1, groups=9, batch=2)
    x, weight = normal(task)
    x[1, 4, 0, 13, 0] = x[0, 8, 0, 5, 19] = value
    with np.errstate(invalid="ignore"):
        expected = reference(task, x, weight).reshape(shapes_of(task)[2])
    y = compute(task, x, weight)
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    assert np.array_equal(np.isinf(y), np.isinf(expected))


@pytest.mark.parametrize("kernel", [2, 5, 19])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_special_values_stay_in_their_windows(kernel, value):
    task = task_2d(1, 1, 40, 60, kernel, kernel // 2)
    x, weight = normal(task)
    x[..., 17, 33] = value
    with np.errstate(invalid="ignore"):
        expected = reference(task, x, weight)
    y = compute(task, x, weight)
    assert np.array_equal(np.isfinite(y), np.isfinite(expected))
    assert np.array_equal(np.isnan(y), np.isnan(expected))


def test_subnormal_numbers_are_kept():
    task = task_2d(1, 1, 20, 40)
    x = np.full(shapes_of(task)[0], 2.0**-149, np.float32)
    y = compute(task, x, np.ones(shapes_of(task)[1], np.float32))
    assert y[0, 0, 0, 5, 5] == 9 * 2.0**-149


def test_pieces_hold_every_tap_once():
    for channels, kernel, stride in (
        (1, (1, 3, 3), 1), (2, (1, 31, 130), 1), (3, (1, 17, 2), 3), (2, (9, 9, 9), 2),
        (1, (1, 1, 20), 1),
    ):  # fmt: skip
        pieces = pieces_of(channels, kernel, (stride, 1), False)
        order = order_of(pieces, channels, kernel)
        assert sorted(order) == list(range(channels * np.prod(kernel)))
        assert all((piece.columns[:, 2] % stride == 0).all() for piece in pieces)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("taps", [96, 101, 300])
def test_a_folded_line_holds_every_tap_once(taps, stride):
    pieces = pieces_of(2, (1, 1, taps), (1, stride), True)
    assert sorted(order_of(pieces, 2, (1, 1, taps))) == list(range(2 * taps))
    for piece in pieces:
        assert piece.column_step == FOLD * stride
        assert len(piece.columns) * piece.rows <= 512


def test_workspace_is_bounded():
    """Wide pictures, dilated kernels and kernels larger than the picture."""
    for height, width, kernel, dilation in (
        (4000, 4000, 63, 1), (3, 10**8, 3, 1), (10**8, 3, 3, 1), (2000, 2000, 15, 40),
        (5, 5, 99, 1),
    ):  # fmt: skip
        padding = dilation * (kernel // 2)
        axes = [axis(n, kernel, 1, dilation, padding, padding) for n in (height, width)]
        task = DirectTask(1, 1, 1, 1, (Axis(1, 1, 1), *axes), "float32")
        told = facts(task)
        assert told.refusal == ""
        assert told.workspace_bytes <= MOST_WORKSPACE


def test_what_cannot_be_staged_is_refused():
    task = DirectTask(1, 1, 4, 1, (Axis(1, 1, 1), axis(3000, 2000), axis(3000, 2000)), "float64")
    assert "stages" in facts(task).refusal
    assert "complex64" in facts(task_2d(1, 1, 9, 9, dtype="complex64")).refusal


def test_no_output_is_no_work(monkeypatch):
    asked = []
    monkeypatch.setattr(image, "runner", lambda *arguments: asked.append(arguments))
    task = task_2d(1, 1, 9, 9, batch=0)
    weight = np.ones((1, 1, 1, 3, 3), np.float32)
    y = np.zeros((0, 1, 1, 9, 9), np.float32)
    run(task, y, pack(weight, task), y)
    assert not asked


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize(("level", "count"), [("generic", 10), ("avx2", 10), ("avx512", 20)])
def test_nothing_outside_the_arrays_is_touched_on_any_level(level, count):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    code = f"import guarded_images as g; g.main({count})"
    assert output_of(code, seconds=120, FALTUNG_MAX_ISA=level).split() == [level, str(count)]
