"""Pullbacks: the cases where a rule has to say who gets the gradient, and in which dtype."""

import threading

import ml_dtypes
import numpy as np
import pytest

import faltung as ft


def pulled(operator, x, g=None):
    """The gradients for a cotangent of ones, or of g."""
    y, pullback = operator.vjp(np.asarray(x))
    return pullback(np.ones(y.shape, y.dtype) if g is None else g)


def test_ties_of_a_maximum_go_to_the_first_cell():
    x = [[2.0, 5, 5, 1, 5, 5]]
    assert pulled(ft.MaxPool((3,)), x)["input"].tolist() == [[0, 1, 0, 0, 1, 0]]
    overlapping = pulled(ft.MaxPool((3,), stride=1), x)["input"]
    assert overlapping.tolist() == [[0, 2, 1, 0, 1, 0]]
    dilated = pulled(ft.MaxPool((2,), stride=1, dilation=3, padding=3), x)["input"]
    assert dilated.tolist() == [[2, 2, 2, 1, 1, 1]]
    assert pulled(ft.AdaptiveMaxPool((2,)), x)["input"].tolist() == [[0, 1, 0, 0, 1, 0]]
    assert pulled(ft.WindowReduce((6,), "max"), x)["input"].tolist() == [[0, 1, 0, 0, 0, 0]]
    assert pulled(ft.WindowReduce((6,), "min"), [[2.0, 1, 3, 1, 1, 2]])["input"][0, 1] == 1
    flat = np.ones((2, 1), bool)
    assert pulled(ft.Erode(flat, padding=0), [[[2.0], [2.0]]])["input"].ravel().tolist() == [1, 0]


def test_the_last_nan_of_a_window_gets_the_gradient():
    x = [[1.0, np.nan, np.nan, 3, np.nan, 2]]
    for operator in (
        ft.MaxPool((3,)),
        ft.AdaptiveMaxPool((2,)),
        ft.WindowReduce((3,), "max", stride=3),
        ft.WindowReduce((3,), "min", stride=3),
        ft.Dilate(np.ones(3, bool), stride=3, padding=0),
        ft.Erode(np.ones(3, bool), stride=3, padding=0),
    ):
        assert pulled(operator, x)["input"].tolist() == [[0, 0, 1, 0, 1, 0]], operator


def test_a_window_without_a_larger_cell_gives_to_a_real_one():
    x = np.full((1, 3), -np.inf)
    gradient = pulled(ft.MaxPool((2,), stride=1, padding=1), x)["input"]
    assert gradient.tolist() == [[2, 1, 1]]


def test_corners_have_a_slope_between_both_sides():
    zeros = np.zeros((1, 4))
    for order in (1, 1.5, 2, 3, np.inf):
        assert not pulled(ft.LpPool(order, (2,)), zeros)["input"].any()
    for window in ("std", "var"):
        assert not pulled(ft.WindowReduce((2,), window), zeros + 0.1)["input"].any()
    powers = pulled(ft.LpPool(2, (2,)), [[3.0, -4.0, 0.0, 2.0]])["input"]
    assert np.allclose(powers, [[0.6, -0.8, 0, 1]])
    largest = pulled(ft.LpPool(np.inf, (2,)), [[3.0, -4.0, -2.0, 2.0]])["input"]
    assert largest.tolist() == [[0, -1, -1, 0]]
    relu = pulled(ft.Conv([[[1.0]]], activation="relu"), [[-1.0, 0.0, 2.0, np.nan]])
    assert relu["input"].tolist() == [[0, 0, 1, 1]]


def test_logsumexp_of_an_infinite_window_and_median_of_an_even_one():
    soft = pulled(ft.WindowReduce((2,), "logsumexp"), [[800.0, 800.0]])["input"]
    assert soft.tolist() == [[0.5, 0.5]]
    assert pulled(ft.WindowReduce((4,), "median"), [[9.0, 1, 4, 2]])["input"].tolist() == [
        [0, 0, 0.5, 0.5]
    ]
    quarter = pulled(ft.WindowReduce((3,), ("percentile", 25)), [[7.0, 1, 3]])["input"]
    assert quarter.tolist() == [[0, 0.5, 0.5]]


