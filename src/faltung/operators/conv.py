"""Convolution: a weighted sum under a sliding window, summed over channels.

Ignoring space, the operator is a matrix product over channels, ``y = W x``; over space it is a
correlation. Its adjoint is `conv_transpose` with the same weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import ShapeError, WindowError
from faltung.geometry.arguments import as_int, as_ints, length_of
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec, check_cast
from faltung.operators._checks import as_flag, as_generator, check_border
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._problem import Recipe
from faltung.plans._rules import WeightedSum
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["conv", "conv1d", "conv2d", "conv3d"]


def rank_of_weight(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: those of the weight after filters and channels."""
    rank = specs["weight"].ndim - 2
    if rank < 1:
        raise ShapeError(
            f"weight has shape {specs['weight'].shape}, "
            "expected (filters, channels per group, *kernel) with at least 3 axes",
            "Add axes with weight[None, None]" if specs["weight"].ndim else "",
        )
    return rank


def textbook(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    padding_value: Any,
    flip: bool,
) -> Array:
    """The loops over every output; each is one sum over channels and taps."""
    kernel = weight.shape[2:]
    if flip:
        weight = np.flip(weight, axis=tuple(range(2, weight.ndim)))
    padded, is_real = pad_input(x, kernel, stride, padding, dilation, padding_mode, padding_value)
    strides, dilations = each_axis(stride, len(kernel)), each_axis(dilation, len(kernel))
    outputs = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    per_group = weight.shape[1]
    filters_per_group = max(weight.shape[0] // groups, 1)
    y = np.zeros((x.shape[0], weight.shape[0], *outputs), x.dtype)
    for place in np.ndindex(*outputs):
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
            y[n, o][place] = (cells * weight[o])[:, real].sum()
            if bias is not None:
                y[n, o][place] += bias[o]
    return y


SAMPLES = (
    Sample("plain", {"x": (2, 3, 5, 7), "weight": (4, 3, 3, 2), "bias": (4,)}),
    Sample("edge of a picture", {"x": (1, 1, 6, 8), "weight": (1, 1, 1, 2)}),
    Sample(
        "one side padded, strides differ",
        {"x": (2, 4, 7, 5), "weight": (6, 2, 3, 2), "bias": (6,)},
        {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 2},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 11, 9), "weight": (3, 2, 2, 1)},
        {"stride": (5, 4), "padding": "same"},
    ),
    Sample(
        "depthwise, dilated, flipped",
        {"x": (2, 3, 9, 8), "weight": (6, 1, 3, 3), "bias": (6,)},
        {"groups": 3, "dilation": (2, 3), "padding": "full", "flip": True},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4), "weight": (2, 2, 3, 3)},
        {"padding": 2, "padding_mode": "reflect"},
    ),
    Sample(
        "border longer than the axis",
        {"x": (1, 1, 3, 2), "weight": (2, 1, 2, 3)},
        {"padding": (7, 5), "padding_mode": "symmetric", "stride": (1, 2)},
    ),
    Sample(
        "causal signal",
        {"x": (2, 3, 17), "weight": (5, 3, 4), "bias": (5,)},
        {"padding": "causal", "dilation": 3, "stride": 2},
    ),
    Sample(
        "volume on a ring",
        {"x": (1, 2, 4, 3, 5), "weight": (2, 2, 2, 3, 2)},
        {"padding": "same_lower", "padding_mode": "wrap", "stride": (1, 2, 3)},
    ),
    Sample("four axes", {"x": (1, 2, 3, 4, 3, 2), "weight": (3, 2, 2, 1, 2, 2)}),
    Sample(
        "blank border",
        {"x": (1, 2, 6, 5), "weight": (2, 2, 3, 3), "bias": (2,)},
        {"padding": "same", "padding_mode": "blank", "stride": (2, 1)},
    ),
    Sample(
        "constant border",
        {"x": (1, 2, 4, 5), "weight": (2, 2, 3, 2)},
        {"padding": 1, "padding_mode": "constant", "padding_value": 1},
    ),
)


