"""The thread pool: every job once, whoever calls, however many threads there are."""

import asyncio
import logging
import multiprocessing.pool
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from compiled_jobs import (
    Tally,
    exchange_mxcsr,
    multiply_denormals,
    output_of,
    run_python,
    tally,
    wait_for_flag,
)
from faltung.compiled import _log, _pool, parallel
from faltung.compiled._atomics import call_job
from faltung.compiled._jit import kernel
from faltung.errors import OptionError


@kernel("void(intp, intp[::1])")
def _call_directly(address, arguments):
    call_job(address, 0, arguments.ctypes.data, 0)


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch):
    monkeypatch.setattr(parallel, "_threads", 2)


@pytest.fixture(params=["native", "portable"])
def pool(request, monkeypatch):
    """Run on the pool that this machine has, and on the one that every machine has."""
    if request.param == "portable":
        monkeypatch.setattr(parallel, "is_supported", lambda: False)
        monkeypatch.setattr(parallel, "_pool", None)
    elif not _pool.is_supported():
        pytest.skip("needs Linux on x86")
    yield request.param
    if request.param == "portable" and parallel._pool is not None:
        parallel._pool.stop(1.0)


def call(jobs, threads, rounds=0):
    work = Tally(jobs, rounds)
    parallel.run(tally, work.arguments, jobs, threads)
    work.check(threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 16])
def test_every_job_runs_once_at_any_number_of_threads(pool, threads):
    numbers = np.random.default_rng(threads).integers(2, 200, 50)
    for jobs in [0, 1, 2, 3, *numbers.tolist()]:
        call(jobs, threads, rounds=jobs % 40)


def test_a_check_that_can_fail():
    work = Tally(3)
    parallel.run(tally, work.arguments, 3)
    parallel.run(tally, work.arguments, 1)
    with pytest.raises(AssertionError):
        work.check(2)


