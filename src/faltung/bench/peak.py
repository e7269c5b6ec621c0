"""The register-only peak: multiply-adds without any memory, the ceiling of every kernel here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from faltung.compiled import parallel
from faltung.compiled._jit import intrinsic, job, unavailable_reason
from faltung.compiled.simd import Emitter, Interpreter
from faltung.compiled.variants import find_row

__all__ = ["Peak", "make_peak"]

# Eight hide the latency of four cycles on two units; AVX2 has sixteen, one of them for the factor.
REGISTERS = 12
STEPS = 20_000
JOBS_A_THREAD = 4


class Peak(NamedTuple):
    """A call that only multiplies and adds.

    Parameters
    ----------
    call : function
        Does it once, on all threads.
    operations : int
        How many floating point operations one call has.
    """

    call: Callable[[], None]
    operations: int


def make_peak(threads: int) -> Peak | None:
    """The peak of float32 on this machine, at the instruction set that faltung's kernels use.

    Parameters
    ----------
    threads : int
        How many share the work.

    Returns
    -------
    Peak or None
        None without a compiler.
    """
    if unavailable_reason():
        return None
    spin, operations = _spin_job()
    jobs = JOBS_A_THREAD * threads
    arguments = np.zeros(8 * REGISTERS * (jobs + 2), np.int64)
    return Peak(lambda: parallel.run(spin, arguments, jobs, threads), operations * jobs)


def _spin_job() -> tuple[Any, int]:
    element = find_row("float32").element
    places = range(0, REGISTERS * element.vector_size, element.vector_size)

    def run(machine: Any, count: Any, memory: Any) -> None:
        # Sums that begin at different numbers: the compiler may not find that they are the same.
        sums = [machine.load(machine.plus(memory, place)) for place in places]
        factor = machine.load(memory)

        def step(_number: Any, totals: Any) -> list[Any]:
            return [machine.multiply_add(factor, factor, total) for total in totals]

        for place, total in zip(places, machine.loop(count, sums, step), strict=True):
            machine.store(total, machine.plus(memory, place))

    def emit(builder: Any, count: Any, memory: Any) -> None:
        run(Emitter(builder, element), count, memory)

    @intrinsic("void(intp, intp)", emit, key=f"peak {element}")
    def spin(count: int, memory: int) -> None:
        run(Interpreter(element), count, memory)

    @job(key=f"peak {element}")
    def peak(_thread: int, arguments: int, number: int) -> None:
        spin(STEPS, arguments + 64 * REGISTERS * (1 + number))

    return peak, 2 * STEPS * REGISTERS * element.lanes
