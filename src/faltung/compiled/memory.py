"""Memory by address: words of an argument block, single elements, calls of functions by address.

Compiled code of the direct plan is handed addresses and numbers only, so that one compiled
function serves every shape, every memory order and read-only arrays alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from faltung.compiled._jit import Job, intrinsic
from faltung.compiled.simd import Element, Emitter, Interpreter, memory

__all__ = [
    "address_of", "bits_of", "copier", "float_of", "invoke", "loader", "put_word",
    "storer", "word",
]  # fmt: skip


def _emit_word(builder: Any, block: Any, index: Any) -> Any:
    from llvmlite import ir

    return builder.load(
        builder.gep(builder.inttoptr(block, ir.PointerType(ir.IntType(64))), [index])
    )


@intrinsic("intp(intp, intp)", _emit_word)
def word(block: int, index: int) -> int:
    """The 64-bit integer number `index` of the block at an address."""
    return int(memory(block + 8 * index, "int64")[0])


def _emit_put_word(builder: Any, block: Any, index: Any, value: Any) -> None:
    from llvmlite import ir

    pointer = builder.inttoptr(block, ir.PointerType(ir.IntType(64)))
    builder.store(value, builder.gep(pointer, [index]))


@intrinsic("void(intp, intp, intp)", _emit_put_word)
def put_word(block: int, index: int, value: int) -> None:
    """Write the 64-bit integer number `index` of the block at an address."""
    memory(block + 8 * index, "int64")[0] = value


_interpreted: dict[int, Job] = {}
_numbers = itertools.count(1)


def address_of(job: Job) -> int:
    """What `invoke` calls a job by: its address or, where nothing compiles, a number."""
    if job.address:
        return job.address
    for number, known in _interpreted.items():
        if known is job:
            return number
    number = next(_numbers)
    _interpreted[number] = job
    return number


def _emit_invoke(builder: Any, address: Any, first: Any, second: Any, third: Any) -> None:
    from llvmlite import ir

    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 3)
    function = builder.inttoptr(address, ir.PointerType(kind))
    builder.call(function, [first, second, third])


@intrinsic("void(intp, intp, intp, intp)", _emit_invoke)
def invoke(address: int, first: int, second: int, third: int) -> None:
    """Call the job at an address."""
    _interpreted[address].python(first, second, third)


def _llvm_type(dtype: str) -> Any:
    from llvmlite import ir

    if dtype.startswith("float"):
        return ir.FloatType() if dtype == "float32" else ir.DoubleType()
    return ir.IntType(8 * np.dtype(dtype).itemsize)


def _element(builder: Any, dtype: str, base: Any, index: Any) -> Any:
    from llvmlite import ir

    # Base and index stay apart: the compiler then sees neighbours in a loop over the index.
    return builder.gep(builder.inttoptr(base, ir.PointerType(_llvm_type(dtype))), [index])


@cache
def loader(dtype: str) -> Callable[[int, int], Any]:
    """The instruction that reads element `index` of an array of a dtype at an address."""
    size = np.dtype(dtype).itemsize

    def emit(builder: Any, base: Any, index: Any) -> Any:
        return builder.load(_element(builder, dtype, base, index), align=size)

    @intrinsic(f"{dtype}(intp, intp)", emit)
    def load(base: int, index: int) -> Any:
        return memory(base + index * size, dtype)[0]

    return load


@cache
def storer(dtype: str) -> Callable[[int, int, Any], None]:
    """The instruction that writes element `index` of an array of a dtype at an address."""
    size = np.dtype(dtype).itemsize

    def emit(builder: Any, base: Any, index: Any, value: Any) -> None:
        builder.store(value, _element(builder, dtype, base, index), align=size)

    @intrinsic(f"void(intp, intp, {dtype})", emit)
    def store(base: int, index: int, value: Any) -> None:
        memory(base + index * size, dtype)[0] = value

    return store


def _copy_vectors(machine: Any, target: Any, source: Any, count: Any) -> None:
    lanes, size = machine.element.lanes, machine.element.vector_size

    def copy(number: Any, _carried: Any) -> list[Any]:
        step = machine.times(number, size)
        machine.store(machine.load(machine.plus(source, step)), machine.plus(target, step))
        return []

    machine.loop(machine.divided(count, lanes), [], copy)
    # The last vector overlaps the one before it, so that no element is copied alone.
    rest = machine.times(machine.minus(count, lanes), machine.element.size)
    machine.store(machine.load(machine.plus(source, rest)), machine.plus(target, rest))


@cache
def copier(dtype: str, lanes: int) -> Callable[[int, int, int], None]:
    """The instruction that copies `count` neighbouring elements, at least `lanes`, to a target."""
    element = Element(dtype, lanes, True)

    def emit(builder: Any, target: Any, source: Any, count: Any) -> None:
        _copy_vectors(Emitter(builder, element), target, source, count)

    @intrinsic("void(intp, intp, intp)", emit)
    def copy(target: int, source: int, count: int) -> None:
        _copy_vectors(Interpreter(element), target, source, count)

    return copy


def _emit_from_bits(builder: Any, bits: Any) -> Any:
    from llvmlite import ir

    return builder.bitcast(bits, ir.FloatType())


@intrinsic("float32(uint32)", _emit_from_bits)
def float_of(bits: Any) -> Any:
    """The float32 with the given bits."""
    return np.uint32(bits).view(np.float32)


def _emit_bits(builder: Any, number: Any) -> Any:
    from llvmlite import ir

    return builder.bitcast(number, ir.IntType(32))


@intrinsic("uint32(float32)", _emit_bits)
def bits_of(number: Any) -> Any:
    """The bits of a float32."""
    return np.float32(number).view(np.uint32)
