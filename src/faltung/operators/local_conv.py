"""Untied convolution: filters that differ from output position to output position.

Ignoring channels, the operator is a banded matrix without the equal diagonals of convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import ShapeError
from faltung.geometry.arguments import as_int
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import check_border
from faltung.operators._positions import check_positions, fitting_cells
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._problem import Recipe
from faltung.plans._rules import PositionSum
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding, Shape

__all__ = ["local_conv"]


def rank_of_weight(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: those of the weight after filters, channels and taps."""
    rank = specs["weight"].ndim - 3
    if rank < 1:
        raise ShapeError(
            f"weight has shape {specs['weight'].shape}, "
            "expected (filters, channels per group, taps, *out) with at least 4 axes"
        )
    return rank


def fitting_input(specs: Mapping[str, Spec], parameters: Mapping[str, Any]) -> Shape:
    """An input with as many windows as the weight has kernels."""
    rank_of_weight(specs, parameters, None)
    _, channels, _, *outputs = specs["weight"].shape
    groups = as_int(parameters["groups"], "groups")
    return 1, channels * groups, *fitting_cells(tuple(outputs), parameters)


def textbook(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    padding_value: Any,
) -> Array:
    """The loops over every output; each is one sum over channels and taps."""
    rank = x.ndim - 2
    kernel = tuple(each_axis(kernel_size, rank))
    padded, is_real = pad_input(x, kernel, stride, padding, dilation, padding_mode, padding_value)
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    per_group = weight.shape[1]
    filters_per_group = max(weight.shape[0] // groups, 1)
    y = np.zeros((x.shape[0], weight.shape[0], *weight.shape[3:]), x.dtype)
    for place in np.ndindex(*weight.shape[3:]):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, strides, dilations, kernel, strict=True)
        )
        real = is_real[window]
        if padding_mode == "blank" and not real.all():
            continue
        for n, o in np.ndindex(x.shape[0], weight.shape[0]):
            first = o // filters_per_group * per_group
            cells = padded[(n, slice(first, first + per_group), *window)]
            own = weight[(o, slice(None), slice(None), *place)].reshape(per_group, *kernel)
            y[n, o][place] = (cells * own)[:, real].sum()
            if bias is not None:
                y[n, o][place] += bias[o]
    return y


SAMPLES = (
    Sample(
        "plain",
        {"x": (2, 3, 4, 5), "weight": (2, 3, 6, 3, 3), "bias": (2,)},
        {"kernel_size": (2, 3)},
    ),
    Sample(
        "one side padded, strides differ, grouped",
        {"x": (2, 4, 7, 5), "weight": (6, 2, 6, 3, 5), "bias": (6,)},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 2},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4), "weight": (2, 2, 9, 3, 6)},
        {"kernel_size": 3, "padding": 2, "padding_mode": "symmetric"},
    ),
    Sample(
        "depthwise, dilated signal",
        {"x": (2, 3, 9), "weight": (6, 1, 3, 9), "bias": (6,)},
        {"kernel_size": 3, "dilation": 3, "groups": 3, "padding": "causal"},
    ),
    Sample(
        "stride above the kernel in a volume",
        {"x": (1, 2, 5, 5, 3), "weight": (1, 2, 4, 2, 2, 3)},
        {"kernel_size": (2, 2, 1), "stride": (4, 3, 1), "padding": (1, 0, 0)},
    ),
    Sample(
        "blank border",
        {"x": (1, 2, 4, 5), "weight": (2, 2, 9, 2, 5), "bias": (2,)},
        {"kernel_size": 3, "padding": "same", "stride": (2, 1), "padding_mode": "blank"},
    ),
    Sample(
        "constant border",
        {"x": (1, 2, 4, 5), "weight": (2, 2, 4, 5, 6)},
        {"kernel_size": 2, "padding": 1, "padding_mode": "fill", "padding_value": 1},
    ),
)


@operator(
    signature="n (g c) i..., (g o) c k j..., (g o) -> n (g o) j...",
    operands=("weight", "bias"),
    rank=rank_of_weight,
    reference=textbook,
    samples=SAMPLES,
    sources=("Y. Taigman et al., DeepFace, CVPR 2014", "Keras layer LocallyConnected2D"),
    probe=fitting_input,
)
def local_conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    padding_value: complex = 0,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Convolve with untied kernels: every output position has filters of its own.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data; any number of spatial axes.
    weight : array, shape (O, C // groups, K, \*out)
        One filter for each output channel and position; ``K = prod(kernel_size)`` taps in row-major
        order. Its layout does not change with `data_format`.
    bias : array, shape (O,), optional
        Added to every output of a channel.
    kernel_size : int or sequence of int
        Taps of the window.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring taps.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`.
    groups : int
        Groups of channels that are filtered apart from each other.
    padding_mode : str
        What the added cells show: ``"zeros"``, ``"constant"`` (with `padding_value`),
        ``"reflect"``, ``"symmetric"``, ``"edge"``, ``"wrap"``, or ``"blank"``: a window that
        leaves the input yields 0, without the bias.
    padding_value : number
        The value of cells outside under ``"constant"``.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the result are ``(N, *spatial, C)``.
    dtype : dtype, optional
        Dtype of the result, of the same kind or wider.
    out : array, optional
        Where to write the result; it may overlap the inputs.

    Returns
    -------
    array, shape (N, O, \*out) or (O, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, of
        dtype ``numpy.result_type(x, weight, bias)``.

    Raises
    ------
    ShapeError
        A weight that does not have filters for each output, or channels and groups that do not
        fit together.
    WindowError
        Impossible kernel size, stride, padding or dilation.
    OptionError
        An unknown mode, algorithm or data format.
    DTypeError
        Arrays without a common numeric dtype.

    Notes
    -----
    With stride s, dilation d and `before` cells of padding, ``y[n, o, i] = bias[o] + sum_{c, k}
    weight[o, c, k, i] * x[n, c, i * s + k * d - before]``. Cells outside the input take no part.
    The cost is that of `conv`, ``N * O * prod(out) * C / groups * K`` multiply-adds, the weight
    ``prod(out)`` times as large.

    References
    ----------
    Y. Taigman et al., "DeepFace: Closing the Gap to Human-Level Performance in Face Verification",
    CVPR 2014, section 3. Keras, LocallyConnected2D.

    Examples
    --------
    The first output adds its window, the second subtracts:

    >>> import numpy as np, faltung as ft
    >>> weight = np.array([[[[1, -1], [1, 1]]]])
    >>> ft.local_conv([[1, 2, 4]], weight, kernel_size=2)
    array([[3, 2]])
    """
    x_spec: Any = x
    weight_spec: Any = weight
    rank = x_spec.ndim - 2
    groups = as_int(groups, "groups")
    mode = canonical_mode(padding_mode)
    check_border(mode, padding_value)
    windows = axis_windows(rank, kernel_size, stride, dilation, padding)
    sizes = match("local_conv", {"x": x, "weight": weight, "bias": bias}, g=groups)
    axes = tuple(map(sliding_axis, windows, x_spec.shape[2:], (mode,) * rank))
    leading = f"{groups * sizes['o']}, {sizes['c']}"
    check_positions(weight_spec, kernel_size, axes, leading)
    return Recipe(
        rule=PositionSum(is_shared=False),
        axes=axes,
        batch=sizes["n"],
        groups=groups,
        channels=sizes["c"],
        filters=sizes["o"],
        fill=padding_value,
        fill_takes_part=mode == "constant",
        is_blank=mode == "blank",
        has_bias=bias is not None,
        algorithm=algorithm,
    )
