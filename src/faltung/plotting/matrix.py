"""An operator's matrix as a picture, with lines between rows and channels."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.plotting.canvas import single
from faltung.plotting.pictures import draw_picture, plain
from faltung.typing import Array, Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_matrix"]

MOST_CELLS = 2**20
"""Entries of a matrix that are drawn one by one."""
BINS = 512
MOST_BLOCKS = 40
"""Lines between blocks, above which none are drawn."""


def plot_matrix(operator: Any, input_shape: Shape, ax: Axes | None = None) -> Axes:
    """Draw the matrix of a linear operator: an output a row, an input cell a column.

    Parameters
    ----------
    operator : operator
        With `matrix` and `output_shape`, as every linear operator and `Sequential` has them.
    input_shape : tuple of int
        As the data would have it, with or without a batch axis.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Its picture shows each coefficient, 0 in the middle of the scale and empty where output
        and cell are not connected. A matrix of more than a million places is shown in 512 × 512
        blocks at most, each with the number of its entries. Lines separate samples, channels and
        rows of the arrays, where there are at most 40 of them.

    Raises
    ------
    NotLinearError
        If the operator is not linear.
    MissingExtraError
        Without Matplotlib, which the extra ``plot`` installs.

    Examples
    --------
    >>> import faltung as ft
    >>> ax = ft.plot_matrix(ft.Conv([[[1, 2, 4]]], padding=1), (1, 6))
    >>> ax.get_title()
    '6 × 6, 16 entries'
    """
    matrix = operator.matrix(input_shape)
    ax = single(ax, (5.6, 4.6))
    rows, columns = matrix.shape
    title = f"{rows:,} × {columns:,}, {matrix.nnz:,} entries"
    if rows * columns <= MOST_CELLS:
        draw_picture(ax, _entries(matrix), title, "signed")
    else:
        counts, block = _blocks(matrix)
        title += f": how many in {block[0]} × {block[1]}"
        image = draw_picture(ax, counts, title, "counts")
        image.set_extent((-0.5, columns - 0.5, rows - 0.5, -0.5))
    ax.set_aspect("auto" if max(rows, columns) > 8 * min(rows, columns) else "equal")
    _draw_structure(ax.axhline, tuple(operator.output_shape(input_shape)))
    _draw_structure(ax.axvline, tuple(input_shape))
    ax.set_xlabel("input cell", fontsize="small")
    ax.set_ylabel("output", fontsize="small")
    return ax


def _entries(matrix: Any) -> Array:
    """The coefficients, NaN where nothing is connected."""
    entries = matrix.tocoo()
    drawn = np.full(matrix.shape, np.nan)
    drawn[entries.coords] = plain(entries.data)
    return drawn


def _blocks(matrix: Any) -> tuple[Array, tuple[int, int]]:
    """How many entries there are in each block, NaN for none, and the size of a block."""
    entries = matrix.tocoo()
    block = tuple(-(-size // BINS) for size in matrix.shape)
    shape = tuple(-(-size // step) for size, step in zip(matrix.shape, block, strict=True))
    places = [where // step for where, step in zip(entries.coords, block, strict=True)]
    flat = np.ravel_multi_index(places, shape)
    counts = np.bincount(flat, minlength=prod(shape)).reshape(shape).astype(float)
    counts[counts == 0] = np.nan
    return counts, (block[0], block[1])


def _draw_structure(draw_line: Any, shape: Shape) -> None:
    """Lines between the parts of an array, thinner for each axis further in."""
    total, width = prod(shape), 1.6
    for axis in range(1, len(shape)):
        inner = prod(shape[axis:])
        if inner == 0 or inner == total or inner == 1:
            continue
        if total // inner > MOST_BLOCKS:
            return
        for place in range(inner, total, inner):
            draw_line(place - 0.5, color="gray", linewidth=width, alpha=0.6)
        width /= 2
