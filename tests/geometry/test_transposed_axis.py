"""The stencil of a transposed window against the table of the window, turned around."""

import numpy as np
import pytest

from faltung.errors import ResourceError
from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis, transposed_axis

MODES = ("zeros", "reflect", "symmetric", "edge", "wrap")


@pytest.mark.parametrize("mode", MODES)
def test_rows_hold_what_the_columns_of_the_window_hold(mode):
    rng = np.random.default_rng(0)
    for _ in range(400):
        size, outputs, taps = rng.integers(1, 8, 3).tolist()
        stride, dilation = rng.integers(1, 5, 2).tolist()
        before = int(rng.integers(12))
        forward = SlidingAxis(size, outputs, taps, stride, dilation, before, mode)
        axis = TransposedAxis(forward)
        assert (axis.size, axis.outputs) == (outputs, size)
        expected = [[] for _ in range(size)]
        for i, row in enumerate(forward.index(0, outputs)):
            for tap, cell in enumerate(row):
                if cell >= 0:
                    expected[cell].append((tap, i))
        table = axis.index(0, size)
        assert table.shape == (size, axis.taps)
        found = [
            [(tap, i) for tap, i in zip(axis.kernel_taps.tolist(), row, strict=True) if i >= 0]
            for row in table.tolist()
        ]
        assert [sorted(row) for row in found] == [sorted(row) for row in expected]
        assert axis.taps == 1 or (table >= 0).any(axis=0).all(), "a column of no use"
        assert np.array_equal(axis.index(size // 2, size), table[size // 2 :])
        assert axis.count_real_taps() == forward.count_real_taps()
        assert axis.count_distinct_cells() == len(
            {(c, i) for c, r in enumerate(found) for _, i in r}
        )


def test_without_padding_each_tap_has_one_column():
    for mode in MODES:
        axis = transposed_axis(AxisWindow(3, 2), 5, mode)
        assert axis.kernel_taps.tolist() == [0, 1, 2]


def test_a_border_adds_columns_only_for_the_taps_that_reach_it():
    axis = transposed_axis(AxisWindow(3, 1, 1, (1, 1)), 9, "edge")
    assert axis.kernel_taps.tolist() == [0, 0, 1, 2, 2]


def test_long_axes_cost_nothing_until_their_rows_are_asked_for():
    axis = transposed_axis(AxisWindow(5, 3, 2, (4, 1)), 2**40, "reflect")
    assert axis.outputs == (2**40 - 1) * 3 + 9 - 5
    assert axis.taps <= 10
    assert axis.index(2**40, 2**40 + 3).shape == (3, axis.taps)


def test_a_cell_that_collects_too_much_is_refused():
    with pytest.raises(ResourceError, match="positions fall on one of the 1 cells"):
        transposed_axis(AxisWindow(1, 1, 1, (2**30 - 1, 0)), 2**30, "wrap").index(0, 1)


def test_landings_are_the_columns_of_the_table():
    """What a tap brings to a range of outputs, and where; nothing for a tap that misses it."""
    rng = np.random.default_rng(1)
    for _ in range(400):
        size, outputs, taps = rng.integers(1, 9, 3).tolist()
        stride, dilation = rng.integers(1, 5, 2).tolist()
        forward = SlidingAxis(size, outputs, taps, stride, dilation, int(rng.integers(12)))
        axis = TransposedAxis(forward)
        start, stop = sorted(rng.integers(0, size + 1, 2).tolist())
        table = forward.index(0, outputs)
        for tap in range(taps):
            inputs, places = axis.landing(tap, start, stop)
            found = np.full(stop - start, -1)
            found[places] = np.arange(outputs)[inputs]
            expected = np.full(stop - start, -1)
            for i, cell in enumerate(table[:, tap].tolist()):
                if start <= cell < stop:
                    expected[cell - start] = i
            assert np.array_equal(found, expected)
