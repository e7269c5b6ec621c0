"""Packing of filters for the tiles of pictures: weights in the order of their pieces."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import parallel, words
from faltung.compiled._jit import Job, job
from faltung.compiled.entry import Packing
from faltung.compiled.image_pieces import order_of, pieces_of_task
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.packing import to_sums
from faltung.compiled.task import DirectTask, RoundedTask

__all__ = ["PackedFilter", "pack", "packing_of"]

_ORDER = words.PACK_CHANNELS  # address of the place of each weight in its filter
_FILTERS = words.PACK_BLOCK_ROWS  # that a job packs
_JOB_WEIGHTS = 4096
_EXPONENTS = {"float32": 0x7F80_0000, "float64": 0x7FF0_0000_0000_0000}
"""The bits that are all set in numbers that are not finite."""


class PackedFilter(NamedTuple):
    """Weights and biases as the tiles read them; they fit every input shape.

    `is_joined` tells whether the last two axes of the windows were one when they were packed.
    """

    weights: NDArray[Any]
    biases: NDArray[Any]
    has_bias: bool
    is_finite: bool
    is_joined: bool = False


@cache
def packer(size: int) -> Job:
    """The job that packs some filters with their biases, numbers of `size` bytes.

    Its arguments are the address of `words.PACK_WORDS` and the number of the job.
    """
    kind = f"int{8 * size}"
    load, store, load_place = loader(kind), storer(kind), loader("int64")
    zero = np.dtype(kind).type(0)

    @job
    def pack_filters(_thread: int, pack: int, number: int) -> None:
        count, order = word(pack, words.PACK_KERNEL), word(pack, _ORDER)
        filters, exponent = word(pack, _FILTERS), word(pack, words.PACK_EXPONENT)
        bias, biases = word(pack, words.PACK_BIAS), word(pack, words.PACK_BIASES)
        first = number * filters
        not_finite = False
        for row in range(first, min(first + filters, word(pack, words.PACK_ROWS))):
            source = word(pack, words.PACK_SOURCE) + row * count * size
            target = word(pack, words.PACK_TARGET) + row * count * size
            for i in range(count):
                value = load(source, load_place(order, i))
                store(target, i, value)
                not_finite |= (value & exponent) == exponent
            value = zero
            if bias != 0:
                value = load(bias, row)
            store(biases, row, value)
        if not_finite and exponent != 0:
            put_word(pack, words.PACK_NOT_FINITE, 1)

    return pack_filters


def packing_of(task: DirectTask) -> tuple[Packing, NDArray[np.int64]]:
    """The packing of a task's filters, and the array that its words point to."""
    sums = task.sums
    assert sums is not None, task.dtype
    depth, height, width = (axis.kernel for axis in task.axes)
    order = order_of(pieces_of_task(task), task.channels, (depth, height, width))
    size, rows = np.dtype(sums.dtype).itemsize, task.groups * task.filters
    filters = max(1, _JOB_WEIGHTS // len(order))
    block = np.zeros(len(words.PACK_WORDS), np.int64)
    for place, value in {
        words.PACK_ROWS: rows,
        words.PACK_KERNEL: len(order),
        words.PACK_EXPONENT: _EXPONENTS.get(sums.dtype, 0),
        _ORDER: order.ctypes.data,
        _FILTERS: filters,
    }.items():
        block[place] = value
    packing = Packing(
        packer(size), block, -(-rows // filters), rows * len(order) * size, rows * size
    )
    return packing, order


def pack(weight: NDArray[Any], task: DirectTask, bias: NDArray[Any] | None = None) -> PackedFilter:
    """Weights of shape (O, C / groups, *kernel) and biases of shape (O,), piece by piece.

    They serve every task with the same channels, groups, kernel, strides and dtype. The arrays
    have the task's dtype, in native byte order.
    """
    sums = task.sums
    assert sums is not None, task.dtype
    filters = weight.shape[0]
    # Weights of pictures whose sums are rounded are numbers, even where the picture is of bool.
    dtype = sums.dtype if isinstance(task, RoundedTask) else task.dtype
    bank = to_sums(np.ascontiguousarray(weight), dtype, sums).reshape(filters, -1)
    packed, biases = np.empty_like(bank), np.empty(filters, bank.dtype)
    packing, _order = packing_of(task)
    block = packing.words
    block[words.PACK_SOURCE], block[words.PACK_TARGET] = bank.ctypes.data, packed.ctypes.data
    block[words.PACK_BIASES] = biases.ctypes.data
    if bias is not None:
        added = to_sums(np.ascontiguousarray(bias), dtype, sums)
        block[words.PACK_BIAS] = added.ctypes.data
    parallel.run(packing.job, block, packing.jobs)
    return PackedFilter(packed, biases, bias is not None, not block[words.PACK_NOT_FINITE])
