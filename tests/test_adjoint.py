"""Adjoints, transposes and linear operators: what they are, and what they refuse."""

import re

import numpy as np
import pytest

import faltung as ft
from faltung import _case
from faltung.adjoint import Adjoint
from faltung.operators._record import REGISTRY


def test_adjoints_are_operators_of_the_family_where_there_is_one():
    conv = ft.Conv(np.array([[[1, 2j]]]), [5], stride=2, padding="same")
    adjoint = conv.adjoint((1, 7))
    assert isinstance(adjoint, ft.ConvTranspose)
    assert np.array_equal(adjoint.weight, conv.weight.conj())
    assert adjoint.bias is None
    assert isinstance(adjoint.adjoint((1, 4)), ft.Conv)
    assert isinstance(ft.Fold((5,), (2,)).adjoint((2, 4)), ft.Unfold)
    assert isinstance(ft.Unfold((2,), padding=1).adjoint((3, 5)), ft.Fold)
    assert isinstance(ft.Conv([[[1, 2]]], padding=1, padding_mode="edge").adjoint((1, 4)), Adjoint)
    last = ft.Conv(np.ones((2, 3, 2)), data_format="channels_last").adjoint((5, 3))
    assert last(np.ones((4, 2))).shape == (5, 3)


def test_an_adjoint_knows_its_shapes_and_its_way_back():
    adjoint = ft.AvgPool((2,)).adjoint((1, 3, 5))
    assert repr(adjoint) == "<adjoint of AvgPool: (1, 3, 2) -> (1, 3, 5)>"
    assert (adjoint.input_shape, adjoint.output_shape()) == ((1, 3, 2), (1, 3, 5))
    back = adjoint.adjoint()
    assert repr(back) == "<linear part of AvgPool: (1, 3, 5) -> (1, 3, 2)>"
    x = np.arange(15.0).reshape(1, 3, 5)
    assert np.array_equal(back(x), ft.avg_pool(x, (2,)))
    assert repr(back.adjoint((1, 3, 5))) == repr(adjoint)
    with pytest.raises(ft.ShapeError, match=r"adjoint of AvgPool: x has shape \(3,\), expected"):
        adjoint(np.ones(3))
    with pytest.raises(ft.ShapeError, match=r"input_shape is \(1, 2\), the adjoint takes"):
        adjoint.output_shape((1, 2))


def test_constants_and_biases_have_no_part_in_the_linear_map():
    operator = ft.Conv([[[1.0, 2]]], [7], padding=1, padding_mode="constant", padding_value=3)
    linear = operator.linear_operator((1, 2))
    assert (linear @ np.zeros(2)).tolist() == [0, 0, 0]
    assert (linear @ np.array([1.0, 10])).tolist() == [2, 21, 10]
    assert (linear.T @ np.array([1.0, 10, 100])).tolist() == [12, 120]
    padded = ft.Pad(((1, 2),), "constant", 4).adjoint((1, 3))
    assert padded([[1, 2, 3, 4, 5, 6]]).tolist() == [[2, 3, 4]]


def test_dtypes_are_joined_and_exact():
    adjoint = ft.AvgPool((2,)).adjoint((1, 4))
    assert adjoint(np.ones((1, 2), np.float32)).dtype == np.float32
    assert adjoint(np.ones((1, 2), int)).dtype == np.float64
    assert adjoint(np.ones((1, 2), complex)).dtype == np.complex128
    grown = ft.Resize((4,), mode="linear").adjoint((1, 2))
    assert grown(np.array([[1, 2, 3, 4]])).tolist() == [[3.25, 6.75]]
    counted = ft.Pad((1,), "wrap").adjoint((1, 3))
    assert counted(np.ones((1, 5), bool)).tolist() == [[2, 1, 2]]
    assert counted(np.ones((1, 5), bool)).dtype == np.int64


def test_a_blurred_picture_comes_back_through_scipy():
    from scipy.sparse.linalg import lsmr

    picture = np.random.default_rng(0).standard_normal((1, 12, 13))
    row = np.array([1.0, 3, 1])
    blur = ft.Conv(np.outer(row, row)[None, None], padding=1, padding_mode="reflect")
    linear = blur.linear_operator(picture.shape)
    assert linear.dtype == np.float64
    found = lsmr(linear, blur(picture).ravel(), atol=1e-13, btol=1e-13)[0]
    assert np.allclose(found, picture.ravel(), atol=1e-7)
    assert (linear @ np.zeros((156, 0))).shape == (156, 0)


def test_transposes_need_no_shape():
    weight = np.array([[[1, 2j, 3]], [[4, 5, 6]]])
    transposed = ft.Conv(weight, padding="same", padding_mode="wrap").T
    assert isinstance(transposed, ft.ConvTranspose)
    assert np.array_equal(transposed.weight, weight)
    assert ft.Conv(weight, padding=1, padding_mode="wrap") == transposed.T
    assert (
        ft.Conv([[[1, 2]]], stride=2) == ft.ConvTranspose([[[1, 2]]], stride=2, output_padding=1).T
    )
    for operator in (
        ft.Conv([[[1, 2]]], stride=2),
        ft.ConvTranspose([[[1, 2]]], dilation=3, output_padding=2),
        ft.Unfold((2,)),
        ft.AvgPool((2,)),
    ):
        with pytest.raises(ft.ShapeError, match=r"depends on the shape .* adjoint"):
            _ = operator.T


def test_what_is_not_linear_says_so_and_names_what_is():
    relu = ft.Conv([[[1.0]]], activation="relu")
    with pytest.raises(ft.NotLinearError, match="because it is not linear with activation 'relu'"):
        relu.adjoint((1, 3))
    with pytest.raises(ft.NotLinearError, match="its results are rounded to int64"):
        ft.Resize((4,), mode="linear").linear_operator((1, 2), "int64")
    linear = set(re.findall(r"\b[A-Z]\w+", _case.LINEAR))
    found = set()
    for record in REGISTRY.values():
        sample = record.samples[0]
        arrays = sample.draw()
        shape = arrays.pop(record.arrays[0]).shape
        operator = getattr(ft, record.class_name)(*arrays.values(), **sample.parameters)
        if operator.describe(shape).matrix_shape is not None:
            found.add(record.class_name)
    assert linear == found
