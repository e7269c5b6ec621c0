"""The family of sliding windows against what one would write in NumPy.

Every case is a row of `CASES`: a call of faltung and the same result from NumPy alone, on float32
data of 1×64×112×112 unless the row says otherwise. The two take turns as in `faltung bench`;
reported is the best quarter of the blocks and their ratio, and by how much the results differ.

    python benchmarks/family.py [WORD ...] [--threads 2] [--rounds 16] [--json FILE]

With words, only the cases whose names hold one of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from family_windows import ROWS

import faltung as ft
from faltung.bench.runner import take_turns
from faltung.compiled import machine, parallel

SHAPE = (1, 64, 112, 112)


class Case(NamedTuple):
    """One row: its name, faltung's call, NumPy's formulation, and the shape of the data."""

    name: str
    ours: Callable[[Any], Any]
    numpy: Callable[[Any], Any]
    shape: tuple[int, ...] = SHAPE


def windows(x: Any, kernel: int, stride: int = 1, padding: int = 0, value: float = 0) -> Any:
    """NumPy's view of all windows over the padded last two axes."""
    if padding:
        x = np.pad(x, [(0, 0), (0, 0), *[(padding, padding)] * 2], constant_values=value)
    views = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))
    return views[:, :, ::stride, ::stride]


def largest_places(x: Any, kernel: int, stride: int) -> tuple[Any, Any]:
    """The largest cell of each window and its flat place in the plane."""
    views = windows(x, kernel, stride)
    flat = views.reshape(*views.shape[:4], -1)
    tap = flat.argmax(-1)
    rows = np.arange(views.shape[2])[:, None] * stride + tap // kernel
    columns = np.arange(views.shape[3]) * stride + tap % kernel
    return flat.max(-1), rows * x.shape[3] + columns


def pool_gradient(x: Any, g: Any) -> Any:
    """The gradient of a 3×3 maximum with stride 2 and padding 1: added where the maxima are."""
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    places = largest_places(padded, 3, 2)[1]
    sums = np.zeros_like(padded).reshape(*x.shape[:2], -1)
    planes = np.ix_(*map(np.arange, x.shape[:2]))
    flat = places.reshape(*x.shape[:2], -1)
    np.add.at(sums, (planes[0][..., None], planes[1][..., None], flat), g.reshape(flat.shape))
    return sums.reshape(padded.shape)[:, :, 1:-1, 1:-1]


