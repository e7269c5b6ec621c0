"""How a direct convolution is cut into jobs, chunks and staged boxes: integers only.

The chunks of taps decide the order of every sum and depend on nothing but the number of channels
and the kernel. All else here decides speed and memory, never a bit of the result.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache
from math import prod
from typing import NamedTuple, Protocol

from faltung.compiled.simd import Element
from faltung.compiled.staged_cut import best_cut, most_macs
from faltung.compiled.task import Axis, is_short
from faltung.compiled.variants import Row

__all__ = [
    "MOST_WORKSPACE",
    "Axis",
    "AxisLayout",
    "Blocks",
    "Chunks",
    "Schedule",
    "Shape",
    "chunks_of",
    "make_schedule",
    "phases",
    "round_up",
    "split_rows",
]

MOST_WORKSPACE = 16 << 20
_CHUNK_TAPS = 160  # a panel of 48 float32 pixels and this many taps is 30 KB, which leaves L1 room
_STAGED_BYTES = 384 << 10  # what a box may stage before it is made smaller: a part of L2
_CHUNK_WEIGHT_BYTES = 512 << 10  # weights that are used again for each tile of the box: also L2
_BLOCK_WORDS = 64
_JOB_BYTES = 8 << 20  # that a job may read and write where it lies
_JOB_MACS = 500_000  # below this, 10 µs, a job is not worth handing out
_LEAST_JOB_BYTES = 192 << 10  # unless it reads and writes so much where it lies
_WANTED_JOBS = 16
# What is read where it lies is asked for a strip ahead, but for the first strip of each job.
_LONG_JOB_MACS, _WANTED_LONG_JOBS = 4_000_000, 4


class AxisLayout(NamedTuple):
    """Where the cells of an axis are staged, see `staging`.

    `starts` has the tap position that each copy begins at; `extra` is how many slots a copy has
    beyond the outputs of the box; tap k is found in copy ``copies[k]``, shifted by ``shifts[k]``.
    """

    starts: tuple[int, ...]
    extra: int
    copies: tuple[int, ...]
    shifts: tuple[int, ...]

    def cells(self, box: int) -> int:
        """Staged cells of a box of so many outputs."""
        return len(self.starts) * (box + self.extra)


@cache
def _thread_counts() -> tuple[int, ...]:
    """Two, four and eight, as far as the machine has processors, whoever may use how many now."""
    return tuple(count for count in (2, 4, 8) if count <= max(2, os.cpu_count() or 1))


def phases(axis: Axis) -> AxisLayout:
    """One copy for each remainder of a tap's position by the stride; taps share the slots."""
    positions = [tap * axis.dilation for tap in range(axis.kernel)]
    starts = sorted({position % axis.stride for position in positions})
    shifts = tuple(position // axis.stride for position in positions)
    copies = tuple(starts.index(position % axis.stride) for position in positions)
    return AxisLayout(tuple(starts), shifts[-1], copies, shifts)


def _copies(axis: Axis) -> AxisLayout:
    """One copy for each tap: nothing but the outputs' own cells."""
    starts = tuple(tap * axis.dilation for tap in range(axis.kernel))
    return AxisLayout(starts, 0, tuple(range(axis.kernel)), (0,) * axis.kernel)


def _smaller(axis: Axis, box: int) -> AxisLayout:
    return min(phases(axis), _copies(axis), key=lambda layout: layout.cells(box))


class Chunks(NamedTuple):
    """Chunks of taps: so many channels, and of their taps so many at a time."""

    channels: int
    taps: int


def chunks_of(channels: int, kernel_taps: int) -> Chunks:
    """The chunks that each sum is made of: each one starts from zero and is added at its end."""
    if kernel_taps <= _CHUNK_TAPS:
        pieces = -(-channels // (_CHUNK_TAPS // kernel_taps))
        together = -(-channels // pieces)
        return Chunks(together, together * kernel_taps)
    pieces = -(-kernel_taps // _CHUNK_TAPS)
    return Chunks(1, -(-kernel_taps // pieces))


class Blocks(Protocol):
    """How output channels are packed: in blocks of `rows`, the last few perhaps one by one."""

    @property
    def element(self) -> Element:
        """The lanes of the vectors."""

    @property
    def rows(self) -> int:
        """Output channels of a block."""

    @property
    def most_singles(self) -> int:
        """How many of the last ones are better packed one by one."""


def split_rows(rows: int, row: Blocks) -> tuple[int, int]:
    """Blocks of rows, the last of them perhaps in part, and rows that are done one by one."""
    remainder = rows % row.rows
    singles = remainder if remainder <= row.most_singles else 0
    return -(-(rows - singles) // row.rows), singles


class Schedule(NamedTuple):
    """The cut of one convolution."""

    is_direct: bool  # the input is read where it lies
    is_flat: bool  # rows of the box join, boxes are ranges of pixels of a plane
    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]  # outputs of a box by axis
    box_pixels: int  # of a flat box
    chunks: Chunks
    group_channels: int  # staged and summed at once
    blocks: int
    singles: int
    blocks_a_part: int
    plane_size: int
    panel_at: int
    scratch_at: int
    staged_at: int
    scratch_keeps: bool
    workspace: int
    jobs: int
    strip_tiles: int = 1  # that a pointwise convolution takes at a time


class Shape(NamedTuple):
    """What a schedule is made from; channels and rows count the parts of complex numbers."""

    batch: int
    groups: int
    channels: int
    rows: int
    axes: tuple[Axis, Axis, Axis]

    @property
    def threads(self) -> tuple[int, ...]:
        """The numbers of threads that it should be cut for."""
        pixels = prod(axis.outputs for axis in self.axes)
        cells = prod(axis.length for axis in self.axes)
        taps = prod(axis.kernel for axis in self.axes)
        macs, numbers = self.rows * self.channels * taps * pixels, self.channels * cells
        numbers += self.rows * pixels
        groups = self.batch * self.groups
        return (1,) if is_short(groups * macs, groups * numbers) else _thread_counts()


def round_up(number: int, multiple: int) -> int:
    """The least multiple that is not below a number."""
    return -(-number // multiple) * multiple


def _is_flat(axis: Axis, lanes: int) -> bool:
    """Whether short rows should join: a copy of the row for each tap is paid for that."""
    if axis.kernel == 1:
        return True
    return axis.outputs <= 6 * lanes and (axis.kernel <= 32 or axis.outputs < lanes)


class Cutter:
    """Finds the boxes of one schedule; the methods share its many numbers."""

    def __init__(self, shape: Shape, row: Row, is_flat: bool) -> None:
        self.shape, self.row, self.is_flat = shape, row, is_flat
        self.size = row.element.size
        self.wide = row.wide.pixels
        axis_d, axis_h, axis_w = shape.axes
        taps = axis_d.kernel * axis_h.kernel * axis_w.kernel
        self.chunks = chunks_of(shape.channels, taps)
        self.taps = taps
        self.blocks, self.singles = split_rows(shape.rows, row)

    def layouts(self, box: tuple[int, int, int]) -> tuple[AxisLayout, AxisLayout, AxisLayout]:
        axis_d, axis_h, axis_w = self.shape.axes
        layout_w = _copies(axis_w) if self.is_flat else _smaller(axis_w, box[2])
        return _smaller(axis_d, box[0]), _smaller(axis_h, box[1]), layout_w

    def plane_size(self, box: tuple[int, int, int]) -> int:
        """Bytes of a staged channel, an odd number of lines: planes do not share cache sets."""
        cells = self.size
        for layout, outputs in zip(self.layouts(box), box, strict=True):
            cells *= layout.cells(outputs)
        return round_up(cells, 64) | 64

    def flat_box(self, depth: int, pixels: int) -> tuple[int, int, int]:
        """The box that holds any range of so many pixels."""
        _, axis_h, axis_w = self.shape.axes
        width = max(1, axis_w.outputs)
        # Ranges of whole rows begin with a row, each of them.
        rows = pixels // width if pixels % width == 0 else (pixels - 2) // width + 2
        return depth, min(axis_h.outputs, rows), axis_w.outputs

    def halve(self, depth: int, height: int, width: int) -> tuple[int, int, int] | None:
        """The next smaller box; None at the smallest. Flat boxes have their pixels as width."""
        if depth > 1:
            return -(-depth // 2), height, width
        if not self.is_flat and height > 1:
            return depth, -(-height // 2), width
        if width > self.wide:
            return depth, height, round_up(-(-width // 2), self.wide)
        return None

    def count(self, box: tuple[int, int, int]) -> int:
        """How many boxes there are."""
        axis_d, axis_h, axis_w = self.shape.axes
        samples = max(1, self.shape.batch)
        count = samples * self.shape.groups * -(-axis_d.outputs // box[0])
        if self.is_flat:
            return count * -(-axis_h.outputs * axis_w.outputs // box[2])
        return count * -(-axis_h.outputs // box[1]) * -(-axis_w.outputs // box[2])

    def staged_box(self, box: tuple[int, int, int]) -> tuple[int, int, int]:
        return self.flat_box(box[0], box[2]) if self.is_flat else box

    def macs(self, box: tuple[int, int, int]) -> int:
        pixels = box[0] * box[2] * (1 if self.is_flat else box[1])
        return pixels * self.shape.channels * self.shape.rows * self.taps

    def tiles(self, box: tuple[int, int, int]) -> int:
        """At most so many wide tiles cover the runs of a box."""
        runs = box[0] * (1 if self.is_flat else box[1])
        return runs * (-(-box[2] // self.wide) + 2)


def _direct_box(cutter: Cutter) -> tuple[int, int, int]:
    """Boxes of what is read where it lies: many enough for the threads, yet worth a job each."""
    axis_d, axis_h, axis_w = cutter.shape.axes
    box = (axis_d.outputs, 1, axis_h.outputs * axis_w.outputs)
    numbers = cutter.shape.channels + cutter.shape.rows
    most = most_macs(cutter.row.isa, cutter.row.element.dtype)

    def is_too_big(box: tuple[int, int, int]) -> bool:
        moved, macs = box[0] * box[2] * numbers * cutter.size, cutter.macs(box)
        is_long = macs >= 2 * _JOB_MACS or moved >= 2 * _LEAST_JOB_BYTES
        wanted = _WANTED_JOBS if macs >= _LONG_JOB_MACS else _WANTED_LONG_JOBS
        is_lonely = cutter.count(box) < wanted and is_long
        return moved > _JOB_BYTES or is_lonely or macs > most

    least = 4 * cutter.wide
    while is_too_big(box):
        smaller = cutter.halve(*box)
        is_quick = cutter.macs(box) <= most * max(1, cutter.blocks)
        if smaller is None or (is_quick and smaller[2] < least and smaller[2] < box[2]):
            break
        box = smaller
    return box


def _group_channels(cutter: Cutter, plane: int, part_rows: int, is_direct: bool) -> int:
    """Channels that are staged and summed at once: planes and weights shall stay in L2."""
    chunk, channels = cutter.chunks.channels, cutter.shape.channels
    most = channels
    if not is_direct:
        most = min(most, max(4 * _STAGED_BYTES // plane, 1))
    most = min(most, max(_CHUNK_WEIGHT_BYTES // (cutter.taps * part_rows * cutter.size), 1))
    return min(channels, max(chunk, most // chunk * chunk))


@lru_cache(maxsize=1024)
def make_schedule(shape: Shape, row: Row, *, may_be_direct: bool, may_be_flat: bool) -> Schedule:
    """Cut a convolution.

    Parameters
    ----------
    shape : Shape
        The problem.
    row : Row
        The kernels that will run.
    may_be_direct : bool
        Whether the rows and planes of the input join in memory.
    may_be_flat : bool
        Whether the rows of the output join in memory.
    """
    axes = shape.axes
    plane_pixels = axes[1].outputs * axes[2].outputs
    is_flat = may_be_flat and _is_flat(axes[2], row.element.lanes)
    cutter = Cutter(shape, row, is_flat)
    needed = max(row.narrow.pixels, row.line.pixels if cutter.singles else 0)
    is_direct = may_be_direct and is_flat and plane_pixels >= needed
    box, parts = (_direct_box(cutter), 0) if is_direct else best_cut(cutter)
    while True:
        schedule = _lay_out(cutter, box, parts or _direct_parts(cutter, box), is_direct)
        if schedule.workspace <= MOST_WORKSPACE:
            return schedule
        smaller = cutter.halve(*box)
        if smaller is None:
            return schedule
        box = smaller


def _direct_parts(cutter: Cutter, box: tuple[int, int, int]) -> int:
    """Parts of the output channels where there are too few pixels for the threads."""
    count, parts = cutter.count(box), 1
    if count < 4 and cutter.macs(box) >= 4 * _JOB_MACS:
        parts = min(cutter.blocks, -(-4 // count))
    most = most_macs(cutter.row.isa, cutter.row.element.dtype)
    while cutter.macs(box) // max(1, parts) > most and parts < cutter.blocks:
        parts = min(cutter.blocks, 2 * parts)
    return parts


def _lay_out(cutter: Cutter, box: tuple[int, int, int], parts: int, is_direct: bool) -> Schedule:
    row, size = cutter.row, cutter.size
    staged_box = cutter.staged_box(box)
    plane = 0 if is_direct else cutter.plane_size(staged_box)
    tile = max(cutter.wide * row.wide.rows, 1) * size
    singles_size = cutter.singles * row.line.pixels * size
    while True:
        blocks_a_part = max(1, -(-cutter.blocks // max(1, parts)))
        part_rows = blocks_a_part * row.wide.rows + cutter.singles
        group = _group_channels(cutter, plane, part_rows, is_direct)
        keeps = group < cutter.shape.channels
        kept = cutter.tiles(box) if keeps else 1
        scratch = kept * (min(blocks_a_part, cutter.blocks) * tile + singles_size)
        if scratch <= MOST_WORKSPACE // 4 or parts >= cutter.blocks:
            break
        parts = min(cutter.blocks, 2 * parts)
    panel_at = 8 * _BLOCK_WORDS
    scratch_at = panel_at + round_up(cutter.chunks.taps * row.wide.row_size, 64)
    staged_at = scratch_at + round_up(scratch, 64)
    slack = max(row.wide.row_size, row.line.row_size)
    workspace = staged_at + (0 if is_direct else group * plane + slack)
    parts = -(-cutter.blocks // blocks_a_part) if cutter.blocks else 1
    return Schedule(
        is_direct=is_direct,
        is_flat=cutter.is_flat,
        layouts=cutter.layouts(staged_box),
        boxes=staged_box,
        box_pixels=box[2] if cutter.is_flat else 0,
        chunks=cutter.chunks,
        group_channels=group,
        blocks=cutter.blocks,
        singles=cutter.singles,
        blocks_a_part=blocks_a_part,
        plane_size=plane,
        panel_at=panel_at,
        scratch_at=scratch_at,
        staged_at=staged_at,
        scratch_keeps=keeps,
        workspace=round_up(workspace, 4096),
        jobs=cutter.count(box) * parts,
    )
