"""Operators one after another."""

import copy
import pickle

import numpy as np
import pytest

import faltung as ft


@pytest.fixture(name="chain")
def _chain():
    rng = np.random.default_rng(0)
    return ft.Sequential(
        ft.Conv(rng.integers(-3, 4, (4, 3, 3, 2)).astype(float), [1, 2, 3, 4.0], stride=2),
        ft.MaxPool((2, 2), stride=1, return_indices=True),
        ft.Sequential(ft.Pad(((1, 0), (0, 2)), "edge"), ft.AvgPool((3, 2), stride=(2, 1))),
    )


@pytest.mark.parametrize("shape", [(2, 3, 12, 11), (3, 12, 11)])
def test_a_chain_is_one_operator_after_another(chain, shape):
    x = np.random.default_rng(1).integers(-5, 6, shape).astype(float)
    one_by_one = chain[2](chain[1](chain[0](x))[0])
    assert np.array_equal(chain(x), one_by_one)
    assert np.array_equal(chain.reference(x), one_by_one)
    assert chain.output_shape(shape) == one_by_one.shape
    assert chain.shapes(shape)[0] == shape
    assert len(chain.shapes(shape)) == len(chain) + 1 == len(list(chain)) + 1


def test_a_chain_is_a_value(chain):
    assert pickle.loads(pickle.dumps(chain)) == chain
    assert hash(pickle.loads(pickle.dumps(chain))) == hash(chain)
    assert copy.deepcopy(chain) is chain
    assert chain != ft.Sequential(chain[0])
    assert chain != 3
    with pytest.raises(AttributeError, match="immutable"):
        chain.operators = ()
    with pytest.raises(AttributeError, match="immutable"):
        del chain.operators


def test_repr_evaluates_back():
    chain = ft.Sequential(ft.Conv(np.eye(2)[None, None]), ft.MaxPool((2, 2), stride=1))
    assert (
        eval(repr(chain), {"numpy": np, **vars(ft), **{n: getattr(ft, n) for n in dir(ft)}})
        == chain
    )


def test_the_report_has_the_sums_and_the_receptive_field_on_the_first_input():
    chain = ft.Sequential(
        ft.Conv((64, 3, 7, 7), stride=2, padding=3),
        ft.MaxPool((3, 3), stride=2, padding=1),
        ft.Conv((8, 64, 3, 3), (8,)),
    )
    report = chain.describe((3, 224, 224))
    parts = report.operators
    assert report.parameters == sum(part.parameters for part in parts) == 64 * 147 + 8 * 577
    assert report.macs == sum(part.macs for part in parts)
    assert report.receptive_field == (19, 19)  # 7, then + 2·2, then + 2·4
    assert report.receptive_jump == (4, 4)
    assert report.receptive_start == (-5, -5)
    assert report.matrix_shape is None
    assert report.dense_parameters == 3 * 224 * 224 * 8 * 54 * 54 + 8 * 54 * 54
    assert set(report.to_dict()) == {*parts[0].to_dict(), "operators"}
    assert "<tr><td" in report._repr_html_()
    assert [line.split()[0] for line in str(report).splitlines()[2:5]] == [
        "Conv",
        "MaxPool",
        "Conv",
    ]


def test_the_receptive_field_is_what_a_perturbed_input_shows():
    chain = ft.Sequential(
        ft.AvgPool(3, stride=2, padding=1), ft.AvgPool(2, stride=1), ft.AvgPool(3)
    )
    x = np.zeros((1, 1, 60))
    report = chain.describe(x.shape)
    size, jump, start = (
        values[0]
        for values in (report.receptive_field, report.receptive_jump, report.receptive_start)
    )
    for cell in range(60):
        changed = x.copy()
        changed[..., cell] = 1
        touched = np.flatnonzero(chain(changed)[0, 0])
        seeing = [
            i
            for i in range(chain.output_shape(x.shape)[2])
            if start + i * jump <= cell < start + i * jump + size
        ]
        assert touched.tolist() == seeing


