"""The argument blocks of the direct convolution: what stands in which 64-bit word.

Sizes of memory are in bytes, sizes of arrays in elements. "Row" is an output channel or, in
complex problems, its real or imaginary part; "channel" likewise on the input side.
"""

from __future__ import annotations

__all__ = [
    "AXIS_WORDS", "COLUMN_WORDS", "DIRECT_WORDS", "ENTRY_WORDS", "PACK_WORDS", "PLACE_WORDS",
    "STAGING_WORDS", "STRIP_WORDS", "THREAD_WORDS",
]  # fmt: skip

# One column: a tile of pixels, a chunk of taps, all blocks of rows. Written by the sweep.
COLUMN_WORDS = (
    X, WEIGHT, OFFSETS, TAPS, LINEAR, PANEL, BLOCKS, DIRECT, OUT, PITCH, OUT_STEP, SCRATCH,
    IS_FULL, PREVIOUS, PREVIOUS_STEP, BIAS, BIAS_STEP, FLOOR,
) = range(18)  # fmt: skip

# The rest of a thread's block: the box of outputs it works at and the tile it stores.
THREAD_WORDS = (
    BOX_X, BOX_Y, BOX_WEIGHT, BOX_BIAS, BOX_BLOCK, BOX_BLOCKS, BOX_SINGLES, BOX_ROWS,
    BOX_D, BOX_DS, BOX_H, BOX_HS, BOX_W, BOX_WS, BOX_PIXEL, BOX_PIXELS,
    CHANNEL, CHANNEL_END,
    TILE, TILE_PITCH, TILE_ROW, TILE_ROWS, TILE_SKIP, TILE_VALID, TILE_X, TILE_Y, TILE_JOB,
    TILE_FIRST, TILE_STEP, TILE_BLOCKS, TILE_PIXELS, NUMBER,
) = range(18, 50)  # fmt: skip

# A strip: a row of tiles in place of one (`strips`). COMING is what is asked for meanwhile.
STRIP_WORDS = (TILES, COMING, COMING_OFFSETS) = range(50, 53)

# While rows are staged (`staging`): what holds for all rows of a copy. Images and lanes have words
# of their own below these.
STAGING_WORDS = (
    ROW_FIRST, ROW_SLOTS, ROW_START, ROW_WHOLE, ROW_INSIDE, ROW_IS_FILLED,
) = range(58, 64)  # fmt: skip

# One axis of the problem; three of these stand in the block of the call, beginning at AXES.
AXIS_WORDS = (
    LENGTH, STRIDE, BEFORE, AFTER, COPIES, STARTS, EXTRA, SLOTS, LOW, HIGH, X_STEP, Y_STEP,
    OUTPUTS, BOX,
) = range(14)  # fmt: skip

# The call.
AXES = 0
AXIS_SIZE = len(AXIS_WORDS)
DIRECT_WORDS = (
    BATCH, GROUPS, BOXES_D, BOXES_H, BOXES_W, BOX_FLAT, PARTS_O,
    IS_FLAT, IS_DIRECT, PLANE_PIXELS,
    X_BASE, X_BATCH, X_GROUP, X_CHANNEL, X_PART, X_PARTS,
    Y_BASE, Y_BATCH, Y_GROUP, Y_ROW, Y_PART, Y_PARTS, Y_IS_PLAIN,
    CHANNELS, CHUNK_CHANNELS, CHUNK_TAPS, KERNEL, GROUP_CHANNELS,
    ROWS, BLOCKS_ALL, SINGLES_ALL, BLOCKS_A_PART, BLOCK_ROWS,
    WIDE_PIXELS, NARROW_PIXELS, LINE_PIXELS, SIZE,
    PLANE_SIZE, TAP_OFFSETS, LINEAR_WIDE, LINEAR_NARROW,
    WEIGHTS, WEIGHT_GROUP, WEIGHT_TAP, BIASES, BIAS_GROUP, ZEROS, FLOORS, HAS_EPILOGUE, FILL,
    WORKSPACE, WORKSPACE_STEP, PANEL_AT, SCRATCH_AT, STAGED_AT, SCRATCH_KEEPS,
    ENTER, STAGE, SWEEP, RUN_TILE, WIDE, NARROW, LINE, FINISH, IS_RELU, PLACES,
    GATHER_TABLE, GATHER_VECTORS, STRIP_TILES, STRIP_OFFSETS,
) = range(3 * AXIS_SIZE, 3 * AXIS_SIZE + 70)  # fmt: skip

# Where scattered results go (`scattering`): the extent of the plane of pixels and the bytes from
# pixel to pixel, then for each row how far from its group's output its pixel 0 would lie, and which
# pixels of each axis it has.
PLACE_HEADER = (
    PLACE_HEIGHT, PLACE_WIDTH, PLACE_STEP_D, PLACE_STEP_H, PLACE_STEP_W,
) = range(5)  # fmt: skip
PLACE_WORDS = (
    PLACE_OFFSET, PLACE_FIRST_D, PLACE_LAST_D, PLACE_FIRST_H, PLACE_LAST_H, PLACE_FIRST_W,
    PLACE_LAST_W,
) = range(7)  # fmt: skip

# Packing (`packing`): from rows of weights as they are to the order of the kernels.
PACK_WORDS = (
    PACK_SOURCE, PACK_TARGET, PACK_BIAS, PACK_BIASES, PACK_ROWS, PACK_CHANNELS, PACK_KERNEL,
    PACK_CHUNK_CHANNELS, PACK_CHUNK_TAPS, PACK_BLOCKS, PACK_BLOCK_ROWS, PACK_SINGLES, PACK_SIZE,
    PACK_EXPONENT, PACK_NOT_FINITE,
) = range(15)  # fmt: skip

# A call as Python enters it (`entry`): these, then those of packing, then those of the call.
ENTRY_WORDS = (
    ENTRY_COUNT, ENTRY_DATA_AT, ENTRY_MISALIGNED, ENTRY_ALONE, ENTRY_JOB, ENTRY_JOBS,
    ENTRY_PACK, ENTRY_PACK_JOBS, ENTRY_PACKED_AT, ENTRY_BIASES_AT, ENTRY_WORKSPACE_AT,
) = range(11)  # fmt: skip
