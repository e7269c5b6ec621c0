"""The phases plan: a transposed window as ordinary windows of stride 1, compiled.

With stride s and dilation d, input i and tap t fall on position ``i * s + t * d``. Taps that lie
``s / gcd(s, d)`` apart fall on positions a multiple of s apart: they make a phase. Written as
``q * s + t0 * d`` with t0 the phase's first tap, its outputs are a convolution over the inputs with
stride 1, of the taps of the phase, reversed, at a dilation of ``d / gcd(s, d)``. Phases with the
same number of taps see the same windows: they are one convolution with more filters, whose results
are stored s cells apart. No zero is stuffed in, no tap of another phase multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.compiled import _jit, direct
from faltung.compiled.scattering import place_table, run_scattered
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.plans import _cost
from faltung.plans._compiler import LEAST_MACS, missing_compiler
from faltung.plans._problem import Operands, Problem
from faltung.plans._rules import WeightedSum
from faltung.typing import Array

__all__ = ["cost", "name", "prepare", "run", "seconds", "supports", "workspace"]

name = "phases"
MOST_TAPS = 2**12
"""Taps of one axis; longer kernels belong to other algorithms."""
MOST_BORDER = 2**16
"""Cells that a kernel may span, which is what it sees beyond the ends of an input."""
CHANNELS_AT_ONCE = 64
"""How many channels of the weight are reordered together."""
CONVERTED_BYTES = 3 * 2**20
"""How much of an input of another dtype is converted at once, in the dtype of the result."""


class _Phases(NamedTuple):
    """The phases of one axis with the same number of taps: those that begin at taps `first` on.

    `step` is the distance of a phase's taps in the kernel, `dilation` that in the input.
    """

    first: int
    number: int
    taps: int
    step: int
    dilation: int

    @property
    def reach(self) -> int:
        """Inputs between the first and the last tap."""
        return (self.taps - 1) * self.dilation

    def kernel_tap(self, phase: int, tap: int) -> int:
        """The tap of the kernel that the window of a phase sees at a place: the last one first."""
        return self.first + phase + (self.taps - 1 - tap) * self.step


class _Part(NamedTuple):
    """One axis of a convolution: pixels `first` to `last` of some phases.

    Pixel q of phase t falls on output ``start + q * stride + t * dilation`` and sees the inputs
    ``q - reach`` to ``q`` of `size`.
    """

    phases: _Phases
    first: int
    last: int
    size: int
    outputs: int
    start: int
    stride: int
    dilation: int

    @property
    def cells(self) -> slice:
        """The inputs that are seen."""
        return slice(max(self.first - self.phases.reach, 0), min(self.last, self.size))

    @property
    def axis(self) -> direct.Axis:
        """The window over those inputs."""
        before = max(self.phases.reach - self.first, 0)
        after = max(self.last - self.size, 0)
        length, count = self.cells.stop - self.cells.start, self.last - self.first
        taps, dilation = self.phases.taps, self.phases.dilation
        return direct.Axis(length, count, taps, 1, dilation, before, (-1,) * before, (-1,) * after)

    def ends(self, phase: int) -> tuple[int, int]:
        """The pixels of a phase that fall on an output, whether they have inputs or not."""
        offset = self.start + phase * self.dilation
        return -(offset // self.stride), (self.outputs - 1 - offset) // self.stride + 1

    def places(self, step: int) -> Array:
        """For each phase the bytes to its first pixel here, and which of the pixels it has."""
        phases = range(self.phases.first, self.phases.first + self.phases.number)
        offsets = [
            (self.start + phase * self.dilation + self.first * self.stride) * step
            for phase in phases
        ]
        ends = np.array([self.ends(phase) for phase in phases]) - self.first
        return np.column_stack([offsets, ends.clip(0, self.last - self.first)])


class _Job(NamedTuple):
    """The phases with the same taps on every axis. They see the same windows."""

    parts: tuple[_Part, ...]
    cells: tuple[slice, ...]
    task: direct.DirectTask | None  # None: none of its pixels falls on an output and has inputs
    is_short: bool  # some of its outputs have no input


def _axis_phases(forward: SlidingAxis) -> list[_Phases]:
    """The phases of an axis by their number of taps, whatever the sizes of input and output."""
    common = gcd(forward.stride, forward.dilation)
    step, dilation = forward.stride // common, forward.dilation // common
    whole, rest = divmod(forward.taps, step)
    longer = [_Phases(0, rest, whole + 1, step, dilation)] if rest else []
    return longer + ([_Phases(rest, step - rest, whole, step, dilation)] if whole else [])


def _classes(problem: Problem) -> Iterator[tuple[_Phases, ...]]:
    axes = cast("tuple[TransposedAxis, ...]", problem.recipe.axes)
    return product(*(_axis_phases(axis.forward) for axis in axes))


def _part(axis: TransposedAxis, phases: _Phases) -> tuple[_Part, bool]:
    """The pixels that some of the phases needs, and whether others are left without inputs."""
    forward, sources = axis.forward, axis.sources
    start, size = sources.start * forward.stride - forward.before, len(sources)
    part = _Part(phases, 0, 0, size, axis.outputs, start, forward.stride, forward.dilation)
    ends = [part.ends(phase) for phase in range(phases.first, phases.first + phases.number)]
    reached = size + phases.reach if size else 0
    first = max(min(first for first, _ in ends), 0)
    last = min(max(last for _, last in ends), reached)
    is_short = any((first < 0 or last > reached) and first < last for first, last in ends)
    return part._replace(first=first, last=last), is_short


def _jobs(problem: Problem) -> list[_Job]:
    jobs = problem.kept.get(name)
    if jobs is None:
        axes = cast("tuple[TransposedAxis, ...]", problem.recipe.axes)
        jobs = problem.kept[name] = []
        for phases in _classes(problem):
            pairs = [_part(axis, own) for axis, own in zip(axes, phases, strict=True)]
            parts = tuple(part for part, _ in pairs)
            is_needed = all(part.first < part.last for part in parts)
            task = _task(problem, parts, problem.recipe.batch) if is_needed else None
            cells = tuple(part.cells for part in parts)
            jobs.append(_Job(parts, cells, task, any(is_short for _, is_short in pairs)))
    return cast("list[_Job]", jobs)


def supports(problem: Problem) -> str | None:
    """Why the phases plan cannot do the problem, or None."""
    recipe = problem.recipe
    if not isinstance(recipe.rule, WeightedSum):
        return f"it sums, the rule here is {type(recipe.rule).__name__}"
    axes = [axis for axis in recipe.axes if isinstance(axis, TransposedAxis)]
    if len(axes) != len(recipe.axes):
        return "it knows transposed windows, no others"
    if len(axes) > 3:
        return f"it knows windows on 1 to 3 axes, here are {len(recipe.axes)}"
    is_wanted = recipe.algorithm == name or problem.settings.reproducible
    if problem.macs < LEAST_MACS and not is_wanted:
        return f"{problem.macs:,} multiply-adds are too few to load compiled code for"
    if recipe.channels == 0 or recipe.filters == 0:
        return "there are no channels to sum over"
    if max(axis.forward.taps for axis in axes) > MOST_TAPS:
        return f"a kernel is longer than {MOST_TAPS:,} taps"
    if max(axis.forward.span for axis in axes) > MOST_BORDER:
        return f"a kernel spans more than {MOST_BORDER:,} cells"
    if any(axis.has_images for axis in axes):
        return f"cells also gather what falls on the {axes[0].forward.mode!r} border"
    if recipe.activation is not None:
        return "it stores sums as they are"
    if reason := missing_compiler():
        return reason
    return next(filter(None, (direct.facts(task).refusal for task in _tasks(problem))), None)


def workspace(problem: Problem) -> int:
    """Bytes of workspace in one thread."""
    own = max((direct.facts(task).workspace_bytes for task in _tasks(problem)), default=0)
    return own if problem.input_dtype == problem.dtype else own + 2 * CONVERTED_BYTES


def _tasks(problem: Problem) -> list[direct.DirectTask]:
    return [job.task for job in _jobs(problem) if job.task is not None]


def _task(problem: Problem, parts: tuple[_Part, ...], batch: int) -> direct.DirectTask:
    recipe = problem.recipe
    lead = (direct.Axis(1, 1, 1),) * (3 - len(parts))
    return direct.DirectTask(
        batch=batch,
        groups=recipe.groups,
        channels=recipe.channels,
        filters=recipe.filters * prod(part.phases.number for part in parts),
        axes=cast("Any", (*lead, *(part.axis for part in parts))),
        dtype=problem.dtype.name,
    )


class Prepared(NamedTuple):
    """The weights of each class of phases, and the bias of cells that no tap falls on."""

    packed: tuple[direct.PackedWeights, ...]
    bias: Array | None


def cost(problem: Problem) -> _cost.Cost:
    """Those of the convolutions that the phases are; results are written cell by cell."""
    done, wanted, moved = 0.0, 0.0, _cost.moved_bytes(problem)
    tasks = _tasks(problem)
    for task in tasks:
        facts, flops = direct.facts(task), _cost.sum_flops(task)
        wanted, done = wanted + flops, done + flops / facts.lane_use
        moved += facts.staged_bytes + facts.packed_bytes
    return _cost.Cost(wanted, moved, wanted / done if done else 1.0, max(len(tasks), 1))


def seconds(problem: Problem) -> float:
    """The predicted time of a call in one thread."""
    return _cost.seconds(name, cost(problem))


def prepare(problem: Problem, operands: Operands) -> Prepared | None:
    """Pack the weights; None where their values have to go another way."""
    if not _jit.available():
        return None
    rule = cast("WeightedSum", problem.recipe.rule)
    weight = rule.coefficients(cast("Array", operands.weight)).astype(problem.dtype, copy=False)
    # On staged padding a weight that is not finite would make a NaN of a cell that is not there.
    with np.errstate(all="ignore"):
        if problem.dtype.kind not in "biu" and not np.isfinite(weight).all():
            return None
    bias = None if operands.bias is None else operands.bias.astype(problem.dtype, copy=False)
    return Prepared(
        tuple(_pack(problem, phases, weight, bias) for phases in _classes(problem)), bias
    )


def _pack(
    problem: Problem, phases: tuple[_Phases, ...], weight: Array, bias: Array | None
) -> direct.PackedWeights:
    """The kernels of some phases as those of so many more filters."""
    count, taps = prod(own.number for own in phases), tuple(own.taps for own in phases)
    filters, channels = weight.shape[:2]
    kernels = np.empty((filters, count, channels, *taps), weight.dtype)
    # Some channels at a time: filters lie far apart, and a page has to be found again for each.
    for first in range(0, channels, CHANNELS_AT_ONCE):
        some = slice(first, first + CHANNELS_AT_ONCE)
        for number, phase in enumerate(np.ndindex(*(own.number for own in phases))):
            for tap in np.ndindex(*taps):
                where = zip(phases, phase, tap, strict=True)
                source: Any = tuple(own.kernel_tap(*place) for own, *place in where)
                kernels[(slice(None), number, some, *tap)] = weight[(slice(None), some, *source)]
    kernels = kernels.reshape(filters * count, channels, *taps)
    parts = tuple(_Part(own, 0, 1, 1, 1, 0, 1, 1) for own in phases)
    biases = None if bias is None else bias.repeat(count)
    return direct.pack(kernels, _task(problem, parts, 1), biases, is_scattered=True)


def run(problem: Problem, x: Array, prepared: Prepared, y: Array) -> None:
    """Compute y from x, both in canonical order."""
    axes, jobs = cast("tuple[TransposedAxis, ...]", problem.recipe.axes), _jobs(problem)
    is_sparse = any(
        gcd(forward.stride, forward.dilation) > 1 or forward.taps < forward.stride
        for forward in (axis.forward for axis in axes)
    )
    if is_sparse or any(job.is_short for job in jobs):
        bias = prepared.bias
        y[...] = 0 if bias is None else bias.reshape(-1, *[1] * len(axes))
    if any(axis.forward.mode == "blank" for axis in axes):
        x = x[_at([slice(axis.sources.start, axis.sources.stop) for axis in axes])]
    is_ready = x.dtype == problem.dtype and x.flags.aligned
    for job, packed in zip(jobs, prepared.packed, strict=True):
        if job.task is None:
            continue
        if not is_ready:
            _run_converted(problem, job.parts, x, packed, y)
        elif all(part.stride == 1 for part in job.parts):  # no cell lies between two pixels
            places = (slice(part.first + part.start, part.last + part.start) for part in job.parts)
            direct.run(job.task, x[_at(job.cells)], packed, y[_at(places)])
        else:
            table = _table(job.task, job.parts, y.strides[1:], y.itemsize)
            run_scattered(job.task, x[_at(job.cells)], packed, y, table)


def _at(slices: Iterable[slice]) -> Any:
    """An index of the spatial axes."""
    return (..., *slices)


def _run_converted(
    problem: Problem, parts: tuple[_Part, ...], x: Array, packed: direct.PackedWeights, y: Array
) -> None:
    """Convert the cells that some of the pixels see, and run on those."""
    cells = x[_at(part.cells for part in parts)]
    longest = max(range(len(parts)), key=lambda place: parts[place].last - parts[place].first)
    part = parts[longest]
    if len(x) > 1:
        for sample in range(len(x)):
            one = slice(sample, sample + 1)
            _run_converted(problem, parts, x[one], packed, y[one])
    elif cells.size * problem.dtype.itemsize > CONVERTED_BYTES and part.last - part.first > 1:
        middle = (part.first + part.last) // 2
        for half in (part._replace(last=middle), part._replace(first=middle)):
            halves = (*parts[:longest], half, *parts[longest + 1 :])
            _run_converted(problem, halves, x, packed, y)
    else:
        task = _task(problem, parts, 1)
        with np.errstate(all="ignore"):
            cells = cells.astype(problem.dtype)
        run_scattered(task, cells, packed, y, _table(task, parts, y.strides[1:], y.itemsize))


@lru_cache(maxsize=256)
def _table(
    task: direct.DirectTask, parts: tuple[_Part, ...], strides: tuple[int, ...], itemsize: int
) -> Array:
    """Where the pixels of each filter and phase go."""
    filters = task.filters // prod(part.phases.number for part in parts)
    rows = np.zeros((filters, 1), np.int64)
    rows[:, 0] = np.arange(filters) * strides[0]
    lead = 3 - len(parts)
    rows = np.hstack([rows, np.tile([0, 1], (filters, lead))]) if lead else rows
    for part, step in zip(parts, strides[1:], strict=True):
        places = part.places(step)
        rows, places = rows.repeat(len(places), axis=0), np.tile(places, (len(rows), 1))
        rows[:, 0] += places[:, 0]
        rows = np.hstack([rows, places[:, 1:]])
    steps = [part.stride * step for part, step in zip(parts, strides[1:], strict=True)]
    return place_table(task, cast("Any", (*[0] * lead, *steps)), rows, itemsize // 2)
