"""Convolutions that SIGINT interrupts at random times, and what has to hold each time.

Run in a process of its own: ``main(turns)`` prints one line for each promise that was not kept and
at last the number of interrupts.
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np

import faltung as ft
from faltung.compiled import parallel
from faltung.compiled._portable import PortablePool

MOST_SECONDS = 0.2
LOST_SECONDS = 2.0
QUIET_SECONDS = 0.006


def draw(shape, dtype):
    """Whole numbers, so that dtypes and algorithms agree."""
    return np.random.default_rng(1).integers(0, 4, shape).astype(dtype)


# Shape of x, dtypes of x and weight, shape of weight, threads, options. Each takes 20 ms or more.
CASES = {
    "float32": ((1, 64, 256, 256), "f4", "f4", (64, 64, 3, 3), 2, {}),
    "float32 on one thread": ((1, 64, 160, 160), "f4", "f4", (64, 64, 3, 3), 1, {}),
    "float64": ((1, 32, 256, 256), "f8", "f8", (48, 32, 3, 3), 2, {}),
    "int64": ((1, 16, 160, 160), "i8", "i8", (24, 16, 3, 3), 2, {}),
    "complex64": ((1, 16, 256, 256), "c8", "c8", (32, 16, 3, 3), 2, {}),
    "float16": ((2, 32, 200, 200), "f2", "f2", (40, 32, 3, 3), 2, {}),
    "uint8 with float32": ((1, 32, 300, 300), "u1", "f4", (40, 32, 3, 3), 2, {}),
    "three axes": ((1, 16, 24, 64, 64), "f4", "f4", (32, 16, 3, 3, 3), 2, {"padding": 1}),
    "sixteen threads": ((1, 64, 256, 256), "f4", "f4", (64, 64, 3, 3), 16, {}),
    "portable": ((1, 64, 256, 256), "f4", "f4", (64, 64, 3, 3), 2, {}),
    "stencil": ((1, 16, 128, 128), "f4", "f4", (32, 16, 3, 3), 2, {"algorithm": "stencil"}),
    "pointwise": ((1, 256, 128, 128), "f4", "f4", (256, 256, 1, 1), 2, {}),
}


def waits():
    """How many seconds each thread of this process has been ready and had no CPU."""
    found = {}
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):  # the thread has ended
            found[task.parent.name] = int(task.read_text().split()[1]) / 1e9
    return found


def longest_wait(before):
    """Seconds that one thread has had to wait for a CPU since `before`."""
    return max((wait - before.get(thread, wait) for thread, wait in waits().items()), default=0.0)


class Sender(threading.Thread):
    """Sends SIGINT to this process after some time."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.sent, self.waits = seconds, None, {}

    def run(self):
        time.sleep(self.seconds)
        self.waits = waits()
        self.sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    def is_lost(self):
        return self.sent is not None and time.perf_counter() - self.sent > LOST_SECONDS


def interrupted_turn(operator, x, out, seconds):
    """Call until the signal comes; what was wrong, or None."""
    sender = Sender(seconds)
    try:
        sender.start()
        while not sender.is_lost():
            operator(x, out=out)
        return "the interrupt was lost"
    except KeyboardInterrupt:
        took = time.perf_counter() - sender.sent
    if took > MOST_SECONDS:  # other processes may have had the cores
        took -= longest_wait(sender.waits)
    before = out.copy()
    time.sleep(QUIET_SECONDS)
    sender.join()
    if not np.array_equal(before, out):
        return "out was written to after the exception"
    return f"KeyboardInterrupt came after {took:.3f} s" if took > MOST_SECONDS else None


def use_pool(name, threads):
    """Calls run on this kind of pool, with so many threads."""
    if isinstance(parallel._pool, PortablePool) != (name == "portable"):
        parallel._retire_pool()
        parallel.is_supported = lambda: name != "portable"
    ft.set_num_threads(threads)


def main(turns):
    generator = np.random.default_rng(turns)
    count = 0
    for name, (shape, kind, weight_kind, taps, threads, options) in CASES.items():
        use_pool(name, threads)
        x, operator = draw(shape, kind), ft.Conv(draw(taps, weight_kind), **options)
        small = x[:1, :, -20:, -20:]
        out, expected = operator(x), operator(small)
        for _ in range(turns):
            fault = interrupted_turn(operator, x, out, generator.uniform(0.0, 0.03))
            if not fault and not np.array_equal(operator(small), expected):
                fault = "the next call gives other values"
            if fault:
                print(f"{name}: {fault}")
            count += 1
    print(count)
