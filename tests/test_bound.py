"""Operators as values: immutable, equal by content, honest in their words."""

import copy

import numpy
import numpy as np
import pytest

import faltung as ft
from faltung import Conv, Pad

WEIGHT = np.arange(-9, 9, dtype=np.float32).reshape(1, 2, 3, 3)


def test_arrays_are_copied_and_locked():
    weight = WEIGHT.copy()
    operator = Conv(weight)
    weight[...] = 0
    assert np.array_equal(operator.weight, WEIGHT)
    with pytest.raises(ValueError, match="read-only"):
        operator.weight[...] = 0


def test_operators_do_not_change():
    operator = Conv(WEIGHT, stride=2)
    for change in (
        lambda: setattr(operator, "stride", 1),
        lambda: setattr(operator, "new", 1),
        lambda: delattr(operator, "stride"),
    ):
        with pytest.raises(AttributeError, match="immutable"):
            change()
    assert operator.stride == 2
    assert operator.bias is None
    with pytest.raises(AttributeError, match="no attribute 'strides'"):
        _ = operator.strides
    assert copy.copy(operator) is copy.deepcopy(operator) is operator


def test_parameters_are_frozen():
    stride = [2, 1]
    operator = Conv(WEIGHT, stride=stride)
    stride[0] = 1
    assert operator.stride == (2, 1)


def test_equality_is_by_content():
    first, second = Conv(WEIGHT, padding=1), Conv(WEIGHT.copy(), padding=1)
    assert first == second
    assert hash(first) == hash(second)
    others = [
        Conv(WEIGHT),
        Conv(WEIGHT + 1, padding=1),
        Conv(WEIGHT.astype("float64"), padding=1),
        Conv(WEIGHT, [0.0], padding=1),
        Conv((1, 2, 3, 3), padding=1),
        Pad(1),
        "Conv",
    ]
    assert all(first != other for other in others)


def test_repr_evaluates_back():
    for operator in (
        Conv(WEIGHT, stride=(2, 1), padding="same"),
        Conv([[[1, -1]]], [5], flip=True),
        Conv((64, 3, 7, 7), bias=(64,), padding=3),
        Pad(((1, 2),), "reflect"),
    ):
        assert eval(repr(operator), {"numpy": numpy, "Conv": Conv, "Pad": Pad}) == operator


def test_arguments_are_checked_when_an_operator_is_made():
    for build, kind, words in (
        (lambda: Conv(WEIGHT, stride=0), ft.WindowError, "Conv: stride is 0"),
        (lambda: Conv(WEIGHT, groups=2), ft.ShapeError, "groups=2 does not divide"),
        (lambda: Conv(WEIGHT, [1, 2]), ft.ShapeError, "bias has 2 output channels"),
        (lambda: Conv(WEIGHT, padding_mode="mirrored"), ft.OptionError, "padding_mode"),
        (lambda: Conv(WEIGHT, data_format="NHWC"), ft.OptionError, "data_format"),
        (lambda: Conv(WEIGHT, activation="gelu"), ft.OptionError, "activation"),
        (lambda: Conv(WEIGHT, algorithm="magic"), ft.OptionError, "algorithm"),
        (lambda: Conv([[1, 2]]), ft.ShapeError, "weight has shape"),
        (lambda: Conv([["a"]]), ft.DTypeError, "weight has dtype"),
        (lambda: Pad("same"), ft.WindowError, "padding is 'same'"),
    ):
        with pytest.raises(kind, match=words):
            build()


def test_shapes_alone_describe_but_do_not_compute():
    operator = Conv((64, 3, 7, 7), stride=2, padding=3)
    assert operator.output_shape((3, 224, 224)) == (64, 112, 112)
    assert operator.describe((1, 3, 224, 224)).parameters == 64 * 3 * 49
    with pytest.raises(ft.ShapeError, match="shape alone"):
        operator(np.ones((3, 9, 9)))


@pytest.mark.parametrize("shape", [(1, 2), (2, 2.0, 5), (1, 2, -1, 5), "shape", (3, 5, 5), 7])
def test_bad_input_shapes(shape):
    with pytest.raises(ft.FaltungError, match="Conv: "):
        Conv(WEIGHT).output_shape(shape)


def test_settings_are_read_when_an_operator_is_made():
    with ft.reproducible():
        operator = Conv(WEIGHT)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 2, 8, 8)).astype(np.float32)
    assert np.array_equal(operator(x)[1:], operator(x[1:]))
    assert operator != Conv(WEIGHT)


def test_many_shapes_are_not_kept_for_ever():
    operator = Conv(WEIGHT)
    for size in range(3, 103):
        operator(np.ones((2, size, 3), np.float32))
    assert len(operator._kept) <= 64
