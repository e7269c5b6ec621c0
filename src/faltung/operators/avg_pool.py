"""Average pooling: the mean under a sliding window, channel by channel.

A convolution of every channel with a box, divided by the taps that count; linear.
"""

from __future__ import annotations

from typing import Any

from faltung.geometry.arguments import as_int
from faltung.operators._checks import as_flag, float_of_integers
from faltung.operators._pooling import pooling_axes, rank_of_window
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import pool
from faltung.plans._problem import Recipe
from faltung.plans._rules import Mean
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d"]


def textbook(
    x: Array,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The sum of the real cells of each window, divided."""

    def mean(cells: Array, real: int, counted: int) -> Array:
        divisor = divisor_override or (counted if count_include_pad else real)
        quotients: Array = cells.sum(axis=-1) / divisor
        return quotients

    return pool(x, mean, kernel_size, stride, padding, dilation, ceil_mode)


SAMPLES = (
    Sample("plain", {"x": (2, 3, 6, 8)}, {"kernel_size": (2, 2)}),
    Sample(
        "sides differ, one side padded",
        {"x": (2, 3, 7, 5)},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))},
    ),
    Sample(
        "real cells only",
        {"x": (1, 2, 9, 6)},
        {"kernel_size": (4, 3), "stride": 1, "padding": "same", "count_include_pad": False},
    ),
    Sample(
        "last window hangs over",
        {"x": (2, 2, 9, 8)},
        {"kernel_size": (3, 3), "stride": (2, 3), "padding": 1, "dilation": 2, "ceil_mode": True},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 11, 9)},
        {"kernel_size": (2, 1), "stride": (5, 4), "divisor_override": 3},
    ),
    Sample("axis of one cell", {"x": (1, 2, 1, 4)}, {"kernel_size": (3, 2), "padding": "full"}),
    Sample(
        "causal signal",
        {"x": (2, 3, 17)},
        {"kernel_size": (4,), "stride": 1, "padding": "causal", "count_include_pad": False},
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
    sources=("ONNX operator AveragePool",),
    result_dtype=float_of_integers,
)
def avg_pool(
    x: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Slide a window over each channel and take the mean.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data. With an int as `kernel_size` all axes but the first two are spatial.
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
    count_include_pad : bool
        Divide by the taps on the input and its padding; else by those on the input alone. What
        hangs over the end of the padding never counts.
    divisor_override : int, optional
        Divide by this number everywhere.
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
        up under `ceil_mode`; of x's dtype, float64 for integers and bool.

    Raises
    ------
    WindowError
        An impossible window, one that sees no cell of the input, or an impossible divisor.
    OptionError
        A flag that is neither True nor False.

    Notes
    -----
    ``y[n, c, i] = sum_k x[n, c, i * stride + k * dilation - before] / divisor`` over the taps
    inside the input. float16 and bfloat16 are summed in float32 and rounded once. With K taps,
    ``|y - exact| <= 1.01 (K + 2) u sum |x| / divisor``. The adjoint spreads ``y / divisor`` over
    the window's cells.

    References
    ----------
    ONNX operator specification, AveragePool, whose `count_include_pad` is False by default.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.avg_pool1d([[3, 1, 4, 1, 5, 9]], 2)
    array([[2. , 2.5, 7. ]])
    >>> ft.avg_pool1d([[3, 1, 4, 1, 5]], 2, padding=1, count_include_pad=False)
    array([[3. , 2.5, 3. ]])
    """
    sizes = match("avg_pool", {"x": x})
    axes = pooling_axes(
        sizes.spatial["i"],
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        counts_padding=as_flag(count_include_pad, "count_include_pad"),
    )
    divisor = None if divisor_override is None else as_int(divisor_override, "divisor_override")
    return Recipe(
        rule=Mean(divisor),
        axes=axes,
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


avg_pool1d, avg_pool2d, avg_pool3d = ranked(avg_pool, 1), ranked(avg_pool, 2), ranked(avg_pool, 3)
