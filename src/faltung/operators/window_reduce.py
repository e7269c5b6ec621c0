"""Any reduction of the values in each window: order statistics, moments, a user's own function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np

from faltung.compiled.rows import row_function
from faltung.errors import DTypeError, OptionError, shown
from faltung.geometry.border import canonical_mode
from faltung.geometry.stencil import sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators import _statistics
from faltung.operators._arrays import Spec
from faltung.operators._checks import check_border, rank_of
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis, pad_input
from faltung.plans._order import neighbours
from faltung.plans._problem import Recipe
from faltung.plans._rules import Reduction
from faltung.typing import Array, ArrayLike, DTypeLike, Ints, Padding

__all__ = ["window_reduce"]

KEEPING = ("sum", "min", "max", "range", "rank")
"""Reductions of integers that are integers."""


def rank_of_window(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the kernel size, or all but batch and channels."""
    return rank_of("kernel_size", specs, parameters, wanted)


def result_dtype(dtype: np.dtype[Any], parameters: Mapping[str, Any]) -> np.dtype[Any]:
    """Float64 for statistics of integers; complex numbers have sums and means alone."""
    reduction = parameters["reduction"]
    if dtype.kind == "c" and not callable(reduction) and reduction not in ("sum", "mean"):
        raise DTypeError(
            f"x has dtype {dtype}, for which reduction {shown(reduction)} has no meaning",
            "Pass numpy.abs(x), or the real and the imaginary part one after the other",
        )
    is_kept = (reduction if isinstance(reduction, str) else _head(reduction)) in KEEPING
    return np.dtype(np.float64) if dtype.kind in "biu" and not is_kept else dtype


def as_rule(reduction: object, taps: int) -> Reduction:
    """The rule of a reduction by name, as a percentile or rank, or as a function."""
    if isinstance(reduction, str) and reduction in _statistics.NAMED:
        gradient = _statistics.GRADIENTS[reduction]
        order = _statistics.middle if reduction == "median" else None
        return Reduction(
            reduction,
            _statistics.NAMED[reduction],
            gradient=gradient,
            order=order,
            divisor=_statistics.DIVISORS.get(reduction),
        )
    if _head(reduction) == "percentile":
        share = _share(reduction[1])  # type: ignore[index]
        return Reduction(
            "percentile",
            partial(_statistics.percentile, share=share),
            gradient=partial(_statistics.percentile_gradient, share=share),
            order=partial(neighbours, share=share),
        )
    if _head(reduction) == "rank":
        place = _place(reduction[1], taps)  # type: ignore[index]
        return Reduction(
            "rank",
            partial(_statistics.rank, place=place),
            gradient=partial(_statistics.rank_gradient, place=place),
            order=partial(_statistics.only, place=place),
        )
    if callable(reduction):
        try:
            rows = row_function(reduction)
        except TypeError:  # not even a hash
            raise OptionError(
                f"reduction is {shown(reduction)}, which has no hash",
                "Pass a plain Python function",
            ) from None
        return Reduction("function", rows, rows.compile)
    names = ", ".join(map(repr, _statistics.NAMED))
    raise OptionError(
        f"reduction is {shown(reduction)}, which is not known",
        f"Use one of {names}, ('percentile', q), ('rank', i), or a function of a 1-D array",
    )


def _head(reduction: object) -> object:
    """The name of a reduction that is a pair, such as a percentile."""
    is_pair = isinstance(reduction, tuple | list) and len(reduction) == 2
    return reduction[0] if is_pair and isinstance(reduction[0], str) else None  # type: ignore[index]


def _share(percent: object) -> float:
    is_number = isinstance(percent, int | float | np.number) and not isinstance(percent, bool)
    if is_number and 0 <= percent <= 100:  # type: ignore[operator]
        return float(percent) / 100  # type: ignore[arg-type]
    raise OptionError(f"reduction has percentile {shown(percent)}, expected a number from 0 to 100")


def _place(place: object, taps: int) -> int:
    is_int = isinstance(place, int | np.integer) and not isinstance(place, bool)
    if is_int and 0 <= place < taps:  # type: ignore[operator]
        return int(place)  # type: ignore[call-overload,no-any-return]
    raise OptionError(
        f"reduction has rank {shown(place)}, expected a whole number from 0 to {taps - 1} for a "
        f"window of {taps} taps"
    )


def ends(values: Array) -> Any:
    """The last value less the first: a reduction for the samples."""
    return values[-1] - values[0]


TEXTBOOK: dict[str, Callable[[Array], Any]] = {
    "sum": lambda values: values.sum(),
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "range": lambda values: np.max(values) - np.min(values),
    "median": np.median,
    "var": lambda values: (values**2).mean() - values.mean() ** 2,
    "std": lambda values: max((values**2).mean() - values.mean() ** 2, 0) ** 0.5,
    "logsumexp": np.logaddexp.reduce,
}


def _ranked(values: Array, q: int) -> Any:
    with_nan = [value for value in values if np.isnan(value)]
    return with_nan[0] if with_nan else sorted(values)[q]


def textbook(
    x: Array,
    *,
    kernel_size: Any,
    reduction: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    padding_mode: str,
    padding_value: Any,
) -> Array:
    """The loops over every output; each reduces the values of one window."""
    rank = x.ndim - 2
    kernel = tuple(each_axis(kernel_size, rank))
    padded, _ = pad_input(x, kernel, stride, padding, dilation, padding_mode, padding_value)
    is_inside = pad_input(x, kernel, stride, padding, dilation)[1]
    strides, dilations = each_axis(stride, rank), each_axis(dilation, rank)
    function = reduction if callable(reduction) else TEXTBOOK.get(reduction)
    if function is None:
        find: Any = {"percentile": np.percentile, "rank": _ranked}[reduction[0]]
        function = partial(find, q=reduction[1])
    outputs = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(padded.shape[2:], kernel, strides, dilations, strict=True)
    ]
    y = np.zeros((*x.shape[:2], *outputs), x.dtype)
    for place in np.ndindex(*outputs):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, strides, dilations, kernel, strict=True)
        )
        if padding_mode == "blank" and not is_inside[window].all():
            continue
        for n, c in np.ndindex(*x.shape[:2]):
            y[n, c][place] = function(padded[n, c][window].ravel())
    return y


