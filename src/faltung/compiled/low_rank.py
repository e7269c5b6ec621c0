"""Filters whose kernel is a sum of products of one kernel an axis, summed one axis at a time.

The same tasks as `image` takes and the same staging; each term of the kernel is a pass across
planes (of volumes), one across rows and one along them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import low_rank_sweep as at
from faltung.compiled import words
from faltung.compiled.call import Strides, give_back, put_axes, steps_of, take_workspace
from faltung.compiled.certain import finish_certain
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.image_tile import strip
from faltung.compiled.low_rank_schedule import PassSchedule, make_schedule, pieces_of
from faltung.compiled.memory import address_of
from faltung.compiled.packing import pack_fill, to_sums
from faltung.compiled.schedule import MOST_WORKSPACE, round_up
from faltung.compiled.staging import stage
from faltung.compiled.storing import finish
from faltung.compiled.sweep import convolve_box, enter_box
from faltung.compiled.task import DirectTask, RoundedTask
from faltung.compiled.variants import Row, find_row

__all__ = [
    "PackedFactors",
    "PassFacts",
    "facts",
    "pack",
    "pack_certain",
    "pass_words",
    "run",
    "runner",
]


class PassFacts(NamedTuple):
    """What a task will need: bytes of one thread, pieces of work, and why it cannot run, or ""."""

    workspace_bytes: int
    jobs: int
    refusal: str


@lru_cache(maxsize=1024)
def facts(task: DirectTask) -> PassFacts:
    """What a task needs, from its numbers alone; compiles nothing."""
    sums = task.sums
    if sums is None or sums.parts > 1:
        return PassFacts(0, 0, f"there is no kernel for {task.dtype}")
    schedule, refusal = make_schedule(task, find_row(sums.dtype)), ""
    if schedule.workspace > MOST_WORKSPACE:
        refusal = (
            f"its smallest box of outputs stages {schedule.workspace} bytes a thread, "
            f"more than the {MOST_WORKSPACE} allowed"
        )
    return PassFacts(schedule.workspace, schedule.jobs, refusal)


class PackedFactors(NamedTuple):
    """Factors and biases as the passes read them; they fit every input shape.

    Parameters
    ----------
    weights : array, (O, terms, depth + height + width)
        The factors of each filter's terms, behind each other; with more than one plane there is
        one term.
    biases : array, (O + 1,)
        Zeros for none; the last one is where a run notes that a result is not finite.
    has_bias : bool
        Whether there are any.
    checks : bool
        Whether results are looked at: a pass may overflow where the sum does not.
    is_certain : bool
        Whether results are rounded by `certain`; the factors of the one filter are then followed by
        its kernel and a margin.
    is_joined : bool
        Whether the last two axes of the windows were one when they were packed.
    """

    weights: NDArray[Any]
    biases: NDArray[Any]
    has_bias: bool
    checks: bool
    is_certain: bool = False
    is_joined: bool = False


def pack(
    factors: NDArray[Any],
    task: DirectTask,
    bias: NDArray[Any] | None = None,
    *,
    checks: bool = False,
) -> PackedFactors:
    """Factors of shape (O, terms, depth + height + width) and biases of shape (O,).

    The terms of a filter are those of its first channel, of its second, and so on. The arrays have
    the task's dtype, in native byte order, or that of the sums.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    weights, biases = factors, np.zeros(len(factors) + 1, sums.dtype)
    if factors.dtype.name != sums.dtype:
        weights = to_sums(factors, task.dtype, sums)
    if bias is not None:
        biases[:-1] = to_sums(np.ascontiguousarray(bias), task.dtype, sums)
    return PackedFactors(np.ascontiguousarray(weights), biases, bias is not None, checks)


