"""What window reductions do with cells besides reducing them: fill, copy, split by stride, spread.

Cells are moved as integers of their size, so there is one job for a size and not for a dtype.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from faltung.compiled import pooling_words as at
from faltung.compiled._jit import Job, intrinsic, job
from faltung.compiled.comparing import ComparingEmitter, ComparingInterpreter
from faltung.compiled.memory import copier, loader, storer, word
from faltung.compiled.pooling_axes import divisor_of
from faltung.compiled.simd import Element, Value

__all__ = ["copy_row", "count_divisors", "fill_row", "split_row", "spread_row", "write_places"]


@cache
def fill_row(size: int) -> Job:
    """The job that writes the low bits of at.VALUE to LENGTH cells at DST."""
    store, load = storer(f"uint{8 * size}"), loader(f"uint{8 * size}")

    @job
    def run_fill(block: int, _call: int, _number: int) -> None:
        target, value = word(block, at.DST), load(block + 8 * at.VALUE, 0)
        for x in range(word(block, at.LENGTH)):
            store(target, x, value)

    return run_fill


@cache
def copy_row(size: int) -> Job:
    """The job that copies LENGTH neighbouring cells from SRC to DST."""
    dtype = f"uint{8 * size}"
    load, store = loader(dtype), storer(dtype)
    many, some = max(64 // size, 1), max(16 // size, 1)
    copy_many, copy_some = copier(dtype, many), copier(dtype, some)

    @job
    def run_copy(block: int, _call: int, _number: int) -> None:
        target, source, length = word(block, at.DST), word(block, at.SRC), word(block, at.LENGTH)
        if length >= many:
            copy_many(target, source, length)
        elif length >= some:
            copy_some(target, source, length)
        else:
            for x in range(length):
                store(target, x, load(source, x))

    return run_copy


@cache
def spread_row(size: int) -> Job:
    """The job that copies LENGTH neighbouring cells from SRC to DST, STEP bytes apart."""
    load, store = loader(f"uint{8 * size}"), storer(f"uint{8 * size}")

    @job
    def run_spread(block: int, _call: int, _number: int) -> None:
        target, source, step = word(block, at.DST), word(block, at.SRC), word(block, at.STEP)
        for x in range(word(block, at.LENGTH)):
            store(target + x * step, 0, load(source, x))

    return run_spread


def _split_in_two(machine: Any, even: Value, odd: Value, source: Value, count: Value) -> None:
    """``count`` pairs of vectors to a vector of their even and one of their odd cells."""
    size = machine.element.vector_size

    def step(number: Value, _carried: Any) -> list[Value]:
        pair, here = machine.times(number, 2 * size), machine.times(number, size)
        first = machine.load(machine.plus(source, pair))
        second = machine.load(machine.plus(source, machine.plus(pair, size)))
        evens, odds = machine.halves(first, second)
        machine.store(evens, machine.plus(even, here))
        machine.store(odds, machine.plus(odd, here))
        return []

    machine.loop(count, [], step)


def _two_splitter(element: Element) -> Any:
    def emit(builder: Any, *values: Any) -> None:
        _split_in_two(ComparingEmitter(builder, element), *values)

    @intrinsic("void(intp, intp, intp, intp)", emit)
    def split(even: int, odd: int, source: int, count: int) -> None:
        _split_in_two(ComparingInterpreter(element), even, odd, source, count)

    return split


@cache
def split_row(size: int) -> Job:
    """The job that parts LENGTH cells at SRC by their number modulo TAPS: rows STEP bytes apart.

    Halves are written in whole vectors: behind source and rows there is room for one.
    """
    load, store = loader(f"uint{8 * size}"), storer(f"uint{8 * size}")
    lanes = 32 // size
    split_in_two = _two_splitter(Element(f"uint{8 * size}", lanes, False))

    @job
    def run_split(block: int, _call: int, _number: int) -> None:
        target, source, step = word(block, at.DST), word(block, at.SRC), word(block, at.STEP)
        length, parts = word(block, at.LENGTH), word(block, at.TAPS)
        if parts == 2:
            pairs = (length + 2 * lanes - 1) // (2 * lanes)
            split_in_two(target, target + step, source, pairs)
        else:
            for part in range(parts):
                cell = source + part * size
                for x in range((length - part + parts - 1) // parts):
                    store(target + part * step, x, load(cell, 0))
                    cell += parts * size

    return run_split


@cache
def write_places(size: int) -> Job:
    """The job that writes LENGTH places of `size` bytes at SRC as int64 to DST, STEP apart."""
    load, store = loader(f"int{8 * size}"), storer("int64")

    @job
    def run_places(block: int, _call: int, _number: int) -> None:
        target, source, step = word(block, at.DST), word(block, at.SRC), word(block, at.STEP)
        for x in range(word(block, at.LENGTH)):
            store(target + x * step, 0, load(source, x))

    return run_places


@cache
def count_divisors(dtype: str) -> Job:
    """The job that writes the divisors of a row of outputs to LENGTH cells at SRC.

    A row's own is at.DIVISOR; unless that is fixed, the lanes have others that it is multiplied by.
    """
    store, number = storer(dtype), np.dtype(dtype).type
    axis_lanes = 8 * (at.AXES + 3 * at.AXIS_SIZE)

    @job
    def run_divisors(block: int, call: int, _number: int) -> None:
        target, first, value = word(block, at.SRC), word(block, at.FROM_L), word(block, at.DIVISOR)
        is_fixed = word(call, at.FIXED_DIVISOR) != 0
        for x in range(word(block, at.LENGTH)):
            more = 1 if is_fixed else divisor_of(call + axis_lanes, first + x)
            store(target, x, number(value * more))

    return run_divisors