SAMPLES = (
    Sample("sum of a picture", {"x": (2, 3, 5, 7)}, {"kernel_size": (3, 2), "reduction": "sum"}),
    Sample(
        "minimum, one side padded, strides differ",
        {"x": (1, 2, 7, 6)},
        {
            "kernel_size": (2, 3),
            "reduction": "min",
            "stride": (2, 1),
            "padding": ((1, 0), (0, 2)),
        },
    ),
    Sample(
        "median with an even count",
        {"x": (2, 1, 6, 5)},
        {"kernel_size": (2, 2), "reduction": "median", "padding": "same", "padding_mode": "wrap"},
    ),
    Sample(
        "axes of one cell",
        {"x": (1, 2, 1, 4)},
        {"kernel_size": (3, 3), "reduction": "var", "padding": 2, "padding_mode": "reflect"},
    ),
    Sample(
        "dilated signal",
        {"x": (2, 3, 13)},
        {"kernel_size": (3,), "reduction": "std", "dilation": 3, "padding": "causal"},
    ),
    Sample(
        "stride above the kernel in a volume",
        {"x": (1, 2, 5, 4, 3)},
        {"kernel_size": (2, 2, 1), "reduction": "range", "stride": (4, 3, 1)},
    ),
    Sample(
        "constant border",
        {"x": (1, 1, 4, 4)},
        {
            "kernel_size": (3, 3),
            "reduction": "logsumexp",
            "padding": 1,
            "padding_mode": "constant",
            "padding_value": 1,
        },
    ),
    Sample(
        "percentile, blank border",
        {"x": (1, 2, 5, 6)},
        {
            "kernel_size": (3, 3),
            "reduction": ("percentile", 30),
            "padding": "same",
            "padding_mode": "blank",
        },
    ),
    Sample(
        "rank, strides differ",
        {"x": (2, 1, 6, 5)},
        {"kernel_size": (2, 3), "reduction": ("rank", 4), "stride": (1, 2), "padding": 1},
    ),
    Sample("a function", {"x": (2, 2, 9)}, {"kernel_size": (4,), "reduction": ends, "padding": 1}),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_window,
    reference=textbook,
    samples=SAMPLES,
    sources=("scipy.ndimage.generic_filter", "J. W. Tukey, Exploratory Data Analysis, 1977"),
    result_dtype=result_dtype,
)
def window_reduce(
    x: ArrayLike,
    kernel_size: Ints,
    reduction: Any,
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
    r"""Reduce the values of every window to one number, channel by channel.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data.
    kernel_size : int or sequence of int
        Taps of the window. With an int, all axes of x but the first two are spatial.
    reduction : str, ("percentile", q), ("rank", i), or function
        ``"sum"``, ``"mean"``, ``"min"``, ``"max"``, ``"range"`` (largest less smallest),
        ``"median"``, ``"var"``, ``"std"`` (of the window as a population), ``"logsumexp"``; a
        percentile with q from 0 to 100, interpolated as in `numpy.percentile`; the value with rank
        i in ascending order, counted from 0; or a Python function of a 1-D array of the window's
        values in row-major order, which returns a number. Numba compiles it; without Numba it runs
        as it is.
    stride, dilation : int or sequence of int
        Cells between neighbouring outputs, and between neighbouring taps.
    padding : int, sequence, or name
        Cells added at the ends of each axis, as in `conv`. They are ordinary values: zeros count.
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
        Where to write the result; it may overlap the input.

    Returns
    -------
    array, shape (N, C, \*out) or (C, \*out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` on each axis, of x's
        dtype. Of integers and bool, sum, min, max, range and rank keep the dtype (and wrap), all
        others are computed in float64; so is what a function gets to see.

    Raises
    ------
    OptionError
        An unknown reduction or mode, a rank outside the window, or a function that Numba cannot
        compile, with its reason.
    WindowError
        Impossible kernel size, stride, padding or dilation.
    DTypeError
        Complex numbers, but for the sum, the mean and functions.

    Notes
    -----
    NaN in a window gives NaN. A function is compiled once for each dtype; it must be free of side
    effects. ``"sum"`` and ``"mean"`` are linear: their operators have a matrix and an adjoint.

    References
    ----------
    J. W. Tukey, "Exploratory Data Analysis", 1977, chapter 7, on running medians.
    `scipy.ndimage.generic_filter`.

    Examples
    --------
    A median takes out what stands alone:

    >>> import faltung as ft
    >>> ft.window_reduce([[1.0, 2, 90, 4, 5]], (3,), "median", padding=1, padding_mode="edge")
    array([[1., 2., 4., 5., 5.]])
    """
    sizes = match("window_reduce", {"x": x})
    mode = canonical_mode(padding_mode)
    check_border(mode, padding_value)
    spatial = sizes.spatial["i"]
    windows = axis_windows(len(spatial), kernel_size, stride, dilation, padding)
    axes = tuple(map(sliding_axis, windows, spatial, (mode,) * len(spatial)))
    return Recipe(
        rule=as_rule(reduction, prod(axis.taps for axis in axes)),
        axes=axes,
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        fill=padding_value,
        fill_takes_part=mode == "constant",
        is_blank=mode == "blank",
        algorithm=algorithm,
    )
