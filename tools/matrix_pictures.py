"""Draw the pictures of docs/matrix.md; run it after changing what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image
from scipy.sparse.linalg import lsmr

import faltung as ft

IMAGES = Path(__file__).parent.parent / "docs" / "images"
KERNEL = np.arange(1.0, 10).reshape(1, 1, 3, 3)
SHAPE = (1, 6, 7)


def draw_matrices(path: Path) -> None:
    """Four small operators: the same kernel with other borders, strided, transposed."""
    from matplotlib import pyplot

    panels = [
        ("valid", ft.Conv(KERNEL), SHAPE),
        ("padding=1, reflect", ft.Conv(KERNEL, padding=1, padding_mode="reflect"), SHAPE),
        ("padding=1, stride=2", ft.Conv(KERNEL, padding=1, stride=2), SHAPE),
        (
            "its transpose",
            ft.ConvTranspose(KERNEL, padding=1, stride=2, output_size=SHAPE[1:]),
            (1, 3, 4),
        ),
    ]
    widths = {"width_ratios": [42, 42, 42, 16]}
    figure, axes = pyplot.subplots(
        1, 4, figsize=(11, 3.7), layout="constrained", gridspec_kw=widths
    )
    for ax, (title, operator, shape) in zip(axes, panels, strict=True):
        entries: Any = operator.matrix(shape).tocoo()
        rows, columns = entries.shape
        drawn = np.full((rows, columns), np.nan)
        drawn[entries.coords] = entries.data
        image = ax.imshow(drawn, cmap="viridis_r", vmin=0, vmax=12)
        ax.set_title(f"{title}\n{rows} × {columns}, {entries.nnz} entries", fontsize=10)
        ax.set_xlabel("input cell")
        ax.set_xticks(range(0, columns, 7))
        ax.set_yticks(range(0, rows, 5))
        ax.set_facecolor("#f4f4f4")
    axes[0].set_ylabel("output")
    figure.colorbar(image, ax=axes, label="coefficient", shrink=0.8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_deblurring(path: Path) -> None:
    """A photograph, blurred and noisy, and what the solver makes of it."""
    from matplotlib.cbook import get_sample_data

    file: Any = get_sample_data("grace_hopper.jpg", asfileobj=False)
    photograph = np.asarray(Image.open(file).convert("L"))[60:316, 130:386] / 255
    kernel = ft.kernels.motion_blur(9, angle=30)
    blur = ft.Conv(kernel[None, None], padding="same", padding_mode="symmetric")
    noise = np.random.default_rng(0).normal(scale=0.002, size=(1, *photograph.shape))
    blurred = blur(photograph[None]) + noise
    solved = lsmr(blur.linear_operator(blurred.shape), blurred.ravel(), damp=0.03, maxiter=100)[0]
    row = np.concatenate([photograph, blurred[0], solved.reshape(photograph.shape)], axis=1)
    shades = np.clip(row * 255 + 0.5, 0, 255).astype(np.uint8)
    Image.fromarray(shades).save(path, quality=88)


if __name__ == "__main__":
    mpl.use("Agg")
    draw_matrices(IMAGES / "matrix.png")
    draw_deblurring(IMAGES / "deblurred.jpg")
