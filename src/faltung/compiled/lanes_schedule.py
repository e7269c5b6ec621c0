"""How a convolution with output channels in the lanes is cut: rows, tile, boxes; integers only.

All of it decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import inf
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

_LEAST_TAPS = 160
"""Products of a sum that pay for turning the sums round."""
_LEAST_LANES_USED = 0.75
_MOST_PIXELS = 1300
_LONG_ROW = 14  # of which cells far apart would be staged for each other's sake
_BLOCK_WORDS = 64
_L2_BYTES = 1 << 20  # of staged cells and of weights that are used again for each row of tiles
_SUMS_BYTES = 16 << 10  # of a box, that may stay in L1 beside weights
_RANGE_BYTES = 384 << 10  # of weights that all tiles of a box go through
_JOB_CYCLES = 4000  # that handing out a job costs, waiting at the end included
_TILE_CYCLES = 30  # beside its taps: what is set up for a tile and added at the end of a chunk

# Vectors and runs of the tile by level. AVX-512 has 32 registers: 28 sums, 2 vectors of weights and
# a cell; rows of 8, 16 or 32 pixels are better cut into runs of 4. AVX2 has 16: 12 sums, 2 and one.
# The generic row needs room for products that are not yet added. The guarding test is in
# tests/compiled/test_variants.py.
_LEVELS = {"avx512": (64, 2, (7, 4)), "avx2": (32, 2, (3,)), "generic": (16, 2, (2,))}
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
    columns : tuple of int
        Pixels of a run, of which a tile has two; which of them depends on the width of the output.
    """

    isa: str
    element: Element
    vectors: int
    columns: tuple[int, ...]

    @property
    def id(self) -> str:
        """``f32_lanes_14x2__avx512``, of its largest tile."""
        short = self.element.dtype.replace("float", "f")
        return f"{short}_lanes_{2 * self.columns[0]}x{self.vectors}__{self.isa}"

    @property
    def rows(self) -> int:
        """Output channels that are packed together: those of a vector."""
        return self.element.lanes

    @property
    def most_singles(self) -> int:
        """None is packed alone."""
        return 0


