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
while "numba" not in sys.modules:
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


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        PREPARE
        + """
def work(number):
    call()
    return parallel.get_num_threads()

if __name__ == "__main__":
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    call()
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        print(sorted(set(pool.map(work, range(20)))))
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(sorted(set(pool.map(work, range(20)))))
    process = context.Process(target=work, args=(0,))
    process.start()
    process.join(30)
    print(process.exitcode)
    call()
"""
    )
    run = f"""
import runpy, sys
sys.argv = ["script.py", {method!r}]
runpy.run_path({str(script)!r}, run_name="__main__")
"""
    if method != "fork":  # the children import the script by its path
        run = f"""
import subprocess, sys
sys.exit(subprocess.run([sys.executable, {str(script)!r}, {method!r}]).returncode)
"""
    assert output_of(run, FALTUNG_NUM_THREADS=2).split("\n") == ["[1]", "[1]", "0"]


SITUATIONS = {
    "never used": "pass",
    "idle": "call()",
    "asleep": "call(); time.sleep(0.1)",
    "busy in a daemon thread": "call(); threading.Thread(target=long_call, args=(9,), "
    "daemon=True).start(); time.sleep(0.05)",
    "busy in an ordinary thread": "call(); threading.Thread(target=long_call, args=(0.1,)).start()",
    "busy in many daemon threads": "call(); [threading.Thread(target=long_call, args=(9,), "
    "daemon=True).start() for _ in range(4)]; time.sleep(0.05)",
    "after a fork": "call(); fork(call)",
    "in a forked child": "call(); os.fork() or call()",
    "started and left at once": "threading.Thread(target=call, daemon=True).start()",
}


@pytest.mark.parametrize("situation", ["asleep", "busy in many daemon threads"])
def test_exit_is_clean(situation):
    code = f"{PREPARE}\n{SITUATIONS[situation]}"
    assert output_of(code, FALTUNG_NUM_THREADS=2, seconds=20) == ""


def test_exit_of_forked_children_is_clean():
    """Each child leaves through the interpreter's ordinary end, which is quicker to try often."""
    code = """
call()
for situation in SITUATIONS * 2:
    process = os.fork()
    if process == 0:
        exec(situation)
        sys.exit(21)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 21, situation
""".replace("SITUATIONS", repr(list(SITUATIONS.values())))
    assert output_of(PREPARE + code, FALTUNG_NUM_THREADS=2, seconds=50) == ""


def test_sys_exit_code_is_kept():
    assert run_python(PREPARE + "call(); sys.exit(5)").returncode == 5


INTERRUPTS = """
generator = np.random.default_rng(SEED)
delays = []
def interrupt(after):
    time.sleep(after)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)
call()
for turn in range(20):
    sent, jobs = [], 2000
    work = Tally(jobs, 4_000_000)
    sender = threading.Thread(target=interrupt, args=(generator.uniform(0.0, 0.08),))
    try:
        sender.start()
        parallel.run(tally, work.arguments, jobs, THREADS)
        print("no interrupt")
    except KeyboardInterrupt:
        delays.append(time.perf_counter() - sent[0])
    after = work.table.copy()
    time.sleep(0.03)
    if not np.array_equal(after, work.table):
        print("written after the exception")
    if after[:, 0].max() > 1 or after[:, 0].sum() == jobs:
        print("not the jobs of an interrupted call", after[:, 0].sum())
    sender.join()
    call()
delays.sort()
print(len(delays), delays[17] < 0.2, delays[-1] < 1.0)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c(threads):
    code = INTERRUPTS.replace("SEED", str(threads)).replace("THREADS", str(threads))
    assert output_of(PREPARE + code, FALTUNG_NUM_THREADS=2) == "20 True True"


def test_ctrl_c_on_the_portable_pool():
    code = INTERRUPTS.replace("SEED", "3").replace("THREADS", "2")
    portable = "parallel.is_supported = lambda: False\n"
    assert output_of(PREPARE + portable + code) == "20 True True"


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
