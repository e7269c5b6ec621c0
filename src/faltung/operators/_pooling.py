"""What the poolings share: their rank and their axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faltung.errors import WindowError, shown
from faltung.geometry.adaptive_axis import AdaptiveAxis
from faltung.geometry.arguments import as_int, as_ints, length_of, unpacked
from faltung.geometry.empty_windows import first_empty_window
from faltung.geometry.stencil import SlidingAxis, sliding_axis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.operators._checks import as_flag, rank_of
from faltung.typing import Ints, OutputSize, Padding, Shape

__all__ = ["adaptive_axes", "pooling_axes", "rank_of_output", "rank_of_window"]

WINDOW = ("kernel_size", "stride", "padding", "dilation")


def rank_of_window(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the kernel size, or all but batch and channels."""
    name = "kernel_size"
    if not specs:  # without data the other parameters tell, if the kernel size does not
        name = next((name for name in WINDOW if length_of(parameters[name]) is not None), name)
    return _checked_rank(name, specs, parameters, wanted)


def rank_of_output(
    specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
    """Spatial axes: the entries of the output size, or all but batch and channels."""
    return _checked_rank("output_size", specs, parameters, wanted)


def _checked_rank(
    name: str, specs: Mapping[str, Spec], parameters: Mapping[str, Any], wanted: int | None
) -> int:
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


def adaptive_axes(spatial: Shape, output_size: OutputSize) -> tuple[AdaptiveAxis, ...]:
    """The axes of an adaptive pooling; None keeps an axis as it is."""
    wanted = unpacked(output_size)
    if isinstance(wanted, tuple | list):
        sizes = tuple(1 if entry is None else entry for entry in wanted)
        as_ints(sizes, "output_size", len(spatial))
    else:
        wanted = (as_int(wanted, "output_size"),) * len(spatial)
    axes = []
    for entry, size in zip(wanted, spatial, strict=True):
        if size == 0:
            raise WindowError(
                f"x has spatial axes {spatial}, and an axis of 0 cells cannot fill a bin",
                "Pass data with at least one cell an axis",
            )
        axes.append(AdaptiveAxis(size, size if entry is None else as_int(entry, "output_size")))
    return tuple(axes)
