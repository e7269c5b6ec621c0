"""Convolutions inside pools and processes of every kind, each compared with what it must give."""

import asyncio
import json
import multiprocessing
import multiprocessing.pool
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

import faltung as ft

CALLS = 20
SECONDS = 30
DTYPES = ("float32", "float64", "int32", "complex64")


def data(seed):
    """Small whole numbers, so that every order of a sum gives the same."""
    rng = np.random.default_rng(seed)
    dtype = DTYPES[seed % len(DTYPES)]
    channels, size = int(rng.integers(1, 6)), int(rng.integers(20, 60))
    x = rng.integers(0, 5, (2, channels, size, size + 3)).astype(dtype)
    return x, rng.integers(0, 4, (6, channels, 3, 3)).astype(dtype)


def slices_sum(x, weight):
    """A 3×3 convolution without faltung."""
    height, width = x.shape[2] - 2, x.shape[3] - 2
    total = np.zeros((len(x), len(weight), height, width), x.dtype)
    for i, j in np.ndindex(3, 3):
        part = x[:, :, i : i + height, j : j + width]
        total += np.einsum("nchw,oc->nohw", part, weight[:, :, i, j]).astype(x.dtype)
    return total


def call(seed):
    """Whether one convolution is right, and how many threads it may use."""
    x, weight = data(seed)
    return bool(np.array_equal(ft.conv(x, weight), slices_sum(x, weight))), ft.get_num_threads()


def is_right():
    """Some convolutions in this process, from a thread too."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(call(seed)[0] for seed in range(2)))
    thread.start()
    found += [call(seed)[0] for seed in range(4)]
    thread.join()
    return len(found) == 6 and all(found)


async def to_threads():
    return await asyncio.gather(*[asyncio.to_thread(call, seed) for seed in range(CALLS)])


def by_threads():
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, range(CALLS)))


def by_pool_of_threads():
    with multiprocessing.pool.ThreadPool(4) as pool:
        return pool.map(call, range(CALLS))


def by_processes(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(call, range(CALLS))


def by_executor(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        return list(pool.map(call, range(CALLS)))


def pools():
    """Six kinds of pool; prints for each the set of (is right, threads)."""
    call(0)
    results = {
        "ThreadPoolExecutor": by_threads(),
        "ThreadPool": by_pool_of_threads(),
        "to_thread": asyncio.run(to_threads()),
        "Pool, fork": by_processes("fork"),
        "ProcessPoolExecutor, spawn": by_executor("spawn"),
        "ProcessPoolExecutor, forkserver": by_executor("forkserver"),
    }
    assert all(len(calls) == CALLS for calls in results.values())
    print(json.dumps({name: sorted(set(calls)) for name, calls in results.items()}))


def exit_with_right():
    os._exit(0 if is_right() else 1)


def exit_from_grandchild():
    process = multiprocessing.get_context("fork").Process(target=exit_with_right)
    process.start()
    process.join(SECONDS)
    os._exit(1 if process.exitcode else 0)


def child(method, target=exit_with_right):
    """Exit code of a process that computes, and whether it was in time."""
    process = multiprocessing.get_context(method).Process(target=target)
    began = time.monotonic()
    process.start()
    process.join(SECONDS)
    return process.exitcode, time.monotonic() - began < SECONDS


class Busy(threading.Thread):
    """Convolutions without a pause until the ``with`` statement ends."""

    def __init__(self):
        super().__init__()
        self.is_over, self.wrong = False, 0

    def run(self):
        x, weight = np.ones((1, 32, 200, 200), np.float32), np.ones((32, 32, 3, 3), np.float32)
        while not self.is_over:
            self.wrong += not (ft.conv(x, weight) == 288).all()

    def __enter__(self):
        self.start()
        time.sleep(0.01)
        return self

    def __exit__(self, *_reason):
        self.is_over = True
        self.join()
        assert not self.wrong


def starts():
    """Twelve starts of processes before, after and during convolutions of this one."""
    methods = ("fork", "spawn", "forkserver")
    found = {f"{method} before": child(method) for method in methods}
    assert is_right()
    found |= {f"{method} after": child(method) for method in methods}
    with Busy():
        found |= {f"{method} during": child(method) for method in methods}
        found["fork in a fork during"] = child("fork", exit_from_grandchild)
    found["fork in a fork after"] = child("fork", exit_from_grandchild)
    ft.set_num_threads(7)
    assert is_right()
    with Busy():
        found["fork during with seven threads"] = child("fork")
    assert is_right()
    print(json.dumps(found))
