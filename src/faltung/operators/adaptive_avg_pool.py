"""Adaptive average pooling: the means of as many bins as are asked for; linear.

To one bin it is global average pooling.
"""

from __future__ import annotations

from typing import Any

from faltung.operators._checks import float_of_integers
from faltung.operators._pooling import adaptive_axes, rank_of_output
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import pool_bins
from faltung.plans._problem import Recipe
from faltung.plans._rules import Mean
from faltung.typing import Array, ArrayLike, DTypeLike, OutputSize

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
]


def textbook(x: Array, *, output_size: Any) -> Array:
    """The mean of each bin."""

    def mean(cells: Array) -> Array:
        means: Array = cells.mean(axis=-1)
        return means

    return pool_bins(x, mean, output_size)


SAMPLES = (
    Sample("sizes divide", {"x": (2, 3, 6, 8)}, {"output_size": (3, 2)}),
    Sample("bins overlap", {"x": (2, 3, 7, 5)}, {"output_size": (3, 2)}),
    Sample("more bins than cells", {"x": (1, 2, 3, 4)}, {"output_size": (7, 5)}),
    Sample("axis of one cell", {"x": (1, 2, 1, 4)}, {"output_size": (3, 1)}),
    Sample("one axis stays", {"x": (2, 2, 5, 9)}, {"output_size": (None, 4)}),
    Sample("global", {"x": (2, 3, 5, 7)}, {"output_size": (1, 1)}),
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
        "ONNX operator GlobalAveragePool",
    ),
    result_dtype=float_of_integers,
)
def adaptive_avg_pool(
    x: ArrayLike,
    output_size: OutputSize,
    *,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Split each axis into bins and take the mean of each, channel by channel.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data. With an int as `output_size` all axes but the first two are spatial.
    output_size : int or sequence
        Bins of every axis, or one number an axis; None keeps the size of that axis. There may be
        more bins than cells.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the result are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the input.

    Returns
    -------
    array, shape (N, C, \*output_size) or (C, \*output_size)
        Of x's dtype, float64 for integers and bool.

    Raises
    ------
    WindowError
        An `output_size` that is not made of ints of at least 1, or an axis without cells.

    Notes
    -----
    Bin i of o over n cells holds those from ``floor(i * n / o)`` up to, not including,
    ``ceil((i + 1) * n / o)``. float16 and bfloat16 are summed in float32 and rounded once. The
    adjoint spreads each value, divided by the cells of its bin, over the bin.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Spatial pyramid pooling in deep convolutional networks for
    visual recognition", arXiv:1406.4729, section 2.2. ONNX operator GlobalAveragePool.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.adaptive_avg_pool1d([[1, 2, 3, 4, 5]], 2)
    array([[2., 4.]])
    """
    sizes = match("adaptive_avg_pool", {"x": x})
    return Recipe(
        rule=Mean(),
        axes=adaptive_axes(sizes.spatial["i"], output_size),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


adaptive_avg_pool1d = ranked(adaptive_avg_pool, 1)
adaptive_avg_pool2d = ranked(adaptive_avg_pool, 2)
adaptive_avg_pool3d = ranked(adaptive_avg_pool, 3)
