"""The instructions that threads are made of, each beside its meaning.

Addresses are integers and words have 64 bits. Every read-modify-write is sequentially consistent.
In Python the meanings hold for one thread, which is enough to follow and test the algorithms.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

from faltung.compiled import machine
from faltung.compiled._jit import intrinsic
from faltung.compiled.simd import declare

__all__ = [
    "CPU_MASK_BYTES",
    "MXCSR",
    "add",
    "call_job",
    "compare_and_swap",
    "current_cpu",
    "cycles",
    "get_affinity",
    "get_mxcsr",
    "has_futex",
    "load",
    "pause",
    "set_affinity",
    "set_mxcsr",
    "store",
    "swap",
    "wait_while",
    "wake",
]

MXCSR = 0x1F80  # round to nearest, denormals kept, no traps: what a process starts with

# Linux on x86-64; waiting and waking are those inside one process.
_FUTEX, _SET_AFFINITY, _GET_AFFINITY = 202, 203, 204
_WAIT, _WAKE = 128, 129

CPU_MASK_BYTES = 128  # 1024 CPUs


def _word(address: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(address)


def _types() -> tuple[Any, Any, Any]:
    from llvmlite import ir

    return ir.VoidType(), ir.IntType(32), ir.IntType(64)


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, _types()[2].as_pointer())


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return declare(builder.module, name, result, arguments)


def _build_load(builder: Any, address: Any) -> Any:
    return builder.load_atomic(_pointer(builder, address), "seq_cst", 8)


@intrinsic("intp(intp)", _build_load)
def load(address: int) -> int:
    """Read a word."""
    return _word(address).value


def _build_store(builder: Any, address: Any, value: Any) -> None:
    builder.store_atomic(value, _pointer(builder, address), "release", 8)


@intrinsic("void(intp, intp)", _build_store)
def store(address: int, value: int) -> None:
    """Write a word after everything that was written before."""
    _word(address).value = value


def _build_add(builder: Any, address: Any, value: Any) -> Any:
    return builder.atomic_rmw("add", _pointer(builder, address), value, "seq_cst")


@intrinsic("intp(intp, intp)", _build_add)
def add(address: int, value: int) -> int:
    """Add to a word; the word as it was before."""
    before = _word(address).value
    _word(address).value = before + value
    return before


def _build_swap(builder: Any, address: Any, value: Any) -> Any:
    return builder.atomic_rmw("xchg", _pointer(builder, address), value, "seq_cst")


@intrinsic("intp(intp, intp)", _build_swap)
def swap(address: int, value: int) -> int:
    """Write a word; the word as it was before."""
    before = _word(address).value
    _word(address).value = value
    return before


def _build_compare_and_swap(builder: Any, address: Any, old: Any, new: Any) -> Any:
    pointer = _pointer(builder, address)
    return builder.extract_value(builder.cmpxchg(pointer, old, new, "seq_cst", "seq_cst"), 1)


@intrinsic("boolean(intp, intp, intp)", _build_compare_and_swap)
def compare_and_swap(address: int, old: int, new: int) -> bool:
    """Write `new` if the word is `old`; whether it was."""
    is_old = _word(address).value == old
    if is_old:
        _word(address).value = new
    return is_old


def _build_call_job(builder: Any, function: Any, thread: Any, arguments: Any, job: Any) -> None:
    from llvmlite import ir

    void, _, word = _types()
    pointer = builder.inttoptr(function, ir.FunctionType(void, [word] * 3).as_pointer())
    builder.call(pointer, [thread, arguments, job])


@intrinsic("void(intp, intp, intp, intp)", _build_call_job)
def call_job(function: int, thread: int, arguments: int, job: int) -> None:
    """Call the compiled job function at an address."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t)
    kind(function)(thread, arguments, job)


def _build_pause(builder: Any) -> None:
    if machine.is_x86():
        builder.call(_function(builder, "llvm.x86.sse2.pause", _types()[0], []), [])


@intrinsic("void()", _build_pause)
def pause() -> None:
    """Tell the CPU that this is a loop that waits."""


def _build_cycles(builder: Any) -> Any:
    _, _, word = _types()
    if not machine.is_x86():  # elsewhere the instruction may be forbidden to programs
        return word(0)
    return builder.call(_function(builder, "llvm.readcyclecounter", word, []), [])


@intrinsic("intp()", _build_cycles)
def cycles() -> int:
    """Read a clock of 1 to 5 GHz, the same on every core; always 0 where there is none."""
    return time.perf_counter_ns()


