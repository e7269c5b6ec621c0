"""The job of the direct convolution: one box of outputs, staged and swept tile by tile.

Nothing here depends on dtype or instruction set: sizes are words of the call, and staging,
columns and storing are called by address. So it is compiled once for all of them.
"""

from __future__ import annotations

from faltung.compiled._jit import job, kernel
from faltung.compiled.memory import invoke, put_word, word
from faltung.compiled.words import (
    AXES,
    AXIS_SIZE,
    BIAS,
    BIAS_GROUP,
    BIAS_STEP,
    BIASES,
    BLOCK_ROWS,
    BLOCKS,
    BLOCKS_A_PART,
    BLOCKS_ALL,
    BOX,
    BOX_BIAS,
    BOX_BLOCK,
    BOX_BLOCKS,
    BOX_D,
    BOX_DS,
    BOX_FLAT,
    BOX_H,
    BOX_HS,
    BOX_PIXEL,
    BOX_PIXELS,
    BOX_SINGLES,
    BOX_W,
    BOX_WEIGHT,
    BOX_WS,
    BOX_X,
    BOX_Y,
    BOXES_D,
    BOXES_H,
    BOXES_W,
    CHANNEL,
    CHANNEL_END,
    CHANNELS,
    CHUNK_CHANNELS,
    CHUNK_TAPS,
    COPIES,
    DIRECT,
    FINISH,
    FLOOR,
    FLOORS,
    GROUP_CHANNELS,
    GROUPS,
    HAS_EPILOGUE,
    IS_DIRECT,
    IS_FLAT,
    IS_FULL,
    KERNEL,
    LINE,
    LINE_PIXELS,
    LINEAR,
    LINEAR_NARROW,
    LINEAR_WIDE,
    NARROW,
    NARROW_PIXELS,
    OFFSETS,
    OUT,
    OUT_STEP,
    OUTPUTS,
    PANEL,
    PANEL_AT,
    PARTS_O,
    PITCH,
    PLANE_PIXELS,
    PLANE_SIZE,
    PREVIOUS,
    PREVIOUS_STEP,
    ROWS,
    SCRATCH,
    SCRATCH_AT,
    SCRATCH_KEEPS,
    SINGLES_ALL,
    SIZE,
    SLOTS,
    STAGE,
    STAGED_AT,
    TAP_OFFSETS,
    TAPS,
    TILE,
    TILE_PITCH,
    TILE_ROW,
    TILE_ROWS,
    TILE_SKIP,
    TILE_VALID,
    TILE_Y,
    WEIGHT,
    WEIGHT_GROUP,
    WEIGHT_TAP,
    WEIGHTS,
    WIDE,
    WIDE_PIXELS,
    WORKSPACE,
    WORKSPACE_STEP,
    X_BASE,
    X_BATCH,
    X_GROUP,
    Y_BASE,
    Y_BATCH,
    Y_GROUP,
    Y_IS_PLAIN,
    Y_ROW,
    Y_STEP,
    ZEROS,
    X,
)  # fmt: skip

__all__ = ["convolve_box"]

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (AXES + axis * AXIS_SIZE) for axis in range(3))


@kernel("void(intp, intp, intp, intp)")
def enter_axis(block: int, axis: int, first: int, number: int) -> None:
    """Write where box `number` of an axis begins and how many outputs it has."""
    start = number * word(axis, BOX)
    put_word(block, first, start)
    put_word(block, first + 1, min(word(axis, OUTPUTS) - start, word(axis, BOX)))


