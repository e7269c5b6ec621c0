"""What an explanation says, in attributes, as text and as HTML."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import faltung as ft
from faltung.explanation import page
from faltung.explanation.panels import number

X = np.arange(16).reshape(1, 4, 4)
WEIGHT = np.array([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]])


class Balanced(HTMLParser):
    """Raises where an end does not fit its start; collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attributes):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def html_text(explanation):
    parser = Balanced()
    parser.feed(explanation._repr_html_())
    assert not parser.open
    return " ".join(parser.text)


def test_a_convolution_on_a_border():
    operator = ft.Conv(WEIGHT, [3], padding=1, padding_mode="reflect", activation="relu")
    explanation = operator.explain(X, (0, 0, -1))
    assert (explanation.operator, explanation.index) == ("Conv", (0, 0, 3))
    assert explanation.total == operator(X)[0, 0, 3] == 3
    assert (explanation.bias, explanation.activation) == (3, "relu")
    terms = explanation.terms
    assert len(terms) == 9
    assert terms[0].border == "border (reflect → cell 1,2)"
    assert terms[0].position == (-1, 2)
    assert terms[0].cell == (1, 2)
    assert (terms[0].value, terms[0].coefficient, terms[0].product) == (6, 1, 6)
    assert terms[3].border == ""
    assert sum(term.product for term in terms) == explanation.steps[0].value
    assert str(explanation).splitlines() == [
        "Conv: y[0, 0, 3] = 3",
        "",
        "  channel 0, cells -1..1 × 2..4",
        "    window         weight         product",
        "     (6) (7) (6)     1   0  -1      6   0  -6",
        "      2   3  (2)     2   0  -2      4   0  -4",
        "      6   7  (6)     1   0  -1      6   0  -6",
        "",
        "  ( ) tap 0,0 at -1,2: border (reflect → cell 1,2)",
        "  ( ) tap 0,1 at -1,3: border (reflect → cell 1,3)",
        "  ( ) tap 0,2 at -1,4: border (reflect → cell 1,2)",
        "  ( ) tap 1,2 at 0,4: border (reflect → cell 0,2)",
        "  ( ) tap 2,2 at 1,4: border (reflect → cell 1,2)",
        "",
        "  sum of 9 products             0",
        "  bias                          3",
        "  sum and bias                  3",
        "  relu: the larger of it and 0  3",
    ]


def test_cells_outside():
    zeros = ft.Conv(WEIGHT, padding=1).explain(X, (0, 0, 0))
    outside = [term for term in zeros.terms if term.cell is None]
    assert {term.border for term in outside} == {"outside: 0"}
    assert len(outside) == 5
    assert "·   outside: 0 (5 taps)" in str(zeros)
    assert "sum of 4 products" in str(zeros)
    filled = ft.Conv(WEIGHT, padding=1, padding_mode="constant", padding_value=7)
    explanation = filled.explain(X, (0, 0, 0))
    assert explanation.total == filled(X)[0, 0, 0]
    assert explanation.terms[0].border == "outside: 7"
    assert "sum of 9 products" in str(explanation)


def test_a_weight_that_is_not_finite_does_not_meet_the_cells_outside():
    operator = ft.Conv([[[np.nan, 1.0, 2.0]]], padding=1)
    assert operator.explain([[3.0, 4.0]], (0, 0)).total == 11


def test_a_blank_window():
    operator = ft.Conv(WEIGHT, [3], padding=1, padding_mode="blank")
    explanation = operator.explain(X, (0, 0, 2))
    assert explanation.total == 0
    assert explanation.terms == ()
    assert "the window leaves the input" in str(explanation)
    assert "leaves the input" in html_text(explanation)
    assert operator.explain(X, (0, 1, 2)).total == operator(X)[0, 1, 2]


def test_the_cell_that_won():
    x = np.array([[3.0, 9, 1, 9]])
    explanation = ft.MaxPool((4,)).explain(x, (0, 0))
    assert explanation.winner.cell == (1,)
    assert "[9]" in str(explanation)
    assert "largest, of cell 1" in str(explanation)
    assert ft.MaxPool((4,)).explain([[np.nan, 9, np.nan, 1]], (0, 0)).winner.cell == (2,)
    lowest = ft.MaxPool((2,), padding=1).explain([[-np.inf, -np.inf]], (0, 0))
    assert lowest.winner.cell == (0,)
    assert ft.AvgPool((2,)).explain(x, (0, 0)).winner is None


