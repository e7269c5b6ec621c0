"""Tables of taps: which rows of a kernel each row of an output needs, and how they are walked."""

from __future__ import annotations

import numpy as np
import pytest

import faltung as ft
from direct_oracle import axis
from faltung.compiled.lanes_taps import needed_rows, tap_tables
from faltung.compiled.lanes_tile import HEADER


def walk(table, channels):
    """The cells and the weights that a tile reads, in bytes, with a table of taps."""
    cell, weight, taps = table[:HEADER]
    found = []
    for step in table[HEADER:].reshape(-1, 2)[: channels * taps]:
        found.append((cell, weight))
        cell, weight = cell + step[0], weight + step[1]
    return found


def test_rows_in_the_padding_are_not_needed():
    needed = needed_rows(axis(33, 3, 1, 12, 12, 12), 0, True)
    for row, rows in {
        0: [1, 3],
        11: [1, 3],
        12: [0, 3],
        20: [0, 3],
        21: [0, 2],
        32: [0, 2],
    }.items():
        assert needed[row].tolist() == rows
    far = needed_rows(axis(4, 3, 1, 9, 9, 9), 0, True)
    assert far.tolist() == [[1, 2]] * 4


@pytest.mark.parametrize(
    ("window", "fill", "is_whole"),
    [
        (axis(33, 3, 1, 12, 12, 12), 1, True),
        (axis(33, 3, 1, 12, 12, 12), float("nan"), True),
        (axis(33, 3, 1, 12, 12, 12), 0, False),
        (axis(33, 3, 1, 1, 1, 1), 0, True),
        (axis(33, 11, 1, 3, 15, 15), 0, True),
    ],
)
def test_else_all_rows_are_taken(window, fill, is_whole):
    assert needed_rows(window, fill, is_whole) is None


@pytest.mark.parametrize("taken", [1, 2])
def test_every_table_walks_its_rows(taken):
    channels, kernel, vector_size = 3, (2, 3, 2), 64
    offsets = np.random.default_rng(1).integers(0, 9999, channels * 12)
    numbers = np.arange(channels * 12).reshape(channels, *kernel)[..., ::taken]
    (whole,) = tap_tables(offsets, kernel, vector_size, taken, False)
    assert walk(whole, 1) == [(offsets[tap], vector_size * tap) for tap in numbers.ravel()]
    tables = tap_tables(offsets, kernel, vector_size, taken, True)
    for first in range(3):
        for last in range(first, 3):
            for count in (1, channels):
                taps = numbers[:count, :, first : last + 1].ravel()
                found = walk(tables[3 * first + last], count)
                assert found == [(offsets[tap], vector_size * tap) for tap in taps]


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dilation", [2, 7, 40])
def test_wide_dilation_is_exact(rank, dilation):
    rng = np.random.default_rng(dilation)
    x = rng.integers(-3, 4, (2, 37, *(2, 13, 17)[-rank:])).astype("f4")
    weight = rng.integers(-3, 4, (33, 37, *(1, 3, 3)[-rank:])).astype("f4")
    given = {
        "padding": (0, dilation, dilation)[-rank:],
        "dilation": (1, dilation, dilation)[-rank:],
    }
    for border in ({}, {"padding_mode": "constant", "padding_value": 2}, {"padding_mode": "edge"}):
        plain = ft.conv(x, weight, algorithm="stencil", **given, **border)
        assert np.array_equal(ft.conv(x, weight, algorithm="direct", **given, **border), plain)
