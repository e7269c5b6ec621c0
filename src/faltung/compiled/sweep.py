"""The job of the direct convolution: one box of outputs, staged and swept tile by tile.

Nothing here depends on dtype or instruction set: sizes are words of the call, and staging,
columns and storing are called by address. So it is compiled once for all of them. The jobs here
call each other by address too: Numba would compile what it can inline over again at each level.
"""

from __future__ import annotations

from faltung.compiled import words as at
from faltung.compiled._jit import job
from faltung.compiled.memory import invoke, put_word, word

__all__ = ["convolve_box", "enter_box", "run_tile", "sweep_box"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


@job
def enter_box(block: int, call: int, number: int) -> None:
    """Turn the number of a job into a sample, a group, a box of outputs and a range of rows."""
    part, number = number % word(call, at.PARTS_O), number // word(call, at.PARTS_O)
    box_w, number = number % word(call, at.BOXES_W), number // word(call, at.BOXES_W)
    box_h, number = number % word(call, at.BOXES_H), number // word(call, at.BOXES_H)
    box_d, number = number % word(call, at.BOXES_D), number // word(call, at.BOXES_D)
    group, sample = number % word(call, at.GROUPS), number // word(call, at.GROUPS)
    x = word(call, at.X_BASE) + sample * word(call, at.X_BATCH) + group * word(call, at.X_GROUP)
    y = word(call, at.Y_BASE) + sample * word(call, at.Y_BATCH) + group * word(call, at.Y_GROUP)
    put_word(block, at.BOX_X, x)
    put_word(block, at.BOX_Y, y)
    put_word(block, at.BOX_WEIGHT, word(call, at.WEIGHTS) + group * word(call, at.WEIGHT_GROUP))
    put_word(block, at.BOX_BIAS, word(call, at.BIASES) + group * word(call, at.BIAS_GROUP))
    first = part * word(call, at.BLOCKS_A_PART)
    put_word(block, at.BOX_BLOCK, first)
    put_word(
        block, at.BOX_BLOCKS, min(word(call, at.BLOCKS_ALL) - first, word(call, at.BLOCKS_A_PART))
    )
    is_last = part == word(call, at.PARTS_O) - 1
    put_word(block, at.BOX_SINGLES, word(call, at.SINGLES_ALL) if is_last else 0)
    put_word(block, at.PANEL, block + word(call, at.PANEL_AT))
    width = word(call + _AXIS_W, at.OUTPUTS)
    pixel = box_h * word(call, at.BOX_FLAT)
    put_word(block, at.BOX_PIXEL, pixel)
    if word(call, at.IS_FLAT):
        box_h = pixel // width
    for axis in range(3):
        words_axis = call + axis * 8 * at.AXIS_SIZE
        start = (box_d if axis == 0 else box_h if axis == 1 else box_w) * word(words_axis, at.BOX)
        put_word(block, at.BOX_D + 2 * axis, start)
        put_word(
            block,
            at.BOX_D + 2 * axis + 1,
            min(word(words_axis, at.OUTPUTS) - start, word(words_axis, at.BOX)),
        )
    if word(call, at.IS_FLAT):
        pixels = min(word(call, at.PLANE_PIXELS) - pixel, word(call, at.BOX_FLAT))
        put_word(block, at.BOX_PIXELS, pixels)
        put_word(block, at.BOX_H, box_h)
        put_word(block, at.BOX_HS, (pixel + pixels - 1) // width + 1 - box_h)


@job
def run_tile(block: int, call: int, _number: int) -> None:
    """One tile of pixels, blocks of rows from the first on: the chunks of the group.

    Whole tiles of a plain output are stored by the last chunk's column, others by `storing`.
    """
    size, kernel_taps, rows_all = word(call, at.SIZE), word(call, at.KERNEL), word(call, at.ROWS)
    x, y, row = word(block, at.TILE_X), word(block, at.TILE_Y), word(block, at.TILE_FIRST)
    row_step, blocks = word(block, at.TILE_STEP), word(block, at.TILE_BLOCKS)
    pixels, y_row = word(block, at.TILE_PIXELS), word(call, at.Y_ROW)
    tile_pitch = pixels * size
    tile_size, tiles = row_step * tile_pitch, word(block, at.TILES)
    channels, group_first = word(call, at.CHANNELS), word(block, at.CHANNEL)
    direct = 0
    if word(call, at.Y_IS_PLAIN) and word(block, at.TILE_VALID) == pixels:
        direct = min(blocks, (rows_all - row) // row_step)
    scratch, zeros = word(block, at.SCRATCH), word(call, at.ZEROS)
    # Of several tiles only those of the last block, whose rows do not all exist, need room there.
    place = direct if tiles == 1 else 0
    put_word(block, at.SCRATCH, scratch - (direct - place) * tiles * tile_size)
    put_word(block, at.BLOCKS, blocks)
    put_word(block, at.OUT, y + row * y_row)
    put_word(block, at.PITCH, y_row)
    put_word(block, at.OUT_STEP, row_step * y_row)
    channel_step, tap_step = word(call, at.CHUNK_CHANNELS), word(call, at.CHUNK_TAPS)
    is_final = False
    for channel in range(group_first, word(block, at.CHANNEL_END), channel_step):
        chunk = min(channel_step, channels - channel) * kernel_taps
        put_word(block, at.X, x + (channel - group_first) * word(call, at.PLANE_SIZE))
        for tap in range(0, chunk, tap_step):
            taps = min(tap_step, chunk - tap)
            is_first = channel == 0 and tap == 0
            is_final = channel + channel_step >= channels and tap + tap_step >= chunk
            weight = (channel * kernel_taps + tap) * word(call, at.WEIGHT_TAP) + row * taps * size
            put_word(block, at.WEIGHT, word(block, at.BOX_WEIGHT) + weight)
            put_word(block, at.OFFSETS, word(call, at.TAP_OFFSETS) + 8 * tap)
            put_word(block, at.TAPS, taps)
            put_word(block, at.PREVIOUS, zeros if is_first else scratch)
            put_word(block, at.PREVIOUS_STEP, 0 if is_first else tile_size)
            is_full = not is_first or (is_final and word(call, at.HAS_EPILOGUE) != 0)
            put_word(block, at.IS_FULL, 1 if is_full else 0)
            put_word(block, at.BIAS, word(block, at.BOX_BIAS) + row * size if is_final else zeros)
            put_word(block, at.BIAS_STEP, row_step * size if is_final else 0)
            put_word(block, at.FLOOR, word(call, at.FLOORS) + (size if is_final else 0))
            put_word(block, at.DIRECT, direct if is_final else 0)
            invoke(word(block, at.TILE_JOB), block, call, 0)
    if is_final and direct < blocks:
        first = row + direct * row_step
        put_word(block, at.TILE_PITCH, tile_pitch)
        put_word(block, at.TILE_ROW, first)
        put_word(block, at.TILE_ROWS, min(rows_all - first, (blocks - direct) * row_step))
        for number in range(tiles):
            put_word(block, at.TILE, scratch + (place + number) * tile_size)
            put_word(block, at.TILE_Y, y + number * tile_pitch)
            invoke(word(call, at.FINISH), block, call, 0)
    put_word(block, at.SCRATCH, scratch)
    if word(call, at.SCRATCH_KEEPS):
        put_word(block, at.SCRATCH, scratch + blocks * tile_size)


@job
def sweep_box(block: int, call: int, _number: int) -> None:
    """All tiles of the box, for the group of channels that is staged.

    A run of neighbouring pixels is a row of the box or, in a flat one, all of it. In each run the
    blocks of rows go first, then the rows that make no block, one by one. Where sums have few
    products, several wide tiles of a block are done before the next block (`staged_strips`).
    """
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    size, step_w = word(call, at.SIZE), word(axis_w, at.Y_STEP)
    pitch = word(axis_w, at.SLOTS) * size
    plane = word(axis_h, at.COPIES) * word(axis_h, at.SLOTS) * pitch
    x_box = block + word(call, at.STAGED_AT)
    y_box = word(block, at.BOX_Y) + word(block, at.BOX_D) * word(axis_d, at.Y_STEP)
    # `room` pixels may be read from the first of a run on: staged rows have a margin behind them.
    runs, count, room = word(block, at.BOX_HS), word(block, at.BOX_WS), 1 << 62
    if word(call, at.IS_FLAT):
        pixel = word(block, at.BOX_PIXEL)
        runs, count = 1, word(block, at.BOX_PIXELS)
        x_box += (pixel - word(block, at.BOX_H) * word(axis_w, at.OUTPUTS)) * size
        y_box += pixel * step_w
        if word(call, at.IS_DIRECT):
            x_box = word(block, at.BOX_X) + word(block, at.CHANNEL) * word(call, at.PLANE_SIZE)
            x_box += pixel * size
            room = word(call, at.PLANE_PIXELS) - pixel
    else:
        y_box += word(block, at.BOX_H) * word(axis_h, at.Y_STEP) + word(block, at.BOX_W) * step_w
    wide, narrow = word(call, at.WIDE_PIXELS), word(call, at.NARROW_PIXELS)
    is_room_for_wide = word(call, at.PLANE_PIXELS) >= wide or not word(call, at.IS_DIRECT)
    blocks, block_rows = word(block, at.BOX_BLOCKS), word(call, at.BLOCK_ROWS)
    singles = word(block, at.BOX_SINGLES)
    strip_tiles = word(call, at.STRIP_TILES) if word(call, at.Y_IS_PLAIN) else 1
    for number in range(2 * word(block, at.BOX_DS) * runs):
        is_single = number % 2 == 1
        rows = 1 if is_single else block_rows
        first = word(call, at.BLOCKS_ALL) if is_single else word(block, at.BOX_BLOCK)
        d, run = number // 2 // runs, number // 2 % runs
        x = x_box + d * plane + run * pitch
        y = y_box + d * word(axis_d, at.Y_STEP) + run * word(axis_h, at.Y_STEP)
        put_word(block, at.TILE_FIRST, first * block_rows)
        put_word(block, at.TILE_STEP, rows)
        put_word(block, at.TILE_BLOCKS, singles if is_single else blocks)
        done = count if word(block, at.TILE_BLOCKS) == 0 else 0
        while done < count:
            pixels, function = narrow, word(call, at.NARROW)
            linear, tiles = word(call, at.LINEAR_NARROW), 1
            if is_single:
                pixels, function = word(call, at.LINE_PIXELS), word(call, at.LINE)
            elif count - done > wide - narrow and is_room_for_wide:
                pixels, function, linear = wide, word(call, at.WIDE), word(call, at.LINEAR_WIDE)
                tiles = max(1, min(strip_tiles, (count - done) // wide))
            # A last tile that must not read beyond its room begins earlier, over pixels of others.
            start = min(done, room - tiles * pixels)
            put_word(block, at.LINEAR, linear)
            put_word(block, at.TILE_JOB, function)
            put_word(block, at.TILE_PIXELS, pixels)
            put_word(block, at.TILE_SKIP, done - start)
            put_word(block, at.TILE_VALID, min(count, start + pixels) - done)
            put_word(block, at.TILES, tiles)
            put_word(block, at.TILE_X, x + start * size)
            put_word(block, at.TILE_Y, y + done * step_w)
            invoke(word(call, at.RUN_TILE), block, call, 0)
            done = min(count, start + tiles * pixels)


@job
def convolve_box(thread: int, call: int, number: int) -> None:
    """One job of the pool: `number` names the box, `call` is the address of the call's words."""
    block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
    invoke(word(call, at.ENTER), block, call, number)
    channels, together = word(call, at.CHANNELS), word(call, at.GROUP_CHANNELS)
    for first in range(0, channels, together):
        put_word(block, at.CHANNEL, first)
        put_word(block, at.CHANNEL_END, min(channels, first + together))
        put_word(block, at.SCRATCH, block + word(call, at.SCRATCH_AT))
        if not word(call, at.IS_DIRECT):
            invoke(word(call, at.STAGE), block, call, 0)
        invoke(word(call, at.SWEEP), block, call, 0)
