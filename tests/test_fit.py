"""Kernels learned from examples."""

import numpy as np
import pytest

import faltung as ft


def bar():
    picture = np.ones((1, 1, 6, 8))
    picture[:, :, :, 2:6] = 0
    return picture


CASES = [
    (1, {}, (3,)),
    (1, {"stride": 2, "padding": "same", "groups": 2}, (4,)),
    (2, {"dilation": (2, 1), "padding": ((1, 0), (2, 3))}, (2, 3)),
    (2, {"groups": 2, "stride": (1, 2), "padding": "full"}, (3, 2)),
    (3, {"padding": 1}, (2, 1, 3)),
]


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(("rank", "window", "kernel"), CASES)
def test_the_kernel_that_made_the_data_is_found(rank, window, kernel, has_bias, dtype):
    rng = np.random.default_rng(rank)

    def draw(*shape):
        values = rng.normal(size=shape)
        return values + 1j * rng.normal(size=shape) if dtype is np.complex128 else values

    groups = window.get("groups", 1)
    weight = draw(2 * groups, 2, *kernel)
    bias = draw(2 * groups) if has_bias else None
    x = draw(3, 2 * groups, *(9, 8, 7)[:rank])
    y = ft.conv(x, weight, bias, **window)
    fit = ft.fit_kernel(x, y, kernel, bias=has_bias, **window)
    assert np.allclose(fit.weight, weight, atol=1e-9)
    assert fit.losses.shape == (1,)
    assert fit.losses[0] < 1e-20
    assert np.allclose(fit.conv(x), y)
    assert (fit.bias is None) == (not has_bias)
    if has_bias:
        assert np.allclose(fit.bias, bias, atol=1e-9)
    single = ft.fit_kernel(x[0], y[0], kernel, bias=has_bias, ridge=1e-12, **window)
    assert single.weight.shape == weight.shape


def test_noise_gives_what_numpy_gives_on_the_unfolded_data():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 12, 9)), rng.normal(size=(2, 3, 10, 8))
    fit = ft.fit_kernel(x, y, (3, 2), bias=True)
    columns = ft.unfold(x, (3, 2)).transpose(0, 2, 1).reshape(-1, 12)
    rows = np.column_stack([columns, np.ones(len(columns))])
    targets = y.reshape(2, 3, -1).transpose(0, 2, 1).reshape(-1, 3)
    solution, *_ = np.linalg.lstsq(rows, targets, rcond=None)
    assert np.allclose(fit.weight.reshape(3, 12), solution[:12].T)
    assert np.allclose(fit.bias, solution[12])
    assert np.isclose(fit.losses[0], ((fit.conv(x) - y) ** 2).mean())


def test_ridge_is_the_textbook_one():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1, 1, 50)), rng.normal(size=(1, 1, 48))
    for loss, scale in (("sum", 1.0), ("mean", 48.0)):
        fit = ft.fit_kernel(x, y, (3,), ridge=0.3, loss=loss)
        rows = ft.unfold(x, (3,))[0]
        exact = np.linalg.solve(rows @ rows.T + 0.3 * scale * np.eye(3), rows @ y[0, 0])
        assert np.allclose(fit.weight.ravel(), exact)
    blank = ft.fit_kernel(np.zeros((1, 1, 9)), np.ones((1, 1, 7)), 3, ridge=1.0)
    assert not blank.weight.any()


def test_many_blocks_are_one_sum(monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 3, 17, 13))
    weight = rng.normal(size=(2, 3, 3, 3))
    y = ft.conv(x, weight)
    whole = ft.fit_kernel(x, y, (3, 3)).weight
    monkeypatch.setattr("faltung.plans._resources.WORKSPACE", 3000)
    assert np.allclose(ft.fit_kernel(x, y, (3, 3)).weight, whole, atol=1e-12)


def test_gradient_descent_learns_the_edge_detector():
    x = bar()
    y = ft.conv(x, [[[[1, -1]]]])
    fit = ft.fit_kernel(x, y, (1, 2), method="sgd", rng=3, steps=150)
    assert np.allclose(fit.weight, [[[[1, -1]]]], atol=1e-3)
    assert fit.losses.shape == (151,)
    assert (np.diff(fit.losses) <= 1e-15).all()  # the default step never overshoots
    given = ft.fit_kernel(
        x, y, (1, 2), method="sgd", initial=[[[[0, 0]]]], lr=0.03, steps=10, loss="sum"
    )
    assert np.isclose(given.losses[0], (y**2).sum())
    again = ft.fit_kernel(x, y, (1, 2), method="sgd", rng=3, steps=150)
    assert np.array_equal(again.losses, fit.losses)


