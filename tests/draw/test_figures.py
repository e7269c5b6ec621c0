"""What figures show: numbers, winners, views, parts of large arrays, and what they refuse."""

import re
import time

import numpy as np
import pytest

import faltung as ft
from drawn_shapes import SVG, drawn_cells, parsed

KERNEL = np.arange(9).reshape(1, 1, 3, 3)
RNG = np.random.default_rng(3)


def words(drawn, role=None):
    return [
        text.text
        for text in parsed(str(drawn)).iter(f"{SVG}text")
        if role is None or text.get("class") == role
    ]


def test_border_cells_differ_from_zeros_and_from_repeated_ones():
    zeros = str(ft.Conv(KERNEL, padding=1).draw((1, 5, 5)))
    assert drawn_cells(zeros, ("border",)) == 7 * 7 - 25
    assert drawn_cells(zeros, ("copy",)) == 0
    reflected = str(ft.Conv(KERNEL, padding=1, padding_mode="reflect").draw((1, 5, 5)))
    assert drawn_cells(reflected, ("copy",)) == 7 * 7 - 25
    assert drawn_cells(reflected, ("border",)) == 0


def test_dilation_lights_the_taps_only():
    text = str(ft.Conv(KERNEL, dilation=2).draw((1, 7, 7)))
    assert drawn_cells(text, ("lit",)) == 9
    assert drawn_cells(text, ("window",)) == 1


def test_numbers_are_those_of_the_arrays():
    x = RNG.integers(-9, 10, (1, 4, 5))
    conv = ft.Conv(KERNEL, padding=1)
    figure = conv.draw((1, 4, 5), x=x, index=(0, 1, 2))
    found = words(figure)
    for value in (*x.ravel(), *KERNEL.ravel(), *conv(x).ravel()):
        assert str(value) in found
    assert words(figure, "number-now") == [str(conv(x)[0, 1, 2])]
    assert sorted(words(figure, "number-lit")) == sorted(map(str, x[0, 0:3, 1:4].ravel()))


def test_captions_are_the_arithmetic():
    x = np.array([[1, 2, 3, 4]])
    conv = ft.Conv([[[2, -1]]], np.array([10]))
    assert conv.draw((1, 4), x=x, index=(0, 2)).frames[0].caption == (
        "y[0, 2] = 3·2 + 4·(-1) + 10 = 12"
    )
    mean = ft.AvgPool((2,)).draw((1, 4), x=x, index=(0, 1))
    assert mean.frames[0].caption == "y[0, 1] = (3 + 4) / 2 = 3.5"


def test_the_winner_is_marked():
    x = np.array([[[1, 9], [3, 4]]])
    text = str(ft.MaxPool((2, 2)).draw((1, 2, 2), x=x))
    assert drawn_cells(text, ("winner",)) == 1
    assert drawn_cells(str(ft.MaxPool((2, 2)).draw((1, 2, 2))), ("winner",)) == 0


def test_a_flipped_kernel_is_shown_before_and_after():
    figure = ft.Conv([[[1, 2, 3]]], flip=True).draw((1, 5))
    assert words(figure, "heading")[:2] == ["kernel 3", "turned round"]
    assert words(figure, "number-kernel") == ["3", "2", "1", "1", "2", "3"]
    assert drawn_cells(str(figure), ("tap",)) == 2


def test_the_matrix_has_as_many_entries():
    conv = ft.Conv(KERNEL, padding=1)
    text = str(conv.draw((1, 4, 5), view="matrix", index=(0, 0, 0)))
    assert drawn_cells(text, ("entry",)) == conv.matrix((1, 4, 5)).nnz
    assert drawn_cells(text, ("entry-lit",)) == 4


def test_stuffed_zeros_of_a_transposed_convolution():
    up = ft.ConvTranspose(KERNEL, stride=2)
    text = str(up.draw((1, 3, 3), view="zeros"))
    assert drawn_cells(text, ("input",)) == 9
    assert drawn_cells(text, ("gap",)) == 5 * 5 - 9
    assert drawn_cells(text, ("border",)) == 9 * 9 - 25


def test_a_spread_sums_up_to_the_result():
    up = ft.ConvTranspose(RNG.integers(1, 5, (1, 1, 2, 2)))
    x = RNG.integers(1, 9, (1, 2, 2))
    animation = up.animate(x)
    assert len(animation) == 4
    groups = animation._scene.groups
    labels = [shape for group in groups for shape in group.shapes if hasattr(shape, "text")]
    outputs = sorted({shape.at[::-1] for shape in labels if shape.role == "number-now"})
    assert len(outputs) == 9
    shown = {}  # what lies above hides what lies below
    for group in groups:
        if group.is_shown(3):
            shown |= {s.at[::-1]: s.text for s in group.shapes if hasattr(s, "text")}
    assert [shown[at] for at in outputs] == [str(value) for value in up(x).ravel()]


