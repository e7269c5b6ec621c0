"""Strips of a staged convolution whose sums have few products, one chunk: integers only.

What such a layer takes is writing its output. Tile by tile, all blocks of output channels each, it
writes three or four lines to each of hundreds of rows, a page of its own each, before it comes back
to the first one, whose last line is then no longer at hand. In a strip a block writes a run of many
lines to its eight rows, one after the other.
"""

from __future__ import annotations

from faltung.compiled._jit import Job
from faltung.compiled.schedule import Schedule, Shape
from faltung.compiled.strips import strip
from faltung.compiled.variants import Row

__all__ = ["staged_strip_jobs", "staged_strip_tiles"]

_CELL_BYTES = 96 << 10  # that a strip reads, again for each block: they stay in L2
_LEAST_TILES, _MOST_TILES = 4, 32


def staged_strip_tiles(schedule: Schedule, shape: Shape, row: Row) -> int:
    """Wide tiles of a strip, 1 where there are none: its sums have to be whole, in one chunk."""
    depth, high, wide = (axis.kernel for axis in shape.axes)
    taps = shape.channels * depth * high * wide
    is_one = schedule.chunks.taps == taps and schedule.group_channels == shape.channels
    if schedule.is_direct or not is_one:
        return 1
    rows = taps // wide * min(wide, shape.axes[2].stride)
    tiles = min(_MOST_TILES, _CELL_BYTES // (rows * row.wide.row_size))
    if (shape.rows - schedule.singles) % row.rows:
        # Sums of a block whose rows do not all exist go where a tile of each block has room.
        tiles = min(tiles, schedule.blocks_a_part, schedule.blocks)
    return tiles if tiles >= _LEAST_TILES else 1


def staged_strip_jobs(row: Row) -> tuple[Job, Job, Job]:
    """The jobs for strips of wide tiles, and for narrow and single-row tiles one by one."""
    return strip(row.wide, False, 0), *row.columns()[1:]
