"""The compiled plans of the family at every CPU level: right, and no byte beyond the arrays."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.compiled import _jit, machine

SCRIPT = Path(__file__).resolve().parent.parent / "guarded_calls.py"
FUNCTIONS = {"conv_transpose", "involution", "local_conv", "resize", "unfold", "fold"}
BEYOND = """
import numpy as np
from guarded_calls import guarded
from faltung.compiled.interpolation import AxisTable, run_copy
one = AxisTable(1, 1, np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32))
far = AxisTable(4, 1, np.full((1, 1), {cell}), np.ones((1, 1), np.float32))
x, y = guarded(np.ones((1, 1, 4), np.float32), True), np.zeros((1, 1, 1), np.float32)
run_copy((one, one, far), x, y)
print(y)
"""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="mprotect"),
    pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here"),
]


def run(arguments, **environment):
    variables = {**os.environ, "PYTHONPATH": str(SCRIPT.parent), **environment}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("level", ["generic", "avx2", "avx512"])
def test_no_byte_outside_is_touched(level):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    done = run([str(SCRIPT), "0", "40"], FALTUNG_MAX_ISA=level)
    assert done.returncode == 0, done.stderr[-2000:]
    made = ast.literal_eval(done.stdout)
    assert made.keys() == FUNCTIONS
    assert min(made.values()) >= 8, made


def test_the_guard_pages_bite():
    assert run(["-c", BEYOND.format(cell=3)]).returncode == 0
    assert run(["-c", BEYOND.format(cell=4)]).returncode < 0
