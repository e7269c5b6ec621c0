"""Convolutions as products of Fourier transforms, block by block (overlap-save).

Blocks of the input overlap by the kernel's span less one; of each block's circular convolution
those outputs are kept that did not come round. Transforms are in double precision unless less is
asked for. The bits of an output depend on shapes and settings, not on threads.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import fourier_block, parallel
from faltung.compiled import fourier_words as at
from faltung.compiled._axes import put_axes
from faltung.compiled._jit import Job
from faltung.compiled.call import give_back, steps_of, take_workspace
from faltung.compiled.fourier_cut import Cut, Layout, cut, layout_of
from faltung.compiled.fourier_passes import frequencies, pass_table
from faltung.compiled.simd import Element
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import find_row

__all__ = ["BlockCall", "Declined", "Spectra", "block_call", "declined_boxes", "run"]

_KEPT_SPECTRA = 4  # of one operator, for inputs of different sizes
_WEIGHED_BYTES = 16 << 20  # of kernels that are transformed at once
_ROOM = 16.0  # between norms and the largest number: for rounding, and the parts of complex numbers


class Spectra:
    """Weights in the order of the taps, biases, and their spectra by the sizes of blocks.

    Parameters
    ----------
    weight : array, (groups * filters, channels, *kernel)
        Finite numbers.
    bias : array, (groups * filters,), or None
        What is added.
    """

    def __init__(self, weight: NDArray[Any], bias: NDArray[Any] | None) -> None:
        self.weight, self.bias = weight, bias
        self._kept: dict[Any, NDArray[Any]] = {}
        self._most: dict[tuple[str, str], float] = {}

    def most_squares(self, transforms: str, results: str) -> float:
        """The sum of a block's squares up to which no sum under these weights can overflow.

        A sum of products is at most the product of the norms of its values and of its weights.

        Parameters
        ----------
        transforms, results : {"float32", "float64"}
            The precision of the transforms, and that of the results or their parts.
        """
        key = transforms, results
        if key not in self._most:
            self._most[key] = self._limit(*key)
        return self._most[key]

    def _limit(self, transforms: str, results: str) -> float:
        room = float(np.finfo(results).max) / _ROOM
        if self.bias is not None:
            parts = np.abs([self.bias.real, self.bias.imag])
            room -= float(parts.max(where=np.isfinite(parts), initial=0))
        sizes = np.abs(self.weight.reshape(len(self.weight), -1)).astype(np.float64)
        top = sizes.max(initial=0) or 1.0
        sizes /= top  # so that neither squares nor sums leave the range
        with np.errstate(all="ignore"):
            if room <= 0 or sizes.sum(axis=1).max(initial=0) * top > room:
                return -1.0
            largest = room / top / np.sqrt(np.square(sizes).sum(axis=1).max(initial=0))
            return float(np.minimum(np.square(largest), np.finfo(transforms).max))

    def of(self, task: DirectTask, found: Cut, dtype: str) -> NDArray[Any]:
        """The spectrum for blocks of a size, made when it is first needed."""
        key = found.sizes, found.is_line, dtype, tuple(axis.dilation for axis in task.axes)
        spectrum = self._kept.get(key)
        if spectrum is None:
            spectrum = _weigh(self.weight, task, found, dtype)
            if len(self._kept) >= _KEPT_SPECTRA:
                self._kept = {}
            self._kept[key] = spectrum
        return spectrum


def _place_kernels(
    weight: NDArray[Any], task: DirectTask, found: Cut, target: NDArray[Any], layout: Layout
) -> None:
    """Kernels as blocks: tap t at the point -t, so that the product is a correlation."""
    depth, height, width = found.sizes
    points = np.zeros((len(weight), 2, depth, height, width), target.dtype)
    scaled = weight.reshape(len(weight), *(axis.kernel for axis in task.axes)) / prod(found.sizes)
    parts = (scaled.real, scaled.imag) if scaled.dtype.kind == "c" else (scaled,)
    for part, values in enumerate(parts):
        if found.is_line:
            flat = np.zeros((len(weight), height * width), target.dtype)
            flat[:, -np.arange(task.axes[2].kernel) * task.axes[2].dilation] = values[:, 0, 0]
            points[:, part, 0] = flat.reshape(-1, height, width)
        else:
            taps = [-np.arange(axis.kernel) * axis.dilation for axis in task.axes]
            where: Any = (slice(None), part, *np.ix_(*taps))
            points[where] = values
    lanes, size = find_row(target.dtype.name).element.lanes, target.itemsize
    shape = len(weight), depth, width // lanes, height, 2, lanes
    vector = lanes * size
    steps = layout.plane, layout.slice, layout.strip, 2 * vector, vector, size
    strips = points.reshape(len(weight), 2, depth, height, width // lanes, lanes)
    np.ndarray(shape, target.dtype, target, 0, steps)[...] = strips.transpose(0, 2, 4, 3, 1, 5)


def _weigh(weight: NDArray[Any], task: DirectTask, found: Cut, dtype: str) -> NDArray[Any]:
    """The spectra of all kernels: (groups, rows of points, filters, channels, points, 2, lanes)."""
    element = find_row(dtype).element
    layout = layout_of(found.sizes, 1, 1, element)
    kernels = weight.reshape(-1, *weight.shape[2:])
    kernels = kernels.astype(np.complex128 if weight.dtype.kind == "c" else np.float64)
    depth, height, _ = found.sizes
    spectrum_bytes = depth * height // element.lanes * layout.line
    spectrum = _aligned(len(kernels) * spectrum_bytes, dtype)
    at_once = max(_WEIGHED_BYTES // layout.plane, 1)
    call, kept = _tables(found, element, layout)
    threads = parallel.get_num_threads()
    workspace = take_workspace(threads * layout.workspace)
    for first in range(0, len(kernels), at_once):
        some = kernels[first : first + at_once]
        planes = _aligned(len(some) * layout.plane, dtype)
        _place_kernels(some, task, found, planes, layout)
        call[at.X], call[at.WORKSPACE] = planes.ctypes.data, workspace.ctypes.data
        call[at.WORKSPACE_STEP] = layout.workspace
        call[at.SPECTRUM], call[at.FIRST] = spectrum.ctypes.data, first
        call[at.CHANNELS], call[at.FILTERS] = task.channels, task.filters
        parallel.run(fourier_block.weigh_kernel(element), call, len(some), threads)
    give_back(workspace)
    del kept
    return spectrum


def _aligned(size: int, dtype: str) -> NDArray[Any]:
    """Memory that begins at a line of the cache."""
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype)


@lru_cache(maxsize=16)
def _line_factors(height: int, width: int, element: Element) -> NDArray[Any]:
    """What stands between the two transforms of a line: (rows, points, 2, lanes)."""
    turns = np.outer(frequencies(height), np.arange(width)) % (height * width)
    factors = np.exp(turns * (-2j * np.pi / (height * width)))
    split = factors.reshape(height // element.lanes, element.lanes, width).swapaxes(1, 2)
    result = _aligned(2 * factors.size * element.size, element.dtype)
    result.reshape(*split.shape[:2], 2, element.lanes)[:, :, 0] = split.real
    result.reshape(*split.shape[:2], 2, element.lanes)[:, :, 1] = split.imag
    return result


def _tables(
    found: Cut, element: Element, layout: Layout
) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """The words of a call that say how a block is transformed, and what they point to."""
    call = np.zeros(at.NUMBER, np.int64)
    kept: list[NDArray[Any]] = []
    for number, size in enumerate(found.sizes):
        for first, is_forward in ((at.FORWARD_D, True), (at.INVERSE_D, False)):
            if size > 1:
                table = pass_table(size, element.dtype, is_forward=is_forward)
                kept += table
                call[first + number] = table[0].ctypes.data
    if found.is_line:
        kept.append(_line_factors(*found.sizes[1:], element))
        call[at.FACTORS] = kept[-1].ctypes.data
    call[at.SIZE_D : at.SIZE_W + 1] = found.sizes
    call[at.IS_LINE] = found.is_line
    call[at.STRIP : at.LINE + 1] = layout.strip, layout.slice, layout.plane, layout.line
    call[at.PLANES_AT], call[at.LINES_AT] = layout.planes_at, layout.lines_at
    return call, kept


class Declined(NamedTuple):
    """A box of outputs that the data made unusable: of one sample, all its channels."""

    sample: int
    outputs: tuple[range, range, range]


class BlockCall(NamedTuple):
    """A call that computes block by block, ready to run.

    Parameters
    ----------
    words : int64 array
        As `fourier_words` has them.
    jobs : int
        Pairs of blocks of all groups.
    workspace : int
        Bytes of workspace of one thread.
    declined : int64 array, (jobs,)
        Where a job notes that its outputs mean nothing.
    kept : list of array
        What the words point to.
    """

    words: NDArray[np.int64]
    jobs: int
    workspace: int
    declined: NDArray[np.int64]
    kept: list[NDArray[Any]]

    def run(self, job: Job) -> None:
        """Run a job for each pair of blocks."""
        threads = min(self.jobs, parallel.get_num_threads())
        workspace = take_workspace(threads * self.workspace)
        self.words[at.WORKSPACE] = workspace.ctypes.data
        self.words[at.WORKSPACE_STEP] = self.workspace
        parallel.run(job, self.words, self.jobs, threads)
        give_back(workspace)


def block_call(
    task: DirectTask, x: NDArray[Any], spectra: Spectra, y: NDArray[Any], dtype: str, channels: int
) -> BlockCall:
    """The call of a task on arrays; `channels` have a plane in the workspace. See `run`."""
    found = cut(task, dtype)
    assert found is not None, task
    element, sums = find_row(dtype).element, task.sums
    assert sums is not None, task.dtype
    layout = layout_of(found.sizes, channels, task.filters, element)
    call, kept = _tables(found, element, layout)
    x_steps, y_steps = steps_of(x), steps_of(y)
    kept += put_axes(call, task.axes, x_steps, y_steps)
    jobs = task.batch * task.groups * found.pairs
    spectrum = spectra.of(task, found, dtype)
    number = np.dtype(dtype if sums.parts == 1 else f"complex{16 * element.size}")
    bias = np.zeros(task.groups * task.filters, number)
    if spectra.bias is not None:
        bias[:] = spectra.bias
    fill, declined = np.array([task.fill], number), np.zeros(jobs, np.int64)
    least = np.array([0 if task.is_relu else -np.inf], dtype)
    squares = prod(found.sizes[:2]) * spectra.most_squares(dtype, sums.memory)
    most = np.array([min(squares, float(np.finfo(dtype).max))], dtype)
    kept += [x, y, spectrum, bias, fill, least, most]
    item = np.dtype(sums.memory).itemsize
    used_d, used_h, used_w = (
        (some - 1) * axis.stride + 1 for some, axis in zip(found.outputs, task.axes, strict=True)
    )
    if found.is_line:
        used_h, used_w = -(-used_w // found.sizes[2]), found.sizes[2]
    call[at.X : at.BOXES_D] = (
        x.ctypes.data, y.ctypes.data, *x_steps[:2], item, *y_steps[:2], item,
        task.channels, task.filters, task.batch * found.pairs, found.pairs,
    )  # fmt: skip
    call[at.BOXES_D : at.SIZE_D] = *found.boxes, *found.outputs
    call[at.USED_D : at.IS_LINE] = used_d, used_h, -(-used_w // element.lanes)
    call[at.IS_COMPLEX] = sums.parts == 2
    call[at.SPECTRUM], call[at.BIAS] = spectrum.ctypes.data, bias.ctypes.data
    call[at.LEAST : at.FIRST] = (
        least.ctypes.data, fill.ctypes.data, most.ctypes.data, declined.ctypes.data
    )  # fmt: skip
    return BlockCall(call, jobs, layout.workspace, declined, kept)


def run(
    task: DirectTask, x: NDArray[Any], spectra: Spectra, y: NDArray[Any], dtype: str
) -> list[Declined]:
    """Compute a task into `y`.

    Parameters
    ----------
    task : DirectTask
        One that `cut` has blocks for.
    x : ndarray, (batch, groups * channels, *spatial)
        Of the task's dtype, float32, float64 or complex of them, and any strides; aligned.
    spectra : Spectra
        The operator's weights.
    y : ndarray, (batch, groups * filters, *spatial)
        Likewise; must not overlap `x`.
    dtype : {"float32", "float64"}
        Of the transforms.

    Returns
    -------
    list of Declined
        Where a block held what is not finite, or so large that its sums, in parts or as a whole,
        might not be: the outputs there mean nothing.
    """
    call = block_call(task, x, spectra, y, dtype, task.channels)
    assert task.sums is not None, task.dtype
    call.run(fourier_block.convolve_pair(find_row(dtype).element, task.sums.memory))
    return declined_boxes(task, dtype, call.declined)


def declined_boxes(task: DirectTask, dtype: str, declined: NDArray[np.int64]) -> list[Declined]:
    """The boxes of the jobs that have declined theirs."""
    found = cut(task, dtype)
    assert found is not None, task
    pairs = sorted({int(job) % (task.batch * found.pairs) for job in np.flatnonzero(declined)})
    both = (0,) if task.sums is not None and task.sums.parts == 2 else (0, 1)
    boxes = []
    for sample, pair in (divmod(pair, found.pairs) for pair in pairs):
        for box in (len(both) * pair + side for side in both):
            if box < prod(found.boxes):
                places = np.unravel_index(box, found.boxes)
                outputs = tuple(
                    range(place * some, min((place + 1) * some, axis.outputs))
                    for place, some, axis in zip(
                        map(int, places), found.outputs, task.axes, strict=True
                    )
                )
                boxes.append(Declined(sample, outputs))  # type: ignore[arg-type]  # three of them
    return boxes
