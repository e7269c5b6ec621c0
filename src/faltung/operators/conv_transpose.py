"""Transposed convolution: every input spreads a scaled kernel, and what overlaps is added.

Ignoring space, the operator is ``y = W' x`` with the weight of the `conv` whose adjoint it is:
``<conv(x, w), y> == <x, conv_transpose(y, w)>`` for real numbers, whatever the border.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import OptionError, ShapeError, WindowError, shown
from faltung.geometry.arguments import AMPLE, as_int, as_ints
from faltung.geometry.axis import AxisWindow
from faltung.geometry.border import MODES, canonical_mode
from faltung.geometry.transposed_axis import transposed_axis, transposed_base
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import as_flag
from faltung.operators._output_size import spatial_size, split_size
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import NUMPY_MODES, each_axis
from faltung.plans._problem import Recipe
from faltung.plans._rules import WeightedSum
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding, Shape

__all__ = ["conv_transpose", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

LINEAR_MODES = tuple(mode for mode in MODES if mode != "constant")


def rank_of_weight(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: those of the weight after its channels and those of the output."""
    rank = specs["weight"].ndim - 2
    if rank < 1:
        raise ShapeError(
            f"weight has shape {specs['weight'].shape}, "
            "expected (channels, output channels per group, *kernel) with at least 3 axes",
            "Add axes with weight[None, None]" if specs["weight"].ndim else "",
        )
    return rank


