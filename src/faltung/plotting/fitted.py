"""A kernel that was learned, and how the loss fell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faltung.plotting.panels import Panel, draw_panels
from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_fit"]


def plot_fit(losses: Array, weight: Array, ax: Axes | None) -> Array:
    """The losses on a logarithmic scale, and the kernel beside them."""
    history = Panel("loss after each step", losses[None, None])
    axes = draw_panels([history, Panel("kernel", weight, is_kernel=True)], ax)
    if (losses > 0).any():
        axes[0].set_yscale("log", nonpositive="mask")
    return axes
