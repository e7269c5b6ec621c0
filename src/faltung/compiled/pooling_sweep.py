"""The job of window reductions: boxes of outputs, reduced along one axis after the other.

Rows of lanes are reduced over the axes above them first, straight from the input, then along the
lanes. What a later axis needs lies in two buffers and a line of the thread's workspace; the line
has a margin on both sides that changes no result, in place of padding. Nothing here depends on
dtype or instruction set: rows are reduced, moved and finished by jobs that are called by address.
So are the parts of the sweep: what is inlined is compiled again in every place.
"""

from __future__ import annotations

from faltung.compiled import pooling_words as at
from faltung.compiled._jit import job, kernel
from faltung.compiled.memory import invoke, put_word, word
from faltung.compiled.pooling_axes import divisor_of, first_cell, seen_taps

__all__ = [
    "fill_margins",
    "finish_row",
    "reduce_along",
    "reduce_axis",
    "reduce_line",
    "reduce_planes",
    "reduce_segments",
]

_AXIS = 8 * at.AXIS_SIZE
_AXIS_0, _AXIS_1, _AXIS_2, _AXIS_L = (8 * at.AXES + n * _AXIS for n in range(4))


@kernel("intp(intp, intp)")
def _lowest_cell(axis: int, output: int) -> int:
    """No cell before this one is seen by the outputs from this one on."""
    if word(axis, at.KIND) == at.BINS:
        return output * word(axis, at.SIZE) // word(axis, at.COUNT)
    return max(0, output * word(axis, at.STRIDE) - word(axis, at.BEFORE))


@kernel("intp(intp, intp)")
def _highest_cell(axis: int, output: int) -> int:
    """No cell from this one on is seen by the outputs before this one."""
    size = word(axis, at.SIZE)
    if word(axis, at.KIND) == at.BINS:
        return (output * size + word(axis, at.COUNT) - 1) // word(axis, at.COUNT)
    start = (output - 1) * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    return min(size, start + (word(axis, at.KERNEL) - 1) * word(axis, at.DILATION) + 1)


@kernel("void(intp, intp, intp, intp, intp, intp, intp)")
def _reduce_over(block, call, axis, output, source, pitch, function):  # type: ignore[no-untyped-def]
    """One row over an axis above the lanes: `source` is where the axis' cell 0 would be."""
    cell = first_cell(axis, output)
    put_word(block, at.SRC, source + cell * pitch)
    put_word(block, at.TAPS, seen_taps(axis, output))
    put_word(block, at.OFFSETS, word(axis, at.TABLE))
    put_word(block, at.FLAT, word(block, at.FLAT) + cell * word(axis, at.FLAT_SIZE))
    put_word(block, at.FLAT_STEP, word(axis, at.DILATION) * word(axis, at.FLAT_SIZE))
    invoke(function, block, call, 0)


