"""Convolutions as products of Fourier transforms, block by block (overlap-save).

Blocks of the input overlap by the kernel's span less one; of each block's circular convolution
those outputs are kept that did not come round. Transforms are in double precision unless less is
asked for. The bits of an output depend on shapes and settings, not on threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from math import log2, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import fourier_block as at
from faltung.compiled import parallel
from faltung.compiled._axes import put_axes
from faltung.compiled.call import give_back, steps_of, take_workspace
from faltung.compiled.fourier_passes import frequencies, pass_table
from faltung.compiled.schedule import MOST_WORKSPACE
from faltung.compiled.simd import Element
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import find_row

__all__ = ["Cut", "Declined", "Spectra", "cut", "run"]

_SIZES = tuple(2**power for power in range(1, 12))
_MOST_SIZE = 2048  # points of an axis
_MOST_SPECTRUM = 128 << 20
_KEPT_SPECTRA = 4  # of one operator, for inputs of different sizes
_WEIGHED_BYTES = 16 << 20  # of kernels that are transformed at once

# What a point costs beside its transforms, in operations: to be staged, moved and put; more where
# blocks or spectra leave the second-level cache. Fitted to calls in one thread with AVX-512.
_POINT = 60.0
_DISTANCE = ((5 << 17, 0.0), (5 << 18, 20.0), (1 << 62, 60.0))  # by the bytes of a block
_PRODUCT, _NEAR_PRODUCT, _FAR_PRODUCT = 8.0, 20.0, 45.0


class Cut(NamedTuple):
    """How a convolution is cut into blocks.

    Parameters
    ----------
    sizes : tuple of three int
        Points of a block on each axis; a line has its points as a matrix.
    outputs, boxes : tuple of three int
        Outputs of a block, and blocks, on each axis.
    is_line : bool
        Whether the last two sizes are one axis.
    pairs : int
        Jobs of a sample and group: pairs of blocks, or blocks of complex numbers.
    work : float
        Operations of all jobs.
    """

    sizes: tuple[int, int, int]
    outputs: tuple[int, int, int]
    boxes: tuple[int, int, int]
    is_line: bool
    pairs: int
    work: float


class _Layout(NamedTuple):
    """Where everything lies in a thread's workspace, in bytes."""

    strip: int
    slice: int
    plane: int
    line: int
    lines_at: int
    planes_at: int
    workspace: int


def _layout(sizes: tuple[int, int, int], channels: int, filters: int, element: Element) -> _Layout:
    depth, height, width = sizes
    # Lines of the cache more: neighbours in a row or a column do not share a set of the cache.
    strip = 2 * height * element.vector_size + 128
    slice_ = width // element.lanes * strip + 64
    line = 2 * width * element.vector_size
    lines_at = (2 * max(depth, height) + 1) * element.vector_size
    planes_at = lines_at + (channels + 1) * line
    plane = depth * slice_ + 64
    planes = max(channels, filters) * plane
    return _Layout(strip, slice_, plane, line, lines_at, planes_at, planes_at + planes)


def _spans(task: DirectTask) -> tuple[int, ...]:
    return tuple((axis.kernel - 1) * axis.dilation + 1 for axis in task.axes)


def _candidates(task: DirectTask, element: Element) -> Iterator[tuple[int, int, int]]:
    """Sizes of blocks that hold the kernel and are not much larger than what is to be done."""
    reaches = [
        (axis.outputs - 1) * axis.stride + span
        for axis, span in zip(task.axes, _spans(task), strict=True)
    ]
    wide = [size for size in _SIZES if element.lanes <= size <= _MOST_SIZE]
    if _is_line(task):
        for height, width in product(wide, wide):
            if height <= width <= 2 * height and height * width >= _spans(task)[2]:
                yield 1, height, width
        return
    deep = (1,) if task.axes[0].outputs == _spans(task)[0] == 1 else _SIZES
    choices = []
    for sizes, span, reach in zip((deep, wide, wide), _spans(task), reaches, strict=True):
        fitting = [size for size in sizes if span <= size <= _MOST_SIZE]
        enough = next((size for size in fitting if size >= reach), _MOST_SIZE)
        choices.append([size for size in fitting if size <= enough])
    yield from product(*choices)


def _is_line(task: DirectTask) -> bool:
    return all(axis.outputs == axis.kernel == axis.length == 1 for axis in task.axes[:2])


