"""The argument blocks of window reductions: what stands in which 64-bit word.

Sizes of memory and steps are in bytes, lengths in cells. An address "of cell 0" may lie outside
the array: the cells that are read do not.
"""

from __future__ import annotations

__all__ = ["AXIS_WORDS", "CALL_WORDS", "THREAD_BYTES", "THREAD_WORDS"]

# What a row job reads, in the thread's block: DST[x] = reduction over taps of SRC[x + OFFSETS[t]].
# With places: FLAT is the place of the first tap's first cell, FLAT_STEP goes to the next tap,
# LANE_STEP to the next cell. Moves also read STEP and VALUE. DIVISOR is what all outputs of a row
# are divided by, DIVIDED that of the row before. The others tell the box: the outputs FROM … TO of
# each axis; the rows LOW … HIGH, PITCH apart, of what was reduced last; BASE is where its row 0 of
# all axes would be, Y and P where the plane's output 0 is. ROW_0 … ROW_2 number the row of outputs
# that is being made, ROW_Y and ROW_P are where it goes.
THREAD_WORDS = (
    DST, SRC, OFFSETS, TAPS, LENGTH, FLAT, FLAT_STEP, LANE_STEP, STEP, VALUE,
    DIVISOR, DIVIDED, FROM_0, TO_0, FROM_1, TO_1, FROM_2, TO_2, FROM_L, TO_L,
    LOW_0, HIGH_0, PITCH_0, LOW_1, HIGH_1, PITCH_1, LOW_2, HIGH_2, PITCH_2, LOW_L, HIGH_L,
    BASE, Y, P, ROW_0, ROW_1, ROW_2, ROW_Y, ROW_P,
) = range(39)  # fmt: skip
THREAD_BYTES = 320

# One axis of the problem; four of these stand in the block of the call, the last one in the lanes.
AXIS_WORDS = (
    KIND, SIZE, COUNT, KERNEL, STRIDE, DILATION, BEFORE, AFTER, COUNTS_PADDING,
    X_STEP, Y_STEP, P_STEP, FLAT_SIZE, START, STOP, BOX, BOXES, IS_PLAIN, TABLE,
) = range(19)  # fmt: skip
SLIDING, BINS = range(2)

AXES = 0
AXIS_SIZE = len(AXIS_WORDS)
CALL_WORDS = (
    PLANES, PLANES_A_JOB, CHANNELS, X_BASE, X_BATCH, X_CHANNEL, Y_BASE, Y_BATCH, Y_CHANNEL,
    P_BASE, P_BATCH, P_CHANNEL, SIZE_OF, HAS_PLACES, PLACES_AT, IDENTITY, LAST_PLACE,
    WORKSPACE, WORKSPACE_STEP, BUFFER_0, BUFFER_1, BUFFER_0_PITCH, BUFFER_1_PITCH,
    BUFFER_PITCH_1, BUFFER_PITCH_2, LINE, PHASES, PHASE_PITCH, ROW, DIVISORS, FOLD, FOLDED,
    LINEAR, IS_DIVIDED, FIXED_DIVISOR, IS_ROOTED, IS_DIRECT,
    FIRST, NEXT, DIVIDE, ROOT, FILL, SPLIT, COPY, SPREAD, COUNT_DIVISORS, WRITE_PLACES,
    REDUCE_AXIS, REDUCE_LINE, REDUCE_LANES, FINISH, MARGINS,
) = range(4 * AXIS_SIZE, 4 * AXIS_SIZE + 52)  # fmt: skip
