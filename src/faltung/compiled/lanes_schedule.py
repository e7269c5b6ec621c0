"""How a convolution with output channels in the lanes is cut: rows, tile, boxes; integers only.

All of it decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product
from math import inf, prod
from typing import NamedTuple

from faltung.compiled import machine
from faltung.compiled.lanes_tile import LanesTile
from faltung.compiled.schedule import (
    MOST_WORKSPACE,
    Axis,
    AxisLayout,
    Chunks,
    Shape,
    chunks_of,
    round_up,
)
from faltung.compiled.simd import Element
from faltung.compiled.staged_cut import even_parts, most_macs

__all__ = ["LanesRow", "LanesSchedule", "cells_of", "find_lanes_row", "make_schedule", "suits"]

_LEAST_OF_A_ROW, _LEAST_TAPS, _NARROW_TAPS, _NARROW = 256, 144, 100, 28
"""Products of a sum that pay for turning the sums round: of kernels of one row, of others, and of
all where rows are that narrow."""
_LEAST_LANES_USED = 0.75
_MOST_TOGETHER = 5  # taps of a row that are written out
_WIDE_DILATION = 4
_MOST_CELLS, _FEW = 18, 14
"""Cells of a row that a tile reads, for each column of the kernel; unless rows are that short."""
_BLOCK_WORDS = 64
_L2_BYTES = 1 << 20  # of the staged cells and the sums of a job
_JOB_CYCLES = 1000  # that handing out a job costs
_UNEVEN = 0.35  # of a job, that threads wait at the end: they are not equally fast
_LINE_CYCLES, _FAR_LINE_CYCLES = 6, 12  # of a cache line that is staged, from L2 or beyond it
_NEAR_BYTES = 1 << 20  # of an input that stays in L2
_CELL_BYTES = 10  # a cycle, of cells from L2
_TILE_CYCLES = 40  # beside its taps: what is set up for a tile and added at the end of a chunk
_CHUNK_CYCLES = 100  # of a chunk of channels
_TURN_CYCLES = 110  # of a block of as many pixels and channels as a vector has lanes
_WEIGHT_BYTES = 16  # a cycle, of weights that come for each box from L2 or beyond it

# Vectors, tiles (runs and their pixels) and the widest rows by level. AVX-512 has 32 registers: 28
# sums, a vector of weights and room for one; rows of 8, 16 or 24 pixels are better cut into runs of
# 8 or 6. AVX2 has 16 and no operands that are broadcast: 12 sums, 2 and a cell. The generic row
# needs room for products that are not yet added. The guarding test is in
# tests/compiled/test_variants.py.
_LEVELS = {
    "avx512": (64, 1, ((4, 7), (4, 6), (3, 8)), 1 << 31),
    "avx2": (32, 2, ((2, 3),), 1 << 31),
    "generic": (16, 2, ((2, 2),), 8),
}
_DTYPES = {"float32": 4, "float64": 8}


class LanesRow(NamedTuple):
    """One variant of the kernel.

    Parameters
    ----------
    isa : str
        The level of `machine.LEVELS` that it needs.
    element : Element
        The lanes of its vectors; their dtype is that of the sums.
    vectors : int
        Vectors of output channels of a tile.
    tiles : tuple of (int, int)
        Runs and pixels of a run; which of the tiles it is depends on the width of the output.
    widest : int
        Pixels of a row up to which it is the better tile, where taps are close.
    """

    isa: str
    element: Element
    vectors: int
    tiles: tuple[tuple[int, int], ...]
    widest: int

    @property
    def id(self) -> str:
        """``f32_lanes_28x1__avx512``, of its largest tile."""
        short = self.element.dtype.replace("float", "f")
        return f"{short}_lanes_{prod(self.tiles[0])}x{self.vectors}__{self.isa}"

    @property
    def rows(self) -> int:
        """Output channels that are packed together: those of a vector."""
        return self.element.lanes

    @property
    def most_singles(self) -> int:
        """None is packed alone."""
        return 0


ROWS = tuple(
    LanesRow(isa, Element(dtype, size // item, isa != "generic"), vectors, tiles, widest)
    for isa, (size, vectors, tiles, widest) in _LEVELS.items()
    for dtype, item in _DTYPES.items()
)


def find_lanes_row(dtype: str) -> LanesRow | None:
    """The best row for sums in `dtype` on this machine; None where there is none."""
    for row in ROWS:
        if row.element.dtype == dtype and machine.has(row.isa):
            return row
    return None


def suits(channels: int, filters: int, axes: tuple[Axis, Axis, Axis], row: LanesRow) -> bool:
    """Whether a convolution belongs here.

    Where a kernel has one tap the input is read where it lies; where few columns of it see a cell
    of a wide row, cells come from L2 too often; sums of few products do not pay for being turned
    round.
    """
    kernel_taps = prod(axis.kernel for axis in axes)
    least = _LEAST_OF_A_ROW if kernel_taps == axes[2].kernel else _LEAST_TAPS
    if axes[2].outputs <= _NARROW:
        least = _NARROW_TAPS
    columns = prod(row.tiles[0])
    cells = (columns - 1) * axes[2].stride + (axes[2].kernel - 1) * axes[2].dilation + 1
    # All channels of one run of pixels are staged at least.
    staged = channels * kernel_taps * row.tiles[0][1] * axes[2].stride * row.element.size
    return (
        kernel_taps > 1
        and (axes[2].outputs <= _FEW or cells <= _MOST_CELLS * axes[2].kernel)
        and (axes[2].outputs <= row.widest or axes[2].dilation >= _WIDE_DILATION)
        and channels * kernel_taps >= least
        and filters >= _LEAST_LANES_USED * round_up(filters, row.rows)
        and kernel_taps * row.rows * row.element.size <= 1 << 20
        and staged <= MOST_WORKSPACE // 2
    )


def cells_of(axis: Axis) -> Axis:
    """The axis as staging sees it, in cells: an output has as many as its stride."""
    return axis._replace(outputs=axis.outputs * axis.stride, stride=1)


class LanesSchedule(NamedTuple):
    """The cut of one convolution; `layouts` and `boxes` are in cells, as staging sees them."""

    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]
    box: tuple[int, int, int]  # the same in outputs
    tile: LanesTile
    chunks: Chunks
    blocks: int
    blocks_a_part: int
    plane_size: int
    kept_size: int  # bytes of the sums of a box with one vector a pixel
    keeps_blocks: bool  # those of all its output channels wait for more channels
    panel_at: int
    turned_pitch: int
    runs_at: int
    scratch_at: int
    staged_at: int
    workspace: int
    jobs: int
    lane_use: float  # of the multiply-adds of whole tiles
    # What tables of staged cells (`gathering`) ask every schedule.
    is_direct: bool = False
    is_flat: bool = False
    box_pixels: int = 0


def _tap_cycles(sums: int) -> float:
    """What a tap of a tile takes: two multiply-adds a cycle; a sum waits four for itself."""
    return max(sums / 2, 4) + (0.35 if sums == 28 else 0.9)


def _best_tile(shape: Shape, row: LanesRow) -> LanesTile:
    """The tile that covers the planes in the fewest cycles."""
    depth, height, width = (max(1, axis.outputs) for axis in shape.axes)
    vectors = min(row.vectors, -(-shape.rows // row.rows))

    def cycles(tile: tuple[int, int]) -> float:
        runs, columns = tile
        a_tap = _tap_cycles(runs * columns * vectors)
        return depth * height * -(-width // columns) / runs * a_tap

    runs, columns = min(row.tiles, key=cycles)
    # Neighbours in a row of the kernel are taken together, where all chunks have whole rows.
    axis_w = shape.axes[2]
    chunk = chunks_of(shape.channels, _taps(shape)).taps
    taps = axis_w.kernel
    if taps > _MOST_TOGETHER or chunk % taps:
        taps = 1
    is_dense = taps == 1 or axis_w.dilation == 1
    return LanesTile(row.element, runs, columns, vectors, axis_w.stride, taps, is_dense)


def _taps(shape: Shape) -> int:
    axis_d, axis_h, axis_w = shape.axes
    return axis_d.kernel * axis_h.kernel * axis_w.kernel


class _Cutter:
    """Weighs the boxes of one schedule."""

    def __init__(self, shape: Shape, row: LanesRow) -> None:
        self.shape, self.row, self.size = shape, row, row.element.size
        self.tile = _best_tile(shape, row)
        self.taps = _taps(shape)
        self.chunks = chunks_of(shape.channels, self.taps)
        self.blocks = -(-shape.rows // row.rows)
        cells = prod(axis.length for axis in shape.axes)
        self.is_near = shape.channels * cells * self.size < _NEAR_BYTES
        self._layouts: dict[tuple[int, int, int], tuple[AxisLayout, AxisLayout, AxisLayout]] = {}

    def layouts(self, box: tuple[int, int, int]) -> tuple[AxisLayout, AxisLayout, AxisLayout]:
        """All cells from first to last, or for each tap its own where taps are far apart."""
        if box not in self._layouts:
            self._layouts[box] = self._lay_out(box)
        return self._layouts[box]

    def _lay_out(self, box: tuple[int, int, int]) -> tuple[AxisLayout, AxisLayout, AxisLayout]:
        columns, width = self.tile.columns, max(1, self.shape.axes[2].outputs)
        # Pixels that fill up the last run of a row, of a whole box or of the last one.
        rows = (box[2], (width - 1) % max(1, box[2]) + 1)
        beyond = (0, 0, max(-row % columns for row in rows))
        layouts = []
        for axis, outputs, more in zip(self.shape.axes, box, beyond, strict=True):
            # Beyond the strides of a box: the rest of the kernel, and pixels that fill up tiles.
            extra = (more - 1) * axis.stride + 1
            taps = tuple(tap * axis.dilation for tap in range(axis.kernel))
            joined = AxisLayout((0,), extra + taps[-1], (0,) * axis.kernel, taps)
            apart = AxisLayout(taps, extra, tuple(range(axis.kernel)), (0,) * axis.kernel)
            cells = outputs * axis.stride
            layouts.append(joined if joined.cells(cells) <= apart.cells(cells) else apart)
        return layouts[0], layouts[1], layouts[2]

    def cells(self, box: tuple[int, int, int]) -> tuple[int, int, int]:
        """Staged cells of a box of outputs, by axis."""
        pairs = zip(self.shape.axes, self.layouts(box), box, strict=True)
        sizes = [layout.cells(outputs * axis.stride) for axis, layout, outputs in pairs]
        return sizes[0], sizes[1], sizes[2]

    def plane_size(self, box: tuple[int, int, int]) -> int:
        """Bytes of a staged channel, an odd number of lines: planes do not share cache sets."""
        depth, height, width = self.cells(box)
        return round_up(depth * height * width * self.size, 64) | 64

    def runs(self, box: tuple[int, int, int]) -> int:
        """Runs of pixels of a box."""
        return box[0] * box[1] * -(-box[2] // self.tile.columns)

    def kept_size(self, box: tuple[int, int, int]) -> int:
        """Bytes of the sums of a box, in whole tiles, with one vector a pixel."""
        pixels = round_up(self.runs(box), self.tile.runs) * self.tile.columns
        return pixels * self.row.element.vector_size

    def count(self, box: tuple[int, int, int]) -> int:
        """How many boxes there are."""
        count = max(1, self.shape.batch) * self.shape.groups
        for axis, outputs in zip(self.shape.axes, box, strict=True):
            count *= -(-axis.outputs // max(1, outputs))
        return count

    def filled(self, box: tuple[int, int, int]) -> float:
        """The tiles of all boxes in parts of those that they would have were none a small one."""
        sizes = []
        for axis, most in zip(self.shape.axes, box, strict=True):
            whole, rest = divmod(max(1, axis.outputs), most)
            sizes.append([(most, whole)] if not rest else [(most, whole), (rest, 1)])
        boxes, tiles = 0, 0
        for depth, height, width in product(*sizes):
            count = depth[1] * height[1] * width[1]
            runs = self.runs((depth[0], height[0], width[0]))
            boxes, tiles = boxes + count, tiles + count * -(-runs // self.tile.runs)
        return tiles / (boxes * -(-self.runs(box) // self.tile.runs))

    def macs(self, box: tuple[int, int, int], parts: int) -> int:
        """Multiply-adds of a job, those of pixels that are not there included."""
        blocks = -(-self.blocks // parts) * self.row.rows
        pixels = self.runs(box) * self.tile.columns
        return pixels * blocks * self.shape.channels * self.taps

    def lane_use(self) -> float:
        """Pixels and output channels in parts of those that tiles have."""
        width = self.shape.axes[2].outputs
        columns, filled = round_up(width, self.tile.columns), self.blocks * self.row.rows
        return width * self.shape.rows / (columns * filled) if width else 1.0

    def cycles(self, box: tuple[int, int, int], parts: int) -> float:
        """What it costs, waiting for the last job included, on a few numbers of threads."""
        depth, height, width = self.cells(box)
        tile, lanes, channels = self.tile, self.row.element.lanes, self.shape.channels
        copies = prod(len(layout.starts) for layout in self.layouts(box))
        line = _LINE_CYCLES if self.is_near else _FAR_LINE_CYCLES
        staging = channels * (80 * copies + depth * height * (20 + line * width / lanes))
        blocks = -(-self.blocks // parts) / tile.vectors
        pieces = channels * self.taps / self.chunks.taps
        a_tile = channels * self.taps * _tap_cycles(tile.runs * tile.columns * tile.vectors)
        a_tile += pieces * (2.5 * tile.sums + _TILE_CYCLES)
        turned = box[0] * box[1] * -(-box[2] // lanes) * tile.vectors
        summing = -(-self.runs(box) // tile.runs) * a_tile
        # What does not stay in L2 comes from beyond it for each block of rows.
        cells = channels * self.plane_size(box)
        sums = blocks * tile.vectors * self.kept_size(box) if pieces > 1 else 0
        summing *= 1 + 0.25 * min(2, max(0, (cells + sums) / _L2_BYTES - 1))
        weights = channels * self.taps * tile.pixel_size / _WEIGHT_BYTES
        # Each part reads all cells once more into L1.
        job = blocks * (summing + weights + turned * _TURN_CYCLES)
        job += cells / _CELL_BYTES + pieces * _CHUNK_CYCLES + _JOB_CYCLES
        boxes = self.count(box)
        jobs = boxes * parts
        # The last boxes along an axis may be small ones.
        missing, cycles = jobs * (1 - self.filled(box)), 0.0
        for threads in self.shape.threads:
            rounds = -(-jobs // threads) - missing / threads + _UNEVEN
            cycles += threads * (-(-boxes // threads) * staging + rounds * job)
        return cycles + jobs

    def boxes(self) -> Iterator[tuple[int, int, int]]:
        """Boxes worth weighing, larger ones first."""
        depths, height, width = (max(1, axis.outputs) for axis in self.shape.axes)
        for depth in even_parts(depths, 1):
            for rows in even_parts(height, 1):
                widths: Iterable[int] = (width,)
                if width > 4 * self.tile.columns:
                    widths = even_parts(width, self.tile.columns)
                for columns in widths:
                    yield depth, rows, columns


@lru_cache(maxsize=1024)
def make_schedule(shape: Shape, row: LanesRow) -> LanesSchedule:
    """Cut a convolution that `suits`."""
    cutter = _Cutter(shape, row)
    most = most_macs(row.isa, row.element.dtype)
    vectors = cutter.tile.vectors
    best, smallest, least = None, None, inf
    for box in cutter.boxes():
        for parts in (1, 2, 3, 4, 6, 8, 16, 32):
            if parts > 1 and parts * vectors > cutter.blocks + vectors - 1:
                break
            is_last = box[0] * box[1] * box[2] <= cutter.tile.columns
            cost = cutter.cycles(box, parts)
            if not is_last and cutter.macs(box, parts) > most:
                cost *= 4
            if cost < least:
                made = _lay_out(cutter, box, parts)
                if made.workspace <= MOST_WORKSPACE:
                    best, least = made, cost
                elif smallest is None or made.workspace < smallest.workspace:
                    smallest = made
    found = best or smallest
    assert found is not None
    return found


def _lay_out(cutter: _Cutter, box: tuple[int, int, int], parts: int) -> LanesSchedule:
    tile, size, row = cutter.tile, cutter.size, cutter.row
    blocks_a_part = round_up(-(-cutter.blocks // parts), tile.vectors)
    plane, channels = cutter.plane_size(box), cutter.shape.channels
    keeps_blocks, kept_size = cutter.chunks.channels < channels, cutter.kept_size(box)
    panel_at = 8 * _BLOCK_WORDS
    turned_pitch = round_up(box[2], row.rows) * size
    runs_at = panel_at + round_up(row.rows * turned_pitch, 64)
    scratch_at = runs_at + round_up(24 * (cutter.runs(box) + tile.runs), 64)
    kept = min(blocks_a_part, cutter.blocks) if keeps_blocks else tile.vectors
    # Whole vectors of the last pixels are turned round.
    slack = row.rows * tile.pixel_size
    staged_at = scratch_at + round_up(kept * kept_size + slack, 64)
    workspace = staged_at + channels * plane + row.element.vector_size
    strides = [axis.stride for axis in cutter.shape.axes]
    in_cells = tuple(outputs * stride for outputs, stride in zip(box, strides, strict=True))
    return LanesSchedule(
        layouts=cutter.layouts(box),
        boxes=(in_cells[0], in_cells[1], in_cells[2]),
        box=box,
        tile=tile,
        chunks=cutter.chunks,
        blocks=cutter.blocks,
        blocks_a_part=blocks_a_part,
        plane_size=plane,
        kept_size=kept_size,
        keeps_blocks=keeps_blocks,
        panel_at=panel_at,
        turned_pitch=turned_pitch,
        runs_at=runs_at,
        scratch_at=scratch_at,
        staged_at=staged_at,
        workspace=round_up(workspace, 4096),
        jobs=cutter.count(box) * -(-cutter.blocks // blocks_a_part),
        lane_use=cutter.lane_use(),
    )
