"""How a window reduction is cut into jobs and boxes, and what lies where: integers only.

Nothing here decides a bit of the result: each axis is reduced in the order of its taps whatever
the boxes are, and which way the lanes are reduced depends on the window alone.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled.pooling_words import THREAD_BYTES

__all__ = ["Cut", "Layout", "PoolAxis", "PoolTask", "Ranges", "cut_task", "lanes_first"]

Ranges = tuple[tuple[int, int], ...]

_WORKSPACE = 512 << 10  # that boxes are made smaller for: a part of L2
_LINE_CELLS = 4096  # of a line of lanes, that it stays in L1
_JOB_CELLS = 1 << 17  # read by a job, about 10 µs of vectors
_MOST_CELLS = 1 << 21
_WANTED_JOBS = 16
_SLACK = 64  # bytes behind rows that are written in whole vectors


class PoolAxis(NamedTuple):
    """One axis of a window, or with `is_bins` bins that split the axis.

    `kernel` counts taps, of bins those of the longest one; `after` is how far padding counts where
    a mean counts it.
    """

    size: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    counts_padding: bool = False
    is_bins: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether every output sees the cell of its own number, and no other."""
        is_single = self.kernel == 1 and self.stride == 1 and self.before == 0
        return is_single and self.outputs <= self.size and not self.is_bins

    @property
    def span(self) -> int:
        """Cells from the first to the last tap."""
        return (self.kernel - 1) * self.dilation + 1

    def reach(self, outputs: int) -> int:
        """Cells, those on padding too, under so many neighbouring outputs."""
        if self.is_bins:
            return min(self.size, -(-outputs * self.size // self.outputs) + 1)
        return (outputs - 1) * self.stride + self.span

    def cells(self, outputs: int) -> int:
        """Cells of the input under so many neighbouring outputs, at most."""
        return min(self.size, self.reach(outputs))

    @property
    def is_segmented(self) -> bool:
        """Whether lanes go along the taps instead of along the outputs.

        Windows side by side cost a step for each cell that the stride skips, and each tap a lane;
        one by one, each tap a step or, if there are many, a lane, and some fixed ones.
        """
        if self.is_bins:
            return True
        if self.dilation > 1 or self.stride <= 2:
            return False
        alone = self.kernel if self.kernel < 128 else 96 + self.kernel // 8
        return self.stride + self.kernel // 8 > alone + 16


class PoolTask(NamedTuple):
    """One window reduction, channel by channel.

    Parameters
    ----------
    batch, channels : int
        Samples, and channels of each.
    axes : tuple of three PoolAxis
        The spatial axes; those of lower rank are filled up in front with ``PoolAxis(1, 1)``.
    dtype : str
        Of input and output.
    operation : {"max", "min", "sum"}
        How the taps are combined.
    before : {"", "abs", "square"}
        What each cell becomes first; floating-point numbers only.
    is_divided : bool
        Whether the result is divided: by `divisor`, or by the product of the axes' divisors.
    divisor : int, optional
        The same for all outputs.
    is_rooted : bool
        Whether the square root is taken at the end.
    """

    batch: int
    channels: int
    axes: tuple[PoolAxis, PoolAxis, PoolAxis]
    dtype: str
    operation: str
    before: str = ""
    is_divided: bool = False
    divisor: int | None = None
    is_rooted: bool = False


class Layout(NamedTuple):
    """Byte offsets in a thread's workspace; the names are those of the words."""

    buffer_0: int
    buffer_1: int
    buffer_0_pitch: int
    buffer_1_pitch: int
    buffer_pitch_1: int
    buffer_pitch_2: int
    line: int
    phases: int
    phase_pitch: int
    row: int
    divisors: int
    folded: int
    places_at: int


class Cut(NamedTuple):
    """The cut of one task: four axes, the last one in the lanes."""

    is_last: bool
    axes: tuple[PoolAxis, PoolAxis, PoolAxis, PoolAxis]
    ranges: Ranges
    flat_sizes: tuple[int, ...]
    boxes: tuple[int, ...]
    planes: int
    planes_a_job: int
    channels: int
    layout: Layout
    workspace: int
    jobs: int

    @property
    def is_segmented(self) -> bool:
        """Whether outputs along the lanes are reduced one by one."""
        return self.axes[3].is_segmented

    def order(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        """Strides of (batch, channel, depth, height, width) as (batch, channel, four axes)."""
        batch, channel, *spatial = steps
        return (batch, 0, *spatial, channel) if self.is_last else (batch, channel, 0, *spatial)

    def tables(self, size: int, x_steps: tuple[int, ...]) -> list[NDArray[np.int64]]:
        """Byte offsets of the taps of each axis, and those of the rows of a folded segment."""
        layout, pitches = self.layout, list(x_steps[2:5])
        tables = []
        for number, axis in enumerate(self.axes[:3]):
            tables.append(np.arange(axis.kernel, dtype=np.int64) * axis.dilation * pitches[number])
            if not axis.is_plain and number < 2:
                first = layout.buffer_1_pitch if number else layout.buffer_0_pitch
                pitches = [first, layout.buffer_pitch_1, layout.buffer_pitch_2]
        lanes = self.axes[3]
        places = np.arange(max(lanes.kernel, 256), dtype=np.int64) * lanes.dilation
        if lanes.stride > 1 and not self.is_segmented:
            phases, shifts = places % lanes.stride, places // lanes.stride
            tables.append(phases * layout.phase_pitch + shifts * size)
        else:
            tables.append(places * size)
        tables.append(np.arange(lanes.kernel // 64 + 1, dtype=np.int64) * 64 * size)
        return tables


def lanes_first(dtype: str, x: NDArray[Any]) -> bool:
    """Whether lanes go along the last axis of x, and not along its channels."""
    if x.strides[-1] == x.itemsize or x.shape[-1] == 1:
        return True
    return x.strides[1] != x.itemsize


def cut_task(task: PoolTask, is_last: bool, box: Ranges) -> Cut:
    """How a box of a task is cut, with lanes along the last axis or along channels."""
    if is_last:
        lanes = PoolAxis(task.channels, task.channels)
        axes = (*task.axes, lanes)
        ranges = (*box, (0, task.channels))
        planes, channels = task.batch, 1
    else:
        axes = (PoolAxis(1, 1), *task.axes)
        ranges = ((0, 1), *box)
        planes, channels = task.batch * task.channels, task.channels
    sizes = [axis.size for axis in task.axes]
    flat = (sizes[1] * sizes[2], sizes[2], 1)
    flat_sizes = (*flat, 0) if is_last else (0, *flat)
    boxes = _boxes(task, axes, ranges, planes)
    layout, workspace = _lay_out(task, axes, boxes)
    each = _work(axes, boxes)
    count = prod(-(-(stop - start) // n) for (start, stop), n in zip(ranges, boxes, strict=True))
    together = max(1, min(_JOB_CELLS // max(each, 1), planes // _WANTED_JOBS))
    jobs = count * -(-planes // together)
    return Cut(
        is_last, axes, ranges, flat_sizes, boxes, planes, together, channels, layout, workspace,
        jobs,
    )  # fmt: skip


def _work(axes: tuple[PoolAxis, ...], boxes: tuple[int, ...]) -> int:
    """Cells that a box reads, over all axes."""
    total = 0
    cells = [axis.cells(n) for axis, n in zip(axes, boxes, strict=True)]
    for number, axis in enumerate(axes):
        cells[number] = boxes[number]
        total += prod(cells) * axis.kernel
    return total


def _boxes(
    task: PoolTask, axes: tuple[PoolAxis, ...], ranges: Ranges, planes: int
) -> tuple[int, ...]:
    """The largest boxes that fit the caches and give enough jobs."""
    boxes = [stop - start for start, stop in ranges]

    def halve(number: int) -> bool:
        if boxes[number] == 1:
            return False
        boxes[number] = -(-boxes[number] // 2)
        return True

    while axes[3].reach(boxes[3]) > _LINE_CELLS and boxes[3] > _SLACK:
        halve(3)
    while _lay_out(task, axes, tuple(boxes))[1] > _WORKSPACE:
        if not any(halve(number) for number in range(4)):
            break
    while True:
        work = _work(axes, tuple(boxes))
        count = prod(-(-(b - a) // n) for (a, b), n in zip(ranges, boxes, strict=True)) * planes
        is_enough = count >= _WANTED_JOBS or work < _JOB_CELLS
        if (is_enough and work <= _MOST_CELLS) or not any(halve(n) for n in range(4)):
            return tuple(boxes)


def _lay_out(
    task: PoolTask, axes: tuple[PoolAxis, ...], boxes: tuple[int, ...]
) -> tuple[Layout, int]:
    """Where everything lies for boxes of that size, and how many bytes a thread needs."""
    size = np.dtype(task.dtype).itemsize
    top = THREAD_BYTES

    def take(count: int) -> int:
        nonlocal top
        start = top
        top += -(-(count + 2 * _SLACK) // _SLACK) * _SLACK
        return start

    lanes = axes[3]
    pitch_2 = lanes.cells(boxes[3]) * size
    pitch_1 = axes[2].cells(boxes[2]) * pitch_2
    pitch_of_0, pitch_of_1 = axes[1].cells(boxes[1]) * pitch_1, boxes[1] * pitch_1
    buffer_0 = take(0 if axes[0].is_plain else boxes[0] * pitch_of_0)
    buffer_1 = take(0 if axes[1].is_plain else boxes[0] * pitch_of_1)
    reach = lanes.reach(boxes[3])
    line = take(0 if lanes.is_plain else reach * size)
    phase = -(-(-(-reach // lanes.stride) * size + _SLACK) // _SLACK) * _SLACK
    is_split = lanes.stride > 1 and not lanes.is_segmented
    phases = take(phase * lanes.stride if is_split else 0)
    row, divisors = take(boxes[3] * size), take(boxes[3] * size)
    folded = take(128 * size)
    places_at = top - THREAD_BYTES
    layout = Layout(
        buffer_0, buffer_1, pitch_of_0, pitch_of_1, pitch_1, pitch_2, line, phases, phase, row,
        divisors, folded, places_at,
    )  # fmt: skip
    # Places lie behind the values, cell for cell.
    return layout, top + (places_at if size >= 4 and task.operation == "max" else 0)
