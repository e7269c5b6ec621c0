"""Padding by copies: equal to the stencil plan and to NumPy, over all kinds of borders."""

import numpy as np
import pytest

import faltung as ft

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap")


@pytest.mark.parametrize("mode", MODES)
def test_equal_to_the_stencil_plan(mode):
    rng = np.random.default_rng(0)
    ran = 0
    for _ in range(300):
        rank = int(rng.integers(1, 4))
        x = rng.integers(-99, 99, (2, 2, *rng.integers(1, 5, rank)))
        padding = [tuple(map(int, pair)) for pair in rng.integers(-2, 9, (rank, 2))]
        if any(n + sum(pair) < 1 for n, pair in zip(x.shape[2:], padding, strict=True)):
            continue
        value = {"value": 7} if mode == "constant" else {}
        expected = ft.pad(x, padding, mode, **value, algorithm="stencil")
        try:
            y = ft.pad(x, padding, mode, **value, algorithm="copying")
        except ft.OptionError as error:
            assert "cropped" in str(error)  # noqa: PT017
            continue
        assert np.array_equal(y, expected)
        ran += 1
    assert ran > 50


def test_it_is_the_plan_of_padding():
    report = ft.Pad(1, "wrap").describe((1, 64, 256, 256))
    assert report.algorithm == "copying"
    assert "Copy" in report.rejected["direct"]
    assert "WeightedSum" in ft.Conv([[[1]]]).describe((1, 1, 8)).rejected["copying"]


def test_other_dtypes_and_memory_orders():
    x = np.arange(24, dtype=np.int16).reshape(1, 4, 6)
    y = ft.pad(x[:, ::-1, ::2], (2, 1), "reflect", dtype="float64")
    assert np.array_equal(y, np.pad(x[:, ::-1, ::2], [(0, 0), (2, 2), (1, 1)], "reflect"))
    out = np.zeros((1, 7, 10), np.int16)[:, :, ::2]
    ft.pad(x[:, :, :3], ((1, 2), (1, 1)), "edge", out=out)
    assert np.array_equal(out, np.pad(x[:, :, :3], [(0, 0), (1, 2), (1, 1)], "edge"))
