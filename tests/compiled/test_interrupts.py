"""Ctrl-C in the middle of a convolution: 204 times, at random moments, on every kind of pool."""

import os

import pytest

from compiled_jobs import output_of
from faltung.compiled import _pool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals to a process")

TURNS = 17


@pytest.mark.skipif(not _pool.is_supported(), reason="needs Linux on x86")
def test_an_interrupt_comes_at_once_and_leaves_everything_usable():
    code = f"import interrupted_calls as calls; calls.main({TURNS}); print(len(calls.CASES))"
    count, cases = output_of(code, seconds=150).splitlines()
    assert int(count) == TURNS * int(cases) >= 200


FAKES = """
import threading, time
import numpy as np
import interrupted_calls as calls

def late(x, out):
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass
        raise

def swallowing(x, out):
    try:
        time.sleep(0.01)
    except KeyboardInterrupt:
        pass

def restless(x, out):
    def write():
        for _ in range(300):
            out[0] += 1
            time.sleep(0.001)
    threading.Thread(target=write, daemon=True).start()
    time.sleep(1)

calls.LOST_SECONDS = 0.1
for operator in (late, swallowing, restless):
    print(calls.interrupted_turn(operator, None, np.zeros(3), 0.02))
"""


def test_broken_promises_are_noticed():
    late, swallowing, restless = output_of(FAKES).splitlines()
    assert late.startswith("KeyboardInterrupt came after 0.")
    assert swallowing == "the interrupt was lost"
    assert restless == "out was written to after the exception"
