"""Stencil tables and counts against loops over positions."""

from itertools import product

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import sliding_axis

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")

cases = st.tuples(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(MODES),
)


def build(case):
    size, kernel, stride, dilation, padding, mode = case
    window = AxisWindow(kernel, stride, dilation, padding)
    assume(window.places(size) > 0)
    return sliding_axis(window, size, mode)


def table_by_loops(case, outputs):
    size, kernel, stride, dilation, (before, after), mode = case
    how = {"zeros": "constant", "blank": "constant"}.get(mode, mode)
    fill = {"constant_values": -1} if how == "constant" else {}
    padded = np.pad(np.arange(size), (before, after), how, **fill)
    return [[int(padded[i * stride + t * dilation]) for t in range(kernel)] for i in range(outputs)]


@settings(max_examples=1000)
@given(cases)
def test_table_equals_the_padded_axis(case):
    axis = build(case)
    expected = table_by_loops(case, axis.outputs)
    assert axis.index(0, axis.outputs).tolist() == expected
    middle = axis.outputs // 2
    assert axis.index(middle, axis.outputs).tolist() == expected[middle:]


def every_case():
    """More than 10,000 combinations in which the window fits."""
    paddings = [(0, 0), (1, 0), (0, 3), (2, 1), (5, 4), (9, 9)]
    shapes = product((1, 2, 3, 5, 8, 13), range(1, 6), range(1, 5), range(1, 4), paddings, MODES)
    for case in shapes:
        size, kernel, _, dilation, padding, _ = case
        if size + sum(padding) > dilation * (kernel - 1):
            yield case


def test_counts_equal_counted_cells():
    count = 0
    for case in every_case():
        size, kernel, stride, dilation, padding, mode = case
        axis = sliding_axis(AxisWindow(kernel, stride, dilation, padding), size, mode)
        inside = [
            [0 <= i * stride - padding[0] + t * dilation < size for t in range(kernel)]
            for i in range(axis.outputs)
        ]
        assert axis.count_real_taps() == sum(map(sum, inside))
        assert list(axis.clear_outputs) == [i for i, row in enumerate(inside) if all(row)]
        rows = axis.index(0, axis.outputs).tolist()
        assert axis.count_distinct_cells() == sum(len(set(row) - {-1}) for row in rows)
        count += 1
    assert count > 10_000


def test_a_long_axis_costs_nothing_until_its_rows_are_asked_for():
    axis = sliding_axis(AxisWindow(5, padding=(2, 2)), 10**12, "reflect")
    assert axis.count_real_taps() == 5 * 10**12 - 6
    assert axis.count_distinct_cells() == 5 * 10**12 - 6
    assert axis.index(10**12 - 1, 10**12).tolist() == [
        [10**12 - 3, 10**12 - 2, 10**12 - 1, 10**12 - 2, 10**12 - 3]
    ]
