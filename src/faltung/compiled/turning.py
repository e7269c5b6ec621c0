"""Turning round: from rows that lie apart to vectors across them, a few cells of each at a time.

A unit takes 16 bytes of each of as many rows as a vector has lanes. It is put together from memory,
which costs the processor no more than loading it, and then turned within the quarters of a vector:
4 cells of 16 rows take 8 shuffles, where a square of 16 by 16 takes 64 on the one port that has
them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled._jit import Intrinsic, intrinsic
from faltung.compiled.simd import Element, Emitter, Interpreter, Value, memory

__all__ = ["PART_SIZE", "starts", "turner", "units"]

PART_SIZE = 16
"""Bytes of a row that a unit takes."""


def starts(count: int, size: int) -> list[int]:
    """Where parts of one size begin that cover a count, the last over cells of the one before."""
    return [min(start, count - size) for start in range(0, count, size)]


def units(sources: Any, targets: Any) -> NDArray[np.int64]:
    """The table of a `turner`: how far from source and target each unit begins, in bytes."""
    return np.stack([np.asarray(sources), np.asarray(targets)], axis=-1).astype(np.int64)


def _load_parts(builder: Any, machine: Any, addresses: list[Value]) -> Value:
    """A load of each 16 bytes, and ``shufflevector`` to put them side by side."""
    from llvmlite import ir

    scalar = machine.zero().type.element
    kind = ir.VectorType(scalar, PART_SIZE // machine.element.size)
    pieces = [
        builder.load(builder.inttoptr(address, ir.PointerType(kind)), align=machine.element.size)
        for address in addresses
    ]
    while len(pieces) > 1:
        count = pieces[0].type.count
        places = ir.Constant(ir.VectorType(ir.IntType(32), 2 * count), list(range(2 * count)))
        pairs = zip(pieces[::2], pieces[1::2], strict=True)
        pieces = [builder.shuffle_vector(*pair, places) for pair in pairs]
    return pieces[0]


def _parts_meaning(machine: Any, addresses: list[Value]) -> Value:
    dtype, count = machine.element.dtype, PART_SIZE // machine.element.size
    return np.concatenate([memory(address, dtype, count) for address in addresses])


def _turn(machine: Any, load_parts: Any, values: Any) -> None:
    source, pitch, target, step, table, count = values
    width = PART_SIZE // machine.element.size
    lanes = machine.element.lanes
    # Two vectors' lanes in turns, within each part the first or the second half of them.
    lower = [
        lanes * (i % 2) + part + i // 2 for part in range(0, lanes, width) for i in range(width)
    ]
    upper = [place + width // 2 for place in lower]
    ways = [machine.times(pitch, row) for row in range(lanes)]

    def turn_unit(_number: Value, carried: Any) -> list[Value]:
        line = carried[0]
        first = machine.plus(source, machine.load_integer(line))
        rows = [machine.plus(first, way) for way in ways]
        vectors = [load_parts(machine, rows[first::width]) for first in range(width)]
        for _ in range(width.bit_length() - 1):
            pairs = list(zip(vectors[: width // 2], vectors[width // 2 :], strict=True))
            vectors = [machine.pick(*pair, half) for pair in pairs for half in (lower, upper)]
        place = machine.plus(target, machine.load_integer(machine.plus(line, 8)))
        for vector in vectors:
            machine.store(vector, place)
            place = machine.plus(place, step)
        return [machine.plus(line, 16)]

    machine.loop(count, [table], turn_unit)


@cache
def turner(element: Element) -> Intrinsic:
    """The instruction that turns units round by their list.

    It takes six integers: the address of the first of as many rows as a vector has lanes, and the
    bytes from row to row; the address that the vectors go to, and the bytes from one cell's vector
    to the next one's; the address of the `units` and how many there are, at least one.
    """

    def emit(builder: Any, *values: Any) -> None:
        def load_parts(machine: Any, addresses: list[Value]) -> Value:
            return _load_parts(builder, machine, addresses)

        _turn(Emitter(builder, element), load_parts, values)

    @intrinsic(f"void({', '.join(['intp'] * 6)})", emit)
    def meaning(source: int, pitch: int, target: int, step: int, table: int, count: int) -> None:
        values = source, pitch, target, step, table, count
        _turn(Interpreter(element), _parts_meaning, values)

    return meaning  # type: ignore[return-value]
