"""Involution: a kernel for every output position, shared by the channels of a group.

The inverse of convolution's symmetry: convolution has one kernel for all positions and many for the
channels, involution one for each position and few for the channels. Ignoring channels, the operator
is a banded matrix whose rows are the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import ShapeError
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import check_border, rank_of
from faltung.operators._positions import check_positions, fitting_cells
from faltung.operators._record import Sample, match, operator, ranked
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._problem import Recipe
from faltung.plans._rules import PositionSum
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding, Shape

__all__ = ["involution", "involution2d"]


def rank_of_window(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the kernel size; with an int, those of a batch."""
    if wanted is None and "x" not in specs:
        weight = specs["weight"]
        specs = {"weight": weight._replace(shape=weight.shape[1:])}
    return rank_of("kernel_size", specs, parameters, wanted)


def _batched(weight: Spec, rank: int) -> Spec:
    """The weight with a batch axis."""
    if weight.ndim == rank + 2:
        weight = weight._replace(shape=(1, *weight.shape))
    if weight.ndim != rank + 3:
        raise ShapeError(
            f"weight has shape {weight.shape}, expected (N, G, K, *out) or (G, K, *out) with "
            f"{rank} spatial {'axis' if rank == 1 else 'axes'}",
            "With an int as kernel_size the data has a batch axis; else pass one int an axis",
        )
    return weight


def fitting_input(specs: Mapping[str, Spec], parameters: Mapping[str, Any]) -> Shape:
    """An input with one channel a group and as many windows as the weight has kernels."""
    weight = _batched(specs["weight"], rank_of_window(specs, parameters, None))
    return *weight.shape[:2], *fitting_cells(weight.shape[3:], parameters)


def textbook(
    x: Array,
    weight: Array,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    padding_mode: str,
    padding_value: Any,
) -> Array:
    """The loops over every output; each is one sum over the taps of its own kernel."""
    rank = x.ndim - 2
    kernel = tuple(each_axis(kernel_size, rank))
    weight = weight.reshape(x.shape[0], *weight.shape[-rank - 2 :])
    padded, is_real = pad_input(x, kernel, stride, padding, dilation, padding_mode, padding_value)
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    y = np.zeros((*x.shape[:2], *weight.shape[3:]), x.dtype)
    channels_per_group = x.shape[1] // weight.shape[1]
    for place in np.ndindex(*weight.shape[3:]):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, strides, dilations, kernel, strict=True)
        )
        real = is_real[window]
        if padding_mode == "blank" and not real.all():
            continue
        for n, c in np.ndindex(*x.shape[:2]):
            own = weight[(n, c // channels_per_group, slice(None), *place)].reshape(kernel)
            y[n, c][place] = (padded[n, c][window] * own)[real].sum()
    return y


SAMPLES = (
    Sample("plain", {"x": (2, 4, 5, 6), "weight": (2, 2, 6, 4, 4)}, {"kernel_size": (2, 3)}),
    Sample(
        "one side padded, strides differ",
        {"x": (1, 3, 7, 5), "weight": (1, 3, 6, 3, 5)},
        {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (0, 1))},
    ),
    Sample(
        "even kernel of a strided picture",
        {"x": (2, 2, 7, 6), "weight": (2, 1, 16, 4, 3)},
        {"kernel_size": 4, "stride": 2, "padding": "same"},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4), "weight": (1, 2, 9, 3, 6)},
        {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    ),
    Sample(
        "dilated ring",
        {"x": (2, 6, 5), "weight": (2, 3, 4, 5)},
        {"kernel_size": 4, "dilation": 3, "padding": "same_lower", "padding_mode": "wrap"},
    ),
    Sample(
        "stride above the kernel in a volume",
        {"x": (1, 2, 5, 5, 3), "weight": (1, 1, 4, 2, 2, 3)},
        {"kernel_size": (2, 2, 1), "stride": (4, 3, 1), "padding": (1, 0, 0)},
    ),
    Sample(
        "blank border",
        {"x": (1, 2, 4, 5), "weight": (1, 2, 9, 4, 5)},
        {"kernel_size": 3, "padding": "same", "padding_mode": "blank"},
    ),
    Sample(
        "constant border",
        {"x": (1, 2, 4, 5), "weight": (1, 2, 4, 5, 6)},
        {"kernel_size": 2, "padding": 1, "padding_mode": "constant", "padding_value": 1},
    ),
)