def draw(
    out_channels: int,
    in_channels: int,
    kernel_size: Ints,
    *,
    groups: int = 1,
    bias: bool = True,
    rng: Any = None,
    dtype: DTypeLike = np.float32,
) -> dict[str, Array]:
    """Random weights, uniform within ``1 / sqrt(channels per group * taps)``.

    References
    ----------
    Y. LeCun et al., "Efficient BackProp", 1998, section 4.6; the bound is PyTorch's default.
    """
    filters = as_int(out_channels, "out_channels")
    channels, groups = as_int(in_channels, "in_channels"), as_int(groups, "groups")
    if channels % groups or filters % groups:
        raise ShapeError(
            f"groups={groups} does not divide in_channels={channels} and out_channels={filters}",
            "Use a number of groups that divides both",
        )
    kernel = as_ints(kernel_size, "kernel_size", length_of(kernel_size) or 2)
    kind = check_cast(np.dtype(np.float16), dtype)
    shape = (filters, channels // groups, *kernel)
    bound = (channels // groups * np.prod(kernel)) ** -0.5
    generator = as_generator(rng)
    drawn: dict[str, Array] = {"weight": generator.uniform(-bound, bound, shape).astype(kind)}
    if bias:
        drawn["bias"] = generator.uniform(-bound, bound, filters).astype(kind)
    return drawn


@operator(
    signature="n (g c) i..., (g o) c k..., (g o) -> n (g o) j...",
    operands=("weight", "bias"),
    rank=rank_of_weight,
    reference=textbook,
    samples=SAMPLES,
    sources=(
        "V. Dumoulin, F. Visin, A guide to convolution arithmetic, arXiv:1603.07285",
        "ONNX operator Conv",
    ),
    class_parameters={"activation": None},
    draw=draw,
)
def conv(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    padding_value: complex = 0,
    flip: bool = False,
    precision: str | None = None,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Slide a bank of filters over the data and sum the products, over channels too.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data; any number of spatial axes.
    weight : array, shape (O, C // groups, \*kernel)
        One filter for each output channel; the number of spatial axes is ``weight.ndim - 2``.
    bias : array, shape (O,), optional
        Added to every output of a filter.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring taps; one for every axis or
        one an axis.
    padding : int, sequence, or name
        Cells added at the ends of each axis: an int, one int an axis, one ``(before, after)``
        pair an axis, or ``"valid"`` (none), ``"same"`` (output size ``ceil(n / stride)``, the
        extra cell after), ``"same_lower"`` (before), ``"full"``, ``"causal"``.
    groups : int
        Groups of channels that are filtered apart from each other; ``groups=C`` is depthwise.
    padding_mode : str
        What the added cells show: ``"zeros"``, ``"constant"`` (with `padding_value`),
        ``"reflect"``, ``"symmetric"``, ``"edge"``, ``"wrap"``, or ``"blank"``: a window that
        leaves the input yields 0.
    padding_value : number
        The value of cells outside under ``"constant"``.
    flip : bool
        Reverse the kernel on every spatial axis: convolution in the mathematical sense. Without
        it the operator is a cross-correlation, as everywhere in deep learning.
    precision : {"highest", "high", "medium"}, optional
        Precision of float32 products; by default that of `set_precision`.
    algorithm : str, optional
        One of `algorithms()` instead of the planner's choice.
    data_format : {"channels_first", "channels_last"}
        ``"channels_last"``: x and the result are ``(N, *spatial, C)``; the weight stays.
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
        Arrays whose channels, groups or axes do not fit together.
    WindowError
        Impossible stride, padding or dilation, or a window larger than the padded input.
    OptionError
        An unknown mode, algorithm, precision or data format.
    DTypeError
        Arrays without a common numeric dtype.
    ResourceError
        A result that does not fit into memory.

    Notes
    -----
    With stride s, dilation d and `before` cells of padding,
    ``y[n, o, i] = bias[o] + sum_{c, k} weight[o, c, k] * x[n, c, i * s + k * d - before]``.
    Cells outside the input take no part in the sum. Float sums obey ``|y - exact| <=
    1.01 (K + 2) u (|x| * |w|)`` element by element, with K terms and unit roundoff u; integers
    wrap like NumPy's; float16 and bfloat16 are summed in float32 and rounded once. The cost is
    ``N * O * prod(out) * C / groups * prod(kernel)`` multiply-adds.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285. ONNX operator specification, Conv.

    Examples
    --------
    The edges of a white picture with a dark bar:

    >>> import numpy as np, faltung as ft
    >>> picture = np.ones((1, 3, 8))
    >>> picture[:, :, 2:6] = 0
    >>> ft.conv2d(picture, [[[[1, -1]]]])
    array([[[ 0.,  1.,  0.,  0.,  0., -1.,  0.],
            [ 0.,  1.,  0.,  0.,  0., -1.,  0.],
            [ 0.,  1.,  0.,  0.,  0., -1.,  0.]]])
    """
    groups = as_int(groups, "groups")
    sizes = match("conv", {"x": x, "weight": weight, "bias": bias}, g=groups)
    mode = canonical_mode(padding_mode)
    check_border(mode, padding_value)
    kernel, spatial = sizes.spatial["k"], sizes.spatial["i"]
    if 0 in kernel:
        raise WindowError(f"weight has a kernel of shape {kernel}, expected at least 1 tap an axis")
    windows = axis_windows(len(kernel), kernel, stride, dilation, padding)
    return Recipe(
        rule=WeightedSum(is_flipped=as_flag(flip, "flip")),
        axes=tuple(map(sliding_axis, windows, spatial, (mode,) * len(kernel))),
        batch=sizes["n"],
        groups=groups,
        channels=sizes["c"],
        filters=sizes["o"],
        fill=padding_value,
        fill_takes_part=mode == "constant",
        is_blank=mode == "blank",
        has_bias=bias is not None,
        precision=precision,
        algorithm=algorithm,
    )


conv1d, conv2d, conv3d = ranked(conv, 1), ranked(conv, 2), ranked(conv, 3)
