"""Unfolding: every window of the input as one column (im2col)."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from faltung.geometry.arguments import as_ints
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import check_border, rank_of
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._problem import Recipe
from faltung.plans._rules import Copy
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["unfold"]


def rank_of_kernel(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the kernel size, or all but batch and channels."""
    return rank_of("kernel_size", specs, parameters, wanted)


def textbook(
    x: Array,
    kernel_size: Any,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    padding_mode: str,
    padding_value: Any,
) -> Array:
    """Cut every window out of the padded input and lay it flat."""
    rank = x.ndim - 2
    kernel = tuple(each_axis(kernel_size, rank))
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    padded, is_real = pad_input(x, kernel, stride, padding, dilation, padding_mode, padding_value)
    outputs = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    columns = []
    for place in np.ndindex(*outputs):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, strides, dilations, kernel, strict=True)
        )
        cells = padded[(slice(None), slice(None), *window)]
        if padding_mode == "blank" and not is_real[window].all():
            cells = np.zeros_like(cells)
        columns.append(cells.reshape(len(x), -1))
    return np.stack(columns, axis=2)


SAMPLES = (
    Sample("plain", {"x": (2, 3, 4, 5)}, {"kernel_size": (2, 3)}),
    Sample(
        "one side padded, strides differ",
        {"x": (2, 2, 7, 5)},
        {"kernel_size": (3, 2), "stride": (2, 3), "padding": ((1, 0), (2, 1))},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 11, 9)},
        {"kernel_size": (2, 2), "stride": (5, 4), "padding": "same"},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4)},
        {"kernel_size": (3, 3), "padding": 2, "padding_mode": "reflect"},
    ),
    Sample(
        "dilated volume on a ring",
        {"x": (1, 2, 3, 4, 2)},
        {
            "kernel_size": (2, 1, 3),
            "dilation": (1, 2, 3),
            "padding": "same_lower",
            "padding_mode": "wrap",
        },
    ),
    Sample(
        "constant border of a signal",
        {"x": (2, 3, 7)},
        {
            "kernel_size": (4,),
            "padding": "causal",
            "padding_mode": "constant",
            "padding_value": 1,
            "dilation": 2,
        },
    ),
    Sample(
        "blank border",
        {"x": (1, 2, 6, 5)},
        {"kernel_size": (3, 3), "padding": "same", "padding_mode": "blank", "stride": (2, 1)},
    ),
    Sample("one tap", {"x": (1, 2, 3, 2)}, {"kernel_size": (1, 1)}),
    Sample("four axes", {"x": (1, 2, 2, 3, 2, 2)}, {"kernel_size": (2, 2, 1, 2)}),
)


@operator(
    signature="n c i... -> n k j",
    rank=rank_of_kernel,
    reference=textbook,
    samples=SAMPLES,
    sources=(
        "K. Chellapilla et al., High performance convolutional neural networks, 2006",
        "torch.nn.Unfold",
    ),
)
def unfold(
    x: ArrayLike,
    kernel_size: Ints,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    padding_mode: str = "zeros",
    padding_value: complex = 0,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Lay every window of the data out as a column.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data; any number of spatial axes.
    kernel_size : int or sequence of int
        Taps of the window, one for every axis or one an axis. With an int, all axes but the first
        two are spatial.
    stride, dilation : int or sequence of int
        Cells between neighbouring windows, and between neighbouring taps.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`.
    padding_mode : str
        What the added cells show: ``"zeros"``, ``"constant"`` (with `padding_value`),
        ``"reflect"``, ``"symmetric"``, ``"edge"``, ``"wrap"``, or ``"blank"``: a window that
        leaves the input is all 0.
    padding_value : number
        The value of cells outside under ``"constant"``.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x is ``(N, *spatial, C)`` and the result ``(N, L, C * K)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the input.

    Returns
    -------
    array, shape (N, C \* prod(kernel_size), L) or (C \* prod(kernel_size), L)
        A column for each of the L places of the window, in row-major order; in a column the
        channels follow each other, in a channel the taps in row-major order.

    Raises
    ------
    WindowError
        Impossible kernel, stride, padding or dilation, or a window larger than the padded input.
    OptionError
        An unknown mode, algorithm or data format.
    ResourceError
        A result that does not fit into memory.

    Notes
    -----
    ``conv(x, w)`` is ``w.reshape(O, -1) @ unfold(x)`` with the places as one axis. The adjoint is
    `fold`, which adds the columns back to where they came from.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document
    processing", 2006. ``torch.nn.Unfold``.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.unfold([[1, 2, 3, 4]], (3,))
    array([[1, 2],
           [2, 3],
           [3, 4]])
    """
    sizes = match("unfold", {"x": x})
    mode = canonical_mode(padding_mode)
    check_border(mode, padding_value)
    spatial = sizes.spatial["i"]
    kernel = as_ints(kernel_size, "kernel_size", len(spatial))
    windows = axis_windows(len(spatial), kernel, stride, dilation, padding)
    return Recipe(
        rule=Copy(keeps_taps=True),
        axes=tuple(map(sliding_axis, windows, spatial, (mode,) * len(spatial))),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=prod(kernel),
        fill=padding_value,
        fill_takes_part=mode == "constant",
        is_blank=mode == "blank",
        is_flat=True,
        algorithm=algorithm,
    )
