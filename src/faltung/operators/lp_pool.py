"""Power-average pooling: the p-norm of what a sliding window sees, channel by channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from faltung.errors import OptionError, shown
from faltung.operators._checks import float_of_integers
from faltung.operators._pooling import pooling_axes, rank_of_window
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import pool
from faltung.plans._problem import Recipe
from faltung.plans._rules import PowerSum
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["lp_pool", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


def textbook(
    x: Array,
    *,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Array:
    """The norm of the real cells of each window."""

    def norm(cells: Array, real: int, counted: int) -> Array:
        if norm_type == np.inf:
            largest: Array = np.abs(cells).max(axis=-1)
            return largest
        powers: Array = np.abs(cells) ** norm_type
        root: Array = powers.sum(axis=-1) ** (1 / norm_type)
        return root

    return pool(x, norm, kernel_size, stride, padding, dilation, ceil_mode)


SAMPLES = (
    Sample("plain", {"x": (2, 3, 6, 8)}, {"norm_type": 2, "kernel_size": (2, 2)}),
    Sample(
        "sides differ, one side padded",
        {"x": (2, 3, 7, 5)},
        {
            "norm_type": 1,
            "kernel_size": (3, 2),
            "stride": (2, 1),
            "padding": ((1, 0), (0, 1)),
        },
    ),
    Sample(
        "last window hangs over",
        {"x": (2, 2, 9, 8)},
        {
            "norm_type": 3,
            "kernel_size": (3, 3),
            "stride": (2, 3),
            "padding": 1,
            "dilation": 2,
            "ceil_mode": True,
        },
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 11, 9)},
        {"norm_type": 1.5, "kernel_size": (2, 1), "stride": (5, 4)},
    ),
    Sample(
        "axis of one cell",
        {"x": (1, 2, 1, 4)},
        {"norm_type": np.inf, "kernel_size": (3, 2), "padding": "full"},
    ),
    Sample(
        "volume",
        {"x": (1, 2, 4, 3, 5)},
        {"norm_type": 2.0, "kernel_size": (2, 2, 3), "stride": (1, 2, 2), "padding": "same_lower"},
    ),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_window,
    reference=textbook,
    samples=SAMPLES,
    sources=("ONNX operator LpPool",),
    result_dtype=float_of_integers,
)
def lp_pool(
    x: ArrayLike,
    norm_type: float,
    kernel_size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Slide a window over each channel and take the p-norm of what it sees.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data. With an int as `kernel_size` all axes but the first two are spatial.
    norm_type : float
        The order p of the norm, above 0; ``inf`` gives the largest ``|x|``.
    kernel_size : int or sequence of int
        Taps of the window.
    stride : int or sequence of int, optional
        Cells between neighbouring outputs; by default `kernel_size`.
    padding : int, sequence, or name
        Places added at the ends of each axis, which add nothing to a sum: numbers or names as in
        `conv`. Every window has to see at least one cell of the input.
    dilation : int or sequence of int
        Cells between neighbouring taps.
    ceil_mode : bool
        Also count a last window that hangs over the end, if it starts inside the input or the
        padding before it.
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
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, rounded
        up under `ceil_mode`; of x's dtype, float64 for integers and bool. The norms of complex
        data are complex numbers without an imaginary part.

    Raises
    ------
    WindowError
        An impossible window, or one that sees no cell of the input.
    OptionError
        A `norm_type` that is not a number above 0.

    Notes
    -----
    ``y[n, c, i] = (sum_k |x[n, c, i * stride + k * dilation - before]|**p) ** (1 / p)`` over the
    taps inside the input. A window with fewer of them is not scaled up. The powers are taken as
    they stand and overflow where ``|x|**p`` does. Not linear.

    References
    ----------
    ONNX operator specification, LpPool.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.lp_pool1d([[3, -4, 0, 5, 8, 6]], 2, 2)
    array([[ 5.,  5., 10.]])
    """
    sizes = match("lp_pool", {"x": x})
    return Recipe(
        rule=PowerSum(_as_order(norm_type)),
        axes=pooling_axes(sizes.spatial["i"], kernel_size, stride, padding, dilation, ceil_mode),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


def _as_order(value: object) -> float:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if is_number and not isinstance(value, bool):
        try:
            order = float(value)  # type: ignore[arg-type]
        except OverflowError:
            order = 0.0
        if order > 0:
            return order
    raise OptionError(
        f"norm_type is {shown(value)}, expected a number above 0",
        "Use 2 for the Euclidean norm, or numpy.inf for the largest magnitude",
    )


lp_pool1d, lp_pool2d, lp_pool3d = ranked(lp_pool, 1), ranked(lp_pool, 2), ranked(lp_pool, 3)