def test_each_place_has_its_own_kernel():
    weight = RNG.integers(1, 9, (1, 1, 4, 3, 3))
    operator = ft.Involution(weight, kernel_size=(2, 2))
    for index in ((0, 0, 0, 0), (0, 0, 2, 1)):
        figure = operator.draw((1, 1, 4, 4), index=index)
        assert words(figure, "number-kernel") == [str(w) for w in weight[0, 0, :, *index[2:]]]
    assert any("all kernels" in text for text in words(figure, "heading"))


def test_the_weights_of_a_resize_are_those_of_its_matrix():
    operator = ft.Resize((5,), mode="linear")
    figure = operator.draw((1, 3), index=(0, 1))
    row = operator.matrix((1, 3)).toarray()[1]
    assert words(figure, "number-kernel") == [f"{v:.2f}".rstrip("0") for v in row if v]


@pytest.mark.parametrize(
    ("operator", "shape", "note"),
    [
        (
            ft.Conv((1, 1, 3, 3), padding=1),
            (1, 224, 224),
            "padded input 1 × 226 × 226 is too large to draw, at most 32 × 32",
        ),
        (ft.Conv((1, 64, 3, 3)), (64, 8, 8), "channels 0 to 5"),
        (ft.Conv((1, 1, 3)), (1, 10**9), "input 1 × 1000000000"),
        (ft.Conv((1, 1, 2, 3, 3)), (1, 9, 5, 5), "places 0 to 5"),
        (ft.Unfold((3, 3)), (4, 20, 20), "output 36 × 324"),
    ],
)
def test_of_large_arrays_a_part_is_drawn_and_named(operator, shape, note):
    started = time.process_time()
    figure = operator.draw(shape)
    assert time.process_time() - started < 5
    notes = words(figure, "note")
    assert any(note in text for text in notes), notes
    assert all(" is too large to draw, at most " in text for text in notes)
    assert len(str(figure)) < 400_000


def test_the_part_around_the_index_is_drawn():
    figure = ft.Conv((1, 1, 3, 3)).draw((1, 300, 300), index=(0, 200, 100))
    assert drawn_cells(str(figure), ("lit",)) == 9
    assert drawn_cells(str(figure), ("now",)) == 1


def test_a_16_by_16_input_is_drawn_in_50_ms():
    conv = ft.Conv((1, 1, 3, 3), padding=1)

    def seconds():
        started = time.process_time()
        str(conv.draw((1, 16, 16)))
        return time.process_time() - started

    assert min(seconds() for _ in range(10)) < 0.050


def test_shapes_alone_are_enough():
    figure = ft.Conv((4, 2, 3, 3), groups=2, padding=1).draw((4, 6, 6))
    assert words(figure, "number-kernel") == []
    assert figure.frames[0].caption == "y[0, 1, 1] sees 18 cells"


def test_channels_last_and_batches_keep_their_indices():
    conv = ft.Conv(RNG.normal(size=(2, 3, 3, 3)), data_format="channels_last")
    (frame,) = conv.draw((2, 5, 6, 3), index=(1, 0, 0, 1)).frames
    assert frame.outputs == ((1, 0, 0, 1),)
    expected = {(1, i, j, c) for i in range(3) for j in range(3) for c in range(3)}
    assert set(frame.inputs) == expected


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"palette": "neon"}, ft.OptionError, "'classic', 'safe'"),
        ({"theme": None}, ft.OptionError, "'light', 'dark', 'auto'"),
        ({"view": "side"}, ft.OptionError, "'window', 'spread', 'zeros', 'matrix'"),
        ({"view": "spread"}, ft.OptionError, "Conv has none"),
        ({"title": 3}, ft.OptionError, "expected a str"),
        ({"index": (0, 9, 9)}, ft.PositionError, "the result of shape"),
        ({"index": (0, 1)}, ft.PositionError, "expected one int for each"),
        ({"x": np.ones((1, 4, 5))}, ft.ShapeError, "input_shape is"),
    ],
)
def test_what_is_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        ft.Conv(KERNEL).draw((1, 5, 5), **options)
    assert str(caught.value).startswith("Conv: ")


