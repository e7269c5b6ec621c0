"""Draw the pictures of docs/plots.md; run it after changing what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

import faltung as ft
from faltung.typing import Array

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SHAPE = (3, 64, 64)


def saved(name: str) -> None:
    """Save the figure that was drawn last, cut to what is on it."""
    from matplotlib import pyplot

    pyplot.savefig(IMAGES / f"plot-{name}.png", dpi=80, bbox_inches="tight")
    pyplot.close("all")


def photograph() -> Array:
    """The one that ships inside Matplotlib, in grey."""
    from matplotlib.cbook import get_sample_data

    file: Any = get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.asarray(Image.open(file).convert("L"))[20:276, 130:386] / 255


def draw_operators() -> None:
    """Edges of a photograph, and a sound that is smoothed and pooled."""
    from matplotlib import pyplot

    sobel = np.stack([ft.kernels.sobel(0), ft.kernels.sobel(1)])[:, None]
    axes = ft.Conv(sobel).plot(photograph()[None])
    axes[3].set_title("from above to below", fontsize="small")
    saved("edges")
    with pyplot.style.context("dark_background"):
        _, (above, below) = pyplot.subplots(2, 1, figsize=(9, 5))
        time = np.arange(200)
        sound = (np.sin(time**1.7 / 90) * np.exp(-time / 80))[None]
        ft.Conv(np.hanning(15)[None, None] / 7, padding="same").plot(sound, ax=above)
        ft.MaxPool((20,)).plot(sound, ax=below)
        saved("signals")


def draw_costs() -> None:
    """Bars of a chain, and its receptive field."""
    chain = ft.Sequential(
        ft.Conv((16, 3, 3, 3), padding=1),
        ft.MaxPool((2, 2)),
        ft.Conv((32, 16, 3, 3), padding=1),
        ft.MaxPool((2, 2)),
        ft.Conv((64, 32, 3, 3), padding=1),
    )
    chain.describe(SHAPE).plot()
    saved("chain")
    ft.plot_receptive_field(chain, SHAPE)
    saved("field")


def draw_connections() -> None:
    """A matrix and a checkerboard, side by side."""
    from matplotlib import pyplot

    _, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    weight = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    ft.plot_matrix(ft.Conv(weight, padding=1), (2, 5, 6), ax=left)
    spread = ft.ConvTranspose(np.ones((1, 1, 3, 3)), stride=2)
    ft.plot_coverage(spread, (1, 5, 5), of="output", ax=right)
    saved("connected")


def draw_fit() -> None:
    """A blur that is learned from noise."""
    x = np.random.default_rng(0).normal(size=(1, 64, 64))
    y = ft.conv(x, ft.kernels.gaussian(1.0)[None, None])
    fit = ft.fit_kernel(x, y, (9, 9), method="sgd", steps=100, rng=0)
    fit.plot()
    saved("fit")


if __name__ == "__main__":
    mpl.use("Agg")
    draw_operators()
    draw_costs()
    draw_connections()
    draw_fit()
