"""Draw the pictures of docs/lessons/5-channels-last-and-involution.md; run it after changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import faltung as ft
from faltung.typing import Array

IMAGES = Path(__file__).parent.parent / "docs" / "lessons" / "images"
GAP = 12


def draw_operators(folder: Path) -> None:
    """A filter bank over channels, windows as columns, and kernels of their own."""
    theme = "auto"
    bank = ft.Conv((2, 3, 3, 3), data_format="channels_last")
    bank.draw((5, 6, 3), index=(1, 2, 1), theme=theme).save(folder / "5-bank.svg")
    cells = np.arange(1, 13).reshape(1, 3, 4)
    unfold = ft.Unfold((2, 2))
    unfold.animate(cells, seconds=1.2, theme=theme).save(folder / "5-unfold.svg")
    kernels = np.arange(1, 13).reshape(4, 3).T[None, None]
    involution = ft.Involution(kernels, kernel_size=(3,))
    involution.animate(np.array([[[1, 0, 2, 1, 0, 1]]]), seconds=1.2, theme=theme).save(
        folder / "5-involution.svg"
    )
    small = np.array(
        [[[0.0, 0, 0, 0], [0, 9, 9, 0], [0, 9, 0, 0]], [[1, 1, 1, 1], [1, 2, 3, 1], [1, 1, 1, 1]]]
    )
    guided = ft.InvolutionLayer(
        np.array([0.0, 1]).reshape(1, 2, 1, 1),
        ft.kernels.laplacian().reshape(9, 1, 1, 1),
        kernel_size=3,
        groups=1,
    )
    guided.draw(small.shape, index=(0, 1, 1), x=small, theme=theme).save(folder / "5-layer.svg")


def draw_bilateral(path: Path) -> None:
    """A noisy photograph, blurred by one kernel and by a kernel of its own for each pixel."""
    from matplotlib.cbook import get_sample_data

    file: Any = get_sample_data("grace_hopper.jpg", asfileobj=False)
    photograph = np.asarray(Image.open(file).convert("L"))[None, 130:258, 180:308] / 255
    noise = np.random.default_rng(0).normal(scale=0.06, size=photograph.shape)
    noisy = photograph + noise
    near = ft.kernels.gaussian(2.0)[2:-2, 2:-2]
    around: dict[str, Any] = {"padding": "same", "padding_mode": "reflect"}
    windows = ft.unfold(noisy, near.shape, **around).reshape(near.size, 128, 128)
    kernels = near.reshape(-1, 1, 1) * np.exp(-(((windows - noisy) / 0.2) ** 2) / 2)
    kernels /= kernels.sum(axis=0)
    kept_edges = ft.involution(noisy, kernels[None], kernel_size=near.shape, **around)
    blurred = ft.conv2d(noisy, (near / near.sum())[None, None], **around)
    row = _beside([noisy[0], blurred[0], kept_edges[0]])
    shades = np.clip(row * 255 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(np.kron(shades, np.ones((2, 2), np.uint8))).save(path, quality=90)


def _beside(pictures: list[Array]) -> Array:
    gap = np.ones((len(pictures[0]), GAP // 2))
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


if __name__ == "__main__":
    draw_operators(IMAGES)
    draw_bilateral(IMAGES / "5-bilateral.jpg")
