"""The unfolding plan: windows laid out and back as the stencil plan does it."""

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import _jit

if not _jit.available():
    pytest.skip("nothing is compiled here", allow_module_level=True)

BORDERS = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")


def draw(rng, dtype):
    """An array and the window that is laid out; None where none fits."""
    rank = int(rng.integers(1, 4))
    kernel = tuple(int(n) for n in rng.integers(1, [8, 5, 4][rank - 1], rank))
    spatial = tuple(int(n) for n in rng.integers(1, [150, 20, 7][rank - 1], rank))
    window = {
        "stride": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "dilation": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "padding": [tuple(int(n) for n in rng.integers(0, 4, 2)) for _ in kernel],
    }
    try:
        ft.Window(kernel, **window).output_size(spatial)
    except ft.WindowError:
        return None
    values = rng.integers(-3, 4, (int(rng.integers(1, 3)), int(rng.integers(1, 5)), *spatial))
    with np.errstate(all="ignore"):
        x = values > 1 if dtype == "bool" else values.astype(dtype)
    x = x * (1 + 2j) if dtype == "complex64" else x
    return x.astype(dtype), {"kernel_size": kernel, **window}


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64", "bool", "int8", "uint64"])
def test_as_the_stencil_plan(dtype):
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(100 if dtype == "float32" else 30):
        case = draw(rng, dtype)
        if case is None:
            continue
        x, window = case
        mode = str(rng.choice(BORDERS))
        border = {"padding_mode": mode, **({"padding_value": 1} if mode == "constant" else {})}
        expected = ft.unfold(x, **window, **border, algorithm="stencil")
        y = ft.unfold(x, **window, **border, algorithm="unfolding")
        assert y.dtype == expected.dtype
        assert np.array_equal(y, expected), window
        columns = ft.unfold(x, **window)
        size = x.shape[2:]
        expected = ft.fold(columns, size, **window, algorithm="stencil")
        y = ft.fold(columns, size, **window, algorithm="unfolding")
        assert y.dtype == expected.dtype
        assert np.array_equal(y, expected), window
        compared += 1
    assert compared > 20


def test_any_memory_order_and_output():
    rng = np.random.default_rng(0)
    for number in range(60):
        case = draw(rng, "float64")
        if case is None:
            continue
        x, window = case
        byte = np.zeros(x.nbytes + 1, np.uint8)
        unaligned = byte[1:].view(np.float64).reshape(x.shape)
        unaligned[...] = x
        swapped = x.astype(x.dtype.newbyteorder())
        columns = ft.unfold(x, **window, algorithm="unfolding")
        for relaid in (np.asfortranarray(x), x[..., ::-1].copy()[..., ::-1], unaligned, swapped):
            out = np.zeros((*columns.shape[:-1], 2 * columns.shape[-1]))[..., ::-2]
            ft.unfold(relaid, **window, algorithm="unfolding", out=out)
            assert np.array_equal(out, columns)
        folded = ft.fold(columns, x.shape[2:], **window, algorithm="unfolding")
        wide = np.zeros((*folded.shape[:-1], 3 * folded.shape[-1]))[..., 1::3]
        relaid = [np.asfortranarray(columns), columns[:, :, ::-1].copy()[:, :, ::-1]][number % 2]
        ft.fold(relaid, x.shape[2:], **window, algorithm="unfolding", out=wide)
        assert np.array_equal(wide, folded)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_special_values_stay_where_they_fall(value):
    window = {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1}
    for place in np.ndindex(1, 1, 4, 5):
        x = np.ones((1, 1, 4, 5), np.float32)
        x[place] = value
        columns = ft.unfold(x, **window, algorithm="unfolding")
        expected = ft.unfold(x, **window, algorithm="stencil")
        assert np.array_equal(columns, expected, equal_nan=True)
        y = ft.fold(columns, (4, 5), **window, algorithm="unfolding")
        expected = ft.fold(columns, (4, 5), **window, algorithm="stencil")
        assert np.array_equal(y, expected, equal_nan=True)


def test_threads_and_samples_do_not_change_bits():
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((2, 4 * 25, 60 * 61)).astype(np.float32)
    window = {"kernel_size": 5, "padding": 2}
    before, found = ft.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            ft.set_num_threads(threads)
            found.add(ft.fold(columns, (60, 61), **window).tobytes())
    finally:
        ft.set_num_threads(before)
    alone = [ft.fold(columns[n : n + 1], (60, 61), **window) for n in range(2)]
    assert found == {np.concatenate(alone).tobytes()}


def test_it_is_chosen_or_has_a_reason():
    def report(shape, dtype=np.float32, **parameters):
        return ft.Unfold(**parameters).describe(shape, dtype)

    def reason(*arguments, **parameters):
        return dict(report(*arguments, **parameters).rejected)["unfolding"]

    assert report((1, 8, 64, 64), kernel_size=3).algorithm == "unfolding"
    assert ft.Fold((64, 64), 3).describe((1, 9 * 8, 62 * 62)).algorithm == "unfolding"
    assert "too few" in reason((1, 1, 4, 4), kernel_size=3)
    assert "complex128" in reason((1, 8, 64, 64), np.complex128, kernel_size=3)
    assert "border" in reason((1, 1, 9), kernel_size=(3,), padding=((10**5, 0),))
    assert "1 to 3 axes" in reason((1, 1, 9, 9, 9, 9), kernel_size=3)
    wide = ft.Fold((10**6,), (3,)).describe((1, 3, 10**6 - 2))
    assert "a row needs" in dict(wide.rejected)["unfolding"]
