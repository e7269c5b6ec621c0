"""Every operator × every sample × every face and dtype, written once for all of them."""

import inspect

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from faltung import classes, testing
from faltung.operators._record import REGISTRY

DTYPES = ("float64", "float32", "float16", "complex64", "complex128", "int64", "int8", "uint16")
CASES = [
    pytest.param(record, sample, id=f"{name}-{sample.name}")
    for name, record in REGISTRY.items()
    for sample in record.samples
]


def bound_operator(record, sample, dtype):
    """The operator of a sample and its data."""
    arrays = sample.draw(dtype)
    x = arrays.pop(record.arrays[0])
    return getattr(ft, record.class_name)(*arrays.values(), **sample.parameters), x


def first(result):
    """What the faces work on, where a function returns a tuple."""
    return result[0] if isinstance(result, tuple) else result


def refuses(record, sample, dtype):
    """Whether the operator's record has no result for this dtype."""
    try:
        record.result_dtype(np.dtype(dtype), {**record.defaults, **sample.parameters})
    except ft.DTypeError:
        return True
    return False


def algorithms_for(record, sample, dtype):
    """The algorithms that take a sample when asked for by name."""
    able = []
    for name in ft.algorithms():
        try:
            getattr(ft, record.name)(**sample.draw(dtype), **sample.parameters, algorithm=name)
        except ft.OptionError:
            continue
        able.append(name)
    return able


@pytest.mark.parametrize("dtype", [*DTYPES, "bool", ml_dtypes.bfloat16], ids=str)
@pytest.mark.parametrize(("record", "sample"), CASES)
def test_operator_keeps_its_promises(record, sample, dtype):
    if refuses(record, sample, dtype):
        with pytest.raises(ft.DTypeError, match=f"x has dtype {dtype}"):
            getattr(ft, record.name)(**sample.draw(dtype), **sample.parameters)
        return
    operator, x = bound_operator(record, sample, dtype)
    testing.check_operator(operator, x)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(("record", "sample"), CASES)
def test_every_algorithm_gives_the_same(record, sample, dtype):
    arrays = sample.draw(dtype)
    expected = first(getattr(ft, record.name)(**arrays, **sample.parameters))
    names = algorithms_for(record, sample, dtype)
    assert "stencil" in names
    for name in names:
        y = first(getattr(ft, record.name)(**arrays, **sample.parameters, algorithm=name))
        if y.dtype.kind in "biu":
            assert np.array_equal(y, expected), name
        else:  # coefficients that are not whole round in the order of the sums
            assert np.allclose(y, expected, rtol=1e-5, atol=1e-5, equal_nan=True), name


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_channels_last_is_the_same_moved(record, sample):
    arrays = sample.draw("int64")
    function = getattr(ft, record.name)
    y = first(function(**arrays, **sample.parameters))
    laid_out = (record.arrays[0], *record.positions)
    moved = {**arrays, **{name: np.moveaxis(arrays[name], 1, -1) for name in laid_out}}
    last = first(function(**moved, **sample.parameters, data_format="channels_last"))
    assert np.array_equal(np.moveaxis(last, -1, 1), y)
    assert last.flags.c_contiguous


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_result_does_not_depend_on_the_batch(record, sample):
    arrays = sample.draw("float64", seed=3)
    name = record.arrays[0]
    function = getattr(ft, record.name)
    with ft.reproducible():
        whole = first(function(**arrays, **sample.parameters))
        for i in range(len(arrays[name])):
            part = {
                each: array[i : i + 1] if ("n",) in operand.axes else array
                for (each, array), operand in zip(
                    arrays.items(), record.signature.inputs, strict=False
                )
            }
            alone = first(function(**part, **sample.parameters))
            assert np.array_equal(alone, whole[i : i + 1])


@pytest.mark.parametrize("name", REGISTRY)
def test_records_are_complete(name):
    record = REGISTRY[name]
    assert len({sample.name for sample in record.samples}) == len(record.samples) >= 5
    assert any(1 in shape[2:] for sample in record.samples for shape in sample.arrays.values())
    assert record.sources
    function = getattr(ft, name)
    document = inspect.getdoc(function)
    for section in ("Parameters", "Returns", "Raises", "Examples", "References"):
        assert f"\n{section}\n---" in document, f"{name} has no section {section}"
    for parameter in inspect.signature(function).parameters:
        assert parameter in document
    kind = getattr(classes, record.class_name)
    assert kind.name == name
    taken = set(inspect.signature(kind).parameters)
    expected = {item.name for item in record.parameters} - {record.arrays[0], "dtype", "out"}
    assert taken == expected | set(record.class_parameters)


def test_ranked_variants_know_their_rank():
    for rank in (1, 2, 3):
        function = getattr(ft, f"conv{rank}d")
        assert function.__name__ == f"conv{rank}d"
        x, weight = np.ones((1, 1, *(3,) * rank)), np.ones((1, 1, *(2,) * rank))
        assert function(x, weight).shape == (1, 1, *(2,) * rank)
        with pytest.raises(ft.ShapeError, match=f"expected {rank}"):
            function(x[..., None], weight[..., None])
