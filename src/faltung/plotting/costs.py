"""Bars of what operators cost, and how the receptive field grows through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from faltung.plotting.canvas import Cell, parts, single
from faltung.typing import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_growth", "plot_chain", "plot_costs"]

ROW = 0.28
"""Inches of a bar."""


def plot_costs(title: str, costs: Mapping[str, int], ax: Axes | None) -> Axes:
    """Costs of one operator as bars on a logarithmic scale, each with its number."""
    ax = single(ax, (6.4, 1.1 + ROW * len(costs)))
    _bars(ax, list(costs), list(costs.values()))
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(0, 20 * max(1, *costs.values()))
    ax.set_title(title, fontsize="medium")
    return ax


def plot_chain(
    title: str, rows: Sequence[str], columns: Mapping[str, Sequence[int]], ax: Axes | None
) -> Array:
    """Several figures of each operator: one axes a figure, one bar an operator."""
    widths = (1.9, *(1.3,) * (len(columns) - 1))
    height = 0.35 + 0.11 * len(rows)
    lefts = np.cumsum((0.45, *widths[:-1]))
    cells = [Cell(left, 0, width, height) for left, width in zip(lefts, widths, strict=True)]
    axes = parts(ax, cells)
    for place, (axis, (name, values)) in enumerate(zip(axes, columns.items(), strict=True)):
        _bars(axis, rows if place == 0 else [""] * len(rows), values)
        axis.set_xlim(0, 1.45 * max(1, *values))
        axis.set_title(name, fontsize="small")
        axis.set_xticks([])
    axes[0].annotate(
        title, (0, 1.0), (0, 24), "axes fraction", textcoords="offset points", fontsize="medium"
    )
    return axes


def draw_growth(
    rows: Sequence[str], fields: Sequence[tuple[int, int]], size: int, ax: Axes | None
) -> Axes:
    """The cells of the input that one output sees, after each operator.

    Parameters
    ----------
    rows : sequence of str
        The operators' names.
    fields : sequence of (start, cells)
        From the first cell that the middle output sees, how many.
    size : int
        Cells of the input.
    """
    ax = single(ax, (6.4, 1.3 + ROW * len(rows)))
    ax.axvspan(-0.5, size - 0.5, color="gray", alpha=0.15, linewidth=0)
    starts, cells = np.array(fields).T
    places = np.arange(len(rows))
    bars = ax.barh(places, cells, left=starts - 0.5, color="C0")
    ax.bar_label(bars, [f"{count:,}" for count in cells], padding=3, fontsize="small")
    ax.set_yticks(places, rows)
    ax.invert_yaxis()
    ends = min(-0.5, *(starts - 0.5)), max(size - 0.5, *(starts + cells - 0.5))
    ax.set_xlim(ends[0] - 0.02 * (ends[1] - ends[0]), ends[1] + 0.12 * (ends[1] - ends[0]))
    ax.set_xlabel("cells of the input that one output sees (shaded: the input)", fontsize="small")
    return ax


def _bars(ax: Axes, names: Sequence[str], values: Sequence[int]) -> None:
    places = np.arange(len(values))
    bars = ax.barh(places, np.asarray(values, float), color="C0")
    ax.bar_label(bars, [f"{value:,}" for value in values], padding=3, fontsize="small")
    ax.set_yticks(places, names, fontsize="small")
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
