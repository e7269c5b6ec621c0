"""Draw the pictures of docs/figures.md and README.md; run it after changing how figures look."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import faltung as ft
from faltung.draw.figure import Animation, Figure

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def pictures() -> dict[str, Figure | Animation]:
    """Each picture by its file name; none of them is drawn from random numbers."""
    x = np.array(
        [[3, 0, 1, 2, 7], [1, 5, 8, 9, 3], [2, 7, 2, 5, 1], [0, 1, 3, 1, 7], [4, 2, 1, 6, 2]]
    )
    edges = ft.Conv([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]], padding=1, stride=2)
    up = ft.ConvTranspose([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]], stride=2)
    colours = ft.Conv(np.arange(54).reshape(2, 3, 3, 3) % 7 - 3, padding=1, padding_mode="reflect")
    smooth = np.exp(-((np.indices((3, 3)) - 1) ** 2).sum(0))
    sizes = 1 + (np.indices((5, 5)).sum(0) / 2)  # wider and wider kernels
    offsets = ft.Conv(np.ones((1, 1, 3, 3), int))  # places in memory, for docs/ladder.md
    kernels = smooth.reshape(9, 1, 1) ** (2 / sizes)
    kernels /= kernels.sum(0)
    blur = ft.Involution(kernels.reshape(1, 1, 9, 5, 5).round(2), kernel_size=(3, 3), padding=1)
    return {
        "window.svg": edges.animate(x[None], theme="auto", seconds=0.8),
        "spread.svg": up.animate(x[None, :3, :3], theme="auto", seconds=0.8),
        "pooling.gif": ft.MaxPool((3, 3), stride=1).animate(x[None], seconds=0.8),
        "matrix-row.svg": edges.draw((1, 5, 5), view="matrix", theme="auto"),
        "channels.svg": colours.draw((3, 5, 5), theme="auto", index=(1, 0, 3)),
        "ladder-offsets.svg": offsets.draw(
            (1, 5, 7), x=np.arange(35).reshape(1, 5, 7), theme="auto", index=(0, 1, 1)
        ),
        "kernels.svg": blur.draw((1, 1, 5, 5), x=x[None, None], theme="auto", index=(0, 0, 3, 3)),
    }


if __name__ == "__main__":
    for name, picture in pictures().items():
        picture.save(IMAGES / name)
        print(f"{name}: {(IMAGES / name).stat().st_size:,} bytes")
