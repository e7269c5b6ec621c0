"""What figures light is what results are made of: every operator × sample, and at random."""

from dataclasses import replace

import numpy as np
import pytest

import faltung as ft
from drawn_shapes import drawn_cells
from faltung.operators._record import REGISTRY
from random_cases import random_case, random_data

CASES = [
    pytest.param(record, sample, id=f"{name}-{sample.name}")
    for name, record in REGISTRY.items()
    for sample in record.samples
]
FRAMES = 4


def of_sample(record, sample):
    arrays = sample.draw("float64", seed=5)
    x = arrays.pop(record.arrays[0])
    return getattr(ft, record.class_name)(*arrays.values(), **sample.parameters), x


def first(result):
    return result[0] if isinstance(result, tuple) else result


def seen_by_nan(operator, x):
    """Which cells each output sees, found out by poisoning one cell after the other."""
    if callable(operator._parameters.get("reduction")):  # which may look at some cells only
        operator = ft.WindowReduce(**{**operator._parameters, "reduction": "sum"})
    x = np.abs(x) + 1.0
    seen = np.zeros((first(operator(x)).size, x.size), bool)
    for cell in range(x.size):
        poisoned = x.copy()
        poisoned.reshape(-1)[cell] = np.nan
        with np.errstate(all="ignore"):
            seen[:, cell] = np.isnan(np.asarray(first(operator(poisoned)), float)).ravel()
    return seen


def connections(operator, x):
    """Rows are outputs, columns cells of the input; True where they are connected."""
    if operator.describe(x.shape, x.dtype).matrix_shape is None:
        return seen_by_nan(operator, x)
    matrix = operator.matrix(x.shape, x.dtype)
    matrix.data = np.ones(len(matrix.data), bool)
    return matrix.toarray().astype(bool)


def cells_of(indices, shape):
    return {int(np.ravel_multi_index(index, shape)) for index in indices}


def check(operator, x):
    """Every frame of the window lights the non-zeros of its rows; of the spread, of columns."""
    if x.size == 0 or x.size > 600:
        return 0
    try:
        shape = operator.output_shape(x.shape)
        if 0 in shape:
            return 0
    except ft.WindowError:
        return 0
    connected = connections(operator, x)
    for view in ("window", "zeros") if operator.name == "conv_transpose" else ("window",):
        animation = operator.animate(x, view=view, frames=FRAMES)
        assert 1 <= len(animation) <= FRAMES
        for number, frame in enumerate(animation.frames):
            rows = [int(np.ravel_multi_index(index, shape)) for index in frame.outputs]
            expected = set(np.flatnonzero(connected[rows].any(axis=0)).tolist())
            assert cells_of(frame.inputs, x.shape) == expected, number
    if operator.name in ("conv_transpose", "fold"):
        for frame in operator.animate(x, view="spread", frames=FRAMES).frames:
            columns = [int(np.ravel_multi_index(index, x.shape)) for index in frame.inputs]
            expected = set(np.flatnonzero(connected[:, columns].any(axis=1)).tolist())
            assert cells_of(frame.outputs, shape) == expected
    check_last_output(operator, x, connected[-1])
    return len(animation)


def check_last_output(operator, x, row):
    """The figure of one output, with and without numbers, and the cells that are drawn in it."""
    shape = operator.output_shape(x.shape)
    last = tuple(size - 1 for size in shape)
    zeros = [(x, "zeros")] if operator.name == "conv_transpose" else []
    for data, view in [(None, "window"), (x, "window"), *zeros]:
        figure = operator.draw(x.shape, x=data, index=last, view=view)
        (frame,) = figure.frames
        assert frame.outputs == (last,)
        assert cells_of(frame.inputs, x.shape) == set(np.flatnonzero(row).tolist())
        drawn = drawn_cells(str(figure), ("lit", "echo"))
        assert (drawn > 0) == (len(frame.inputs) > 0)
        assert drawn <= len(frame.inputs)
        if "is too large to draw" not in str(figure):
            assert drawn == len(frame.inputs)


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_samples(record, sample):
    check(*of_sample(record, sample))


@pytest.mark.parametrize("name", list(REGISTRY))
def test_at_random(name):
    rng = np.random.default_rng(list(name.encode()))
    frames = 0
    for _ in range(10):
        operator, shape = random_case(name, rng)
        if np.prod(shape) <= 200:
            frames += check(operator, random_data(shape, rng))
    assert frames > 20


def test_a_wrong_frame_would_be_noticed(monkeypatch):
    """The check fails where a sight shows a neighbour of what is seen."""
    from faltung.draw import choosing, sights

    def shifted(subject, indices):
        sight = sights.gathered(subject, indices)
        moved = tuple((*index[:-1], (index[-1] + 1) % 5) for index in sight.inputs)
        return replace(sight, inputs=moved)

    operator = ft.Conv(np.ones((1, 1, 3)))
    assert check(operator, np.arange(5.0)[None]) == 3
    monkeypatch.setattr(choosing, "gathered", shifted)
    with pytest.raises(AssertionError):
        check(operator, np.arange(5.0)[None])
