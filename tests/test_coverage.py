"""How many outputs a cell takes part in, and how many cells reach an output."""

import numpy as np
import pytest

import faltung as ft


def test_borders_count_less_and_full_padding_evens_it_out():
    weight = np.ones((4, 2, 3, 3))
    rim = np.array([1, 2, 3, 3, 2, 1])
    assert np.array_equal(ft.Conv(weight).coverage((2, 6, 6)), np.outer(rim, rim))
    full = ft.Conv(weight, padding="full").coverage((5, 2, 6, 6))
    assert np.array_equal(full, np.full((6, 6), 9))
    assert full.dtype == np.int64


def test_a_stride_above_the_kernel_leaves_cells_out():
    counts = ft.AvgPool((2,), stride=3).coverage((1, 8))
    assert counts.tolist() == [1, 1, 0, 1, 1, 0, 1, 1]


def test_the_checkerboard_of_a_transposed_convolution():
    uneven = ft.ConvTranspose(np.ones((1, 1, 3, 3)), stride=2)
    inner = uneven.coverage((1, 5, 5), of="output")[2:-2, 2:-2]
    assert set(inner.ravel().tolist()) == {1, 2, 4}
    even = ft.ConvTranspose(np.ones((1, 1, 4, 4)), stride=2)
    assert set(even.coverage((1, 5, 5), of="output")[2:-2, 2:-2].ravel().tolist()) == {4}
    assert uneven.coverage((1, 5, 5)).tolist() == [[9] * 5] * 5


def test_the_adjoint_covers_the_other_way_round():
    forward = ft.Conv(np.ones((1, 1, 3)), stride=2, padding=1)
    back = ft.ConvTranspose(np.ones((1, 1, 3)), stride=2, padding=1)
    assert np.array_equal(forward.coverage((1, 7)), back.coverage((1, 4), of="output"))
    assert np.array_equal(forward.coverage((1, 7), of="output"), back.coverage((1, 4)))


def test_borders_that_repeat_cells():
    def counts(mode):
        operator = ft.Conv(np.ones((1, 1, 3)), padding=1, padding_mode=mode)
        return operator.coverage((1, 4)).tolist()

    assert counts("zeros") == [2, 3, 3, 2]
    assert counts("wrap") == [3, 3, 3, 3]
    assert counts("edge") == [2, 3, 3, 2]  # the output at the end sees its cell twice
    assert counts("blank") == [1, 2, 2, 1]


def test_unfold_counts_every_tap_as_fold_adds_them():
    unfold = ft.Unfold((2, 3), padding=1)
    columns = unfold(np.ones((1, 1, 4, 5)))
    back = ft.fold(columns, (4, 5), (2, 3), padding=1)[0, 0]
    assert np.array_equal(unfold.coverage((1, 1, 4, 5)), back)
    assert unfold.coverage((1, 4, 5), of="output").shape == columns.shape[2:]


def test_a_structure_leaves_cells_out():
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    counts = ft.Dilate(cross).coverage((1, 4, 5))
    expected = ft.conv(np.ones((1, 4, 5), int), cross[None, None].astype(int), padding=1)[0]
    assert np.array_equal(counts, expected)
    assert np.array_equal(ft.Dilate(cross).coverage((1, 4, 5), of="output"), expected)
    heights = cross.astype(float)  # a height of 0 takes part
    assert ft.Dilate(heights).coverage((1, 4, 5))[1, 2] == 9


def test_unpooling_counts_what_stays():
    indices = np.array([[[0, 0, 5]], [[1, 2, 3]]])
    operator = ft.MaxUnpool(indices, (2,))
    assert operator.coverage((2, 1, 3)).tolist() == [1, 2, 2]
    assert operator.coverage((2, 1, 3), of="output").tolist() == [1, 1, 1, 1, 0, 1]


def test_channels_last_has_the_same():
    operator = ft.Conv(np.ones((1, 2, 2, 3)), data_format="channels_last")
    expected = ft.Conv(np.ones((1, 2, 2, 3))).coverage((2, 4, 5))
    assert np.array_equal(operator.coverage((4, 5, 2)), expected)
    assert np.array_equal(operator.coverage((7, 4, 5, 2)), expected)


def test_refusals():
    operator = ft.Conv(np.ones((1, 1, 3)))
    with pytest.raises(ft.OptionError, match="of is 'both'"):
        operator.coverage((1, 6), of="both")
    with pytest.raises(ft.ResourceError, match="the coverage"):
        operator.coverage((1, 10**14))
