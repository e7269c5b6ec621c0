"""Draw the pictures of docs/lessons/2-learning-kernels.md; run it after changing what they show."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import faltung as ft
from faltung.typing import Array

IMAGES = Path(__file__).parent.parent / "docs" / "lessons" / "images"
THEME = "auto"
EDGE = ft.Conv([[[[1, -1]]]])
KERNEL = np.array([[[[0, 1], [2, 3]]]])


def draw_gathering(folder: Path) -> None:
    """Convolutions: the first window, the turned kernel, a stride, channels; a pooling."""
    x = np.arange(9).reshape(1, 3, 3)
    drawn = ft.Conv(KERNEL).draw(x.shape, x=x, index=(0, 0, 0), theme=THEME, title="The first sum")
    drawn.save(folder / "2-corr2d.svg")

    strict = ft.Conv(KERNEL, flip=True)
    drawn = strict.draw(x.shape, x=x, index=(0, 0, 1), theme=THEME, title="Strict convolution")
    drawn.save(folder / "2-strict.svg")

    slanted = ft.Conv((1, 1, 3, 5), padding=(0, 1), stride=(3, 4))
    title = "Stride 3 down and 4 across"
    drawn = slanted.draw((1, 8, 8), index=(0, 1, 1), theme=THEME, title=title)
    drawn.save(folder / "2-stride.svg")

    x = np.stack([x[0], x[0] + 1])
    kernels = np.stack([np.concatenate([KERNEL[0], KERNEL[0] + 1]) + more for more in range(3)])
    title = "Two channels in, three out"
    drawn = ft.Conv(kernels).draw(x.shape, x=x, index=(1, 0, 0), theme=THEME, title=title)
    drawn.save(folder / "2-channels.svg")

    x = np.arange(16).reshape(1, 4, 4)
    pool = ft.MaxPool((3, 3), padding=1, stride=2)
    drawn = pool.draw(x.shape, x=x, index=(0, 1, 1), theme=THEME, title="The largest wins")
    drawn.save(folder / "2-pooling.svg")


def draw_scattering(folder: Path) -> None:
    """Transposed convolutions, without and with a stride."""
    x = np.arange(4).reshape(1, 2, 2)
    for name, stride in (("2-spread", 1), ("2-spread-stride", 2)):
        spread = ft.ConvTranspose(KERNEL, stride=stride)
        title = f"Spread and added, stride {stride}"
        drawn = spread.draw(x.shape, x=x, index=(0, 1, 1), theme=THEME, title=title)
        drawn.save(folder / f"{name}.svg")


def bar_before(column: int) -> Array:
    """A picture that is white up to a column."""
    x = np.zeros((1, 4, 10))
    x[:, :, :column] = 1
    return x


def draw_plots(folder: Path) -> None:
    """Edges found and missed, the loss of a fit, and what poolings make of a shift."""
    from matplotlib import pyplot

    bar = np.ones((1, 6, 8))
    bar[:, :, 2:6] = 0
    figure, rows = pyplot.subplots(2, 1, figsize=(7.2, 4.2))
    figure.subplots_adjust(0, 0, 1, 1)
    EDGE.plot(bar, ax=rows[0])
    EDGE.plot(bar.swapaxes(1, 2), ax=rows[1])
    figure.savefig(folder / "2-edges.png", dpi=90, facecolor="white")

    fit = ft.fit_kernel(bar, EDGE(bar), (1, 2), method="sgd", loss="sum", lr=3e-2, steps=20, rng=0)
    fit.plot()
    pyplot.savefig(folder / "2-learning.png", dpi=90, facecolor="white")

    operators = [
        ("picture", ft.Pad(0)),
        ("detector", EDGE),
        ("windows overlap", ft.Sequential(EDGE, ft.MaxPool((2, 2), stride=1))),
        ("windows side by side", ft.Sequential(EDGE, ft.MaxPool((2, 2)))),
    ]
    figure, axes = pyplot.subplots(2, 4, figsize=(9, 3), layout="constrained")
    for row, column in zip(axes, (4, 5), strict=True):
        for ax, (name, operator) in zip(row, operators, strict=True):
            ax.imshow(operator(bar_before(column))[0], cmap="gray", vmin=0, vmax=1)
            ax.set_title(name if column == 4 else "", fontsize="medium")
            ax.set_yticks([])
            ax.set_xticks(range(operator.output_shape((1, 4, 10))[2]))
            ax.tick_params(labelsize="small")
        row[0].set_ylabel(f"edge at {column}")
    figure.savefig(folder / "2-shift.png", dpi=90, facecolor="white")
    pyplot.close("all")


if __name__ == "__main__":
    mpl.use("Agg")
    draw_gathering(IMAGES)
    draw_scattering(IMAGES)
    draw_plots(IMAGES)
