"""The tiles of pictures of bytes: what they compile to does what NumPy means."""

from __future__ import annotations

import numpy as np
import pytest

from faltung.compiled import _jit
from faltung.compiled.byte_tile import RoundedTile, WidenedTile, rounded_tile, widened_tile
from faltung.compiled.simd import Element

pytestmark = pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")

ELEMENT = Element("float32", 8, is_fused=True)


def compiled(instruction, count):
    """The instruction behind an array of its integers."""

    @_jit.kernel("void(intp[::1])", key=repr(instruction))
    def run_six(v):
        instruction(v[0], v[1], v[2], v[3], v[4], v[5])

    @_jit.kernel("void(intp[::1])", key=repr(instruction))
    def run_eight(v):
        instruction(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])

    return run_six if count == 6 else run_eight


@pytest.mark.parametrize(("dtype", "taps"), [("uint8", 3), ("int8", 1)])
def test_rows_are_widened_and_summed(dtype, taps):
    shape, rng = WidenedTile(dtype, ELEMENT, 2, taps), np.random.default_rng(0)
    cells = rng.integers(0, 255, (taps + 1, 60)).astype(dtype)
    table = cells.ctypes.data + 60 * np.arange(taps + 1)
    weights = np.arange(1, taps + 1).astype(np.float32)
    results = []
    for run in (compiled(widened_tile(shape), 6), widened_tile(shape).python):
        sums = np.zeros((2, 40), np.float32)
        values = [table.ctypes.data, 7, 37, weights.ctypes.data, sums.ctypes.data, 160]
        run(*values) if run is widened_tile(shape).python else run(np.array(values))
        results.append(sums)
    wanted = sum(w * cells[i : i + 2, 7:44].astype(np.float32) for i, w in enumerate(weights))
    for sums in results:
        assert np.array_equal(sums[:, :37], wanted)
        assert not sums[:, 37:].any()


@pytest.mark.parametrize(
    ("rows", "columns", "is_exact"), [(1, 3, False), (2, 6, False), (2, 2, True)]
)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_sums_are_rounded_and_flagged(rows, columns, is_exact, dtype):
    rng, step, steps, count = np.random.default_rng(0), 2, 64, 45
    shape = RoundedTile(dtype, ELEMENT, 2, rows, columns, step, is_exact)
    cells = rng.integers(-60, 120, (rows + 1, 80)).astype(np.float32)
    weights = rng.integers(-4, 9, (columns, rows)) / 16
    scale, start = (1, 0) if is_exact else (2**16, 2**15 + steps)
    kept = np.concatenate([(weights * scale).ravel(), [start, 0]]).astype(np.float32)
    kept[-1:].view(np.int32)[0] = 2**16 - 2 * steps
    results = []
    for run in (compiled(rounded_tile(shape), 8), rounded_tile(shape).python):
        y, flags = np.zeros((2, 70), dtype), np.zeros((2, 8), np.uint8)
        targets = y.ctypes.data + 70 * np.arange(2)
        values = [
            cells.ctypes.data, 320, kept.ctypes.data, targets.ctypes.data, 5, count,
            flags.ctypes.data, 8,
        ]  # fmt: skip
        run(*values) if run is rounded_tile(shape).python else run(np.array(values))
        results.append((y, flags))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    y, flags = results[0]
    sums = sum(
        weights[j, i] * cells[i : i + 2, j * step : j * step + count]
        for j in range(columns)
        for i in range(rows)
    )
    limits = np.iinfo(dtype)
    is_sure = np.abs(sums - np.floor(sums) - 0.5) > 2 * steps / 2**16
    wanted = np.clip(np.rint(sums), limits.min, limits.max)
    assert np.array_equal(y[:, 5 : 5 + count][is_sure], wanted[is_sure])
    assert not y[:, :5].any()
    assert not y[:, 5 + count :].any()
    if is_exact:
        assert np.array_equal(y[:, 5 : 5 + count], wanted)
        return
    bits = np.unpackbits(flags, axis=1, bitorder="little").astype(bool)
    found = np.zeros_like(is_sure)
    found[:, :32], found[:, count - 32 :] = bits[:, :32], found[:, count - 32 :] | bits[:, 32:]
    found[:, :32] |= bits[:, :32]
    assert np.array_equal(found, ~is_sure)
    assert found.any()
