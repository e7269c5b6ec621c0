"""Memory by address: words of an argument block, single elements, calls of functions by address.

Compiled code of the direct plan is handed addresses and numbers only, so that one compiled
function serves every shape, every memory order and read-only arrays alike.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

from faltung.compiled._jit import Intrinsic, Job, intrinsic
from faltung.compiled.simd import memory

__all__ = ["address_of", "invoke", "loader", "put_word", "storer", "word"]


def _emit_word(builder: Any, block: Any, index: Any) -> Any:
    from llvmlite import ir

    return builder.load(builder.gep(builder.inttoptr(block, ir.PointerType(ir.IntType(64))), [index]))


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
    """What `invoke` calls the job by: its address or, where nothing compiles, a number of its own."""
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
    return ir.IntType(int(dtype.lstrip("uint")))


@cache
def loader(dtype: str) -> Intrinsic:
    """The instruction that reads one element of a dtype at an address."""

    def emit(builder: Any, address: Any) -> Any:
        from llvmlite import ir

        kind = _llvm_type(dtype)
        size = int(dtype.lstrip("uintfloat")) // 8
        return builder.load(builder.inttoptr(address, ir.PointerType(kind)), align=size)

    @intrinsic(f"{dtype}(intp)", emit)
    def load(address: int) -> Any:
        return memory(address, dtype)[0]

    return load  # type: ignore[return-value]


@cache
def storer(dtype: str) -> Intrinsic:
    """The instruction that writes one element of a dtype to an address."""

    def emit(builder: Any, address: Any, value: Any) -> None:
        from llvmlite import ir

        kind = _llvm_type(dtype)
        size = int(dtype.lstrip("uintfloat")) // 8
        builder.store(value, builder.inttoptr(address, ir.PointerType(kind)), align=size)

    @intrinsic(f"void(intp, {dtype})", emit)
    def store(address: int, value: Any) -> None:
        memory(address, dtype)[0] = value

    return store  # type: ignore[return-value]


def _emit_from_bits(builder: Any, bits: Any) -> Any:
    from llvmlite import ir

    return builder.bitcast(bits, ir.FloatType())


@intrinsic("float32(uint32)", _emit_from_bits)
def float_of(bits: Any) -> Any:
    """The float32 with the given bits."""
    import numpy as np

    return np.uint32(bits).view(np.float32)


def _emit_bits(builder: Any, number: Any) -> Any:
    from llvmlite import ir

    return builder.bitcast(number, ir.IntType(32))


@intrinsic("uint32(float32)", _emit_bits)
def bits_of(number: Any) -> Any:
    """The bits of a float32."""
    import numpy as np

    return np.float32(number).view(np.uint32)
