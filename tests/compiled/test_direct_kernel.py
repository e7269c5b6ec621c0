"""The direct kernel against loops over taps; its bits, its special values, its memory."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from direct_oracle import (
    DTYPES,
    axis,
    compute,
    is_exact,
    random_values,
    reference,
    shapes_of,
    task_2d,
)  # fmt: skip
from faltung.compiled import _jit, parallel
from faltung.compiled.direct import Axis, DirectTask, facts, pack, run
from faltung.compiled.schedule import MOST_WORKSPACE, chunks_of


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_numbers_are_exact(dtype):
    count = 150 if dtype == "float32" else 30
    wrong = [seed for seed in range(count) if not is_exact(seed, dtype)]
    assert wrong == []


def test_oracle_notices_a_wrong_tap():
    task = task_2d(2, 2, 6, 6)
    rng = np.random.default_rng(0)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    right = reference(task, x, weight)
    weight[0, 0, 0, 0, 0] += 1
    assert not np.array_equal(compute(task, x, weight), right)


def _normal(task, seed=0):
    rng = np.random.default_rng(seed)
    x_shape, weight_shape, _ = shapes_of(task)
    dtype = task.dtype
    return rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(weight_shape).astype(
        dtype
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 20, 200])
def test_rounding_is_bounded(dtype, channels):
    task = task_2d(channels, 9, 12, 13, dtype=dtype)
    x, weight = _normal(task)
    unit, tiny = (2.0**-24, 2.0**-149) if dtype == "float32" else (2.0**-53, 2.0**-1074)
    terms = 9 * channels
    exact = reference(task, x, weight, dtype=np.longdouble)
    bound = 1.01 * (terms + 2) * unit * reference(task, abs(x), abs(weight), dtype=np.longdouble)
    assert np.all(abs(compute(task, x, weight) - exact) <= bound + terms * tiny)


def test_chunks_halve_the_error():
    task = task_2d(256, 8, 14, 14)
    x, weight = _normal(task)
    error = compute(task, x, weight) - reference(task, x, weight)
    assert np.sqrt(np.mean(error**2)) < 1e-6 * np.sqrt(256 * 9)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 16])
def test_threads_do_not_change_bits(threads):
    before = parallel.get_num_threads()
    tasks = [task_2d(40, 19, 30, 31), task_2d(40, 24, 30, 31, 1, 0), task_2d(1, 1, 300, 200, 5, 2)]
    try:
        for task in tasks:
            x, weight = _normal(task)
            parallel.set_num_threads(1)
            alone = compute(task, x, weight)
            parallel.set_num_threads(threads)
            assert np.array_equal(compute(task, x, weight), alone)
    finally:
        parallel.set_num_threads(before)


@pytest.mark.parametrize(("channels", "filters", "kernel"), [(40, 19, 3), (40, 24, 1), (3, 2, 5)])
def test_bits_depend_on_the_window_alone(channels, filters, kernel):
    """A crop, one sample of a batch and another memory order all have the bits of the whole."""
    whole = task_2d(channels, filters, 40, 150, kernel, 0, batch=3)
    x, weight = _normal(whole)
    y = compute(whole, x, weight)
    one = task_2d(channels, filters, 40, 150, kernel, 0)
    assert np.array_equal(compute(one, x[1:2], weight), y[1:2])
    for height, width in ((kernel, kernel), (11, 13), (40, 20), (9, 140)):
        crop = task_2d(channels, filters, height, width, kernel, 0)
        part = x[:1, :, :, :height, 5 : 5 + width]
        expected = y[:1, :, :, : height - kernel + 1, 5 : 6 + width - kernel]
        assert np.array_equal(compute(crop, part, weight), expected)
        assert np.array_equal(compute(crop, np.asfortranarray(part), weight), expected)


SPECIALS = np.array(
    [0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 0x00000001], np.uint32
).view(np.float32)


@pytest.mark.parametrize("special", SPECIALS, ids=["nan", "nan7f", "nanff", "inf", "-inf", "tiny"])
@pytest.mark.parametrize(
    ("filters", "kernel", "stride"), [(1, 3, 1), (9, 3, 1), (11, 1, 1), (4, 2, 2)]
)
def test_special_values_come_out_where_the_sum_has_them(special, filters, kernel, stride):
    """One special value at every position of a 6×6 input: a sample for each."""
    task = task_2d(2, filters, 6, 6, kernel, kernel // 2, batch=36, stride=stride)
    x, weight = _normal(task)
    weight[0, 0, 0, 0, 0] = 0.0
    x[range(36), 1, 0, np.arange(36) // 6, np.arange(36) % 6] = special
    y, exact = compute(task, x, weight), reference(task, x, weight)
    assert np.array_equal(np.isnan(y), np.isnan(exact))
    assert np.array_equal(np.isposinf(y), np.isposinf(exact))
    assert np.array_equal(np.isneginf(y), np.isneginf(exact))
    finite = np.isfinite(exact)
    np.testing.assert_allclose(y[finite], exact[finite], rtol=1e-4, atol=1e-5)


def test_denormals_are_kept():
    task = DirectTask(1, 1, 1, 1, (Axis(1, 1, 1), Axis(1, 1, 1), axis(9, 1)), "float32")
    x = np.full((1, 1, 1, 1, 9), 2.0**-149, np.float32)
    assert np.array_equal(compute(task, x, np.ones((1, 1, 1, 1, 1), np.float32)), x)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_is_rounded_once(name):
    """Every bit pattern times one: read and written back unchanged but for the quiet bit."""
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    task = DirectTask(1, 1, 1, 1, (Axis(1, 1, 1), Axis(1, 1, 1), axis(1 << 16, 1)), name)
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype).reshape(1, 1, 1, 1, -1)
    y = compute(task, x, np.ones((1, 1, 1, 1, 1), dtype))
    is_nan = np.isnan(x.astype(np.float32))
    assert np.array_equal(np.isnan(y.astype(np.float32)), is_nan)
    assert np.array_equal(y[~is_nan].astype(np.float32), x[~is_nan].astype(np.float32))
    # Halfway cases and overflow: x times three, against NumPy's and ml_dtypes' own rounding.
    tripled = compute(task, x, np.full((1, 1, 1, 1, 1), 3, dtype))
    with np.errstate(all="ignore"):
        expected = (x.astype(np.float32) * np.float32(3)).astype(dtype)
    assert np.array_equal(tripled[~is_nan].astype(np.float32), expected[~is_nan].astype(np.float32))


def test_relu_keeps_nan():
    task = task_2d(1, 2, 5, 5, 1, 0, is_relu=True)
    x = np.full((1, 1, 1, 5, 5), -1, np.float32)
    x[0, 0, 0, 2, 2] = np.nan
    y = compute(task, x, np.ones((2, 1, 1, 1, 1), np.float32))
    assert np.isnan(y[:, :, 0, 2, 2]).all()
    assert np.nansum(abs(y)) == 0


def test_bool_sums_do_not_wrap():
    task = DirectTask(1, 1, 256, 1, (Axis(1, 1, 1), Axis(1, 1, 1), axis(1, 1)), "bool")
    y = compute(task, np.ones((1, 256, 1, 1, 1), bool), np.ones((1, 256, 1, 1, 1), bool))
    assert y.all()


@pytest.mark.parametrize(
    "task",
    [
        task_2d(3, 64, 224, 224, 7, 3, stride=2),
        task_2d(4096, 4096, 7, 7),
        task_2d(100_000, 8, 3, 3),
        task_2d(1, 1, 4000, 100_000),
        task_2d(64, 64, 5000, 5000, 3, 2000, dilation=2000),
        task_2d(64, 512, 56, 56, 1, 0, dtype="complex128"),
        DirectTask(1, 1, 1, 1, (Axis(1, 1, 1), Axis(1, 1, 1), axis(10**8, 1000)), "float64"),
        DirectTask(1, 1, 16, 16, (axis(64, 3), axis(512, 3), axis(512, 3)), "float64"),
        DirectTask(1, 2000, 1, 1, (axis(9, 3), axis(9, 3), axis(9, 3)), "float32"),
    ],
    ids=str,
)
def test_workspace_is_bounded(task):
    known = facts(task)
    assert known.refusal == ""
    assert 0 < known.workspace_bytes <= MOST_WORKSPACE
    # 64 million multiply-adds take less than 50 ms at 3 GFLOP/s.
    cheapest = min(axis_.outputs for axis_ in task.axes[2:]) > 48
    assert not cheapest or known.macs / known.jobs <= 64e6 * 4


def test_impossible_tasks_are_refused():
    assert "16777216" in facts(task_2d(1, 1, 5000, 5000, 4000, 0)).refusal
    assert "float128" in facts(task_2d(1, 1, 5, 5, dtype="float128")).refusal


def test_many_channels_are_split():
    task = task_2d(5000, 9, 5, 60)
    rng = np.random.default_rng(1)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    assert np.array_equal(compute(task, x, weight), reference(task, x, weight))


def test_long_rows_are_split():
    task = DirectTask(1, 1, 2, 9, (Axis(1, 1, 1), Axis(1, 1, 1), axis(300_000, 5, 1, 3)), "float32")
    rng = np.random.default_rng(1)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    assert facts(task).jobs > 1
    assert np.array_equal(compute(task, x, weight), reference(task, x, weight))


def test_a_kernel_of_many_taps():
    task = task_2d(2, 9, 40, 41, 33, 5)
    rng = np.random.default_rng(1)
    x, weight = (random_values(rng, shape, "float32") for shape in shapes_of(task)[:2])
    assert np.array_equal(compute(task, x, weight), reference(task, x, weight))


def test_packed_weights_serve_other_sizes():
    small, large = task_2d(5, 11, 6, 7), task_2d(5, 11, 60, 70)
    _, weight = _normal(small)
    packed = pack(weight, small)
    for task in (small, large):
        x, _ = _normal(task)
        y = np.zeros(shapes_of(task)[2], np.float32)
        run(task, x, packed, y)
        assert np.array_equal(y, compute(task, x, weight))


def test_equal_tasks_share_what_was_prepared():
    assert task_2d(3, 4, 5, 6) == task_2d(3, 4, 5, 6)
    assert hash(task_2d(3, 4, 5, 6)) == hash(task_2d(3, 4, 5, 6))
    assert task_2d(3, 4, 5, 6) != task_2d(3, 4, 5, 7)


def test_new_shapes_of_a_known_dtype_compile_nothing(monkeypatch):
    # One of each kind: pixels in the lanes, output channels in them with rows of three and of five
    # taps, and read where they lie.
    for task in (
        task_2d(2, 3, 5, 5), task_2d(64, 32, 9, 9), task_2d(64, 32, 9, 9, 5, 2),
        task_2d(64, 8, 40, 40, 1, 0),
    ):  # fmt: skip
        compute(task, *_normal(task))

    def refuse(self, **_options):
        raise AssertionError(f"{self} was compiled")

    monkeypatch.setattr(_jit.Job, "_compile", refuse)
    monkeypatch.setattr(_jit.Kernel, "_compile", refuse)
    one = Axis(1, 1, 1)
    for task in (
        task_2d(9, 17, 50, 30, 5, 2, stride=2),
        task_2d(64, 8, 23, 50, 1, 0, is_relu=True),
        task_2d(80, 7, 2, 3, 1, 0),
        task_2d(64, 32, 8, 16),
        task_2d(80, 64, 7, 7, 5, 2, groups=2),
        DirectTask(2, 3, 1, 1, (one, one, axis(100, 9, 1, 3, 4, 4)), "float32"),
        DirectTask(2, 1, 4, 5, (axis(6, 3), axis(7, 2), axis(8, 1)), "float32", fill=1.5),
    ):
        compute(task, *_normal(task))


@pytest.mark.parametrize("channels", [1, 2, 17, 64, 1000])
@pytest.mark.parametrize("taps", [1, 9, 49, 160, 161, 1000])
def test_chunks_cover_all_taps_and_fit_the_panel(channels, taps):
    chunks = chunks_of(channels, taps)
    assert 1 <= chunks.taps <= 160
    assert chunks.channels == 1 or chunks.taps == chunks.channels * taps
    assert chunks.channels <= channels
    # Chunks are about equally long: none is a remainder of a few taps.
    pieces = -(-channels // chunks.channels)
    assert channels - (pieces - 1) * chunks.channels > chunks.channels - pieces


def test_nothing_to_compute():
    task = task_2d(2, 3, 5, 5, batch=0)
    weight = np.ones(shapes_of(task)[1], np.float32)
    assert compute(task, np.zeros(shapes_of(task)[0], np.float32), weight).size == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_repeated_and_reversed_memory(dtype):
    """Strides of zero and below, on every axis."""
    task = task_2d(3, 4, 9, 70, dtype=dtype)
    rng = np.random.default_rng(2)
    x_shape, weight_shape, y_shape = shapes_of(task)
    weight = random_values(rng, weight_shape, dtype)
    row = random_values(rng, (70,), dtype)
    wide = np.uint8 if dtype == "uint8" else np.float64
    for x in (np.broadcast_to(row, x_shape), np.broadcast_to(row[:1], x_shape)):
        y = compute(task, x, weight)
        assert np.array_equal(y, reference(task, x, weight, dtype=wide).astype(dtype))
    x = random_values(rng, x_shape, dtype)[:, ::-1, :, ::-1, ::-1]
    y = np.zeros(y_shape, dtype)[:, ::-1, :, ::-1, ::-1]
    run(task, x, pack(weight, task), y)
    assert np.array_equal(y, reference(task, x, weight, dtype=wide).astype(dtype))