def test_gradient_descent_steps_are_the_written_ones():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 1, 7)), rng.normal(size=(2, 1, 6))
    start = rng.normal(size=(1, 1, 2))
    fit = ft.fit_kernel(
        x, y, (2,), method="sgd", initial=start, lr=0.01, steps=1, bias=True, ridge=0.1
    )
    difference = start[0, 0, 0] * x[..., :-1] + start[0, 0, 1] * x[..., 1:] - y
    slopes = [2 * (difference * x[..., t : t + 6]).mean() + 0.2 * start[0, 0, t] for t in (0, 1)]
    assert np.allclose(fit.weight.ravel(), start.ravel() - 0.01 * np.array(slopes))
    assert np.allclose(fit.bias, -0.01 * 2 * difference.mean())
    assert np.isclose(fit.losses[0], (difference**2).mean() + 0.1 * (start**2).sum())


def test_complex_data_by_gradient_descent():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1, 1, 40)) + 1j * rng.normal(size=(1, 1, 40))
    weight = np.array([[[1 + 2j, -1j]]])
    fit = ft.fit_kernel(x, ft.conv(x, weight), (2,), method="sgd", rng=0, steps=300)
    assert np.allclose(fit.weight, weight, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_weights_have_the_joint_float_dtype(dtype):
    x = np.random.default_rng(6).integers(0, 9, (1, 1, 30)).astype(dtype)
    fit = ft.fit_kernel(x, ft.conv(x, np.array([[[1, 2]]], dtype)), 2)
    assert fit.weight.dtype == (np.float64 if dtype is np.uint8 else dtype)
    assert np.allclose(fit.weight.ravel(), [1, 2], atol=1e-2)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"y": np.ones((1, 1, 9))}, ft.ShapeError, r"y has shape \(1, 1, 9\)"),
        ({"x": np.ones(9)}, ft.ShapeError, r"\(9,\)"),
        ({"x": np.ones((1, 1, 9))}, ft.OptionError, "does not determine"),
        ({"x": np.full((1, 1, 9), np.nan)}, ft.OptionError, "x has numbers"),
        ({"kernel_size": 0}, ft.WindowError, "kernel_size"),
        ({"kernel_size": 12}, ft.WindowError, "kernel_size"),
        ({"groups": 2}, ft.ShapeError, "groups=2"),
        ({"method": "adam"}, ft.OptionError, "'lstsq', 'sgd'"),
        ({"loss": 3}, ft.OptionError, "'mean', 'sum'"),
        ({"ridge": -1}, ft.OptionError, "ridge"),
        ({"ridge": np.inf}, ft.OptionError, "ridge"),
        ({"bias": 1}, ft.OptionError, "bias"),
        ({"lr": 0.1}, ft.OptionError, "lr is given"),
        ({"initial": np.ones((1, 1, 2)), "method": "sgd"}, ft.ShapeError, "initial"),
        ({"initial": 1j * np.ones((1, 1, 3)), "method": "sgd"}, ft.DTypeError, "initial"),
        ({"steps": -1, "method": "sgd"}, ft.WindowError, "steps"),
        ({"x": "abc"}, ft.DTypeError, "x"),
    ],
)  # fmt: skip
def test_what_is_refused(change, error, said):
    given = {"x": np.arange(9.0)[None, None] ** 2, "y": np.ones((1, 1, 7)), "kernel_size": 3}
    with pytest.raises(error, match=said) as caught:
        ft.fit_kernel(**{**given, **change})
    assert str(caught.value).startswith("fit_kernel: ")


def test_steps_that_are_too_large_are_named():
    x = np.random.default_rng(0).random((1, 1, 20))
    y = ft.conv(x, [[[1.0, -1, 2]]])
    for steps in (200, 500):
        with pytest.raises(ft.OptionError, match=r"fit_kernel: lr is 1000.0: the loss is .* Use a"):
            ft.fit_kernel(x, y, (3,), method="sgd", lr=1e3, steps=steps, rng=0)
    assert ft.fit_kernel(x, y, (3,), method="sgd", steps=500, rng=0).losses[-1] < 1e-3