def pack_certain(factors: NDArray[Any], kernel: NDArray[Any], margin: float) -> PackedFactors:
    """Factors of shape (rows + columns,), their kernel of two axes, and how far off sums may be.

    For tasks of bytes that are summed in float32 and rounded: one channel and one filter.
    """
    kept = np.zeros(-(-factors.size // 2) + kernel.size + 1, np.float64)
    kept.view(np.float32)[: factors.size] = factors
    kept[-(-factors.size // 2) : -1] = kernel.ravel()
    kept[-1:].view(np.float32)[0] = margin
    weights = kept.view(np.float32)[None, None]
    return PackedFactors(weights, np.zeros(2, np.float32), False, False, True)


class _Words:
    """The words of a kind of call, and the arrays that they point to."""

    def __init__(self) -> None:
        self.call = np.zeros(at.CALL_WORDS[-1] + 1, np.int64)
        self.arrays: list[NDArray[Any]] = []

    def keep(self, values: Any, dtype: Any = np.int64) -> int:
        """The address of values that live as long as the call."""
        self.arrays.append(np.ascontiguousarray(values, dtype))
        return int(self.arrays[-1].ctypes.data)


def _put_passes(
    task: DirectTask, terms: int, schedule: PassSchedule, row: Row, made: _Words
) -> None:
    """Write what belongs to the passes; compiles their strips."""
    axis_d, axis_h, axis_w = task.axes
    size = row.element.size
    depth = axis_d.kernel if axis_d.kernel > 1 else 0

    def table(taps: int, rows: int, weight: int) -> list[tuple[int, int, int]]:
        return [
            (address_of(strip(schedule.tile(row, rows, count))), first, (weight + first) * size)
            for first, count in (pieces_of(taps) if taps else ())
        ]

    planes = table(depth, schedule.tile_planes, 0)
    rows = table(axis_h.kernel, schedule.tile_rows, depth)
    term = (depth + axis_h.kernel + axis_w.kernel) * size
    for index, value in {
        at.TERMS: terms,
        at.TERM_WEIGHTS: term,
        at.CHANNEL_TERMS: terms // task.channels,
        at.FILTER_WEIGHTS: terms * term,
        at.DILATION: axis_h.dilation,
        at.STRIP_ROWS: schedule.tile_rows,
        at.STRIP_PLANES: schedule.tile_planes,
        at.SEGMENT: schedule.segment,
        at.SWEEP_STRIP: address_of(at.sweep_strip),
        at.PLANE_PIECES: len(planes),
        at.PLANE_TABLE: made.keep(planes),
        at.ROW_PIECES: len(rows),
        at.ROW_TABLE: made.keep(rows),
        at.ALONG: address_of(strip(schedule.tile(row, schedule.tile_rows, 1))),
        at.ALONG_WEIGHT: (depth + axis_h.kernel) * size,
        at.ALONG_OFFSETS: made.keep(np.array(schedule.layouts[2].shifts) * size),
        at.ALONG_TAPS: axis_w.kernel,
        at.NO_OFFSET: made.keep([0]),
        at.ROWS_AT: schedule.rows_at,
        at.ROWS_PITCH: schedule.rows_pitch,
        at.SUMS_AT: schedule.sums_at,
        at.SUMS_PITCH: schedule.sums_pitch,
        at.PLANES_AT: schedule.planes_at,
        at.PLANES_PITCH: schedule.planes_pitch,
    }.items():
        made.call[index] = value


def _again(task: DirectTask, schedule: PassSchedule, size: int, offsets: int) -> list[int]:
    """What `certain` has to know to sum a window again."""
    _, axis_h, axis_w = task.axes
    factors = round_up((axis_h.kernel + axis_w.kernel) * size, 8)
    pitch = (schedule.boxes[2] + schedule.layouts[2].extra) * size * axis_h.dilation
    return [factors, axis_h.kernel, axis_w.kernel, offsets, pitch]


def pass_words(
    task: DirectTask,
    row: Row,
    form: tuple[int, bool, bool, bool],
    x_steps: Strides,
    y_steps: Strides,
) -> tuple[PassSchedule, NDArray[np.int64], list[NDArray[Any]]]:
    """The words of a call, and what they point to; compiles what it needs.

    `form`: the number of terms and the flags of factors.
    """
    terms, has_bias, checks, is_certain = form
    sums = task.sums
    assert sums is not None, task.dtype
    schedule, made = make_schedule(task, row), _Words()
    call, element = made.call, row.element
    size, kind = element.size, element.dtype
    put_axes(call, task.axes, schedule, x_steps, y_steps, made.keep)
    _put_passes(task, terms, schedule, row, made)
    is_relu = task.is_relu and element.is_float
    least = -np.inf if element.is_float else 0
    columns = schedule.tile_vectors * element.lanes
    counts = [-(-axis.outputs // box) for axis, box in zip(task.axes, schedule.boxes, strict=True)]
    item = np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize
    fill_dtype = sums.dtype if isinstance(task, RoundedTask) else task.dtype
    for index, value in {
        words.BATCH: task.batch,
        words.GROUPS: task.groups,
        words.BOXES_D: counts[0],
        words.BOXES_H: counts[1],
        words.BOXES_W: counts[2],
        words.PARTS_O: 1,
        words.BLOCKS_A_PART: 1,
        words.CHANNELS: task.channels,
        words.GROUP_CHANNELS: task.channels,
        words.ROWS: task.filters,
        words.WIDE_PIXELS: columns,
        words.SIZE: size,
        words.PLANE_SIZE: schedule.plane_size,
        words.WEIGHT_GROUP: task.filters * int(call[at.FILTER_WEIGHTS]),
        words.BIAS_GROUP: task.filters * size,
        words.WORKSPACE_STEP: schedule.workspace,
        words.SCRATCH_AT: schedule.sums_at,
        words.STAGED_AT: schedule.staged_at,
        words.ZEROS: made.keep(np.zeros(columns), kind),
        words.FLOORS: made.keep([least, 0 if is_relu else least], kind),
        words.FILL: made.keep(pack_fill(task.fill, fill_dtype, sums), kind),
        words.HAS_EPILOGUE: has_bias or is_relu,
        words.IS_RELU: task.is_relu,
        words.X_BATCH: x_steps[0],
        words.X_GROUP: x_steps[1] * task.channels,
        words.X_CHANNEL: x_steps[1],
        words.X_PART: item,
        words.X_PARTS: 1,
        words.Y_BATCH: y_steps[0],
        words.Y_GROUP: y_steps[1] * task.filters,
        words.Y_ROW: y_steps[3] * task.axes[1].dilation,
        words.Y_PART: item,
        words.Y_PARTS: 1,
        words.Y_IS_PLAIN: sums.memory == sums.dtype and y_steps[4] == size,
        words.ENTER: address_of(enter_box),
        words.STAGE: address_of(stage(sums.memory, sums.dtype)),
        words.SWEEP: address_of(at.sweep_planes),
        words.FINISH: address_of(finish(sums.dtype, sums.memory)),
        at.FILTER_STEP: y_steps[1],
        at.CHECK: address_of(at.note_overflow(sums.dtype)) if checks else 0,
        at.NOTE_AT: task.groups * task.filters * size,
    }.items():
        call[index] = value
    if is_certain:
        call[words.FINISH] = address_of(finish_certain(sums.memory, at.AGAIN))
        call[at.AGAIN] = made.keep(_again(task, schedule, size, int(call[at.ALONG_OFFSETS])))
    return schedule, call, made.arrays


@lru_cache(maxsize=256)
def _runner_of(
    task: DirectTask,
    row: Row,
    form: tuple[int, bool, bool, bool],
    x_steps: Strides,
    y_steps: Strides,
) -> Runner:
    """What runs a kind of call; compiles what it needs."""
    schedule, call, arrays = pass_words(task, row, form, x_steps, y_steps)
    sums = task.sums
    assert sums is not None, task.dtype
    item = np.dtype("uint16" if sums.memory == "bfloat16" else sums.memory).itemsize
    kind_of_call = Call(convolve_box, call, schedule.jobs, schedule.workspace, False, item)
    return make_runner(kind_of_call, None, take_workspace, give_back, tuple(arrays))


def runner(task: DirectTask, x: NDArray[Any], y: NDArray[Any], packed: PackedFactors) -> Runner:
    """What runs a task on arrays of these strides, with factors and biases of this form."""
    sums = task.sums
    assert sums is not None, task.dtype
    form = packed.weights.shape[1], packed.has_bias, packed.checks, packed.is_certain
    return _runner_of(task, find_row(sums.dtype), form, steps_of(x), steps_of(y))


def run(task: DirectTask, x: NDArray[Any], packed: PackedFactors, y: NDArray[Any]) -> bool:
    """Compute a task into `y`; whether a result is not finite, if that is looked at.

    Parameters
    ----------
    task : DirectTask
        One that `facts` does not refuse, with at least one channel, stride 1, and one channel or a
        kernel of one plane; its first axis has dilation 1.
    x : ndarray, (batch, groups * channels, *spatial)
        Of the task's dtype and any strides, aligned and in native byte order.
    packed : PackedFactors
        From `pack`.
    y : ndarray, (batch, groups * filters, *spatial)
        Likewise of any strides; must not overlap `x`.
    """
    if y.size == 0:
        return False
    biases = packed.biases.copy() if packed.checks else packed.biases
    status = runner(task, x, y, packed)(x, y, packed.weights, biases)
    assert status == 0, "unaligned input"
    return bool(biases[-1] != 0)
