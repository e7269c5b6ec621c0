"""A user's compiled function of every row: all rows in slices, and Ctrl-C between them."""

import os
import signal
import threading
import time

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import rows as module
from faltung.compiled._jit import available
from faltung.compiled.rows import row_function


def slow_sum(values):
    total = 0.0
    for _ in range(20_000):
        for value in values:
            total = total * 0.5 + value
    return total


def first_and_last(values):
    return values[0] * 1000 + values[-1]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_every_row_is_done_once(count):
    rows = np.arange(3.0 * count).reshape(count, 3)
    expected = [first_and_last(row) for row in rows]
    assert row_function(first_and_last)(rows).tolist() == expected


@pytest.mark.parametrize("seconds", [(0.0, 0.0), (10.0, 20.0), (1e-6, 1e-6)])
def test_slices_of_any_length_give_the_same(monkeypatch, seconds):
    monkeypatch.setattr(module, "SHORT", seconds[0])
    monkeypatch.setattr(module, "LONG", seconds[1])
    rows = np.random.default_rng(0).standard_normal((777, 5))
    expected = [first_and_last(row) for row in rows]
    assert row_function(first_and_last)(rows).tolist() == expected


@pytest.mark.skipif(os.name != "posix", reason="needs signals to a process")
@pytest.mark.skipif(not available(), reason="nothing is compiled here")
def test_a_long_function_is_interrupted_at_once():
    x = np.ones((1, 1, 200, 200), np.float32)
    ft.window_reduce(x[..., :9, :9], (8, 8), slow_sum)  # compiled now
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    waits = []
    for delay in (0.2, 0.31, 0.43):
        timer = threading.Timer(delay, interrupt)
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                ft.window_reduce(x, (8, 8), slow_sum)
            waits.append(time.perf_counter() - sent[-1])
        finally:
            timer.cancel()
            timer.join()
    # Other processes may hold the core: one of three is quick.
    assert min(waits) < 0.2
