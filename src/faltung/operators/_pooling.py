"""What the sliding poolings share: their rank, their axes, and the recipe around a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faltung.errors import WindowError, shown
from faltung.geometry.arguments import length_of
from faltung.geometry.empty_windows import first_empty_window
from faltung.geometry.stencil import SlidingAxis, sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import as_flag, rank_of
from faltung.typing import Ints, Padding, Shape

__all__ = ["pooling_axes", "rank_of_window"]

WINDOW = ("kernel_size", "stride", "padding", "dilation")


def rank_of_window(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the window's parameters, or all but batch and channels."""
    name = next((name for name in WINDOW if length_of(parameters[name])), "kernel_size")
    rank = rank_of(name, specs, parameters, wanted)
    if wanted is not None and rank != wanted:
        raise WindowError(
            f"{name} {shown(parameters[name])} has {rank} entries, expected {wanted}",
            "Give one int, or one entry a spatial axis",
        )
    return rank


def pooling_axes(
    spatial: Shape,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    *,
    counts_padding: bool = True,
) -> tuple[SlidingAxis, ...]:
    """The axes of a pooling, where every window sees at least one cell of the input."""
    steps = kernel_size if stride is None else stride
    is_ceil = as_flag(ceil_mode, "ceil_mode")
    windows = axis_windows(len(spatial), kernel_size, steps, dilation, padding, is_ceil)
    axes = []
    for window, size in zip(windows, spatial, strict=True):
        axis = sliding_axis(window, size, "zeros", counts_padding=counts_padding)
        empty = first_empty_window(axis, is_ceil=is_ceil)
        if empty is not None:
            raise WindowError(
                f"padding is {axis.before} before and {axis.after} after an axis of {size} cells; "
                f"with kernel_size {axis.taps}, stride {axis.stride} and dilation {axis.dilation} "
                f"window {empty} sees no cell of the input",
                "Use less padding, a larger kernel_size or a smaller dilation",
            )
        axes.append(axis)
    return tuple(axes)