def test_many_python_threads_call_at_once(pool):
    failures = []

    def caller(seed):
        numbers = np.random.default_rng(seed).integers(1, 60, (100, 2))
        try:
            for jobs, rounds in numbers.tolist():
                call(jobs, 2, rounds * 10)
        except BaseException as error:
            failures.append(error)
            raise

    callers = [threading.Thread(target=caller, args=(seed,), daemon=True) for seed in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(60)
    assert not any(thread.is_alive() for thread in callers)
    assert not failures


def test_the_first_call_may_come_from_all_threads_at_once(tmp_path):
    code = """
import threading
from compiled_jobs import Tally, tally
from faltung.compiled import parallel
start, right = threading.Barrier(8), []
def caller():
    work = Tally(20)
    start.wait()
    parallel.run(tally, work.arguments, 20)
    work.check(2)
    right.append(True)
threads = [threading.Thread(target=caller) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(right))
"""
    assert output_of(code, FALTUNG_CACHE_DIR=tmp_path, FALTUNG_NUM_THREADS=2) == "8"


def test_both_threads_work(pool):
    arguments = np.zeros(2, np.int64)

    def release():
        while arguments[1] < 2:  # two jobs are waiting at once, so there are two threads
            time.sleep(0.001)
        arguments[0] = 1

    helper = threading.Thread(target=release)
    helper.start()
    parallel.run(wait_for_flag, arguments, 2)
    helper.join()
    assert arguments[1] == 2


def test_a_busy_pool_makes_nobody_wait(pool):
    arguments = np.zeros(2, np.int64)
    holder = threading.Thread(target=parallel.run, args=(wait_for_flag, arguments, 2))
    holder.start()
    while arguments[1] == 0:
        time.sleep(0.001)
    for _ in range(20):
        call(10, 2)
    assert holder.is_alive()
    arguments[0] = 1
    holder.join()
    call(10, 2)


def test_small_work_never_touches_the_pool(monkeypatch):
    monkeypatch.setattr(parallel, "_pool", None)
    monkeypatch.setattr(parallel, "_make_pool", lambda: pytest.fail("the pool was touched"))
    call(1, 16)
    call(20, 1)
    with pytest.raises(pytest.fail.Exception):
        call(2, 2)


def call_and_count(jobs=20):
    call(jobs, parallel.get_num_threads())
    return parallel.get_num_threads()


def test_one_thread_inside_pools_of_threads():
    with ThreadPoolExecutor(4) as executor:
        assert set(executor.map(lambda _: call_and_count(), range(20))) == {1}
    with multiprocessing.pool.ThreadPool(4) as threads:
        assert set(threads.map(lambda _: call_and_count(), range(20))) == {1}

    async def gather():
        return await asyncio.gather(*[asyncio.to_thread(call_and_count) for _ in range(20)])

    assert set(asyncio.run(gather())) == {1}
    assert parallel.get_num_threads() == 2


def test_a_thread_of_its_own_is_not_a_pool():
    counts = []
    thread = threading.Thread(target=lambda: counts.append(call_and_count()))
    thread.start()
    thread.join()
    assert counts == [2]


@pytest.mark.skipif(not _pool.is_supported(), reason="needs Linux on x86")
def test_idle_workers_sleep():
    call(20, 2)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.03


@pytest.mark.skipif(not _pool.is_supported(), reason="needs x86")
def test_flush_to_zero_set_by_others_stays_theirs(monkeypatch):
    monkeypatch.setattr(parallel, "_pool", _pool.Pool())  # its workers inherit the caller's mode
    flushed = np.zeros(1, np.int64)
    before = exchange_mxcsr(0x9FC0)
    try:
        for threads in [1, 2, 16]:
            parallel.run(multiply_denormals, flushed, 64, threads)
        during = exchange_mxcsr(before)
    finally:
        exchange_mxcsr(before)
        parallel._pool.stop(1.0)
    assert during & 0x8040 == 0x8040
    assert flushed[0] == 0


@pytest.mark.skipif(not _pool.is_supported(), reason="needs x86")
def test_that_flush_to_zero_would_be_seen():
    flushed, before = np.zeros(1, np.int64), exchange_mxcsr(0x9FC0)
    try:
        _call_directly(multiply_denormals.address, flushed)
    finally:
        exchange_mxcsr(before)
    assert flushed[0] == 1


@pytest.mark.skipif(not _pool.is_supported(), reason="needs Linux on x86")
def test_fewer_threads_send_workers_home(monkeypatch):
    monkeypatch.setattr(parallel, "_pool", None)
    parallel.set_num_threads(16)
    call(64, 16)
    workers = parallel._pool._workers
    assert len(workers) == 15
    arguments = np.zeros(2, np.int64)
    holder = threading.Thread(target=parallel.run, args=(wait_for_flag, arguments, 60))
    holder.start()
    while arguments[1] == 0:
        time.sleep(0.001)
    parallel.set_num_threads(2)
    call(64, 2)
    assert len(parallel._pool._workers) == 1
    arguments[0] = 1
    for thread in [holder, *workers]:
        thread.join(10)
        assert not thread.is_alive()
    assert arguments[1] == 60
    parallel._pool.stop(1.0)


def test_threads_that_cannot_start_are_done_without(monkeypatch, caplog):
    monkeypatch.setattr(_log, "_said", {})
    original, started = threading.Thread.start, []

    def start(thread):
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        original(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    pool = _pool.Pool()
    monkeypatch.setattr(parallel, "_pool", pool)
    for _ in range(3):
        call(40, 7)
    assert len(pool._workers) == 1
    assert [record.message for record in caplog.records] == [
        "going on with 2 threads: can't start new thread"
    ]
    pool.stop(1.0)
    assert not pool._workers[0].is_alive()


def test_the_portable_pool_without_new_threads(monkeypatch, caplog):
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setattr(parallel, "is_supported", lambda: False)
    monkeypatch.setattr(parallel, "_pool", None)

    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        call(40, 7)
        call(40, 7)
    assert len(caplog.records) == 1
    parallel._pool.stop(1.0)


@pytest.mark.parametrize("start", ["sys.modules['numba'] = None", "pass"])
def test_without_numba_jobs_run_in_python(start):
    code = f"""
import os, sys
{start}
from compiled_jobs import Tally, tally
from faltung.compiled import _jit, parallel
for _ in range(3):
    work = Tally(20, 5)
    parallel.run(tally, work.arguments, 20)
    work.check(1)
print(_jit.available(), tally.address, bool(_jit.unavailable_reason()))
"""
    disabled = 1 if start == "pass" else None
    done = run_python(code, NUMBA_DISABLE_JIT=disabled)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False 0 True"
    assert len(done.stderr.splitlines()) == 1


def test_the_pool_can_be_followed_in_python():
    """The same source runs without compilation, alone: a call, a stranger's call, and an end."""
    pool, work = _pool.Pool(), Tally(5)
    control, address = pool._control, tally.address
    assert _pool._advance.python(control, 7, address, work.arguments, 5, 2) == 0
    work.check(1)
    pool._block[0] = 8  # another call has the pool
    assert _pool._advance.python(control, 9, address, work.arguments, 5, 2) == 2
    _pool._abandon.python(control, 9)
    assert pool._block[0] == 8
    _pool._abandon.python(control, 8)
    assert pool._block[0] == 0
    work.check(1)
    _pool._stop.python(control)
    _pool._live.python(control, 0)


@pytest.mark.parametrize("count", [True, False, 0, -1, 1.0, 2.5, "2", None, float("nan"), 1025])
def test_senseless_numbers_of_threads_raise(count):
    with pytest.raises(
        OptionError, match=r"set_num_threads: n is .*expected an int from 1 to 1024"
    ):
        parallel.set_num_threads(count)
    assert parallel.get_num_threads() == 2


@pytest.mark.parametrize("count", [1, 3, np.int64(5), 1024])
def test_the_number_of_threads_that_was_set_holds(count):
    parallel.set_num_threads(count)
    assert parallel.get_num_threads() == count


@pytest.mark.parametrize(
    ("ours", "openmp", "expected"),
    [
        ("3", "5", 3),
        ("", "5", 5),
        (" 7 ", "", 7),
        ("", "4,2", 4),
        ("", "", 6),
        ("", "many", 6),
        ("", "0", 6),
    ],
)
def test_the_environment_is_asked_in_order(monkeypatch, caplog, ours, openmp, expected):
    monkeypatch.setattr(_log, "_said", {})
    monkeypatch.setattr(parallel, "_threads", 0)
    monkeypatch.setattr(parallel.machine, "available_cores", lambda: 6)
    monkeypatch.setenv("FALTUNG_NUM_THREADS", ours)
    monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    with caplog.at_level(logging.WARNING, "faltung"):
        assert [parallel.get_num_threads() for _ in range(3)] == [expected] * 3
    assert len(caplog.records) == (openmp in {"many", "0"})


@pytest.mark.parametrize("text", ["0", "-2", "1.5", "two", "1025", "99999999999", "٣"])
def test_a_senseless_environment_raises(monkeypatch, text):
    monkeypatch.setattr(parallel, "_threads", 0)
    monkeypatch.setenv("FALTUNG_NUM_THREADS", text)
    with pytest.raises(OptionError, match=r"FALTUNG_NUM_THREADS is .*expected an int"):
        parallel.get_num_threads()
