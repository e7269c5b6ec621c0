"""The windows of one axis in compiled code: first cell, taps that see a cell, divisor.

An axis is the address of its words. Windows slide, or are bins that split the axis.
"""

from __future__ import annotations

from faltung.compiled import pooling_words as at
from faltung.compiled._jit import kernel
from faltung.compiled.memory import word

__all__ = ["divisor_of", "first_cell", "seen_taps"]


@kernel("intp(intp, intp)")
def first_cell(axis: int, output: int) -> int:
    """The first cell of the input that an output sees."""
    if word(axis, at.KIND) == at.BINS:
        return output * word(axis, at.SIZE) // word(axis, at.COUNT)
    start = output * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    if start < 0:
        dilation = word(axis, at.DILATION)
        start += (dilation - 1 - start) // dilation * dilation
    return start


@kernel("intp(intp, intp)")
def seen_taps(axis: int, output: int) -> int:
    """How many cells of the input an output sees."""
    size = word(axis, at.SIZE)
    if word(axis, at.KIND) == at.BINS:
        count = word(axis, at.COUNT)
        return (output * size + size + count - 1) // count - output * size // count
    start = output * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    dilation = word(axis, at.DILATION)
    hidden = (dilation - 1 - start) // dilation if start < 0 else 0
    return int(min(word(axis, at.KERNEL), (size - 1 - start) // dilation + 1) - hidden)


@kernel("intp(intp, intp)")
def divisor_of(axis: int, output: int) -> int:
    """What a mean over the window divides by: taps that see a cell, or those on the padding too."""
    start = output * word(axis, at.STRIDE) - word(axis, at.BEFORE)
    beyond = word(axis, at.SIZE) + word(axis, at.AFTER)
    counted = min(word(axis, at.KERNEL), (beyond - 1 - start) // word(axis, at.DILATION) + 1)
    if word(axis, at.COUNTS_PADDING) == 0:
        counted = seen_taps(axis, output)
    return int(counted)
