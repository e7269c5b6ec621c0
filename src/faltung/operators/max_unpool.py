"""Max unpooling: every value returns to the cell that it was the largest of; the rest is 0.

The stencil is data: with P the matrix that has a 1 where an index says so, ``y = P x``; of values
with the same index the last stays, so each row of P has at most one 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from faltung.errors import WindowError
from faltung.geometry.axis import AxisWindow
from faltung.geometry.stencil import SlidingAxis
from faltung.geometry.transposed_axis import TransposedAxis, transposed_base
from faltung.geometry.window import axis_windows
from faltung.operators._output_size import spatial_size
from faltung.operators._pooling import rank_of_window
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import each_axis
from faltung.plans._problem import Recipe
from faltung.plans._rules import Placement
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["max_unpool", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


def textbook_size(size: int, kernel: int, stride: int, padding: Any) -> int:
    """PyTorch's formula, with names spelled out."""
    if padding in ("same", "half", "same_lower", "causal"):
        return size * stride
    ends = {"valid": 0, "full": 2 * (kernel - 1)}.get(padding) if isinstance(padding, str) else None
    if ends is None:
        ends = 2 * padding if isinstance(padding, int) else sum(padding)
    return (size - 1) * stride + kernel - ends


def textbook(
    x: Array, indices: Array, *, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Array:
    """Assign one value after the other."""
    rank = x.ndim - 2
    kernel = each_axis(kernel_size, rank)
    strides = kernel if stride is None else each_axis(stride, rank)
    if output_size is None:
        columns = (x.shape[2:], kernel, strides, each_axis(padding, rank))
        sizes = list(map(textbook_size, *columns))
    else:
        sizes = each_axis(output_size, rank)[-rank:]
    y = np.zeros((*x.shape[:2], *sizes), x.dtype)
    for n, c, *place in np.ndindex(*x.shape):
        y[n, c].flat[int(indices[(n, c, *place)])] = x[(n, c, *place)]
    return y


SAMPLES = (
    Sample(
        "plain",
        {"x": (2, 3, 3, 4), "indices": (2, 3, 3, 4)},
        {"kernel_size": (2, 2)},
        {"indices": 48},
    ),
    Sample(
        "many for one cell",
        {"x": (1, 2, 5, 3), "indices": (1, 2, 5, 3)},
        {"kernel_size": (3, 2), "stride": (1, 2)},
        {"indices": 7},
    ),
    Sample(
        "one side padded, strides differ",
        {"x": (2, 2, 4, 3), "indices": (2, 2, 4, 3)},
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": ((1, 0), (0, 1))},
        {"indices": 56},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 3, 3), "indices": (1, 2, 3, 3)},
        {"kernel_size": (2, 1), "stride": (5, 4), "padding": "same"},
        {"indices": 180},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4), "indices": (1, 2, 1, 4)},
        {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)},
        {"indices": 5},
    ),
    Sample(
        "a size that is asked for",
        {"x": (1, 2, 3, 2), "indices": (1, 2, 3, 2)},
        {"kernel_size": (2, 3), "output_size": (7, 4)},
        {"indices": 28},
    ),
    Sample(
        "causal signal",
        {"x": (2, 3, 5), "indices": (2, 3, 5)},
        {"kernel_size": (4,), "stride": 3, "padding": "causal"},
        {"indices": 15},
    ),
    Sample(
        "volume",
        {"x": (1, 2, 2, 3, 2), "indices": (1, 2, 2, 3, 2)},
        {"kernel_size": (2, 2, 3), "stride": (1, 2, 2)},
        {"indices": 90},
    ),
)


