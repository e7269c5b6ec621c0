"""`op.plot`: what is drawn is what goes in, what weighs, and what comes out."""

import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

import faltung as ft
from faltung.operators._record import REGISTRY

CASES = [
    pytest.param(record, sample, id=f"{name}-{sample.name}")
    for name, record in REGISTRY.items()
    for sample in record.samples
]


@pytest.fixture(autouse=True)
def _without_a_screen(monkeypatch):
    with mpl.rc_context():
        pyplot.switch_backend("Agg")

        def never(*_args, **_kwargs):
            raise AssertionError("a plot was shown or closed")

        with monkeypatch.context() as patched:
            patched.setattr(pyplot, "show", never)
            patched.setattr(pyplot, "close", never)
            yield
        pyplot.close("all")


def bound_operator(record, sample):
    arrays = sample.draw("float64")
    x = arrays.pop(record.arrays[0])
    return getattr(ft, record.class_name)(*arrays.values(), **sample.parameters), x


def picture_of(ax):
    (image,) = ax.images
    return np.ma.filled(image.get_array().astype(float), np.nan)


def lines_of(ax):
    return np.array([np.ma.filled(line.get_ydata(), np.nan) for line in ax.lines])


def bar():
    picture = np.ones((1, 6, 8))
    picture[:, :, 2:6] = 0
    return picture


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_the_panels_are_input_and_result(record, sample):
    """Of every operator and sample, the first of the batch, a channel a row."""
    operator, x = bound_operator(record, sample)
    panels = operator._panels(x)
    expected = operator.reference(x)
    assert [panels[0].name, panels[-1].name] == ["input", "result"]
    assert np.array_equal(panels[0].values[:, 0], x[0])
    assert np.allclose(panels[-1].values[:, 0], expected[0], equal_nan=True)
    has_weights = bool(set(record.operands) - set(record.positions))
    assert len(panels) == 2 + has_weights


@pytest.mark.parametrize("name", REGISTRY)
def test_every_operator_can_be_plotted(name):
    record = REGISTRY[name]
    sample = min(record.samples[1:], key=lambda each: sum(map(np.prod, each.arrays.values())))
    operator, x = bound_operator(record, sample)
    axes = operator.plot(x)
    panels = operator._panels(x)
    assert len(axes) == sum(rows * columns for rows, columns in (p.grid for p in panels))
    figure = axes[0].figure
    assert all(ax.figure is figure for ax in axes)
    last = panels[-1]
    if last.is_lines:
        assert np.allclose(lines_of(axes[-1]), last.values[:4, 0], equal_nan=True)
    else:
        shown = min(len(last.values), 4)
        for ax, place in zip(axes[-shown:], range(shown), strict=True):
            assert np.allclose(picture_of(ax), last.picture((place, 0)), equal_nan=True)
    figure.canvas.draw()


def test_the_edges_of_a_bar():
    axes = ft.Conv([[[[1, -1]]]]).plot(bar())
    assert [ax.get_title() for ax in axes] == ["input", "kernel", "result"]
    assert np.array_equal(picture_of(axes[0]), bar()[0])
    assert np.array_equal(picture_of(axes[1]), [[1, -1]])
    assert np.array_equal(picture_of(axes[2]), [[0, 1, 0, 0, 0, -1, 0]] * 6)
    assert axes[1].images[0].get_clim() == (-1, 1)
    assert all(ax.images[0].colorbar is not None for ax in axes)


def test_the_kernel_of_the_grid_is_the_one_of_filter_and_channel():
    weight = np.arange(2 * 2 * 2 * 3.0).reshape(2, 2, 2, 3)
    axes = ft.Conv(weight).plot(np.ones((2, 4, 4)))
    kernels = {ax.get_title(): picture_of(ax) for ax in axes if "kernel" in ax.get_title()}
    assert len(kernels) == 4
    for filter_, channel in np.ndindex(2, 2):
        assert np.array_equal(kernels[f"kernel [{filter_}, {channel}]"], weight[filter_, channel])
    turned = ft.ConvTranspose(weight.swapaxes(0, 1)).plot(np.ones((2, 4, 4)))
    again = {ax.get_title(): picture_of(ax) for ax in turned if "kernel" in ax.get_title()}
    assert all(np.array_equal(kernels[title], again[title]) for title in kernels)


def test_many_channels_are_shown_in_part_and_it_says_so():
    axes = ft.Conv(np.ones((6, 1, 1, 1))).plot(np.ones((1, 3, 3)))
    assert len(axes) == 1 + 4 + 4
    assert axes[1].get_title() == "kernel [0, 0], 2 not shown"
    assert axes[-4].get_title() == "result [0], 2 not shown"
    assert axes[-1].get_title() == "result [3]"


def test_one_axis_is_drawn_as_lines():
    x = np.array([[[1.0, 2, 4, 8], [3, 1, 4, 1]]])
    axes = ft.Conv(np.array([[[1, -1], [0, 2]]]), padding="same").plot(x)
    assert np.array_equal(lines_of(axes[0]), x[0])
    assert np.array_equal(lines_of(axes[1]), [[1, -1], [0, 2]])
    assert np.array_equal(lines_of(axes[2]), [[1, 6, -2, 8]])
    names = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert names == ["0", "1"]


def test_both_layouts_give_the_same_pictures():
    x, weight = np.random.default_rng(0).normal(size=(2, 2, 5, 4)), np.ones((1, 2, 2, 2))
    first = ft.Conv(weight).plot(x)
    last = ft.Conv(weight, data_format="channels_last").plot(np.moveaxis(x, 1, -1))
    for one, other in zip(first, last, strict=True):
        assert one.get_title() == other.get_title()
        assert np.allclose(picture_of(one), picture_of(other))


