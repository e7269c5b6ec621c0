"""Requests that cannot fit: refused at once, with the number of bytes, and nothing allocated."""

import math
import re
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

import faltung as ft
from direct_sums import direct_sum

SMALL = np.ones((1, 1, 8), np.uint8)
PLANE = np.ones((1, 1, 8, 8), np.float32)
CELL = np.float32(1)
TAPS = np.ones((1, 1, 3), np.uint8)
KERNEL = np.ones((1, 1, 3, 3), np.float32)


def view(*shape):
    """One cell in memory, any shape to see."""
    return np.broadcast_to(CELL, shape)


def requests():
    """(what is called, bytes of the result)."""
    for exponent in (12, 13, 15, 17):
        n = 10**exponent
        yield lambda n=n: ft.pad(SMALL, n), 8 + 2 * n
        yield lambda n=n: ft.conv(SMALL, TAPS, padding=n), 6 + 2 * n
    for side in (10**6, 10**7, 10**8):
        yield lambda side=side: ft.pad(PLANE, side, "reflect"), 4 * (8 + 2 * side) ** 2
        yield lambda side=side: ft.conv(PLANE, KERNEL, padding=side), 4 * (6 + 2 * side) ** 2
    yield lambda: ft.pad(PLANE, ((10**9, 0), (0, 10**9)), "wrap"), 4 * (8 + 10**9) ** 2
    yield lambda: ft.conv(PLANE, KERNEL, padding=((0, 10**12), (1, 1))), 4 * (6 + 10**12) * 8
    taps = view(1, 1, 3)
    yield lambda: ft.conv(view(10**12, 1, 8), taps), 4 * 10**12 * 6
    yield lambda: ft.conv(view(10**9, 1, 10**6), taps), 4 * 10**9 * (10**6 - 2)
    yield lambda: ft.conv(view(1, 1, 10**15), taps, stride=2), 4 * ((10**15 - 3) // 2 + 1)
    yield lambda: ft.conv(view(1, 1, 10**6), view(10**7, 1, 3)), 4 * 10**7 * (10**6 - 2)
    yield lambda: ft.pad(view(10**13, 1, 8), 1), 4 * 10**13 * 10
    yield lambda: ft.conv(view(10**6, 10**6), view(10**6, 10**6, 1)), 4 * 10**12
    yield lambda: ft.Conv(TAPS, padding=10**17)(SMALL), 6 + 2 * 10**17
    yield lambda: ft.Pad(((10**16, 0),))(SMALL), 8 + 10**16
    yield lambda: ft.conv(SMALL, TAPS, padding="full", dilation=10**12), 8 + 2 * 10**12
    yield lambda: ft.pad(SMALL, 10**14, dtype=np.complex128), 16 * (8 + 2 * 10**14)


REQUESTS = list(requests())


def resident():
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a kernel file
        return int(file.read().split()[1]) * 4096


def numbers_in(text):
    return [int(re.sub("[,_]", "", number)) for number in re.findall(r"\d[\d,_]*", text)]


@pytest.fixture(autouse=True)
def _no_limit():
    yield
    ft.set_memory_limit(None)


def refused(call):
    began = time.perf_counter()
    with pytest.raises(ft.ResourceError) as caught:
        call()
    return caught, time.perf_counter() - began


@pytest.mark.parametrize(("call", "size"), REQUESTS, ids=[f"{size:.0e}" for _, size in REQUESTS])
def test_request_is_refused_with_its_bytes(call, size):
    assert size >= 10**12
    caught, took = refused(call)
    if 0.01 <= took < 0.1:  # once more: another process may have had the core
        caught, took = refused(call)
    assert took < 0.01
    assert isinstance(caught.value, MemoryError)
    assert any(size <= number <= 2 * size for number in numbers_in(str(caught.value))), caught.value
    assert str(caught.value).count("\n") <= 2


def test_refusal_loads_no_compiler():
    """The first refusal of a process is as quick as any: sizes are checked before plans."""
    script = (
        "import sys, time, numpy as np, faltung as ft\n"
        "x, weight = (np.broadcast_to(np.float32(1), s) for s in ((10**12, 1, 8), (1, 1, 3)))\n"
        "ft.conv(x[:1], weight)\n"
        "try:\n"
        "    ft.conv(x, weight)\n"
        "except ft.ResourceError:\n"
        "    print('numba' in sys.modules)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert output.split() == ["False"]


def test_there_are_enough_requests():
    assert len(REQUESTS) >= 20
    assert max(size for _, size in REQUESTS) >= 10**17


def test_refusals_take_no_memory():
    before = resident()
    tracemalloc.start()
    try:
        for _ in range(5):
            for call, _ in REQUESTS:
                with pytest.raises(ft.ResourceError):
                    call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20
    assert resident() - before < 20 * 2**20


@pytest.mark.parametrize("exponent", [18, 19, 25, 40])
def test_sizes_beyond_every_address(exponent):
    """Products of sizes are checked in Python's integers: no overflow, no wrapped allocation."""
    n = 10**exponent
    calls = [
        lambda: ft.pad(SMALL, n),
        lambda: ft.conv(SMALL, TAPS, padding=n),
        lambda: ft.pad(np.ones((1, 1, 8, 8, 8)), n),
        lambda: ft.conv(SMALL, TAPS, padding="full", dilation=n),
    ]
    for call in calls:
        with pytest.raises((ft.ResourceError, ft.WindowError)):
            call()


def test_product_that_wraps_to_something_small():
    """2^32 · 2^32 is 0 in 64 bits."""
    side = 2**32 - 8
    with pytest.raises(ft.ResourceError):
        ft.pad(np.ones((1, 1, 8, 8), np.uint8), ((side, 0), (side, 0)))
    with pytest.raises(ft.ResourceError):
        ft.conv(np.broadcast_to(np.uint8(1), (2**32, 1, 1)), TAPS[..., :1], padding=2**31)


def test_failed_allocations_are_resource_errors():
    """A limit beyond the machine does not let NumPy's own MemoryError through."""
    ft.set_memory_limit(2**62)
    for call in (lambda: ft.pad(SMALL, 10**17), lambda: ft.conv(SMALL, TAPS, padding=10**17)):
        with pytest.raises(ft.ResourceError):
            call()


def widened(mebibytes):
    """Padding and dtype of a complex128 result of four cells and so many mebibytes."""
    return {"padding": ((0, mebibytes * 2**16),), "dtype": np.complex128}


def test_limit_is_kept():
    x, weight = np.ones((1, 1, 4), np.uint8), np.ones((1, 1, 1), np.uint8)
    ft.set_memory_limit(300 * 2**20)
    for call in (
        lambda: ft.pad(x, ((0, 310 * 2**20),)),
        lambda: ft.conv(x, weight, padding=((0, 310 * 2**20),)),
        lambda: ft.pad(x, **widened(301)),
        lambda: ft.conv(x, weight, **widened(301)),
        lambda: ft.Pad(((0, 310 * 2**20),))(x),
    ):
        with pytest.raises(ft.ResourceError, match="limit") as caught:
            call()
        assert 300 * 2**20 in numbers_in(str(caught.value))
    ft.set_memory_limit(None)
    assert ft.pad(x, **widened(301)).nbytes == 301 * 2**20 + 64


def test_limit_starts_at_a_quarter_gibibyte():
    """Requests to 256 MiB pass under any limit; only what is above is weighed."""
    x = np.ones((1, 1, 4), np.uint8)
    ft.set_memory_limit(1)
    assert ft.pad(x, 1000).shape == (1, 1, 2004)
    assert ft.conv(x, TAPS).shape == (1, 1, 2)
    assert ft.pad(x, **widened(250)).nbytes == 250 * 2**20 + 64
    with pytest.raises(ft.ResourceError):
        ft.pad(x, **widened(256))


def test_out_needs_no_memory():
    """With `out` given the result is there already; the same call without it is refused."""
    big = np.ones((1, 1, 270 * 2**16 + 4), np.complex128)
    ft.set_memory_limit(2**28)
    x = np.ones((1, 1, 4), np.uint8)
    with pytest.raises(ft.ResourceError):
        ft.pad(x, **widened(270))
    assert ft.pad(x, **widened(270), out=big) is big
    assert big[0, 0, :6].tolist() == [1, 1, 1, 1, 0, 0]


def test_refusal_leaves_out_alone():
    out = np.full((1, 1, 8), 5, np.uint8)
    with pytest.raises(ft.FaltungError):
        ft.pad(SMALL, 10**15, out=out)
    assert (out == 5).all()


def test_settings_hold_in_every_thread():
    ft.set_memory_limit(300 * 2**20)
    errors = []

    def work():
        try:
            ft.pad(np.ones((1, 1, 4), np.uint8), ((0, 310 * 2**20),))
        except ft.ResourceError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(errors) == 1


STRIDED = [
    ((1, 4, 3000, 3000), (4, 4, 3, 3), {"stride": 1000}, np.float32),
    ((1, 1, 6000, 6000), (1, 1, 2, 2), {"stride": 2999}, np.float16),
    ((1, 1, 4000, 4000), (1, 1, 2, 2), {"dilation": 3990, "padding": 1}, np.float32),
    ((2, 3, 200, 200, 200), (1, 3, 2, 2, 2), {"stride": 99}, np.int8),
]


@pytest.mark.parametrize("algorithm", [None, "direct", "stencil"])
@pytest.mark.parametrize(("shape", "taps", "options", "dtype"), STRIDED, ids=range(len(STRIDED)))
def test_workspace_does_not_follow_the_reach_of_the_window(shape, taps, options, dtype, algorithm):
    """Few outputs far apart: at most 16 MiB a thread, not the cells between them."""
    x, weight = np.broadcast_to(dtype(1), shape), np.ones(taps, dtype)
    operator = ft.Conv(weight, **options, algorithm=algorithm)
    try:
        operator(x)  # what is compiled and cached does not count
    except ft.OptionError:
        pytest.skip("the algorithm does not do this")
    tracemalloc.start()
    try:
        y = operator(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert y.flat[-1] == 1 if "padding" in options else math.prod(taps[1:])
    assert peak < 16 * 2**20 * ft.get_num_threads() + y.nbytes + weight.nbytes


HUGE_VIEWS = [
    ((1, 1, 10**6, 10**6), (1, 1, 3, 3), {"stride": 10**5}),
    ((1, 1, 10**12), (1, 1, 3), {"stride": 10**11, "dilation": 1000}),
    ((1, 1, 10**12), (2, 1, 3), {"stride": 10**11, "padding": 5, "padding_mode": "reflect"}),
    ((1, 2, 10**4, 10**4, 10**4), (1, 2, 2, 2, 2), {"stride": 2500}),
    ((1, 1, 10**12), (1, 1, 3), {"dilation": 5 * 10**11 - 2}),
]


@pytest.mark.parametrize(("shape", "taps", "options"), HUGE_VIEWS, ids=range(len(HUGE_VIEWS)))
def test_small_outputs_of_huge_views_are_computed(shape, taps, options):
    """10^12 cells of a broadcast view: read where the windows are, never copied."""
    x, weight = view(*shape), np.ones(taps, np.float32)
    operator = ft.Conv(weight, **options)
    before = resident()
    began = time.perf_counter()
    y = ft.conv(x, weight, **options)
    assert time.perf_counter() - began < 5
    assert resident() - before < 300 * 2**20
    assert y.shape == operator.output_shape(shape)
    assert y.flat[y.size // 2] == math.prod(taps[1:])
    assert np.array_equal(operator(x), y)


def test_windows_of_huge_views():
    y = ft.windows(view(10**5, 10, 10**4, 10**4), 3, stride=2, dilation=2)
    assert y.shape == (10**5, 10, 4998, 4998, 3, 3)
    assert y[-1, -1, -1, -1, -1, -1] == 1


def test_describe_needs_no_memory():
    """Costs of what could never run."""
    report = ft.Conv(KERNEL, padding=1).describe((10**9, 1, 10**9, 10**9))
    assert report.output_shape == (10**9, 1, 10**9, 10**9)
    assert report.macs == 9 * 10**27
    assert ft.Pad(((10**18 // 4, 0),)).output_shape((1, 1, 5)) == (1, 1, 10**18 // 4 + 5)


def test_long_padding_of_a_short_axis_is_right():
    """A border many times longer than the array, still small."""
    x, weight = np.arange(3, dtype=np.int64).reshape(1, 1, 3), np.array([[[1, 2]]])
    for mode in ("zeros", "reflect", "symmetric", "wrap", "edge"):
        y = ft.conv(x, weight, padding=200, padding_mode=mode)
        assert np.array_equal(y, direct_sum(x, weight, padding=200, mode=mode))
