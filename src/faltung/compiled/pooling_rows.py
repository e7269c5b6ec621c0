"""Rows of window reductions: each cell of a row is reduced over taps, which are offsets of the row.

One description for values alone and for values with their places, of every dtype and instruction
set. Rows have exact lengths: what is left of whole vectors is done by one that overlaps the vector
before it, and rows shorter than a vector by narrower ones. So nothing outside a row is read or
written, and no lane has to be masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from faltung.compiled import machine as this_machine
from faltung.compiled import pooling_words as at
from faltung.compiled._jit import Job, intrinsic, job
from faltung.compiled.comparing import ComparingEmitter, ComparingInterpreter
from faltung.compiled.simd import Element, Value

__all__ = ["IDENTITY", "ROWS", "Row", "divide_rows", "find_row", "reduce_rows", "root_rows"]

VECTORS = 4  # enough sums beside each other that an addition's latency does not show


class Row(NamedTuple):
    """One variant of the row kernels.

    Parameters
    ----------
    isa : str
        The level of `machine.LEVELS` that it needs.
    element : Element
        The lanes of its vectors.
    """

    isa: str
    element: Element

    @property
    def id(self) -> str:
        """``float32_rows_4x16__avx512``."""
        return f"{self.element.dtype}_rows_{VECTORS}x{self.element.lanes}__{self.isa}"


_BYTES = {"avx512": 64, "avx2": 32, "generic": 16}
_DTYPES = (
    "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
)  # fmt: skip

ROWS = tuple(
    Row(isa, Element(dtype, size // np.dtype(dtype).itemsize, isa != "generic"))
    for isa, size in _BYTES.items()
    for dtype in _DTYPES
)


def find_row(dtype: str) -> Row:
    """The best row for a dtype on this machine, as far as FALTUNG_MAX_ISA allows."""
    return next(row for row in ROWS if row.element.dtype == dtype and this_machine.has(row.isa))


def _lowest(dtype: str) -> Any:
    return -np.inf if dtype.startswith("float") else int(np.iinfo(dtype).min)


def _highest(dtype: str) -> Any:
    return np.inf if dtype.startswith("float") else int(np.iinfo(dtype).max)


IDENTITY: dict[str, Callable[[str], Any]] = {
    "max": _lowest,
    "min": _highest,
    "sum": lambda dtype: 0,
}
"""By operation, the number that changes no other."""

_COMBINE = {"max": "greatest", "min": "least", "sum": "add"}
_BEFORE = {"": None, "abs": "magnitude", "square": "square"}


class _Kind(NamedTuple):
    """What a row kernel does: the operation, what is done to each cell before, and places."""

    operation: str
    before: str
    has_places: bool
    is_first: bool


def _widths(lanes: int) -> list[tuple[int, int]]:
    """(lanes, vectors) of the tiles that a row is covered with, widest first."""
    return [(lanes, VECTORS)] + [(n, 1) for n in (lanes, lanes // 4, 1) if n]


def _cover(
    machine: Any, length: Value, widths: Iterator[tuple[int, int]], tile: Callable[..., None]
) -> None:
    """Tiles over a row of `length` cells: those of the first width that fits, the last overlaps."""
    lanes, vectors = next(widths)
    cells = lanes * vectors
    narrow = type(machine)(*machine.origin, machine.element._replace(lanes=lanes))

    def whole() -> None:
        last = machine.minus(length, cells)
        count = machine.divided(machine.plus(last, 2 * cells - 1), cells)

        def step(number: Value, _carried: Any) -> list[Value]:
            start = machine.smaller(machine.times(number, cells), last)
            tile(narrow, vectors, start)
            return []

        machine.loop(count, [], step)

    if cells == 1:
        whole()
    else:
        fits = machine.divided(length, cells)
        machine.choose(fits, whole, lambda: _cover(machine, length, widths, tile))


def _reduce(machine: Any, kind: _Kind, values: Any) -> None:
    """One row: the tiles that cover it, each a loop over the taps."""
    dst, src, offsets, taps, length, places_at, flat, flat_step, lane_step = values
    size = machine.element.size

    def tile(narrow: Any, vectors: int, start: Value) -> None:
        steps = [v * narrow.element.vector_size for v in range(vectors)]
        here = machine.times(start, size)
        source = machine.plus(src, here)
        target = machine.plus(dst, here)
        combine = getattr(narrow, _COMBINE[kind.operation])
        identity = narrow.constant(IDENTITY[kind.operation](machine.element.dtype))

        def load(address: Value) -> Value:
            cells = narrow.load(address)
            method = _BEFORE[kind.before] if kind.is_first else None
            return getattr(narrow, method)(cells) if method else cells

        def tap(number: Value, carried: Any) -> list[Value]:
            offset = machine.load_integer(machine.plus(offsets, machine.times(number, 8)))
            cells = machine.plus(source, offset)
            if not kind.has_places:
                return [
                    combine(total, load(machine.plus(cells, step)))
                    for step, total in zip(steps, carried, strict=True)
                ]
            results = []
            beside = machine.plus(cells, places_at)
            first = machine.plus(flat, machine.product(flat_step, number))
            first = machine.plus(first, machine.product(start, lane_step))
            for index, step in enumerate(steps):
                if kind.is_first:
                    move = machine.times(lane_step, index * narrow.element.lanes)
                    other = narrow.count_places(machine.plus(first, move), lane_step)
                else:
                    other = narrow.load_places(machine.plus(beside, step))
                total, place = carried[2 * index], carried[2 * index + 1]
                vector = load(machine.plus(cells, step))
                results += narrow.first_greatest(total, place, vector, other)
            return results

        streams = [identity, narrow.no_places()] if kind.has_places else [identity]
        results = machine.loop(taps, streams * vectors, tap)
        for index, step in enumerate(steps):
            narrow.store(results[len(streams) * index], machine.plus(target, step))
            if kind.has_places:
                there = machine.plus(machine.plus(target, places_at), step)
                narrow.store_places(results[2 * index + 1], there)

    _cover(machine, length, iter(_widths(machine.element.lanes)), tile)


class _RowEmitter(ComparingEmitter):
    """An emitter that can make others for other numbers of lanes."""

    def __init__(self, builder: Any, element: Element) -> None:
        super().__init__(builder, element)
        self.origin = (builder,)


class _RowInterpreter(ComparingInterpreter):
    origin: tuple[Any, ...] = ()


@cache
def reduce_rows(row: Row, operation: str, before: str, has_places: bool, is_first: bool) -> Job:
    """The job that reduces the row in a thread's block; its second argument is the call's block.

    Parameters
    ----------
    row : Row
        The lanes.
    operation : {"max", "min", "sum"}
        How taps are combined, in their order; with places only "max".
    before : {"", "abs", "square"}
        What each cell becomes when it is first read.
    has_places : bool
        Whether a row of places goes with every row of values, at.PLACES_AT bytes behind it.
    is_first : bool
        Whether the source is the input: its places are counted, not read.
    """
    kind = _Kind(operation, before, has_places, is_first)

    def run(machine: Any, block: Value, call: Value) -> None:
        def word(base: Value, index: int) -> Value:
            return machine.load_integer(machine.plus(base, 8 * index))

        names = (at.DST, at.SRC, at.OFFSETS, at.TAPS, at.LENGTH)
        values = [word(block, index) for index in names]
        values.append(word(call, at.PLACES_AT) if has_places else 0)
        values += [word(block, index) if has_places else 0 for index in _FLAT]
        _reduce(machine, kind, values)

    return _job(run, row.element, f"reduce {kind}")


_FLAT = (at.FLAT, at.FLAT_STEP, at.LANE_STEP)


@cache
def divide_rows(row: Row) -> Job:
    """The job that divides the row at.DST by the row of divisors at.SRC."""

    def run(machine: Any, block: Value, _call: Value) -> None:
        _each(machine, block, lambda narrow, cells, others: narrow.divide(cells, others))

    return _job(run, row.element, "divide")


@cache
def root_rows(row: Row) -> Job:
    """The job that takes the square roots of the row at.DST."""

    def run(machine: Any, block: Value, _call: Value) -> None:
        _each(machine, block, lambda narrow, cells, _others: narrow.root(cells))

    return _job(run, row.element, "root")


def _each(machine: Any, block: Value, change: Callable[[Any, Value, Value], Value]) -> None:
    """Change the cells of a row in place, vector by vector; there is room behind its end."""
    dst, src, length = (
        machine.load_integer(machine.plus(block, 8 * index))
        for index in (at.DST, at.SRC, at.LENGTH)
    )
    lanes = machine.element.lanes

    def step(number: Value, _carried: Any) -> list[Value]:
        here = machine.times(number, machine.element.vector_size)
        target = machine.plus(dst, here)
        others = machine.load(machine.plus(src, here))
        machine.store(change(machine, machine.load(target), others), target)
        return []

    machine.loop(machine.divided(machine.plus(length, lanes - 1), lanes), [], step)


def _job(run: Callable[[Any, Value, Value], None], element: Element, what: str) -> Job:
    key = f"{what} {element}"

    def emit(builder: Any, block: Any, call: Any) -> None:
        run(_RowEmitter(builder, element), block, call)

    @intrinsic("void(intp, intp)", emit, key=key)
    def meaning(block: int, call: int) -> None:
        run(_RowInterpreter(element), block, call)

    @job(key=key)
    def run_rows(block: int, call: int, _number: int) -> None:
        meaning(block, call)

    return run_rows