def test_returned_indices_do_not_matter():
    operator = ft.MaxPool((2,), return_indices=True)
    assert operator.explain(np.array([[3, 9]]), (0, 0)).total == 9


def test_morphology_names_heights_and_leaves_cells_out():
    x = np.array([[3, 9, 1, 9]])
    raised = ft.Dilate([0, 5, 1], padding=1).explain(x, (0, 2))
    assert [term.product for term in raised.terms] == [10, 6, 9]
    assert raised.winner.tap == (0,)
    flat = ft.Erode([True, False, True], padding=1).explain(x, (0, 1))
    assert [term.cell for term in flat.terms] == [(0,), (2,)]
    assert flat.total == 1


def test_resize_shows_the_weights_of_each_axis():
    explanation = ft.Resize((1, 8), mode="linear").explain(X[:, :2], (0, 0, 3))
    assert ("weights on axis 0", "cell 0: 0.5, cell 1: 0.5") in explanation.steps
    assert ("weights on axis 1", "cell 1: 0.75, cell 2: 0.25") in explanation.steps
    assert [term.coefficient for term in explanation.terms] == [0.375, 0.125, 0.375, 0.125]
    rounded = ft.Resize((3,), mode="linear").explain(np.array([[0, 3, 8, 250]], "uint8"), (0, 1))
    assert rounded.steps[-1].label == "rounded to uint8"
    assert rounded.total == 6


def test_order_statistics_show_the_order():
    explanation = ft.WindowReduce((5,), "median").explain([[5.0, 1, 9, 2, 7]], (0, 0))
    assert ("in order", "1 2 5 7 9") in [(s.label, number(s.value)) for s in explanation.steps]
    assert explanation.total == 5


def test_a_function_of_the_user():
    explanation = ft.WindowReduce((3,), _middle).explain([[5.0, 1, 9]], (0, 0))
    assert explanation.total == 1


def _middle(values):
    return values[1]


def test_involution_uses_the_kernel_of_its_group_and_place():
    weight = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    operator = ft.Involution(weight, kernel_size=(3,), padding=1)
    x = np.arange(16).reshape(4, 4)
    explanation = operator.explain(x, (3, 2))
    assert [term.coefficient for term in explanation.terms] == weight[1, :, 2].tolist()
    assert explanation.total == operator(x)[3, 2]
    assert "kernel here" in str(explanation)


def test_sums_that_wrap_say_so():
    explanation = ft.Conv(np.full((1, 1, 2), 100, "uint8")).explain([[200, 200]], (0, 0))
    assert explanation.total == 40000
    wrapped = ft.Conv(np.full((1, 1, 2), 100, "uint8")).explain(
        np.array([[200, 200]], "uint8"), (0, 0)
    )
    assert wrapped.total == 40000 % 256
    assert ("exact sum, which wraps around", 40000) in wrapped.steps


def test_large_windows_are_cropped_with_counts():
    rng = np.random.default_rng(0)
    operator = ft.Conv(rng.normal(size=(1, 7, 12, 20)), padding=9, padding_mode="wrap")
    text = str(operator.explain(rng.normal(size=(7, 20, 30)), (0, 0, 0)))
    assert "… 3 more rows, … 11 more columns, … 3 more channels" in text
    assert re.search(r"… \d+ more taps on the border", text)
    assert len(text.splitlines()) < 160
    assert max(map(len, text.splitlines())) <= 104
    assert len(operator.explain(rng.normal(size=(7, 20, 30)), (0, 0, 0)).terms) == 7 * 240


def test_volumes_are_shown_plane_by_plane():
    text = str(
        ft.Conv(np.ones((1, 1, 2, 2, 2)), dilation=2).explain(np.ones((1, 3, 3, 3)), (0,) * 4)
    )
    assert "channel 0, cells 0 × 0,2 × 0,2" in text
    assert "channel 0, cells 2 × 0,2 × 0,2" in text


