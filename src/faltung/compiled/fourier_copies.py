"""Between the arrays of a call and the points of a block: a vector at a time, converted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from faltung.compiled._jit import intrinsic
from faltung.compiled.simd import Element, Emitter, Interpreter, memory

__all__ = ["prefetch", "put_vector", "take_vector"]


def _vector_type(dtype: str, lanes: int) -> Any:
    from llvmlite import ir

    kinds = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "uint8": ir.IntType(8)}
    return ir.VectorType(kinds[dtype], lanes)


def _as_pointer(builder: Any, address: Any, kind: Any) -> Any:
    from llvmlite import ir

    return builder.inttoptr(address, ir.PointerType(kind))


@cache
def take_vector(element: Element, dtype: str) -> Callable[[int, int], None]:
    """The instruction that copies a vector's numbers to a target, from numbers of a dtype."""
    lanes, size = element.lanes, np.dtype(dtype).itemsize

    def emit(builder: Any, target: Any, source: Any) -> None:
        given, wanted = _vector_type(dtype, lanes), _vector_type(element.dtype, lanes)
        vector = builder.load(_as_pointer(builder, source, given), align=size)
        if dtype == "uint8":
            vector = builder.uitofp(vector, wanted)
        elif given != wanted:
            is_wider = element.size > size
            vector = (builder.fpext if is_wider else builder.fptrunc)(vector, wanted)
        builder.store(vector, _as_pointer(builder, target, wanted), align=element.size)

    @intrinsic("void(intp, intp)", emit)
    def take(target: int, source: int) -> None:
        with np.errstate(all="ignore"):
            memory(target, element.dtype, lanes)[:] = memory(source, dtype, lanes)

    return take


@cache
def put_vector(element: Element, dtype: str) -> Callable[[int, int, int, int], None]:
    """The instruction that writes a vector's numbers as those of a dtype.

    It takes the addresses of target and vector, of a bias that is added and of the least value.
    """
    lanes, size = element.lanes, np.dtype(dtype).itemsize

    def finished(machine: Any, source: Any, bias: Any, least: Any) -> Any:
        total = machine.add(machine.load(source), machine.broadcast(bias))
        return machine.at_least(total, machine.broadcast(least))

    def emit(builder: Any, target: Any, source: Any, bias: Any, least: Any) -> None:
        vector = finished(Emitter(builder, element), source, bias, least)
        wanted = _vector_type(dtype, lanes)
        if vector.type != wanted:
            is_wider = element.size < size
            vector = (builder.fpext if is_wider else builder.fptrunc)(vector, wanted)
        builder.store(vector, _as_pointer(builder, target, wanted), align=size)

    @intrinsic("void(intp, intp, intp, intp)", emit)
    def put(target: int, source: int, bias: int, least: int) -> None:
        with np.errstate(all="ignore"):
            vector = finished(Interpreter(element), source, bias, least)
            memory(target, dtype, lanes)[:] = vector

    return put


def _emit_prefetch(builder: Any, address: Any) -> None:
    Emitter(builder, Element("float32", 4, True)).prefetch(address)


@intrinsic("void(intp)", _emit_prefetch)
def prefetch(address: int) -> None:
    """Ask for the line of the cache at an address, which need not exist."""