def test_a_linear_chain_has_a_matrix_shape():
    chain = ft.Sequential(ft.Conv(np.ones((2, 1, 3))), ft.AvgPool((2,)))
    report = chain.describe((1, 1, 12))
    assert report.matrix_shape == (10, 12)
    assert "10 × 12" in str(report)
    assert "10 × 12" in report._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (ft.Sequential, ft.OptionError, "at least one"),
        (lambda: ft.Sequential(ft.MaxPool((2,)), 3), ft.OptionError, r"operators\[1\]"),
        (
            lambda: ft.Sequential(ft.MaxPool((2,)), ft.Conv(np.ones((1, 3, 2))))(
                np.ones((1, 2, 8))
            ),
            ft.ShapeError,
            "operator 2 of 2, Conv: x has 2 channels",
        ),
        (
            lambda: ft.Sequential(ft.MaxPool((2,)), ft.MaxPool((9,))).output_shape((1, 2, 8)),
            ft.WindowError,
            "operator 2 of 2, MaxPool",
        ),
        (
            lambda: ft.Sequential(ft.MaxPool((2,))).describe((2, 8, 8, 8)),
            ft.ShapeError,
            "operator 1 of 1, MaxPool",
        ),
    ],
)
def test_errors_say_which_operator(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.fixture(name="linear")
def _linear():
    rng = np.random.default_rng(3)
    return ft.Sequential(
        ft.Conv(rng.normal(size=(2, 1, 3, 2)), [1.0, 2], padding=1, padding_mode="reflect"),
        ft.Sequential(ft.AvgPool((2, 2), stride=1), ft.Resize(scale_factor=(2, 1), mode="linear")),
        ft.ConvTranspose(rng.normal(size=(2, 1, 3, 3)), stride=2),
    )


def test_the_matrix_is_the_product(linear):
    x = np.random.default_rng(4).normal(size=(1, 5, 6))
    matrix = linear.matrix(x.shape)
    constant = linear(np.zeros_like(x))
    assert matrix.shape == (linear(x).size, x.size)
    assert np.allclose(matrix @ x.ravel(), (linear(x) - constant).ravel())
    assert np.allclose(linear.linear_operator(x.shape) @ x.ravel(), matrix @ x.ravel())
    g = np.random.default_rng(5).normal(size=linear(x).shape)
    back = linear.adjoint(x.shape)
    assert back.output_shape(g.shape) == x.shape
    assert np.allclose(back(g).ravel(), matrix.T @ g.ravel())
    assert np.allclose(back.adjoint(g.shape)(x).ravel(), matrix @ x.ravel())
    assert np.allclose(linear.linear_operator(x.shape).rmatvec(g.ravel()), matrix.T @ g.ravel())
    assert "Sequential" in repr(back)
    with pytest.raises(ft.ShapeError, match="adjoint of Sequential"):
        back(x)


def test_the_transpose_is_a_chain():
    chain = ft.Sequential(ft.Conv(np.ones((2, 1, 3))), ft.Conv(np.ones((3, 2, 2))))
    assert isinstance(chain.T, ft.Sequential)
    assert isinstance(chain.adjoint((1, 9)), ft.Sequential)
    x, g = np.arange(9.0)[None], np.arange(18.0).reshape(3, 6)
    assert (chain(x) * g).sum() == (x * chain.T(g)).sum()
    with pytest.raises(ft.ShapeError, match="operator 1 of 1, AvgPool"):
        _ = ft.Sequential(ft.AvgPool((2,))).T


def test_gradients_are_named_after_the_place(linear):
    x = np.random.default_rng(4).normal(size=(1, 5, 6))
    y, pullback = linear.vjp(x)
    g = np.random.default_rng(5).normal(size=y.shape)
    gradients = pullback(g)
    assert np.array_equal(y, linear(x))
    assert set(gradients) == {"input", "0.weight", "0.bias", "2.weight"}
    assert np.allclose(gradients["input"], linear.adjoint(x.shape)(g))
    step = 1e-6
    for place in ((0, 0, 1, 1), (1, 0, 2, 0)):
        weight = np.array(linear[0].weight)
        weight[place] += step
        conv = ft.Conv(weight, linear[0].bias, padding=1, padding_mode="reflect")
        moved = ft.Sequential(conv, *linear.operators[1:])(x)
        slope = ((moved - y) * g).sum() / step
        assert np.isclose(gradients["0.weight"][place], slope, rtol=1e-4)


def test_coverage_counts_outputs_by_however_many_ways():
    chain = ft.Sequential(ft.AvgPool((3,), stride=1), ft.Sequential(ft.AvgPool((2,), stride=2)))
    matrix = chain.matrix((1, 9)).toarray() != 0
    assert np.array_equal(chain.coverage((1, 9)), matrix.sum(axis=0))
    assert np.array_equal(chain.coverage((1, 9), of="output"), matrix.sum(axis=1))
    with pytest.raises(ft.OptionError, match="Unfold"):
        ft.Sequential(ft.Unfold((2,))).coverage((1, 9))
    with pytest.raises(ft.OptionError, match="input"):
        chain.coverage((1, 9), of="both")


@pytest.mark.parametrize("face", ["describe", "coverage"])
def test_operators_on_different_axes_have_no_common_window(face):
    conv = ft.Conv(np.ones((1, 1, 3, 3)), padding="same")
    by_an_int = ft.Sequential(ft.Resize(scale_factor=2), conv)
    with pytest.raises(ft.ShapeError, match=r"operators\[1\] has 2 spatial axes, .*\[0\] has 1"):
        getattr(by_an_int, face)((1, 5, 4))
    getattr(by_an_int, face)((1, 1, 5, 4))
    getattr(ft.Sequential(ft.Resize(scale_factor=(2, 2)), conv), face)((1, 5, 4))


def test_the_explanation_is_that_of_the_last_operator(linear):
    x = np.random.default_rng(4).normal(size=(1, 5, 6))
    explanation = linear.explain(x, (0, 3, 4))
    assert np.isclose(explanation.total, linear(x)[0, 3, 4])


def test_faces_of_what_is_not_linear_say_which_operator():
    chain = ft.Sequential(ft.AvgPool((2,)), ft.MaxPool((2,)))
    for ask in (chain.matrix, chain.adjoint, chain.linear_operator):
        with pytest.raises(ft.NotLinearError, match="operator 2 of 2, MaxPool"):
            ask((1, 9))


def test_the_report_of_a_linear_chain_prints():
    chain = ft.Sequential(ft.Resize((8, 10)), ft.Conv(np.ones((1, 1, 3, 3)), padding="same"))
    lines = str(chain.describe((1, 4, 5))).splitlines()
    assert "  as a matrix        80 × 20" in lines
