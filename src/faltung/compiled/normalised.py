"""Normalised convolution: a box is staged once, and swept once for its cells, once for its weights.

Cells that are missing are set to zero where they are staged, beside a plane that has a one for each
cell that is valid. Both planes are swept by the same kernels, and the sums are scaled while they
are in the cache. A box without missing cells is a plain one.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import image, low_rank, low_rank_sweep
from faltung.compiled import image_planes as planes
from faltung.compiled import words as at
from faltung.compiled._jit import Job, job, kernel
from faltung.compiled.call import Strides, give_back, steps_of, take_workspace
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.memory import address_of, invoke, loader, put_word, storer, word
from faltung.compiled.schedule import round_up
from faltung.compiled.staging import stage
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import Row, find_row

__all__ = ["Missing", "run", "scale_sums", "split_cells", "splitter"]

Packed: TypeAlias = "image.PackedFilter | low_rank.PackedFactors"

VALID_WORDS = (
    OTHER_CALL, OTHER_AT, OTHER_WEIGHTS, SEEN_AT, CELLS, MASK_BATCH,
) = range(
    max(planes.PLANE_WORDS[-1], low_rank_sweep.CALL_WORDS[-1]) + 1,
    max(planes.PLANE_WORDS[-1], low_rank_sweep.CALL_WORDS[-1]) + 7,
)  # fmt: skip
"""Words of the call behind all others: the call that sweeps the weights, the block that it works
in, bytes to its weights and to its results, cells that are staged, and the mask's step."""

NUMBERS = NO_BIAS, NOTE, MASK, WHOLE, SLACK = range(5)
"""Words where a call has its biases: the mask's address, the sum of all weights, and how far off
it may be."""

_AXIS_D, _AXIS_H, _AXIS_W = (8 * (at.AXES + axis * at.AXIS_SIZE) for axis in range(3))


class Missing(NamedTuple):
    """Which cells are missing: where a mask is false, or those that are NaN, or both."""

    mask: NDArray[np.bool_] | None
    ignores_nan: bool


@cache
def splitter(dtype: str, has_mask: bool, ignores_nan: bool) -> Any:
    """The kernel that sets missing cells to zero and their validity too; how many they are."""
    load, store = loader(dtype), storer(dtype)
    zero, one = (np.dtype(dtype).type(value) for value in (0, 1))

    @kernel("intp(intp, intp, intp)")
    def split_masked(values: int, valid: int, cells: int) -> int:
        missing = 0
        for i in range(cells):
            value, is_valid = load(values, i), load(valid, i) != zero
            if ignores_nan:
                is_valid = is_valid and value == value
            store(values, i, value if is_valid else zero)
            store(valid, i, one if is_valid else zero)
            missing += 0 if is_valid else 1
        return missing

    @kernel("intp(intp, intp, intp)")
    def split(values: int, valid: int, cells: int) -> int:
        missing = 0
        for i in range(cells):
            value = load(values, i)
            store(values, i, value if value == value else zero)
            store(valid, i, one if value == value else zero)
            missing += 0 if value == value else 1
        return missing

    return split_masked if has_mask else split


@cache
def _scaler(dtype: str) -> Any:
    """The kernel that scales a row of sums by the share of the weights that they have seen."""
    load, store = loader(dtype), storer(dtype)
    zero, one = (np.dtype(dtype).type(value) for value in (0, 1))

    @kernel("void(intp, intp, intp, intp)")
    def scale(sums: int, seen: int, count: int, numbers: int) -> None:
        whole, slack = load(numbers + 8 * WHOLE, 0), load(numbers + 8 * SLACK, 0)
        for i in range(count):
            share = load(seen, i)
            off = share - whole
            off = zero - off if off < zero else off
            # As near to the whole as rounding, nothing is missing: the sum stays as it is.
            store(sums, i, load(sums, i) * (one if off <= slack else whole / share))

    return scale


