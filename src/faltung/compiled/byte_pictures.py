"""Filters of pictures of bytes: summed in float32 in L1, and rounded as sums in float64 are.

A kernel that is a product of a column and a row is summed across the rows and then along them, any
other one in a single pass over rows that were only widened. The few sums that float32 is not sure
of are summed again over all taps in float64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import byte_sweep as at
from faltung.compiled import words
from faltung.compiled.byte_tile import POINT, RoundedTile, WidenedTile
from faltung.compiled.call import Strides, give_back, put_axes, steps_of, take_workspace
from faltung.compiled.entry import Call, Runner, make_runner
from faltung.compiled.memory import address_of
from faltung.compiled.schedule import AxisLayout, phases, round_up
from faltung.compiled.sweep import convolve_box, enter_box
from faltung.compiled.task import RoundedTask
from faltung.compiled.variants import Row, find_row

__all__ = ["PackedBytes", "pack", "refusal", "runner"]

MOST_TAPS = 21
"""Rows and columns of a kernel that are summed at once; larger ones gain little."""
MOST_MARGIN = 2.0**-8
"""How far off a sum may be: of more results than that every hundredth is summed again."""
_SEGMENT = 448  # results of a row: the cells of a strip are 16 KB, a third of an L1 that is shared
_STRIP_ROWS = 8
_LEAST_BOXES, _LEAST_BOX_CELLS = 32, 32_768
_UNIT = 2.0**-24


class PackedBytes(NamedTuple):
    """A kernel as the passes read it.

    Parameters
    ----------
    weights : float32 array
        Factor across the rows, factor along them or the kernel column by column, what sums begin
        with, and the bits that tell sure sums; then the kernel in 64-bit integers, and in float64
        what is left of it.
    kernel_at, digits : int
        Bytes to those integers, and their binary digits behind the point.
    widened_rows, rounded_rows : int
        Rows of the kernel that the first and that the last pass sums; one of both is 1.
    is_exact : bool
        Whether no sum rounds.
    """

    weights: NDArray[Any]
    kernel_at: int
    digits: int
    widened_rows: int
    rounded_rows: int
    is_exact: bool


def pack(
    across: NDArray[Any], along: NDArray[Any], kernel: NDArray[Any], task: RoundedTask
) -> PackedBytes | None:
    """The kernel of two axes, which is about ``along[i, j] * across[i']``, as the passes read it.

    Parameters
    ----------
    across : array, (rows,)
        The factor across the rows, or one number.
    along : array, (rows or 1, columns)
        The factor along the rows, or the kernel.
    kernel : float64 array, (rows, columns)
    task : RoundedTask
        Of bytes.

    Returns
    -------
    PackedBytes or None
        None where sums are too large, or too many of them would have to be summed again.
    """
    limits = np.iinfo(task.dtype)
    largest = max(-int(limits.min), int(limits.max))
    with np.errstate(all="ignore"):  # of weights that float32 does not hold
        first, second = (part.astype(np.float32) for part in (across, along))
        rows, columns = first.astype(np.float64), second.astype(np.float64)
        product = np.multiply.outer(rows, columns).reshape(kernel.shape)
        size = largest * float(np.abs(rows).sum() * np.abs(columns).sum())
    if not size < 2.0 ** (31 - POINT) - 2:
        return None
    is_exact = bool((product == kernel).all()) and _is_whole(rows, columns, largest)
    # Both passes round once a tap, and on machines without fused multiply-adds once more in all.
    off = largest * float(np.abs(product - kernel).sum())
    margin = off + (rows.size + columns.size + 2) * _UNIT * (size + 1)
    if margin > MOST_MARGIN and not is_exact:
        return None
    # One step is lost where the number of steps is made whole; a sum that is just so far off as
    # the margin says may be a half.
    steps = 1 << int(np.ceil(np.log2(margin * 2.0**POINT + 2)))
    start = 0 if is_exact else (1 << (POINT - 1)) + steps
    ahead = first.size + second.size + 2
    kernel_at = round_up(4 * ahead, 8)
    kept = np.zeros(kernel_at // 8 + 2 * kernel.size, np.float64)
    floats = kept.view(np.float32)
    floats[: first.size] = first
    floats[first.size : ahead - 2] = (
        second.T.ravel() if is_exact else np.ldexp(second.T.ravel(), POINT)
    )
    floats[ahead - 2] = start
    kept.view(np.int32)[ahead - 1] = (1 << POINT) - 2 * steps
    scaled = np.ldexp(kernel.ravel(), _digits(size))
    kept[kernel_at // 8 :].view(np.int64)[: kernel.size] = np.rint(scaled)
    kept[kernel_at // 8 + kernel.size :] = scaled - np.rint(scaled)
    return PackedBytes(floats, kernel_at, _digits(size), len(across), len(along), is_exact)


def _digits(size: float) -> int:
    """Binary digits behind the point of sums in 64-bit integers that are so large at most."""
    return 61 - int(np.ceil(np.log2(size + 1)))


def _is_whole(rows: NDArray[Any], columns: NDArray[Any], largest: int) -> bool:
    """Whether all sums are whole numbers of some unit, and few enough of them for float32."""
    units = 1
    for part in (rows, columns):
        for shift in range(24):
            scaled = np.ldexp(part, shift)
            if (scaled == np.rint(scaled)).all():
                break
        else:
            return False
        units *= int(np.abs(scaled).sum())
    return units * largest < 2**24


def _tiles(
    task: RoundedTask, row: Row, form: tuple[int, int, bool]
) -> tuple[WidenedTile, RoundedTile]:
    """The tiles of both passes."""
    taps, rows, is_exact = form
    element = row.element._replace(lanes=max(8, row.element.lanes))
    height = 1 if rows == 1 else 4 if row.isa == "avx512" else 2
    columns = task.axes[2]
    return (
        WidenedTile(task.dtype, element, _STRIP_ROWS + rows - 1, taps),
        RoundedTile(task.dtype, element, height, rows, columns.kernel, columns.dilation, is_exact),
    )


def refusal(task: RoundedTask, x: NDArray[Any], y: NDArray[Any]) -> str:
    """Why a task cannot run, or ""; `x` and `y` have two axes behind batch and channel."""
    _, rows, columns = task.axes
    limits = np.iinfo(task.dtype)
    if x.strides[-1] != 1 or y.strides[-1] != 1:
        return "cells of a row have to lie side by side"
    if rows.stride != 1 or columns.stride != 1 or rows.dilation != 1:
        return "it takes every output, and neighbouring rows"
    if max(rows.kernel, columns.kernel) > MOST_TAPS:
        return f"it takes kernels of {MOST_TAPS}x{MOST_TAPS} at most"
    extra = (columns.kernel - 1) * columns.dilation
    if min(_SEGMENT, columns.outputs, columns.length) < 64 + extra:
        return "rows are too short"
    if task.fill not in range(limits.min, limits.max + 1):
        return "the fill value is none of a cell"
    return ""


class _Layout(NamedTuple):
    """Where the cells of an axis are, as `put_axes` wants to know, and the boxes."""

    layouts: tuple[AxisLayout, AxisLayout, AxisLayout]
    boxes: tuple[int, int, int]


@lru_cache(maxsize=256)
def _runner_of(
    task: RoundedTask,
    row: Row,
    form: tuple[int, int, bool, int, int],
    x_steps: Strides,
    y_steps: Strides,
) -> Runner:
    """What runs a kind of call; compiles what it needs."""
    widened, rounded = _tiles(task, row, form[:3])
    _, rows, columns = task.axes
    boxes = max(1, min(_LEAST_BOXES, rows.outputs * columns.outputs // _LEAST_BOX_CELLS))
    height = round_up(-(-rows.outputs // boxes), _STRIP_ROWS)
    first, second, third = map(phases, task.axes)
    layout = _Layout((first, second, third), (1, height, columns.outputs))
    call, arrays = np.zeros(at.CALL_WORDS[-1] + 1, np.int64), []

    def keep(values: Any, dtype: Any = np.int64) -> int:
        arrays.append(np.ascontiguousarray(values, dtype))
        return int(arrays[-1].ctypes.data)

    put_axes(call, task.axes, layout, x_steps, y_steps, keep)
    places, workspace = _places(task, widened, rounded)
    fill = np.full(columns.length, int(task.fill) % 256, np.uint8)
    jobs = -(-rows.outputs // height)
    for index, value in {
        words.BATCH: 1,
        words.GROUPS: 1,
        words.BOXES_D: 1,
        words.BOXES_H: jobs,
        words.BOXES_W: 1,
        words.PARTS_O: 1,
        words.BLOCKS_A_PART: 1,
        words.CHANNELS: 1,
        words.GROUP_CHANNELS: 1,
        words.IS_DIRECT: 1,
        words.WORKSPACE_STEP: workspace,
        words.ENTER: address_of(enter_box),
        words.SWEEP: address_of(at.sweep_bytes(widened, rounded)),
        at.STRIP_ROWS: _STRIP_ROWS,
        at.SEEN_ROWS: widened.rows + widened.kernel_rows - 1,
        at.SEGMENT: _SEGMENT,
        at.FILL_ROW: keep(fill, np.uint8),
        at.FILL_VALUE: int(task.fill),
        at.KERNEL_DIGITS: form[4],
        at.KERNEL_REST: 128 * rows.kernel * columns.kernel + 1,
        at.KERNEL: form[3],
        at.KERNEL_ROWS: rows.kernel,
        at.KERNEL_COLUMNS: columns.kernel,
        at.KERNEL_STEP: columns.dilation,
        **places,
    }.items():
        call[index] = value
    kind_of_call = Call(convolve_box, call, jobs, workspace, False, 1)
    return make_runner(kind_of_call, None, take_workspace, give_back, tuple(arrays))


def _places(
    task: RoundedTask, widened: WidenedTile, rounded: RoundedTile
) -> tuple[dict[int, int], int]:
    """Where in the workspace of a thread things lie, and its size."""
    columns = task.axes[2]
    segment = min(_SEGMENT, columns.outputs)
    extra = (columns.kernel - 1) * columns.dilation
    flags_pitch = round_up(-(-segment // rounded.columns) * rounded.columns // 8, 8)
    cells_pitch = round_up(4 * (segment + extra), 64) | 64
    table_at = 8 * 64
    targets_at = table_at + 8 * (widened.rows + widened.kernel_rows)
    flags_at = targets_at + 8 * _STRIP_ROWS
    spare_at = flags_at + _STRIP_ROWS * flags_pitch
    cells_at = round_up(spare_at + columns.outputs, 64)
    places = {
        at.TABLE_AT: table_at,
        at.TARGETS_AT: targets_at,
        at.FLAGS_AT: flags_at,
        at.FLAGS_PITCH: flags_pitch,
        at.SPARE_AT: spare_at,
        at.CELLS_AT: cells_at,
        at.CELLS_PITCH: cells_pitch,
    }
    return places, round_up(cells_at + widened.rows * cells_pitch, 4096)


def runner(task: RoundedTask, x: NDArray[Any], y: NDArray[Any], packed: PackedBytes) -> Runner:
    """What runs a task that is not refused, on arrays of these strides, with such a kernel."""
    form = (
        packed.widened_rows,
        packed.rounded_rows,
        packed.is_exact,
        packed.kernel_at,
        packed.digits,
    )
    return _runner_of(task, find_row("float32"), form, steps_of(x), steps_of(y))
