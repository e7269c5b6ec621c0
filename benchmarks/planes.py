"""Depthwise planes side by side in the lanes of a vector, and one after the other, in turns.

On both sides of where the one overtakes the other, which differs by level of instructions. A mark
stands where what is chosen takes a tenth longer than the other.

    FALTUNG_MAX_ISA=avx512 python benchmarks/planes.py [--seconds 1] [--dtype float32]
"""

from __future__ import annotations

import argparse

import numpy as np

from faltung.bench.runner import take_turns
from faltung.compiled import image, machine, parallel
from faltung.compiled.image_schedule import make_schedule
from faltung.compiled.plane_lanes_cut import find_cut
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import find_row

# Planes, kernel, length of both axes, stride.
LAYERS = (
    (960, 3, 7, 1), (512, 3, 10, 1), (512, 3, 12, 1), (576, 3, 14, 1), (512, 3, 16, 1),
    (144, 3, 56, 1), (512, 3, 14, 2), (512, 3, 24, 2), (240, 3, 28, 2), (144, 3, 56, 2),
    (512, 5, 7, 1), (512, 5, 10, 1), (480, 5, 14, 1), (240, 5, 28, 1), (672, 5, 14, 2),
    (240, 5, 28, 2), (768, 7, 7, 1), (512, 7, 12, 1), (384, 7, 14, 1), (96, 7, 56, 1),
)  # fmt: skip


def same_axis(length: int, kernel: int, stride: int) -> Axis:
    """An axis with the half of a kernel of zeros on either side."""
    outside = (-1,) * (kernel // 2)
    outputs = (length - 1) // stride + 1
    return Axis(length, outputs, kernel, stride, 1, kernel // 2, outside, outside)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    parallel.set_num_threads(1)
    rng, row, choose = np.random.default_rng(0), find_row(arguments.dtype), image.find_lanes
    ways = {"lanes": lambda task, _, row: find_cut(task, row), "planes": lambda *_: None}
    print(f"{machine.isa()}, one thread: 1 after the other, 2 side by side, times as fast, chosen")
    for groups, kernel, length, stride in LAYERS:
        axis = same_axis(length, kernel, stride)
        task = DirectTask(1, groups, 1, 1, (Axis(1, 1, 1), axis, axis), arguments.dtype)
        x = rng.standard_normal((1, groups, length, length)).astype(arguments.dtype)
        weight = rng.standard_normal((groups, 1, kernel, kernel)).astype(arguments.dtype)
        y = np.empty((1, groups, axis.outputs, axis.outputs), arguments.dtype)
        packed, calls = image.pack(weight, task), {}
        x, y = x[:, :, None], y[:, :, None]
        for name, way in ways.items():
            image.find_lanes = way
            image._runner_of.cache_clear()
            run = image.runner(task, x, y, False)
            calls[name] = lambda run=run, packed=packed, x=x, y=y: run(
                x, y, packed.weights, packed.biases
            )
        image.find_lanes = choose
        seconds = take_turns(calls, seconds=arguments.seconds)
        best = {name: taken.best for name, taken in seconds.items()}
        chosen = "planes" if choose(task, make_schedule(task, row), row) is None else "lanes"
        mark = "  loses" if best[chosen] > 1.1 * min(best.values()) else ""
        layer = f"{groups} of {length}×{length}, {kernel}×{kernel}/{stride}"
        times = f"{best['planes'] * 1e6:7.1f} µs {best['lanes'] * 1e6:7.1f} µs"
        print(f"{layer:24} {times} {best['planes'] / best['lanes']:6.2f}  {chosen}{mark}")


if __name__ == "__main__":
    main()