@job
def reduce_segments(block: int, call: int, target: int) -> None:
    """The outputs along the lanes one by one, cells beside each other as taps."""
    axis, size, fold = call + _AXIS_L, word(call, at.SIZE_OF), word(call, at.FOLD)
    line, folded = word(call, at.LINE) + block, word(call, at.FOLDED) + block
    first, count = word(block, at.FROM_L), word(block, at.TO_L) - word(block, at.FROM_L)
    function = word(call, at.NEXT)
    zero = _lowest_cell(axis, first)
    for number in range(count):
        source = line + (first_cell(axis, first + number) - zero) * size
        taps = seen_taps(axis, first + number)
        if taps >= 2 * fold:
            # Rows of so many cells first; then their cells and what is left of the segment.
            rest = taps % fold
            put_word(block, at.DST, folded)
            put_word(block, at.SRC, source)
            put_word(block, at.OFFSETS, word(call, at.LINEAR))
            put_word(block, at.TAPS, taps // fold)
            put_word(block, at.LENGTH, fold)
            invoke(function, block, call, 0)
            for stream in range(1 + word(call, at.HAS_PLACES)):
                beside = stream * word(call, at.PLACES_AT)
                put_word(block, at.DST, folded + fold * size + beside)
                put_word(block, at.SRC, source + (taps - rest) * size + beside)
                put_word(block, at.LENGTH, rest)
                invoke(word(call, at.COPY), block, call, 0)
            source, taps = folded, fold + rest
        put_word(block, at.DST, target + number * size)
        put_word(block, at.SRC, source)
        put_word(block, at.OFFSETS, word(axis, at.TABLE))
        put_word(block, at.TAPS, taps)
        put_word(block, at.LENGTH, 1)
        invoke(function, block, call, 0)


@job
def reduce_along(block: int, call: int, target: int) -> None:
    """The outputs along the lanes side by side, from the line that begins at their first tap."""
    axis, source = call + _AXIS_L, word(call, at.LINE) + block
    count, stride = word(block, at.TO_L) - word(block, at.FROM_L), word(axis, at.STRIDE)
    if stride > 1:
        phases = word(call, at.PHASES) + block
        reach = (count - 1) * stride + (word(axis, at.KERNEL) - 1) * word(axis, at.DILATION) + 1
        put_word(block, at.STEP, word(call, at.PHASE_PITCH))
        put_word(block, at.TAPS, stride)
        put_word(block, at.LENGTH, reach)
        for stream in range(1 + word(call, at.HAS_PLACES)):
            beside = stream * word(call, at.PLACES_AT)
            put_word(block, at.DST, phases + beside)
            put_word(block, at.SRC, source + beside)
            invoke(word(call, at.SPLIT), block, call, 0)
        source = phases
    put_word(block, at.DST, target)
    put_word(block, at.SRC, source)
    put_word(block, at.LENGTH, count)
    put_word(block, at.OFFSETS, word(axis, at.TABLE))
    put_word(block, at.TAPS, word(axis, at.KERNEL))
    invoke(word(call, at.NEXT), block, call, 0)


@job
def finish_row(block: int, call: int, row: int) -> None:
    """From a row of results in the workspace to the outputs: divided or rooted, and copied."""
    axis = call + _AXIS_L
    put_word(block, at.DST, row)
    put_word(block, at.LENGTH, word(block, at.TO_L) - word(block, at.FROM_L))
    if word(call, at.IS_DIVIDED):
        divisor = word(call, at.FIXED_DIVISOR)
        if divisor == 0:
            divisor = 1
            for place in range(3):
                above = call + 8 * at.AXES + place * _AXIS
                divisor *= divisor_of(above, word(block, at.ROW_0 + place))
        put_word(block, at.DIVISOR, divisor)
        put_word(block, at.SRC, word(call, at.DIVISORS) + block)
        if word(block, at.DIVISOR) != word(block, at.DIVIDED):
            put_word(block, at.DIVIDED, word(block, at.DIVISOR))
            invoke(word(call, at.COUNT_DIVISORS), block, call, 0)
        invoke(word(call, at.DIVIDE), block, call, 0)
    put_word(block, at.SRC, row)
    if word(call, at.IS_ROOTED):
        invoke(word(call, at.ROOT), block, call, 0)
    if word(call, at.Y_BASE) != 0:
        step = word(axis, at.Y_STEP)
        put_word(block, at.DST, word(block, at.ROW_Y))
        put_word(block, at.STEP, step)
        is_packed = step == word(call, at.SIZE_OF)
        invoke(word(call, at.COPY) if is_packed else word(call, at.SPREAD), block, call, 0)
    if word(call, at.HAS_PLACES):
        put_word(block, at.SRC, row + word(call, at.PLACES_AT))
        put_word(block, at.DST, word(block, at.ROW_P))
        put_word(block, at.STEP, word(axis, at.P_STEP))
        invoke(word(call, at.WRITE_PLACES), block, call, 0)


@kernel("void(intp, intp, intp)")
def _enter_box(block: int, call: int, number: int) -> None:
    """The range of outputs of every axis in a box."""
    for reverse in range(4):
        place = 3 - reverse
        axis = call + 8 * at.AXES + place * _AXIS
        boxes = word(axis, at.BOXES)
        start = word(axis, at.START) + number % boxes * word(axis, at.BOX)
        put_word(block, at.FROM_0 + 2 * place, start)
        stop = min(word(axis, at.STOP), start + word(axis, at.BOX))
        put_word(block, at.FROM_0 + 2 * place + 1, stop)
        number //= boxes


@job
def reduce_line(block: int, call: int, place: int) -> None:
    """One row of outputs: over the last axis above the lanes, along the lanes, and stored.

    `place` is where that axis' cell 0 would be, at the first cell of the lanes.
    """
    axis_0, axis_1, axis_2, axis_l = call + _AXIS_0, call + _AXIS_1, call + _AXIS_2, call + _AXIS_L
    row_0, row_1 = word(block, at.ROW_0), word(block, at.ROW_1)
    row_2, first = word(block, at.ROW_2), word(block, at.FROM_L)
    is_first = word(axis_0, at.IS_PLAIN) != 0 and word(axis_1, at.IS_PLAIN) != 0
    function = word(call, at.FIRST) if is_first else word(call, at.NEXT)
    y = word(block, at.Y) + first * word(axis_l, at.Y_STEP) + row_0 * word(axis_0, at.Y_STEP)
    y += row_1 * word(axis_1, at.Y_STEP) + row_2 * word(axis_2, at.Y_STEP)
    target = y if word(call, at.IS_DIRECT) else word(call, at.ROW) + block
    begin = target
    if not word(axis_l, at.IS_PLAIN):
        begin = word(call, at.LINE) + block
        if word(axis_l, at.KIND) == at.SLIDING:
            start = first * word(axis_l, at.STRIDE) - word(axis_l, at.BEFORE)
            begin += (word(block, at.LOW_L) - start) * word(call, at.SIZE_OF)
    put_word(block, at.DST, begin)
    put_word(block, at.LENGTH, word(block, at.HIGH_L) - word(block, at.LOW_L))
    _reduce_over(block, call, axis_2, row_2, place, word(block, at.PITCH_2), function)
    if not word(axis_l, at.IS_PLAIN):
        invoke(word(call, at.REDUCE_LANES), block, call, target)
    if not word(call, at.IS_DIRECT):
        p = word(block, at.P) + first * word(axis_l, at.P_STEP) + row_0 * word(axis_0, at.P_STEP)
        p += row_1 * word(axis_1, at.P_STEP) + row_2 * word(axis_2, at.P_STEP)
        put_word(block, at.ROW_Y, y)
        put_word(block, at.ROW_P, p)
        invoke(word(call, at.FINISH), block, call, target)


@job
def fill_margins(block: int, call: int, _number: int) -> None:
    """The cells of the line that lie on padding: the number that changes no other, and no place."""
    axis, size = call + _AXIS_L, word(call, at.SIZE_OF)
    start = word(block, at.FROM_L) * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    last = (word(block, at.TO_L) - 1) * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    beyond = last + (word(axis, at.KERNEL) - 1) * word(axis, at.DILATION) + 1
    low, high = word(block, at.LOW_L), word(block, at.HIGH_L)
    line = word(call, at.LINE) + block
    for stream in range(1 + word(call, at.HAS_PLACES)):
        put_word(block, at.VALUE, word(call, at.IDENTITY + stream))
        put_word(block, at.DST, line)
        put_word(block, at.LENGTH, low - start)
        invoke(word(call, at.FILL), block, call, 0)
        put_word(block, at.DST, line + (high - start) * size)
        put_word(block, at.LENGTH, beyond - high)
        invoke(word(call, at.FILL), block, call, 0)
        line += word(call, at.PLACES_AT)


@job
def reduce_axis(block: int, call: int, number: int) -> None:
    """Axis 0, 1 or 2 of a box: to a buffer, or for the last of them to the outputs."""
    axis, flat = call + 8 * at.AXES + number * _AXIS, word(block, at.LOW_L)
    flat *= word(call + _AXIS_L, at.FLAT_SIZE)
    flat_0, flat_1 = word(call + _AXIS_0, at.FLAT_SIZE), word(call + _AXIS_1, at.FLAT_SIZE)
    flat_2, pitch = word(call + _AXIS_2, at.FLAT_SIZE), word(block, at.PITCH_0 + 3 * number)
    pitch_0, pitch_1 = word(block, at.PITCH_0), word(block, at.PITCH_1)
    pitch_2, base, function = word(block, at.PITCH_2), word(block, at.BASE), word(call, at.FIRST)
    if number == 1 and word(call + _AXIS_0, at.IS_PLAIN) == 0:
        function = word(call, at.NEXT)
    # Along the axis rows are outputs from here on, and `_reduce_over` finds their cells.
    put_word(block, at.LOW_0 + 3 * number, word(block, at.FROM_0 + 2 * number))
    put_word(block, at.HIGH_0 + 3 * number, word(block, at.TO_0 + 2 * number))
    if number == 0:
        pitch_0, flat_0 = 0, 0
    elif number == 1:
        pitch_1, flat_1 = 0, 0
    else:
        pitch_2, flat_2 = 0, 0
    low_0, high_0 = word(block, at.LOW_0), word(block, at.HIGH_0)
    low_1, high_1 = word(block, at.LOW_1), word(block, at.HIGH_1)
    low_2, high_2 = word(block, at.LOW_2), word(block, at.HIGH_2)
    step_1, step_2 = word(call, at.BUFFER_PITCH_1), word(call, at.BUFFER_PITCH_2)
    is_last = number == 2
    step_0 = 0 if is_last else word(call, at.BUFFER_0_PITCH + number)
    target = block if is_last else block + word(call, at.BUFFER_0 + number)
    cells, rows_2 = word(block, at.HIGH_L) - word(block, at.LOW_L), high_2 - low_2
    size = cells * word(call, at.SIZE_OF)
    # Rows that lie end to end, here and in the buffer, are one.
    if not is_last and pitch_2 == size and step_2 == size and word(call, at.HAS_PLACES) == 0:
        cells, rows_2 = cells * rows_2, 1
    for row_0 in range(low_0, high_0):
        for row_1 in range(low_1, high_1):
            for row_2 in range(low_2, low_2 + rows_2):
                place = base + row_0 * pitch_0 + row_1 * pitch_1 + row_2 * pitch_2
                put_word(block, at.FLAT, flat + row_0 * flat_0 + row_1 * flat_1 + row_2 * flat_2)
                if is_last:
                    put_word(block, at.ROW_0, row_0)
                    put_word(block, at.ROW_1, row_1)
                    put_word(block, at.ROW_2, row_2)
                    invoke(word(call, at.REDUCE_LINE), block, call, place)
                else:
                    there = (row_0 - low_0) * step_0 + (row_1 - low_1) * step_1
                    put_word(block, at.DST, target + there + (row_2 - low_2) * step_2)
                    put_word(block, at.LENGTH, cells)
                    output = row_0 if number == 0 else row_1
                    _reduce_over(block, call, axis, output, place, pitch, function)
    put_word(block, at.BASE, target - low_0 * step_0 - low_1 * step_1 - low_2 * step_2)
    put_word(block, at.PITCH_0, step_0)
    put_word(block, at.PITCH_1, step_1)
    put_word(block, at.PITCH_2, step_2)


@job
def reduce_planes(thread: int, call: int, number: int) -> None:
    """One job of the pool: a box of outputs in each of some neighbouring planes."""
    block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
    # Boxes of the last axis go first: the next job goes on where this one ends.
    for reverse in range(4):
        axis = call + 8 * at.AXES + (3 - reverse) * _AXIS
        boxes = word(axis, at.BOXES)
        start = word(axis, at.START) + number % boxes * word(axis, at.BOX)
        put_word(block, at.FROM_L - 2 * reverse, start)
        put_word(block, at.TO_L - 2 * reverse, min(word(axis, at.STOP), start + word(axis, at.BOX)))
        number //= boxes
    axis_l = call + _AXIS_L
    low = _lowest_cell(axis_l, word(block, at.FROM_L))
    put_word(block, at.LOW_L, low)
    put_word(block, at.HIGH_L, _highest_cell(axis_l, word(block, at.TO_L)))
    put_word(block, at.LANE_STEP, word(axis_l, at.FLAT_SIZE))
    put_word(block, at.DIVIDED, -1)
    if word(axis_l, at.IS_PLAIN) == 0 and word(axis_l, at.KIND) == at.SLIDING:
        invoke(word(call, at.MARGINS), block, call, 0)
    first, channels = number * word(call, at.PLANES_A_JOB), word(call, at.CHANNELS)
    last = min(word(call, at.PLANES), first + word(call, at.PLANES_A_JOB))
    for plane in range(first, last):
        sample, channel = plane // channels, plane % channels
        base = word(call, at.X_BASE) + sample * word(call, at.X_BATCH)
        base += channel * word(call, at.X_CHANNEL) + low * word(axis_l, at.X_STEP)
        put_word(block, at.BASE, base)
        there = sample * word(call, at.Y_BATCH) + channel * word(call, at.Y_CHANNEL)
        put_word(block, at.Y, word(call, at.Y_BASE) + there)
        there = sample * word(call, at.P_BATCH) + channel * word(call, at.P_CHANNEL)
        put_word(block, at.P, word(call, at.P_BASE) + there)
        for place in range(3):
            axis = call + 8 * at.AXES + place * _AXIS
            start, stop = word(block, at.FROM_0 + 2 * place), word(block, at.TO_0 + 2 * place)
            put_word(block, at.LOW_0 + 3 * place, _lowest_cell(axis, start))
            put_word(block, at.HIGH_0 + 3 * place, _highest_cell(axis, stop))
            put_word(block, at.PITCH_0 + 3 * place, word(axis, at.X_STEP))
        for place in range(3):
            if place == 2 or word(call + 8 * at.AXES + place * _AXIS, at.IS_PLAIN) == 0:
                invoke(word(call, at.REDUCE_AXIS), block, call, place)
