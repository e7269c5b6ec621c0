"""Draw the pictures of docs/lessons/1-from-scratch.md; run it after changing what they show."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

import faltung as ft

IMAGES = Path(__file__).parent.parent / "docs" / "lessons" / "images"
THEME = "auto"


def draw_windows(folder: Path) -> None:
    """One channel: the detector, both borders, the even kernel, full padding."""
    patch = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    picture = np.zeros((1, 6, 9), int)
    picture[0, 1:4, 5:8] = patch
    detector = ft.Conv(patch[None, None])
    drawn = detector.draw(
        picture.shape, x=picture, index=(0, 1, 5), theme=THEME, title="A detector"
    )
    drawn.save(folder / "1-detector.svg")

    middle = np.zeros((1, 1, 3, 3), int)
    middle[0, 0, 1, 1] = 1
    x = np.array([[1, 2, 3, 4], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]])[None]
    ft.Conv(middle).draw(x.shape, x=x, index=(0, 1, 1), theme=THEME, title="Cut").save(
        folder / "1-cut.svg"
    )

    x = np.array([[1, 2, 3], [4, 5, 6], [8, 9, 10]])[None]
    even = ft.Conv(np.full((1, 1, 2, 2), 0.5), padding="same_lower", padding_mode="blank")
    even.draw(x.shape, x=x, index=(0, 1, 1), theme=THEME, title="Same, of even size").save(
        folder / "1-even.svg"
    )

    x, kernel = np.array([[[1, 2, 3], [4, 5, 6]]]), np.array([[[[10, 20], [30, 40]]]])
    full = ft.Conv(kernel, padding="full")
    full.draw(x.shape, x=x, index=(0, 0, 0), theme=THEME, title="Full").save(folder / "1-full.svg")


def draw_channels(folder: Path) -> None:
    """Two channels, and the matrix of one."""
    x = np.arange(18).reshape(2, 3, 3)
    weight = np.zeros((1, 2, 3, 3))
    weight[0, 0], weight[0, 1, 0, :2] = 0.5, 0.5
    joined = ft.Conv(weight, padding="same", padding_mode="blank")
    joined.draw(x.shape, x=x, index=(0, 1, 1), theme=THEME, title="Two channels, one filter").save(
        folder / "1-channels.svg"
    )

    x, conv = np.arange(12).reshape(1, 3, 4), ft.Conv(np.array([[[[1, 2], [3, 4]]]]))
    shown = conv.draw(
        x.shape, x=x, index=(0, 1, 1), view="matrix", theme=THEME, title="A convolution as a matrix"
    )
    shown.save(folder / "1-matrix.svg")


def draw_plots(folder: Path) -> None:
    """The edges of two bars, the growth of the receptive field, a matrix of channels."""
    from matplotlib import pyplot

    bar = np.ones((5, 5), int)
    bar[:, 1:3] = 0
    beside = ft.Conv([[[[1, -1]]]], padding="same_lower", padding_mode="blank")
    figure, rows = pyplot.subplots(2, 1, figsize=(7.2, 3.6))
    figure.subplots_adjust(0, 0, 1, 1)
    beside.plot(bar[None], ax=rows[0])
    beside.plot(bar.T[None], ax=rows[1])
    figure.savefig(folder / "1-edges.png", dpi=90, facecolor="white")

    deep = ft.Sequential(
        ft.Conv((8, 1, 3, 3)),
        ft.MaxPool((2, 2)),
        ft.Conv((16, 8, 3, 3)),
        ft.MaxPool((2, 2)),
        ft.Conv((32, 16, 3, 3)),
    )
    ft.plot_receptive_field(deep, (1, 32, 32))
    pyplot.savefig(folder / "1-receptive-field.svg", facecolor="white", metadata={"Date": None})

    weight = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    ft.plot_matrix(ft.Conv(weight), (2, 6, 7))
    pyplot.savefig(folder / "1-blocks.png", dpi=90, facecolor="white", bbox_inches="tight")
    pyplot.close("all")


if __name__ == "__main__":
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "faltung"
    draw_windows(IMAGES)
    draw_channels(IMAGES)
    draw_plots(IMAGES)
