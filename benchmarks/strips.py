"""Convolutions of few products with and without strips, in turns with filling their output.

Strips are for sums of one chunk, up to 160 products; the last layers have more and none. Shapes of
long rows gain most, because tile by tile a block of 48 pixels is written to a page of every row.

    FALTUNG_MAX_ISA=avx512 python benchmarks/strips.py [--threads 1] [--seconds 2]
"""

from __future__ import annotations

import argparse

import numpy as np

from faltung.bench.runner import take_turns
from faltung.compiled import call, direct, machine, parallel
from faltung.compiled import words as at
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import find_row

# Channels, filters, kernel, stride, lengths.
LAYERS = (
    (1, 512, 10, 5, (16000,)), (16, 128, 2, 1, (16000,)), (64, 128, 2, 1, (16000,)),
    (64, 128, 1, 2, (16000,)), (1, 64, 3, 1, (224, 224)), (3, 64, 3, 1, (224, 224)),
    (3, 64, 7, 2, (224, 224)), (8, 64, 3, 1, (112, 112)), (64, 128, 1, 2, (112, 112)),
    (16, 64, 3, 1, (112, 112)), (64, 128, 3, 1, (16000,)), (18, 64, 3, 1, (112, 112)),
)  # fmt: skip


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    parallel.set_num_threads(arguments.threads)
    rng, row, choose = np.random.default_rng(0), find_row("float32"), call.staged_strip_tiles
    print(f"{machine.isa()}: tile by tile, in strips, filling the output; times as fast, tiles")
    for channels, filters, kernel, stride, lengths in LAYERS:
        axes = [Axis(n, (n - kernel) // stride + 1, kernel, stride) for n in lengths]
        axes = [Axis(1, 1, 1)] * (3 - len(axes)) + axes
        task = DirectTask(1, 1, channels, filters, (axes[0], axes[1], axes[2]), "float32")
        x = rng.standard_normal((1, channels, *[axis.length for axis in axes])).astype("f4")
        shape = filters, channels, *[axis.kernel for axis in axes]
        packed = direct.pack(rng.standard_normal(shape).astype("f4"), task, is_scattered=True)
        y = np.empty((1, filters, *[axis.outputs for axis in axes]), "f4")
        tiles, calls = 1, {"filling": lambda y=y: y.fill(1)}
        for name, find in {"tiles": lambda *_: 1, "strips": choose}.items():
            call.staged_strip_tiles = find
            call.prepare.cache_clear()
            call.runner_of.cache_clear()
            run = direct.runner(task, x, y, row, False)
            steps = call.steps_of(x), call.steps_of(y)
            kind = call.prepare(task, task.sums, row, False, *steps)
            tiles = max(1, int(kind.words[at.STRIP_TILES]))
            calls[name] = lambda run=run, x=x, y=y, p=packed: run(x, y, p.weights, p.biases)
        best = {
            name: taken.best * 1e6
            for name, taken in take_turns(calls, seconds=arguments.seconds).items()
        }
        layer = f"{channels}->{filters}, {kernel} taps /{stride}, {'×'.join(map(str, lengths))}"
        times = " ".join(f"{best[name]:8.0f} µs" for name in ("tiles", "strips", "filling"))
        print(f"{layer:34} {times} {best['tiles'] / best['strips']:6.2f} {tiles:3}")


if __name__ == "__main__":
    main()
