"""`match_template` beside the definition, window by window, and where rounding is cruel."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faltung import matching
from faltung.matching import match_template
from faltung.operators.conv import conv

Array = NDArray[Any]


def textbook(image: Array, template: Array) -> Array:
    """The coefficient of every window, channels with means of their own."""
    cells = np.atleast_3d(image.astype(np.longdouble))
    patch = np.atleast_3d(template.astype(np.longdouble))
    patch = patch - patch.mean(axis=(0, 1))
    height, width = patch.shape[:2]
    scores = np.zeros((cells.shape[0] - height + 1, cells.shape[1] - width + 1))
    for i, j in np.ndindex(*scores.shape):
        window = cells[i : i + height, j : j + width]
        window = window - window.mean(axis=(0, 1))
        length = np.sqrt((window**2).sum() * (patch**2).sum())
        scores[i, j] = (window * patch).sum() / length if length > 0 else 0
    return scores


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([None, 1, 3]),
    dtype=st.sampled_from(["u1", "i2", "u2", "i8", "f2", "f4", "f8", "?"]),
    seed=st.integers(0, 2**32),
    least=st.sampled_from([0, matching.LEAST_MACS]),
)
@settings(max_examples=150, deadline=None)
def test_scores_equal_the_definition(
    size: tuple[int, int], channels: int | None, dtype: str, seed: int, least: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 2 if dtype == "?" else 120, size).astype(dtype)
    if channels:
        image = rng.integers(0, 2 if dtype == "?" else 120, (*size, channels)).astype(dtype)
    height, width = (int(rng.integers(1, n + 1)) for n in size)
    template = image[-height:, :width]
    with mock.patch.object(matching, "LEAST_MACS", least):
        got = match_template(image, template)
    assert got.dtype == np.float64
    assert got.shape == (size[0] - height + 1, size[1] - width + 1)
    assert np.allclose(got, textbook(image, template), rtol=0, atol=1e-9)


def test_a_patch_is_found_at_any_brightness_and_contrast() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(40, 50, 3))
    patch = image[11:18, 21:30]
    for changed, score in [(patch, 1), (3 * patch + 7, 1), (-0.1 * patch, -1)]:
        got = match_template(image, changed)
        assert got[11, 21] == pytest.approx(score, abs=1e-9)
        assert np.abs(np.delete(got.ravel(), 11 * got.shape[1] + 21)).max() < 0.6
        assert np.abs(got).max() <= 1


def test_constant_windows_and_patches_score_nothing() -> None:
    image = np.full((12, 12), 0.1)
    image[6:] = np.random.default_rng(2).normal(size=(6, 12)) * 1e6
    got = match_template(image, image[8:11, 2:5])
    assert (got[:4] == 0).all()
    assert (got[4:] != 0).all()
    assert (match_template(image, np.full((3, 3), 0.3)) == 0).all()
    assert (match_template(image, [[5.0]]) == 0).all()


def test_faint_structure_beside_bright_areas_is_exact() -> None:
    rng = np.random.default_rng(3)
    for offset, amount in [(1e12, 1.0), (1.0, 1e-9), (0.0, 1e-12), (0.0, 1e-200), (1e6, 1e-6)]:
        image = rng.normal(size=(16, 20)) * 1000
        image[:, 8:] = offset + amount * rng.normal(size=(16, 12))
        template = image[3:7, 10:15]
        got = match_template(image, template)
        assert np.allclose(got, textbook(image, template), rtol=0, atol=1e-6)
        assert got[3, 10] == pytest.approx(1, abs=1e-12)


def test_faint_structure_in_large_integers_is_exact() -> None:
    image = np.random.default_rng(8).integers(0, 3, (16, 20))
    image[:, 8:] += 10**8
    template = image[3:7, 10:15]
    assert np.allclose(
        match_template(image, template), textbook(image, template), rtol=0, atol=1e-6
    )


def test_the_transform_leaves_faint_windows_to_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "conv", partial(conv, algorithm="fft"))
    rng = np.random.default_rng(9)
    image = rng.normal(size=(40, 40)) * 1e3
    image[:, 20:] = np.rint(image[:, :20].mean()) + 1e-10 * rng.normal(size=(40, 20))
    image[0, :20] -= 20 * (image - np.rint(image[0, 20])).mean() * 40 / 20
    template = image[3:7, 30:35]
    assert np.allclose(
        match_template(image, template), textbook(image, template), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e307])
def test_scores_do_not_depend_on_the_scale(scale: float) -> None:
    image = np.random.default_rng(4).uniform(-1, 1, (9, 8))
    expected = textbook(image, image[2:5, 3:5])
    assert np.allclose(match_template(image * scale, image[2:5, 3:5] * scale), expected, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_windows_with_a_hole_are_nan(bad: float) -> None:
    image = np.random.default_rng(5).normal(size=(9, 8, 2))
    template = image[:3, :2]
    expected = match_template(image, template)
    for place in np.ndindex(9, 8):
        holed = image.copy()
        holed[(*place, 1)] = bad
        got = match_template(holed, template)
        is_hit = np.zeros((7, 7), bool)
        is_hit[max(place[0] - 2, 0) : place[0] + 1, max(place[1] - 1, 0) : place[1] + 1] = True
        assert np.array_equal(np.isnan(got), is_hit)
        assert np.allclose(got[~is_hit], expected[~is_hit], rtol=0, atol=1e-9)
    assert np.isnan(match_template(np.full((4, 4), bad), np.eye(2))).all()
    assert np.isnan(match_template(np.eye(4), [[1, bad]])).all()


@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_transform_gives_the_same(
    channels: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    image = rng.integers(0, 256, (30, 40, *channels)).astype(np.uint8)
    image[:12, :14] = 80
    image[2, 3] += 1
    for picture in (image, image / 255):
        template = picture[10:18, 20:31]
        monkeypatch.setattr(matching, "conv", conv)
        expected = match_template(picture, template)
        monkeypatch.setattr(matching, "conv", partial(conv, algorithm="fft"))
        assert np.allclose(match_template(picture, template), expected, rtol=0, atol=1e-9)
        assert np.allclose(expected, textbook(picture, template), rtol=0, atol=1e-9)


def test_many_doubtful_windows_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CELLS_AT_ONCE", 20)
    image = 1e9 + np.random.default_rng(7).normal(size=(12, 10)) * 1e-3
    image[0, 0] = 0
    template = image[4:7, 5:8]
    assert np.allclose(match_template(image, template), textbook(image, template), atol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_large_picture_with_all_that_is_cruel(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(10)
    image = rng.integers(0, 256, (130, 170, 3)).astype(dtype)
    image[20:80, 30:90] = 7
    image[50, 60, 1] = 8
    if dtype == "f4":
        image[:, :120] /= 7
        image[120, 150, 2] = np.nan
        image[:40, 120:] += 1e6
    template = image[40:64, 50:70]
    got = match_template(image, template)
    assert got[40, 50] == pytest.approx(1, abs=1e-9)
    assert (got[20:26, 30:40] == 0).all()
    assert np.isnan(got).sum() == (0 if dtype == "u1" else 10 * 20)
    for i, j in rng.integers(0, got.shape, (60, 2)):
        window = image[i : i + 24, j : j + 20]
        expected = np.nan if np.isnan(window).any() else textbook(window, template)[0, 0]
        assert got[i, j] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    monkeypatch.setattr(matching, "LEAST_MACS", image.size**2)
    assert np.allclose(match_template(image, template), got, rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("least", [0, 2**60])
@pytest.mark.parametrize("offset", [0.0, 1e12])
def test_faint_structure_is_exact_both_ways(
    least: int, offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "LEAST_MACS", least)
    rng = np.random.default_rng(11)
    image = rng.normal(size=(16, 20)) * 1000
    image[:, 8:] = offset + rng.normal(size=(16, 12)) * (1.0 if offset else 1e-12)
    template = image[3:7, 10:15]
    got = match_template(image, template)
    assert np.allclose(got, textbook(image, template), rtol=0, atol=1e-6)
