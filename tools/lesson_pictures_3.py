"""Draw the pictures of docs/lessons/3-linear-maps.md; run it after changing what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

import faltung as ft

IMAGES = Path(__file__).parent.parent / "docs" / "lessons" / "images"
WEIGHT = np.array([[[1, 2, 3]]])
LINE = np.arange(1, 11)[None]


def draw_integral(path: Path) -> None:
    """A box and a falling ramp, turned around and moved, and the area of their product."""
    from matplotlib import pyplot

    width = 0.005
    tau = np.arange(-1, 2.2, width) + width / 2
    shift = 0.7
    box = ((tau > 0) & (tau < 1)).astype(float)

    def ramp(t: Any) -> Any:
        return np.where((t > 0) & (t < 1), 1 - t, 0.0)

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
    left.plot(tau, box, color="#1f6fb2", label="f(τ)")
    left.plot(tau, ramp(shift - tau), color="#c07a10", label=f"g(t − τ), t = {shift}")
    left.fill_between(tau, box * ramp(shift - tau), color="#93e0d8", label="their product")
    left.set_xlabel("τ")
    left.legend(loc="upper right", fontsize=9, frameon=False)
    left.set_ylim(0, 1.75)
    cells = np.arange(0, 1, width) + width / 2
    convolved = ft.convolve(np.ones_like(cells), ramp(cells)) * width
    t = width * (1 + np.arange(len(convolved)))
    right.plot(t, convolved, color="#0c8f88")
    here = float(np.interp(shift, t, convolved))
    right.plot([shift], [here], "o", color="#0c8f88")
    right.annotate(f"t = {shift}", (shift, here), (shift - 0.42, here + 0.02))
    right.set_xlabel("t")
    right.set_ylabel("(f ∗ g)(t)")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    pyplot.close(figure)


def draw_operators(folder: Path) -> None:
    """The figures of operators on ten cells, on channels, and on two axes."""
    picture = np.arange(1, 21).reshape(1, 4, 5)
    conv, theme = ft.Conv(WEIGHT), "auto"
    slide = ft.Conv([[[10, 1]]], flip=True, padding="full").animate(
        np.array([[1, 2, 3, 4]]), seconds=1.2, theme=theme
    )
    slide.save(folder / "3-flip.svg")
    conv.draw((1, 10), index=(0, 3), x=LINE, view="matrix", theme=theme).save(
        folder / "3-matrix.svg"
    )
    strided = ft.Conv(WEIGHT, stride=2).draw((1, 10), index=(0, 2), x=LINE, theme=theme)
    strided.save(folder / "3-stride.svg")
    dilated = ft.Conv(WEIGHT, dilation=2).draw((1, 10), index=(0, 2), x=LINE, theme=theme)
    dilated.save(folder / "3-dilation.svg")
    channels = ft.Conv(np.arange(1, 19).reshape(3, 2, 3))
    channels.draw((2, 8), index=(1, 2), x=np.arange(16).reshape(2, 8), theme=theme).save(
        folder / "3-channels.svg"
    )
    plane = ft.Conv(np.arange(1, 10).reshape(1, 1, 3, 3))
    plane.draw((1, 4, 5), index=(0, 1, 2), x=picture, view="matrix", theme=theme).save(
        folder / "3-two-axes.svg"
    )
    spread = np.array([[1, 4, 0, 2]])
    conv.T.draw((1, 4), index=(0, 1), x=spread, theme=theme).save(folder / "3-transpose.svg")


if __name__ == "__main__":
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "faltung"
    draw_integral(IMAGES / "3-flip-and-slide.svg")
    draw_operators(IMAGES)
