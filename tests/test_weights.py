"""Filter banks of other libraries: every order of letters lands at (O, C, *kernel)."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from faltung.weights import weight_from

SIZES = {"O": 2, "I": 3, "C": 3, "M": 2, "D": 4, "H": 5, "W": 6}


def bank(letters: str) -> np.ndarray:
    shape = tuple(SIZES[letter] for letter in letters)
    return np.arange(np.prod(shape)).reshape(shape)


@pytest.mark.parametrize("canonical", ["OIW", "OIHW", "OIDHW"])
def test_every_order_comes_back_to_the_canonical_one(canonical: str) -> None:
    expected = bank(canonical)
    for order in permutations(range(len(canonical))):
        layout = "".join(canonical[place] for place in order)
        foreign = expected.transpose(order)
        for spelled in (layout, layout.replace("I", "C"), layout.lower()):
            result = weight_from(foreign, spelled)
            assert np.array_equal(result, expected)
            assert result.flags.c_contiguous


@pytest.mark.parametrize("layout", ["HWIM", "HWCM", "MIHW", "WMHC"])
def test_depthwise_filters_are_numbered_as_in_tensorflow(layout: str) -> None:
    w = bank(layout)
    result = weight_from(w, layout)
    assert result.shape == (6, 1, 5, 6)
    for channel in range(3):
        for number in range(2):
            place = tuple(
                {"I": channel, "C": channel, "M": number}.get(letter, slice(None))
                for letter in layout
            )
            plane = w[place] if layout.index("H") < layout.index("W") else w[place].T
            assert np.array_equal(result[channel * 2 + number, 0], plane)


def test_dtype_and_strangely_laid_out_arrays_are_kept() -> None:
    w = bank("HWIO").astype(">f4")[::-1]
    result = weight_from(w, "HWIO")
    assert np.array_equal(result, w.transpose(3, 2, 0, 1))
    assert result.flags.c_contiguous
    assert weight_from([[[1, 2, 3]]], "OIW").shape == (1, 1, 3)


def test_a_bank_without_filters_keeps_its_shape() -> None:
    assert weight_from(np.zeros((3, 3, 4, 0)), "HWIO").shape == (0, 4, 3, 3)
    assert weight_from(np.zeros((3, 3, 0, 2)), "HWIM").shape == (0, 1, 3, 3)
