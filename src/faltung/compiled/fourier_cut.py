"""How convolutions by Fourier transforms are cut into blocks: sizes, costs and room.

The blocks decide the bits of every output, and depend on shapes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from math import log2, prod
from typing import Any, NamedTuple

from faltung.compiled.schedule import MOST_WORKSPACE
from faltung.compiled.simd import Element
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import find_row

__all__ = ["Cut", "Layout", "cut", "layout_of", "workspace_bytes"]

_SIZES = tuple(2**power for power in range(1, 12))
_MOST_SIZE = 2048  # points of an axis
_MOST_SPECTRUM = 128 << 20

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


class Layout(NamedTuple):
    """Where everything lies in a thread's workspace, in bytes."""

    strip: int
    slice: int
    plane: int
    line: int
    lines_at: int
    planes_at: int
    workspace: int


def layout_of(sizes: tuple[int, int, int], channels: int, filters: int, element: Element) -> Layout:
    """Where the planes and lines of a block of so many points lie."""
    depth, height, width = sizes
    # Lines of the cache more: neighbours in a row or a column do not share a set of the cache.
    strip = 2 * height * element.vector_size + 128
    slice_ = width // element.lanes * strip + 64
    line = 2 * width * element.vector_size
    lines_at = (2 * max(depth, height) + 1) * element.vector_size
    planes_at = lines_at + (channels + 1) * line
    plane = depth * slice_ + 64
    planes = max(channels, filters) * plane
    return Layout(strip, slice_, plane, line, lines_at, planes_at, planes_at + planes)


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
        layout = layout_of(sizes, task.channels, task.filters, element)
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
    return layout_of(found.sizes, task.channels, task.filters, element).workspace
