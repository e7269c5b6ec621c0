"""The thread pool of machines without futexes: an executor whose threads take jobs one by one."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from faltung.compiled._log import warn_once
from faltung.compiled._pool import run_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PortablePool"]


class PortablePool:
    """The interface of `faltung.compiled._pool.Pool` on Python's own means."""

    def __init__(self) -> None:
        self._is_busy = threading.Lock()
        self._executor = ThreadPoolExecutor(1)
        self._threads = 1

    def run(self, function: int, arguments: NDArray[np.int64], jobs: int, limit: int) -> bool:
        """Run all jobs on up to `limit` threads; False, and nothing done, if the pool is busy."""
        if not self._is_busy.acquire(blocking=False):
            return False
        try:
            if limit - 1 > self._threads:
                self._executor.shutdown(wait=False)
                self._executor, self._threads = ThreadPoolExecutor(limit - 1), limit - 1
            self._share(function, arguments, iter(range(jobs)), limit)
        finally:
            self._is_busy.release()
        return True

    def _share(
        self, function: int, arguments: NDArray[np.int64], numbers: Iterator[int], limit: int
    ) -> None:
        def work(thread: int) -> None:
            for job in numbers:  # taking the next number of a range is one step under the lock
                run_range(function, arguments, thread, job, job + 1)

        others: list[Future[None]] = []
        try:
            try:
                others += [self._executor.submit(work, thread) for thread in range(1, limit)]
            except RuntimeError as error:  # "can't start new thread", or Python is shutting down
                if "shutdown" not in str(error):
                    warn_once("threads", f"going on with fewer threads: {error}")
            work(0)
        finally:
            deque(numbers, maxlen=0)  # after Ctrl-C: no further job begins
            for future in others:
                future.cancel()
            while not all(future.done() for future in others):
                with contextlib.suppress(KeyboardInterrupt):  # one is on its way already
                    wait(others)
        for future in others:
            if not future.cancelled():
                future.result()

    def stop(self, seconds: float) -> None:
        """Let the threads end; Python itself waits for them."""
        self._executor.shutdown(wait=False)
