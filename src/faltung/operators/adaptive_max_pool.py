"""Adaptive max pooling: the largest cells of as many bins as are asked for.

To one bin it is global max pooling.
"""

from __future__ import annotations

from typing import Any

from faltung.operators._checks import as_flag, ordered
from faltung.operators._pooling import adaptive_axes, rank_of_output
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import pool_bins
from faltung.plans._problem import Recipe
from faltung.plans._rules import Extreme
from faltung.typing import Array, ArrayLike, DTypeLike, OutputSize

__all__ = [
    "adaptive_max_pool",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def textbook(x: Array, *, output_size: Any, return_indices: bool) -> Array:
    """The largest cell of each bin; without the indices."""

    def largest(cells: Array) -> Array:
        winners: Array = cells.max(axis=-1)
        return winners

    return pool_bins(x, largest, output_size)


SAMPLES = (
    Sample("sizes divide", {"x": (2, 3, 6, 8)}, {"output_size": (3, 2)}),
    Sample("bins overlap", {"x": (2, 3, 7, 5)}, {"output_size": (3, 2), "return_indices": True}),
    Sample("more bins than cells", {"x": (1, 2, 3, 4)}, {"output_size": (7, 5)}),
    Sample("axis of one cell", {"x": (1, 2, 1, 4)}, {"output_size": (3, 1)}),
    Sample("one axis stays", {"x": (2, 2, 5, 9)}, {"output_size": (None, 4)}),
    Sample("global", {"x": (2, 3, 5, 7)}, {"output_size": (1, 1), "return_indices": True}),
    Sample("signal", {"x": (2, 3, 17)}, {"output_size": (5,)}),
    Sample("volume", {"x": (1, 2, 4, 3, 5)}, {"output_size": (3, 2, 2)}),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_output,
    reference=textbook,
    samples=SAMPLES,
    sources=(
        "K. He et al., Spatial Pyramid Pooling, arXiv:1406.4729, section 2.2",
        "ONNX operator GlobalMaxPool",
    ),
    result_dtype=ordered,
)
def adaptive_max_pool(
    x: ArrayLike,
    output_size: OutputSize,
    *,
    return_indices: bool = False,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Split each axis into bins and keep the largest cell of each, channel by channel.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data, of any real dtype. With an int as `output_size` all axes but the first two are
        spatial.
    output_size : int or sequence
        Bins of every axis, or one number an axis; None keeps the size of that axis. There may be
        more bins than cells.
    return_indices : bool
        Also return where the largest cells are.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the results are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the input.

    Returns
    -------
    array, shape (N, C, \*output_size) or (C, \*output_size)
        Of x's dtype.
    array of int64, of the same shape
        With `return_indices`: the flat place of each winner in the plane of its channel; of equal
        cells the first, of NaNs the last.

    Raises
    ------
    WindowError
        An `output_size` that is not made of ints of at least 1, or an axis without cells.
    DTypeError
        Complex data, which has no order.

    Notes
    -----
    Bin i of o over n cells holds those from ``floor(i * n / o)`` up to, not including,
    ``ceil((i + 1) * n / o)``. A NaN in a bin gives NaN. Not linear.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for
    visual recognition", arXiv:1406.4729, section 2.2. ONNX operator GlobalMaxPool.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.adaptive_max_pool1d([[1, 5, 3, 4, 2]], 2, return_indices=True)
    (array([[5, 4]]), array([[1, 3]]))
    """
    sizes = match("adaptive_max_pool", {"x": x})
    return Recipe(
        rule=Extreme(),
        also=Extreme(gives_position=True) if as_flag(return_indices, "return_indices") else None,
        axes=adaptive_axes(sizes.spatial["i"], output_size),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


adaptive_max_pool1d = ranked(adaptive_max_pool, 1)
adaptive_max_pool2d = ranked(adaptive_max_pool, 2)
adaptive_max_pool3d = ranked(adaptive_max_pool, 3)
