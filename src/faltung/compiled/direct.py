"""Direct convolution of arrays whose windows are already numbers: no named modes, no checks.

`facts` says without compiling what a task will need, `pack` prepares weights for any number of
tasks that share them, `run` computes.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from numpy.typing import NDArray

from faltung.compiled import lanes
from faltung.compiled.call import runner_of, schedule_of, steps_of
from faltung.compiled.entry import Runner
from faltung.compiled.lanes_schedule import LanesRow, find_lanes_row, suits
from faltung.compiled.packing import pack_bias, pack_weights, packed_shape
from faltung.compiled.schedule import MOST_WORKSPACE, Schedule, Shape, round_up
from faltung.compiled.task import Axis, DirectTask, SumType
from faltung.compiled.variants import Row, find_row

__all__ = [
    "Axis",
    "DirectTask",
    "Facts",
    "PackedWeights",
    "facts",
    "pack",
    "packing_runner",
    "run",
    "runner",
]


class Facts(NamedTuple):
    """What a task will need.

    Parameters
    ----------
    variant : str
        Id of the kernel's row.
    macs : int
        Multiply-adds, those with padding included.
    workspace_bytes : int
        Of one thread, whatever the strides of the arrays are.
    packed_bytes : int
        Of the packed weights.
    jobs : int
        Pieces of work.
    refusal : str
        Why the task cannot run, or an empty string.
    lane_use : float
        The share of the multiply-adds in whole vectors and whole tiles that is wanted.
    staged_bytes : int
        Cells that are staged, by all jobs together.
    has_channels_in_lanes : bool
        Whether tiles have output channels in their lanes (`lanes`), not pixels.
    """

    variant: str
    macs: int
    workspace_bytes: int
    packed_bytes: int
    jobs: int
    refusal: str
    lane_use: float = 1.0
    staged_bytes: int = 0
    has_channels_in_lanes: bool = False


@lru_cache(maxsize=1024)
def facts(task: DirectTask) -> Facts:
    """What a task needs, from its numbers alone; compiles nothing."""
    sums = task.sums
    if sums is None:
        return Facts("", task.macs, 0, 0, 0, f"there is no kernel for {task.dtype}")
    row, cut = row_of(task), _cut_of(task, sums)
    rows, channels = sums.parts * task.filters, sums.parts * task.channels
    packed = prod(packed_shape(task.groups, rows, channels, task.kernel_taps, row))
    refusal = ""
    if cut.workspace > MOST_WORKSPACE:
        refusal = (
            f"its smallest box of outputs stages {cut.workspace} bytes a thread, "
            f"more than the {MOST_WORKSPACE} allowed"
        )
    return Facts(
        row.id,
        task.macs,
        cut.workspace,
        packed * row.element.size,
        cut.jobs,
        refusal,
        cut.lane_use,
        cut.staged_bytes,
        isinstance(row, LanesRow),
    )


def row_of(task: DirectTask) -> Row | LanesRow:
    """The kernels that a task runs, and that its weights have to be packed for."""
    sums = task.sums
    assert sums is not None, task.dtype
    row, filters = find_lanes_row(sums.dtype), sums.parts * task.filters
    if row is not None and suits(sums.parts * task.channels, filters, task.axes, row):
        return row
    return find_row(sums.dtype)


class _Cut(NamedTuple):
    """What facts take from a schedule; the workspace is that of any strides of the arrays."""

    jobs: int
    workspace: int
    lane_use: float
    staged_bytes: int


def _cut_of(task: DirectTask, sums: SumType) -> _Cut:
    row, channels = row_of(task), sums.parts * task.channels
    if isinstance(row, LanesRow):
        cut = lanes.schedule_of(task, sums, row)
        parts = -(-cut.blocks // cut.blocks_a_part)
        staged = cut.jobs // parts * channels * cut.plane_size
        return _Cut(cut.jobs, cut.workspace, cut.lane_use, staged)
    schedule, shape = schedule_of(task, sums, row, None, None)
    # Strides that do not join keep rows apart and inputs from being read where they lie.
    apart, _ = schedule_of(task, sums, row, (1,) * 5, (1,) * 5)
    staged = schedule.jobs * channels * schedule.plane_size
    workspace = max(schedule.workspace, apart.workspace)
    return _Cut(schedule.jobs, workspace, _lane_use(schedule, shape, row), staged)


def _lane_use(schedule: Schedule, shape: Shape, row: Row) -> float:
    """What is left of vectors at the ends of runs of pixels, and of tiles at the last rows."""
    _, axis_h, axis_w = shape.axes
    run = axis_w.outputs * (axis_h.outputs if schedule.is_flat else 1)
    lanes = row.element.lanes
    # Rows that are done one by one load a vector for each multiply-add.
    done = schedule.blocks * row.rows + 2 * schedule.singles
    if not (run and done):
        return 1.0
    return run / round_up(run, lanes) * shape.rows / done


class PackedWeights(NamedTuple):
    """Weights and biases as the kernels of one row read them."""

    weights: NDArray[Any]
    biases: NDArray[Any]
    has_bias: bool
    row: Row | LanesRow
    is_finite: bool


def pack(
    weight: NDArray[Any],
    task: DirectTask,
    bias: NDArray[Any] | None = None,
    *,
    is_scattered: bool = False,
) -> PackedWeights:
    """Weights of shape (O, C / groups, *kernel) and biases of shape (O,), as kernels read them.

    They serve every task with the same channels, groups, kernel, dtype and `row_of`. The arrays
    have the task's dtype, in native byte order. What is scattered has pixels in the lanes.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    row = find_row(sums.dtype) if is_scattered else row_of(task)
    packed, is_finite = pack_weights(weight, task.groups, task.dtype, sums, row)
    biases = pack_bias(bias, task.filters * sums.parts, task.groups, task.dtype, sums, row)
    return PackedWeights(packed, biases, bias is not None, row, is_finite)


def runner(
    task: DirectTask,
    x: NDArray[Any],
    y: NDArray[Any],
    row: Row | LanesRow,
    has_bias: bool,
    packs: bool = False,
) -> Runner:
    """What runs a task on arrays of these strides, with weights and biases from `pack`."""
    sums = task.sums
    assert sums is not None, task.dtype
    if isinstance(row, LanesRow):
        return lanes.runner_of(task, sums, row, has_bias, steps_of(x), steps_of(y), packs)
    return runner_of(task, sums, row, has_bias, steps_of(x), steps_of(y), packs)


def packing_runner(task: DirectTask, x: NDArray[Any], y: NDArray[Any], has_bias: bool) -> Runner:
    """What runs a task whose sums have its own dtype, with weights and biases as they are.

    Both are contiguous. Weights that are not finite are refused: its result is then not 0.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    return runner(task, x, y, row_of(task), has_bias, packs=True)


def run(task: DirectTask, x: NDArray[Any], packed: PackedWeights, y: NDArray[Any]) -> None:
    """Compute a task into `y`.

    Parameters
    ----------
    task : DirectTask
        One that `facts` does not refuse, with at least one channel.
    x : ndarray, (batch, groups * channels, *spatial)
        Of the task's dtype and any strides, aligned and in native byte order; one to three
        spatial axes.
    packed : PackedWeights
        From `pack`.
    y : ndarray, (batch, groups * filters, *spatial)
        Likewise of any strides; must not overlap `x`.
    """
    if y.size == 0:
        return
    status = runner(task, x, y, packed.row, packed.has_bias)(x, y, packed.weights, packed.biases)
    assert status == 0, "unaligned input"