@kernel("void(intp, intp, intp)")
def enter_box(block: int, call: int, number: int) -> None:
    """Turn the number of a job into a sample, a group, a box of outputs and a range of rows."""
    axis_h, axis_w = call + _AXIS_H, call + _AXIS_W
    part, number = number % word(call, PARTS_O), number // word(call, PARTS_O)
    box_w, number = number % word(call, BOXES_W), number // word(call, BOXES_W)
    box_h, number = number % word(call, BOXES_H), number // word(call, BOXES_H)
    box_d, number = number % word(call, BOXES_D), number // word(call, BOXES_D)
    group, sample = number % word(call, GROUPS), number // word(call, GROUPS)
    x = word(call, X_BASE) + sample * word(call, X_BATCH) + group * word(call, X_GROUP)
    y = word(call, Y_BASE) + sample * word(call, Y_BATCH) + group * word(call, Y_GROUP)
    put_word(block, BOX_X, x)
    put_word(block, BOX_Y, y)
    put_word(block, BOX_WEIGHT, word(call, WEIGHTS) + group * word(call, WEIGHT_GROUP))
    put_word(block, BOX_BIAS, word(call, BIASES) + group * word(call, BIAS_GROUP))
    first = part * word(call, BLOCKS_A_PART)
    put_word(block, BOX_BLOCK, first)
    put_word(block, BOX_BLOCKS, min(word(call, BLOCKS_ALL) - first, word(call, BLOCKS_A_PART)))
    is_last = part == word(call, PARTS_O) - 1
    put_word(block, BOX_SINGLES, word(call, SINGLES_ALL) if is_last else 0)
    put_word(block, PANEL, block + word(call, PANEL_AT))
    enter_axis(block, call + _AXIS_D, BOX_D, box_d)
    if word(call, IS_FLAT):
        width = word(axis_w, OUTPUTS)
        pixel = box_h * word(call, BOX_FLAT)
        pixels = min(word(call, PLANE_PIXELS) - pixel, word(call, BOX_FLAT))
        put_word(block, BOX_PIXEL, pixel)
        put_word(block, BOX_PIXELS, pixels)
        put_word(block, BOX_H, pixel // width)
        put_word(block, BOX_HS, (pixel + pixels - 1) // width + 1 - pixel // width)
        put_word(block, BOX_W, 0)
        put_word(block, BOX_WS, width)
    else:
        enter_axis(block, axis_h, BOX_H, box_h)
        enter_axis(block, axis_w, BOX_W, box_w)


@kernel("void(intp, intp, intp, intp, intp, intp, intp, intp, intp)")
def run_tile(
    block: int, call: int, x: int, y: int, job: int, row: int, row_step: int, blocks: int,
    pixels: int,
) -> None:  # fmt: skip
    """One tile of pixels, blocks of `row_step` rows from `row` on: the chunks of the group."""
    size, kernel_taps = word(call, SIZE), word(call, KERNEL)
    tile_pitch = pixels * size
    tile_size = row_step * tile_pitch
    channels, group_first = word(call, CHANNELS), word(block, CHANNEL)
    direct = 0
    if word(call, Y_IS_PLAIN) and word(block, TILE_VALID) == pixels:
        direct = min(blocks, (word(call, ROWS) - row) // row_step)
    scratch = word(block, SCRATCH)
    put_word(block, BLOCKS, blocks)
    channel_step, tap_step = word(call, CHUNK_CHANNELS), word(call, CHUNK_TAPS)
    is_final = False
    for channel in range(group_first, word(block, CHANNEL_END), channel_step):
        chunk = min(channel_step, channels - channel) * kernel_taps
        put_word(block, X, x + (channel - group_first) * word(call, PLANE_SIZE))
        for tap in range(0, chunk, tap_step):
            taps = min(tap_step, chunk - tap)
            is_first = channel == 0 and tap == 0
            is_final = channel + channel_step >= channels and tap + tap_step >= chunk
            weight = (channel * kernel_taps + tap) * word(call, WEIGHT_TAP) + row * taps * size
            put_word(block, WEIGHT, word(block, BOX_WEIGHT) + weight)
            put_word(block, OFFSETS, word(call, TAP_OFFSETS) + 8 * tap)
            put_word(block, TAPS, taps)
            put_word(block, PREVIOUS, word(call, ZEROS) if is_first else scratch)
            put_word(block, PREVIOUS_STEP, 0 if is_first else tile_size)
            is_full = not is_first or (is_final and word(call, HAS_EPILOGUE) != 0)
            put_word(block, IS_FULL, 1 if is_full else 0)
            if is_final:
                put_word(block, BIAS, word(block, BOX_BIAS) + row * size)
                put_word(block, BIAS_STEP, row_step * size)
                put_word(block, FLOOR, word(call, FLOORS) + size)
                put_word(block, DIRECT, direct)
                put_word(block, OUT, y + row * word(call, Y_ROW))
                put_word(block, PITCH, word(call, Y_ROW))
                put_word(block, OUT_STEP, row_step * word(call, Y_ROW))
            else:
                put_word(block, BIAS, word(call, ZEROS))
                put_word(block, BIAS_STEP, 0)
                put_word(block, FLOOR, word(call, FLOORS))
                put_word(block, DIRECT, 0)
            invoke(job, block, call, 0)
    if is_final and direct < blocks:
        first = row + direct * row_step
        put_word(block, TILE, scratch + direct * tile_size)
        put_word(block, TILE_PITCH, tile_pitch)
        put_word(block, TILE_ROW, first)
        put_word(block, TILE_ROWS, min(word(call, ROWS) - first, (blocks - direct) * row_step))
        put_word(block, TILE_Y, y + word(block, TILE_SKIP) * word(call + _AXIS_W, Y_STEP))
        invoke(word(call, FINISH), block, call, 0)
    if word(call, SCRATCH_KEEPS):
        put_word(block, SCRATCH, scratch + blocks * tile_size)


@kernel("void(intp, intp, intp, intp, intp, intp)")
def sweep_run(block: int, call: int, x: int, y: int, count: int, room: int) -> None:
    """All tiles of a run of neighbouring pixels; `room` pixels may be read from its first on.

    The blocks of rows go first, then the rows that make no block, one by one.
    """
    size, step = word(call, SIZE), word(call + _AXIS_W, Y_STEP)
    wide, narrow = word(call, WIDE_PIXELS), word(call, NARROW_PIXELS)
    is_room_for_wide = word(call, PLANE_PIXELS) >= wide or not word(call, IS_DIRECT)
    block_rows, singles = word(call, BLOCK_ROWS), word(block, BOX_SINGLES)
    row, rows, blocks = word(block, BOX_BLOCK) * block_rows, block_rows, word(block, BOX_BLOCKS)
    done = 0 if blocks > 0 else count
    while True:
        if done >= count:
            if rows == 1 or singles == 0:
                return
            row, rows, blocks, done = word(call, BLOCKS_ALL) * block_rows, 1, singles, 0
        pixels, job = narrow, word(call, NARROW)
        put_word(block, LINEAR, word(call, LINEAR_NARROW))
        if rows == 1:
            pixels, job = word(call, LINE_PIXELS), word(call, LINE)
        elif count - done > wide - narrow and is_room_for_wide:
            pixels, job = wide, word(call, WIDE)
            put_word(block, LINEAR, word(call, LINEAR_WIDE))
        start = min(done, room - pixels)
        valid = min(count, start + pixels) - done
        put_word(block, TILE_SKIP, done - start)
        put_word(block, TILE_VALID, valid)
        run_tile(block, call, x + start * size, y + start * step, job, row, rows, blocks, pixels)
        done += valid


@kernel("void(intp, intp)")
def sweep_box(block: int, call: int) -> None:
    """All runs of the box, for the group of channels that is staged."""
    axis_d, axis_h, axis_w = call + _AXIS_D, call + _AXIS_H, call + _AXIS_W
    size, width = word(call, SIZE), word(axis_w, OUTPUTS)
    pitch = word(axis_w, SLOTS) * size
    plane = word(axis_h, COPIES) * word(axis_h, SLOTS) * pitch
    step_h, step_w = word(axis_h, Y_STEP), word(axis_w, Y_STEP)
    x = block + word(call, STAGED_AT)
    y = word(block, BOX_Y) + word(block, BOX_D) * word(axis_d, Y_STEP)
    runs, count, room = word(block, BOX_HS), word(block, BOX_WS), 1 << 62
    if word(call, IS_FLAT):
        pixel = word(block, BOX_PIXEL)
        runs, count = 1, word(block, BOX_PIXELS)
        x += (pixel - word(block, BOX_H) * width) * size
        y += pixel * step_w
        if word(call, IS_DIRECT):
            x = word(block, BOX_X) + word(block, CHANNEL) * word(call, PLANE_SIZE) + pixel * size
            room = word(call, PLANE_PIXELS) - pixel
    else:
        y += word(block, BOX_H) * step_h + word(block, BOX_W) * step_w
    for number in range(word(block, BOX_DS) * runs):
        d, run = number // runs, number % runs
        y_run = y + d * word(axis_d, Y_STEP) + run * step_h
        sweep_run(block, call, x + d * plane + run * pitch, y_run, count, room)


@job
def convolve_box(thread: int, call: int, number: int) -> None:
    """One job of the pool: `number` names the box, `call` is the address of the call's words."""
    block = word(call, WORKSPACE) + thread * word(call, WORKSPACE_STEP)
    enter_box(block, call, number)
    channels = word(call, CHANNELS)
    for first in range(0, channels, word(call, GROUP_CHANNELS)):
        put_word(block, CHANNEL, first)
        put_word(block, CHANNEL_END, min(channels, first + word(call, GROUP_CHANNELS)))
        put_word(block, SCRATCH, block + word(call, SCRATCH_AT))
        if not word(call, IS_DIRECT):
            invoke(word(call, STAGE), block, call, 0)
        sweep_box(block, call)