def test_the_middle_slice_of_a_volume():
    x = np.arange(5 * 3 * 4.0).reshape(1, 5, 3, 4)
    axes = ft.Pad(0).plot(x[None])
    assert axes[0].get_title() == "input, slice 2"
    assert np.array_equal(picture_of(axes[0]), x[0, 2])


def test_the_size_of_complex_numbers_and_gaps_for_what_is_not_finite():
    x = np.array([[[3 + 4j, np.nan], [np.inf, 1]]])
    axes = ft.Pad(0).plot(x[None])
    assert np.array_equal(picture_of(axes[0]), [[5, np.nan], [np.nan, 1]], equal_nan=True)
    nothing = ft.Pad(0).plot(np.full((1, 1, 2, 2), np.nan))
    nothing[0].figure.canvas.draw()
    assert np.isnan(picture_of(nothing[0])).all()


def test_kernels_by_position_are_a_mosaic():
    weight = np.arange(2 * 4 * 2 * 3.0).reshape(1, 2, 4, 2, 3)
    axes = ft.Involution(weight, kernel_size=(2, 2)).plot(np.ones((1, 4, 3, 4)))
    drawn = picture_of(axes[4])
    assert axes[4].get_title() == "kernel [0, 0]"
    for row, column in np.ndindex(2, 3):
        tile = drawn[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert np.array_equal(tile.ravel(), weight[0, 0, :, row, column])


def test_untied_kernels_of_one_axis_are_columns():
    weight = np.arange(2 * 3 * 2 * 4.0).reshape(2, 3, 2, 4)
    axes = ft.LocalConv(weight, kernel_size=(2,)).plot(np.ones((3, 5)))
    assert np.array_equal(picture_of(axes[1]), weight[0, 0])


def test_a_chain_shows_what_each_operator_gives():
    chain = ft.Sequential(ft.Conv([[[[1, -1]]]]), ft.MaxPool((2, 2)))
    axes = chain.plot(bar())
    assert [ax.get_title() for ax in axes] == ["input", "Conv", "MaxPool"]
    assert np.array_equal(picture_of(axes[1]), chain[0](bar())[0])
    assert np.array_equal(picture_of(axes[2]), chain(bar())[0])


def test_a_layer_shows_the_kernels_that_it_generates():
    layer = ft.InvolutionLayer.init(4, (3, 3), groups=1, rng=0)
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 6))
    axes = layer.plot(x)
    kernel = layer.generator(x)[0].reshape(3, 3, 5, 6)
    assert np.allclose(picture_of(axes[4])[:3, :3], kernel[:, :, 0, 0])
    assert np.allclose(picture_of(axes[-1]), layer(x)[0, 3])


def test_given_axes_are_drawn_into():
    figure, (left, right) = pyplot.subplots(1, 2)
    count = len(pyplot.get_fignums())
    axes = ft.Conv([[[[1, -1]]]]).plot(bar(), ax=right)
    assert len(pyplot.get_fignums()) == count
    assert all(ax.figure is figure for ax in axes)
    figure.canvas.draw()
    for ax in axes:
        inside, outside = ax.get_window_extent(), right.get_window_extent()
        assert outside.x0 <= inside.x0 < inside.x1 <= outside.x1
        assert outside.y0 <= inside.y0 < inside.y1 <= outside.y1
    assert left.axison
    assert not left.child_axes


def test_what_is_no_axes_is_refused():
    with pytest.raises(ft.OptionError, match="ax is 3, expected Matplotlib axes"):
        ft.Conv([[[[1, -1]]]]).plot(bar(), ax=3)
    with pytest.raises(ft.OptionError, match="subplots"):
        ft.plot_coverage(ft.Pad((1,)), (1, 3), ax=pyplot.subplots(1, 2)[1])


def test_nothing_is_plotted_of_nothing():
    with pytest.raises(ft.ShapeError, match="batch of 0 samples"):
        ft.Conv([[[[1, -1]]]]).plot(np.ones((0, 1, 6, 8)))
    axes = ft.Conv(np.ones((0, 1, 2, 2))).plot(bar())
    assert [ax.get_title() for ax in axes] == ["input"]


def test_a_style_with_a_grid_leaves_pictures_alone():
    with pyplot.style.context("ggplot"):
        axes = ft.Conv([[[[1, -1]]]]).plot(bar())
        lines = ft.plot_coverage(ft.Conv([[[1, -1]]]), (1, 4))
    axes[0].figure.canvas.draw()
    assert not any(line.get_visible() for ax in axes for line in ax.get_xgridlines())
    assert any(line.get_visible() for line in lines.get_xgridlines())


def test_layouts_that_fit_axes_fit_the_panels_too():
    figure, (_, right) = pyplot.subplots(1, 2, layout="constrained")
    axes = ft.Conv([[[[1, -1]]]]).plot(bar(), ax=right)
    figure.canvas.draw()
    assert all(ax.get_window_extent().width > 5 for ax in axes)


def test_operators_of_shapes_alone_have_nothing_to_plot():
    with pytest.raises(ft.ShapeError, match="shape alone"):
        ft.Conv((1, 1, 3, 3)).plot(bar())


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    plots = (
        lambda: ft.Conv([[[[1, -1]]]]).plot(bar()),
        lambda: ft.Conv([[[[1, -1]]]]).describe((1, 6, 8)).plot(),
        lambda: ft.plot_matrix(ft.Conv([[[1]]]), (1, 3)),
    )
    for plot in plots:
        with pytest.raises(ft.MissingExtraError, match=r'pip install "faltung\[plot\]"'):
            plot()
