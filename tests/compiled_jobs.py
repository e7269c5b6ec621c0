"""Jobs with known results, and fresh Python processes, for the tests of the compiled layer."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from faltung.compiled._atomics import add, get_mxcsr, load, set_mxcsr, store
from faltung.compiled._jit import job, kernel

TESTS = Path(__file__).parent

# One cache for all the processes of a test run, and not the user's.
if "FALTUNG_CACHE_DIR" not in os.environ:
    os.environ["FALTUNG_CACHE_DIR"] = tempfile.mkdtemp(prefix="faltung-tests-")
    atexit.register(shutil.rmtree, os.environ["FALTUNG_CACHE_DIR"], ignore_errors=True)


@job
def tally(thread, arguments, job):
    """Count the runs of each job, note its thread, and leave a value that depends on the job.

    Arguments: rounds of work, address of the table, of which each job has four words.
    """
    value = job
    for round in range(load(arguments)):
        value = value * 3 + (round ^ job)
    row = load(arguments + 8) + 32 * job
    add(row, 1)
    store(row + 8, thread)
    store(row + 16, value)


@job
def wait_for_flag(thread, arguments, job):
    """Say in the second word that a job has begun, then wait until the first is set."""
    add(arguments + 8, 1)
    while load(arguments) == 0:
        pass


@job
def multiply_denormals(thread, arguments, job):
    """Count the jobs in which a denormal product is flushed to zero."""
    if (job + 1.0) * 1e-300 * 1e-10 == 0.0:
        add(arguments, 1)
    for _ in range(20_000):
        load(arguments)


@kernel("intp(intp)")
def exchange_mxcsr(value):
    """Set the float mode of this thread; the mode as it was."""
    before = get_mxcsr()
    set_mxcsr(value)
    return before


class Tally:
    """The arguments of `tally` and the check of its results."""

    def __init__(self, jobs, rounds=0):
        self.jobs, self.rounds = jobs, rounds
        self.table = np.zeros((jobs + 1, 4), np.int64)
        self.arguments = np.array([rounds, self.table.ctypes.data], np.int64)

    def check(self, threads):
        """Every job ran once, on a thread that exists, with the value it must have."""
        runs, thread, value, rest = self.table.T
        assert runs[: self.jobs].tolist() == [1] * self.jobs
        assert runs[self.jobs] == rest.any() == 0
        assert thread.min() >= 0
        assert thread.max() < threads
        assert value[: self.jobs].tolist() == self.expected()

    def expected(self):
        values = np.arange(self.jobs, dtype=np.int64)
        numbers = values.copy()
        for round in range(self.rounds):
            values = values * 3 + (round ^ numbers)
        return values.tolist()


def run_python(code, *, seconds=60, **environment):
    """Run `code` in a new Python process; a value of None takes a variable away."""
    variables = {**os.environ, "PYTHONPATH": str(TESTS)}
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = str(value)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output_of(code, **environment):
    """What `code` prints in a process that ends well and says nothing else."""
    done = run_python(code, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()
