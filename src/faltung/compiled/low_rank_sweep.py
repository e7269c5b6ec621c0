"""The sweep over a staged box in passes: across its planes, across its rows, along its rows.

It takes the place of `sweep.sweep_box` in the job of the direct convolution, which stages the box.
A pass writes a few planes or rows into the workspace, and the next one reads them while they are
in the cache. All passes are made by the register tile of pictures, with a kernel of one column or
of one row.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from faltung.compiled import image_tile as tile
from faltung.compiled import words as at
from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.memory import invoke, loader, put_word, storer, word

__all__ = ["CALL_WORDS", "PIECE_WORDS", "note_overflow", "sweep_planes", "sweep_strip"]

CALL_WORDS = (
    FILTER_WEIGHTS, FILTER_STEP, DILATION, STRIP_ROWS, STRIP_PLANES, SEGMENT, SWEEP_STRIP,
    TERMS, TERM_WEIGHTS, CHANNEL_TERMS, PLANE_PIECES, PLANE_TABLE, ROW_PIECES, ROW_TABLE, ALONG,
    ALONG_WEIGHT, ALONG_OFFSETS, ALONG_TAPS, NO_OFFSET, ROWS_AT, ROWS_PITCH, SUMS_AT, SUMS_PITCH,
    PLANES_AT, PLANES_PITCH, CHECK, NOTE_AT, AGAIN,
) = range(at.DIRECT_WORDS[-1] + 1, at.DIRECT_WORDS[-1] + 29)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS`."""

