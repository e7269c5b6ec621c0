"""Rows of all kinds are staged as the textbook says, and nothing beside the arrays is touched."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from compiled_jobs import output_of
from faltung.compiled._jit import available, job
from faltung.compiled.memory import word
from faltung.compiled.staged_rows import VECTOR_SIZES, copy_rows, transpose_cells

STAGINGS = 150


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
def test_every_tap_finds_its_cell_between_guard_pages():
    """Five dtypes, two of them also with their channels last; complex numbers are pairs."""
    assert output_of(f"import guarded_staging as g; g.main({STAGINGS})") == "7"


def both(function, *values):
    """What a job of one instruction does to memory, compiled and interpreted."""
    results = []
    for is_compiled in (False, True):
        cells = np.arange(1000, dtype=np.float32)
        slots = np.full(1000, -1, np.float32)
        fill = np.float32([77])
        block = np.array([slots.ctypes.data, cells.ctypes.data, fill.ctypes.data, *values])
        run = function.python
        if is_compiled:
            run = ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * 3)(function.address)
        run(block.ctypes.data, 0, 0)
        results.append(slots)
    return results


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("size", VECTOR_SIZES)
def test_rows_are_copied_with_their_borders(every, size):
    copy, lanes = copy_rows("float32", every), size // 4

    @job
    def run(block, _call, _job):
        copy(
            word(block, 3), word(block, 0), word(block, 4), word(block, 1), word(block, 5),
            word(block, 6), word(block, 7), word(block, 8), word(block, 9), word(block, 10),
            word(block, 11), word(block, 12), word(block, 2),
        )  # fmt: skip

    for start, whole, after in (
        (0, lanes + 1, 0),
        (3, 2 * lanes, 1),
        (lanes + 2, 3 * lanes - 1, 5),
    ):
        count = start + whole + after
        values = (
            lanes, 4 * (count + 2), 4 * 130, 3, (whole - 1) // lanes, 4 * (whole - lanes),
            4 * start, -(-start // lanes), 4 * (count - lanes), -(-after // lanes),
        )  # fmt: skip
        meant, found = both(run, *values)
        expected = np.full(1000, -1, np.float32)
        for row in range(3):
            slots = expected[row * (count + 2) :][:count]
            slots[:] = 77
            slots[start : start + whole] = 130 * row + every * np.arange(whole)
        assert np.array_equal(meant, expected)
        assert np.array_equal(found, expected)


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_cells_are_turned_over(lanes, count):
    transpose, count = transpose_cells("float32", lanes), lanes + count

    @job
    def run(block, _call, _job):
        transpose(
            word(block, 0), word(block, 3), word(block, 1), word(block, 4), word(block, 5),
            word(block, 6), word(block, 7),
        )  # fmt: skip

    rest = count - lanes
    meant, found = both(run, 4 * 40, 4 * 21, (count - 1) // lanes, 4 * rest, 4 * 21 * rest)
    expected = np.full(1000, -1, np.float32)
    for channel in range(lanes):
        expected[40 * channel :][:count] = 21 * np.arange(count) + channel
    assert np.array_equal(meant, expected)
    assert np.array_equal(found, expected)
