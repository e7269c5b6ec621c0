"""Plots of costs, learned kernels, matrices, coverage and receptive fields."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

import faltung as ft

CHAIN = ft.Sequential(
    ft.Conv((4, 3, 3, 3)), ft.MaxPool((2, 2)), ft.Conv((8, 4, 3, 3), stride=2), ft.AvgPool((2, 2))
)
SHAPE = (3, 40, 30)


@pytest.fixture(autouse=True)
def _without_a_screen():
    with mpl.rc_context():
        pyplot.switch_backend("Agg")
        yield
        pyplot.close("all")


def widths(ax):
    return [patch.get_width() for patch in ax.patches]


def test_the_costs_of_an_operator():
    report = ft.Conv((4, 3, 3, 3), padding=1).describe(SHAPE)
    ax = report.plot()
    names = [text.get_text() for text in ax.get_yticklabels()]
    drawn = dict(zip(names, widths(ax), strict=True))
    assert drawn["multiply-adds"] == report.macs
    assert drawn["without padding"] == report.macs_without_padding < report.macs
    assert drawn["of a dense layer"] == report.dense_parameters
    assert ax.texts[0].get_text() == f"{report.parameters:,}"
    assert ax.get_title() == "Conv: (3, 40, 30) → (4, 40, 30)"
    ax.figure.canvas.draw()
    left, right = ax.get_xlim()
    assert left <= 0
    assert right > max(widths(ax))


def test_the_costs_of_a_chain_are_bars_an_operator():
    report = CHAIN.describe(SHAPE)
    axes = report.plot()
    assert widths(axes[0]) == [each.macs for each in report.grown]
    assert widths(axes[1]) == [each.parameters for each in report.grown]
    assert widths(axes[2]) == [each.receptive_field[1] for each in report.grown] == [3, 4, 8, 12]
    names = [text.get_text() for text in axes[0].get_yticklabels()]
    assert names == ["Conv", "MaxPool", "Conv", "AvgPool"]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_receptive_field_is_that_of_some_output(axis):
    """The bars are the cells on which an output near the middle depends, tried one by one."""
    ax = ft.plot_receptive_field(CHAIN, SHAPE, axis=axis)
    shade, *bars = ax.patches
    size = SHAPE[1:][axis]
    assert (shade.get_x(), shade.get_width()) == (-0.5, size)
    line = ft.Sequential(
        ft.AvgPool((3,), stride=1), ft.AvgPool((2,)), ft.AvgPool((3,), stride=2), ft.AvgPool((2,))
    )
    matrix = line.matrix((1, size)).toarray()
    seen = [tuple(np.flatnonzero(row)[[0, -1]]) for row in matrix]
    start = bars[-1].get_x() + 0.5
    assert (start, start + bars[-1].get_width() - 1) in seen
    middles = [abs(first + last - (size - 1)) for first, last in seen]
    assert abs(2 * start + bars[-1].get_width() - size) == min(middles)


def test_the_receptive_field_of_one_operator_and_of_both_layouts():
    conv = ft.Conv((1, 1, 5, 3), padding="same", data_format="channels_last")
    ax = ft.plot_receptive_field(conv, (8, 9, 1), axis=0)
    assert widths(ax)[1:] == [5]
    assert ax.patches[0].get_width() == 8
    with pytest.raises(ft.OptionError, match="axis is 2, the input has 2 spatial axes"):
        ft.plot_receptive_field(conv, (8, 9, 1), axis=2)


def test_the_loss_and_the_kernel_of_a_fit():
    x = np.random.default_rng(0).normal(size=(2, 6, 8))
    y = ft.conv(x, np.ones((1, 2, 2, 2)))
    fit = ft.fit_kernel(x, y, (2, 2), method="sgd", steps=5, rng=0)
    axes = fit.plot()
    assert np.array_equal(axes[0].lines[0].get_ydata(), fit.losses)
    assert axes[0].get_yscale() == "log"
    assert [ax.get_title() for ax in axes[1:]] == ["kernel [0, 0]", "kernel [0, 1]"]
    for ax, kernel in zip(axes[1:], fit.weight[0], strict=True):
        assert np.array_equal(ax.images[0].get_array(), kernel)


def test_a_loss_of_nothing_has_no_logarithm():
    fit = ft.fit_kernel([[1.0, 2]], [[0.0, 0]], (1,))
    axes = fit.plot()
    assert fit.losses.tolist() == [0]
    assert axes[0].get_yscale() == "linear"
    axes[0].figure.canvas.draw()


def test_a_small_matrix_shows_each_coefficient():
    conv = ft.Conv(np.arange(-4, 5).reshape(1, 1, 3, 3), padding=1)
    ax = ft.plot_matrix(conv, (1, 4, 5))
    matrix = conv.matrix((1, 4, 5))
    drawn = ax.images[0].get_array()
    assert np.array_equal(drawn.filled(0), matrix.toarray())
    assert drawn.count() == matrix.nnz  # an entry of 0 is not nothing
    assert ax.get_title() == f"20 × 20, {matrix.nnz} entries"


def test_lines_separate_rows_and_channels():
    ax = ft.plot_matrix(ft.Conv(np.ones((2, 3, 2, 2))), (3, 3, 4))
    across = [
        line.get_ydata()[0] for line in ax.lines if line.get_ydata()[0] == line.get_ydata()[1]
    ]
    down = [line.get_xdata()[0] for line in ax.lines if line.get_xdata()[0] == line.get_xdata()[1]]
    assert sorted(set(across)) == [2.5, 5.5, 8.5]  # outputs (2, 2, 3)
    assert sorted(set(down)) == [3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]  # inputs (3, 3, 4)
    thick = {line.get_xdata()[0] for line in ax.lines if line.get_linewidth() > 1}
    assert {11.5, 23.5} <= thick


def test_a_large_matrix_shows_how_many_entries_are_where():
    conv = ft.Conv(np.ones((1, 1, 3, 3)))
    ax = ft.plot_matrix(conv, (1, 64, 48))
    counts = ax.images[0].get_array()
    assert max(counts.shape) <= 512
    assert counts.sum() == conv.matrix((1, 64, 48)).nnz
    assert ax.images[0].get_extent() == [-0.5, 64 * 48 - 0.5, 62 * 46 - 0.5, -0.5]


def test_a_matrix_is_of_linear_operators():
    with pytest.raises(ft.NotLinearError):
        ft.plot_matrix(ft.MaxPool((2,)), (1, 4))


def test_the_coverage_and_its_numbers():
    conv = ft.Conv(np.ones((1, 1, 3, 3)), padding=1)
    ax = ft.plot_coverage(conv, (1, 5, 6))
    counts = conv.coverage((1, 5, 6))
    assert np.array_equal(ax.images[0].get_array(), counts)
    assert [text.get_text() for text in ax.texts] == [str(count) for count in counts.ravel()]
    assert not ft.plot_coverage(conv, (1, 13, 12)).texts


def test_the_checkerboard_and_the_coverage_of_a_line():
    spread = ft.ConvTranspose(np.ones((1, 1, 3)), stride=2)
    ax = ft.plot_coverage(spread, (1, 4), of="output")
    assert [bar.get_height() for bar in ax.patches] == [1, 1, 2, 1, 2, 1, 2, 1, 1]
    volume = ft.AvgPool((3, 1, 1), stride=1)
    middle = ft.plot_coverage(volume, (1, 5, 2, 3))
    assert np.array_equal(middle.images[0].get_array(), np.full((2, 3), 3))


def test_plots_go_where_they_are_told():
    figure, axes = pyplot.subplots(2, 2)
    count = len(pyplot.get_fignums())
    report = ft.Conv((1, 1, 3)).describe((1, 9))
    assert report.plot(ax=axes[0, 0]) is axes[0, 0]
    assert ft.plot_matrix(ft.Conv([[[1, 2]]]), (1, 5), ax=axes[0, 1]) is axes[0, 1]
    assert ft.plot_coverage(ft.Conv([[[1, 2]]]), (1, 5), ax=axes[1, 0]) is axes[1, 0]
    assert ft.plot_receptive_field(ft.Conv([[[1, 2]]]), (1, 5), ax=axes[1, 1]) is axes[1, 1]
    assert len(pyplot.get_fignums()) == count
    figure.canvas.draw()
