"""Folding: columns are added back to where their windows were (col2im), the transpose of unfold.

With U the matrix of `unfold`, ``fold(columns) = U' columns``: each cell of the result adds, for
every window that covers it, the number that the window's column holds for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from faltung.errors import ShapeError
from faltung.geometry.arguments import as_ints, length_of
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.transposed_axis import TransposedAxis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis, pad_amounts
from faltung.plans._problem import Recipe
from faltung.plans._rules import Overlap
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding, Shape

__all__ = ["fold"]

WINDOW = ("kernel_size", "stride", "dilation", "padding")


def one_axis(specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None) -> int:
    """The columns have one spatial axis: the windows."""
    return 1


def folded_axes(
    output_size: object, kernel_size: object, stride: object, dilation: object, padding: object
) -> tuple[TransposedAxis, ...]:
    """The axes of the result; with ints alone, there is one."""
    rank = length_of(output_size, kernel_size, stride, dilation, padding) or 1
    sizes = as_ints(output_size, "output_size", rank)
    windows = axis_windows(rank, kernel_size, stride, dilation, padding)
    return tuple(
        TransposedAxis(sliding_axis(window, size, "zeros"))
        for window, size in zip(windows, sizes, strict=True)
    )


def columns_of_one_channel(specs: Mapping[str, Spec], parameters: Mapping[str, Any]) -> Shape:
    """As many columns as there are windows over the output, with as many entries as taps."""
    axes = folded_axes(parameters["output_size"], *(parameters[name] for name in WINDOW))
    return 1, prod(axis.forward.taps for axis in axes), prod(axis.size for axis in axes)


def textbook(
    columns: Array,
    *,
    output_size: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
) -> Array:
    """Add each entry of each column to its cell, if that is not on the padding."""
    given = (output_size, kernel_size, stride, padding, dilation)
    rank = max(len(value) if isinstance(value, tuple) else 1 for value in given)
    sizes, kernel, strides, paddings, dilations = (each_axis(value, rank) for value in given)
    rows = zip(paddings, sizes, kernel, strides, dilations, strict=True)
    amounts = [pad_amounts(*row) for row in rows]
    places = [
        (n + sum(ends) - d * (k - 1) - 1) // s + 1
        for n, ends, k, s, d in zip(sizes, amounts, kernel, strides, dilations, strict=True)
    ]
    channels = columns.shape[1] // prod(kernel)
    split = columns.reshape(len(columns), channels, *kernel, *places)
    y = np.zeros((len(columns), channels, *sizes), columns.dtype)
    for taps in np.ndindex(*kernel):
        for place in np.ndindex(*places):
            cell = tuple(
                i * s - ends[0] + t * d
                for i, s, ends, t, d in zip(place, strides, amounts, taps, dilations, strict=True)
            )
            if all(0 <= c < n for c, n in zip(cell, sizes, strict=True)):
                y[(..., *cell)] += split[(slice(None), slice(None), *taps, *place)]
    return y


SAMPLES = (
    Sample("plain", {"columns": (2, 18, 9)}, {"output_size": (4, 5), "kernel_size": (2, 3)}),
    Sample(
        "one side padded, strides differ",
        {"columns": (2, 12, 9)},
        {
            "output_size": (7, 5),
            "kernel_size": (3, 2),
            "stride": (2, 3),
            "padding": ((1, 0), (2, 1)),
        },
    ),
    Sample(
        "gaps between the windows",
        {"columns": (1, 8, 9)},
        {"output_size": (11, 9), "kernel_size": (2, 2), "stride": (5, 4), "padding": "same"},
    ),
    Sample("one window", {"columns": (1, 18, 1)}, {"output_size": (3, 3), "kernel_size": (3, 3)}),
    Sample(
        "more padding than cells",
        {"columns": (1, 9, 18)},
        {"output_size": (1, 4), "kernel_size": (3, 3), "padding": (2, 2)},
    ),
    Sample(
        "dilated volume",
        {"columns": (1, 12, 24)},
        {
            "output_size": (3, 4, 2),
            "kernel_size": (2, 1, 3),
            "dilation": (1, 2, 3),
            "padding": "same_lower",
        },
    ),
    Sample(
        "causal signal",
        {"columns": (2, 12, 7)},
        {"output_size": 7, "kernel_size": 4, "padding": "causal", "dilation": 2},
    ),
    Sample(
        "cells that no window reaches",
        {"columns": (2, 4, 4)},
        {"output_size": (6, 7), "kernel_size": (1, 2), "stride": (4, 3), "padding": 0},
    ),
    Sample(
        "four axes",
        {"columns": (1, 16, 4)},
        {"output_size": (2, 3, 2, 2), "kernel_size": (2, 2, 1, 2), "padding": "valid"},
    ),
)


@operator(
    signature="n k j -> n c i...",
    rank=one_axis,
    reference=textbook,
    samples=SAMPLES,
    sources=(
        "K. Chellapilla et al., High performance convolutional neural networks, 2006",
        "torch.nn.Fold",
        "ONNX operator Col2Im",
    ),
    probe=columns_of_one_channel,
)
def fold(
    columns: ArrayLike,
    output_size: Ints,
    kernel_size: Ints,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Add every column to the cells that its window covers: the transpose of `unfold`.

    Parameters
    ----------
    columns : array, shape (N, C \* prod(kernel_size), L) or (C \* prod(kernel_size), L)
        A column for each of the L places of the window over the output, in row-major order; in a
        column the channels follow each other, in a channel the taps in row-major order.
    output_size : int or sequence of int
        Spatial shape of the result. With ints alone the result has one spatial axis.
    kernel_size : int or sequence of int
        Taps of the window, one for every axis or one an axis.
    stride, dilation : int or sequence of int
        Cells between neighbouring windows, and between neighbouring taps.
    padding : int, sequence, or name
        Cells that the windows reach beyond the ends of each axis, as in `unfold`; what falls
        there is lost.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: columns are ``(N, L, C * K)`` and the result ``(N, *output_size, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the columns.

    Returns
    -------
    array, shape (N, C, \*output_size) or (C, \*output_size)
        Of the dtype of the columns; a cell that no window covers is 0.

    Raises
    ------
    ShapeError
        Columns that are not as many as the windows, or as long as the channels and taps.
    WindowError
        Impossible output size, kernel, stride, padding or dilation.
    OptionError
        An unknown algorithm or data format.
    ResourceError
        A result that does not fit into memory.

    Notes
    -----
    It is the exact adjoint of `unfold` with a border of zeros, ``<unfold(x), c> == <x, fold(c)>``,
    not its inverse: ``fold(unfold(x))`` is x times the number of windows over each cell. The cost
    is ``N * C * prod(kernel_size) * L`` additions; the error of a cell is that of summing as many
    numbers as windows cover it.

    References
    ----------
    K. Chellapilla, S. Puri, P. Simard, "High performance convolutional neural networks for document
    processing", 2006. ``torch.nn.Fold``. ONNX operator specification, Col2Im.

    Examples
    --------
    Where windows overlap, they add up:

    >>> import faltung as ft
    >>> columns = ft.unfold([[1, 2, 3, 4]], (3,))
    >>> ft.fold(columns, (4,), (3,))
    array([[1, 4, 6, 4]])
    """
    sizes = match("fold", {"columns": columns})
    spec: Any = columns
    axes = folded_axes(output_size, kernel_size, stride, dilation, padding)
    channels = _channels(sizes["k"], tuple(axis.forward.taps for axis in axes))
    _check_windows(spec, axes)
    return Recipe(
        rule=Overlap(),
        axes=axes,
        batch=sizes["n"],
        groups=channels,
        channels=sizes["k"] // channels if channels else prod(axis.forward.taps for axis in axes),
        filters=1,
        algorithm=algorithm,
    )


def _channels(entries: int, kernel: Shape) -> int:
    taps = prod(kernel)
    if entries % taps:
        raise ShapeError(
            f"columns have {entries} entries, expected a multiple of the taps of the kernel, "
            f"{_product(kernel, taps)}",
            f"Pass columns of shape (N, C * {taps}, L)",
        )
    return entries // taps


def _check_windows(columns: Spec, axes: tuple[TransposedAxis, ...]) -> None:
    given, places = columns.shape[2], tuple(axis.size for axis in axes)
    if given != prod(places):
        outputs = tuple(axis.outputs for axis in axes)
        are_ints = len(axes) == 1
        raise ShapeError(
            f"columns do not fit output_size {outputs}: expected {_product(places, prod(places))} "
            f"windows, given {given}",
            "Pass output_size with one entry a spatial axis, and the window as it was unfolded"
            if are_ints
            else "Pass output_size, kernel_size, stride, padding and dilation as in unfold",
        )


def _product(factors: Shape, product: int) -> str:
    text = " * ".join(map(str, factors))
    return f"{text} = {product}" if len(factors) > 1 else text
