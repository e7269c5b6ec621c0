"""How a filtered picture is cut into bands, strips, tiles and pieces of the kernel: integers only.

The pieces decide the order of every sum and depend on channels and kernel alone. All else here
decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

from faltung.compiled.image_pieces import FOLD, is_folded
from faltung.compiled.image_tile import PictureTile
from faltung.compiled.schedule import AxisLayout, phases, round_up
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import Row

__all__ = ["PictureSchedule", "make_schedule"]

_STAGED_BYTES = 384 << 10  # what a band may stage: a part of L2
_STAGED_VOLUME = 1 << 20  # what a box of a volume may stage, whose border is most of it
_SEGMENT_CELLS = 256  # of a strip that is summed in pieces: its sums stay in L1
_BLOCK_WORDS = 64
_JOB_MACS = 250_000  # below this, some 5 µs, a job is not worth handing out
_MOST_MACS = 64_000_000  # of a job: 30 ms where nothing but generic code runs
_WANTED_JOBS = 16
_LINE_CELLS = 4096  # of a signal that is summed in pieces: its sums stay in L1

Box = tuple[int, int, int]
# Rows and vectors of the register tile by level. AVX-512 has 32 registers: 16 sums, 8 weights, a
# vector of cells. With 16 registers the weights come from memory.
_TILES = {"avx512": (8, 2), "avx2": (4, 2), "generic": (4, 2)}


class PictureSchedule(NamedTuple):
    """The cut of one filter; `layouts` and `boxes` are those of `schedule.Schedule`."""

    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]
    is_folded: bool
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


def _folded_tile(row: Row) -> tuple[int, int]:
    """Rows and vectors of the tile where a row of it is `FOLD` outputs."""
    most, vectors = _TILES[row.isa]
    needed = FOLD // row.element.lanes
    return max(1, most * vectors // needed), needed


class _Cutter:
    """Finds the boxes of one schedule."""

    def __init__(self, task: DirectTask, row: Row) -> None:
        self.task, self.row = task, row
        self.layouts = tuple(map(phases, task.axes))
        self.axis_d, self.axis_h, self.axis_w = task.axes
        rows = -(-self.axis_h.outputs // self.axis_h.dilation)
        self.is_folded = is_folded(task.axes)
        if self.is_folded:
            self.rows, self.vectors = _folded_tile(row)
        else:
            self.rows, self.vectors = _tile_size(rows, self.axis_w.outputs, row)
        self.columns = self.vectors * row.element.lanes
        self.strip = 1 if self.is_folded else self.rows * self.axis_h.dilation
        self.most_staged = _STAGED_BYTES if self.axis_d.kernel == 1 else _STAGED_VOLUME

    def plane_size(self, box: Box) -> int:
        """Bytes of a staged channel, an odd number of lines: planes do not share cache sets."""
        cells = prod(layout.cells(size) for layout, size in zip(self.layouts, box, strict=True))
        return round_up(cells * self.row.element.size, 64) | 64

    def slack(self, width: int) -> int:
        """Bytes behind the last plane that tiles read whose last rows or columns are not there."""
        size = self.row.element.size
        if self.is_folded:
            return 2 * self.rows * self.columns * size
        pitch = (width + self.layouts[2].extra) * size
        return (self.strip + 1) * pitch + self.columns * size

    def staged(self, box: Box) -> int:
        return self.task.channels * self.plane_size(box) + self.slack(box[2])

    def macs(self, box: Box) -> int:
        task = self.task
        return prod(box) * task.channels * task.filters * task.kernel_taps

    def count(self, box: Box) -> int:
        """How many boxes there are."""
        task = self.task
        boxes = prod(-(-axis.outputs // size) for axis, size in zip(task.axes, box, strict=True))
        return max(1, task.batch) * task.groups * boxes

    def is_too_big(self, box: Box) -> bool:
        """Whether it does not fit into L2, or leaves too few boxes for the threads."""
        macs = self.macs(box)
        is_lonely = self.count(box) < _WANTED_JOBS and macs >= 2 * _JOB_MACS
        return self.staged(box) > self.most_staged or is_lonely or macs > _MOST_MACS

    def band(self, width: int) -> Box:
        """The largest box of this width that is not too big."""
        depth = self.axis_d.outputs if self.axis_d.kernel > 1 else 1
        rows, parts = self.axis_h.outputs, 1
        box = depth, rows, width
        while self.is_too_big(box):
            # What a border of its own costs least is cut: all sides of a volume, rows of pictures.
            if depth > 1 and (depth * self.strip >= box[1] or box[1] <= self.strip):
                depth = -(-depth // 2)
            elif box[1] > self.strip:
                parts += max(1, parts // 4)
            else:
                break
            box = depth, min(rows, round_up(-(-rows // parts), self.strip)), width
        return box

    def box(self) -> Box:
        """Outputs of a box; narrower than the picture where bands would be too low."""
        width = self.axis_w.outputs
        least = min(self.axis_h.outputs, 2 * self.layouts[1].extra + self.strip)
        deep = min(self.axis_d.outputs, 1 + self.layouts[0].extra)
        while width > 32 * self.columns and self.staged((deep, least, width)) > 2 * _STAGED_BYTES:
            width = round_up(-(-width // 2), self.columns)
        while self.axis_h.outputs == 1 and width > _LINE_CELLS and self.is_too_big((1, 1, width)):
            width = round_up(-(-width // 2), self.columns)
        while width > self.columns and self.staged(self.band(width)) > 8 << 20:
            width = round_up(-(-width // 2), self.columns)
        return self.band(width)


@lru_cache(maxsize=1024)
def make_schedule(task: DirectTask, row: Row) -> PictureSchedule:
    """Cut a filter of up to three axes."""
    cutter = _Cutter(task, row)
    box = cutter.box()
    most = _LINE_CELLS if cutter.is_folded else _SEGMENT_CELLS
    segment = min(round_up(box[2], cutter.columns), round_up(most, cutter.columns))
    scratch_at = 8 * _BLOCK_WORDS
    scratch_rows = 1 if cutter.is_folded else cutter.rows
    staged_at = scratch_at + round_up(scratch_rows * segment * row.element.size, 64)
    return PictureSchedule(
        layouts=(cutter.layouts[0], cutter.layouts[1], cutter.layouts[2]),
        boxes=box,
        is_folded=cutter.is_folded,
        tile_rows=cutter.rows,
        tile_vectors=cutter.vectors,
        segment=segment,
        plane_size=cutter.plane_size(box),
        scratch_at=scratch_at,
        staged_at=staged_at,
        workspace=round_up(staged_at + cutter.staged(box), 4096),
        jobs=cutter.count(box),
    )