@operator(
    signature="n (g c) i..., n g k j... -> n (g c) j...",
    operands=("weight",),
    rank=rank_of_window,
    reference=textbook,
    samples=SAMPLES,
    sources=("D. Li et al., Involution, arXiv:2103.06255",),
    probe=fitting_input,
)
def involution(
    x: ArrayLike,
    weight: ArrayLike,
    *,
    kernel_size: Ints,
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
    r"""Sum each window with a kernel of its own, channel by channel.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data; any number of spatial axes.
    weight : array, shape (N, G, K, \*out), or (G, K, \*out) for data without a batch axis
        One kernel for every output position; ``K = prod(kernel_size)`` taps in row-major order.
        G divides C, and channel c uses group ``c // (C // G)``. Its layout does not change with
        `data_format`.
    kernel_size : int or sequence of int
        Taps of the window. With an int, all axes of x but the first two are spatial.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring taps.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`.
    padding_mode : str
        What the added cells show: ``"zeros"``, ``"constant"`` (with `padding_value`),
        ``"reflect"``, ``"symmetric"``, ``"edge"``, ``"wrap"``, or ``"blank"``: a window that
        leaves the input yields 0.
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
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, of
        dtype ``numpy.result_type(x, weight)``.

    Raises
    ------
    ShapeError
        A weight that does not have one kernel for each output, or groups that do not divide C.
    WindowError
        Impossible kernel size, stride, padding or dilation.
    OptionError
        An unknown mode, algorithm or data format.
    DTypeError
        Arrays without a common numeric dtype.

    Notes
    -----
    With stride s, dilation d and `before` cells of padding, ``y[n, c, i] = sum_k
    weight[n, c // (C // G), k, i] * x[n, c, i * s + k * d - before]``. Cells outside the input take
    no part. The cost is ``N * C * prod(out) * K`` multiply-adds; the adjoint adds each output,
    times its kernel, back to the cells of its window.

    References
    ----------
    D. Li et al., "Involution: Inverting the Inherence of Convolution for Visual Recognition",
    arXiv:2103.06255, equation 4.

    Examples
    --------
    A kernel that looks left in one place and right in the other:

    >>> import numpy as np, faltung as ft
    >>> kernels = np.array([[[1, 0], [0, 0], [0, 1]]])
    >>> ft.involution([[1, 2, 3, 4]], kernels, kernel_size=(3,))
    array([[1, 4]])
    """
    x_spec: Any = x
    given: Any = weight
    rank = x_spec.ndim - 2
    weight_spec = _batched(given, rank)
    groups = weight_spec.shape[1]
    mode = canonical_mode(padding_mode)
    check_border(mode, padding_value)
    windows = axis_windows(rank, kernel_size, stride, dilation, padding)
    axes = tuple(map(sliding_axis, windows, x_spec.shape[2:], (mode,) * rank))
    sizes = match("involution", {"x": x, "weight": weight_spec}, g=groups)
    check_positions(weight_spec, kernel_size, axes, f"{sizes['n']}, {groups}")
    return Recipe(
        rule=PositionSum(is_shared=True),
        axes=axes,
        batch=sizes["n"],
        groups=groups,
        channels=sizes["c"],
        filters=sizes["c"],
        fill=padding_value,
        fill_takes_part=mode == "constant",
        is_blank=mode == "blank",
        algorithm=algorithm,
    )


involution2d = ranked(involution, 2)
