"""Staging by a list of rows: every slot shows the cell that the axes say, the rest stays."""

import numpy as np
import pytest

from direct_oracle import axis
from faltung.compiled import _jit
from faltung.compiled.plane_rows import plane_rows, row_copier
from faltung.compiled.schedule import phases
from faltung.compiled.simd import Element

FILL = 9.0
MARGIN = 64


def staged(rng, stride, lanes, copy, border):
    """A plane as it is staged, and as it must be."""
    axes = tuple(
        axis(int(rng.integers(4, 24)), 3, stride, 1, *rng.integers(0, 4, 2), border) for _ in "hw"
    )
    layouts = tuple(map(phases, axes))
    element = Element("float32", lanes, True)
    x = rng.integers(-5, 5, (axes[0].length, axes[1].length)).astype("f4")
    found = plane_rows(axes, layouts, x.strides, element)
    shape = [layout.cells(axis.outputs) for axis, layout in zip(axes, layouts, strict=True)]
    copies = len(layouts[1].starts)
    y = np.full(shape[0] * shape[1] + MARGIN, FILL, "f4")
    fill = np.array([FILL], "f4")
    if len(found.rows):
        rows = np.ascontiguousarray(found.rows)
        values = [y.ctypes.data, x.ctypes.data, rows.ctypes.data, len(rows), fill.ctypes.data]
        copy(element, stride)(np.array(values))
    for source, target in found.cells:
        y[target // 4] = x.ravel()[source // 4]
    padded = [
        np.array((*axis.low, *range(axis.length), *axis.high, *(-1,) * 8), np.int64)
        for axis in axes
    ]
    expected = np.full((copies, shape[0], shape[1] // copies), FILL, "f4")
    places = [
        [
            start + slot * stride
            for start in layout.starts
            for slot in range(n.outputs + layout.extra)
        ]
        for n, layout in zip(axes, layouts, strict=True)
    ]
    columns = np.array(places[1]).reshape(copies, -1)
    for copy_w, some in enumerate(columns):
        for i, row in enumerate(padded[0][places[0]]):
            for j, cell in enumerate(padded[1][some]):
                if row >= 0 and cell >= 0:
                    expected[copy_w, i, j] = x[row, cell]
    return y[: expected.size], expected.ravel()


def by_meaning(element, stride):
    return lambda values: row_copier(element, stride).python(*map(int, values))


def by_machine(element, stride):
    copy = row_copier(element, stride)

    @_jit.kernel("void(intp[::1])")
    def run(v):
        copy(v[0], v[1], v[2], v[3], v[4])

    return run


@pytest.mark.parametrize("copy", [by_meaning, by_machine])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("lanes", [4, 16])
def test_every_slot_shows_its_cell(lanes, stride, copy):
    if copy is by_machine and not _jit.available():
        pytest.skip("nothing is compiled here")
    rng = np.random.default_rng(lanes)
    for number in range(6):
        y, expected = staged(rng, stride, lanes, copy, rng if number % 2 else None)
        assert np.array_equal(y, expected)
