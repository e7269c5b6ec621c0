"""Without Numba, or with its compiler switched off: the same values, and one log line."""

import sys

import pytest

from compiled_jobs import run_python

SAMPLE = """
import sys
import numpy as np
import faltung as ft
from cases import draw_case
from faltung.operators.conv import textbook

wrong = []
for seed in range(40):
    case = draw_case(np.random.default_rng(seed))
    y = ft.conv(case.x, case.weight, case.bias, **case.parameters)
    wide = {"c": np.complex128, "f": np.float64}.get(y.dtype.kind, np.int64)
    arrays = [None if a is None else a.astype(wide) for a in (case.x, case.weight, case.bias)]
    exact = textbook(*arrays, **{"padding_value": 0, **case.parameters})
    wrong += [] if np.array_equal(y, exact.astype(y.dtype)) else [seed]
x, weight = np.ones((1, 16, 60, 60), np.float32), np.ones((8, 16, 3, 3), np.float32)
assert (ft.conv(x, weight) == 144).all()
assert ft.Conv(weight).describe(x.shape).algorithm != "direct"
assert (ft.max_pool(x, 2) == 1).all()
try:
    ft.conv(x, weight, algorithm="direct")
except ft.OptionError as error:
    print("Numba" in str(error) or "NUMBA" in str(error))
print(wrong)
"""


@pytest.mark.parametrize("way", ["numba", "llvmlite", "switched off"])
def test_a_sample_of_convolutions(way):
    is_missing = way != "switched off"
    code = f"import sys; sys.modules[{way!r}] = None\n" if is_missing else ""
    done = run_python(code + SAMPLE, NUMBA_DISABLE_JIT=None if is_missing else 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "[]"]
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("compiled kernels are off")


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_MDWE is Linux's")
def test_a_process_that_may_not_make_memory_executable():
    """As services under systemd's MemoryDenyWriteExecute, and hardened kernels."""
    deny = """
import ctypes, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
"""
    done = run_python(deny + SAMPLE.replace('"Numba" in', '"executable" in'))
    if done.returncode == 77:
        pytest.skip("needs a kernel that knows PR_SET_MDWE")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "[]"]
    assert done.stderr.count("\n") == 1
