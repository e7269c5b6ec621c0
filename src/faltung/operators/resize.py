"""Resizing: every output is interpolated from cells near its place in the input, axis by axis.

On each axis it is a matrix with few entries a row; several axes multiply.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor, isfinite
from typing import Any

import numpy as np

from faltung.errors import OptionError, WindowError, shown
from faltung.geometry.arguments import as_ints, length_of, unpacked
from faltung.geometry.resize_axis import ResizeAxis
from faltung.operators._arrays import Spec
from faltung.operators._checks import as_flag, rank_of
from faltung.operators._record import Sample, match, operator
from faltung.operators._textbook import each_axis
from faltung.plans._problem import Recipe
from faltung.plans._rules import Copy, Interpolation
from faltung.typing import Array, ArrayLike, DTypeLike, Ints

__all__ = ["resize"]

MODES = ("nearest", "nearest-exact", "linear", "cubic", "area", "lanczos")
ALIASES = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def rank_of_size(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of size or scale_factor, or all but batch and channels."""
    name = "size" if parameters["size"] is not None else "scale_factor"
    return rank_of(name, specs, parameters, wanted)


def textbook(
    x: Array,
    *,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool,
    antialias: bool,
) -> Array:
    """Each output as a weighted mean of cells, one axis after the other, in float64."""
    y = x
    for axis in range(2, x.ndim):
        given = each_axis(size, x.ndim - 2)[axis - 2], each_axis(scale_factor, x.ndim - 2)[axis - 2]
        kind = ALIASES.get(mode, mode)
        matrix = _textbook_matrix(x.shape[axis], given, kind, align_corners, antialias)
        if mode.startswith("nearest"):
            y = y.take(matrix.argmax(axis=1), axis=axis)
        else:
            y = np.moveaxis(np.tensordot(matrix, y, (1, axis)), 0, axis)
    return y


def _textbook_matrix(
    n: int, given: tuple[Any, Any], mode: str, align_corners: bool, antialias: bool
) -> Array:
    """Row i: the weight of each of n cells in output i."""
    size, factor = given
    ratio = Fraction(1 if factor is None else factor).limit_denominator(1000)
    outputs = size if size is not None else floor(n * ratio)
    step = Fraction(n, outputs) if size is not None else 1 / ratio
    if align_corners:
        step = Fraction(n - 1, outputs - 1) if outputs > 1 else Fraction(0)
    matrix = np.zeros((outputs, n))
    for i in range(outputs):
        if mode == "nearest":
            matrix[i, min(floor(i * step), n - 1)] = 1
        elif mode == "nearest-exact":
            matrix[i, min(floor((i + Fraction(1, 2)) * step), n - 1)] = 1
        elif mode == "area":
            matrix[i, i * n // outputs : -(-(i + 1) * n // outputs)] = 1
        elif antialias:
            centre, scale = (i + 0.5) * float(step), max(float(step), 1.0)
            reach = {"linear": 1, "cubic": 2, "lanczos": 3}[mode] * scale
            for j in range(max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), n)):
                matrix[i, j] = _textbook_kernel(mode, (j + 0.5 - centre) / scale, -0.5)
        else:
            place = i * float(step) if align_corners else (i + 0.5) * float(step) - 0.5
            place = max(place, 0.0) if mode == "linear" else place
            for j in range(floor(place) - 3, floor(place) + 5):
                weight = _textbook_kernel(mode, j - place, -0.75)
                matrix[i, min(max(j, 0), n - 1)] += weight
    rows: Array = matrix / matrix.sum(axis=1, keepdims=True)
    return rows


def _textbook_kernel(mode: str, t: float, a: float) -> float:
    t = abs(t)
    if mode == "linear":
        return max(1 - t, 0.0)
    if mode == "lanczos":
        return float(np.sinc(t) * np.sinc(t / 3)) if t < 3 else 0.0
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


SAMPLES = (
    Sample("nearest up and down", {"x": (2, 3, 5, 7)}, {"size": (8, 3)}),
    Sample("nearest-exact", {"x": (1, 2, 7, 4)}, {"size": (3, 9), "mode": "nearest-exact"}),
    Sample("one cell grows", {"x": (1, 2, 1, 4)}, {"size": (3, 7), "mode": "linear"}),
    Sample(
        "corners aligned",
        {"x": (1, 1, 4, 5)},
        {"size": (7, 1), "mode": "bilinear", "align_corners": True},
    ),
    Sample("cubic by a factor", {"x": (1, 2, 6, 5)}, {"scale_factor": (1.5, 2), "mode": "cubic"}),
    Sample(
        "antialiased cubic",
        {"x": (1, 1, 11, 6)},
        {"size": (4, 9), "mode": "cubic", "antialias": True},
    ),
    Sample("lanczos signal", {"x": (2, 1, 17)}, {"size": (23,), "mode": "lanczos"}),
    Sample(
        "lanczos, smaller", {"x": (1, 1, 23)}, {"size": (5,), "mode": "lanczos", "antialias": True}
    ),
    Sample("area of a volume", {"x": (1, 2, 5, 4, 3)}, {"size": (2, 6, 1), "mode": "area"}),
)


