"""How a filtered picture is cut into bands, strips, tiles and pieces of the kernel: integers only.

The pieces decide the order of every sum and depend on channels and kernel alone. All else here
decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from faltung.compiled.image_tile import PictureTile
from faltung.compiled.schedule import AxisLayout, phases, round_up
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import Row

__all__ = ["MOST_KERNEL_ROWS", "PictureSchedule", "Piece", "make_schedule", "pieces_of"]

MOST_KERNEL_ROWS = 8
"""Rows of the kernel that a tile sums at once: 15 rows of cells serve 64 products a vector."""
_MOST_KERNEL_COLUMNS = 64  # of a piece: chains of 512 products round no worse than the direct plan
_STAGED_BYTES = 384 << 10  # what a band may stage: a part of L2
_SEGMENT_CELLS = 256  # of a strip that is summed in pieces: its sums stay in L1
_BLOCK_WORDS = 64
_JOB_MACS = 250_000  # below this, some 5 µs, a job is not worth handing out
_MOST_MACS = 64_000_000  # of a job: 30 ms where nothing but generic code runs
_WANTED_JOBS = 16

# Rows and vectors of the register tile by level. AVX-512 has 32 registers: 16 sums, 8 weights, a
# vector of cells. With 16 registers the weights come from memory.
_TILES = {"avx512": (8, 2), "avx2": (4, 2), "generic": (4, 2)}


class Piece(NamedTuple):
    """A part of the kernel that is summed from zero: a channel, some rows, some columns."""

    channel: int
    row: int
    rows: int
    column: int
    columns: int


def _even(count: int, most: int, multiple: int = 1) -> list[tuple[int, int]]:
    """A count in as few parts as can be, of nearly one size: (start, length) of each."""
    parts = -(-count // most)
    step = round_up(-(-count // parts), multiple)
    return [(start, min(step, count - start)) for start in range(0, count, step)]


@lru_cache(maxsize=256)
def pieces_of(channels: int, rows: int, columns: int, stride: int) -> tuple[Piece, ...]:
    """The pieces of a kernel, in the order in which they are added."""
    most = max(MOST_KERNEL_ROWS // stride * stride, stride)
    return tuple(
        Piece(channel, *some, *others)
        for channel in range(channels)
        for some in _even(rows, most, stride)
        for others in _even(columns, _MOST_KERNEL_COLUMNS)
    )


class PictureSchedule(NamedTuple):
    """The cut of one filter; `layouts` and `boxes` are those of `schedule.Schedule`."""

    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]
    pieces: tuple[Piece, ...]
    tile_rows: int
    tile_vectors: int
    segment: int  # outputs of a strip that are summed at once, in whole tiles
    plane_size: int
    scratch_at: int
    staged_at: int
    workspace: int
    jobs: int
    # What tables of staged cells (`gathering`) ask every schedule.
    is_direct: bool = False
    is_flat: bool = False
    box_pixels: int = 0

    def tile(self, row: Row, kernel_rows: int, stride: int) -> PictureTile:
        """The register tile that sums some rows of the kernel."""
        return PictureTile(row.element, self.tile_rows, self.tile_vectors, kernel_rows, stride)


def _tile_size(rows: int, width: int, row: Row) -> tuple[int, int]:
    """Rows and vectors of the tile for boxes of so many rows and columns: least is wasted."""
    most, vectors = _TILES[row.isa]
    if rows < most // 2:  # few sums in flight: more vectors of them, but no size of its own
        best, vectors = (1, 8) if rows <= most // 4 else (most // 4, 4)
    elif rows >= 8 * most:
        best = most
    else:
        best = min((most, most - 1, most // 2), key=lambda size: round_up(rows, size))
    while vectors > 1 and vectors * row.element.lanes // 2 >= width:
        vectors //= 2
    return best, vectors


class _Cutter:
    """Finds the bands of one schedule."""

    def __init__(self, task: DirectTask, row: Row) -> None:
        self.task, self.row = task, row
        self.layouts = tuple(map(phases, task.axes))
        _, self.axis_h, self.axis_w = task.axes
        rows = -(-self.axis_h.outputs // self.axis_h.dilation)
        self.rows, self.vectors = _tile_size(rows, self.axis_w.outputs, row)
        self.columns = self.vectors * row.element.lanes
        self.strip = self.rows * self.axis_h.dilation

    def plane_size(self, height: int, width: int) -> int:
        """Bytes of a staged channel, an odd number of lines: planes do not share cache sets."""
        cells = prod(
            layout.cells(box) for layout, box in zip(self.layouts, (1, height, width), strict=True)
        )
        return round_up(cells * self.row.element.size, 64) | 64

    def slack(self, width: int) -> int:
        """Bytes behind the last plane that tiles read whose last rows or columns are not there."""
        pitch = (width + self.layouts[2].extra) * self.row.element.size
        return (self.strip + 1) * pitch + self.columns * self.row.element.size

    def staged(self, height: int, width: int) -> int:
        return self.task.channels * self.plane_size(height, width) + self.slack(width)

    def macs(self, height: int, width: int) -> int:
        task = self.task
        return height * width * task.channels * task.filters * task.kernel_taps

    def count(self, height: int, width: int) -> int:
        """How many boxes there are."""
        task = self.task
        boxes = -(-self.axis_h.outputs // height) * -(-self.axis_w.outputs // width)
        return max(1, task.batch) * task.groups * task.axes[0].outputs * boxes

    def height(self, width: int) -> int:
        """Rows of a band of this width: it fits into L2, and there are enough for the threads."""
        rows, parts = self.axis_h.outputs, 1
        height = rows

        def is_too_big() -> bool:
            macs = self.macs(height, width)
            is_lonely = self.count(height, width) < _WANTED_JOBS and macs >= 2 * _JOB_MACS
            return self.staged(height, width) > _STAGED_BYTES or is_lonely or macs > _MOST_MACS

        while height > self.strip and is_too_big():
            parts += max(1, parts // 4)
            height = min(rows, round_up(-(-rows // parts), self.strip))
        return height

    def box(self) -> tuple[int, int]:
        """Rows and columns of a box; narrower than the picture where bands would be too low."""
        width = self.axis_w.outputs
        least = min(self.axis_h.outputs, 2 * self.layouts[1].extra + self.strip)
        while width > 32 * self.columns and self.staged(least, width) > 2 * _STAGED_BYTES:
            width = round_up(-(-width // 2), self.columns)
        while width > self.columns and self.staged(self.height(width), width) > 8 << 20:
            width = round_up(-(-width // 2), self.columns)
        return self.height(width), width


@lru_cache(maxsize=1024)
def make_schedule(task: DirectTask, row: Row) -> PictureSchedule:
    """Cut a filter whose first axis has one tap and steps from cell to cell."""
    cutter = _Cutter(task, row)
    _, axis_h, axis_w = task.axes
    height, width = cutter.box()
    pieces = pieces_of(task.channels, axis_h.kernel, axis_w.kernel, axis_h.stride)
    segment = min(round_up(width, cutter.columns), round_up(_SEGMENT_CELLS, cutter.columns))
    scratch_at = 8 * _BLOCK_WORDS
    staged_at = scratch_at + round_up(cutter.rows * segment * row.element.size, 64)
    return PictureSchedule(
        layouts=(cutter.layouts[0], cutter.layouts[1], cutter.layouts[2]),
        boxes=(1, height, width),
        pieces=pieces,
        tile_rows=cutter.rows,
        tile_vectors=cutter.vectors,
        segment=segment,
        plane_size=cutter.plane_size(height, width),
        scratch_at=scratch_at,
        staged_at=staged_at,
        workspace=round_up(staged_at + cutter.staged(height, width), 4096),
        jobs=cutter.count(height, width),
    )
