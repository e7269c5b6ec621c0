"""`Window` against brute force: count places, perturb sizes, follow cells."""

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from faltung import Window, WindowError

NAMES = ("valid", "same", "half", "same_lower", "full", "causal")


def counted_places(n, kernel, stride, dilation, before, after):
    """Slide a window over the padded axis and count where it fits."""
    span = dilation * (kernel - 1) + 1
    places, start = 0, 0
    while start + span <= n + before + after:
        places, start = places + 1, start + stride
    return places


def hanging_places(n, kernel, stride, dilation, before, after):
    """The same where one more window may hang over the end, unless the cells are all covered.

    A last window that starts beyond the input and its left padding is not counted.
    """
    span = dilation * (kernel - 1) + 1
    places = counted_places(n, kernel, stride, dilation, before, after)
    last_covered = (places - 1) * stride + span
    if last_covered < n + before + after:
        places += 1
    return places - 1 if (places - 1) * stride >= n + before else places


geometry = st.tuples(st.integers(0, 25), st.integers(1, 6), st.integers(1, 5), st.integers(1, 4))
amounts = st.tuples(st.integers(0, 7), st.integers(0, 7))


def every_case():
    """More than 20,000 combinations of size, kernel, stride, dilation and padding."""
    paddings = [(0, 0), (1, 0), (0, 2), (3, 3), (1, 4), (7, 2)]
    return product(range(14), range(1, 6), range(1, 6), range(1, 5), paddings)


def test_output_size_equals_counted_places():
    for n, kernel, stride, dilation, padding in every_case():
        window = Window(kernel, stride, dilation, padding)
        places = counted_places(n, kernel, stride, dilation, *padding)
        assert window.axes[0].places(n) == places
        if places:
            assert window.output_size(n) == places
    with pytest.raises(WindowError, match="kernel_size spans 3 cells, but the input has 2"):
        Window(3).output_size(2)


def test_ceil_mode_equals_counted_places():
    for n, kernel, stride, dilation, padding in every_case():
        if n + sum(padding) >= dilation * (kernel - 1) + 1:
            window = Window(kernel, stride, dilation, padding, ceil_mode=True)
            places = hanging_places(n, kernel, stride, dilation, *padding)
            assert window.axes[0].places(n) == places


