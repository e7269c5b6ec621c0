"""Operators as values: immutable, equal by content, honest in their words."""

import copy

import numpy
import numpy as np
import pytest

import faltung as ft
from faltung import Conv, Pad
from faltung.operators._record import REGISTRY
from random_cases import random_case

WEIGHT = np.arange(-9, 9, dtype=np.float32).reshape(1, 2, 3, 3)


def test_arrays_are_copied_and_locked():
    weight = WEIGHT.copy()
    operator = Conv(weight)
    weight[...] = 0
    assert np.array_equal(operator.weight, WEIGHT)
    with pytest.raises(ValueError, match="read-only"):
        operator.weight[...] = 0


def test_what_was_asked_before_changes_no_answer():
    """The last shape and dtype are kept bound."""
    operator = Conv(WEIGHT, padding=1)
    for _ in range(2):
        for shape in ((1, 2, 8, 9), (1, 2, 9, 8), (2, 8, 9)):
            for dtype in ("float32", "float64"):
                report = operator.describe(shape, dtype)
                assert report.output_shape == (*shape[:-3], 1, *shape[-2:])
                assert report.output_shape == operator.output_shape(shape)
                assert report.bytes_read == np.dtype(dtype).itemsize * np.prod(shape) + 72


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


NAMES = {"numpy": numpy} | {name: getattr(ft, name) for name in ft.__all__}


@pytest.mark.parametrize("name", REGISTRY)
def test_repr_of_random_operators_evaluates_back(name):
    rng = np.random.default_rng(3)
    for dtype in ("float32", "float64", "int64"):
        for _ in range(20):
            operator, _ = random_case(name, rng, dtype)
            with np.printoptions(threshold=10**5):
                assert eval(repr(operator), NAMES) == operator


@pytest.mark.parametrize(
    "operator",
    [
        Conv(np.random.default_rng(0).standard_normal((8, 4, 3, 3))),
        Conv([[[np.nan, np.inf, -np.inf]]], padding_mode="constant", padding_value=np.nan),
        Conv([[[complex(np.nan, -np.inf), complex(1, np.nan)]]]),
        Conv(np.zeros((0, 3, 2), np.float16)),
        ft.LpPool(np.inf, (2,)),
        ft.Erode(np.ones((7, 7), bool)),
        Pad(1, "constant", float("-inf")),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_repr_of_many_and_of_strange_numbers_evaluates_back(operator):
    assert eval(repr(operator), NAMES) == operator


def test_repr_of_more_numbers_than_numpy_prints():
    large = Conv(np.ones((12, 12, 3, 3), np.float32), np.ones(12), padding=1)
    assert repr(large) == "Conv((12, 12, 3, 3), (12,), padding=1)"
    assert eval(repr(large), NAMES).describe((12, 9, 9)).macs == large.describe((12, 9, 9)).macs
    assert repr(ft.Erode(np.ones((40, 40), bool))) == "Erode(<structure (40, 40) of bool>)"
    with np.printoptions(threshold=5):
        assert repr(Conv(WEIGHT)) == "Conv((1, 2, 3, 3))"
    layer = ft.InvolutionLayer.init(64, 7, rng=0)
    assert repr(layer).startswith("InvolutionLayer((16, 64, 1, 1), (196, 16, 1, 1), reduce_bias=(1")


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
    same = Conv(np.ones((64, 3, 7, 7)), stride=2, padding=3)
    assert np.array_equal(operator.coverage((3, 20, 30)), same.coverage((3, 20, 30)))
    chain = ft.Sequential(operator, ft.MaxPool((2, 2)))
    expected = ft.Sequential(same, ft.MaxPool((2, 2))).coverage((3, 20, 30), of="output")
    assert np.array_equal(chain.coverage((3, 20, 30), of="output"), expected)
    x = np.ones((3, 9, 9))
    for ask in (
        lambda: operator(x),
        lambda: operator.vjp(x),
        lambda: operator.matrix(x.shape),
        lambda: operator.explain(x, (0, 0, 0)),
        lambda: operator.reference(x),
    ):
        with pytest.raises(ft.ShapeError, match="shape alone"):
            ask()


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
