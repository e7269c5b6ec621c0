"""The kernel of scores beside its NumPy twin, with sums that are exact."""

import numpy as np
import pytest

import faltung as ft
from faltung import matching
from faltung.compiled import window_scores
from faltung.compiled.window_scores import Limits

SIZES = [
    ((1, 1), (1, 1)), ((5, 9), (1, 1)), ((9, 7), (9, 7)), ((9, 31), (2, 8)), ((300, 20), (7, 3)),
    ((150, 40), (131, 13)), ((12, 1400), (5, 70)), ((20, 30), (6, 15)),
]  # fmt: skip


@pytest.mark.parametrize(("size", "patch"), SIZES)
@pytest.mark.parametrize("channels", [1, 3, 200])
def test_scores_are_those_of_numpy(size, patch, channels):
    rng = np.random.default_rng(size[1])
    cells = rng.integers(-9, 10, (channels, *size)).astype(np.float64)
    cells[:, : size[0] // 2, : size[1] // 2] = 1
    taps = patch[0] * patch[1]
    products = rng.normal(size=[n - k + 1 for n, k in zip(size, patch, strict=True)]) * taps
    for limits in (Limits(0.0, 0.0, True), Limits(0.9, 5.0, False)):
        expected, scores = products.copy(), products.copy()
        with np.errstate(all="ignore"):
            doubtful = matching._divide_by_spread(cells, patch, expected, limits)
        assert window_scores.divide_by_spread(cells, patch, scores, limits) == doubtful
        assert doubtful == np.isnan(expected).sum()
        assert np.allclose(scores, expected, rtol=1e-14, atol=0, equal_nan=True)


def test_a_large_cell_takes_nothing_from_windows_beside_it():
    cells = np.random.default_rng(1).normal(size=(1, 40, 700))
    products = np.ones((33, 691))
    expected, scores = products.copy(), products.copy()
    window_scores.divide_by_spread(cells, (8, 10), expected, Limits(0.0, 0.0, False))
    cells[0, 20, 300] = 1e200
    window_scores.divide_by_spread(cells, (8, 10), scores, Limits(0.0, 0.0, False))
    is_beside = np.ones(scores.shape, bool)
    is_beside[13:21, 291:301] = False
    assert np.array_equal(scores[is_beside], expected[is_beside])
    assert not np.isin(scores[~is_beside], expected[~is_beside]).any()


def test_bits_do_not_depend_on_threads():
    image = np.random.default_rng(2).normal(size=(200, 1500, 2))
    results = []
    before = ft.get_num_threads()
    try:
        for threads in (1, 2, 5):
            ft.set_num_threads(threads)
            results.append(ft.match_template(image, image[20:60, 30:75]))
    finally:
        ft.set_num_threads(before)
    assert all(np.array_equal(each, results[0]) for each in results[1:])
