"""Every register tile that this machine has against its meaning in NumPy, whole numbers exactly."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from faltung.compiled import machine
from faltung.compiled import words as at
from faltung.compiled._jit import available
from faltung.compiled.microkernel import AHEAD
from faltung.compiled.variants import ROWS

HERE = [row for row in ROWS if machine.has(row.isa)]
# One dtype in full on every level, the others on the best: the description is the same.
CHOSEN = [row for row in HERE if row.element.dtype == "float32" or row.isa == HERE[0].isa]
TAPS = 5


def _block(shape, packs, blocks, direct, is_full):
    """The words of one column, and the arrays that they point to."""
    rng = np.random.default_rng(3)
    dtype, pixels = shape.element.dtype, shape.pixels
    x = rng.integers(0, 9, 3 * pixels + 3).astype(dtype)
    weight = rng.integers(0, 9, (blocks, TAPS, shape.rows)).astype(dtype)
    shifts = np.array([2, 0, pixels, 1, 3])
    offsets = np.append(shifts, [0] * AHEAD) * shape.element.size
    linear = np.arange(TAPS) * shape.row_size
    panel = np.zeros((TAPS, pixels), dtype)
    out = np.zeros((blocks * shape.rows, pixels + 5), dtype)
    scratch = np.zeros((blocks * shape.rows, pixels), dtype)
    previous = rng.integers(0, 9, scratch.shape).astype(dtype)
    bias = rng.integers(0, 9, blocks * shape.rows).astype(dtype)
    floor = np.array([30], dtype)
    arrays = (x, weight, offsets, linear, panel, out, scratch, previous, bias, floor)
    block = np.zeros(max(at.COLUMN_WORDS) + 1, np.int64)
    for word, array in zip(
        (at.X, at.WEIGHT, at.OFFSETS, at.LINEAR, at.PANEL, at.OUT, at.SCRATCH, at.PREVIOUS, at.BIAS,
         at.FLOOR), arrays, strict=True,
    ):  # fmt: skip
        block[word] = array.ctypes.data
    block[at.TAPS], block[at.BLOCKS], block[at.DIRECT], block[at.IS_FULL] = (
        TAPS, blocks, direct, is_full,
    )  # fmt: skip
    block[at.PITCH] = out.strides[0]
    block[at.OUT_STEP] = shape.rows * out.strides[0]
    block[at.PREVIOUS_STEP] = shape.size
    block[at.BIAS_STEP] = shape.rows * shape.element.size
    seen = np.stack([x[shift : shift + pixels] for shift in shifts])
    expected = np.concatenate([one.T @ seen for one in weight.astype(np.int64)]).astype(dtype)
    if is_full:
        expected += previous + bias[:, None]
        if shape.element.is_float:
            expected = np.maximum(expected, floor[0])
    return block, arrays, expected


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.id)
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["wide", "narrow", "line"])
def test_columns(row, kind):
    shape = (row.wide, row.narrow, row.line)[kind]
    function = row.columns()[kind]
    entry = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)(function.address)
    for blocks, direct, is_full in ((1, 1, 0), (1, 0, 1), (3, 2, 1), (3, 0, 0), (2, 2, 0)):
        for run in (entry, function.python):
            block, arrays, expected = _block(shape, kind < 2, blocks, direct, is_full)
            run(block.ctypes.data, 0, 0)
            out, scratch = arrays[5], arrays[6]
            split = direct * shape.rows
            assert np.array_equal(out[:split, : shape.pixels], expected[:split])
            assert np.array_equal(scratch[split:], expected[split:])
            # What lies between and behind is as it was.
            assert not out[:, shape.pixels :].any()
            assert not out[split:].any()
            assert not scratch[:split].any()


def test_every_level_of_this_machine_is_tried():
    assert {row.isa for row in CHOSEN} == {row.isa for row in HERE}
    assert {row.element.dtype for row in CHOSEN} == {"float32", "float64", "uint32", "uint64"}
