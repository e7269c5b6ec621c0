"""What the operators share whose weight has a kernel for every output position."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from faltung.errors import ShapeError
from faltung.geometry.arguments import as_ints
from faltung.geometry.stencil import StencilAxis
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import Spec
from faltung.typing import Shape

__all__ = ["check_positions", "fitting_cells"]


def fitting_cells(outputs: Shape, parameters: Mapping[str, Any]) -> Shape:
    """The largest input whose windows are as many as the kernels of a weight."""
    names = ("kernel_size", "stride", "dilation", "padding")
    windows = axis_windows(len(outputs), *(parameters[name] for name in names))
    cells = []
    for place, (window, kernels) in enumerate(zip(windows, outputs, strict=True)):
        sizes = window.input_size(kernels)
        if not sizes:
            raise ShapeError(
                f"weight has {kernels} kernels on spatial axis {place}, a number of outputs that "
                "no input gives with this window",
                "The spatial axes of a weight are those of the result",
            )
        cells.append(sizes[-1])
    return tuple(cells)


def check_positions(
    weight: Spec, kernel_size: object, axes: tuple[StencilAxis, ...], leading: str
) -> None:
    """A weight needs one kernel for each output: ``(leading, leading, taps, *outputs)``."""
    taps = prod(as_ints(kernel_size, "kernel_size", len(axes)))
    outputs = tuple(axis.outputs for axis in axes)
    expected = f"Expected is a weight ({leading}, {', '.join(map(str, (taps, *outputs)))})"
    if weight.shape[2] != taps:
        raise ShapeError(
            f"weight has {weight.shape[2]} taps a kernel, kernel_size {kernel_size} has {taps}",
            expected,
        )
    if weight.shape[3:] != outputs:
        raise ShapeError(
            f"weight has kernels for {weight.shape[3:]} outputs, but the windows over an input of "
            f"{tuple(axis.size for axis in axes)} cells give {outputs}",
            expected,
        )
