"""Transforms of many lines at once beside NumPy's, on vectors of every level."""

import sys

import numpy as np
import pytest

from compiled_jobs import output_of
from faltung.compiled import machine
from faltung.compiled._jit import available
from faltung.compiled.fourier_passes import frequencies, pass_table, transform
from faltung.compiled.simd import Element

ELEMENTS = [
    Element("float64", 8, True),
    Element("float64", 4, True),
    Element("float64", 2, False),
    Element("float32", 16, True),
]


def run(element, points, *, is_forward, compiled=True):
    """The transform of points of shape (count, 2, lanes), in a new array."""
    table, *kept = pass_table(len(points), element.dtype, is_forward=is_forward)
    result, step = np.zeros_like(points), element.vector_size
    function = transform(element, is_forward=is_forward)
    place = points.ctypes.data, 2 * step, step
    goal = result.ctypes.data, 2 * step, step
    call = function if compiled else function.python
    call(table.ctypes.data, *place, *goal, result.ctypes.data)
    del kept
    return result


def check(element, count, *, compiled):
    rng = np.random.default_rng(count)
    points = rng.standard_normal((count, 2, element.lanes)).astype(element.dtype)
    found = run(element, points, is_forward=True, compiled=compiled)
    expected = np.fft.fft(points[:, 0] + 1j * points[:, 1], axis=0)[frequencies(count)]
    unit = np.finfo(element.dtype).eps
    size = np.sqrt(count) * np.log2(count) * unit
    assert np.abs(found[:, 0] + 1j * found[:, 1] - expected).max() <= 4 * size
    back = run(element, found, is_forward=False, compiled=compiled) / count
    assert np.abs(back - points).max() <= 8 * np.log2(count) * unit


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("element", ELEMENTS, ids=lambda e: f"{e.dtype}x{e.lanes}")
def test_forward_and_back(element):
    for power in range(1, 12):
        check(element, 2**power, compiled=True)


def test_what_the_instructions_mean():
    for count in (2, 4, 8, 32):
        check(ELEMENTS[2], count, compiled=False)


def test_every_frequency_falls_out_once():
    for count in (2, 8, 64, 512):
        assert sorted(frequencies(count)) == list(range(count))


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize(("level", "count"), [("generic", 10), ("avx2", 10), ("avx512", 20)])
def test_nothing_outside_the_arrays_is_touched_on_any_level(level, count):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    code = f"import guarded_fourier as g; g.main({count})"
    assert output_of(code, seconds=120, FALTUNG_MAX_ISA=level).split() == [level, str(count)]