def test_the_structure_gets_what_its_cells_won():
    x = np.array([[1.0, 5, 2, 2]])
    dilation = pulled(ft.Dilate(np.array([0.0, 0.0, 0.0])), x, [[1.0, 10, 100, 1000]])
    assert dilation["input"].tolist() == [[0, 111, 1000, 0]]
    assert dilation["structure"].tolist() == [1, 10, 1100]
    erosion = pulled(ft.Erode(np.array([0.0, 0.0, 0.0])), x, [[1.0, 10, 100, 1000]])
    assert erosion["input"].tolist() == [[11, 0, 1100, 0]]
    assert erosion["structure"].tolist() == [-1010, -101, 0]
    assert "structure" not in pulled(ft.Erode(np.ones(3, bool)), x)


def test_unpooling_gives_nothing_to_what_was_overwritten():
    operator = ft.MaxUnpool(np.array([[[0, 2, 0]]]), (1,))
    assert operator(np.array([[[1.0, 2, 3]]])).tolist() == [[[3, 0, 2]]]
    gradient = pulled(operator, [[[1.0, 2, 3]]], np.array([[[10.0, 20, 30]]]))["input"]
    assert gradient.tolist() == [[[0, 30, 10]]]


def test_blank_windows_give_nothing_back():
    operator = ft.Conv([[[1.0, 2, 3]]], [5.0], padding=1, padding_mode="blank")
    gradients = pulled(operator, [[1.0, 1, 1]], [[100.0, 1, 100]])
    assert gradients["input"].tolist() == [[1, 2, 3]]
    assert gradients["weight"].tolist() == [[[1, 1, 1]]]
    assert gradients["bias"].tolist() == [1]


def test_dtypes_are_those_of_what_the_gradients_belong_to():
    x = np.ones((1, 2, 5), np.float32)
    gradients = pulled(ft.Conv(np.ones((3, 2, 2)), np.ones(3, np.float16)), x)
    assert {name: str(array.dtype) for name, array in gradients.items()} == {
        "input": "float32",
        "weight": "float64",
        "bias": "float16",
    }
    whole = pulled(ft.Conv([[[1, 2]]]), np.ones((1, 4), np.float32))
    assert whole["weight"].dtype == np.result_type(np.float32, np.int64)
    counted = pulled(ft.AvgPool((2,)), [[1, 2, 3, 4]])["input"]
    assert counted.dtype == np.float64
    swapped = pulled(ft.MaxPool((2,)), np.array([[1.0, 2]], ">f8"))["input"]
    assert swapped.dtype == np.float64
    assert swapped.dtype.isnative


def test_sixteen_bit_numbers_are_summed_wide_and_rounded_once():
    x = np.ones((1, 1, 3000), np.float16)
    gradients = pulled(ft.Conv(np.ones((1, 1, 1), np.float16), np.zeros(1, np.float16)), x)
    assert gradients["weight"].item() == gradients["bias"].item() == 3000
    flat = ft.Resize((3000,))
    assert pulled(flat, np.ones((1, 1, 1), np.float16))["input"].item() == 3000
    assert pulled(ft.MaxPool((1,), stride=1), np.ones((1, 1, 4), ml_dtypes.bfloat16))[
        "input"
    ].tolist() == [[[1, 1, 1, 1]]]


def test_complex_numbers_use_the_conjugate_adjoint():
    weight = np.array([[[1 + 2j]]])
    gradients = pulled(ft.Conv(weight, [0j]), np.array([[3 - 1j]]), np.array([[1 + 1j]]))
    assert gradients["input"].item() == (1 - 2j) * (1 + 1j)
    assert gradients["weight"].item() == (3 + 1j) * (1 + 1j)
    assert gradients["bias"].item() == 1 + 1j
    real = pulled(ft.Conv(weight), np.array([[3.0]]), np.array([[1 + 1j]]))
    assert real["input"].item() == 3.0
    assert real["input"].dtype == np.float64
    constant = ft.Conv(weight, padding=1, padding_mode="constant", padding_value=2j)
    assert pulled(constant, [[0j]], [[1.0, 0, 0]])["weight"].item() == -2j


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_have_no_gradient(dtype):
    x = np.ones((1, 1, 6), dtype)
    conv = ft.Conv(np.ones((1, 1, 2), dtype))
    for operator in (conv, ft.MaxPool((2,)), ft.Pad((1,)), ft.Resize((3,), mode="linear")):
        with pytest.raises(ft.DTypeError, match=f"x has dtype {dtype} and the result .* no grad"):
            operator.vjp(x)


