"""Fourier transforms of as many lines as a vector has lanes: the instructions and their order.

A point is two vectors, real parts and imaginary parts, a lane for each line. Forward passes leave
the frequencies in the order in which they fall out, `frequencies`, and inverse passes begin with
that order, so that nothing is ever sorted. A pass combines four points, the last one of a forward
transform two if that is what is left; it reads and writes points that are any distance apart, so
that the first pass can fetch a column of a matrix and the last one put it back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled._jit import Kernel, intrinsic, kernel
from faltung.compiled.memory import word
from faltung.compiled.simd import Element, Emitter, Interpreter, Value

__all__ = [
    "fetch_lines", "frequencies", "multiply_lines", "pass_table", "put_lines", "sum_squares",
    "transform",
]  # fmt: skip

_FACTORS, _FOUR, _TWO = range(3)  # kinds of passes
_ENTRY = 4  # words of a pass in a table: quarter, blocks, address of the factors, kind


class _Number(NamedTuple):
    """A complex number in each lane."""

    real: Value
    imag: Value


def _load(machine: Any, place: Value, part: Value) -> _Number:
    return _Number(machine.load(place), machine.load(machine.plus(place, part)))


def _store(machine: Any, number: _Number, place: Value, part: Value) -> None:
    machine.store(number.real, place)
    machine.store(number.imag, machine.plus(place, part))


def _add(machine: Any, left: _Number, right: _Number) -> _Number:
    return _Number(machine.add(left.real, right.real), machine.add(left.imag, right.imag))


def _subtract(machine: Any, left: _Number, right: _Number) -> _Number:
    return _Number(machine.subtract(left.real, right.real), machine.subtract(left.imag, right.imag))


def _multiply(machine: Any, left: _Number, right: _Number, *, is_conjugate: bool) -> _Number:
    """The product, with `is_conjugate` that with the conjugate of the right one."""
    real = machine.multiply(left.real, right.real)
    imag = machine.multiply(left.imag, right.real)
    first, second = machine.minus_product, machine.multiply_add
    if is_conjugate:
        first, second = second, first
    return _Number(
        first(left.imag, right.imag, real),
        second(left.real, right.imag, imag),
    )


def _butterfly(machine: Any, points: list[_Number], *, is_forward: bool) -> list[_Number]:
    """The transform of two or four points."""
    half = len(points) // 2
    sums = [_add(machine, points[i], points[i + half]) for i in range(half)]
    gaps = [_subtract(machine, points[i], points[i + half]) for i in range(half)]
    if half == 1:
        return [*sums, *gaps]
    first, turn = gaps
    down = _Number(machine.add(first.real, turn.imag), machine.subtract(first.imag, turn.real))
    up = _Number(machine.subtract(first.real, turn.imag), machine.add(first.imag, turn.real))
    odd = [down, up] if is_forward else [up, down]
    return [_add(machine, *sums), odd[0], _subtract(machine, *sums), odd[1]]


def _run_pass(machine: Any, values: Any, kind: int, is_forward: int) -> None:
    """One pass over all points.

    The values are two places, source and target, each an address with the bytes from point to
    point, from leg to leg of a butterfly, from block to block, and from real to imaginary parts;
    then butterflies of a block, blocks, and the address of the factors.
    """
    source, s_step, s_leg, s_block, s_part = values[:5]
    target, t_step, t_leg, t_block, t_part, quarter, blocks, factors = values[5:]
    legs, size = 2 if kind == _TWO else 4, machine.element.size

    def combine(_number: Value, carried: Any) -> list[Value]:
        place, goal, factor = carried
        turns = [
            _Number(
                machine.broadcast(machine.plus(factor, 2 * leg * size)),
                machine.broadcast(machine.plus(factor, (2 * leg + 1) * size)),
            )
            for leg in range(3 if kind == _FACTORS else 0)
        ]

        def combine_one(_number: Value, carried: Any) -> list[Value]:
            read, write, points = carried[0], carried[1], []
            for _ in range(legs):
                points.append(_load(machine, read, s_part))
                read = machine.plus(read, s_leg)
            if turns and not is_forward:
                points[1:] = [
                    _multiply(machine, point, turn, is_conjugate=True)
                    for point, turn in zip(points[1:], turns, strict=True)
                ]
            points = _butterfly(machine, points, is_forward=bool(is_forward))
            if turns and is_forward:
                points[1:] = [
                    _multiply(machine, point, turn, is_conjugate=False)
                    for point, turn in zip(points[1:], turns, strict=True)
                ]
            for point in points:
                _store(machine, point, write, t_part)
                write = machine.plus(write, t_leg)
            return [machine.plus(carried[0], s_block), machine.plus(carried[1], t_block)]

        machine.loop(blocks, [place, goal], combine_one)
        steps = s_step, t_step, 6 * size
        return [machine.plus(each, step) for each, step in zip(carried, steps, strict=True)]

    machine.loop(quarter, [source, target, factors], combine)


def _run_fetch(machine: Any, values: Any, has_factors: int) -> None:
    """Neighbouring rows of a matrix of strips as points: for each column a lane for each row.

    The values are the address of the points, that of the first row, the bytes from strip to strip,
    how many strips there are, and the address of factors like the points.
    """
    target, source, strip, strips, factors = values
    lanes, step = machine.element.lanes, machine.element.vector_size

    def fetch(_number: Value, carried: Any) -> list[Value]:
        goal, row, factor = carried
        real, imag = [], []
        for _ in range(lanes):
            real.append(machine.load(row))
            imag.append(machine.load(machine.plus(row, step)))
            row = machine.plus(row, 2 * step)
        columns = zip(_transposed(machine, real), _transposed(machine, imag), strict=True)
        for lane, column in enumerate(columns):
            point = _Number(*column)
            if has_factors:
                turn = _load(machine, machine.plus(factor, 2 * lane * step), step)
                point = _multiply(machine, point, turn, is_conjugate=False)
            _store(machine, point, machine.plus(goal, 2 * lane * step), step)
        ahead = 2 * lanes * step
        steps = ahead, strip, ahead
        return [machine.plus(each, by) for each, by in zip(carried, steps, strict=True)]

    machine.loop(strips, [target, source, factors], fetch)


def _run_put(machine: Any, values: Any, has_factors: int) -> None:
    """The way back from `_run_fetch`, with the conjugate factors."""
    source, target, strip, strips, factors = values
    lanes, step = machine.element.lanes, machine.element.vector_size

    def put(_number: Value, carried: Any) -> list[Value]:
        place, row, factor = carried
        points = []
        for lane in range(lanes):
            point = _load(machine, machine.plus(place, 2 * lane * step), step)
            if has_factors:
                turn = _load(machine, machine.plus(factor, 2 * lane * step), step)
                point = _multiply(machine, point, turn, is_conjugate=True)
            points.append(point)
        real = _transposed(machine, [point.real for point in points])
        imag = _transposed(machine, [point.imag for point in points])
        for pair in zip(real, imag, strict=True):
            _store(machine, _Number(*pair), row, step)
            row = machine.plus(row, 2 * step)
        ahead = 2 * lanes * step
        steps = ahead, strip, ahead
        return [machine.plus(each, by) for each, by in zip(carried, steps, strict=True)]

    machine.loop(strips, [source, target, factors], put)


def _transposed(machine: Any, vectors: list[Value]) -> list[Value]:
    """Lane i of vector j as lane j of vector i."""
    vectors, distance = list(vectors), 1
    while distance < len(vectors):
        for i in range(len(vectors)):
            if not i & distance:
                pair = vectors[i], vectors[i + distance]
                vectors[i], vectors[i + distance] = machine.exchange(*pair, distance)
        distance *= 2
    return vectors


def _run_multiply(machine: Any, values: Any) -> None:
    """Points times factors, summed over channels.

    The values are the addresses of the sums, of the points and of the factors, how many points
    there are, how many channels, and the bytes from channel to channel of points and factors.
    """
    total, points, factors, count, channels, line = values
    step = machine.element.vector_size

    def multiply(_number: Value, carried: Any) -> list[Value]:
        goal, place, factor = carried

        def add_channel(_number: Value, before: Any) -> list[Value]:
            real, imag, point, turn = before
            x, w = _load(machine, point, step), _load(machine, turn, step)
            real = machine.multiply_add(x.real, w.real, real)
            imag = machine.multiply_add(x.imag, w.real, imag)
            real = machine.minus_product(x.imag, w.imag, real)
            imag = machine.multiply_add(x.real, w.imag, imag)
            return [real, imag, machine.plus(point, line), machine.plus(turn, line)]

        start = [machine.zero(), machine.zero(), place, factor]
        sums = machine.loop(channels, start, add_channel)
        _store(machine, _Number(sums[0], sums[1]), goal, step)
        return [machine.plus(each, 2 * step) for each in carried]

    machine.loop(count, [total, points, factors], multiply)


def _run_squares(machine: Any, values: Any) -> None:
    """Add the squares of so many vectors to a vector."""
    total, vectors, count = values

    def add(number: Value, carried: Any) -> list[Value]:
        vector = machine.load(carried[1])
        squares = machine.multiply_add(vector, vector, carried[0])
        return [squares, machine.plus(carried[1], machine.element.vector_size)]

    machine.store(machine.loop(count, [machine.load(total), vectors], add)[0], total)


@cache
def _instruction(
    element: Element, count: int, run: Callable[..., None], *options: int
) -> Callable[..., None]:
    """An instruction without result that takes `count` integers."""

    def emit(builder: Any, *values: Any) -> None:
        run(Emitter(builder, element), values, *options)

    @intrinsic(f"void({', '.join(['intp'] * count)})", emit)
    def meaning(*values: int) -> None:
        run(Interpreter(element), values, *options)

    return meaning


def fetch_lines(element: Element, *, has_factors: bool) -> Callable[..., None]:
    """The instruction that reads rows of a matrix as points; see `_run_fetch`."""
    return _instruction(element, 5, _run_fetch, int(has_factors))


def put_lines(element: Element, *, has_factors: bool) -> Callable[..., None]:
    """The instruction that writes points as rows of a matrix; see `_run_put`."""
    return _instruction(element, 5, _run_put, int(has_factors))


def multiply_lines(element: Element) -> Callable[..., None]:
    """The instruction that multiplies points by a spectrum; see `_run_multiply`."""
    return _instruction(element, 6, _run_multiply)


def sum_squares(element: Element) -> Callable[..., None]:
    """The instruction that finds how large values are; see `_run_squares`."""
    return _instruction(element, 3, _run_squares)


@cache
def transform(element: Element, *, is_forward: bool) -> Kernel:
    """The kernel that transforms the lines of one vector, of any power of two of points.

    It takes the address of a table from `pass_table`; then two places, source and target, each an
    address with the bytes from point to point and from real to imaginary parts; then the address
    of a buffer of the points, which may be source, target or both.
    """
    with_factors, four, two = (
        _instruction(element, 13, _run_pass, kind, int(is_forward))
        for kind in (_FACTORS, _FOUR, _TWO)
    )
    part, point = element.vector_size, 2 * element.vector_size

    @kernel("void(intp, intp, intp, intp, intp, intp, intp, intp)")
    def run_transform(
        table: int, source: int, s_step: int, s_part: int, target: int, t_step: int, t_part: int,
        buffer: int,
    ) -> None:  # fmt: skip
        passes, entry = word(table, 0), table + 8
        a, a_step, a_part = source, s_step, s_part
        for number in range(passes):
            b, b_step, b_part = buffer, point, part
            if number == passes - 1:
                b, b_step, b_part = target, t_step, t_part
            quarter, blocks, kind = word(entry, 0), word(entry, 1), word(entry, 3)
            factors = word(entry, 2)
            a_leg, b_leg = quarter * a_step, quarter * b_step
            a_block, b_block = 4 * a_leg, 4 * b_leg
            if kind == _FACTORS:
                with_factors(a, a_step, a_leg, a_block, a_part, b, b_step, b_leg, b_block, b_part,
                             quarter, blocks, factors)  # fmt: skip
            elif kind == _FOUR:
                four(a, a_step, a_leg, a_block, a_part, b, b_step, b_leg, b_block, b_part,
                     quarter, blocks, factors)  # fmt: skip
            else:
                two(a, a_step, a_leg, 2 * a_leg, a_part, b, b_step, b_leg, 2 * b_leg, b_part,
                    quarter, blocks, factors)  # fmt: skip
            a, a_step, a_part = buffer, point, part
            entry += 8 * _ENTRY

    return run_transform


def frequencies(count: int) -> NDArray[np.int64]:
    """The frequency of each of the points that a forward transform leaves."""
    if count <= 2:
        return np.arange(count)
    inner = frequencies(count // 4)
    return np.concatenate([4 * inner + leg for leg in range(4)])


@cache
def pass_table(count: int, dtype: str, *, is_forward: bool) -> tuple[NDArray[Any], ...]:
    """The words of the passes for so many points, at least 2, and the factors they point to."""
    kept, entries, blocks, left = [], [], 1, count
    while left > 2:
        quarter = left // 4
        angles = -2j * np.pi * np.outer(np.arange(quarter), [1, 2, 3]) / left
        kept.append(np.exp(angles).view(np.float64).astype(dtype))
        kind = _FACTORS if quarter > 1 else _FOUR
        entries.append((quarter, blocks, kept[-1].ctypes.data, kind))
        blocks, left = 4 * blocks, quarter
    if left == 2:
        entries.append((1, blocks, 0, _TWO))
    if not is_forward:
        entries.reverse()
    table = np.array([len(entries), *(word for entry in entries for word in entry)], np.int64)
    return table, *kept