def _cut(task: DirectTask, sizes: tuple[int, int, int]) -> Cut:
    spans, strides = _spans(task), [axis.stride for axis in task.axes]
    points = (1, 1, sizes[1] * sizes[2]) if _is_line(task) else sizes
    outputs = [
        min((size - span) // stride + 1, axis.outputs)
        for size, span, stride, axis in zip(points, spans, strides, task.axes, strict=True)
    ]
    boxes = [-(-axis.outputs // some) for axis, some in zip(task.axes, outputs, strict=True)]
    count, parts = prod(points), task.sums.parts if task.sums else 1
    # Two blocks round alike: they are of one sample, whose values may be its own kind of large.
    pairs = prod(boxes) if parts == 2 else -(-prod(boxes) // 2)
    planes, products = task.channels + task.filters, task.channels * task.filters
    near = 2 * max(task.channels, task.filters) * count * 8
    move = next(far for most, far in _DISTANCE if near <= most)
    product_cost = _PRODUCT
    if products > 1:
        product_cost = _NEAR_PRODUCT if 16 * products * count <= 2 << 20 else _FAR_PRODUCT
    jobs = max(task.batch, 1) * task.groups * pairs
    each = count * (planes * (5 * log2(count) + _POINT + move) + products * product_cost)
    made: Any = tuple(outputs), tuple(boxes)
    return Cut(sizes, made[0], made[1], _is_line(task), pairs, jobs * each)


@lru_cache(maxsize=1024)
def cut(task: DirectTask, dtype: str) -> Cut | None:
    """The blocks that take least time, or None where no block fits into the workspace.

    Parameters
    ----------
    task : DirectTask
        Floating-point or complex, with at least one channel and filter.
    dtype : {"float32", "float64"}
        Of the transforms.
    """
    element, best = find_row(dtype).element, None
    pairs = task.groups * task.channels * task.filters
    for sizes in _candidates(task, element):
        layout = _layout(sizes, task.channels, task.filters, element)
        spectrum = pairs * 2 * prod(sizes) * element.size
        if layout.workspace > MOST_WORKSPACE or spectrum > _MOST_SPECTRUM:
            continue
        found = _cut(task, sizes)
        if best is None or found.work < best.work:
            best = found
    return best


def workspace_bytes(task: DirectTask, dtype: str) -> int:
    """Bytes of workspace of one thread."""
    found = cut(task, dtype)
    assert found is not None, task
    element = find_row(dtype).element
    return _layout(found.sizes, task.channels, task.filters, element).workspace


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
    weight: NDArray[Any], task: DirectTask, found: Cut, target: NDArray[Any], layout: _Layout
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
    layout = _layout(found.sizes, 1, 1, element)
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
        parallel.run(at.weigh_kernel(element), call, len(some), threads)
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
    found: Cut, element: Element, layout: _Layout
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
        Where a block held what is not finite, or overflowed: the outputs there mean nothing.
    """
    found = cut(task, dtype)
    assert found is not None, task
    element, sums = find_row(dtype).element, task.sums
    assert sums is not None, task.dtype
    layout = _layout(found.sizes, task.channels, task.filters, element)
    call, kept = _tables(found, element, layout)
    x_steps, y_steps = steps_of(x), steps_of(y)
    kept += put_axes(call, task.axes, x_steps, y_steps)
    jobs = task.batch * task.groups * found.pairs
    threads = min(jobs, parallel.get_num_threads())
    spectrum = spectra.of(task, found, dtype)
    workspace = take_workspace(threads * layout.workspace)
    number = np.dtype(dtype if sums.parts == 1 else f"complex{16 * element.size}")
    bias = np.zeros(task.groups * task.filters, number)
    if spectra.bias is not None:
        bias[:] = spectra.bias
    fill, declined = np.array([task.fill], number), np.zeros(jobs, np.int64)
    least = np.array([0 if task.is_relu else -np.inf], dtype)
    kept += [bias, fill, declined, least]
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
    call[at.WORKSPACE], call[at.WORKSPACE_STEP] = workspace.ctypes.data, layout.workspace
    call[at.SPECTRUM], call[at.BIAS] = spectrum.ctypes.data, bias.ctypes.data
    call[at.LEAST], call[at.FILL] = least.ctypes.data, fill.ctypes.data
    call[at.DECLINED] = declined.ctypes.data
    parallel.run(at.convolve_pair(element, sums.memory), call, jobs, threads)
    give_back(workspace)
    return _declined_boxes(task, found, declined)


def _declined_boxes(task: DirectTask, found: Cut, declined: NDArray[np.int64]) -> list[Declined]:
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