def test_layouts_and_samples_come_back_as_they_came():
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((4, 3, 2, 3)), rng.standard_normal((2, 3, 5, 6))
    first = pulled(ft.Conv(weight), x)
    last = pulled(ft.Conv(weight, data_format="channels_last"), np.moveaxis(x, 1, -1))
    assert np.allclose(np.moveaxis(last["input"], -1, 1), first["input"])
    assert np.allclose(last["weight"], first["weight"])
    single = pulled(ft.Conv(weight), x[0])
    assert single["input"].shape == x[0].shape
    assert np.allclose(single["input"], first["input"][0])
    columns = pulled(ft.Unfold((2, 3), data_format="channels_last"), np.moveaxis(x, 1, -1))
    assert columns["input"].shape == (2, 5, 6, 3)


def test_empty_batches_and_missing_filters_have_empty_gradients():
    gradients = pulled(ft.Conv(np.ones((2, 3, 2)), np.ones(2)), np.ones((0, 3, 5)))
    assert gradients["input"].shape == (0, 3, 5)
    assert not gradients["weight"].any()
    assert gradients["bias"].tolist() == [0, 0]
    gradients = pulled(ft.Conv(np.ones((0, 3, 2))), np.ones((1, 3, 5)))
    assert not gradients["input"].any()
    assert gradients["weight"].shape == (0, 3, 2)
    for shape in ((0, 3, 4), (2, 0, 4)):
        x = np.ones(shape)
        indices = np.zeros((*shape[:2], 2), int)
        local = ft.LocalConv(np.ones((2, shape[1], 2, 3)), kernel_size=2)
        assert pulled(local, x)["weight"].shape == (2, shape[1], 2, 3)
        assert pulled(ft.MaxUnpool(indices, (2,)), x[..., :2])["input"].shape == (*shape[:2], 2)
        windows = (
            ft.MaxPool((2,)),
            ft.LpPool(2, (2,)),
            ft.AvgPool((2,)),
            ft.Unfold((2,)),
            ft.Pad((1,)),
        )
        for operator in (*windows, ft.Resize((7,), mode="linear"), ft.Erode(np.ones(2))):
            assert pulled(operator, x)["input"].shape == shape


def test_functions_that_return_tuples_have_the_gradient_of_the_first():
    y, pullback = ft.MaxPool((2,), return_indices=True).vjp(np.array([[1.0, 3, 2, 0]]))
    assert y.tolist() == [[3, 2]]
    assert pullback([[1.0, 10]])["input"].tolist() == [[0, 1, 10, 0]]


def test_a_pullback_serves_many_threads_and_shows_itself():
    x = np.random.default_rng(1).standard_normal((1, 4, 9, 8))
    y, pullback = ft.Conv(np.ones((3, 4, 3, 3)), padding="same").vjp(x)
    assert repr(pullback) == "<pullback of Conv: (1, 3, 9, 8) -> (1, 4, 9, 8)>"
    expected, found = pullback(y), []
    threads = [threading.Thread(target=lambda: found.append(pullback(y))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for gradients in found:
        assert all(np.array_equal(gradients[name], expected[name]) for name in expected)


def test_the_gradient_of_a_large_image_stays_in_blocks():
    tracemalloc = pytest.importorskip("tracemalloc")
    x = np.random.default_rng(2).standard_normal((1, 1, 330, 330)).astype(np.float32)
    operators = (
        ft.Dilate(np.zeros((9, 9), np.float32)),
        ft.LpPool(3, (9, 9), stride=1, padding=4),
        ft.AvgPool((9, 9), stride=1, padding=4),
        ft.Unfold((3, 3), padding=1, padding_mode="reflect"),
    )
    for operator in operators:
        y, pullback = operator.vjp(x)
        g = np.ones_like(y)
        tracemalloc.start()
        pullback(g)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 18 * 2**20 + x.nbytes < 81 * x.nbytes, operator