def test_unfolded_and_folded_places():
    columns = ft.unfold(X, (2, 2))
    explanation = ft.Unfold((2, 2)).explain(X, (2, 4))
    assert explanation.total == columns[2, 4]
    assert explanation.terms[0].cell == (2, 1)
    fold = ft.Fold((4, 4), (2, 2))
    assert fold.explain(columns, (0, 1, 1)).total == 4 * X[0, 1, 1]
    assert "one for each tap" in str(fold.explain(columns, (0, 1, 1)))


def test_unpooling_names_what_was_placed():
    operator = ft.MaxUnpool([[0, 0, 5]], (2,))
    x = np.array([[3, 4, 5]])
    assert [operator.explain(x, (0, place)).total for place in range(6)] == [4, 0, 0, 0, 0, 5]
    assert "no value was placed here" in str(operator.explain(x, (0, 1)))


def test_html_is_balanced_escaped_and_without_colours_of_its_own():
    explanation = ft.Conv(WEIGHT, [3], padding=1).explain(X, (0, 0, 0))
    text = html_text(explanation)
    for words in ("y[0, 0, 0]", "window", "weight", "product", "outside: 0", "bias"):
        assert words in text
    html = explanation._repr_html_()
    assert "black" not in html
    assert "white" not in html
    assert "#" not in html
    view = explanation._view
    hostile = type(view)("<script>alert('x')</script>", *list(vars(view).values())[1:5])
    assert "<script>" not in page.render(hostile)
    assert "&lt;script&gt;" in page.render(hostile)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ((0, 0), r"index is \(0, 0\), expected one int for each of the 3 axes"),
        (0, r"index is 0, .*Pass a tuple such as \(0, 0, 0\)"),
        ((0, 4, 0), r"index\[1\] is 4, the result of shape \(1, 4, 4\) has 4 there.* Use -4 to 3"),
        ((0, 0, -5), r"index\[2\] is -5"),
        ((0, 0, 1.0), r"index\[2\] is 1.0, expected an int"),
        ((0, True, 0), r"index\[1\] is True"),
        ((0, slice(2), 0), r"index\[1\] is slice"),
        ((0, 0, 10**30), r"index\[2\] is 10"),
    ],
)
def test_an_index_outside_is_refused(index, words):
    with pytest.raises(ft.PositionError, match=words):
        ft.Conv(WEIGHT, padding=1).explain(X, index)


def test_layouts_take_their_own_index():
    x = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    operator = ft.Conv(np.ones((2, 3, 2, 2), int), data_format="channels_last")
    assert operator.explain(x, (1, 2, 3, 1)).total == operator(x)[1, 2, 3, 1]
    assert operator.explain(x[1], (2, 3, 1)).total == operator(x)[1, 2, 3, 1]
    assert operator.explain(x, np.array([1, 2, 3, 1]).tolist()).index == (1, 2, 3, 1)


def test_a_window_that_no_memory_holds_is_refused():
    ft.set_memory_limit(300 * 2**20)
    try:
        with pytest.raises(ft.ResourceError, match="a window of 4,000,000 taps"):
            ft.WindowReduce((2000, 2000), "sum").explain(np.zeros((1, 2000, 2000)), (0, 0, 0))
    finally:
        ft.set_memory_limit(None)


def test_equal_explanations_say_the_same():
    x = np.array([[1.0, np.nan, 2, 5]])
    for operator in (ft.Conv([[[1.0, 2]]]), ft.MaxPool((2,)), ft.WindowReduce((2,), "median")):
        explanation = operator.explain(x, (0, 1))
        again = operator.explain(x.copy(), (0, 1))
        assert explanation == again
        assert hash(explanation) == hash(again)
        changed = x.copy()
        changed[0, 2] = 7
        assert explanation != operator.explain(changed, (0, 1))
        assert explanation != operator.explain(x, (0, 0))
        assert explanation != "an explanation"
    assert ft.Conv([[[1, 2]]]).explain([[0, 5]], (0, 0)) != ft.Conv([[[9, 2]]]).explain(
        [[0, 5]], (0, 0)
    )
