"""Both sides of each crossing between two algorithms: what is chosen, and what the other takes.

Each line is one problem on one side of a crossing of the planner's cost model, with the time of the
algorithm that is chosen and of the others that can do it, in turns, in one thread. A choice that
loses more than a tenth is marked. The crossings move with the level of instructions:

    FALTUNG_MAX_ISA=avx512 python benchmarks/thresholds.py [--only image] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cost import chosen_of, in_one_thread, rows_of

import faltung as ft
from faltung.plans._cost import shown_seconds

Case = tuple[str, Any, tuple[int, ...]]
RNG = np.random.default_rng(0)


def dense(channels: int, filters: int, *kernel: int, **parameters: Any) -> Any:
    """A convolution whose kernels are no products of one kernel an axis."""
    weight = RNG.standard_normal((filters, channels, *kernel)).astype(np.float32)
    padding = tuple(size // 2 for size in kernel)
    return ft.Conv(weight, padding=padding, **parameters)


def crossings() -> Iterator[tuple[str, list[Case]]]:
    """What crosses, and problems from one side to the other."""
    yield (
        "image, direct: channels",
        [(f"{c} channels", dense(c, c, 3, 3), (1, c, 112, 112)) for c in (1, 3, 5, 8, 12, 16, 20)],
    )
    yield (
        "image, direct: filters of one channel",
        [(f"{f} filters", dense(1, f, 5, 5), (1, 1, 128, 128)) for f in (1, 4, 8, 16, 32)],
    )
    yield (
        "image, direct: channels of a group",
        [
            (f"{c} of 32 groups", dense(c, 32 * c, 3, 3, groups=32), (1, 32 * c, 28, 28))
            for c in (1, 2, 6, 12, 20)
        ],
    )
    yield (
        "image, fft: kernel",
        [(f"{k}×{k}", dense(1, 1, k, k), (1, 1, 512, 512)) for k in (9, 15, 21, 31, 61)],
    )
    yield (
        "direct, fft: kernel",
        [(f"{k}×{k}", dense(16, 16, k, k), (1, 16, 96, 96)) for k in (3, 7, 11, 21)],
    )
    yield (
        "direct, fft: signals",
        [(f"{k} taps", dense(1, 1, k), (1, 1, 100_000)) for k in (9, 65, 257, 1025)],
    )
    flat = [(k, np.ones((1, 1, k, k), np.float32)) for k in (3, 5, 7, 9, 15, 31)]
    yield (
        "image, low_rank: kernel",
        [(f"{k}×{k}", ft.Conv(w, padding=k // 2), (1, 1, 1024, 1024)) for k, w in flat],
    )
    yield (
        "stencil, compiled sums: multiply-adds",
        [(f"{8 * s}² products", dense(8, 8, 1, 1), (1, 8, s, s)) for s in (4, 16, 22, 23, 64)],
    )
    weights = [(s, np.ones((8, 8, 4, 4), np.float32)) for s in (3, 5, 8, 32)]
    yield (
        "stencil, phases: multiply-adds",
        [(f"{s}²", ft.ConvTranspose(w, stride=2), (1, 8, s, s)) for s, w in weights],
    )
    yield (
        "stencil, copying, unfolding: cells",
        [(f"{s}²", ft.Unfold((3, 3), padding=1), (1, 4, s, s)) for s in (8, 24, 42, 44, 100)],
    )
    yield (
        "stencil, copying: borders",
        [(f"{s}²", ft.Pad(2, "reflect"), (1, 4, s, s)) for s in (16, 64, 128, 256, 512)],
    )
    yield (
        "stencil, ordering: outputs",
        [(f"{s}²", ft.WindowReduce((3, 3), "median"), (1, 1, s, s)) for s in (4, 8, 16, 128)],
    )
    yield (
        "ordering, stencil: taps",
        [(f"{k} taps", ft.WindowReduce((k,), "median"), (1, 1, 20_000)) for k in (9, 101, 401)],
    )
    yield (
        "stencil, pooling: cells",
        [(f"{s}²", ft.MaxPool((2, 2)), (1, 16, s, s)) for s in (16, 44, 46, 112)],
    )
    yield (
        "stencil, resampling: products",
        [
            (f"{s}² to {2 * s}²", ft.Resize((2 * s, 2 * s), mode="bilinear"), (1, 2, s, s))
            for s in (8, 24, 64, 200)
        ],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each problem")
    parser.add_argument("--only", default="", help="part of a crossing's name")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    in_one_thread()
    found = []
    for name, cases in crossings():
        if arguments.only not in name:
            continue
        print(name)
        for label, operator, shape in cases:
            rows = rows_of((label, operator, shape, "float32"), arguments.seconds)
            chosen = chosen_of(rows)
            best = min(row.measured for row in rows)
            others = [row for row in rows if row is not chosen]
            told = [f"{row.algorithm} {shown_seconds(row.measured)}" for row in others]
            lost = chosen.measured / best
            mark = f"   loses {lost:.2f}" if lost > 1.1 else ""
            head = f"{chosen.algorithm} {shown_seconds(chosen.measured)}"
            print(f"    {label:<14} {head:<20} {', '.join(told)}{mark}")
            found += [{"crossing": name, **row._asdict()} for row in rows]
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
