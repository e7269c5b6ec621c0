"""Resizing against Pillow, against closed forms, and in two algorithms."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import faltung as ft

FILTERS = {
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.mark.parametrize("mode", FILTERS)
@pytest.mark.parametrize("size", [(5, 7), (31, 17), (40, 50), (1, 60), (100, 3)])
@pytest.mark.parametrize("algorithm", ["separable", "stencil"])
def test_antialias_equals_pillow(mode, size, algorithm):
    x = np.random.default_rng(0).standard_normal((37, 41)).astype(np.float32)
    expected = np.asarray(Image.fromarray(x).resize(size[::-1], FILTERS[mode]))
    y = ft.resize(x[None], size, mode=mode, antialias=True, algorithm=algorithm)[0]
    assert np.allclose(y, expected, atol=1e-5)


def test_nearest_is_the_floor_for_all_sizes():
    for n in range(1, 40):
        x = np.arange(n)[None, None]
        for o in range(1, 80):
            assert ft.resize(x, (o,))[0, 0].tolist() == [i * n // o for i in range(o)]
            exact = [(2 * i + 1) * n // (2 * o) for i in range(o)]
            assert ft.resize(x, (o,), mode="nearest-exact")[0, 0].tolist() == exact


def test_a_given_factor_is_used_for_the_coordinates():
    x = np.arange(10.0)[None, None]
    y = ft.resize(x, scale_factor=(0.77,), mode="linear")[0, 0]
    places = [(i + 0.5) / 0.77 - 0.5 for i in range(int(10 * Fraction(0.77)))]
    assert np.allclose(y, np.interp(places, np.arange(10), x[0, 0]))


@pytest.mark.parametrize("o", [1, 2, 5, 9, 16])
def test_linear_is_interpolation(o):
    x = np.random.default_rng(1).standard_normal(9)
    places = (np.arange(o) + 0.5) * 9 / o - 0.5
    y = ft.resize(x[None, None], (o,), mode="linear")[0, 0]
    assert np.allclose(y, np.interp(places, np.arange(9), x))
    y = ft.resize(x[None, None], (o,), mode="linear", align_corners=True)[0, 0]
    assert np.allclose(y, np.interp(np.linspace(0, 8, o) if o > 1 else [0], np.arange(9), x))


def test_area_by_a_factor_is_an_operator():
    x = np.arange(5.0)[None, None]  # the operator is probed with an input of 2**40 cells
    operator = ft.Resize(scale_factor=(0.7,), mode="area")
    assert np.array_equal(operator(x), ft.resize(x, scale_factor=(0.7,), mode="area"))


def test_area_is_the_mean_of_bins():
    for n in range(1, 20):
        x = np.random.default_rng(n).standard_normal(n)
        for o in range(1, 25):
            y = ft.resize(x[None, None], (o,), mode="area")[0, 0]
            bins = [x[i * n // o : -(-(i + 1) * n // o)].mean() for i in range(o)]
            assert np.allclose(y, bins)


def test_a_constant_stays_constant_and_a_line_straight():
    for mode in ("linear", "cubic", "area", "lanczos"):
        y = ft.resize(np.full((1, 1, 7, 6), 3.0), (12, 4), mode=mode)
        assert np.allclose(y, 3)
    line = np.arange(20.0)[None, None]
    y = ft.resize(line, (40,), mode="linear")[0, 0]
    assert np.allclose(np.diff(y)[1:-1], 0.5)


def test_integers_are_rounded_half_to_even_and_saturate():
    assert ft.resize(np.array([[[1, 2]]], np.uint8), (1,), mode="area").tolist() == [[[2]]]
    assert ft.resize(np.array([[[2, 3]]], np.uint8), (1,), mode="area").tolist() == [[[2]]]
    step = np.array([[[0, 0, 0, 255, 255, 255]]], np.uint8)
    y = ft.resize(step, (24,), mode="cubic")[0, 0]
    assert (y[:9] == 0).all()
    assert y.max() == 255
    big = np.array([[[2**63 - 1, 5]]])
    assert ft.resize(big, (4,)).tolist() == [[[2**63 - 1, 2**63 - 1, 5, 5]]]


def test_non_finite_values_stay_where_they_are_used():
    x = np.zeros((1, 1, 30))
    x[0, 0, 10] = np.nan
    y = ft.resize(x, (10,), mode="cubic", antialias=True)[0, 0]
    assert np.isnan(y).any()
    assert np.isfinite(y[[0, 7, 8, 9]]).all()


def test_planes_are_done_in_parts(monkeypatch):
    from faltung.plans import separable

    x = np.random.default_rng(0).standard_normal((3, 5, 20, 16))
    expected = ft.resize(x, (9, 31), mode="cubic")
    monkeypatch.setattr(separable, "WORKSPACE", 3 * 20 * 31 * 8 + 40 * 160 + 1)
    assert np.array_equal(ft.Resize((9, 31), mode="cubic", algorithm="separable")(x), expected)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({}, ft.OptionError, "size is None and scale_factor is None"),
        ({"size": (3, 3), "scale_factor": 2}, ft.OptionError, "Give one of the two"),
        ({"size": (0, 3)}, ft.WindowError, "size is 0"),
        ({"size": 2.5}, ft.WindowError, "size is 2.5"),
        ({"size": (3, 3, 3, 3)}, ft.ShapeError, "x has 4 axes"),
        ({"scale_factor": 0.01}, ft.WindowError, "leaves"),
        ({"scale_factor": -1}, ft.WindowError, "scale_factor is -1"),
        ({"scale_factor": float("nan")}, ft.WindowError, "scale_factor is nan"),
        ({"scale_factor": True}, ft.WindowError, "scale_factor is True"),
        ({"scale_factor": "2"}, ft.WindowError, "scale_factor is '2'"),
        ({"size": 3, "mode": "bilin"}, ft.OptionError, "mode is 'bilin'"),
        ({"size": 3, "align_corners": True}, ft.OptionError, "align_corners is set"),
        ({"size": 3, "mode": "area", "antialias": True}, ft.OptionError, "antialias is set"),
        ({"size": 10**9}, ft.ResourceError, "bytes"),
    ],
)
def test_bad_arguments(arguments, kind, words):
    with pytest.raises(kind, match=f"resize: .*{words}"):
        ft.resize(np.ones((1, 1, 4, 5)), **arguments)
