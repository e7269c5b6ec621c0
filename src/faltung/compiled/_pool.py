"""The thread pool whose workers live outside the interpreter.

A worker is a Python thread that stays inside one compiled call for its whole life. All that is
shared are the words of one control block, each group on its own cache lines:

OWNER       the token of the call that has the pool, 0 when it is free
EPOCH       counts calls; idle workers watch it, first spinning, then asleep
GATE        ``limit << 32 | entered << 16 | inside``: a worker enters by raising the two counts in
            one step while fewer than ``limit - 1`` have entered; `entered + 1` is its thread number
NEXT        of each range of jobs, how many have been taken, by atomic addition

Every thread has a range of jobs of its own, which are neighbours, and helps with the other ranges
when that is done. So the cells that a thread reads and writes in one call are those of the call
before: they are still in the caches of its core.

A call writes the description of its work, opens the gate, raises EPOCH, wakes sleepers and works
itself as thread 0. When the jobs are used up it closes the gate (limit 0) and waits until nobody is
inside. A worker that comes late finds the gate closed and has touched nothing: no call ever waits
for a worker that has not begun. Descriptions change only while the gate is closed and empty, so a
worker that entered reads the right one, whichever call it was woken for.

No wake-up is lost: a worker announces itself in SLEEPERS before it sleeps on EPOCH, a call raises
EPOCH before it reads SLEEPERS, and the kernel compares EPOCH once more before it lets go.
"""

from __future__ import annotations

import itertools
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np

from faltung.compiled import machine
from faltung.compiled._atomics import (
    CPU_MASK_BYTES,
    MXCSR,
    add,
    call_job,
    compare_and_swap,
    current_cpu,
    cycles,
    get_affinity,
    get_mxcsr,
    has_futex,
    load,
    pause,
    set_affinity,
    set_mxcsr,
    store,
    swap,
    wait_while,
    wake,
)
from faltung.compiled._jit import kernel
from faltung.compiled._log import warn_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["MOST_THREADS", "Pool", "is_supported", "run_range"]

MOST_THREADS = 1024

# Byte offsets in the control block. 128 bytes: CPUs fetch cache lines in pairs.
_OWNER, _EPOCH, _GATE, _SLEEPERS = 0, 128, 256, 512
_FUNCTION, _ARGUMENTS, _JOBS = 640, 648, 656
_CPU, _RANGES, _WAITING, _STOP, _SPIN, _TIMEOUT = 664, 672, 768, 896, 904, 912
_NEXT, _NEXT_STEP, _MOST_RANGES = 1024, 128, 64
_BYTES = _NEXT + _MOST_RANGES * _NEXT_STEP

_ENTER = 0x1_0001  # one more entered, one more inside
_INSIDE = 0xFFFF

# Cycles of a counter between 1 and 5 GHz: a slice is 8 to 40 ms, after which the caller looks
# after signals in Python; waiting spins 10 to 50 µs, about what a sleep and a wake-up cost.
_SLICE = 40_000_000
_WAIT_SPIN = 50_000
_IDLE_SPIN = 200_000

_DONE, _RUNNING, _BUSY = 0, 1, 2


@kernel("intp(intp, intp[::1], intp, intp, intp)")
def _run_range(function, arguments, thread, first, last):  # type: ignore[no-untyped-def]
    """Run the jobs of a range until a slice of time is over; the first job that was not run."""
    address = arguments.ctypes.data
    mxcsr = get_mxcsr()
    set_mxcsr(MXCSR)
    start = cycles()
    job = first
    while job < last:
        call_job(function, thread, address, job)
        job += 1
        if cycles() - start > _SLICE:
            break
    set_mxcsr(mxcsr)
    return job


@kernel("intp(intp, intp)")
def _work(control, thread):  # type: ignore[no-untyped-def]
    """Take and run jobs until there are none or, for the caller, a slice is over."""
    function, arguments = load(control + _FUNCTION), load(control + _ARGUMENTS)
    jobs, ranges = load(control + _JOBS), load(control + _RANGES)
    mxcsr = get_mxcsr()
    set_mxcsr(MXCSR)
    start, status = cycles(), _DONE
    number, left = thread % ranges, ranges
    while left > 0:
        taken = control + _NEXT + number * _NEXT_STEP
        job = number * jobs // ranges + add(taken, 1)
        if job >= (number + 1) * jobs // ranges:
            number, left = (number + 1) % ranges, left - 1
            continue
        call_job(function, thread, arguments, job)
        if thread == 0:
            if cycles() - start > _SLICE:
                status = _RUNNING
                break
        elif load(control + _STOP) != 0:
            break
    set_mxcsr(mxcsr)
    return status


