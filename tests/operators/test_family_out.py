"""``out=`` on the memory of the data or of an operand, through every function and its operator."""

from math import prod

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import faltung as ft
from family_calls import CALLS, arrays_of, in_layout, operator_of

CELL = 8
"""Bytes of a cell: everything is float64 or int64 here, so that any cell may lie on any other."""


def view(line, shape, start, step=1, order="C"):
    """An array over every `step`-th cell of a line from `start`; backwards for a negative step."""
    strides = np.cumprod([1, *shape[:0:-1]])[::-1] if order == "C" else np.cumprod([1, *shape[:-1]])
    return as_strided(line[start:], shape, [int(s) * step * CELL for s in strides])


def placed(line, source, start, step=1):
    """A view of the line that holds a copy of `source`."""
    array = view(line.view(source.dtype), source.shape, start, step)
    array[...] = source
    return array


PATTERNS = {
    "in place": lambda room: ((1000, 1), (1000, 1, "C")),
    "one cell later": lambda room: ((1000, 1), (1001, 1, "C")),
    "one cell earlier": lambda room: ((1000, 1), (999, 1, "C")),
    "half a row earlier": lambda room: ((1000, 1), (997, 1, "C")),
    "some rows later": lambda room: ((1000, 1), (1017, 1, "C")),
    "backwards": lambda room: ((1000, 1), (1000 + room - 1, -1, "C")),
    "other order of axes": lambda room: ((1000, 1), (1000, 1, "F")),
    "between the cells": lambda room: ((1000, 2), (1001, 2, "C")),
    "spread over": lambda room: ((1000, 1), (1000, 2, "C")),
    "on every other cell": lambda room: ((1000, 2), (1000, 1, "C")),
}
"""Start and step of the overlapped array, then start, step and order of out."""


def overlapping(arrays, key, shape, pattern):
    """The arrays with `key` in the memory of out, and out."""
    line = np.zeros(6000)
    inner, (start, step, order) = PATTERNS[pattern](prod(shape))
    moved = {**arrays, key: placed(line, arrays[key], *inner)}
    out = view(line, shape, start, step, order)
    return moved, out


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", CALLS)
def test_out_on_the_data_and_on_each_operand(name, pattern):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float64", seed=7)
    for data_format in ("channels_first", "channels_last"):
        given = in_layout(name, arrays, data_format, True)
        given = {key: array.copy() for key, array in given.items()}
        options = {**parameters, "data_format": data_format}
        expected = function(**given, **options)
        for key in given:
            moved, out = overlapping(given, key, expected.shape, pattern)
            assert function(**moved, **options, out=out) is out
            assert np.array_equal(out, expected), (key, data_format)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", CALLS)
def test_out_of_an_operator_on_its_data(name, pattern):
    """Twice: the second call of a shape takes a shorter way."""
    arrays = arrays_of(name, "float64", seed=8)
    operator, data = operator_of(name, arrays)
    expected = operator(data)
    for _ in range(2):
        moved, out = overlapping({"x": data}, "x", expected.shape, pattern)
        assert operator(moved["x"], out=out) is out
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("name", CALLS)
def test_out_on_itself_is_no_result(name):
    """Cells that lie on each other cannot all hold the result: refused, or the last writer's."""
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float64")
    shape = function(**arrays, **parameters).shape
    with pytest.raises(ft.FaltungError, match="out"):
        function(**arrays, **parameters, out=np.broadcast_to(np.zeros(1), shape))


@pytest.mark.parametrize("name", CALLS)
def test_wrong_out_is_refused_and_left_alone(name):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float64")
    shape = function(**arrays, **parameters).shape
    read_only = np.full(shape, 7.0)
    read_only.flags.writeable = False
    faulty = {
        ft.ShapeError: [np.full((*shape, 1), 7.0), np.full(shape[1:], 7.0), np.full((), 7.0)],
        ft.DTypeError: [np.full(shape, 7, np.float32), np.full(shape, 7, np.int64), [7.0]],
        ft.FaltungError: [read_only, np.ma.masked_array(np.full(shape, 7.0))],
    }
    for kind, outs in faulty.items():
        for out in outs:
            with pytest.raises(kind, match="out"):
                function(**arrays, **parameters, out=out)
            assert (np.asarray(out) == 7).all()
    first = next(iter(arrays))
    out = np.full(shape, 7.0)
    with pytest.raises(ft.FaltungError):
        function(**{**arrays, first: arrays[first][..., :0]}, **parameters, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("name", CALLS)
def test_cells_between_those_of_out_stay(name):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float32")
    expected = function(**arrays, **parameters)
    wide = np.full([2 * n + 1 for n in expected.shape], -7, expected.dtype)
    inside = np.zeros(wide.shape, bool)
    index = (slice(1, None, 2),) * expected.ndim
    inside[index] = True
    function(**arrays, **parameters, out=wide[index])
    assert np.array_equal(wide[index], expected)
    assert (wide[~inside] == -7).all()


def test_patterns_are_what_they_are_called():
    arrays = {"x": np.arange(24.0).reshape(2, 3, 4)}
    for name in PATTERNS:
        moved, out = overlapping(arrays, "x", (2, 3, 4), name)
        assert np.array_equal(moved["x"], arrays["x"])
        assert np.shares_memory(out, moved["x"]) == (name != "between the cells")
        out[...] = -1
        assert (moved["x"] == -1).any() == (name != "between the cells")
