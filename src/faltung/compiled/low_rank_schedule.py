"""How a filter of separable terms is cut into boxes, strips and passes: integers only.

The pieces of the passes decide the order of every sum and depend on the kernel alone. All else
here decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

from faltung.compiled.image_tile import PictureTile
from faltung.compiled.schedule import AxisLayout, phases, round_up
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import Row

__all__ = ["PassSchedule", "make_schedule", "pieces_of"]

MOST_TAPS = 8
"""Taps across rows that a tile sums at once: 15 rows of cells serve 64 products a vector."""
_STAGED_BYTES = 384 << 10  # that a box may stage: with the strips between the passes a part of L2
_LEAST_COLUMNS = 256  # of a box, where the output has them: shorter rows are costly to stage
_MOST_COLUMNS = 2048  # of a box: longer rows gain nothing, and strips of eight leave L1 far behind
_SEGMENT_CELLS = 256  # of a strip that is summed in pieces: its sums stay in L1
_BLOCK_WORDS = 64
_WANTED_JOBS = 16
_LEAST_JOB_CELLS = 16_384  # outputs of a box, some 10 µs, below which it is not worth handing out
_MOST_MACS = 64_000_000  # of a job: 30 ms where nothing but generic code runs
_STAGING = 6.0  # what staging a vector of cells costs, in half multiply-adds

# Rows and vectors of the register tile by level: 16 sums of 32 registers, or 8 of 16.
_TILES = {"avx512": (8, 2), "avx2": (4, 2), "generic": (4, 2)}


@lru_cache(maxsize=256)
def pieces_of(taps: int) -> tuple[tuple[int, int], ...]:
    """The taps of a pass across rows or planes that are summed at once: first, and how many."""
    parts = -(-taps // MOST_TAPS)
    step = -(-taps // parts)
    return tuple((first, min(step, taps - first)) for first in range(0, taps, step))


class PassSchedule(NamedTuple):
    """The cut of one filter; `layouts` and `boxes` are those of `schedule.Schedule`."""

    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]
    tile_rows: int
    tile_planes: int  # of the pass across planes
    tile_vectors: int
    segment: int  # cells of a strip that are summed at once, in whole tiles
    plane_size: int
    rows_pitch: int  # bytes between the rows of a strip before its last pass
    sums_pitch: int  # and after it
    planes_pitch: int  # bytes between planes of which only rows and columns are left to sum
    rows_at: int
    sums_at: int
    planes_at: int
    staged_at: int
    workspace: int
    jobs: int

    def tile(self, row: Row, rows: int, taps: int) -> PictureTile:
        """The register tile that sums some taps across rows, or one along them."""
        return PictureTile(row.element, rows, self.tile_vectors, taps, 1)


class _Cutter:
    """Finds the boxes of one schedule."""

    def __init__(self, task: DirectTask, row: Row) -> None:
        self.task, self.row = task, row
        self.layouts = tuple(map(phases, task.axes))
        self.outputs = tuple(axis.outputs for axis in task.axes)
        self.extras = tuple(layout.extra for layout in self.layouts)
        most, self.vectors = _TILES[row.isa]
        self.lanes, self.size = row.element.lanes, row.element.size
        axis_d, axis_h, _ = task.axes
        self.rows = self._tile_rows(-(-axis_h.outputs // axis_h.dilation), most)
        self.planes = self._tile_rows(axis_d.outputs, most) if axis_d.kernel > 1 else 1
        self.columns = self.vectors * self.lanes

    @staticmethod
    def _tile_rows(outputs: int, most: int) -> int:
        rows = most
        while rows > 1 and rows // 2 >= outputs:
            rows //= 2
        return rows

    def _steps(self, axis: int, least: int, most: int) -> list[int]:
        """Outputs of a box along one axis that are worth a look, in multiples of `least`."""
        whole = round_up(self.outputs[axis], least)
        sizes = {min(whole, most)}
        for parts in (2, 3, 4, 5, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128):
            sizes.add(min(most, round_up(-(-self.outputs[axis] // parts), least)))
        return sorted(sizes)

    def width(self, columns: int) -> int:
        """So many columns or a few more: staged rows are whole vectors."""
        extra = self.extras[2]
        return round_up(columns + extra, self.lanes) - extra

    def plane_size(self, box: tuple[int, int, int]) -> int:
        """Bytes of a staged channel, an odd number of lines: planes do not share cache sets."""
        cells = prod(size + extra for size, extra in zip(box, self.extras, strict=True))
        return round_up(cells * self.size, 64) | 64

    def count(self, box: tuple[int, int, int]) -> int:
        """How many boxes there are."""
        boxes = prod(-(-n // size) for n, size in zip(self.outputs, box, strict=True))
        return max(1, self.task.batch) * self.task.groups * boxes

    def cost(self, box: tuple[int, int, int]) -> float:
        """Half multiply-adds of a vector of outputs: what overlaps is staged and summed again."""
        grown = [1 + extra / size for size, extra in zip(box, self.extras, strict=True)]
        whole = prod(n / (-(-n // size) * size) for n, size in zip(self.outputs, box, strict=True))
        axis_d, axis_h, axis_w = self.task.axes
        passes = grown[2] * (axis_h.kernel + 4) + 2 * axis_w.kernel
        if axis_d.kernel > 1:
            passes += grown[1] * grown[2] * (axis_d.kernel + 4)
        return (prod(grown) * _STAGING + passes) / whole

    def box(self) -> tuple[int, int, int]:
        """The box of least cost that fits."""
        _, axis_h, _ = self.task.axes
        strip = self.rows * axis_h.dilation
        width = min(self.outputs[2], _LEAST_COLUMNS)
        depths = self._steps(0, self.planes, 64) if self.task.axes[0].kernel > 1 else [1]
        heights = self._steps(1, strip, max(strip, 1024 // strip * strip))
        widths = {
            self.width(size) for size in self._steps(2, self.lanes, _MOST_COLUMNS) if size >= width
        }
        boxes = list(product(depths, heights, sorted(widths) or [self.width(width)]))
        channels = self.task.channels
        per_cell = channels * self.task.filters * sum(axis.kernel for axis in self.task.axes)
        cells = prod(self.outputs) * max(1, self.task.batch) * self.task.groups
        wanted = min(_WANTED_JOBS, cells // _LEAST_JOB_CELLS)

        def is_fit(box: tuple[int, int, int]) -> bool:
            is_long = prod(box) * per_cell > _MOST_MACS
            is_wide = channels * self.plane_size(box) > _STAGED_BYTES
            return not (is_long or is_wide or self.count(box) < wanted)

        fitting = [box for box in boxes if is_fit(box)]
        return min(fitting, key=self.cost) if fitting else min(boxes, key=self.plane_size)


@lru_cache(maxsize=1024)
def make_schedule(task: DirectTask, row: Row) -> PassSchedule:
    """Cut a filter whose axes have stride 1, and the first of them dilation 1."""
    cutter = _Cutter(task, row)
    box = cutter.box()
    size, columns = cutter.size, cutter.columns
    width = box[2] + cutter.extras[2]
    pieces = max(len(pieces_of(axis.kernel)) for axis in task.axes[:2])
    segment = round_up(_SEGMENT_CELLS, columns) if pieces > 1 else 1 << 40
    rows_pitch = round_up(round_up(width, columns) * size, 64) | 64
    sums_pitch = round_up(round_up(box[2], columns) * size, 64) | 64
    plane = (box[1] + cutter.extras[1]) * width
    planes_pitch = round_up(round_up(plane, columns) * size, 64) | 64
    slack = round_up(2 * columns * size, 64)  # tiles read whole vectors beyond the last cell
    rows_at = 8 * _BLOCK_WORDS
    sums_at = rows_at + cutter.rows * rows_pitch + slack
    planes_at = sums_at + cutter.rows * sums_pitch
    staged_at = planes_at
    if task.axes[0].kernel > 1:
        staged_at += cutter.planes * planes_pitch + slack
    plane_size = cutter.plane_size(box)
    workspace = round_up(staged_at + task.channels * plane_size + slack, 4096)
    return PassSchedule(
        layouts=(cutter.layouts[0], cutter.layouts[1], cutter.layouts[2]),
        boxes=box,
        tile_rows=cutter.rows,
        tile_planes=cutter.planes,
        tile_vectors=cutter.vectors,
        segment=segment,
        plane_size=plane_size,
        rows_pitch=rows_pitch,
        sums_pitch=sums_pitch,
        planes_pitch=planes_pitch,
        rows_at=rows_at,
        sums_at=sums_at,
        planes_at=planes_at,
        staged_at=staged_at,
        workspace=workspace,
        jobs=cutter.count(box),
    )
