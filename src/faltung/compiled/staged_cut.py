"""Which boxes and parts a staged convolution is cut into: the cut that takes the least time.

Smaller boxes stage more cells twice, more parts stage the same cells for each, fewer jobs leave
threads waiting at the end. What each costs is estimated in cycles, and the sum is compared; none of
it changes a bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from faltung.compiled.schedule import Cutter

__all__ = ["UNEVEN", "Cut", "best_cut", "even_parts", "makespan", "most_macs"]

UNEVEN = 0.1
"""Of a job, that threads wait longer at the end, because they are not equally fast."""
_JOB_CYCLES = 4000  # that handing out a job costs, the waiting at the end included
_ROW_CYCLES, _LINE_CYCLES = 10, 5  # of a staged row and of each cache line of it, from L2 into L2
_FOLLOWED = 1.4  # what the first block of output channels takes, which packs what it reads
_L2_BYTES = 3 << 19  # of staged cells and weights that stay in L2 together
_FAR_BYTES = 5  # a cycle, of weights that do not
_PARTS = (1, 2, 3, 4, 6, 8, 16, 32, 64)
# Boxes that are many and small enough are not made smaller still.
_MANY_JOBS, _SMALL_BYTES = 64, 256 << 10
_NARROW = 1.5  # times what a vector of a narrow tile takes, beside one of a wide tile
_CHUNK_CYCLES = 20  # of a vector of a tile and a chunk, to be set up, added and stored

# Multiply-adds that take about 30 ms where the level is slow: a job is never interrupted.
_MOST_MACS = {"avx512": 1 << 30, "avx2": 1 << 29, "generic": 1 << 26}
# Cycles of a multiply-add of vectors on the unit that does two of floats in one.
_SLOWNESS = {"float32": 1, "float64": 1, "uint32": 4, "uint64": 8}


class Cut(NamedTuple):
    """The box, in a flat one with its pixels as width, and the parts of the output channels."""

    box: tuple[int, int, int]
    parts: int


def most_macs(isa: str, dtype: str) -> int:
    """Multiply-adds that a job may have, sums of a dtype on a level."""
    most = _MOST_MACS[isa]
    if isa == "generic":
        return most
    return most // (_SLOWNESS[dtype] * (2 if dtype.endswith("64") else 1))


def even_parts(count: int, multiple: int) -> Iterator[int]:
    """Sizes of parts, as even as may be, for numbers of parts that grow by half."""
    number, last = 1, 0
    while True:
        size = min(count, -(-count // (number * multiple)) * multiple)
        if size != last:
            yield size
            last = size
        if size <= multiple:
            return
        number += max(1, number // 2)


def makespan(whole: int, long: float, rest: int, short: float, threads: int) -> float:
    """When the last of `whole` jobs of one length and `rest` of a shorter one ends."""
    rounds, begun = divmod(whole, threads)
    end = rounds * long
    if begun:
        end += long
        rest -= (threads - begun) * int(long // short) if rest else 0
    return end + max(0, -(-rest // threads)) * short


def _boxes(cutter: Cutter) -> Iterator[tuple[int, int, int]]:
    depths, height, width = (max(1, axis.outputs) for axis in cutter.shape.axes)
    for depth in even_parts(depths, 1):
        if cutter.is_flat:
            sizes = set(even_parts(height * width, cutter.row.narrow.pixels))
            sizes.update(rows * width for rows in even_parts(height, 1))
            yield from ((depth, 1, pixels) for pixels in sorted(sizes, reverse=True))
            continue
        for rows in even_parts(height, 1):
            widths = even_parts(width, cutter.row.wide.pixels) if rows == 1 else iter((width,))
            yield from ((depth, rows, columns) for columns in widths)


class _Box:
    """What jobs of one box take."""

    def __init__(self, cutter: Cutter, box: tuple[int, int, int]) -> None:
        row, staged = cutter.row, cutter.staged_box(box)
        layouts = cutter.layouts(staged)
        rows = prod(layout.cells(n) for layout, n in zip(layouts[:2], staged[:2], strict=True))
        rows *= len(layouts[2].starts)
        row_size = (staged[2] + layouts[2].extra) * cutter.size
        channels = cutter.shape.channels
        self.cutter, self.staged_bytes = cutter, channels * rows * row_size
        self.staging = channels * rows * (_ROW_CYCLES + _LINE_CYCLES * row_size / 64)
        wides, left = divmod(box[2], row.wide.pixels)
        vectors = wides * row.vectors + _NARROW * -(-left // row.element.lanes)
        sums = box[0] * (1 if cutter.is_flat else box[1]) * channels * cutter.taps
        sums *= _SLOWNESS[row.element.dtype]
        self.block = sums * vectors * (row.rows / 2 + _CHUNK_CYCLES / cutter.chunks.taps)
        self.singles = sums * cutter.singles * -(-box[2] // row.line.pixels) * row.line.vectors / 2

    def cycles(self, parts: int) -> float:
        """Of a job with one of so many parts of the output channels, its weights included."""
        cutter, blocks = self.cutter, -(-self.cutter.blocks // parts)
        summing = self.singles + (self.block * (blocks - 1 + _FOLLOWED) if blocks else 0)
        rows = blocks * cutter.row.rows + cutter.singles
        weights = cutter.shape.channels * cutter.taps * rows * cutter.size
        if weights + self.staged_bytes > _L2_BYTES:
            summing += weights / _FAR_BYTES
        return self.staging + summing + _JOB_CYCLES


def _cuts(cutter: Cutter) -> Iterator[tuple[float, Cut]]:
    """Cuts worth looking at, and the cycles of all threads until their last job ends."""
    axes, row = cutter.shape.axes, cutter.row
    lengths = [max(1, axis.outputs) for axis in axes]
    if cutter.is_flat:
        lengths[1:] = 1, lengths[1] * lengths[2]
    most = most_macs(row.isa, row.element.dtype)
    boxes = max(1, cutter.shape.batch) * cutter.shape.groups
    for box in _boxes(cutter):
        whole, rest = boxes, []
        for length, n in zip(lengths, box, strict=True):
            whole *= length // n
            rest.append(length % n or n)
        long = short = _Box(cutter, box)
        count, macs = cutter.count(box), cutter.macs(box)
        if count > whole:
            short = _Box(cutter, (rest[0], rest[1], rest[2]))
        for parts in _PARTS[
            : _PARTS.index(max(n for n in _PARTS if n <= max(1, cutter.blocks))) + 1
        ]:
            job, last = long.cycles(parts), short.cycles(parts)
            total = count * parts
            cost = total + sum(
                threads
                * (
                    makespan(whole * parts, job, total - whole * parts, last, threads)
                    + job * UNEVEN
                )
                for threads in cutter.shape.threads
            )
            # The longer a job is than it may be, the less it is wanted: there may be no other.
            yield cost * max(1.0, 4 * macs / (parts * most)), Cut(box, parts)
        if count >= _MANY_JOBS and long.staged_bytes <= _SMALL_BYTES and macs <= most:
            return


def best_cut(cutter: Cutter) -> Cut:
    """The cut whose estimate is least, among those whose jobs are short enough."""
    return min(_cuts(cutter), key=lambda pair: pair[0])[1]
