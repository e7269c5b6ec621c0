"""How often each cell is used, as a picture with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faltung.plotting.canvas import single
from faltung.plotting.pictures import draw_numbers, draw_picture
from faltung.typing import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_coverage"]


def plot_coverage(
    operator: Any, input_shape: Shape, of: str = "input", ax: Axes | None = None
) -> Axes:
    """Draw how many outputs each cell takes part in, or how many cells reach each output.

    Parameters
    ----------
    operator : operator
        With `coverage`, as operators and `Sequential` have it.
    input_shape : tuple of int
        As the data would have it, with or without a batch axis.
    of : {"input", "output"}
        What is counted for, as in `Operator.coverage`; for a transposed convolution ``"output"``
        is the checkerboard.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        Bars along one axis; a picture of two, with the counts in its cells where there are at
        most 144; of more axes the middle slice.

    Raises
    ------
    OptionError
        If `of` is not known.
    MissingExtraError
        Without Matplotlib, which the extra ``plot`` installs.

    Examples
    --------
    >>> import numpy as np, faltung as ft
    >>> ax = ft.plot_coverage(ft.Conv(np.ones((1, 1, 3, 3))), (1, 5, 5))
    >>> ax.images[0].get_array()[2].tolist()
    [3.0, 6.0, 9.0, 6.0, 3.0]
    """
    counts = operator.coverage(input_shape, of)
    ax = single(ax, (4.8, 3.6))
    what = "outputs of each cell" if of == "input" else "cells of each output"
    if counts.ndim == 1:
        ax.bar(range(len(counts)), counts, width=0.9)
        ax.set_title(what, fontsize="small")
        ax.locator_params(axis="both", integer=True)
        return ax
    while counts.ndim > 2:
        counts = counts[len(counts) // 2]
    image = draw_picture(ax, counts, what, "counts")
    draw_numbers(ax, image, counts)
    return ax
