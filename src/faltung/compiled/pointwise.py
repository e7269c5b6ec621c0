"""The job of the pointwise convolution: a matrix product on planes that are read where they lie.

With one tap, stride 1 and no border the input already is the matrix that the tiles want: nothing is
staged, no box has more than one run of pixels. What is left of the sweep fits into one function,
which goes strip by strip (`strips`). The sums are those of the sweep, chunk by chunk, so the bits
are the same.
"""

from __future__ import annotations

from faltung.compiled import words as at
from faltung.compiled._jit import job
from faltung.compiled.memory import invoke, put_word, word

__all__ = ["multiply_box"]


@job
def multiply_box(thread: int, call: int, number: int) -> None:
    """A range of pixels, a range of rows, all channels; see `sweep.convolve_box`.

    Pixels that make no whole tile are done by one that begins earlier, over pixels of others, and
    writes them once more, with the same bits. So do those before the first cache line of the output
    or, for single rows, which read more than they write, of the input: vectors that lie across two
    lines cost a quarter of the time where channels are few.
    """
    block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
    part, number = number % word(call, at.PARTS_O), number // word(call, at.PARTS_O)
    box, number = number % word(call, at.BOXES_H), number // word(call, at.BOXES_H)
    group, sample = number % word(call, at.GROUPS), number // word(call, at.GROUPS)
    size, rows_all, plane = word(call, at.SIZE), word(call, at.ROWS), word(call, at.PLANE_PIXELS)
    channels, together = word(call, at.CHANNELS), word(call, at.CHUNK_CHANNELS)
    x_plane, y_row = word(call, at.PLANE_SIZE), word(call, at.Y_ROW)
    x = word(call, at.X_BASE) + sample * word(call, at.X_BATCH) + group * word(call, at.X_GROUP)
    y = word(call, at.Y_BASE) + sample * word(call, at.Y_BATCH) + group * word(call, at.Y_GROUP)
    weights = word(call, at.WEIGHTS) + group * word(call, at.WEIGHT_GROUP)
    biases = word(call, at.BIASES) + group * word(call, at.BIAS_GROUP)
    scratch, zeros = block + word(call, at.SCRATCH_AT), word(call, at.ZEROS)
    blocks_all, blocks_a_part = word(call, at.BLOCKS_ALL), word(call, at.BLOCKS_A_PART)
    has_epilogue, strip_tiles = word(call, at.HAS_EPILOGUE), word(call, at.STRIP_TILES)
    put_word(block, at.PANEL, block + word(call, at.PANEL_AT))
    put_word(block, at.SCRATCH, scratch)
    put_word(block, at.OFFSETS, word(call, at.TAP_OFFSETS))
    put_word(block, at.PITCH, y_row)
    put_word(block, at.COMING_OFFSETS, word(call, at.STRIP_OFFSETS))
    put_word(block, at.TILE_SKIP, 0)
    for kind in range(2):  # blocks of rows, then the rows that make no block, one by one
        row_step, row = word(call, at.BLOCK_ROWS), part * blocks_a_part * word(call, at.BLOCK_ROWS)
        blocks = min(blocks_all - part * blocks_a_part, blocks_a_part)
        wide, narrow = word(call, at.WIDE_PIXELS), word(call, at.NARROW_PIXELS)
        wide_job, narrow_job = word(call, at.WIDE), word(call, at.NARROW)
        lead = (0 - y) % 64 // size if y_row % 64 == 0 else 0
        if kind == 1:
            lead = (0 - x) % 64 // size if x_plane % 64 == 0 else 0
            row_step, row = 1, blocks_all * word(call, at.BLOCK_ROWS)
            blocks = word(call, at.SINGLES_ALL) if part == word(call, at.PARTS_O) - 1 else 0
            wide = narrow = word(call, at.LINE_PIXELS)
            wide_job = narrow_job = word(call, at.LINE)
            strip_tiles = 1
        direct = min(blocks, (rows_all - row) // row_step)
        put_word(block, at.BLOCKS, blocks)
        put_word(block, at.OUT_STEP, row_step * y_row)
        pixel = box * word(call, at.BOX_FLAT) + (lead if box > 0 else 0)
        beyond = min(plane, (box + 1) * word(call, at.BOX_FLAT) + lead) if blocks > 0 else 0
        while pixel < beyond:
            is_lead = pixel < lead
            is_wide = beyond - pixel > wide - narrow and plane >= wide and not is_lead
            tiles, pixels = 1, narrow
            if is_wide:
                tiles, pixels = max(1, min(strip_tiles, (beyond - pixel) // wide)), wide
            pixel = min(pixel, plane - tiles * pixels)
            following = pixel + tiles * pixels
            if is_lead:
                following = min(lead, following)
            tile_size = row_step * pixels * size
            column = wide_job if is_wide else narrow_job
            put_word(block, at.LINEAR, word(call, at.LINEAR_WIDE if is_wide else at.LINEAR_NARROW))
            put_word(block, at.OUT, y + row * y_row + pixel * size)
            put_word(block, at.TILES, tiles)
            coming = following if following < beyond else pixel
            for channel in range(0, channels, together):
                taps = min(together, channels - channel)
                is_first, is_final = channel == 0, channel + taps == channels
                weight = channel * word(call, at.WEIGHT_TAP) + row * taps * size
                is_full = not is_first or (is_final and has_epilogue != 0)
                put_word(block, at.X, x + channel * x_plane + pixel * size)
                put_word(block, at.COMING, x + channel * x_plane + coming * size)
                put_word(block, at.WEIGHT, weights + weight)
                put_word(block, at.TAPS, taps)
                put_word(block, at.PREVIOUS, zeros if is_first else scratch)
                put_word(block, at.PREVIOUS_STEP, 0 if is_first else tile_size)
                put_word(block, at.IS_FULL, 1 if is_full else 0)
                put_word(block, at.BIAS, biases + row * size if is_final else zeros)
                put_word(block, at.BIAS_STEP, row_step * size if is_final else 0)
                put_word(block, at.FLOOR, word(call, at.FLOORS) + (size if is_final else 0))
                put_word(block, at.DIRECT, direct if is_final else 0)
                invoke(column, block, call, 0)
            for place in range(tiles if direct < blocks else 0):
                put_word(block, at.TILE, scratch + (direct * tiles + place) * tile_size)
                put_word(block, at.TILE_PITCH, pixels * size)
                rest = row + direct * row_step
                put_word(block, at.TILE_ROW, rest)
                put_word(block, at.TILE_ROWS, min(rows_all, row + blocks * row_step) - rest)
                put_word(block, at.TILE_VALID, pixels)
                put_word(block, at.TILE_Y, y + (pixel + place * pixels) * size)
                invoke(word(call, at.FINISH), block, call, 0)
            pixel = following