@operator(
    signature="n c i..., n c i... -> n c j...",
    operands=("indices",),
    positions=("indices",),
    rank=rank_of_window,
    reference=textbook,
    samples=SAMPLES,
    sources=("torch.nn.MaxUnpool2d", "ONNX operator MaxUnpool"),
)
def max_unpool(
    x: ArrayLike,
    indices: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    output_size: Ints | None = None,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Put every value of a max pooling back where it came from, zeros elsewhere.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The values, of any dtype.
    indices : array of int, of the shape and layout of x
        For each value its flat position in the output plane of its channel, as `max_pool` returns
        them. Of values with the same position, the last in row-major order stays.
    kernel_size : int or sequence of int
        Taps of the pooling's window. With an int, all axes of x but the first two are spatial.
    stride : int or sequence of int, optional
        Cells between neighbouring windows; by default `kernel_size`.
    padding : int, sequence, or name
        The padding of the pooling.
    output_size : int or sequence of int, optional
        The output's spatial shape, or its whole shape. Less than a stride away from the default,
        because pooling may leave cells over.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x, indices and the result are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the inputs.

    Returns
    -------
    array, shape (N, C, \*out) or (C, \*out)
        By default ``out = (n - 1) * stride + k - before - after`` on each axis, and ``n * stride``
        for paddings that depend on the size; of x's dtype.

    Raises
    ------
    PositionError
        An index outside the output plane.
    ShapeError
        Indices of another shape than x.
    WindowError
        An impossible window, or an output size that no pooling of this window has.
    DTypeError
        Indices that are no integers.

    Notes
    -----
    ``y[n, c].flat[indices[n, c, i]] = x[n, c, i]``. The operator is linear in x, and its adjoint
    takes the cells at the indices, as far as they were not overwritten. It makes no products. Only
    for windows that do not overlap, unpooling is the gradient of pooling.

    References
    ----------
    ``torch.nn.MaxUnpool2d``. ONNX operator specification, MaxUnpool. M. D. Zeiler, R. Fergus,
    "Visualizing and understanding convolutional networks", arXiv:1311.2901, section 2.1.

    Examples
    --------
    >>> import faltung as ft
    >>> largest, indices = ft.max_pool1d([[3, 1, 4, 1, 5, 9]], 2, return_indices=True)
    >>> ft.max_unpool1d(largest, indices, 2)
    array([[3, 0, 4, 0, 0, 9]])
    """
    sizes = match("max_unpool", {"x": x, "indices": indices})
    spatial = sizes.spatial["i"]
    rank = len(spatial)
    steps = kernel_size if stride is None else stride
    windows = axis_windows(rank, kernel_size, steps, padding=padding)
    wanted: tuple[int | None, ...] = (None,) * rank
    if output_size is not None:
        wanted = spatial_size(output_size, rank, data_format, (sizes["n"], sizes["c"]))
    return Recipe(
        rule=Placement(),
        axes=tuple(map(_unpooled_axis, windows, spatial, wanted)),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


def _unpooled_axis(window: AxisWindow, inputs: int, wanted: int | None) -> TransposedAxis:
    """The axis that spreads `inputs` windows over so many cells as they may have come from."""
    if inputs < 1:
        raise WindowError(
            "x has a spatial axis of 0 cells, there is nothing to place",
            "Pass data with at least one cell an axis",
        )
    before, usual = transposed_base(window, inputs)
    # With named padding, pooling with ceil_mode may start from less than a stride below the usual.
    hanging = replace(window, ceil_mode=True).input_size(inputs)
    least = max(min([usual - window.stride + 1, *hanging[:1]]), 1)
    most = usual + window.stride - 1
    outputs = usual if wanted is None else wanted
    if most < 1 or outputs < 1:
        raise WindowError(
            f"padding removes {(inputs - 1) * window.stride + window.span - usual} cells of "
            f"{(inputs - 1) * window.stride + window.span}: no output",
            "Use less padding" + (f", or an output_size up to {most}" if most > 0 else ""),
        )
    if not least <= outputs <= most:
        raise WindowError(
            f"output_size is {outputs}, but pooling to {inputs} cells with kernel_size "
            f"{window.kernel} and stride {window.stride} starts from {least} to {most} cells",
            "Use a size of that range, or the window of the pooling",
        )
    sliding = SlidingAxis(outputs, inputs, window.kernel, window.stride, before=before)
    return TransposedAxis(sliding)


max_unpool1d = ranked(max_unpool, 1)
max_unpool2d = ranked(max_unpool, 2)
max_unpool3d = ranked(max_unpool, 3)
