"""The first window that sees nothing, beside looking at every window."""

import itertools

import numpy as np

from faltung.geometry.arguments import AMPLE
from faltung.geometry.axis import AxisWindow
from faltung.geometry.empty_windows import first_empty_window
from faltung.geometry.stencil import SlidingAxis, sliding_axis


def by_looking(axis):
    """The first row of the table without a cell."""
    is_empty = (axis.index(0, axis.outputs) < 0).all(axis=1)
    return int(is_empty.argmax()) if is_empty.any() else None


def test_it_is_the_first_row_without_a_cell():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(20_000):
        size, taps, stride, dilation = (int(n) for n in rng.integers(1, (10, 5, 9, 14)))
        before, after = (int(n) for n in rng.integers(0, 25, 2))
        outputs = (size + before + after - dilation * (taps - 1) - 1) // stride + 1
        outputs -= int(rng.integers(0, 2))
        if outputs < 1:
            continue
        axis = SlidingAxis(size, outputs, taps, stride, dilation, before, "zeros", after)
        expected = by_looking(axis)
        assert first_empty_window(axis) == expected, axis
        found += expected is not None
    assert 1000 < found < 19_000


def test_every_window_over_nothing_is_empty():
    assert first_empty_window(SlidingAxis(0, 3, 2, 1, 1, 2)) == 0


def test_an_ample_axis_is_refused_exactly_if_every_size_is():
    for k, s, d, is_ceil in itertools.product(range(1, 4), range(1, 6), (1, 2), (False, True)):
        for pads in itertools.product(range(7), range(9)):
            window = AxisWindow(k, s, d, pads, is_ceil)
            is_refused = first_empty_window(sliding_axis(window, AMPLE, "zeros"), is_ceil=is_ceil)
            sizes = range(20, 20 + 2 * s)
            empty = [by_looking(sliding_axis(window, n, "zeros")) is not None for n in sizes]
            assert (is_refused is not None) == all(empty), window


def test_no_place_is_counted():
    span = 10**12
    axis = sliding_axis(AxisWindow(2, 1, span, (span, span)), 5, "zeros")
    assert first_empty_window(axis) == 5
    steps = sliding_axis(AxisWindow(2, 10**6 + 3, 2**41, (2**41, 2**30)), AMPLE + 1, "zeros")
    empty = first_empty_window(steps)
    assert empty is not None
    first, previous = ((i * steps.stride - steps.before) % 2**41 for i in (empty, empty - 1))
    assert previous < steps.size <= first
