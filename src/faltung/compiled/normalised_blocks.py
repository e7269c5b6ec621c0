"""Normalised convolution by Fourier transforms: a block's cells, and which of them are valid.

Cells that are missing are set to zero where they are staged, beside a plane that has a one for each
cell that is valid; both planes are transformed, and the sums are scaled before they are written. A
block without missing cells is a plain one. See `normalised`.
"""

from __future__ import annotations

from functools import cache
from math import log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.compiled import fourier
from faltung.compiled import fourier_words as at
from faltung.compiled import words as axis_words
from faltung.compiled._jit import Job, Kernel, job, kernel
from faltung.compiled.call import steps_of
from faltung.compiled.fourier_block import (
    backward_columns,
    forward_columns,
    multiply_rows,
    norms,
    put_pair,
    stage_pair,
)
from faltung.compiled.fourier_cut import cut, layout_of
from faltung.compiled.memory import loader, put_word, storer, word
from faltung.compiled.normalised import Missing, splitter
from faltung.compiled.schedule import MOST_WORKSPACE
from faltung.compiled.simd import Element
from faltung.compiled.task import DirectTask
from faltung.compiled.variants import find_row

__all__ = ["has_room", "run"]

SHARES = WHOLE, SLACK, NOTHING, LEAST = range(4)
"""The sum of all weights, how far off it counts as whole, up to where a sum of them is nothing but
rounding, and below where it is so small that rounding would show."""

LEAST_SHARES = {"float32": 2.0**-20, "float64": 2.0**-12}
"""Of the weights, by the dtype of the results; transforms are not exact to the last digit of what
is less than that."""


@cache
def _scaler(element: Element) -> Kernel:
    """The kernel that scales the sums of a block; how many of them it had better not have."""
    load, store = loader(element.dtype), storer(element.dtype)
    zero, one, nan = (np.dtype(element.dtype).type(value) for value in (0, 1, np.nan))
    lanes = element.lanes

    @kernel("intp(intp, intp, intp, intp)")
    def scale(sums: int, seen: int, count: int, shares: int) -> int:
        whole, slack = load(shares, WHOLE), load(shares, SLACK)
        nothing, least = load(shares, NOTHING), load(shares, LEAST)
        small = 0
        for i in range(count):
            share = load(seen, i)
            off = share - whole
            off = zero - off if off < zero else off
            factor = one if off <= slack else whole / share
            factor = nan if share <= nothing else factor
            store(sums, i, load(sums, i) * factor)
            small += 1 if share > nothing and share < least else 0
        return small

    @kernel("intp(intp, intp, intp)")
    def scale_block(call: int, sums: int, seen: int) -> int:
        small, count = 0, 2 * lanes * word(call, at.USED_H)
        for d in range(word(call, at.USED_D)):
            for strip in range(word(call, at.USED_STRIPS)):
                place = d * word(call, at.SLICE) + strip * word(call, at.STRIP)
                small += scale(sums + place, seen + place, count, word(call, at.SHARES))
        return small

    return scale_block


