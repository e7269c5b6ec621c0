"""Instructions that stage whole blocks of rows: neighbours, every second cell, channels last.

A row is moved in whole vectors, the last of which overlaps the one before it: nothing is read
beyond the row's last cell, and nothing is written beyond its last slot. Slots of a border that is
filled are written first, as whole vectors too, which the cells then overwrite where they belong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from faltung.compiled._jit import intrinsic
from faltung.compiled.simd import Element, Emitter, Interpreter, Value

__all__ = ["VECTOR_SIZES", "copy_rows", "transpose_cells"]

VECTOR_SIZES = (64, 32, 16)
"""Bytes of a vector, from which the largest is taken that a row is long enough for."""


def _elements(dtype: str) -> list[Element]:
    return [Element(dtype, size // np.dtype(dtype).itemsize, True) for size in VECTOR_SIZES]


def _choose(machines: list[Any], lanes: Value, run: Callable[[Any], None]) -> None:
    """Run with the machine that has so many lanes."""
    machine, others = machines[0], machines[1:]
    if not others:
        run(machine)
        return
    is_other = machine.minus(lanes, machine.element.lanes)
    machine.choose(is_other, lambda: _choose(others, lanes, run), lambda: run(machine))


def _fill(machine: Any, vector: Value, target: Value, step: int, vectors: Value) -> None:
    """So many vectors, perhaps none, each a step after the one before."""

    def store(number: Value, _carried: Any) -> list[Value]:
        machine.store(vector, machine.plus(target, machine.times(number, step)))
        return []

    def repeat() -> None:
        machine.loop(vectors, [], store)

    machine.choose(vectors, repeat, lambda: None)


def _copy_rows(machine: Any, every: int, values: Any) -> None:
    (
        target, pitch, source, source_pitch, rows, vectors, rest, start, before, end, after, fill,
    ) = values  # fmt: skip
    element, size = machine.element, machine.element.vector_size
    border = machine.broadcast(fill)

    def move(target: Value, source: Value, is_last: bool) -> None:
        vector = machine.load(source)
        if every == 2:
            second = machine.load(machine.plus(source, size))
            vector = machine.every_second(vector, second, int(is_last))
        machine.store(vector, target)

    def copy_row(_number: Value, row: Any) -> list[Value]:
        slots, cells = row
        _fill(machine, border, slots, size, before)
        _fill(machine, border, machine.plus(slots, end), -size, after)
        inside = machine.plus(slots, start)

        def copy(number: Value, _carried: Any) -> list[Value]:
            step = machine.times(number, size)
            move(machine.plus(inside, step), machine.plus(cells, machine.times(step, every)), False)
            return []

        machine.loop(vectors, [], copy)
        # Of every second cell the last vector begins one cell early: none beyond it is read.
        last = machine.plus(cells, machine.times(rest, every))
        last = machine.minus(last, element.size) if every == 2 else last
        move(machine.plus(inside, rest), last, True)
        return [machine.plus(slots, pitch), machine.plus(cells, source_pitch)]

    machine.loop(rows, [target, source], copy_row)


@cache
def copy_rows(dtype: str, every: int) -> Callable[..., None]:
    """The instruction that stages some rows, at least one, of all or of every second cell.

    It takes thirteen integers: the lanes of its vectors, one of those that `VECTOR_SIZES` hold;
    the address of the first row and the bytes from row to row of the target and of the source's
    first cell; the rows; the vectors of cells but the last and the bytes to the last one; then
    in bytes from a row's begin where its cells go, how many vectors are filled from the begin on,
    where the last vector of the row lies, and how many are filled from there backwards; and the
    address of what they are filled with. With `every` 2 a row has more cells than a vector, else
    at least as many.
    """
    elements = _elements(dtype)

    def emit(builder: Any, lanes: Any, *values: Any) -> None:
        machines = [Emitter(builder, element) for element in elements]
        _choose(machines, lanes, lambda machine: _copy_rows(machine, every, values))

    @intrinsic(f"void({', '.join(['intp'] * 13)})", emit)
    def meaning(
        lanes: int, target: int, pitch: int, source: int, source_pitch: int, rows: int,
        vectors: int, rest: int, start: int, before: int, end: int, after: int, fill: int,
    ) -> None:  # fmt: skip
        machines = [Interpreter(element) for element in elements]
        values = (
            target, pitch, source, source_pitch, rows, vectors, rest, start, before, end, after,
            fill,
        )  # fmt: skip
        _choose(machines, lanes, lambda machine: _copy_rows(machine, every, values))

    return meaning


def _transposed(machine: Any, vectors: list[Value]) -> list[Value]:
    """Lane i of vector j as lane j of vector i: squares of lanes change places, large first."""
    vectors, distance = list(vectors), len(vectors) // 2
    while distance:
        for i in range(len(vectors)):
            if not i & distance:
                pair = machine.exchange(vectors[i], vectors[i + distance], distance)
                vectors[i], vectors[i + distance] = pair
        distance //= 2
    return vectors


def _transpose_cells(machine: Any, values: Any) -> None:
    target, plane, source, step, vectors, rest, rest_at = values
    lanes, size = machine.element.lanes, machine.element.vector_size

    def move(target: Value, source: Value) -> None:
        cells = []
        for _ in range(lanes):
            cells.append(machine.load(source))
            source = machine.plus(source, step)
        for vector in _transposed(machine, cells):
            machine.store(vector, target)
            target = machine.plus(target, plane)

    def copy(_number: Value, places: Any) -> list[Value]:
        target, source = places
        move(target, source)
        for _ in range(lanes):
            source = machine.plus(source, step)
        return [machine.plus(target, size), source]

    machine.loop(vectors, [target, source], copy)
    move(machine.plus(target, rest), machine.plus(source, rest_at))


@cache
def transpose_cells(dtype: str, lanes: int) -> Callable[..., None]:
    """The instruction that stages cells of a row, at least `lanes`, of as many channels.

    The channels of a cell are neighbours. It takes seven integers: the addresses of the first
    slot, and bytes from one channel's plane to the next; of the first cell, and bytes from cell to
    cell; the vectors of cells but the last; and where the last one goes and comes from, in bytes.
    """
    element = Element(dtype, lanes, True)

    def emit(builder: Any, *values: Any) -> None:
        _transpose_cells(Emitter(builder, element), values)

    @intrinsic("void(intp, intp, intp, intp, intp, intp, intp)", emit)
    def meaning(
        target: int, plane: int, source: int, step: int, vectors: int, rest: int, rest_at: int
    ) -> None:
        values = (target, plane, source, step, vectors, rest, rest_at)
        _transpose_cells(Interpreter(element), values)

    return meaning
