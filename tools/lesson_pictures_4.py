"""Draw the pictures of docs/lessons/4-colour-and-upsampling.md; run it after changing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import faltung as ft
from faltung.typing import Array

IMAGES = Path(__file__).parent.parent / "docs" / "lessons" / "images"
NUMBERS = np.array(
    [
        [3, 0, 1, 2, 7, 4],
        [1, 5, 8, 9, 3, 1],
        [2, 7, 2, 5, 1, 3],
        [0, 1, 3, 1, 7, 8],
        [4, 2, 1, 6, 2, 8],
        [2, 4, 5, 2, 3, 9],
    ]
)
POOLED = np.array(
    [[1, 3, 2, 1, 3], [2, 9, 1, 1, 5], [1, 3, 2, 3, 2], [8, 3, 5, 1, 0], [5, 6, 1, 2, 9]]
)
GAP = 12


def draw_operators(folder: Path) -> None:
    """Filters on one plane and on three, paddings, pooling and the way up."""
    theme = "auto"
    edge = np.repeat([[2, 0, -2]], 3, axis=0)
    plane = ft.Conv(edge[None, None])
    plane.draw((1, 6, 6), index=(0, 0, 0), x=NUMBERS[None], theme=theme).save(
        folder / "4-one-plane.svg"
    )
    scales, shades = np.array([1, 2, 0.5]), np.array([10, 30, 20])
    bank = np.repeat([[1, 0, -1]], 3, axis=0) * scales[:, None, None]
    image = np.zeros((3, 6, 6))
    image[:, :, :3] = shades[:, None, None]
    colour = ft.Conv(bank[None])
    colour.draw((3, 6, 6), index=(0, 1, 1), x=image, theme=theme).save(folder / "4-colour.svg")
    for padding in ("valid", "same", "full"):
        framed = ft.Conv((1, 1, 3, 3), padding=padding)
        framed.draw((1, 6, 6), index=(0, 0, 0), theme=theme, title=f'padding="{padding}"').save(
            folder / f"4-padding-{padding}.svg"
        )
    pool = ft.MaxPool((3, 3), stride=1)
    pool.draw((1, 5, 5), index=(0, 1, 1), x=POOLED[None], theme=theme).save(
        folder / "4-pooling.svg"
    )
    lines = ft.Resize(scale_factor=(2, 2), mode="linear")
    corners = np.array([[[20.0, 45], [10, 43]]])
    lines.draw((1, 2, 2), index=(0, 1, 1), x=corners, theme=theme).save(folder / "4-bilinear.svg")
    spread = ft.ConvTranspose([[[[2, 2], [1, 1]]]], stride=2)
    spread.animate(np.array([[[1, 4], [0, 2]]]), seconds=1.2, theme=theme).save(
        folder / "4-spread.svg"
    )


def draw_checkerboards(path: Path) -> None:
    """A small photograph made twice as large in three ways, its pixels drawn as squares."""
    from matplotlib.cbook import get_sample_data

    file: Any = get_sample_data("grace_hopper.jpg", asfileobj=False)
    face = Image.open(file).convert("L").crop((144, 60, 400, 316)).resize((64, 64))
    photograph = np.asarray(face)[None] / 255
    rng = np.random.default_rng(4)
    even, random = np.ones((1, 1, 3, 3)), rng.random((1, 1, 4, 4))
    convolve = rng.random((1, 1, 3, 3))
    ways = (
        ft.ConvTranspose(even * 4 / even.sum(), stride=2, padding=1, output_padding=1),
        ft.ConvTranspose(random * 4 / random.sum(), stride=2, padding=1),
        ft.Sequential(
            ft.Resize(scale_factor=(2, 2)),
            ft.Conv(convolve / convolve.sum(), padding="same", padding_mode="edge"),
        ),
    )
    shades = [np.clip(way(photograph)[0] * 255 + 0.5, 0, 255).astype(np.uint8) for way in ways]
    row = _beside([np.kron(shade, np.ones((3, 3), np.uint8)) for shade in shades])
    Image.fromarray(row // 4 * 4).save(path, optimize=True)


def _beside(pictures: list[Array]) -> Array:
    gap = np.full((len(pictures[0]), GAP), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


if __name__ == "__main__":
    draw_operators(IMAGES)
    draw_checkerboards(IMAGES / "4-checkerboards.png")
