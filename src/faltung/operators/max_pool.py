"""Max pooling: the largest cell under a sliding window, channel by channel.

With the places of the winners, `max_unpool` is its way back: each result returns to its cell.
"""

from __future__ import annotations

from typing import Any

from faltung.operators._checks import as_flag, ordered
from faltung.operators._pooling import pooling_axes, rank_of_window
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import pool
from faltung.plans._problem import Recipe
from faltung.plans._rules import Extreme
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["max_pool", "max_pool1d", "max_pool2d", "max_pool3d"]


def textbook(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Array:
    """The largest real cell of each window; without the indices."""

    def largest(cells: Array, real: int, counted: int) -> Array:
        winners: Array = cells.max(axis=-1)
        return winners

    return pool(x, largest, kernel_size, stride, padding, dilation, ceil_mode)


SAMPLES = (
    Sample("plain", {"x": (2, 3, 6, 8)}, {"kernel_size": (2, 2)}),
    Sample(
        "sides differ, one side padded",
        {"x": (2, 3, 7, 5)},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 11, 9)},
        {"kernel_size": (2, 1), "stride": (5, 4), "padding": "same"},
    ),
    Sample(
        "dilated, last window hangs over",
        {"x": (2, 2, 9, 8)},
        {"kernel_size": (3, 3), "stride": 2, "padding": 1, "dilation": (2, 1), "ceil_mode": True},
    ),
    Sample("axis of one cell", {"x": (1, 2, 1, 4)}, {"kernel_size": (3, 2), "padding": "full"}),
    Sample(
        "with indices",
        {"x": (2, 2, 5, 6)},
        {"kernel_size": (3, 2), "stride": 1, "padding": (2, 1), "return_indices": True},
    ),
    Sample(
        "causal signal",
        {"x": (2, 3, 17)},
        {"kernel_size": (4,), "stride": 3, "padding": "causal", "dilation": 2},
    ),
    Sample(
        "volume",
        {"x": (1, 2, 4, 3, 5)},
        {"kernel_size": (2, 2, 3), "stride": (1, 2, 2), "padding": "same_lower"},
    ),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_window,
    reference=textbook,
    samples=SAMPLES,
    sources=("ONNX operator MaxPool",),
    result_dtype=ordered,
)
def max_pool(
    x: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Slide a window over each channel and keep the largest cell.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data, of any real dtype. With an int as `kernel_size` all axes but the first
        two are spatial.
    kernel_size : int or sequence of int
        Taps of the window.
    stride : int or sequence of int, optional
        Cells between neighbouring outputs; by default `kernel_size`.
    padding : int, sequence, or name
        Places added at the ends of each axis, which never win: numbers or names as in `conv`.
        Every window has to see at least one cell of the input.
    dilation : int or sequence of int
        Cells between neighbouring taps.
    ceil_mode : bool
        Also count a last window that hangs over the end, if it starts inside the input or the
        padding before it.
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
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, rounded
        up under `ceil_mode`; of x's dtype.
    array of int64, of the same shape
        With `return_indices`: the flat place of each winner in the plane of its channel, as if
        there were no padding; of equal cells the first, of NaNs the last.

    Raises
    ------
    WindowError
        An impossible window, or one that sees no cell of the input.
    DTypeError
        Complex data, which has no order.

    Notes
    -----
    ``y[n, c, i] = max_k x[n, c, i * stride + k * dilation - before]`` over the taps inside the
    input. A NaN under the window gives NaN. The operator is not linear; it makes no products.

    References
    ----------
    ONNX operator specification, MaxPool.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.max_pool1d([[3, 1, 4, 1, 5, 9]], 2, return_indices=True)
    (array([[3, 4, 9]]), array([[0, 2, 5]]))
    """
    sizes = match("max_pool", {"x": x})
    axes = pooling_axes(sizes.spatial["i"], kernel_size, stride, padding, dilation, ceil_mode)
    return Recipe(
        rule=Extreme(),
        also=Extreme(gives_position=True) if as_flag(return_indices, "return_indices") else None,
        axes=axes,
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


max_pool1d, max_pool2d, max_pool3d = ranked(max_pool, 1), ranked(max_pool, 2), ranked(max_pool, 3)