def test_nothing_to_draw():
    with pytest.raises(ft.ShapeError, match="nothing to draw"):
        ft.Conv(KERNEL).draw((0, 1, 5, 5))
    with pytest.raises(ft.ResourceError, match="are drawn"):
        ft.AdaptiveAvgPool((1,)).draw((1, 10**8))
    with pytest.raises(ft.NotLinearError, match="matrix"):
        ft.MaxPool((2,)).draw((1, 4), view="matrix")


def test_a_chain_is_drawn_operator_by_operator():
    chain = ft.Sequential(ft.Conv(KERNEL, padding=1), ft.MaxPool((2, 2)))
    x = RNG.integers(0, 9, (1, 4, 4))
    figure = chain.draw((1, 4, 4), x=x, index=(0, 1, 1))
    assert words(figure, "title") == ["Conv(padding=1)", "MaxPool(kernel_size=(2, 2))"]
    assert figure.frames[1].outputs == ((0, 1, 1),)
    assert str(chain(x)[0, 1, 1]) in words(figure, "number-now")
    animation = chain.animate(x, frames=40)
    assert len(animation) == 16 + 4
    assert animation.frames[16].outputs == ((0, 0, 0),)
    with pytest.raises(ft.OptionError, match="operator 1 of 2, Conv"):
        chain.draw((1, 4, 4), view="zeros")


def test_a_chain_of_shapes_knows_no_numbers_behind_them():
    chain = ft.Sequential(ft.Conv((1, 1, 3, 3)), ft.MaxPool((2, 2)))
    figure = chain.draw((1, 6, 6), x=np.ones((1, 6, 6)))
    assert figure.frames[1].caption == "y[0, 1, 1] sees 4 cells"


def test_a_layer_is_drawn_with_the_kernels_that_it_generates():
    layer = ft.InvolutionLayer.init(4, (3, 3), groups=2, rng=0)
    x = RNG.normal(size=(4, 5, 5))
    figure = layer.draw((4, 5, 5), x=x, index=(1, 2, 2))
    assert f"{layer(x)[1, 2, 2]:.2f}".rstrip("0") in words(figure, "number-now")
    assert words(layer.draw((4, 5, 5)), "number-kernel") == []
    assert len(layer.animate((4, 5, 5), frames=7)) == 7


@pytest.mark.parametrize(
    ("operator", "x", "caption"),
    [
        (ft.Conv([[[1, -2]]], activation="relu"), [[1, 4]], "y[0, 0] = max(0, 1·1 + 4·(-2)) = 0"),
        (ft.Conv(np.array([[[2, 2]]], np.int8)), np.array([[90, 9]], np.int8), "y[0, 0] = -58"),
        (ft.Conv([[[1j, 2]]]), [[1 + 1j, -3]], "y[0, 0] = (1+1j)·1j − 3·2 = -7+1j"),
        (ft.Erode(np.array([1, 2, 1]), padding=0), [[5, 3, 6]], "y[0, 0] = min(4, 1, 5) = 1"),
        (ft.LpPool(2, (2,)), [[3.0, -4.0]], "y[0, 0] = (|3|^2 + |-4|^2)^(1/2) = 5"),
        (ft.LpPool(np.inf, (2,)), [[3.0, -4.0]], "y[0, 0] = max(|3|, |-4|) = 4"),
        (ft.WindowReduce((3,), "median"), [[3, 9, 4]], "y[0, 0] = median(3, 9, 4) = 4"),
        (ft.Resize((3,), mode="linear"), np.array([[10.0, 20]]), "y[0, 1] = 10·0.5 + 20·0.5 = 15"),
        (ft.Resize((4,), mode="linear"), np.array([[0, 10]]), "y[0, 1] = 2"),
        (ft.Fold((3,), (2,)), [[1, 2], [3, 4]], "y[0, 1] = 2 + 3 = 5"),
    ],
)
def test_captions_add_up_for_every_rule(operator, x, caption):
    x = np.asarray(x)
    index = tuple(int(part) for part in re.findall(r"\d+", caption.partition("]")[0]))
    assert operator.draw(x.shape, x=x, index=index, view="window").frames[0].caption == caption


def test_weights_that_are_no_numbers_are_shown():
    figure = ft.Conv([[[1.0, np.nan, np.inf]]]).draw((1, 5), x=np.ones((1, 5)))
    assert words(figure, "number-kernel") == ["1", "nan", "inf"]
    assert figure.frames[0].caption == "y[0, 1] = 1·1 + 1·nan + 1·inf = nan"