@settings(max_examples=1000)
@given(geometry, st.sampled_from(NAMES))
def test_named_padding(case, name):
    n, kernel, stride, dilation = case
    assume(n > 0)
    before, after = Window(kernel, stride, dilation, name).resolve(n)
    reach = dilation * (kernel - 1)
    if name in ("same", "half", "same_lower"):
        outputs = -(-n // stride)
        assert Window(kernel, stride, dilation, name).output_size(n) == outputs
        # The least padding with which the last window fits, split with the odd cell on one side.
        assert before + after == max((outputs - 1) * stride + reach + 1 - n, 0)
        assert (before - after if name == "same_lower" else after - before) in (0, 1)
    else:
        expected = {"valid": (0, 0), "full": (reach, reach), "causal": (reach, 0)}
        assert (before, after) == expected[name]


@settings(max_examples=1000)
@given(geometry, st.one_of(st.sampled_from(NAMES), amounts), st.integers(1, 12), st.booleans())
def test_input_size_is_every_size_that_gives_the_output(case, padding, outputs, ceil_mode):
    _, kernel, stride, dilation = case
    window = Window(kernel, stride, dilation, padding, ceil_mode)

    def gives(n):
        try:
            return window.output_size(n) == outputs
        except WindowError:
            return False

    found = [n for n in range(200) if gives(n)]
    assert list(window.input_size(outputs)) == found


@settings(max_examples=1000)
@given(geometry, st.integers(1, 12))
def test_padding_for_is_the_least_that_works(case, outputs):
    n, kernel, stride, dilation = case
    window = Window(kernel, stride, dilation)
    totals = [
        total
        for total in range(100)
        if counted_places(n, kernel, stride, dilation, total, 0) == outputs
    ]
    if totals:
        padding = window.padding_for(n, outputs)
        assert sum(padding) == totals[0]
        assert padding[1] - padding[0] in (0, 1)
    else:
        with pytest.raises(WindowError, match="no padding gives"):
            window.padding_for(n, outputs)


@settings(max_examples=500)
@given(geometry, amounts)
def test_footprint_lists_the_taps(case, padding):
    n, kernel, stride, dilation = case
    window = Window(kernel, stride, dilation, padding)
    for i in range(4):
        taps = tuple(i * stride - padding[0] + t * dilation for t in range(kernel))
        assert window.footprint(i) == taps
        assert window.footprint(i, n) == tuple(tap for tap in taps if 0 <= tap < n)


parameters = st.tuples(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.one_of(amounts, st.just("same"))
)


@settings(max_examples=500)
@given(st.integers(1, 40), parameters, parameters)
def test_composition_follows_cells_through_both_windows(n, first, second):
    one, two = Window(*first), Window(*second)
    chain = one.then(two)
    try:
        between = one.output_size(n)
        outputs = two.output_size(between)
    except WindowError:
        with pytest.raises(WindowError):
            chain.output_size(n)
        return
    assert chain.output_size(n) == outputs
    for i in range(outputs):
        cells = {c for j in two.footprint(i, between) for c in one.footprint(j, n)}
        assert chain.footprint(i, n) == tuple(sorted(cells))
    everything = range(-500, 500)
    start = chain.resolve(n)[0]
    span = range(-start, -start + chain.receptive_field)
    assert set(chain.footprint(0, n)) <= set(span) <= set(everything)
    assert chain.jump == one.jump * two.jump


def test_receptive_fields_of_all_small_pairs_by_following_cells():
    """More than 10,000 pairs: which cells two outputs of the second window see."""
    ranges = range(1, 5), range(1, 4), range(1, 4), ((0, 0), (2, 1), (0, 3))
    windows = [Window(*each) for each in product(*ranges)]
    count = 0
    for one, two in product(windows, repeat=2):
        chain = one.then(two)
        (start, end), (next_start, _) = (
            (one.footprint(cells[0])[0], one.footprint(cells[-1])[-1])
            for cells in (two.footprint(2), two.footprint(3))
        )
        assert chain.receptive_field == end - start + 1
        assert chain.jump == next_start - start
        count += 1
    assert count > 10_000


def test_receptive_field_of_a_known_stack():
    # VGG: two 3x3 layers see 5 cells, a 2x2 pooling doubles the jump.
    stack = Window(3, padding=1).then(Window(3, padding=1)).then(Window(2, stride=2))
    assert (stack.receptive_field, stack.jump) == (6, 2)
    assert stack.then(Window(3, padding=1)).receptive_field == 10


def test_each_axis_of_a_window_is_on_its_own():
    window = Window((3, 2), stride=(2, 1), padding=((1, 0), (0, 2)))
    assert window.output_size((7, 5)) == (3, 6)
    assert window.output_size(7) == (3, 8)
    assert window.receptive_field == (3, 2)
    assert window.footprint((0, 0)) == ((-1, 0, 1), (0, 1))
    assert window.then(Window(3)).output_size((7, 5)) == (1, 4)


def test_strided_same_depends_on_the_input():
    assert Window(7, stride=2, padding="same").resolve(224) == (2, 3)
    with pytest.raises(WindowError, match="input size"):
        Window(7, stride=2, padding="same").footprint(0)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": 2.0}, "kernel_size"),
        ({"kernel_size": True}, "kernel_size"),
        ({"kernel_size": ()}, "kernel_size"),
        ({"kernel_size": 3, "stride": -1}, "stride"),
        ({"kernel_size": 3, "stride": 2**63}, "stride"),
        ({"kernel_size": 3, "dilation": None}, "dilation"),
        ({"kernel_size": 3, "padding": "some"}, "padding"),
        ({"kernel_size": 3, "padding": -1}, "padding"),
        ({"kernel_size": (3, 3), "padding": (1, 1, 1)}, "padding"),
        ({"kernel_size": (3, 3), "stride": (1, 1, 1)}, "stride"),
        ({"kernel_size": 3, "ceil_mode": 1}, "ceil_mode"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    with pytest.raises(WindowError, match=word):
        Window(**arguments)


def test_numpy_integers_are_integers():
    assert Window(np.int64(3), np.array([2, 1])) == Window(3, (2, 1))


def test_windows_are_values():
    window = Window(3, 2, padding="same")
    assert pickle.loads(pickle.dumps(window)) == window
    assert eval(repr(window)) == window
    assert len({window, Window(3, 2, padding="half"), Window(3)}) == 2


def test_windows_do_not_change():
    for window in (Window(3, stride=2), Window((3, 2)).then(Window(2))):
        for name in ("axes", "stride", "padding", "new"):
            with pytest.raises(AttributeError, match="immutable"):
                setattr(window, name, 1)
            with pytest.raises(AttributeError, match="immutable"):
                delattr(window, name)


def test_what_does_not_compose_is_named():
    for other, words in ((3, "then expects a Window, got 3"), (Window((2, 2)), "1 and 2 axes")):
        with pytest.raises(WindowError, match=words) as caught:
            Window((3,)).then(other)
        assert str(caught.value).startswith("Window((3,)")
