"""Windows too large for the workspace: reduced some taps at a time, with the same result."""

import numpy as np
import pytest

import faltung as ft
from faltung.operators._call import Door
from faltung.plans import _blocks, _resources
from pooling_cases import draw_pooling

SPECIALS = (np.nan, np.inf, -np.inf)


def small_workspace(monkeypatch, size):
    """Blocks of a few cells; what calls keep of earlier ones is forgotten."""
    monkeypatch.setattr(_blocks, "WORKSPACE", size)
    monkeypatch.setattr(Door, "_bind", lambda door, arrays, given: door._bind_new(arrays, given))


def calls(x, parameters, rank):
    structure = np.random.default_rng(1).random(parameters["kernel_size"]) < 0.5
    structure[(0,) * rank] = True
    moves = {name: parameters[name] for name in ("stride", "dilation")}
    every = {"algorithm": "stencil"}
    return {
        "max": lambda: ft.max_pool(x, **parameters, **every, return_indices=True),
        "average": lambda: ft.avg_pool(x, **parameters, **every),
        "norm": lambda: ft.lp_pool(x, 1, **parameters, **every),
        "largest size": lambda: ft.lp_pool(x, np.inf, **parameters, **every),
        "dilate": lambda: ft.dilate(x, structure, **moves, **every),
        "erode": lambda: ft.erode(x, structure, **moves, **every),
    }


def outcome(call):
    try:
        return call()
    except ft.FaltungError as error:  # a structure that sees no cell
        return type(error)


def equal(found, expected):
    if isinstance(expected, tuple):
        return all(map(equal, found, expected))
    return np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


@pytest.mark.parametrize("size", [1000, 4000])
def test_blocks_of_taps_change_nothing(monkeypatch, size):
    rng = np.random.default_rng(size)
    for number in range(18):
        case = draw_pooling(rng)
        x = rng.integers(-4, 5, case.shape).astype("f4")
        if number % 3 == 1:
            x.ravel()[rng.integers(0, x.size, 2)] = rng.choice(SPECIALS)
        elif number % 3 == 2:
            x[:] = -np.inf
        found = {}
        with monkeypatch.context() as patch:
            small_workspace(patch, size)
            for name, call in calls(x, case.parameters, x.ndim - 2).items():
                found[name] = outcome(call)
        for name, call in calls(x, case.parameters, x.ndim - 2).items():
            expected = outcome(call)
            if isinstance(expected, type):
                assert found[name] is expected
            else:
                assert equal(found[name], expected), (name, case)


@pytest.mark.parametrize("shape", [(1, 1, 2000, 2000), (1, 2, 3_000_000), (1, 1, 200, 200, 100)])
def test_a_global_window_needs_no_more_than_any_other(shape):
    rank = len(shape) - 2
    for operator in (
        ft.AdaptiveAvgPool((1,) * rank, algorithm="stencil"),
        ft.MaxPool(shape[2:], algorithm="stencil"),
        ft.LpPool(3, shape[2:], algorithm="stencil"),
    ):
        assert operator.describe(shape).workspace_bytes <= _resources.WORKSPACE


def test_a_global_mean_and_maximum_by_taps():
    x = np.random.default_rng(0).integers(-4, 5, (1, 2, 900, 700)).astype("f4")
    mean = ft.adaptive_avg_pool2d(x, 1, algorithm="stencil")
    assert np.allclose(mean, x.mean((2, 3), dtype="f8", keepdims=True), atol=1e-6)
    _, places = ft.adaptive_max_pool2d(x, 1, return_indices=True, algorithm="stencil")
    assert np.array_equal(places.ravel(), x.reshape(2, -1).argmax(1))
