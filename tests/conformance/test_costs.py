"""Reported costs against counted loops, receptive fields against poisoned inputs, at random."""

import tracemalloc
from math import prod

import numpy as np
import pytest

import faltung as ft
from random_cases import random_case

WEIGHTED = ("conv", "conv_transpose", "involution", "local_conv")
SLIDING = (
    *("conv", "involution", "local_conv", "max_pool", "avg_pool", "lp_pool"),
    *("erode", "dilate", "window_reduce"),
)
"""Operators that see windows of one size."""
SHOWING = ("reflect", "symmetric", "edge", "wrap")
"""Borders whose cells are multiplied as those of the input are."""
CONFIGURATIONS = 200


class Cell:
    """What counts how often it is multiplied; zeros on a padding do not."""

    multiplied = 0

    def __mul__(self, other):
        Cell.multiplied += 1
        return self

    def __add__(self, other):
        return self

    __rmul__, __radd__ = __mul__, __add__


def counted_products(operator, shape):
    """How many products the textbook loops make of cells that are there."""
    layout = operator._case(shape).bound.layout
    x = np.empty(layout.canonical_shape(shape), object)
    x.flat = [Cell() for _ in range(x.size)]
    Cell.multiplied = 0
    record = operator.record
    operator.record.reference(
        x,
        *map(operator._arrays().get, record.operands),
        **{name: operator._parameters[name] for name in record.textbook_parameters},
    )
    return Cell.multiplied


@pytest.mark.parametrize("name", WEIGHTED)
def test_products_are_those_of_the_loops(name):
    rng = np.random.default_rng(11)
    padded = 0
    for _ in range(CONFIGURATIONS):
        operator, shape = random_case(name, rng)
        report = operator.describe(shape)
        counted = counted_products(operator, shape)
        if operator.padding_mode in SHOWING:
            assert counted == report.macs, (operator, shape)
        else:
            assert counted == report.macs_without_padding <= report.macs, (operator, shape)
            padded += counted < report.macs
        assert report.flops == 2 * report.macs
        outputs = prod(operator.output_shape(shape))
        assert report.bias_adds == (outputs if operator._operands.get("bias") is not None else 0)
    assert padded > 20


@pytest.mark.parametrize("name", SLIDING)
def test_parameters_and_bytes(name):
    rng = np.random.default_rng(12)
    for _ in range(CONFIGURATIONS):
        operator, shape = random_case(name, rng)
        report = operator.describe(shape)
        held = sum(array.size for array in operator._operands.values())
        assert report.parameters == held
        taken = sum(array.nbytes for array in operator._operands.values())
        cells, outputs = prod(shape), prod(report.output_shape)
        itemsize = operator._dtype().itemsize
        assert report.bytes_read == cells * itemsize + taken
        assert report.bytes_written == outputs * itemsize
        samples = 1 if not operator._case(shape).bound.layout.has_batch else shape[0]
        biases = outputs // samples if report.bias_adds else 0
        assert report.dense_parameters == cells * outputs // samples**2 + biases


def poisoned_cells(operator, shape):
    """For each output that a NaN in a cell reaches, the places of all such cells."""
    axes = operator._spatial_axes(shape)
    sizes = [shape[axis] for axis in axes]
    seen = {}
    for place in np.ndindex(*sizes):
        x = np.ones(shape)
        where = [slice(None)] * len(shape)
        for axis, cell in zip(axes, place, strict=True):
            where[axis] = cell
        x[tuple(where)] = np.nan
        y = operator(x)
        y = y[0] if isinstance(y, tuple) else y
        others = tuple(axis for axis in range(y.ndim) if axis not in axes)
        for output in zip(*np.nonzero(np.isnan(y).any(axis=others)), strict=True):
            seen.setdefault(output, []).append(place)
    return seen, np.array(sizes)


@pytest.mark.parametrize("name", SLIDING)
def test_receptive_field_is_what_poison_reaches_an_output_from(name):
    rng = np.random.default_rng(13)
    within = 0
    for _ in range(120):
        operator, shape = random_case(name, rng)
        if prod(shape) > 300 or getattr(operator, "padding_mode", "") in SHOWING:
            continue
        report = operator.describe(shape)
        structure = operator._operands.get("structure")
        has_holes = structure is not None and structure.dtype.kind == "b"
        seen, sizes = poisoned_cells(operator, shape)
        for output, cells in seen.items():
            first = np.array(report.receptive_start) + np.array(report.receptive_jump) * output
            last = first + report.receptive_field - 1
            lowest, highest = np.min(cells, axis=0), np.max(cells, axis=0)
            assert (lowest >= first).all(), operator
            assert (highest <= last).all(), operator
            if (first >= 0).all() and (last < sizes).all() and not has_holes:
                assert (lowest == first).all(), operator
                assert (highest == last).all(), operator
                within += 1
    assert within > 20 or name in ("erode", "dilate")


def test_describe_allocates_nothing_of_the_inputs_size():
    operators = (
        ft.Conv((64, 32, 3, 3), padding=1, padding_mode="reflect"),
        ft.MaxPool((3, 3), stride=2, padding="same"),
        ft.Resize(scale_factor=(2.0, 2.0), mode="linear"),
        ft.Unfold((3, 3)),
        ft.WindowReduce((5, 5), "median"),
        ft.Sequential(ft.Conv((64, 32, 3, 3)), ft.AvgPool((2, 2))),
    )
    shape = (8, 32, 4000, 4000)
    for operator in operators:
        operator.describe((8, 32, 40, 40))
        tracemalloc.start()
        operator.describe(shape)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**20, operator


def test_the_counting_can_fail():
    operator = ft.Conv(np.ones((2, 3, 3)), padding=1)
    report = operator.describe((3, 5))
    assert counted_products(operator, (3, 6)) != report.macs_without_padding
    assert counted_products(operator, (3, 5)) != report.macs
