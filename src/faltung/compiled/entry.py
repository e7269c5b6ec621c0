"""The way from Python into a call: one native function that takes arrays and does all the rest.

What differs between two calls of a kind are four addresses. Finding them out in Python takes a
microsecond or two each, more than a small convolution; here they are read from the arrays
themselves, whose layout in memory (the header of an object, then the address of the data) is part
of NumPy's binary interface; where it is another one, Python looks the addresses up. Packing of
weights, jobs and floating-point environment follow in the same native call.
"""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel
from faltung.compiled import words as at
from faltung.compiled._atomics import MXCSR, call_job, get_mxcsr, set_mxcsr
from faltung.compiled._jit import Job, kernel
from faltung.compiled.memory import put_word, word

__all__ = ["Call", "Packing", "Runner", "hold", "make_runner"]

Runner = Callable[[Any, Any, Any, Any], int]
"""Takes x, y, weights and biases; 0, or why nothing was computed: `NOT_FINITE`, `MISALIGNED`."""

NOT_FINITE, MISALIGNED = 1, 2
_PACK_AT = len(at.ENTRY_WORDS)
_CALL_AT = _PACK_AT + len(at.PACK_WORDS)
_OBJECT_HEADER = object.__basicsize__


@kernel("intp(intp, intp, intp, intp, intp, intp)")
def _enter(template, entry, x, y, weight, bias):  # type: ignore[no-untyped-def]
    """Copy the template to `entry`, fill in the addresses, and run what shall run alone.

    All are addresses; those of the last four are of array objects, 0 for no bias.
    """
    for index in range(word(template, at.ENTRY_COUNT)):
        put_word(entry, index, word(template, index))
    pack, call = entry + 8 * _PACK_AT, entry + 8 * _CALL_AT
    data_at = word(entry, at.ENTRY_DATA_AT)
    x_data = word(x + data_at, 0)
    if x_data & word(entry, at.ENTRY_MISALIGNED) != 0:
        return 2
    put_word(call, at.X_BASE, x_data)
    put_word(call, at.Y_BASE, word(y + data_at, 0))
    put_word(call, at.WORKSPACE, entry + word(entry, at.ENTRY_WORKSPACE_AT))
    weights, biases = word(weight + data_at, 0), 0
    if bias != 0:
        biases = word(bias + data_at, 0)
    pack_jobs = word(entry, at.ENTRY_PACK_JOBS)
    if pack_jobs != 0:
        put_word(pack, at.PACK_SOURCE, weights)
        put_word(pack, at.PACK_BIAS, biases)
        weights = entry + word(entry, at.ENTRY_PACKED_AT)
        biases = entry + word(entry, at.ENTRY_BIASES_AT)
        put_word(pack, at.PACK_TARGET, weights)
        put_word(pack, at.PACK_BIASES, biases)
    put_word(call, at.WEIGHTS, weights)
    put_word(call, at.BIASES, biases)
    if word(entry, at.ENTRY_ALONE) == 0:
        return 0
    mxcsr = get_mxcsr()
    set_mxcsr(MXCSR)
    for number in range(pack_jobs):
        call_job(word(entry, at.ENTRY_PACK), 0, pack, number)
    status = word(pack, at.PACK_NOT_FINITE)
    if status == 0:
        for number in range(word(entry, at.ENTRY_JOBS)):
            call_job(word(entry, at.ENTRY_JOB), 0, call, number)
    set_mxcsr(mxcsr)
    return status


class Call(NamedTuple):
    """What a kind of call runs: a job, its words, how many there are, workspace of a thread."""

    job: Job
    words: NDArray[np.int64]
    jobs: int
    workspace: int
    is_short: bool  # not worth waking another thread for
    item_size: int


class Packing(NamedTuple):
    """The packing of weights that is part of a call, and bytes of what comes out."""

    job: Job
    words: NDArray[np.int64]
    jobs: int
    weight_bytes: int
    bias_bytes: int


_SMALL_BYTES, _MOST_SMALL_BLOCKS = 2**18, 8
_small_blocks: deque[tuple[NDArray[np.uint8], int]] = deque(maxlen=_MOST_SMALL_BLOCKS)
"""Memory of short calls, with its address, which takes as long to find out as a short call."""


def _make_small_block() -> tuple[NDArray[np.uint8], int]:
    memory = np.empty(_SMALL_BYTES + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start:], memory.ctypes.data + start


