"""Register tiles of pictures of bytes: rows widened and summed across, then along and rounded.

Bytes become float32 in the register that they are loaded into, and sums become bytes in the one
that they were summed in: what lies between the two passes are some rows of a segment, in L1.

A sum that is not sure of its rounding is flagged. Sums count steps of 2⁻¹⁶, a half and the margin
are in them from the start, so the upper half of the number is the result, and it is sure unless
the lower half is less than two margins.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from faltung.compiled._jit import Intrinsic, intrinsic
from faltung.compiled.simd import Element, Emitter, Interpreter, Value, memory

__all__ = ["POINT", "VECTORS", "RoundedTile", "WidenedTile", "rounded_tile", "widened_tile"]

POINT = 16
"""Binary digits behind the point of a sum that is rounded."""
VECTORS = 4
"""Vectors of a block of results: with AVX-512 a block is a cache line."""
_MAGIC = 1.5 * 2.0**23  # added, it leaves a float32 no bits behind the point: halves go to even


class WidenedTile(NamedTuple):
    """The pass across the rows of some bytes, or, of one kernel row, nothing but widening.

    Parameters
    ----------
    dtype : {"int8", "uint8"}
        Dtype of the picture.
    element : Element
        The lanes of the vectors of float32 that come out.
    rows, kernel_rows : int
        Rows that come out, and rows of the kernel that are summed.
    """

    dtype: str
    element: Element
    rows: int
    kernel_rows: int

    @property
    def columns(self) -> int:
        """Outputs of a row of the tile: the least that a row may have."""
        return 2 * self.element.lanes


class RoundedTile(NamedTuple):
    """The pass that ends in bytes.

    Parameters
    ----------
    dtype : {"int8", "uint8"}
        Dtype of the results.
    element : Element
        The lanes of the vectors of float32 that are summed.
    rows : int
        Rows of results.
    kernel_rows, kernel_columns, step : int
        Rows and columns of the kernel that are summed, and cells from column to column.
    is_exact : bool
        Whether sums are exact: halves are then rounded to even, and no sum is flagged.
    """

    dtype: str
    element: Element
    rows: int
    kernel_rows: int
    kernel_columns: int
    step: int
    is_exact: bool

    @property
    def is_unrolled(self) -> bool:
        """Whether each column of the kernel has code of its own; much takes long to compile."""
        return self.kernel_rows == 1 or self.kernel_rows * self.kernel_columns <= 9

    @property
    def columns(self) -> int:
        """Results of a block: the least that a row may have."""
        return VECTORS * self.element.lanes


class _ByteInterpreter(Interpreter):
    """`Interpreter` with what bytes need."""

    def lesser(self, left: Value, right: Value) -> Value:
        """The smaller one of two whole numbers."""
        return min(left, right)

    def number(self, value: int) -> Value:
        """A whole number."""
        return value

    def load_bytes(self, address: Value, dtype: str) -> Value:
        """A vector of the neighbouring bytes at an address."""
        return memory(address, dtype, self.element.lanes).astype(np.float32)

    def flag(self, sums: Value, limit: Value, address: Value) -> Value:
        """The sums as whole numbers; bits at an address tell whose lower halves are small."""
        numbers = sums.astype(np.int32)
        is_unsure = (numbers & limit.view(np.int32)) == 0
        memory(address, "uint8", len(sums) // 8)[:] = np.packbits(is_unsure, bitorder="little")
        return numbers

    def whole(self, sums: Value) -> Value:
        """The nearest whole numbers, in the lower halves."""
        return (sums + np.float32(_MAGIC)).view(np.int32)

    def store_halves(self, vectors: list[Value], half: int, address: Value, dtype: str) -> None:
        """Write the lower or upper halves of numbers as bytes, saturated."""
        halves = np.concatenate([vector.view(np.int16)[half::2] for vector in vectors])
        ends = np.iinfo(dtype)
        memory(address, dtype, len(halves))[:] = halves.clip(ends.min, ends.max).astype(dtype)


class _ByteEmitter(Emitter):
    """`Emitter` with what bytes need; see `_ByteInterpreter`."""

    def lesser(self, left: Value, right: Value) -> Value:
        """``select`` on ``icmp``."""
        is_less = self._builder.icmp_signed("<", left, right)
        return self._builder.select(is_less, left, right)

    def number(self, value: int) -> Value:
        """``i64``."""
        return self._ir.Constant(self._ir.IntType(64), value)

    def _kind(self, bits: int, lanes: int) -> Any:
        return self._ir.VectorType(self._ir.IntType(bits), lanes)

    def load_bytes(self, address: Value, dtype: str) -> Value:
        """``load <n x i8>``, ``zext`` or ``sext``, and ``sitofp``."""
        builder, lanes = self._builder, self.element.lanes
        cells = builder.load(self._pointer(address, self._kind(8, lanes)), align=1)
        extend = builder.zext if dtype == "uint8" else builder.sext
        return builder.sitofp(extend(cells, self._kind(32, lanes)), self._vector)

    def flag(self, sums: Value, limit: Value, address: Value) -> Value:
        """``fptosi``, ``and`` and ``icmp eq``."""
        ir, builder, lanes = self._ir, self._builder, self.element.lanes
        kind, flags = self._kind(32, lanes), ir.IntType(lanes)
        numbers = builder.fptosi(sums, kind)
        low = builder.and_(numbers, builder.bitcast(limit, kind))
        is_unsure = builder.icmp_unsigned("==", low, ir.Constant(kind, None))
        builder.store(builder.bitcast(is_unsure, flags), self._pointer(address, flags), align=1)
        return numbers

    def whole(self, sums: Value) -> Value:
        """``fadd``."""
        magic = self._ir.Constant(self._vector, [_MAGIC] * self.element.lanes)
        kind = self._kind(32, self.element.lanes)
        return self._builder.bitcast(self._builder.fadd(sums, magic), kind)

    def _packed(self, parts: list[Value], dtype: str) -> Value:
        """``vpackuswb`` or ``vpacksswb``, which take eight of each in turns, put in order."""
        sign, kind = "u" if dtype == "uint8" else "s", self._kind(8, 64)
        name = f"llvm.x86.avx512.pack{sign}swb.512"
        mixed = self._builder.call(self._declare(name, kind, [self._kind(16, 32)] * 2), parts)
        eights = [range(8 * i, 8 * i + 8) for i in (0, 2, 4, 6, 1, 3, 5, 7)]
        return self.pick(mixed, mixed, [place for eight in eights for place in eight])

    def store_halves(self, vectors: list[Value], half: int, address: Value, dtype: str) -> None:
        """``shufflevector`` and ``trunc`` of what ``icmp`` and ``select`` have clamped."""
        builder, lanes = self._builder, self.element.lanes
        short, ends = self._kind(16, 2 * lanes), np.iinfo(dtype)
        parts = [builder.bitcast(vector, short) for vector in vectors]
        pointer = self._pointer(address, self._kind(8, VECTORS * lanes))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [self.pick(a, b, range(half, 4 * lanes, 2)) for a, b in pairs]
        if lanes == 16:
            builder.store(self._packed(parts, dtype), pointer, align=1)
            return
        parts = [self.pick(parts[0], parts[1], range(4 * lanes))]
        kind = parts[0].type
        for sign, end in (("<", ends.min), (">", ends.max)):
            limit = self._ir.Constant(kind, [int(end)] * kind.count)
            is_beyond = builder.icmp_signed(sign, parts[0], limit)
            parts = [builder.select(is_beyond, limit, parts[0])]
        builder.store(builder.trunc(parts[0], self._kind(8, kind.count)), pointer, align=1)


def _widen(machine: Any, shape: WidenedTile, values: Any) -> None:
    table, first, count, weight, out, pitch = values
    lanes, size, taps = shape.element.lanes, shape.element.size, shape.kernel_rows
    weights = [machine.broadcast(machine.plus(weight, i * size)) for i in range(taps)]
    last = machine.minus(count, shape.columns)
    targets = [out]
    for _ in range(1, shape.rows):
        targets.append(machine.plus(targets[-1], pitch))

    def sum_tile(number: Value, _carried: Any) -> list[Value]:
        # The last tile overlaps the one before it: nothing is read beyond a row.
        column = machine.lesser(machine.times(number, shape.columns), last)
        cells_at = machine.plus(first, column)
        sums: list[Any] = [None] * (2 * shape.rows)
        for row in range(shape.rows + taps - 1):
            source = machine.plus(machine.load_integer(machine.plus(table, 8 * row)), cells_at)
            for s in range(2):
                cells = machine.load_bytes(machine.plus(source, s * lanes), shape.dtype)
                for r in range(max(0, row - taps + 1), min(row + 1, shape.rows)):
                    place, factor = 2 * r + s, weights[row - r]
                    if taps == 1:
                        sums[place] = cells
                    elif sums[place] is None:
                        sums[place] = machine.multiply(factor, cells)
                    else:
                        sums[place] = machine.multiply_add(factor, cells, sums[place])
        step = machine.times(column, size)
        for place, total in enumerate(sums):
            target = machine.plus(machine.plus(targets[place // 2], step), place % 2 * lanes * size)
            machine.store(total, target)
        return []

    tiles = machine.divided(machine.plus(count, shape.columns - 1), shape.columns)
    machine.loop(tiles, [], sum_tile)


def _add_column(
    machine: Any, shape: RoundedTile, before: Any, sources: list[Value], weights: list[Value]
) -> list[Value]:
    """The sums with one column of the kernel; the rows that it sees begin at `sources`."""
    sums: list[Value] = list(before)
    for row, source in enumerate(sources):
        for s in range(VECTORS):
            cells = machine.load(machine.plus(source, s * shape.element.vector_size))
            for r in range(max(0, row - shape.kernel_rows + 1), min(row + 1, shape.rows)):
                place = r * VECTORS + s
                sums[place] = machine.multiply_add(weights[row - r], cells, sums[place])
    return sums


def _store_block(machine: Any, shape: RoundedTile, sums: list[Value], values: Any) -> None:
    limit, targets, column, flags, flag_pitch = values
    for r in range(shape.rows):
        target = machine.plus(machine.load_integer(machine.plus(targets, 8 * r)), column)
        numbers = []
        for s, total in enumerate(sums[r * VECTORS : (r + 1) * VECTORS]):
            place = machine.plus(flags, s * shape.element.lanes // 8)
            is_exact = shape.is_exact
            numbers.append(machine.whole(total) if is_exact else machine.flag(total, limit, place))
        machine.store_halves(numbers, 0 if shape.is_exact else 1, target, shape.dtype)
        flags = machine.plus(flags, flag_pitch)


def _round(machine: Any, shape: RoundedTile, values: Any) -> None:
    x, pitch, weight, targets, first, count, flags, flag_pitch = values
    size, taps, rows = shape.element.size, shape.kernel_rows, shape.rows + shape.kernel_rows - 1
    step, all_taps = shape.step * size, taps * shape.kernel_columns

    def weights_from(place: Value, count: int) -> list[Value]:
        return [machine.broadcast(machine.plus(place, i * size)) for i in range(count)]

    start, limit = weights_from(machine.plus(weight, all_taps * size), 2)
    known = weights_from(weight, all_taps) if shape.is_unrolled else []
    last = machine.minus(count, shape.columns)
    end = machine.plus(x, machine.times(last, size))

    def sum_block(number: Value, _carried: Any) -> list[Value]:
        # An address of its own, not an index to one: a multiply-add with its cells is one step.
        cells_at = machine.plus(x, machine.times(number, shape.columns * size))
        sources = [machine.lesser(cells_at, end)]
        for _ in range(1, rows):
            sources.append(machine.plus(sources[-1], pitch))

        def add_column(i: Value, sums: Any) -> list[Value]:
            weights = weights_from(machine.plus(weight, machine.times(i, taps * size)), taps)
            seen = [machine.plus(source, machine.times(i, step)) for source in sources]
            return _add_column(machine, shape, sums, seen, weights)

        sums = [start] * (shape.rows * VECTORS)
        if shape.is_unrolled:
            for i in range(shape.kernel_columns):
                seen = [machine.plus(source, i * step) for source in sources]
                weights = known[i * taps : (i + 1) * taps]
                sums = _add_column(machine, shape, sums, seen, weights)
        else:
            sums = list(machine.loop(machine.number(shape.kernel_columns), sums, add_column))
        place = machine.plus(flags, machine.times(number, shape.columns // 8))
        column = machine.lesser(machine.times(number, shape.columns), last)
        column = machine.plus(first, column)
        _store_block(machine, shape, sums, (limit, targets, column, place, flag_pitch))
        return []

    blocks = machine.divided(machine.plus(count, shape.columns - 1), shape.columns)
    machine.loop(blocks, [], sum_block)


@cache
def widened_tile(shape: WidenedTile) -> Intrinsic:
    """The instruction that runs tiles along rows of bytes.

    It takes six integers: the address of the rows' addresses, the first byte of them that is read
    and how many are, at least ``shape.columns``; the address of the weights, in float32; address
    and bytes from row to row of the sums.
    """

    def emit(builder: Any, *values: Any) -> None:
        _widen(_ByteEmitter(builder, shape.element), shape, values)

    @intrinsic("void(intp, intp, intp, intp, intp, intp)", emit)
    def widen(table: int, first: int, count: int, weight: int, out: int, pitch: int) -> None:
        values = table, first, count, weight, out, pitch
        _widen(_ByteInterpreter(shape.element), shape, values)

    return widen  # type: ignore[return-value]


@cache
def rounded_tile(shape: RoundedTile) -> Intrinsic:
    """The instruction that runs tiles along rows of float32 and stores bytes.

    It takes eight integers: the address of the cell that the first result's first tap sees, and
    bytes from row to row; the address of the weights ``[column][row]`` in float32, which are
    followed by what sums begin with and by the bits that are all zero where a sum is not sure;
    the address of the addresses of the rows of results, the first result that is written, and how
    many are, at least ``shape.columns``; and where flags go, a bit for each result of a block and
    the blocks of a row behind each other, and bytes from row to row. The last block overlaps the
    one before it.
    """

    def emit(builder: Any, *values: Any) -> None:
        _round(_ByteEmitter(builder, shape.element), shape, values)

    @intrinsic("void(intp, intp, intp, intp, intp, intp, intp, intp)", emit)
    def round_rows(
        x: int, pitch: int, weight: int, targets: int, first: int, count: int, flags: int,
        flag_pitch: int,
    ) -> None:  # fmt: skip
        values = x, pitch, weight, targets, first, count, flags, flag_pitch
        _round(_ByteInterpreter(shape.element), shape, values)

    return round_rows  # type: ignore[return-value]