PIECE_WORDS = PIECE_JOB, PIECE_FIRST, PIECE_WEIGHT = range(3)
"""Some taps of a pass: its strip of tiles, the first tap, and bytes to its weight."""

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@kernel("void(intp, intp, intp, intp, intp, intp, intp, intp, intp, intp, intp)")
def _sum_across(
    block: int, call: int, table: int, pieces: int, x: int, pitch: int, weights: int, out: int,
    out_pitch: int, count: int, rows: int,
) -> None:  # fmt: skip
    """One pass across rows `pitch` bytes apart: sums of `count` cells, rounded up to whole tiles.

    Each piece is summed from zero and added, segment by segment.
    """
    size, zeros = word(call, at.SIZE), word(call, at.ZEROS)
    columns = word(call, at.WIDE_PIXELS)
    segment = word(call, SEGMENT) if pieces > 1 else count
    put_word(block, tile.X_PITCH, pitch)
    put_word(block, tile.X_PHASE, 0)
    put_word(block, tile.ROWS, rows)
    put_word(block, at.OFFSETS, word(call, NO_OFFSET))
    put_word(block, at.TAPS, 1)
    put_word(block, at.PITCH, out_pitch)
    put_word(block, at.BIAS, zeros)
    put_word(block, at.FLOOR, word(call, at.FLOORS))
    put_word(block, tile.PREVIOUS_PITCH, out_pitch)
    put_word(block, at.PREVIOUS_STEP, columns * size)
    for column in range(0, count, segment):
        wanted = min(segment, count - column)
        piece = table
        for number in range(pieces):
            put_word(block, at.X, x + word(piece, PIECE_FIRST) * pitch + column * size)
            put_word(block, at.WEIGHT, weights + word(piece, PIECE_WEIGHT))
            put_word(block, at.OUT, out + column * size)
            put_word(block, at.PREVIOUS, out + column * size)
            put_word(block, at.IS_FULL, 1 if number > 0 else 0)
            put_word(block, tile.COUNT, (wanted + columns - 1) // columns * columns)
            invoke(word(piece, PIECE_JOB), block, call, 0)
            piece += 24


@cache
def note_overflow(dtype: str) -> Job:
    """The job that looks whether the sums that were just written are finite, and notes it if not.

    Those of floats are not where all bits of the exponent are set.
    """
    kind = "uint32" if dtype == "float32" else "uint64"
    exponent = np.array(np.inf, dtype).view(kind)[()]
    load, store, one = loader(kind), storer(dtype), np.dtype(dtype).type(1)

    @job
    def run_check(block: int, call: int, _number: int) -> None:
        largest, row = exponent - exponent, word(block, at.OUT)
        for _row in range(word(block, at.TILE_ROWS)):
            for i in range(word(block, at.TILE_VALID)):
                bits = load(row, i) & exponent
                largest = max(largest, bits)
            row += word(block, at.PITCH)
        if largest == exponent:
            store(word(call, at.BIASES) + word(call, NOTE_AT), 0, one)

    return run_check


@job
def sweep_strip(block: int, call: int, _number: int) -> None:
    """All terms of one strip of outputs, whose place is in the block."""
    size, columns = word(call, at.SIZE), word(call, at.WIDE_PIXELS)
    x, y, count = word(block, at.TILE_X), word(block, at.TILE_Y), word(block, at.TILE_VALID)
    strip, weights = word(call, STRIP_ROWS), word(block, at.BOX_WEIGHT)
    rows, rows_pitch = block + word(call, ROWS_AT), word(call, ROWS_PITCH)
    sums, sums_pitch = block + word(call, SUMS_AT), word(call, SUMS_PITCH)
    zeros, is_plain = word(call, at.ZEROS), word(call, at.Y_IS_PLAIN)
    terms, pitch = word(call, TERMS), word(block, at.TILE_PITCH)
    wide = count + word(call + _AXIS_W, at.EXTRA)
    for term in range(terms):
        is_first, is_final = term == 0, term == terms - 1
        plane = x + term // word(call, CHANNEL_TERMS) * word(call, at.PLANE_SIZE)
        _sum_across(
            block, call, word(call, ROW_TABLE), word(call, ROW_PIECES), plane, pitch, weights,
            rows, rows_pitch, wide, strip,
        )  # fmt: skip
        put_word(block, at.X, rows)
        put_word(block, tile.X_PITCH, rows_pitch)
        put_word(block, at.WEIGHT, weights + word(call, ALONG_WEIGHT))
        put_word(block, at.OFFSETS, word(call, ALONG_OFFSETS))
        put_word(block, at.TAPS, word(call, ALONG_TAPS))
        is_full = not is_first or (is_final and word(call, at.HAS_EPILOGUE) != 0)
        put_word(block, at.IS_FULL, 1 if is_full else 0)
        put_word(block, at.PREVIOUS, zeros if is_first else sums)
        put_word(block, tile.PREVIOUS_PITCH, 0 if is_first else sums_pitch)
        put_word(block, at.PREVIOUS_STEP, 0 if is_first else columns * size)
        put_word(block, at.BIAS, word(block, at.BOX_BIAS) if is_final else zeros)
        put_word(block, at.FLOOR, word(call, at.FLOORS) + (size if is_final else 0))
        if is_final and is_plain:
            put_word(block, tile.ROWS, word(block, at.TILE_ROWS))
            put_word(block, at.OUT, y)
            put_word(block, at.PITCH, word(call, at.Y_ROW))
            put_word(block, tile.COUNT, count)
        else:
            put_word(block, at.OUT, sums)
            put_word(block, at.PITCH, sums_pitch)
            put_word(block, tile.COUNT, (count + columns - 1) // columns * columns)
        invoke(word(call, ALONG), block, call, 0)
        weights += word(call, TERM_WEIGHTS)
    if word(call, CHECK) != 0:
        invoke(word(call, CHECK), block, call, 0)
    if not is_plain:
        put_word(block, at.TILE, sums)
        put_word(block, at.TILE_PITCH, sums_pitch)
        put_word(block, at.TILE_SKIP, 0)
        put_word(block, at.TILE_ROW, 0)
        invoke(word(call, at.FINISH), block, call, 0)


@kernel("void(intp, intp, intp, intp)")
def _sweep_plane(block: int, call: int, x: int, y: int) -> None:
    """All strips of one plane of outputs.

    Of a dilated kernel a strip has every so-manieth row, and its rows see the same cells again.
    """
    axis_h, dilation, strip = call + _AXIS_H, word(call, DILATION), word(call, STRIP_ROWS)
    pitch = word(call + _AXIS_W, at.SLOTS) * word(call, at.SIZE)
    rows = word(block, at.BOX_HS)
    put_word(block, at.TILE_PITCH, pitch * dilation)
    put_word(block, at.TILE_VALID, word(block, at.BOX_WS))
    for phase in range(dilation):
        for row in range(phase, rows, strip * dilation):
            put_word(block, at.TILE_ROWS, min(strip, (rows - row + dilation - 1) // dilation))
            put_word(block, at.TILE_X, x + row * pitch)
            put_word(block, at.TILE_Y, y + row * word(axis_h, at.Y_STEP))
            put_word(block, at.TILE_PITCH, pitch * dilation)
            invoke(word(call, SWEEP_STRIP), block, call, 0)


@job
def sweep_planes(block: int, call: int, _number: int) -> None:
    """All outputs of the box, from the cells that are staged."""
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    plane = word(axis_h, at.SLOTS) * word(axis_w, at.SLOTS) * word(call, at.SIZE)
    cells = (word(block, at.BOX_HS) + word(axis_h, at.EXTRA)) * word(axis_w, at.SLOTS)
    y_box = word(block, at.BOX_Y) + word(block, at.BOX_D) * word(axis_d, at.Y_STEP)
    y_box += word(block, at.BOX_H) * word(axis_h, at.Y_STEP)
    y_box += word(block, at.BOX_W) * word(axis_w, at.Y_STEP)
    depth, strip, pieces = (
        word(block, at.BOX_DS),
        word(call, STRIP_PLANES),
        word(call, PLANE_PIECES),
    )
    planes, planes_pitch = block + word(call, PLANES_AT), word(call, PLANES_PITCH)
    for _filter in range(word(call, at.ROWS)):
        for first in range(0, depth, strip):
            x, step = block + word(call, at.STAGED_AT) + first * plane, plane
            if pieces > 0:
                _sum_across(
                    block, call, word(call, PLANE_TABLE), pieces, x, plane,
                    word(block, at.BOX_WEIGHT), planes, planes_pitch, cells, strip,
                )  # fmt: skip
                x, step = planes, planes_pitch
            for d in range(first, min(first + strip, depth)):
                _sweep_plane(
                    block, call, x + (d - first) * step, y_box + d * word(axis_d, at.Y_STEP)
                )
        y_box += word(call, FILTER_STEP)
        put_word(block, at.BOX_WEIGHT, word(block, at.BOX_WEIGHT) + word(call, FILTER_WEIGHTS))
        put_word(block, at.BOX_BIAS, word(block, at.BOX_BIAS) + word(call, at.SIZE))