@cache
def normalise_pair(element: Element, dtype: str, has_mask: bool, ignores_nan: bool) -> Job:
    """The job that computes two blocks; see `fourier_block.convolve_pair`."""
    stage, stage_mask = stage_pair(element, dtype), stage_pair(element, "uint8")
    put, split = put_pair(element, dtype), splitter(element.dtype, has_mask, ignores_nan)
    columns, columns_back = forward_columns(element), backward_columns(element)
    run_rows, (begin, is_too_large), lanes = multiply_rows(element), norms(element), element.lanes
    scale = _scaler(element)

    @kernel("intp(intp, intp, intp)")
    def split_block(call: int, values: int, valid: int) -> int:
        missing, count = 0, 2 * lanes * word(call, at.SIZE_H)
        for d in range(word(call, at.SIZE_D)):
            for strip in range(word(call, at.SIZE_W) // lanes):
                place = d * word(call, at.SLICE) + strip * word(call, at.STRIP)
                missing += split(values + place, valid + place, count)
        return missing

    @kernel("void(intp, intp, intp, intp)")
    def sum_plane(call: int, block: int, plane: int, group: int) -> None:
        for row in range(word(call, at.SIZE_D) * word(call, at.SIZE_H) // lanes):
            run_rows(call, block, plane, group, row)
        columns_back(call, plane, block)

    @job
    def run_pair(thread: int, call: int, number: int) -> None:
        block = word(call, at.WORKSPACE) + thread * word(call, at.WORKSPACE_STEP)
        values = block + word(call, at.PLANES_AT)
        valid, small = values + word(call, at.PLANE), 0
        begin(call, block)
        stage(call, values, number, 0)
        if has_mask:
            stage_mask(word(call, at.VALID), valid, number, 0)
        missing = split_block(call, values, valid)
        columns(call, values, block)
        if is_too_large(call, block) != 0:
            small = 1
        else:
            sum_plane(call, block, values, 0)
            if missing > 0:
                columns(call, valid, block)
                sum_plane(call, block, valid, 1)
                small = scale(call, values, valid)
        if small > 0:
            put_word(word(call, at.DECLINED), number, 1)
        else:
            put(call, values, number, 0)

    return run_pair


def has_room(task: DirectTask) -> bool:
    """Whether the workspace holds both planes of a block."""
    found = cut(task, "float64")
    element = find_row("float64").element
    return found is not None and layout_of(found.sizes, 2, 1, element).workspace <= MOST_WORKSPACE


def _shares(task: DirectTask, magnitudes: NDArray[Any]) -> NDArray[np.float64]:
    """The numbers of `SHARES`; the decision on transforms has the bound of their rounding."""
    found = cut(task, "float64")
    assert found is not None, task
    sizes, points = magnitudes.astype(np.float64), prod(found.sizes)
    top = sizes.max()
    norm = top * np.sqrt(np.square(sizes / top).sum())
    rounding = 4 * 2.0**-53 * log2(points) * (2 * points) ** 0.5 * norm
    is_clear = sizes.min(where=sizes > 0, initial=np.inf) > 2 * rounding
    whole = sizes.sum()
    nothing = rounding if is_clear else -np.inf
    return np.array([whole, rounding, nothing, LEAST_SHARES[task.dtype] * whole])


def run(
    task: DirectTask,
    x: NDArray[Any],
    spectra: fourier.Spectra,
    missing: Missing,
    y: NDArray[Any],
) -> list[fourier.Declined]:
    """Compute a task into `y`.

    Parameters
    ----------
    task : DirectTask
        Of float32 or float64, with one group, channel and filter, that `has_room`.
    x, y : ndarray, (batch, 1, *spatial)
        As `fourier.run` takes them.
    spectra : Spectra
        The kernel and that of its magnitudes, (2, 1, *kernel), not all zero.
    missing : Missing
        As `normalised.run` takes it.

    Returns
    -------
    list of Declined
        As of `fourier.run`, and where windows see so little of the weights that rounding shows.
    """
    call = fourier.block_call(task, x, spectra, y, "float64", 2)
    shares, ones, mask = _shares(task, spectra.weight[1]), np.ones(1), missing.mask
    call.words[at.SHARES] = shares.ctypes.data
    other = call.words.copy()
    if mask is not None:
        steps = steps_of(mask)
        other[at.X], other[at.X_SAMPLE], other[at.FILL] = (
            mask.ctypes.data,
            steps[0],
            ones.ctypes.data,
        )
        for axis in range(3):
            other[axis * axis_words.AXIS_SIZE + axis_words.X_STEP] = steps[2 + axis]
        other[at.X_PART] = 1
    call.words[at.VALID] = other.ctypes.data
    element = find_row("float64").element
    call.run(normalise_pair(element, task.dtype, mask is not None, missing.ignores_nan))
    return fourier.declined_boxes(task, "float64", call.declined)
