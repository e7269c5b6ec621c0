"""Padding by itself: every cell of the result shows one cell of the input, or the border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from faltung.errors import WindowError
from faltung.geometry.arguments import LIMIT, as_padding
from faltung.geometry.border import MODES, canonical_mode
from faltung.geometry.stencil import SlidingAxis
from faltung.operators._arrays import Spec
from faltung.operators._checks import check_border, rank_of
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import NUMPY_MODES, each_axis
from faltung.plans._problem import Recipe
from faltung.plans._rules import Copy
from faltung.typing import Array, ArrayLike, DTypeLike, Padding

__all__ = ["pad"]


def rank_of_padding(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the padding, or all but batch and channels."""
    return rank_of("padding", specs, parameters, wanted)


def textbook(x: Array, *, padding: Any, mode: str, value: Any) -> Array:
    """`numpy.pad` for what grows, then a slice for what is cropped."""
    amounts = [
        (entry, entry) if isinstance(entry, int) else tuple(entry)
        for entry in each_axis(padding, x.ndim - 2)
    ]
    grown = [(0, 0), (0, 0), *((max(before, 0), max(after, 0)) for before, after in amounts)]
    how: Any = NUMPY_MODES[mode]
    padded: Array = np.pad(
        x, grown, how, **({"constant_values": value} if how == "constant" else {})
    )
    kept = [slice(max(-before, 0), min(after, 0) or None) for before, after in amounts]
    place: Any = (..., *kept)
    cropped: Array = padded[place]
    return cropped


SAMPLES = (
    Sample("one side", {"x": (2, 3, 4, 5)}, {"padding": ((1, 0), (0, 2))}),
    Sample("crop one axis, grow the other", {"x": (1, 2, 6, 3)}, {"padding": (-2, 2)}),
    Sample(
        "crop and mirror", {"x": (1, 1, 5, 4)}, {"padding": ((-1, 3), (2, -2)), "mode": "reflect"}
    ),
    Sample("ring longer than the axis", {"x": (1, 2, 3)}, {"padding": ((8, 7),), "mode": "wrap"}),
    Sample(
        "constant volume",
        {"x": (1, 1, 2, 1, 3)},
        {"padding": (1, 2, 1), "mode": "fill", "value": 1},
    ),
    Sample("edge of one cell", {"x": (2, 1, 1, 1)}, {"padding": (2, 1), "mode": "symmetric"}),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_padding,
    reference=textbook,
    samples=SAMPLES,
    sources=("numpy.pad", "ONNX operator Pad"),
)
def pad(
    x: ArrayLike,
    padding: Padding,
    mode: str = "zeros",
    value: complex = 0,
    *,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Extend the spatial axes beyond their ends, or crop them.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data.
    padding : int or sequence
        Cells added at the ends of each spatial axis: an int for all, one int an axis, or one
        ``(before, after)`` pair an axis. Negative numbers crop. With an int, all axes but the
        first two are spatial.
    mode : str
        What the added cells show: ``"zeros"``, ``"constant"`` (with `value`), ``"reflect"``,
        ``"symmetric"``, ``"edge"`` or ``"wrap"``. A border longer than the axis repeats its
        pattern. Where one side is cropped, the other still mirrors the whole axis.
    value : number
        The value of the added cells under ``"constant"``.
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
        ``out = n + before + after`` on each axis, of x's dtype.

    Raises
    ------
    WindowError
        A padding that is not made of ints, or that leaves nothing of an axis.
    OptionError
        An unknown mode.

    References
    ----------
    ONNX operator specification, Pad. `numpy.pad`.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.pad([[[1, 2, 3]]], ((2, -1),), "edge")
    array([[[1, 1, 1, 2]]])
    """
    sizes = match("pad", {"x": x})
    mode = canonical_mode(mode, "mode", MODES[:-1])
    check_border(mode, value, "mode", "value")
    spatial = sizes.spatial["i"]
    amounts = as_padding(padding, len(spatial), minimum=-LIMIT)
    axes = []
    for size, amount in zip(spatial, amounts, strict=True):
        if isinstance(amount, str):
            raise WindowError(
                f"padding is {amount!r}, but padding by itself has no window to follow",
                "Give numbers",
            )
        before, after = amount
        if size + before + after < 1:
            raise WindowError(
                f"padding {amount} leaves nothing of an axis of {size} cells",
                f"Crop at most {size - 1} cells",
            )
        axes.append(SlidingAxis(size, size + before + after, 1, before=before, mode=mode))
    return Recipe(
        rule=Copy(),
        axes=tuple(axes),
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        fill=value,
        fill_takes_part=mode == "constant",
        algorithm=algorithm,
    )
