"""Ways in which a process ends while the thread pool is idle, busy or not there.

Run in a process of its own: ``main(turns)`` warms up, forks a child for each situation and turn,
lets it end through the interpreter's ordinary end, and prints what did not go well and the number
of children. A child that is forked costs 50 ms; a new process would cost 700.
"""

import atexit
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time

import numpy as np

import faltung as ft
from faltung.compiled import _pool, parallel

SECONDS = 20
CODE = 21

X, WEIGHT = np.ones((1, 8, 96, 96), np.float32), np.ones((8, 8, 3, 3), np.float32)
LARGE, WEIGHTS = np.ones((1, 64, 256, 256), np.float32), np.ones((64, 64, 3, 3), np.float32)


def call():
    assert (ft.conv(X, WEIGHT) == 72).all()


def call_long():
    ft.conv(LARGE, WEIGHTS)


def call_for_ever():
    while True:
        call()


def start(target, *, is_daemon):
    threading.Thread(target=target, daemon=is_daemon).start()


def refuse_threads(thread):
    raise RuntimeError("can't start new thread")


class OneLine(logging.Handler):
    """Collects what is logged; an error if it is not one line."""

    def __init__(self):
        super().__init__()
        self.lines = []
        logging.getLogger("faltung").addHandler(self)

    def emit(self, record):
        self.lines.append(record.getMessage())

    def check(self):
        assert len(self.lines) == 1, self.lines
        assert "can't start new thread" in self.lines[0]


class LastWords:
    def __del__(self):
        with contextlib.suppress(ImportError):  # Python has taken its modules away
            call()


def idle():
    call()


def never_used():
    pass


def started_and_left_at_once():
    start(call, is_daemon=True)


def long_call_in_a_daemon_thread():
    start(call_long, is_daemon=True)
    time.sleep(0.005)


def long_calls_in_many_daemon_threads():
    for _ in range(4):
        start(call_long, is_daemon=True)
    time.sleep(0.005)


def calls_without_end_in_daemon_threads():
    for _ in range(2):
        start(call_for_ever, is_daemon=True)
    time.sleep(0.005)


def busy_in_an_ordinary_thread():
    start(call_long, is_daemon=False)


def after_a_fork():
    call()
    child = os.fork()
    call()
    if child:
        os.waitpid(child, 0)


def in_a_forked_child():
    call()
    if child := os.fork():
        status = os.waitpid(child, 0)[1]
        sys.exit(os.waitstatus_to_exitcode(status))
    call()


def fork_while_busy():
    start(call_for_ever, is_daemon=True)
    time.sleep(0.003)
    if child := os.fork():
        status = os.waitpid(child, 0)[1]
        sys.exit(os.waitstatus_to_exitcode(status))
    call()


def no_new_threads():
    log, parallel._pool = OneLine(), None
    threading.Thread.start = refuse_threads
    call()
    log.check()


def no_new_threads_for_the_portable_pool():
    log, parallel._pool, parallel.is_supported = OneLine(), None, lambda: False
    threading.Thread.start = refuse_threads
    call()
    log.check()


def some_threads_only():
    log, started, original = OneLine(), [], threading.Thread.start

    def begin(thread):
        if started:
            refuse_threads(thread)
        started.append(thread)
        original(thread)

    ft.set_num_threads(7)
    threading.Thread.start = begin
    call_long()
    log.check()


def portable_and_idle():
    parallel._pool, parallel.is_supported = None, lambda: False
    call()


def portable_and_busy():
    parallel._pool, parallel.is_supported = None, lambda: False
    start(call_for_ever, is_daemon=True)
    time.sleep(0.005)


def sixteen_threads():
    ft.set_num_threads(16)
    call_long()


def fewer_threads():
    ft.set_num_threads(8)
    call_long()
    ft.set_num_threads(2)
    call()


def calls_while_leaving():
    call()
    atexit.register(call)


def calls_in_a_last_finaliser():
    call()
    sys.modules["last words"] = LastWords()


def interrupted():
    timer = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        call_for_ever()
    except KeyboardInterrupt:
        sys.exit(CODE)


SITUATIONS = [
    idle, never_used, started_and_left_at_once, long_call_in_a_daemon_thread,
    long_calls_in_many_daemon_threads, calls_without_end_in_daemon_threads,
    busy_in_an_ordinary_thread, after_a_fork, in_a_forked_child, fork_while_busy, no_new_threads,
    no_new_threads_for_the_portable_pool, some_threads_only, portable_and_idle, portable_and_busy,
    sixteen_threads, fewer_threads, calls_while_leaving, calls_in_a_last_finaliser, interrupted,
]  # fmt: skip


def leave(situation):
    """In a child: be in the situation and end as programs do; the clock ends what hangs."""
    signal.alarm(SECONDS)
    situation()
    sys.exit(CODE)


def exit_code(situation):
    """How a child ended that was in the situation."""
    child = os.fork()
    if child == 0:
        leave(situation)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(turns):
    ft.set_num_threads(2)
    call()
    call_long()
    assert isinstance(parallel._pool, _pool.Pool) == _pool.is_supported()
    gc.collect()
    gc.freeze()  # or each child would copy every page that its collector looks at
    for situation in SITUATIONS:
        codes = [exit_code(situation) for _ in range(turns)]
        if codes != [CODE] * turns:
            print(f"{situation.__name__}: {codes}")
    print(turns * len(SITUATIONS))
