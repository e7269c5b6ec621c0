"""The parts of joined tables."""

import numpy as np
import pytest

from faltung.plans._tables import _distinct


@pytest.mark.parametrize("span", [1, 3, 50, 10**4, 10**12])
def test_distinct_numbers_are_those_of_numpy(span):
    rng = np.random.default_rng(span)
    for count in (0, 1, 2, 40, 1000):
        cells = rng.integers(7, 7 + span, count)
        assert np.array_equal(_distinct(cells), np.unique(cells))