@kernel("void(intp, intp)")
def _move_away(cpu, mask):  # type: ignore[no-untyped-def]
    """Go to another CPU if there is one; `mask` is the address of room for a mask of CPUs.

    The kernel likes to wake a thread where its waker runs. Caller and worker would then take turns
    on one CPU beside an idle one: a call of 45 µs took 45 µs with two threads until the kernel's
    balancing came by, and 25 µs with this.
    """
    word = mask + 8 * (cpu // 64)
    if cpu >= 0 and cpu < 8 * CPU_MASK_BYTES and get_affinity(mask) > 0:
        bits = load(word)
        store(word, bits & ~(1 << (cpu % 64)))
        if set_affinity(mask) == 0:
            store(word, bits)
            set_affinity(mask)


@kernel("void(intp, intp)")
def _live(control, mask):  # type: ignore[no-untyped-def]
    """Be a worker until the pool stops."""
    seen = 0
    while True:
        start = cycles()
        while load(control + _EPOCH) == seen:
            if cycles() - start > load(control + _SPIN):
                add(control + _SLEEPERS, 1)
                wait_while(control + _EPOCH, seen, 0)
                add(control + _SLEEPERS, -1)
                start = cycles()
            pause()
        seen = load(control + _EPOCH)
        if load(control + _STOP) != 0:
            return
        cpu = load(control + _CPU)
        if load(control + _SPIN) != 0 and current_cpu() == cpu:
            _move_away(cpu, mask)
        gate = load(control + _GATE)
        entered = (gate >> 16) & _INSIDE
        while entered + 1 < gate >> 32:
            if compare_and_swap(control + _GATE, gate, gate + _ENTER):
                _work(control, entered + 1)
                left = add(control + _GATE, -1) - 1
                if left & _INSIDE == 0 and load(control + _WAITING) != 0:
                    wake(control + _GATE, 1)
                break
            gate = load(control + _GATE)
            entered = (gate >> 16) & _INSIDE


@kernel("intp(intp)")
def _leave(control):  # type: ignore[no-untyped-def]
    """Close the gate, wait a while for those inside, and give the pool back."""
    gate = load(control + _GATE)
    while not compare_and_swap(control + _GATE, gate, gate & _INSIDE):
        gate = load(control + _GATE)
    start = cycles()
    while load(control + _GATE) != 0:
        if cycles() - start > _WAIT_SPIN:
            swap(control + _WAITING, 1)
            gate = load(control + _GATE)
            if gate != 0:
                wait_while(control + _GATE, gate, control + _TIMEOUT)
            swap(control + _WAITING, 0)
            if load(control + _GATE) != 0:
                return _RUNNING
        pause()
    swap(control + _OWNER, 0)
    return _DONE


@kernel("intp(intp, intp, intp, intp[::1], intp, intp)")
def _advance(control, token, function, arguments, jobs, limit):  # type: ignore[no-untyped-def]
    """Begin the call `token`, or go on with it for a slice of time."""
    if load(control + _OWNER) != token:
        if not compare_and_swap(control + _OWNER, 0, token):
            return _BUSY
        store(control + _FUNCTION, function)
        store(control + _ARGUMENTS, arguments.ctypes.data)
        store(control + _JOBS, jobs)
        store(control + _CPU, current_cpu())
        ranges = min(limit, jobs)
        ranges = min(ranges, _MOST_RANGES)
        store(control + _RANGES, ranges)
        for number in range(ranges):
            store(control + _NEXT + number * _NEXT_STEP, 0)
        swap(control + _GATE, limit << 32)
        add(control + _EPOCH, 1)
        if load(control + _SLEEPERS) != 0:
            wake(control + _EPOCH, limit - 1)
    if load(control + _GATE) >> 32 != 0 and _work(control, 0) == _RUNNING:
        return _RUNNING
    return _leave(control)


@kernel("void(intp, intp)")
def _abandon(control, token):  # type: ignore[no-untyped-def]
    """Let no further job of the call `token` begin, and wait for those that run to their end.

    Without a look at Python in between: a signal a millisecond must not end the wait.
    """
    if load(control + _OWNER) == token:
        for number in range(load(control + _RANGES)):
            swap(control + _NEXT + number * _NEXT_STEP, load(control + _JOBS))
        while _leave(control) != _DONE:
            pass


@kernel("void(intp)")
def _stop(control):  # type: ignore[no-untyped-def]
    """Send every worker home after the job it is in."""
    swap(control + _STOP, 1)
    add(control + _EPOCH, 1)
    wake(control + _EPOCH, MOST_THREADS)


def run_range(
    function: int, arguments: NDArray[np.int64], thread: int, first: int, last: int
) -> None:
    """Run the jobs from `first` up to `last` here, looking after signals at least every 50 ms."""
    # Where there is no counter of cycles, Python looks after every job.
    step = last - first if machine.is_x86() else 1
    run = _run_range.function
    while first < last:
        first = run(function, arguments, thread, first, min(first + step, last))


def is_supported() -> bool:
    """Whether this machine has what the pool stands on: Linux's futex and x86's instructions."""
    return sys.platform == "linux" and machine.is_x86() and has_futex()


class Pool:
    """A control block and the workers that watch it."""

    def __init__(self) -> None:
        buffer = np.zeros(_BYTES + 128, np.uint8)
        start = -buffer.ctypes.data % 128
        self._block = buffer[start : start + _BYTES].view(np.int64)
        self._block[_TIMEOUT // 8 + 1] = 20_000_000  # nanoseconds
        self._control = self._block.ctypes.data
        self._tokens = itertools.count(1)
        # Compiled now: not at the first Ctrl-C, and not while Python shuts down.
        self._advance, self._abandon = _advance.function, _abandon.function
        self._stop = _stop.function
        self._growth = threading.RLock()
        self._wanted = 0
        self._workers: list[threading.Thread] = []

    def grow(self, workers: int) -> None:
        """Have at least `workers` workers, as far as the system allows."""
        with self._growth:
            if workers <= self._wanted:
                return
            live = _live.function  # compiled here: workers begin inside it
            while len(self._workers) < workers:
                worker = threading.Thread(
                    target=_enter, args=(live, self._block), name="faltung", daemon=True
                )
                try:
                    worker.start()
                except RuntimeError as error:  # "can't start new thread"
                    count = len(self._workers) + 1
                    warn_once("threads", f"going on with {count} threads: {error}")
                    break
                self._workers.append(worker)
            self._wanted = workers  # also if some are missing: to try each time would be slow
            # Spinning takes the CPU from those who work when there are more threads than cores.
            fits = len(self._workers) < machine.available_cores()
            self._block[_SPIN // 8] = _IDLE_SPIN if fits else 0

    def run(self, function: int, arguments: NDArray[np.int64], jobs: int, limit: int) -> bool:
        """Run all jobs on up to `limit` threads; False, and nothing done, if the pool is busy."""
        if limit - 1 > self._wanted:
            self.grow(limit - 1)
        control, advance, abandon = self._control, self._advance, self._abandon
        token = next(self._tokens)
        try:
            while status := advance(control, token, function, arguments, jobs, limit):
                if status == _BUSY:
                    return False
        except BaseException:
            # One native call, reached without a step at which Python would look after signals:
            # a second Ctrl-C finds the call ended.
            abandon(control, token)
            raise
        return True

    def stop(self, seconds: float) -> None:
        """Send the workers home and wait for them that long; calls go on without them."""
        self._stop(self._control)
        for worker in self._workers:
            worker.join(seconds / len(self._workers))


def _enter(live: Callable[[int, int], None], block: NDArray[np.int64]) -> None:
    """Live on the control block, which is not freed as long as this runs."""
    mask = np.zeros(CPU_MASK_BYTES // 8, np.int64)
    live(block.ctypes.data, mask.ctypes.data)
