"""The sweep over a band of a picture: strips of rows, each in segments, each in pieces of kernel.

It takes the place of `sweep.sweep_box` in the job of the direct convolution, which stages the band.
"""

from __future__ import annotations

from faltung.compiled import image_tile as tile
from faltung.compiled import words as at
from faltung.compiled._jit import job
from faltung.compiled.memory import invoke, put_word, word

__all__ = ["CALL_WORDS", "PIECE_WORDS", "sweep_band"]

CALL_WORDS = (
    FILTER_WEIGHTS, FILTER_STEP, DILATION, STRIP_ROWS, SEGMENT, PIECES, PIECE_TABLE, SCRATCH_PITCH,
    X_ROW,
) = range(at.DIRECT_WORDS[-1] + 1, at.DIRECT_WORDS[-1] + 10)  # fmt: skip
"""Words of the call behind those of `words.DIRECT_WORDS`."""

PIECE_WORDS = (
    PIECE_JOB, PIECE_WEIGHT, PIECE_OFFSETS, PIECE_COLUMNS,
) = range(4)  # fmt: skip
"""One piece of the kernel: its strip, its weights, and its columns' offsets."""
PIECE_SIZE = len(PIECE_WORDS)

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@job
def sweep_segment(block: int, call: int, _number: int) -> None:
    """All pieces of the kernel on one segment of a strip, whose place is in the block."""
    y, count = word(block, at.TILE_Y), word(block, at.TILE_VALID)
    weights, bias = word(block, at.BOX_WEIGHT), word(block, at.BOX_BIAS)
    scratch, zeros = word(block, at.SCRATCH), word(call, at.ZEROS)
    pitch, is_plain = word(call, SCRATCH_PITCH), word(call, at.Y_IS_PLAIN)
    pieces, columns = word(call, PIECES), word(call, at.WIDE_PIXELS)
    piece = word(call, PIECE_TABLE)
    put_word(block, at.X, word(block, at.TILE_X))
    for number in range(pieces):
        is_first, is_final = number == 0, number == pieces - 1
        put_word(block, at.WEIGHT, weights + word(piece, PIECE_WEIGHT))
        put_word(block, at.OFFSETS, word(piece, PIECE_OFFSETS))
        put_word(block, at.TAPS, word(piece, PIECE_COLUMNS))
        is_full = not is_first or (is_final and word(call, at.HAS_EPILOGUE) != 0)
        put_word(block, at.IS_FULL, 1 if is_full else 0)
        put_word(block, at.PREVIOUS, zeros if is_first else scratch)
        put_word(block, tile.PREVIOUS_PITCH, 0 if is_first else pitch)
        put_word(block, at.PREVIOUS_STEP, 0 if is_first else columns * word(call, at.SIZE))
        put_word(block, at.BIAS, bias if is_final else zeros)
        put_word(block, at.FLOOR, word(call, at.FLOORS) + (word(call, at.SIZE) if is_final else 0))
        if is_final and is_plain:
            put_word(block, at.OUT, y)
            put_word(block, at.PITCH, word(call, at.Y_ROW))
            put_word(block, tile.COUNT, count)
        else:
            put_word(block, at.OUT, scratch)
            put_word(block, at.PITCH, pitch)
            put_word(block, tile.COUNT, (count + columns - 1) // columns * columns)
        invoke(word(piece, PIECE_JOB), block, call, 0)
        piece += 8 * PIECE_SIZE
    if not is_plain:
        put_word(block, at.TILE, scratch)
        put_word(block, at.TILE_PITCH, pitch)
        put_word(block, at.TILE_SKIP, 0)
        put_word(block, at.TILE_ROW, 0)
        put_word(block, at.TILE_ROWS, word(block, tile.ROWS))
        invoke(word(call, at.FINISH), block, call, 0)


@job
def sweep_band(block: int, call: int, _number: int) -> None:
    """All outputs of the box, from the cells that are staged.

    Of a dilated kernel a strip has every so-manieth row, and its rows see the same cells again.
    """
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    size, dilation = word(call, at.SIZE), word(call, DILATION)
    pitch = word(axis_w, at.SLOTS) * size
    put_word(block, tile.X_PITCH, word(call, X_ROW))
    put_word(block, tile.X_PHASE, pitch * word(axis_h, at.SLOTS))
    x_box = block + word(call, at.STAGED_AT)
    y_box = word(block, at.BOX_Y) + word(block, at.BOX_D) * word(axis_d, at.Y_STEP)
    y_box += word(block, at.BOX_H) * word(axis_h, at.Y_STEP)
    y_box += word(block, at.BOX_W) * word(axis_w, at.Y_STEP)
    plane = word(axis_h, at.COPIES) * word(axis_h, at.SLOTS) * pitch
    rows, width = word(block, at.BOX_HS), word(block, at.BOX_WS)
    strip, segment = word(call, STRIP_ROWS), word(call, SEGMENT)
    depths = word(block, at.BOX_DS)
    for part in range(word(call, at.ROWS) * depths * dilation):
        depth, phase = part // dilation % depths, part % dilation
        for row in range(phase, rows, strip * dilation):
            put_word(block, tile.ROWS, min(strip, (rows - row + dilation - 1) // dilation))
            x = x_box + depth * plane + row * pitch
            y = y_box + depth * word(axis_d, at.Y_STEP) + row * word(axis_h, at.Y_STEP)
            for column in range(0, width, segment):
                put_word(block, at.TILE_X, x + column * size)
                put_word(block, at.TILE_Y, y + column * word(axis_w, at.Y_STEP))
                put_word(block, at.TILE_VALID, min(segment, width - column))
                invoke(word(call, at.RUN_TILE), block, call, 0)
        if (part + 1) % (depths * dilation) == 0:
            y_box += word(call, FILTER_STEP)
            put_word(block, at.BOX_WEIGHT, word(block, at.BOX_WEIGHT) + word(call, FILTER_WEIGHTS))
            put_word(block, at.BOX_BIAS, word(block, at.BOX_BIAS) + size)
