"""Staging of whole small planes by a list of rows, found out once for all planes of a kind.

A row of 14 cells is one vector: finding out where it comes from takes longer than moving it. The
list says where each row of cells begins, where it goes and how long it is. Vectors are loaded under
a mask and stored whole: lanes beyond a row are the fill value, which lies there or is overwritten
by the rows below. What a border repeats at the sides is copied cell by cell afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled._jit import intrinsic
from faltung.compiled.schedule import AxisLayout
from faltung.compiled.simd import Element, Emitter, Interpreter, Value, declare, memory
from faltung.compiled.task import Axis

__all__ = ["PlaneRows", "plane_rows", "row_copier"]


class PlaneRows(NamedTuple):
    """How a plane is staged; offsets are in bytes.

    `rows` has a line (source, target, cells, vectors) for each row, in the order of the targets;
    `cells` a line (source, target) for each cell of a border at the sides.
    """

    rows: NDArray[np.int64]
    cells: NDArray[np.int64]
    is_filled: bool  # whether any staged cell is outside


def _sources(axis: Axis, layout: AxisLayout, box: int) -> NDArray[np.int64]:
    """The cell that each slot of an axis shows, (copies, slots); -1 for none."""
    slots = np.arange(box + layout.extra) * axis.stride - axis.before
    positions = np.array(layout.starts)[:, None] + slots
    shown = np.array((*axis.low, *range(axis.length), *axis.high, -1))
    found: NDArray[np.int64] = shown[np.minimum(positions + axis.before, len(shown) - 1)]
    return found


def plane_rows(
    axes: tuple[Axis, Axis],
    layouts: tuple[AxisLayout, AxisLayout],
    steps: tuple[int, int],
    element: Element,
) -> PlaneRows:
    """Find out how planes are staged whose outputs all belong to one box.

    Parameters
    ----------
    axes, layouts : pair of Axis, pair of AxisLayout
        Rows and columns.
    steps : pair of int
        Bytes from row to row and from cell to cell of the input.
    element : Element
        The lanes of the vectors that rows are copied in.
    """
    axis_w = axes[1]
    size, lanes = element.size, element.lanes
    shown_h, shown_w = (
        _sources(axis, layout, axis.outputs) for axis, layout in zip(axes, layouts, strict=True)
    )
    pitch, rows, cells = shown_w.shape[1] * size, [], []
    for copy, shown in enumerate(shown_w):
        first = layouts[1].starts[copy] - axis_w.before
        positions = first + np.arange(len(shown)) * axis_w.stride
        inside = np.flatnonzero((positions >= 0) & (positions < axis_w.length))
        sides = np.flatnonzero((shown >= 0) & ((positions < 0) | (positions >= axis_w.length)))
        for number, cell in enumerate(shown_h.ravel()):
            source, target = cell * steps[0], (copy * shown_h.size + number) * pitch
            if cell >= 0 and len(inside):
                start = source + positions[inside[0]] * steps[1]
                vectors = -(-len(inside) // lanes)
                rows.append((start, target + inside[0] * size, len(inside), vectors))
            if cell >= 0:
                cells += [(source + shown[i] * steps[1], target + i * size) for i in sides]
    is_filled = bool((shown_h < 0).any() or (shown_w < 0).any())
    return PlaneRows(
        np.array(rows, np.int64).reshape(-1, 4), np.array(cells, np.int64).reshape(-1, 2), is_filled
    )


def _load_some(builder: Any, machine: Any, address: Value, count: Value, rest: Value) -> Value:
    """``llvm.masked.load``: lanes from `count` on are those of `rest`, and not touched."""
    from llvmlite import ir

    lanes, half = machine.element.lanes, ir.IntType(32)
    numbers = ir.VectorType(half, lanes)
    undefined = ir.Constant(numbers, ir.Undefined)
    # Counts are small or, behind a row's end, negative; as 32 bits they are one comparison.
    first = builder.insert_element(undefined, builder.trunc(count, half), half(0))
    limit = builder.shuffle_vector(first, undefined, ir.Constant(numbers, None))
    flags = builder.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), limit)
    letters = f"v{lanes}{'f' if machine.element.is_float else 'i'}{8 * machine.element.size}"
    pointer = builder.inttoptr(address, ir.PointerType(rest.type))
    arguments = [pointer.type, half, flags.type, rest.type]
    load = declare(builder.module, f"llvm.masked.load.{letters}.p0", rest.type, arguments)
    return builder.call(load, [pointer, half(machine.element.size), flags, rest])


def _load_meaning(machine: Any, address: Value, count: Value, rest: Value) -> Value:
    cells = rest.copy()
    if count > 0:
        some = min(count, len(cells))
        cells[:some] = memory(address, machine.element.dtype, some)
    return cells


def _copy_rows(machine: Any, every: int, load_some: Any, values: Any) -> None:
    target, source, table, rows, fill = values
    size, lanes = machine.element.vector_size, machine.element.lanes
    rest = machine.broadcast(fill)

    def copy_row(_number: Value, carried: Any) -> list[Value]:
        line = carried[0]
        words = [machine.load_integer(machine.plus(line, 8 * place)) for place in range(4)]
        cells, slots = machine.plus(source, words[0]), machine.plus(target, words[1])

        def copy(_vector: Value, places: Any) -> list[Value]:
            cells, slots, left = places
            vector = load_some(machine, cells, left, rest)
            if every == 2:
                more = machine.minus(left, lanes)
                second = load_some(machine, machine.plus(cells, size), more, rest)
                vector = machine.every_second(vector, second, 0)
            machine.store(vector, slots)
            return [
                machine.plus(cells, every * size),
                machine.plus(slots, size),
                machine.minus(left, every * lanes),
            ]

        # Of every second cell the last one has no neighbour that is known to be there.
        left = machine.minus(machine.times(words[2], every), every - 1)
        machine.loop(words[3], [cells, slots, left], copy)
        return [machine.plus(line, 32)]

    machine.loop(rows, [table], copy_row)


@cache
def row_copier(element: Element, every: int) -> Callable[[int, int, int, int, int], None]:
    """The instruction that copies rows by their list, all cells or every second one.

    It takes the address of the staged plane and of the input's, that of the lines of
    `PlaneRows.rows` and how many there are, at least one, and that of the fill value.
    """

    def emit(builder: Any, *values: Any) -> None:
        def load_some(machine: Any, *given: Any) -> Value:
            return _load_some(builder, machine, *given)

        _copy_rows(Emitter(builder, element), every, load_some, values)

    @intrinsic("void(intp, intp, intp, intp, intp)", emit)
    def meaning(target: int, source: int, table: int, rows: int, fill: int) -> None:
        values = target, source, table, rows, fill
        _copy_rows(Interpreter(element), every, _load_meaning, values)

    return meaning