def removed(padding: Any, inputs: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Cells that the padding removes from the start, and the size of the output."""
    span = dilation * (kernel - 1) + 1
    whole = (inputs - 1) * stride + span
    if padding in ("same", "half", "same_lower", "causal"):
        total = max(span - stride, 0)
        before = {"causal": 0, "same_lower": total - total // 2}.get(padding, total // 2)
        return before, inputs * stride
    if padding in ("valid", "full"):
        padding = 0 if padding == "valid" else span - 1
    before, after = (padding, padding) if isinstance(padding, int) else padding
    return before, whole - before - after


def textbook(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    output_size: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    flip: bool,
) -> Array:
    """Every input spreads the kernel over an empty array; borders are where `numpy.pad` reads."""
    kernel = weight.shape[2:]
    rank = len(kernel)
    if flip:
        weight = np.flip(weight, axis=tuple(range(2, weight.ndim)))
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    shown_cells, sizes = [], []
    for axis, (amount, more) in enumerate(
        zip(each_axis(padding, rank), each_axis(output_padding, rank), strict=True)
    ):
        column = x.shape[2 + axis], kernel[axis], strides[axis], dilations[axis]
        before, size = removed(amount, *column)
        size = size + more if output_size is None else each_axis(output_size, rank)[axis - rank]
        spread = (column[0] - 1) * column[2] + column[3] * (column[1] - 1) + 1
        mode: Any = NUMPY_MODES[padding_mode]
        outside = {"constant_values": -1} if mode == "constant" else {}
        ends = before, max(spread - size - before, 0)
        shown_cells.append(np.pad(np.arange(size), ends, mode, **outside))
        sizes.append(size)
    per_group, filters = x.shape[1] // groups, weight.shape[1]
    y = np.zeros((x.shape[0], groups * filters, *sizes), x.dtype)
    for place in np.ndindex(*x.shape[2:]):
        targets = {}
        for taps in np.ndindex(*kernel):
            targets[taps] = tuple(
                int(cells[i * s + t * d])
                for cells, i, s, t, d in zip(
                    shown_cells, place, strides, taps, dilations, strict=True
                )
            )
        if padding_mode == "blank" and any(min(cell) < 0 for cell in targets.values()):
            continue
        for taps, cell in targets.items():
            if min(cell) < 0:
                continue
            for g in range(groups):
                channels = slice(g * per_group, (g + 1) * per_group)
                target: Any = (slice(None), slice(g * filters, (g + 1) * filters), *cell)
                y[target] += x[:, channels][(..., *place)] @ weight[channels][(..., *taps)]
    if bias is not None:
        y += bias.reshape(-1, *[1] * rank)
    return y


SAMPLES = (
    Sample("plain", {"x": (2, 3, 4, 5), "weight": (3, 4, 3, 2), "bias": (4,)}),
    Sample(
        "checkerboard",
        {"x": (1, 1, 4, 3), "weight": (1, 1, 3, 3)},
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    Sample(
        "groups, one side removed, strides differ",
        {"x": (2, 4, 3, 5), "weight": (4, 3, 3, 2), "bias": (6,)},
        {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "groups": 2},
    ),
    Sample(
        "stride above the kernel",
        {"x": (1, 2, 3, 4), "weight": (2, 3, 2, 1), "bias": (3,)},
        {"stride": (5, 4), "padding": "same"},
    ),
    Sample(
        "depthwise, dilated, flipped, full",
        {"x": (2, 3, 8, 9), "weight": (3, 2, 3, 3)},
        {"groups": 3, "dilation": (2, 3), "padding": "full", "flip": True},
    ),
    Sample(
        "axes of one cell, mirrored",
        {"x": (1, 2, 1, 4), "weight": (2, 2, 3, 3)},
        {"padding": 1, "padding_mode": "reflect"},
    ),
    Sample(
        "border longer than the axis",
        {"x": (1, 1, 9, 8), "weight": (1, 2, 2, 3)},
        {"padding": ((4, 3), (5, 2)), "padding_mode": "symmetric"},
    ),
    Sample(
        "dilation above the stride, an output size",
        {"x": (2, 2, 5), "weight": (2, 3, 4), "bias": (3,)},
        {"padding": "causal", "dilation": 3, "stride": 2, "output_size": (12,)},
    ),
    Sample(
        "volume on a ring",
        {"x": (1, 2, 2, 3, 2), "weight": (2, 2, 2, 3, 2)},
        {"padding": "same_lower", "padding_mode": "wrap", "stride": (1, 2, 3)},
    ),
    Sample(
        "edges collect",
        {"x": (1, 2, 7), "weight": (2, 1, 3)},
        {"padding": ((3, 1),), "padding_mode": "edge", "stride": 2},
    ),
    Sample("four axes", {"x": (1, 2, 2, 3, 2, 2), "weight": (2, 3, 2, 1, 2, 2)}),
    Sample(
        "blank border",
        {"x": (1, 2, 5, 4), "weight": (2, 2, 3, 3), "bias": (2,)},
        {"padding": 1, "padding_mode": "blank", "stride": (2, 1)},
    ),
)


def ample_input(specs: Mapping[str, Spec], parameters: Mapping[str, Any]) -> Shape:
    """A large input, or one that reaches the output size that is wanted."""
    rank = rank_of_weight(specs, parameters, None)
    channels, _, *kernel = specs["weight"].shape
    output_size, data_format = parameters["output_size"], parameters["data_format"]
    if output_size is None:
        return 1, channels, *(AMPLE,) * rank
    leading, sizes = split_size(output_size, rank, data_format)
    inputs = []
    for window, wanted in zip(_windows(tuple(kernel), parameters), sizes, strict=True):
        least = transposed_base(window, 1)[1]
        inputs.append(max((wanted - least) // window.stride, 0) + 1)
    return leading[0] if len(leading) == 2 else 1, channels, *inputs


@operator(
    signature="n a i..., a o k..., (g o) -> n (g o) j...",
    operands=("weight", "bias"),
    rank=rank_of_weight,
    reference=textbook,
    samples=SAMPLES,
    sources=(
        "V. Dumoulin, F. Visin, A guide to convolution arithmetic, arXiv:1603.07285",
        "ONNX operator ConvTranspose",
    ),
    probe=ample_input,
)
def conv_transpose(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    output_size: Ints | None = None,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    flip: bool = False,
    precision: str | None = None,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Spread a bank of kernels from every input and add up: the transpose of `conv`.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data; any number of spatial axes.
    weight : array, shape (C, O // groups, \*kernel)
        The weight of the `conv` that is transposed; its number of spatial axes is
        ``weight.ndim - 2``.
    bias : array, shape (O,), optional
        Added to every output of a channel.
    stride, dilation : int or sequence of int
        Cells between the places of neighbouring inputs, and between neighbouring taps.
    padding : int, sequence, or name
        Cells removed at the ends of each axis: an int, one int an axis, one ``(before, after)``
        pair an axis, or ``"valid"`` (none), ``"same"`` (output size ``n * stride``, the extra cell
        removed after), ``"same_lower"`` (before), ``"full"`` (``dilation * (k - 1)`` on both
        sides), ``"causal"`` (output size ``n * stride``, all removed after).
    output_padding : int or sequence of int
        Cells added at the end of each axis, fewer than ``max(stride, dilation)``.
    output_size : int or sequence of int, optional
        The output's spatial shape, or its whole shape; picks the `output_padding`.
    groups : int
        Groups of channels that are kept apart from each other.
    padding_mode : str
        The border of the `conv` that is transposed: what falls on a cell of its padding is added
        to the cell that is read there. ``"zeros"`` (lost), ``"reflect"``, ``"symmetric"``,
        ``"edge"``, ``"wrap"``, or ``"blank"`` (an input whose kernel leaves the output counts
        nowhere).
    flip : bool
        Reverse the kernel on every spatial axis.
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
        ``out = (n - 1) * stride + dilation * (k - 1) + 1 - before - after + output_padding`` on
        each axis, of dtype ``numpy.result_type(x, weight, bias)``.

    Raises
    ------
    ShapeError
        Arrays whose channels, groups or axes do not fit together.
    WindowError
        Impossible stride, padding or dilation, an output size that cannot be reached, or a
        padding that removes everything.
    OptionError
        An unknown mode, algorithm, precision or data format.
    DTypeError
        Arrays without a common numeric dtype.
    ResourceError
        A result that does not fit into memory.

    Notes
    -----
    With stride s, dilation d and `before` cells removed, ``y[n, o, i * s + k * d - before] +=
    weight[c, o, k] * x[n, c, i]`` for every input i and tap k. It is the adjoint of `conv` for
    real numbers; for complex ones it does not conjugate. Sums are as exact as those of `conv`. The
    cost is ``N * C * prod(spatial) * O / groups * prod(kernel)`` multiply-adds.

    References
    ----------
    V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285,
    section 4. ONNX operator specification, ConvTranspose.

    Examples
    --------
    Where kernels overlap, they add up:

    >>> import faltung as ft
    >>> ft.conv_transpose1d([[1, 10, 100]], [[[1, 2, 3]]], stride=2)
    array([[  1,   2,  13,  20, 130, 200, 300]])
    """
    groups = as_int(groups, "groups")
    sizes = match("conv_transpose", {"x": x, "weight": weight, "bias": bias}, g=groups)
    if sizes["a"] % groups:
        raise ShapeError(
            f"groups={groups} does not divide the {sizes['a']} channels of weight",
            f"Use a number of groups that divides {sizes['a']}",
        )
    mode = canonical_mode(padding_mode, allowed=LINEAR_MODES)
    kernel, spatial = sizes.spatial["k"], sizes.spatial["i"]
    given = {"stride": stride, "dilation": dilation, "padding": padding}
    windows = _windows(kernel, given)
    extra = as_ints(output_padding, "output_padding", len(kernel), 0)
    if output_size is not None and any(extra):
        raise OptionError(
            f"output_padding is {shown(output_padding)} beside an output_size, which picks it",
            "Give one of the two",
        )
    wanted: Shape | None = None
    if output_size is not None:
        actual = sizes["n"], groups * sizes["o"]
        wanted = spatial_size(output_size, len(kernel), data_format, actual)
    axes = [
        transposed_axis(window, size, mode, extra[place], None if wanted is None else wanted[place])
        for place, (window, size) in enumerate(zip(windows, spatial, strict=True))
    ]
    return Recipe(
        rule=WeightedSum(is_flipped=as_flag(flip, "flip"), is_transposed=True, groups=groups),
        axes=tuple(axes),
        batch=sizes["n"],
        groups=groups,
        channels=sizes["a"] // groups,
        filters=sizes["o"],
        has_bias=bias is not None,
        precision=precision,
        algorithm=algorithm,
    )


def _windows(kernel: Shape, parameters: Mapping[str, Any]) -> tuple[AxisWindow, ...]:
    if 0 in kernel:
        raise WindowError(f"weight has a kernel of shape {kernel}, expected at least 1 tap an axis")
    rank = len(kernel)
    return axis_windows(
        rank, kernel, parameters["stride"], parameters["dilation"], parameters["padding"]
    )


conv_transpose1d = ranked(conv_transpose, 1)
conv_transpose2d = ranked(conv_transpose, 2)
conv_transpose3d = ranked(conv_transpose, 3)
