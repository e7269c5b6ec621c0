"""The amounts that take too long for every run: `make test-long`."""

import tracemalloc

import numpy as np
import pytest

import faltung as ft
from cases import draw_case
from faltung.operators.conv import textbook
from rounding_cases import ROUNDED, SPREADS, check_rounding

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


@pytest.mark.parametrize("dtype", ROUNDED)
@pytest.mark.parametrize("seed", range(20))
def test_rounding_stays_within_the_bound(seed, dtype):
    rng = np.random.default_rng([seed, 3])
    algorithms = [None, "direct", "stencil"]
    for number in range(1000):
        check_rounding(rng, dtype, SPREADS[number % 3], algorithms[rng.integers(3)])


LARGE = {
    "line past 2^31": ((1, 1, 2**31 + 100), (1, 1, 2), "direct"),
    "line past 2^32": ((1, 1, 2**32 + 100), (1, 1, 2), "direct"),
    "line past 2^31 by tables": ((1, 1, 2**31 + 100), (1, 1, 2), "stencil"),
    "picture past 2^32": ((1, 1, 65_537, 65_600), (1, 1, 2, 2), "direct"),
    "samples past 2^32": ((2**16 + 3, 1, 2**16), (1, 1, 3), "direct"),
    "channels past 2^31": ((1, 1025, 2**21), (1, 1025, 2), "direct"),
}


@pytest.mark.parametrize("name", LARGE)
def test_more_elements_than_32_bits_count(name):
    """Compared at 100,000 places, the first and the last among them."""
    shape, taps, algorithm = LARGE[name]
    rng = np.random.default_rng(0)
    x = np.zeros(shape, np.uint8)
    weight = rng.integers(1, 9, taps, dtype=np.uint8)
    outputs = (shape[0], *(n - k + 1 for n, k in zip(shape[2:], taps[2:], strict=True)))
    corners = np.array([np.zeros(len(outputs), int), np.array(outputs) - 1])
    count = 100_000 // shape[1] + 1
    places = np.concatenate([corners, rng.integers(0, outputs, (count, len(outputs)))])
    sample, *spatial = places.T
    windows = [
        (sample, channel, *(at + t for at, t in zip(spatial, tap, strict=True)))
        for channel, *tap in np.ndindex(*taps[1:])
    ]
    for window in windows:
        x[window] = rng.integers(0, 256, len(places), dtype=np.uint8)
    y = ft.conv(x, weight, algorithm=algorithm)
    assert y.shape == (shape[0], 1, *outputs[1:])
    expected = sum(x[window] * value for window, value in zip(windows, weight.flat, strict=True))
    assert np.array_equal(y[(sample, 0, *spatial)], expected)


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
