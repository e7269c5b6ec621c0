"""Sharing jobs among threads: how many, and who runs them.

`run` gives the jobs of one call to a pool that belongs to the process. There is one such pool, made
when it is first needed, again after a fork, and stopped at exit. Whoever finds it busy, runs inside
a pool of somebody else's, or has a single job does the work alone. Jobs must not depend on how they
are split, and last at most 50 ms, because Ctrl-C waits for those that run.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from operator import index
from typing import TYPE_CHECKING

from faltung.compiled import machine
from faltung.compiled._log import warn_once
from faltung.compiled._pool import MOST_THREADS, Pool, is_supported, run_range
from faltung.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faltung.compiled._jit import Job
    from faltung.compiled._portable import PortablePool

__all__ = ["get_num_threads", "run", "set_num_threads"]

_threads = 0  # as set or found out; 0 before the first look
_pool: Pool | PortablePool | None = None
_pool_lock = threading.RLock()  # a signal handler may call in the middle of `_make_pool`


class _Local(threading.local):
    is_inside_pool: bool | None = None  # None before the first look


_local = _Local()


def run(function: Job, arguments: NDArray[np.int64], jobs: int, threads: int | None = None) -> None:
    """Run ``function(thread, arguments, job)`` for every job from 0 to ``jobs - 1``.

    Parameters
    ----------
    function : Job
        Made by the decorator `faltung.compiled._jit.job`.
    arguments : array of int64, one axis, contiguous, writable
        The block whose address every job gets; kept alive here until the last job has ended.
    jobs : int
        How many there are. They run in any order, each exactly once.
    threads : int, optional
        `thread` stays below it. Whoever gives each thread a workspace asks `get_num_threads`
        once, makes that many, and passes the number. Default: `get_num_threads` now.

    Notes
    -----
    After an exception, KeyboardInterrupt above all, some jobs have run and the others never will.
    """
    address = function.address
    if not address:
        block = arguments.ctypes.data
        for job in range(jobs):
            function.python(0, block, job)
        return
    limit = min(jobs, get_num_threads() if threads is None else threads)
    if limit > 1 and not is_inside_pool():
        pool = _pool or _make_pool()
        if pool.run(address, arguments, jobs, limit):
            return
    run_range(address, arguments, 0, 0, jobs)


def _make_pool() -> Pool | PortablePool:
    global _pool  # noqa: PLW0603
    with _pool_lock:
        if _pool is None:
            if is_supported():
                _pool = Pool()
            else:
                from faltung.compiled._portable import PortablePool

                _pool = PortablePool()
        return _pool


def _forget_pool() -> None:
    """In a forked child: the workers are the parent's, the lock may be held by nobody."""
    global _pool, _pool_lock, _local
    _pool, _pool_lock, _local = None, threading.RLock(), _Local()


def _retire_pool() -> None:
    """Let the next call make a new pool; calls that have this one end without its workers."""
    global _pool
    with _pool_lock:
        old, _pool = _pool, None
    if old is not None:
        old.stop(seconds=0.0)


def _stop_pool() -> None:
    """At exit: no worker may run machine code that is being taken away."""
    if _pool is not None:
        _pool.stop(seconds=1.0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
atexit.register(_stop_pool)


# Modules whose functions are the bodies of threads or processes that share work among themselves:
# more threads below them would only fight for the same cores.
_POOLS = (
    "concurrent.futures.",
    "multiprocessing.pool",
    "distributed.",
    "joblib.",
    "loky.",
    "torch.utils.",
)


def _is_pool_body(runner: object) -> bool:
    target = getattr(runner, "_target", None)
    module = getattr(target, "__module__", None)
    return isinstance(module, str) and module.startswith(_POOLS)


def is_inside_pool() -> bool:
    """Whether this thread or process is one of many that somebody else's pool keeps busy."""
    if _local.is_inside_pool is None:
        _local.is_inside_pool = _look_for_pool()
    return _local.is_inside_pool


def _look_for_pool() -> bool:
    if _is_pool_body(threading.current_thread()):
        return True
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return False
    process = processes.current_process()
    # Pools of processes make their workers daemons, which may not have children.
    return process.daemon or _is_pool_body(process)


def set_num_threads(n: int) -> None:
    """Set how many threads one call may use, for the whole process.

    Parameters
    ----------
    n : int
        From 1 to 1024. Results do not depend on it.

    Raises
    ------
    OptionError
        For anything else.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.set_num_threads(2)
    >>> ft.get_num_threads()
    2
    """
    global _threads  # noqa: PLW0603
    try:
        count = 0 if isinstance(n, bool) else index(n)
    except TypeError:
        count = 0
    if not 1 <= count <= MOST_THREADS:
        raise OptionError(
            f"set_num_threads: n is {n!r}, expected an int from 1 to {MOST_THREADS}",
            "Pass the number of threads that one call may use, 1 for no parallel work",
        )
    if count < _threads:
        _retire_pool()  # workers beyond the new number would share the cores with the others
    _threads = count


def get_num_threads() -> int:
    """How many threads a call made here may use.

    Returns
    -------
    int
        1 inside a pool of threads or processes; else what `set_num_threads` set; else
        ``FALTUNG_NUM_THREADS``; else ``OMP_NUM_THREADS``; else the physical cores that CPU
        affinity and the control group's quota leave to this process.

    Raises
    ------
    OptionError
        If ``FALTUNG_NUM_THREADS`` is not an int from 1 to 1024. An ``OMP_NUM_THREADS`` that makes
        no sense is somebody else's business: it is left aside with one log line.
    """
    global _threads  # noqa: PLW0603
    if is_inside_pool():
        return 1
    if not _threads:
        _threads = _default_threads()
    return _threads


def _default_threads() -> int:
    ours = os.environ.get("FALTUNG_NUM_THREADS", "").strip()
    if ours:
        count = _parse_threads(ours)
        if not count:
            raise OptionError(
                f"FALTUNG_NUM_THREADS is {ours!r}, expected an int from 1 to {MOST_THREADS}",
                "Set it to a number of threads, or to nothing for one a core",
            )
        return count
    openmp = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # one number a level
    if openmp:
        count = _parse_threads(openmp)
        if count:
            return count
        warn_once("OMP_NUM_THREADS", f"OMP_NUM_THREADS is {openmp!r}: left aside")
    return min(machine.available_cores(), MOST_THREADS)


def _parse_threads(text: str) -> int:
    """The number of threads that `text` asks for, 0 if it makes no sense."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 4
    return int(text) if is_number and int(text) <= MOST_THREADS else 0
