"""Whether a structure that leaves cells out shows each window at least one cell of the input."""

from __future__ import annotations

import numpy as np

from faltung.errors import WindowError
from faltung.geometry.stencil import StencilAxis
from faltung.typing import Array

__all__ = ["require_cells"]

ROWS_AT_ONCE = 2**16


def require_cells(axes: tuple[StencilAxis, ...], structure: Array) -> None:
    """Raise where a window has no tap in use over the input.

    A tap lies over the input if it does on every axis, and most outputs of an axis have the same
    taps there. So the taps in use are counted once for each combination of the few different
    sets: one contraction an axis.
    """
    if structure.dtype.kind != "b" or structure.all():
        return  # then the geometry alone decides, and it was asked before
    counts = structure.astype(np.int64)
    for axis in axes:
        counts = np.tensordot(counts, _inside(axis).astype(np.int64), axes=((0,), (1,)))
    if not counts.all():
        raise WindowError(
            f"structure uses {np.count_nonzero(structure)} of its {structure.size} cells, and in "
            "some window none of them lies over the input",
            "Use less padding, or a structure whose centre is True",
        )


def _inside(axis: StencilAxis) -> Array:
    """The different sets of taps that lie inside the input, one a row."""
    clear = axis.clear_outputs
    sets = [np.ones((1 if clear else 0, axis.taps), bool)]
    step = max(ROWS_AT_ONCE // axis.taps, 1)
    for first, beyond in ((0, clear.start), (clear.stop, axis.outputs)):
        for start in range(first, beyond, step):
            is_inside = axis.index(start, min(start + step, beyond)) >= 0
            sets.append(np.unique(is_inside, axis=0))
    return np.unique(np.concatenate(sets), axis=0)
