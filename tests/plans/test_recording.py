"""The record of algorithms: what ran, of this thread, in the block."""

import threading

import numpy as np

import faltung as ft
from faltung.plans._recording import recorded

X = np.ones((1, 1, 6, 8))


def test_every_call_is_noted_while_somebody_listens():
    for algorithm in ("direct", "stencil"):
        for _ in range(3):  # later calls would take the short way
            ft.conv(X, X[..., :3, :3], algorithm=algorithm)
        with recorded() as names:
            for _ in range(3):
                ft.conv(X, X[..., :3, :3], algorithm=algorithm)
            ft.max_pool(X, 2, return_indices=True, algorithm="stencil")
        assert names[:3] == [algorithm] * 3
        assert set(names[3:]) == {"stencil"}
    ft.conv(X, X[..., :3, :3])
    assert len(names) == 5


def test_what_the_planner_declined_for_its_data_is_not_what_is_noted():
    weight = np.full((1, 1, 3, 3), np.inf)
    with recorded() as names:
        ft.conv(np.ones((1, 1, 200, 200)), weight)
    assert names == ["stencil"]
    assert ft.Conv(weight).describe((1, 1, 200, 200)).algorithm != "stencil"


def test_other_threads_are_not_heard():
    with recorded() as names:
        thread = threading.Thread(target=ft.conv, args=(X, X[..., :3, :3]))
        thread.start()
        thread.join()
    assert names == []