def bins(x: Any, count: int, reduce: Any) -> Any:
    """A reduction over equal bins, where their number divides the axes."""
    n, c, rows, columns = x.shape
    return reduce(x.reshape(n, c, count, rows // count, count, columns // count), (3, 5))


def weight_gradient(x: Any, g: Any) -> Any:
    """The gradient after a 3×3 weight: windows times cotangents."""
    return np.tensordot(g, windows(x, 3, 1, 1), ((0, 2, 3), (0, 2, 3)))


def input_gradient(g: Any, weight: Any) -> Any:
    """The gradient after the input: windows of the cotangents times the flipped weight."""
    turned = weight[:, :, ::-1, ::-1]
    return np.moveaxis(np.tensordot(windows(g, 3, 1, 1), turned, ((1, 4, 5), (0, 2, 3))), 3, 1)


GRADIENT = np.random.default_rng(1).standard_normal((1, 64, 56, 56), np.float32)
WEIGHT = np.random.default_rng(2).standard_normal((64, 64, 3, 3), np.float32)
DISC = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.3

CASES = [
    Case("max_pool 2x2", lambda x: ft.max_pool2d(x, 2), lambda x: windows(x, 2, 2).max((4, 5))),
    Case("max_pool 2x2 by reshape", lambda x: ft.max_pool2d(x, 2), lambda x: bins(x, 56, np.max)),
    Case(
        "max_pool 2x2 indices",
        lambda x: ft.max_pool2d(x, 2, return_indices=True),
        lambda x: largest_places(x, 2, 2),
    ),
    Case(
        "max_pool 3x3/2",
        lambda x: ft.max_pool2d(x, 3, stride=2, padding=1),
        lambda x: windows(x, 3, 2, 1, -np.inf).max((4, 5)),
    ),
    Case(
        "max_pool 3x3/2 channels last",
        lambda x: ft.max_pool2d(x, 3, stride=2, padding=1, data_format="channels_last"),
        lambda x: np.moveaxis(windows(np.moveaxis(x, 3, 1), 3, 2, 1, -np.inf).max((4, 5)), 1, 3),
        (1, 112, 112, 64),
    ),
    Case(
        "max_pool 3x3/2 uint8",
        lambda x: ft.max_pool2d(x.view(np.uint8), 3, stride=2),
        lambda x: windows(x.view(np.uint8), 3, 2).max((4, 5)),
        (1, 64, 112, 28),
    ),
    Case(
        "max_pool 13x13 same",
        lambda x: ft.max_pool2d(x, 13, stride=1, padding=6),
        lambda x: windows(x, 13, 1, 6, -np.inf).max((4, 5)),
        (1, 8, 112, 112),
    ),
    Case(
        "avg_pool 3x3 same",
        lambda x: ft.avg_pool2d(x, 3, stride=1, padding=1),
        lambda x: windows(x, 3, 1, 1).mean((4, 5)),
    ),
    Case("avg_pool 2x2", lambda x: ft.avg_pool2d(x, 2), lambda x: windows(x, 2, 2).mean((4, 5))),
    Case(
        "lp_pool 3x3/2 p=2",
        lambda x: ft.lp_pool2d(x, 2, 3, stride=2),
        lambda x: np.sqrt((windows(x, 3, 2) ** 2).sum((4, 5))),
    ),
    Case(
        "adaptive_avg_pool 7",
        lambda x: ft.adaptive_avg_pool2d(x, 7),
        lambda x: bins(x, 7, np.mean),
    ),
    Case(
        "adaptive_avg_pool 1",
        lambda x: ft.adaptive_avg_pool2d(x, 1),
        lambda x: x.mean((2, 3), keepdims=True),
    ),
    Case(
        "adaptive_max_pool 7",
        lambda x: ft.adaptive_max_pool2d(x, 7),
        lambda x: bins(x, 7, np.max),
    ),
    Case(
        "erode 3x3",
        lambda x: ft.erode(x, np.ones((3, 3), bool)),
        lambda x: windows(x, 3, 1, 1, np.inf).min((4, 5)),
    ),
    Case(
        "dilate disc 5x5",
        lambda x: ft.dilate(x, DISC),
        lambda x: windows(x, 5, 1, 2, -np.inf)[..., DISC].max(4),
    ),
    Case(
        "window_reduce sum 5x5",
        lambda x: ft.window_reduce(x, 5, "sum", padding=2),
        lambda x: windows(x, 5, 1, 2).sum((4, 5)),
    ),
    Case(
        "window_reduce range 3x3",
        lambda x: ft.window_reduce(x, 3, "range"),
        lambda x: np.ptp(windows(x, 3), (4, 5)),
    ),
    Case(
        "window_reduce median 3x3",
        lambda x: ft.window_reduce(x, 3, "median"),
        lambda x: np.median(windows(x, 3), (4, 5)),
        (1, 8, 112, 112),
    ),
    Case(
        "conv weight gradient 3x3 64",
        lambda x: ft.conv_weight_grad(x, GRADIENT, WEIGHT.shape, padding=1),
        lambda x: weight_gradient(x, GRADIENT),
        GRADIENT.shape,
    ),
    Case(
        "conv input gradient 3x3 64",
        lambda x: ft.conv_input_grad(x, WEIGHT, x.shape, padding=1),
        lambda x: input_gradient(x, WEIGHT),
        GRADIENT.shape,
    ),
    Case(
        "max_pool 3x3/2 gradient",
        lambda x: ft.MaxPool(3, stride=2, padding=1).vjp(x)[1](x[:, :, ::2, ::2])["input"],
        lambda x: pool_gradient(x, x[:, :, ::2, ::2]),
    ),
    *(Case(*row) for row in ROWS),
]


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference of the results, relative to the largest number."""
    if isinstance(ours, tuple):
        return max(map(difference, ours, theirs))
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    exact = theirs.astype(np.float64)
    return float(np.abs(ours - exact).max() / max(np.abs(exact).max(), 1e-300))


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Milliseconds of both, their ratio, and the difference of the results."""
    x = np.random.default_rng(0).standard_normal(case.shape, np.float32)
    turns = {"ours": lambda: case.ours(x), "numpy": lambda: case.numpy(x)}
    seconds = {name: timing.best for name, timing in take_turns(turns, rounds=rounds).items()}
    return {
        "case": case.name,
        "milliseconds": 1e3 * seconds["ours"],
        "numpy_milliseconds": 1e3 * seconds["numpy"],
        "times_numpy": seconds["numpy"] / seconds["ours"],
        "difference": difference(case.ours(x), case.numpy(x)),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--threads", type=int, default=parallel.get_num_threads())
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ft.set_num_threads(arguments.threads)
    words = arguments.words or [""]
    rows = []
    print(f"{machine.isa()}, {arguments.threads} threads")
    print(f"{'case':<34}{'ms':>9}{'NumPy ms':>10}{'ratio':>8}{'differs':>9}")
    for case in CASES:
        if any(word in case.name for word in words):
            row = measure(case, arguments.rounds)
            rows.append(row)
            print(
                f"{row['case']:<34}{row['milliseconds']:>9.3f}{row['numpy_milliseconds']:>10.2f}"
                f"{row['times_numpy']:>7.1f}×{row['difference']:>9.0e}",
                flush=True,
            )
    if arguments.json:
        found = {"isa": machine.isa(), "threads": arguments.threads, "cases": rows}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
