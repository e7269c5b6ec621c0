"""Turning round: vectors across rows that lie apart, compiled and as NumPy means it."""

import numpy as np
import pytest

from faltung.compiled import _jit
from faltung.compiled.simd import Element
from faltung.compiled.turning import PART_SIZE, starts, turner, units

ELEMENTS = [
    Element("float32", 16, True), Element("float32", 4, False), Element("float64", 8, True),
    Element("float64", 2, False), Element("uint32", 8, False),
]  # fmt: skip


def by_machine(turn):
    @_jit.kernel("void(intp[::1])")
    def run(v):
        turn(v[0], v[1], v[2], v[3], v[4], v[5])

    return lambda *values: run(np.array(values))


def by_meaning(turn):
    return turn.python


@pytest.mark.parametrize("way", [by_machine, by_meaning])
@pytest.mark.parametrize("element", ELEMENTS, ids=str)
@pytest.mark.parametrize("cells", [4, 7, 13])
def test_rows_become_vectors_across_them(element, cells, way):
    if way is by_machine and not _jit.available():
        pytest.skip("nothing is compiled here")
    width, size = PART_SIZE // element.size, element.size
    rows = np.arange(element.lanes * (cells + 2)).reshape(element.lanes, -1).astype(element.dtype)
    turned = np.zeros((cells + 2, element.lanes), element.dtype)
    first = np.array(starts(cells, width))
    table = units((first + 1) * size, first * element.vector_size)
    target = turned[1:].ctypes.data
    way(turner(element))(
        rows.ctypes.data, rows.strides[0], target, turned.strides[0], table.ctypes.data, len(table)
    )
    assert np.array_equal(turned[1:-1], rows[:, 1:-1].T)
    assert not turned[[0, -1]].any()


@pytest.mark.parametrize(("count", "size"), [(4, 4), (5, 4), (49, 16), (16, 4)])
def test_parts_cover_a_count_and_stay_inside(count, size):
    covered = np.zeros(count, int)
    for start in starts(count, size):
        covered[start : start + size] += 1
        assert 0 <= start <= count - size
    assert covered.all()
    assert len(starts(count, size)) == -(-count // size)