@operator(
    signature="n c i... -> n c j...",
    rank=rank_of_size,
    reference=textbook,
    samples=SAMPLES,
    sources=("ONNX operator Resize", "R. Keys, IEEE Trans. ASSP 29(6), 1981"),
)
def resize(
    x: ArrayLike,
    size: Ints | None = None,
    *,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool = False,
    antialias: bool = False,
    algorithm: str | None = None,
    data_format: str = "channels_first",
    dtype: DTypeLike | None = None,
    out: Array | None = None,
) -> Recipe:
    r"""Resample the spatial axes to another size.

    Parameters
    ----------
    x : array, shape (N, C, \*spatial) or (C, \*spatial)
        The data.
    size : int or sequence of int
        Cells of the result on each spatial axis. With an int, all axes but the first two are
        spatial.
    scale_factor : number or sequence of numbers
        Instead of `size`: the result has ``floor(n * scale_factor)`` cells, and the given factor,
        not the ratio of the sizes, says where they lie.
    mode : str
        ``"nearest"`` (``floor(i * n / o)``), ``"nearest-exact"``, ``"linear"`` (also
        ``"bilinear"``, ``"trilinear"``), ``"cubic"`` (also ``"bicubic"``; a = -0.75, with
        `antialias` -0.5), ``"area"`` (mean over the cells that an output covers) or ``"lanczos"``
        (a = 3).
    align_corners : bool
        For linear, cubic and lanczos: the centres of the outer cells of input and result coincide;
        else the outer edges do.
    antialias : bool
        For linear, cubic and lanczos: widen the kernel when the result is smaller, so that every
        cell has its share.
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
    array, shape (N, C, \*size) or (C, \*size)
        Of x's dtype; integers are computed in float64, rounded half to even, and saturate.

    Raises
    ------
    OptionError
        An unknown mode, an option that the mode does not have, or neither or both of `size` and
        `scale_factor`.
    WindowError
        A size or factor that gives no cell, or an input axis without cells.

    References
    ----------
    ONNX operator specification, Resize. R. Keys, "Cubic convolution interpolation for digital
    image processing", IEEE Trans. ASSP 29(6), 1981.

    Examples
    --------
    >>> import faltung as ft
    >>> ft.resize([[[0.0, 4.0]]], (4,), mode="linear")
    array([[[0., 1., 3., 4.]]])
    """
    sizes = match("resize", {"x": x})
    if not isinstance(mode, str) or ALIASES.get(mode, mode) not in MODES:
        raise OptionError(
            f"mode is {shown(mode)}, which is not known",
            f"Use one of {', '.join(map(repr, (*MODES, *ALIASES)))}",
        )
    mode = ALIASES.get(mode, mode)
    options = {"align_corners": align_corners, "antialias": antialias}
    for name, value in options.items():
        if as_flag(value, name) and mode not in ("linear", "cubic", "lanczos"):
            raise OptionError(f"{name} is set, but mode {mode!r} has no such option")
    spatial = sizes.spatial["i"]
    outputs, steps = _outputs(spatial, size, scale_factor)
    axes = tuple(
        ResizeAxis(
            n, o, mode, _step(n, o, step, align_corners), bool(align_corners), bool(antialias)
        )
        for n, o, step in zip(spatial, outputs, steps, strict=True)
    )
    return Recipe(
        rule=Copy() if mode.startswith("nearest") else Interpolation(),
        axes=axes,
        batch=sizes["n"],
        groups=sizes["c"],
        channels=1,
        filters=1,
        algorithm=algorithm,
    )


def _step(n: int, outputs: int, step: Fraction, align_corners: bool) -> Fraction:
    if not align_corners:
        return step
    return Fraction(n - 1, outputs - 1) if outputs > 1 else Fraction(0)


def _outputs(
    spatial: tuple[int, ...], size: object, scale_factor: object
) -> tuple[list[int], list[Fraction]]:
    """Cells of the result on each axis, and their distance in cells of the input."""
    if (size is None) == (scale_factor is None):
        raise OptionError(
            f"size is {shown(size)} and scale_factor is {shown(scale_factor)}",
            "Give one of the two",
        )
    if 0 in spatial:
        raise WindowError(f"x has spatial axes of {spatial} cells: there is nothing to resize")
    if size is not None:
        outputs = list(as_ints(size, "size", len(spatial)))
        return outputs, [Fraction(n, o) for n, o in zip(spatial, outputs, strict=True)]
    factors = _factors(scale_factor, len(spatial))
    outputs = [floor(n * factor) for n, factor in zip(spatial, factors, strict=True)]
    if min(outputs) < 1:
        raise WindowError(
            f"scale_factor {shown(scale_factor)} leaves {outputs} of {list(spatial)} cells",
            "Use a larger factor, or size=1",
        )
    return outputs, [1 / factor for factor in factors]


def _factors(scale_factor: object, rank: int) -> list[Fraction]:
    given = unpacked(scale_factor)
    entries: list[Any] = list(given) if isinstance(given, tuple | list) else [given] * rank
    if length_of(scale_factor) not in (None, rank):
        raise WindowError(f"scale_factor has {len(entries)} entries for {rank} axes")
    factors = []
    for entry in entries:
        is_number = isinstance(entry, int | float | np.number) and not isinstance(entry, bool)
        if not is_number or not isfinite(entry) or not 0 < entry < 2**60:
            raise WindowError(
                f"scale_factor is {shown(scale_factor)}, expected positive numbers",
                "Give one number, or one an axis",
            )
        factors.append(_meant(entry))
    return factors


def _meant(number: Any) -> Fraction:
    """The simplest ratio that rounds to the given float: 0.7 is 7/10, so 10 cells become 7."""
    exact = Fraction(number.item() if isinstance(number, np.number) else number)
    simple = exact.limit_denominator(2**20)
    return simple if type(number)(float(simple)) == number else exact