def _round_up(size: int) -> int:
    return -(-size // 64) * 64


@cache
def _addresses_are_in_objects() -> bool:
    """Whether an array has the address of its data right behind its header, tried on one."""
    if sys.implementation.name != "cpython":  # there a number of an object may be no address
        return False
    probe = np.empty(3)[1:]
    held = ctypes.c_size_t.from_address(id(probe) + _OBJECT_HEADER).value
    return held == probe.ctypes.data


def _through_cells(run: Callable[[Any, Any, Any, Any], int]) -> Runner:
    """A runner of arrays from one of places in memory that hold the addresses of their data."""

    def run_arrays(*arrays: Any) -> int:
        cells = [None if each is None else np.array([each.ctypes.data]) for each in arrays]
        x, y, weight, bias = (None if cell is None else cell.ctypes.data for cell in cells)
        return run(x, y, weight, bias)

    return run_arrays


def _itself(place: int) -> int:
    return place


def make_runner(
    call: Call,
    packing: Packing | None,
    take: Callable[[int], NDArray[np.uint8]],
    give_back: Callable[[NDArray[np.uint8]], None],
    alive: object,
) -> Runner:
    """The function that runs a kind of call on arrays.

    Parameters
    ----------
    call : Call
        What is run.
    packing : Packing or None
        If given, the runner takes weights and biases (None for none) as they are, contiguous.
    take, give_back : callable
        Where workspace comes from and goes to.
    alive : object
        What the words of the call point to.
    """
    front = _round_up(8 * (_CALL_AT + len(call.words)))
    template = np.zeros(_CALL_AT + len(call.words), np.int64)
    template[_CALL_AT:] = call.words
    # Without a compiler there are no addresses: then jobs are shared, which knows what to do.
    is_alone = bool(call.job.address) and (call.jobs == 1 or call.is_short)
    workspace_at = front
    if packing is not None:
        biases_at = front + _round_up(packing.weight_bytes)
        workspace_at = biases_at + _round_up(packing.bias_bytes)
        template[_PACK_AT:_CALL_AT] = packing.words
        template[at.ENTRY_PACK] = packing.job.address
        template[at.ENTRY_PACK_JOBS] = packing.jobs
        template[at.ENTRY_PACKED_AT], template[at.ENTRY_BIASES_AT] = front, biases_at
    template[at.ENTRY_COUNT] = len(template)
    is_in_objects = _addresses_are_in_objects()
    locate: Callable[[Any], int] = id if is_in_objects else _itself
    template[at.ENTRY_DATA_AT] = _OBJECT_HEADER if is_in_objects else 0
    template[at.ENTRY_MISALIGNED] = call.item_size - 1
    template[at.ENTRY_ALONE] = is_alone
    template[at.ENTRY_JOB], template[at.ENTRY_JOBS] = call.job.address, call.jobs
    template[at.ENTRY_WORKSPACE_AT] = workspace_at
    enter, origin = _enter.function, template.ctypes.data
    is_small = is_alone and workspace_at + call.workspace <= _SMALL_BYTES
    take_small, give_small = _small_blocks.pop, _small_blocks.append

    def run_small(x: Any, y: Any, weight: Any, bias: Any) -> int:
        try:
            block = take_small()
        except IndexError:
            block = _make_small_block()
        bias_at = 0 if bias is None else locate(bias)
        status: int = enter(origin, block[1], locate(x), locate(y), locate(weight), bias_at)
        give_small(block)
        return status

    def run_alone(x: Any, y: Any, weight: Any, bias: Any) -> int:
        memory = take(workspace_at + call.workspace)
        bias_at, place = 0 if bias is None else locate(bias), memory.ctypes.data
        status: int = enter(origin, place, locate(x), locate(y), locate(weight), bias_at)
        give_back(memory)
        return status

    def run_shared(x: Any, y: Any, weight: Any, bias: Any) -> int:
        threads = min(call.jobs, parallel.get_num_threads())
        memory = take(workspace_at + threads * call.workspace)
        bias_at, place = 0 if bias is None else locate(bias), memory.ctypes.data
        status: int = enter(origin, place, locate(x), locate(y), locate(weight), bias_at)
        if status == 0:
            block = memory[:front].view(np.int64)
            if packing is not None:
                parallel.run(packing.job, block[_PACK_AT:], packing.jobs, threads)
                status = int(block[_PACK_AT + at.PACK_NOT_FINITE])
            if status == 0:
                parallel.run(call.job, block[_CALL_AT:], call.jobs, threads)
        give_back(memory)
        return status

    runner: Runner = run_shared
    if is_alone:
        runner = run_small if is_small else run_alone
    if not is_in_objects:
        runner = _through_cells(runner)
    runner.alive = template, alive  # type: ignore[attr-defined]
    if is_small and is_in_objects:
        runner.small = enter, origin  # type: ignore[attr-defined]
    return runner


def hold(
    run: Runner, weight: NDArray[Any], bias: NDArray[Any] | None
) -> Callable[[Any, Any], bool]:
    """`run` for weights and biases that stay: what computes y from x and tells whether it could.

    Looking up what does not change and calling a function that calls another take a tenth of a
    small call, so the shortest way is written out once more.
    """
    enter, origin = getattr(run, "small", (None, 0))
    if enter is None:
        return lambda x, y: not run(x, y, weight, bias)
    take_small, give_small = _small_blocks.pop, _small_blocks.append
    weight_at, bias_at = id(weight), 0 if bias is None else id(bias)

    def run_held(x: Any, y: Any) -> bool:
        try:
            block = take_small()
        except IndexError:
            block = _make_small_block()
        status = enter(origin, block[1], id(x), id(y), weight_at, bias_at)
        give_small(block)
        return not status

    run_held.alive = run, weight, bias  # type: ignore[attr-defined]
    return run_held
