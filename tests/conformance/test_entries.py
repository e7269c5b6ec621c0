"""Matrix, coverage and explanation against the result: every operator × sample, and at random."""

import numpy as np
import pytest

import faltung as ft
from faltung.operators._record import REGISTRY
from random_cases import random_case, random_data

CASES = [
    pytest.param(record, sample, id=f"{name}-{sample.name}")
    for name, record in REGISTRY.items()
    for sample in record.samples
]
DTYPES = ("float64", "int64", "float64", "complex128", "float32", "uint8", "float64", "int8")
INDICES = 6


def of_sample(record, sample, dtype="float64"):
    """The operator of a sample and its data."""
    arrays = sample.draw(dtype, seed=5)
    x = arrays.pop(record.arrays[0])
    return getattr(ft, record.class_name)(*arrays.values(), **sample.parameters), x


def first(result):
    return result[0] if isinstance(result, tuple) else result


def assert_equal_up_to_rounding(actual, expected):
    if expected.dtype.kind in "biu":
        assert np.array_equal(actual, expected)
    else:
        scale = np.abs(expected).max(initial=1)
        limit = 1e-5 if expected.dtype in (np.float32, np.complex64) else 1e-12
        assert np.abs(actual - expected).max(initial=0) <= limit * scale


def check_matrix(operator, x, y):
    """The matrix of a linear operator; None for others, which refuse."""
    report = operator.describe(x.shape, x.dtype)
    if report.matrix_shape is None:
        with pytest.raises(ft.NotLinearError, match="Linear are AdaptiveAvgPool"):
            operator.matrix(x.shape, x.dtype)
        return None
    matrix = operator.matrix(x.shape, x.dtype)
    constant = first(operator(np.zeros_like(x)))
    assert_equal_up_to_rounding((matrix @ x.ravel()).astype(y.dtype), (y - constant).ravel())
    matrix.check_format(full_check=True)
    assert matrix.has_canonical_format
    assert matrix.shape == report.matrix_shape
    if operator.name == "max_unpool":  # the report does not know which inputs share a cell
        assert matrix.nnz <= report.matrix_nonzeros
    else:
        assert matrix.nnz == report.matrix_nonzeros
    return matrix


def check_coverage(operator, x, matrix):
    """The entries of the columns and of the rows, channels together."""
    of_inputs = operator.coverage(x.shape)
    of_outputs = operator.coverage(x.shape, of="output")
    assert of_inputs.sum() == of_outputs.sum()
    if matrix is None or not matrix.nnz:
        return
    layout = operator._case(x.shape).bound.layout
    columns = np.bincount(matrix.indices, minlength=matrix.shape[1]).reshape(x.shape)
    rows = np.diff(matrix.indptr).reshape(operator.output_shape(x.shape))
    times, rest = divmod(matrix.nnz, int(of_inputs.sum()))
    assert rest == 0
    for entries, counts in ((columns, of_inputs), (rows, of_outputs)):
        planes = layout.canonical(entries).sum(axis=(0, 1))
        assert np.array_equal(planes, times * counts)


def check_explanation(operator, x, y, index):
    explanation = operator.explain(x, index)
    assert explanation.total.dtype == y.dtype
    assert explanation.index == tuple(np.arange(n)[i] for i, n in zip(index, y.shape, strict=True))
    scale = max([1, *(float(abs(term.product or 0)) for term in explanation.terms)])
    if y.dtype.kind in "biu":
        assert explanation.total == y[index]
    else:
        limit = 1e-5 if y.dtype in (np.float32, np.complex64) else 1e-12
        assert abs(explanation.total - y[index]) <= limit * scale * (1 + len(explanation.terms))
    return explanation


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_samples(record, sample):
    operator, x = of_sample(record, sample)
    y = first(operator(x))
    matrix = check_matrix(operator, x, y)
    check_coverage(operator, x, matrix)
    rng = np.random.default_rng(1)
    for _ in range(INDICES):
        index = tuple(int(rng.integers(-n, n)) for n in y.shape)
        explanation = check_explanation(operator, x, y, index)
        assert str(explanation).startswith(f"{record.class_name}: y[")
        assert explanation._repr_html_().count("<div") == explanation._repr_html_().count("</div>")


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_coverage_counts_the_cells_that_explanations_name(record, sample):
    operator, x = of_sample(record, sample)
    if record.name in ("unfold", "fold", "max_unpool"):  # channels have cells of their own
        return
    y = first(operator(x))
    counts, sizes = np.zeros(x.shape[2:], int), np.zeros(y.shape[2:], int)
    for place in np.ndindex(*y.shape[2:]):
        cells = {term.cell for term in operator.explain(x, (0, 0, *place)).terms} - {None}
        for cell in cells:
            counts[cell] += 1
        sizes[place] = len(cells)
    assert np.array_equal(operator.coverage(x.shape), counts)
    assert np.array_equal(operator.coverage(x.shape, of="output"), sizes)


@pytest.mark.parametrize("name", REGISTRY)
def test_random_configurations(name):
    rng = np.random.default_rng(sum(map(ord, name)))
    done = 0
    while done < 200:
        dtype = DTYPES[done % len(DTYPES)]
        try:
            operator, shape = random_case(name, rng, dtype)
            x = random_data(shape, rng, dtype)
            y = first(operator(x))
        except ft.DTypeError:  # complex numbers have no order
            assert dtype == "complex128"
            done += 1
            continue
        matrix = check_matrix(operator, x, y)
        check_coverage(operator, x, matrix)
        if y.size:
            index = tuple(int(rng.integers(-n, n)) for n in y.shape)
            check_explanation(operator, x, y, index)
        done += 1


def test_the_checks_can_fail():
    operator, x = ft.Conv([[[1.0, 2]]]), np.array([[1.0, 2, 4]])
    other = ft.Conv([[[1.0, 2]]], stride=2, padding=((0, 1),)).matrix((1, 3))
    y = operator(x)
    with pytest.raises(AssertionError):
        check_matrix(operator, x, y + 1e-6)
    with pytest.raises(AssertionError):
        check_coverage(operator, x, other)
    with pytest.raises(AssertionError):
        check_explanation(operator, x, y + 1e-6, (0, 0))