@cache
def normalise_box(dtype: str, has_mask: bool, ignores_nan: bool) -> Job:
    """The job that does one box; see `sweep.convolve_box`, in whose place it runs."""
    split, scale = splitter(dtype, has_mask, ignores_nan), _scaler(dtype)

    @kernel("void(intp, intp, intp, intp)")
    def enter_other(block: int, other: int, call: int, number: int) -> None:
        """The block of the second sweep: the same box, of the mask if there is one."""
        for index in range(at.BOX_X, at.CHANNEL_END + 1):
            put_word(other, index, word(block, index))
        other_call = word(call, OTHER_CALL)
        put_word(other, at.SCRATCH, other + word(call, at.SCRATCH_AT))
        put_word(other, at.BOX_WEIGHT, word(call, at.WEIGHTS) + word(call, OTHER_WEIGHTS))
        seen = block + word(call, SEEN_AT)
        for axis in range(3):
            step = word(other_call, at.AXES + axis * at.AXIS_SIZE + at.Y_STEP)
            seen -= word(block, at.BOX_D + 2 * axis) * step
        put_word(other, at.BOX_Y, seen)
        if has_mask:
            boxes = word(call, at.BOXES_D) * word(call, at.BOXES_H) * word(call, at.BOXES_W)
            mask = word(word(call, at.BIASES), MASK)
            put_word(other, at.BOX_X, mask + number // boxes * word(call, MASK_BATCH))
            invoke(word(other_call, at.STAGE), other, other_call, 0)

    @kernel("void(intp, intp)")
    def scale_box(block: int, call: int) -> None:
        other_call, numbers = word(call, OTHER_CALL), word(call, at.BIASES)
        axis_d, axis_h = call + _AXIS_D, call + _AXIS_H
        y = word(block, at.BOX_Y) + word(block, at.BOX_D) * word(axis_d, at.Y_STEP)
        y += word(block, at.BOX_H) * word(axis_h, at.Y_STEP)
        y += word(block, at.BOX_W) * word(call + _AXIS_W, at.Y_STEP)
        seen, rows = block + word(call, SEEN_AT), word(block, at.BOX_HS)
        for d in range(word(block, at.BOX_DS)):
            for h in range(rows):
                sums = y + d * word(axis_d, at.Y_STEP) + h * word(axis_h, at.Y_STEP)
                share = seen + d * word(other_call + _AXIS_D, at.Y_STEP)
                share += h * word(other_call + _AXIS_H, at.Y_STEP)
                scale(sums, share, word(block, at.BOX_WS), numbers)

    @job
    def run_box(thread: int, call: int, number: int) -> None:
        block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        other = block + word(call, OTHER_AT)
        invoke(word(call, at.ENTER), block, call, number)
        put_word(block, at.CHANNEL, 0)
        put_word(block, at.CHANNEL_END, 1)
        put_word(block, at.SCRATCH, block + word(call, at.SCRATCH_AT))
        invoke(word(call, at.STAGE), block, call, 0)
        enter_other(block, other, call, number)
        staged = word(call, at.STAGED_AT)
        missing = split(block + staged, other + staged, word(call, CELLS))
        invoke(word(call, at.SWEEP), block, call, 0)
        if missing > 0:
            other_call = word(call, OTHER_CALL)
            invoke(word(other_call, at.SWEEP), other, other_call, 0)
            scale_box(block, call)

    return run_box


def _words_of(
    task: DirectTask, row: Row, form: tuple[int, bool] | None, x_steps: Strides, y_steps: Strides
) -> tuple[Any, NDArray[np.int64], list[NDArray[Any]]]:
    """The words of one sweep; `form` has terms and checks of factors, None of whole kernels."""
    if form is None:
        return image.band_words(task, row, x_steps, y_steps)
    terms, checks = form
    return low_rank.pass_words(task, row, (terms, False, checks, False), x_steps, y_steps)


class _Kind(NamedTuple):
    """What tells kinds of calls apart, beside task and strides."""

    form: tuple[int, bool] | None
    other_form: tuple[int, bool] | None
    other_weights: int  # bytes to them
    mask_steps: Strides | None
    ignores_nan: bool


@lru_cache(maxsize=256)
def _runner_of(
    task: DirectTask, row: Row, kind: _Kind, x_steps: Strides, y_steps: Strides
) -> Runner:
    """What runs a kind of call; compiles what it needs."""
    size, dtype = row.element.size, row.element.dtype
    schedule, first, arrays = _words_of(task, row, kind.form, x_steps, y_steps)
    depth, height, width = schedule.boxes
    line = round_up(width * size, 64) | 64
    own_steps = (0, 0, height * line, line, size)
    _, second, more = _words_of(task, row, kind.other_form, x_steps, own_steps)
    other_at = round_up(schedule.workspace, 4096)
    seen_at = 2 * other_at
    workspace = seen_at + round_up(depth * height * line, 4096) + 64
    call, other = (np.zeros(VALID_WORDS[-1] + 1, np.int64) for _ in range(2))
    call[: len(first)], other[: len(second)] = first, second
    if kind.mask_steps is not None:
        arrays.append(np.ones(1, dtype))
        other[at.FILL] = arrays[-1].ctypes.data
        other[at.STAGE] = address_of(stage("uint8", dtype))
        other[at.X_PART] = 1
        for axis in range(3):
            other[at.AXES + axis * at.AXIS_SIZE + at.X_STEP] = kind.mask_steps[2 + axis]
        call[MASK_BATCH] = kind.mask_steps[0]
    for index, value in {
        at.WORKSPACE_STEP: workspace,
        OTHER_CALL: other.ctypes.data,
        OTHER_AT: other_at,
        OTHER_WEIGHTS: kind.other_weights,
        SEEN_AT: seen_at,
        CELLS: schedule.plane_size // size,
    }.items():
        call[index] = value
    box = normalise_box(dtype, kind.mask_steps is not None, kind.ignores_nan)
    kind_of_call = Call(box, call, schedule.jobs, workspace, False, size)
    return make_runner(kind_of_call, None, take_workspace, give_back, (arrays, more, other))


def run(
    task: DirectTask,
    x: NDArray[Any],
    packed: tuple[Packed, Packed],
    missing: Missing,
    limits: tuple[float, float],
    y: NDArray[Any],
) -> bool:
    """Compute a task into `y`; whether a sum is not finite, if that is looked at.

    Parameters
    ----------
    task : DirectTask
        One of float32 or float64 that `image.facts`, or for factors `low_rank.facts`, does not
        refuse, with one group, channel and filter.
    x : ndarray, (batch, 1, *spatial)
        Of the task's dtype and any strides, aligned and in native byte order.
    packed : pair of PackedFilter or of PackedFactors
        The kernel, and that of its magnitudes, without biases.
    missing : Missing
        Which cells are; a mask has the shape of `x`. Cells beyond the borders are what they show,
        those of the fill value are valid, which without a mask must not be NaN.
    limits : pair of float
        The sum of all magnitudes, and how far off it sums count as whole.
    y : ndarray, (batch, 1, *spatial)
        Its rows are contiguous; must not overlap `x`.
    """
    row = find_row(task.dtype)
    weights = [np.ascontiguousarray(each.weights).ravel() for each in packed]
    forms = [
        (each.weights.shape[1], each.checks) if isinstance(each, low_rank.PackedFactors) else None
        for each in packed
    ]
    if forms[1] is not None:
        forms[1] = (forms[1][0], False)
    other_weights = round_up(weights[0].nbytes, 64)
    both = np.zeros(other_weights // row.element.size + weights[1].size, task.dtype)
    both[: weights[0].size], both[other_weights // row.element.size :] = weights
    numbers = np.zeros(len(NUMBERS), np.int64)
    mask_steps = None
    if missing.mask is not None:
        mask_steps, numbers[MASK] = steps_of(missing.mask), missing.mask.ctypes.data
    for place, value in zip((WHOLE, SLACK), limits, strict=True):
        numbers[place : place + 1].view(task.dtype)[0] = value
    kind = _Kind(forms[0], forms[1], other_weights, mask_steps, missing.ignores_nan)
    run_kind = _runner_of(task, row, kind, steps_of(x), steps_of(y))
    status = run_kind(x, y, both, numbers)
    assert status == 0, "unaligned input"
    return bool(numbers[: NOTE + 1].any())


def split_cells(values: NDArray[Any], valid: NDArray[Any], missing: Missing) -> int:
    """Set the cells that are missing to zero, in `valid` too; how many they are.

    Both are contiguous, of float32 or float64. Where there is a mask, `valid` has it already, in
    zeros and ones; without one it is written only.
    """
    split = splitter(values.dtype.name, missing.mask is not None, missing.ignores_nan)
    return int(split(values.ctypes.data, valid.ctypes.data, values.size))


def scale_sums(sums: NDArray[Any], seen: NDArray[Any], limits: tuple[float, float]) -> None:
    """Scale sums by the share of the weights that they have seen; `limits` as in `run`.

    Both are contiguous, of float32 or float64.
    """
    numbers = np.zeros(len(NUMBERS), np.int64)
    for place, value in zip((WHOLE, SLACK), limits, strict=True):
        numbers[place : place + 1].view(sums.dtype)[0] = value
    scale = _scaler(sums.dtype.name)
    scale(sums.ctypes.data, seen.ctypes.data, sums.size, numbers.ctypes.data)
