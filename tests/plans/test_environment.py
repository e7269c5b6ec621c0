"""Denormal numbers survive a flush-to-zero that another library has switched on."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from faltung.plans import _environment

CODE = """
import ctypes
import numpy as np
import faltung as ft

tiny = np.float32(1e-42)
x = np.full((1, 1, 2, 3), tiny)
libm = ctypes.CDLL("libm.so.6")
environment = (ctypes.c_uint32 * 16)()
libm.fegetenv(environment)
environment[7] |= 0x8040  # MXCSR: flush to zero, denormals are zero
libm.fesetenv(environment)
assert np.float32(1e-42) * np.float32(1.0) == 0, "the processor does not flush"
for name in ("stencil", "direct"):
    y = ft.conv2d(x, np.ones((1, 1, 1, 2), np.float32), algorithm=name)
    bits = y.view(np.uint32)
    assert (bits == (2 * tiny.view(np.uint32))).all(), (name, bits)
assert np.float32(1e-42) * np.float32(1.0) == 0, "the environment was not put back"
print("kept")
"""


@pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux", reason="sets MXCSR through glibc"
)
def test_flush_to_zero_of_others_is_left_aside():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "kept", done.stderr


def test_a_quiet_call_hides_warnings_from_everybody_and_only_meanwhile():
    seen, infinite = [], np.array([np.inf])

    def subtract():
        seen.append(infinite - infinite)

    with np.errstate(all="raise"):
        _environment.quietly(subtract)
        _environment.quietly(_environment.quietly, subtract)  # as a signal's handler may
        with pytest.raises(FloatingPointError):
            subtract()
    assert len(seen) == 2
    assert np.isnan(seen).all()


def test_what_a_quiet_call_raises_comes_through():
    def fail():
        raise MemoryError("words")

    for _ in range(2):
        with pytest.raises(MemoryError, match="words"):
            _environment.quietly(fail)