ROWS = tuple(
    LanesRow(isa, Element(dtype, size // item, isa != "generic"), vectors, columns)
    for isa, (size, vectors, columns) in _LEVELS.items()
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

    On planes of 7², 14² and 28² pixels the other tile has rests of vectors, and copies of rows for
    each column of the kernel: it is 1.1 to 1.4 times as slow. On larger planes both are as fast
    where the machine is idle, and this one, which loads more, is slower where it is not.
    """
    axis_d, axis_h, axis_w = axes
    kernel_taps = axis_d.kernel * axis_h.kernel * axis_w.kernel
    pixels = axis_d.outputs * axis_h.outputs * axis_w.outputs
    beyond = (axis_w.kernel - 1) * axis_w.dilation
    is_far = axis_w.outputs > _LONG_ROW and 3 * beyond > 2 * axis_w.outputs * axis_w.stride
    return (
        kernel_taps > 1
        and pixels <= _MOST_PIXELS
        and not is_far
        and channels * kernel_taps >= _LEAST_TAPS
        and filters >= _LEAST_LANES_USED * round_up(filters, row.rows)
        and kernel_taps * row.rows * row.element.size <= _L2_BYTES
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
    group_channels: int  # staged at once
    range_channels: int  # summed for all tiles of a box while their weights stay in L2
    blocks: int
    blocks_a_part: int
    plane_size: int
    row_size: int  # bytes of the sums of a row of a box with one vector a pixel
    kept_size: int  # bytes of the sums of a box with one vector a pixel
    is_kept: bool  # sums of a box wait for more channels
    keeps_blocks: bool  # and so do those of all its output channels
    panel_at: int
    turned_pitch: int
    scratch_at: int
    staged_at: int
    workspace: int
    jobs: int
    lane_use: float  # of the multiply-adds of whole tiles
    # What tables of staged cells (`gathering`) ask every schedule.
    is_direct: bool = False
    is_flat: bool = False
    box_pixels: int = 0


def _best_tile(shape: Shape, row: LanesRow) -> LanesTile:
    """The tile that covers the plane in the fewest cycles."""
    _, axis_h, axis_w = shape.axes
    height, width = max(1, axis_h.outputs), max(1, axis_w.outputs)
    taps = min(160, shape.channels * _taps(shape))
    vectors = min(row.vectors, -(-shape.rows // row.rows))

    def cycles(pixels: int) -> float:
        # Two multiply-adds, two loads a cycle; a sum waits four cycles for itself.
        sums = pixels * vectors
        a_tap = max(sums / 2, pixels / 2 + vectors, 4) + 0.9
        return a_tap * taps + 2.5 * sums + _TILE_CYCLES

    def all_cycles(columns: int) -> float:
        strips, runs = (1, height) if width <= columns else (height, -(-width // columns))
        return strips * (runs // 2 * cycles(2 * columns) + runs % 2 * cycles(columns))

    columns = min(row.columns, key=all_cycles)
    weights = shape.rows * shape.channels * _taps(shape) * row.element.size
    return LanesTile(row.element, 2, columns, vectors, axis_w.stride, weights > _L2_BYTES)


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

    def layouts(self, box: tuple[int, int, int]) -> tuple[AxisLayout, AxisLayout, AxisLayout]:
        """All cells from first to last, or for each tap its own where taps are far apart."""
        beyond = (0, 0, self.tile.columns - 1)
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

    def padded(self, box: tuple[int, int, int]) -> tuple[int, int]:
        """Rows and columns of a box, the columns in whole tiles."""
        return box[1], round_up(box[2], self.tile.columns)

    def count(self, box: tuple[int, int, int]) -> int:
        """How many boxes there are."""
        count = max(1, self.shape.batch) * self.shape.groups
        for axis, outputs in zip(self.shape.axes, box, strict=True):
            count *= -(-axis.outputs // max(1, outputs))
        return count

    def macs(self, box: tuple[int, int, int], parts: int) -> int:
        rows, columns = self.padded(box)
        blocks = -(-self.blocks // parts) * self.row.rows
        return box[0] * rows * columns * blocks * self.shape.channels * self.taps

    def lane_use(self) -> float:
        """Pixels and output channels in parts of those that tiles have."""
        _, axis_h, axis_w = self.shape.axes
        rows, columns = self.padded((1, axis_h.outputs, axis_w.outputs))
        pixels, filled = axis_h.outputs * axis_w.outputs, self.blocks * self.row.rows
        return pixels * self.shape.rows / (rows * columns * filled) if pixels else 1.0

    def group_channels(self, box: tuple[int, int, int]) -> int:
        """Channels that are staged at once."""
        most = max(4 * _L2_BYTES // self.plane_size(box), 1)
        chunk, channels = self.chunks.channels, self.shape.channels
        return channels if most >= channels else max(chunk, most // chunk * chunk)

    def cycles(self, box: tuple[int, int, int], parts: int) -> float:
        """What it costs, waiting for the last job included, on a few numbers of threads."""
        depth, height, width = self.cells(box)
        lanes, channels = self.row.element.lanes, self.shape.channels
        staging = channels * depth * height * (12 + 2.5 * width / lanes)
        a_vector = 2 * self.tile.vectors * self.tile.columns
        summing = self.macs(box, parts) / lanes / 2 * (1 + 2 / a_vector)
        weights = self.taps * channels * self.tile.vectors * self.row.element.vector_size
        staged = channels * depth * height * width * self.size
        if staged + min(weights, _RANGE_BYTES) > 1.5 * _L2_BYTES:
            summing *= 1.8
        # Weights that do not stay in L2 come from beyond it for each job, 8 bytes a cycle at best.
        loaded = weights * -(-self.blocks // parts) / self.tile.vectors
        if loaded + staged > 1.5 * _L2_BYTES:
            summing += loaded / 16
        job = staging + summing + _JOB_CYCLES
        jobs = self.count(box) * parts
        return sum(-(-jobs // threads) * job * threads for threads in self.shape.threads) + jobs

    def boxes(self) -> Iterator[tuple[int, int, int]]:
        """Boxes worth weighing, larger ones first."""
        depths, height, width = (max(1, axis.outputs) for axis in self.shape.axes)
        for depth in even_parts(depths, 1):
            for rows in even_parts(height, 1):
                widths: Iterable[int] = (width,)
                if width > 32 * self.tile.columns or rows == 1:
                    widths = even_parts(width, self.tile.columns)
                for columns in widths:
                    yield depth, rows, columns


@lru_cache(maxsize=1024)
def make_schedule(shape: Shape, row: LanesRow) -> LanesSchedule:
    """Cut a convolution that `suits`."""
    cutter = _Cutter(shape, row)
    most = most_macs(row.isa, row.element.dtype)
    vectors = cutter.tile.vectors
    best, least = None, inf
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
                if best is None or made.workspace <= MOST_WORKSPACE:
                    best, least = made, cost
    assert best is not None
    return best


def _lay_out(cutter: _Cutter, box: tuple[int, int, int], parts: int) -> LanesSchedule:
    tile, size, vector_size = cutter.tile, cutter.size, cutter.row.element.vector_size
    rows, columns = cutter.padded(box)
    blocks_a_part = round_up(-(-cutter.blocks // parts), tile.vectors)
    group, plane = cutter.group_channels(box), cutter.plane_size(box)
    keeps_blocks = group < cutter.shape.channels
    row_size = columns * vector_size
    kept_size = box[0] * rows * row_size
    # Sums of few pixels stay in L1 while the weights pass by once; of many, the weights stay in L2.
    range_channels = chunk = cutter.chunks.channels
    if kept_size * tile.vectors > _SUMS_BYTES:
        most = _RANGE_BYTES // (cutter.taps * tile.pixel_size)
        range_channels = min(group, max(most // chunk, 1) * chunk)
    is_kept = range_channels < cutter.shape.channels
    panel_at = 8 * _BLOCK_WORDS
    turned_pitch = round_up(columns, cutter.row.rows) * size
    scratch_at = panel_at + round_up(cutter.row.rows * turned_pitch, 64)
    kept = min(blocks_a_part, cutter.blocks) if keeps_blocks else tile.vectors
    sums = kept * (kept_size if is_kept else (box[1] if box[2] <= tile.columns else 1) * row_size)
    # Whole vectors of pixels are read where the last of a row are turned round.
    slack = cutter.row.rows * tile.pixel_size
    staged_at = scratch_at + round_up(sums + slack, 64)
    workspace = staged_at + group * plane + cutter.row.element.vector_size
    strides = [axis.stride for axis in cutter.shape.axes]
    in_cells = tuple(outputs * stride for outputs, stride in zip(box, strides, strict=True))
    return LanesSchedule(
        layouts=cutter.layouts(box),
        boxes=(in_cells[0], in_cells[1], in_cells[2]),
        box=box,
        tile=tile,
        chunks=cutter.chunks,
        group_channels=group,
        range_channels=range_channels,
        blocks=cutter.blocks,
        blocks_a_part=blocks_a_part,
        plane_size=plane,
        row_size=row_size,
        kept_size=kept_size,
        is_kept=is_kept,
        keeps_blocks=keeps_blocks,
        panel_at=panel_at,
        turned_pitch=turned_pitch,
        scratch_at=scratch_at,
        staged_at=staged_at,
        workspace=round_up(workspace, 4096),
        jobs=cutter.count(box) * -(-cutter.blocks // blocks_a_part),
        lane_use=cutter.lane_use(),
    )
