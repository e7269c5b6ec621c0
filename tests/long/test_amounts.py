"""The amounts that take too long for every run: `make test-long`."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from cases import draw_case
from faltung.operators.conv import textbook

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", range(200))
def test_integer_values_are_exact(seed):
    rng = np.random.default_rng([seed, 2])
    names = [None, "direct", "stencil"]
    for _ in range(1000):
        case = draw_case(rng)
        name = names[rng.integers(len(names))] if case.x.ndim <= 5 else None
        y = ft.conv(case.x, case.weight, case.bias, **case.parameters, algorithm=name)
        wide = {"c": np.complex128, "f": np.float64}.get(y.dtype.kind, np.int64)
        bias = None if case.bias is None else case.bias.astype(wide)
        parameters = {"padding_value": 0, **case.parameters}
        exact = textbook(case.x.astype(wide), case.weight.astype(wide), bias, **parameters)
        assert np.array_equal(y, exact.astype(y.dtype)), case


@pytest.mark.parametrize("size", [2**31 + 100, 2**32 + 100])
@pytest.mark.parametrize("algorithm", ["direct", "stencil"])
def test_more_elements_than_32_bits_count(size, algorithm):
    x = np.zeros((1, 1, size), np.uint8)
    places = np.random.default_rng(0).integers(0, size - 2, 1000)
    x[0, 0, places] = np.arange(1000) % 50
    x[0, 0, -2:] = 7, 9
    y = ft.conv1d(x, np.array([[[1, 2]]], np.uint8), algorithm=algorithm)
    assert y.shape == (1, 1, size - 1)
    assert y[0, 0, -1] == 7 + 18
    for place in places:
        assert y[0, 0, place] == (int(x[0, 0, place]) + 2 * int(x[0, 0, place + 1])) % 256


def test_broadcast_inputs_of_absurd_size():
    x = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**14))
    y = ft.conv2d(x, np.ones((1, 1, 3, 3), np.float32), stride=2**12)
    assert y.shape == (1, 1, 256, 4)
    assert (y == 9).all()


@pytest.mark.parametrize("is_good", [True, False])
def test_ten_thousand_calls_leak_nothing(is_good):
    rng = np.random.default_rng(0)
    cases = [draw_case(rng, dtype="float32") for _ in range(50)]

    def call(case):
        if is_good:
            ft.conv(case.x, case.weight, case.bias, **case.parameters)
        else:
            with pytest.raises(ft.FaltungError):
                ft.conv(case.x, case.weight, case.bias, **{**case.parameters, "stride": 0})

    for _ in range(20):
        for case in cases:
            call(case)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(200):
        for case in cases:
            call(case)
    growth = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert growth < 2 * 2**20
