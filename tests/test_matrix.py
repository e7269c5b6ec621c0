"""Matrices of linear operators: structure, dtypes, blocks, memory, refusals."""

import time
import tracemalloc

import numpy as np
import pytest
from scipy.linalg import convolution_matrix
from scipy.sparse import csr_array

import faltung as ft
from faltung import matrix as matrices
from random_cases import random_case

LINEAR = ("conv", "conv_transpose", "involution", "local_conv", "avg_pool", "resize", "unfold")


def test_it_is_scipys_convolution_matrix():
    kernel = np.array([1.0, -2, 3])
    matrix = ft.Conv(kernel[None, None], padding="full", flip=True).matrix((1, 6))
    assert isinstance(matrix, csr_array)
    assert np.array_equal(matrix.toarray(), convolution_matrix(kernel, 6, "full"))


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "wrap", "zeros"])
@pytest.mark.parametrize("name", [operator for operator in LINEAR if operator != "resize"])
def test_unit_vectors_give_the_columns(name, mode):
    rng = np.random.default_rng(0)
    while True:
        operator, shape = random_case(name, rng)
        if operator._parameters.get("padding_mode", mode) == mode:
            break
    count = int(np.prod(shape))
    constant = operator(np.zeros(shape))
    units = np.eye(count).reshape(count, *shape)
    columns = np.stack([(operator(unit) - constant).ravel() for unit in units], axis=1)
    assert np.allclose(operator.matrix(shape).toarray(), columns)


def test_taps_that_show_the_same_cell_are_added():
    matrix = ft.Conv([[[1, 2, 4]]], padding=1, padding_mode="edge").matrix((1, 1))
    assert matrix.toarray().tolist() == [[7]]
    assert matrix.nnz == 1


def test_a_tap_of_zero_has_an_entry_and_a_cell_outside_has_none():
    matrix = ft.Conv([[[1, 0, 4]]], padding=1).matrix((1, 2))
    assert matrix.nnz == 4
    assert matrix.data.tolist() == [0, 4, 1, 0]
    assert matrix.indices.tolist() == [0, 1, 0, 1]


def test_blank_windows_have_empty_rows():
    matrix = ft.Conv([[[1, 1, 1]]], padding=1, padding_mode="blank").matrix((1, 4))
    assert np.diff(matrix.indptr).tolist() == [0, 3, 3, 0]


def test_constants_are_left_out():
    operator = ft.Conv([[[1, 1]]], [5], padding=1, padding_mode="constant", padding_value=3)
    x = np.array([[1, 2]])
    assert (operator.matrix((1, 2)) @ x.ravel()).tolist() == [1, 3, 2]
    assert operator(x).tolist() == [[9, 8, 10]]


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("float16", "float32"),
        ("complex64", "complex64"),
        ("int8", "int8"),
        ("bool", "bool"),
        ("uint64", "uint64"),
    ],
)
def test_dtype_is_that_of_the_weight(given, dtype):
    operator = ft.Conv(np.ones((1, 1, 2), given))
    assert operator.matrix((1, 4)).dtype == dtype
    assert operator.matrix((1, 4), "complex128").dtype == "complex128"


def test_without_weights_it_is_float64():
    assert ft.AvgPool((3,)).matrix((1, 6)).dtype == "float64"
    assert ft.AvgPool((3,)).matrix((1, 6), "float32").dtype == "float32"
    assert ft.AvgPool((3,)).matrix((1, 6)).data[0] == 1 / 3
    assert ft.Pad(1).matrix((1, 1, 2), "float16").dtype == "float32"


@pytest.mark.parametrize("name", [*LINEAR, "fold", "pad", "adaptive_avg_pool"])
def test_blocks_do_not_change_it(name, monkeypatch):
    rng = np.random.default_rng(7)
    cases = [random_case(name, rng) for _ in range(40)]
    whole = [(*case, case[0].matrix(case[1])) for case in cases]
    small = [case for case in whole if case[2].nnz < 1500]
    assert len(small) > 8
    monkeypatch.setattr(matrices, "ENTRIES_AT_ONCE", 5)  # cuts outputs, taps and links
    monkeypatch.setattr(matrices, "FEWEST_PAIRS", 2)
    for operator, shape, expected in small[:12]:
        matrix = operator.matrix(shape)
        assert np.array_equal(matrix.indptr, expected.indptr)
        assert np.array_equal(matrix.indices, expected.indices)
        assert np.allclose(matrix.data, expected.data)


def test_nothing_but_the_result_takes_memory():
    operator = ft.Conv(np.ones((16, 16, 3, 3)), padding=1, padding_mode="reflect")
    operator.matrix((16, 4, 4))  # SciPy is loaded
    tracemalloc.start()
    matrix = operator.matrix((16, 64, 64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert matrix.nnz == 16 * 16 * 64 * 64 * 9 - 16 * 16 * 4 * (3 * 62 + 5)
    assert matrix.indices.dtype == np.int32
    assert peak < 1.3 * size


def test_nine_million_entries_take_no_two_seconds():
    operator = ft.Conv(np.ones((16, 16, 3, 3)), padding=1)
    operator.matrix((16, 4, 4))
    start = time.process_time()
    operator.matrix((16, 64, 64))
    assert time.process_time() - start < 2


def test_a_matrix_that_cannot_fit_is_refused_at_once():
    operator = ft.Conv(np.ones((16, 16, 3, 3)), padding=1)
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ft.ResourceError, match=r"needs [\d,]+ bytes.* Use linear_operator"):
        operator.matrix((16, 100_000, 100_000))
    assert time.perf_counter() - start < 0.5
    with pytest.raises(ft.ResourceError, match="linear_operator"):
        ft.Resize((10**9, 10**9), mode="cubic").matrix((1, 8, 8))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    ft.set_memory_limit(300 * 2**20)
    try:
        with pytest.raises(ft.ResourceError, match="the limit is 314,572,800"):
            operator.matrix((16, 200, 200))
    finally:
        ft.set_memory_limit(None)


def test_samples_repeat_the_block():
    operator = ft.Conv([[[1, 2]]])
    one = operator.matrix((1, 3)).toarray()
    assert np.array_equal(operator.matrix((2, 1, 3)).toarray(), np.kron(np.eye(2), one))
    assert operator.matrix((0, 1, 3)).shape == (0, 0)


@pytest.mark.parametrize(
    "operator",
    [
        ft.MaxPool((2,)),
        ft.LpPool(2, (2,)),
        ft.Erode([1, 1]),
        ft.WindowReduce((2,), "median"),
        ft.Conv([[[1.0, 1]]], activation="relu"),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_what_is_not_linear_says_so(operator):
    with pytest.raises(
        ft.NotLinearError, match=r"not linear.*AvgPool, Conv, ConvTranspose.*Unfold"
    ):
        operator.matrix((1, 6))


def test_interpolated_integers_are_rounded():
    with pytest.raises(ft.NotLinearError, match="rounded to uint8"):
        ft.Resize((4,), mode="linear").matrix((1, 6), "uint8")


def test_weights_are_needed():
    with pytest.raises(ft.ShapeError, match="as a shape alone"):
        ft.Conv((1, 1, 3)).matrix((1, 6))
