"""Kinds of array through every function: the result of the contiguous copy, or its error."""

import itertools

import numpy as np
import pytest

import faltung as ft
from family_calls import CALLS, arrays_of, in_layout, operator_of
from kinds_of_arrays import BFLOAT16, DTYPES, KINDS, Subclass

LAYOUTS = list(itertools.product(("channels_first", "channels_last"), (True, False)))


def plain(array):
    """A contiguous copy in native byte order, of NumPy's own class."""
    base = np.asarray(array)
    return np.array(base.view(np.ndarray), base.dtype.newbyteorder("="), order="C", copy=True)


def outcome(call):
    """The result of a call, or the class of its error."""
    try:
        return call()
    except ft.FaltungError as error:
        return type(error)


def same(actual, expected):
    if isinstance(expected, type):
        return actual is expected
    is_equal = np.array_equal(actual, expected, equal_nan=expected.dtype.kind in "fc")
    return type(actual) is np.ndarray and actual.dtype == expected.dtype and is_equal


def usable(kind, dtype):
    if dtype == BFLOAT16 and "swapped" in kind:
        return False  # ml_dtypes has no other byte order
    return kind != "list" or dtype.name in ("bool", "int64", "float64", "complex128")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_every_kind_and_dtype(name, kind):
    """The data and the operands."""
    function, parameters = getattr(ft, name), CALLS[name][1]
    for place, dtype in enumerate(DTYPES):
        if not usable(kind, dtype):
            continue
        drawn = arrays_of(name, dtype)
        given = {key: made(kind, array) for key, array in drawn.items()}
        before = {key: plain(array) for key, array in given.items()}
        data_format, has_batch = LAYOUTS[place % len(LAYOUTS)]  # one after the other
        options = {**parameters, "data_format": data_format}
        copies = in_layout(name, before, data_format, has_batch)
        expected = outcome(lambda: function(**copies, **options))  # noqa: B023
        if kind == "list":
            arrays = {key: array.tolist() for key, array in copies.items()}
        else:
            views = {key: np.asarray(array).view(np.ndarray) for key, array in given.items()}
            arrays = in_layout(name, views, data_format, has_batch)
            if kind == "subclass":
                arrays = {key: array.view(Subclass) for key, array in arrays.items()}
        actual = outcome(lambda: function(**arrays, **options))  # noqa: B023
        assert same(actual, expected), (dtype, data_format, has_batch)
        for key, array in given.items():
            assert np.array_equal(plain(array), before[key]), f"{key} was changed"


def made(kind, array):
    """An array of the kind; some kinds need more axes than a bias or a structure has."""
    is_small = array.ndim < 2 or (array.ndim < 3 and kind == "broadcast")
    return array if is_small else KINDS[kind](array)


@pytest.mark.parametrize("name", CALLS)
def test_all_layouts_give_the_same(name):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float64")
    whole = function(**arrays, **parameters)
    for data_format, has_batch in LAYOUTS:
        moved = in_layout(name, arrays, data_format, has_batch)
        y = function(**moved, **parameters, data_format=data_format)
        expected = np.moveaxis(whole, 1, -1) if data_format == "channels_last" else whole
        assert np.array_equal(y, expected if has_batch else expected[0])


@pytest.mark.parametrize("name", CALLS)
def test_zero_size_in_each_axis(name):
    """An empty batch is an empty result; an error for other axes is one of faltung's."""
    function, (shapes, parameters) = getattr(ft, name), CALLS[name]
    arrays = arrays_of(name, "float32")
    key = next(iter(shapes))
    batched = [
        k for k in shapes if k in (key, "indices") or (name == "involution" and k == "weight")
    ]
    empty = {k: array[:0] if k in batched else array for k, array in arrays.items()}
    y = function(**empty, **parameters)
    expected = function(**arrays, **parameters)
    assert (y.shape, y.dtype) == ((0, *expected.shape[1:]), expected.dtype)
    for each, axis in ((k, axis) for k, array in arrays.items() for axis in range(array.ndim)):
        faulty = {**arrays, each: arrays[each].take([], axis)}
        y = outcome(lambda: function(**faulty, **parameters))  # noqa: B023
        if not isinstance(y, type):
            assert y.ndim == expected.ndim
        elif (each, axis) != (key, 0):
            assert y in (ft.ShapeError, ft.WindowError)


@pytest.mark.parametrize("name", CALLS)
def test_scalars_and_masked_arrays_are_refused(name):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float32")
    for key in arrays:
        for value in (np.float32(1), 3, np.array(1.0)):
            with pytest.raises((ft.ShapeError, ft.DTypeError), match=name):
                function(**{**arrays, key: value}, **parameters)
        with pytest.raises(ft.DTypeError, match="mask="):
            function(**{**arrays, key: np.ma.masked_array(arrays[key])}, **parameters)


@pytest.mark.parametrize("name", CALLS)
def test_other_dtypes_are_refused(name):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float32")
    for key, dtype in itertools.product(
        arrays, (np.longdouble, np.clongdouble, object, "U3", "S3", "M8[s]", "m8[s]", "V4")
    ):
        faulty = {**arrays, key: np.zeros(arrays[key].shape, dtype)}
        with pytest.raises(ft.DTypeError, match=key):
            function(**faulty, **parameters)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_maps(name, mode, tmp_path):
    function, parameters = getattr(ft, name), CALLS[name][1]
    arrays = arrays_of(name, "float32")
    expected = function(**arrays, **parameters)
    mapped = {}
    for key, array in arrays.items():
        array.tofile(tmp_path / key)
        mapped[key] = np.memmap(tmp_path / key, array.dtype, mode, shape=array.shape)
    y = function(**mapped, **parameters)
    assert same(y, expected)
    for key, array in arrays.items():
        assert np.array_equal(np.fromfile(tmp_path / key, array.dtype).reshape(array.shape), array)


@pytest.mark.parametrize("name", CALLS)
def test_operators_take_what_functions_take(name):
    for dtype in DTYPES:
        arrays = arrays_of(name, dtype)
        expected = outcome(lambda: getattr(ft, name)(**arrays, **CALLS[name][1]))  # noqa: B023

        def call(arrays=arrays):
            operator, data = operator_of(name, arrays)
            return [operator(KINDS[kind](data)) for kind in ("C", "fortran", "reversed", "strided")]

        results = outcome(call)
        if isinstance(expected, type):
            assert results is expected
            continue
        for y in results:
            assert same(y, expected), dtype


def test_the_comparison_can_fail():
    y = np.arange(3.0)
    assert same(y.copy(), y)
    assert not same(y.astype(np.float32), y)
    assert not same(y + 1, y)
    assert not same(y.view(Subclass), y)
    assert not same(ft.ShapeError, ft.DTypeError)
    assert not same(ft.ShapeError, y)
