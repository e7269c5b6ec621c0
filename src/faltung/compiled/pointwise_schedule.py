"""How a pointwise convolution is cut into strips: integers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faltung.compiled._jit import Job
from faltung.compiled.schedule import Schedule, Shape, round_up
from faltung.compiled.strips import FETCHES_A_TILE, strip
from faltung.compiled.variants import Row

__all__ = ["coming_offsets", "strip_jobs", "with_strips"]

_FEW_CHANNELS = 16
"""Up to here the cells of a strip stay in L1 where they are: neither packed nor asked for."""
_FEW_BYTES = 12 << 10  # of their cells
_PANEL_BYTES = 96 << 10  # of the panels of a strip, which stay in L2
_SCRATCH_BYTES = 128 << 10  # of sums that a strip keeps between chunks
_MOST_TILES = 8


def _needs_scratch(schedule: Schedule, shape: Shape, row: Row) -> bool:
    """Whether blocks are summed in several chunks, or the last one has rows that do not exist."""
    in_blocks = shape.rows - schedule.singles
    return schedule.chunks.channels < shape.channels or in_blocks % row.rows > 0


def with_strips(schedule: Schedule, shape: Shape, row: Row) -> Schedule:
    """The same cut of an input that is read where it lies, with tiles taken several at a time."""
    panel = schedule.chunks.taps * row.wide.row_size
    tiles = (_FEW_BYTES if shape.channels <= _FEW_CHANNELS else _PANEL_BYTES) // panel
    sums = 0
    if _needs_scratch(schedule, shape, row):
        sums = max(1, min(schedule.blocks_a_part, schedule.blocks)) * row.wide.size
        tiles = min(tiles, _SCRATCH_BYTES // sums)
    tiles = max(1, min(tiles, _MOST_TILES))
    # What was there for one tile stays, for outputs that are not contiguous.
    before = schedule.staged_at - schedule.scratch_at
    scratch_at = schedule.panel_at + round_up(tiles * panel, 64)
    staged_at = scratch_at + round_up(max(before, tiles * sums), 64)
    return schedule._replace(
        strip_tiles=tiles,
        scratch_at=scratch_at,
        staged_at=staged_at,
        workspace=round_up(schedule.workspace + staged_at - schedule.staged_at, 4096),
    )


def _fetches(schedule: Schedule, shape: Shape) -> int:
    """Lines asked for at each channel; the first blocks together make FETCHES_A_TILE of it.

    By channels alone, as all that chooses a kernel: so new sizes of the input compile nothing.
    """
    if shape.channels <= _FEW_CHANNELS:
        return 0
    return 4 if schedule.blocks < 2 else 2 if schedule.blocks < 4 else 1


def strip_jobs(schedule: Schedule, shape: Shape, row: Row) -> tuple[Job, Job, Job]:
    """The jobs for strips of wide, of narrow and of single-row tiles."""
    packs = shape.channels > _FEW_CHANNELS and schedule.blocks > 1
    return (
        strip(row.wide, packs, _fetches(schedule, shape)),
        strip(row.narrow, packs, 0),
        strip(row.line, False, 0),
    )


def coming_offsets(schedule: Schedule, row: Row, plane: int) -> NDArray[np.int64]:
    """Bytes from the next strip's first cell to the lines that it will read, plane by plane."""
    channels = schedule.chunks.channels
    lines = schedule.strip_tiles * row.wide.row_size // 64 + 1
    starts = np.arange(channels, dtype=np.int64) * plane
    offsets = np.ravel(starts[:, None] + 64 * np.arange(lines))
    asked = FETCHES_A_TILE * schedule.strip_tiles * channels
    return np.concatenate([offsets, np.repeat(offsets[-1:], max(0, asked - len(offsets)))])
