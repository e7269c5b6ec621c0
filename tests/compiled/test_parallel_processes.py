"""The thread pool and the process around it: fork, spawn, exit and Ctrl-C."""

import os

import pytest

from compiled_jobs import output_of, run_python
from faltung.compiled import _pool

pytestmark = pytest.mark.skipif(not _pool.is_supported(), reason="needs Linux on x86")

PREPARE = """
import os, signal, sys, threading, time
import numpy as np
from compiled_jobs import Tally, tally
from faltung.compiled import parallel

def call(jobs=50, rounds=100):
    work = Tally(jobs, rounds)
    parallel.run(tally, work.arguments, jobs, 2)
    work.check(2)

def long_call(seconds, results=None):
    # Jobs of about 5 ms.
    jobs = max(2, int(400 * seconds))
    work = Tally(jobs, 4_000_000)
    parallel.run(tally, work.arguments, jobs, 2)
    if results is not None:
        results.append(work.table[:, 0].tolist() == [1] * jobs + [0])

def fork(child):
    process = os.fork()
    if process == 0:
        try:
            child()
            os._exit(17)
        finally:
            os._exit(1)
    status = os.waitpid(process, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 17, status
"""


def test_fork_before_after_and_during_a_call():
    code = """
for _ in range(3):
    fork(call)                # before the first call of the parent
call()
for _ in range(3):
    fork(call)                # with idle workers
    call()
results = []
for _ in range(3):            # with workers in the middle of a job
    thread = threading.Thread(target=long_call, args=(0.15, results))
    thread.start()
    time.sleep(0.05)
    fork(call)
    fork(lambda: fork(call))
    thread.join()
    call()
print(results, parallel.get_num_threads())
"""
    assert output_of(PREPARE + code, FALTUNG_NUM_THREADS=2) == f"{[True] * 3} 2"


def test_fork_while_others_load_and_compile(tmp_path):
    code = """
from compiled_jobs import multiply_denormals
other = threading.Thread(target=call)
other.start()
while "llvmlite" not in sys.modules:
    time.sleep(0.001)
fork(call)                    # in the middle of an import
while parallel._pool is None and other.is_alive():
    fork(lambda: (multiply_denormals.address, call()))
    time.sleep(0.2)
other.join()
call()
print("right")
"""
    assert output_of(PREPARE + code, FALTUNG_CACHE_DIR=tmp_path) == "right"


def test_sys_exit_code_is_kept():
    assert run_python(PREPARE + "call(); sys.exit(5)").returncode == 5


def test_an_interrupted_call_runs_no_job_twice_and_none_later():
    """Times and convolutions are in test_interrupts.py; here every job is counted."""
    code = """
generator = np.random.default_rng(1)
call()
for turn in range(10):
    jobs = 2000
    work = Tally(jobs, 4_000_000)
    delay = generator.uniform(0.0, 0.04)
    sender = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        sender.start()
        parallel.run(tally, work.arguments, jobs, 2)
        print("no interrupt")
    except KeyboardInterrupt:
        after = work.table.copy()
    time.sleep(0.02)
    if not np.array_equal(after, work.table):
        print("written after the exception")
    if after[:, 0].max() > 1 or after[:, 0].sum() == jobs:
        print("not the jobs of an interrupted call", after[:, 0].sum())
    sender.join()
    call()
"""
    assert output_of(PREPARE + code, FALTUNG_NUM_THREADS=2) == ""


def test_ctrl_c_twice_in_a_row():
    code = """
call()
def interrupt():
    time.sleep(0.05)
    for _ in range(20):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.002)
for turn in range(3):
    sender = threading.Thread(target=interrupt)
    sender.start()
    caught = 0
    while sender.is_alive():
        try:
            long_call(2)
        except KeyboardInterrupt:
            caught += 1
    sender.join()
    assert caught
    call()
print(parallel._pool._block[0])
"""
    assert output_of(PREPARE + code, FALTUNG_NUM_THREADS=2) == "0"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_more_threads_than_cores_is_right_if_slow():
    code = """
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
call()
parallel.set_num_threads(16)
for _ in range(100):
    call()
    work = Tally(64, 10)
    parallel.run(tally, work.arguments, 64)
    work.check(16)
print("right")
"""
    assert output_of(PREPARE + code) == "right"