def _build_get_mxcsr(builder: Any) -> Any:
    void, half, word = _types()
    if not machine.is_x86():
        return word(MXCSR)
    place = builder.alloca(half)
    raw = builder.bitcast(place, _byte_pointer())
    builder.call(_function(builder, "llvm.x86.sse.stmxcsr", void, [raw.type]), [raw])
    return builder.zext(builder.load(place), word)


def _byte_pointer() -> Any:
    from llvmlite import ir

    return ir.IntType(8).as_pointer()


@intrinsic("intp()", _build_get_mxcsr)
def get_mxcsr() -> int:
    """Read how this thread rounds and whether it flushes denormals to zero."""
    return MXCSR


def _build_set_mxcsr(builder: Any, value: Any) -> None:
    if machine.is_x86():
        void, half, _ = _types()
        place = builder.alloca(half)
        builder.store(builder.trunc(value, half), place)
        raw = builder.bitcast(place, _byte_pointer())
        builder.call(_function(builder, "llvm.x86.sse.ldmxcsr", void, [raw.type]), [raw])


@intrinsic("void(intp)", _build_set_mxcsr)
def set_mxcsr(value: int) -> None:
    """Set what `get_mxcsr` reads; Python leaves it alone."""


def _build_system_call(builder: Any, number: int, *arguments: Any) -> Any:
    word = _types()[2]
    values = [word(number), *arguments, *[word(0)] * (6 - len(arguments))]
    return builder.call(_function(builder, "syscall", word, [word] * 7), values)


def has_futex() -> bool:
    """Whether the system calls that `wait_while` and `wake` make are there and allowed."""
    word = ctypes.c_int64()
    try:
        call = ctypes.CDLL(None).syscall
    except (AttributeError, OSError):
        return False
    return int(call(_FUTEX, ctypes.byref(word), _WAKE, 0)) == 0


def _build_wait_while(builder: Any, address: Any, value: Any, timeout: Any) -> None:
    _build_system_call(builder, _FUTEX, address, _types()[2](_WAIT), value, timeout)


@intrinsic("void(intp, intp, intp)", _build_wait_while)
def wait_while(address: int, value: int, timeout: int) -> None:
    """Sleep while the lower half of the word at `address` is that of `value`, until woken.

    `timeout` is the address of seconds and nanoseconds, or 0. May return at any time. Alone, a
    thread would sleep for ever, so in Python it returns at once.
    """


def _build_wake(builder: Any, address: Any, count: Any) -> None:
    _build_system_call(builder, _FUTEX, address, _types()[2](_WAKE), count)


@intrinsic("void(intp, intp)", _build_wake)
def wake(address: int, count: int) -> None:
    """Wake up to `count` threads that sleep at `address`."""


def _build_current_cpu(builder: Any) -> Any:
    _, half, word = _types()
    return builder.sext(builder.call(_function(builder, "sched_getcpu", half, []), []), word)


@intrinsic("intp()", _build_current_cpu)
def current_cpu() -> int:
    """Number the CPU that this thread is on; Python does not say, -1."""
    return -1


def _build_get_affinity(builder: Any, address: Any) -> Any:
    word = _types()[2]
    return _build_system_call(builder, _GET_AFFINITY, word(0), word(CPU_MASK_BYTES), address)


@intrinsic("intp(intp)", _build_get_affinity)
def get_affinity(address: int) -> int:
    """Write the bits of the CPUs that this thread may use; negative if that fails."""
    mask = sum(1 << cpu for cpu in os.sched_getaffinity(0))
    ctypes.memmove(address, mask.to_bytes(CPU_MASK_BYTES, "little"), CPU_MASK_BYTES)
    return CPU_MASK_BYTES


def _build_set_affinity(builder: Any, address: Any) -> Any:
    word = _types()[2]
    return _build_system_call(builder, _SET_AFFINITY, word(0), word(CPU_MASK_BYTES), address)


@intrinsic("intp(intp)", _build_set_affinity)
def set_affinity(address: int) -> int:
    """Set what `get_affinity` reads; negative if that fails, no CPU left for example."""
    mask = int.from_bytes(ctypes.string_at(address, CPU_MASK_BYTES), "little")
    os.sched_setaffinity(0, [cpu for cpu in range(8 * CPU_MASK_BYTES) if mask >> cpu & 1])
    return 0
