"""The two register tiles of the direct convolution on the same layers, in turns with the peak.

One has pixels in its lanes, the other output channels (docs/decisions/0011). Behind layers of
networks follow some on both sides of each limit in `lanes_schedule.suits`; a star marks the tile
that runs. On one thread, unless told otherwise, on which neighbours on other cores disturb least.

    python benchmarks/tiles.py [--threads 1] [--seconds 2] [--only "1-D"]
"""

from __future__ import annotations

import argparse
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from faltung.bench.peak import make_peak
from faltung.bench.runner import take_turns
from faltung.compiled import direct, parallel
from faltung.compiled.lanes_schedule import LanesRow
from faltung.compiled.task import Axis, DirectTask


class Layer(NamedTuple):
    """A convolution with a border that keeps the size, but for the stride."""

    channels: int
    filters: int
    kernel: tuple[int, ...]
    lengths: tuple[int, ...]
    stride: int = 1
    dilation: int = 1


LAYERS = {
    "64->64 224x224": Layer(64, 64, (3, 3), (224, 224)),
    "64->64 56x56": Layer(64, 64, (3, 3), (56, 56)),
    "256->256 56x56": Layer(256, 256, (3, 3), (56, 56)),
    "256->256 33x33": Layer(256, 256, (3, 3), (33, 33)),
    "320->256 33x33 dilated by 12": Layer(320, 256, (3, 3), (33, 33), dilation=12),
    "128->128 28x28": Layer(128, 128, (3, 3), (28, 28)),
    "64->192 5x5 27x27": Layer(64, 192, (5, 5), (27, 27)),
    "256->256 14x14": Layer(256, 256, (3, 3), (14, 14)),
    "512->512 7x7": Layer(512, 512, (3, 3), (7, 7)),
    "512->512 3x3x3 2x7x7": Layer(512, 512, (3, 3, 3), (2, 7, 7)),
    "few products, wide: 12->32": Layer(12, 32, (3, 3), (112, 112)),
    "few products, wide: 16->32": Layer(16, 32, (3, 3), (112, 112)),
    "few products, narrow: 8->64": Layer(8, 64, (3, 3), (14, 14)),
    "few products, narrow: 12->64": Layer(12, 64, (3, 3), (14, 14)),
    "1-D 64->64 3 on 4096": Layer(64, 64, (3,), (4096,)),
    "1-D 128->128 3 on 4096": Layer(128, 128, (3,), (4096,)),
    "few taps a cell: 3x1x1 8x56x56": Layer(144, 64, (3, 1, 1), (8, 56, 56)),
    "few taps a cell: 3x3/2 on 80x80": Layer(128, 128, (3, 3), (80, 80), stride=2),
    "few taps, short: 3x3/2 on 28x28": Layer(256, 256, (3, 3), (28, 28), stride=2),
}


def task_of(layer: Layer) -> DirectTask:
    """The layer's convolution."""
    axes = [Axis(1, 1, 1)] * (3 - len(layer.lengths))
    for length, kernel in zip(layer.lengths, layer.kernel, strict=True):
        outside = (-1,) * (kernel // 2 * layer.dilation)
        outputs = -(-length // layer.stride)
        sizes = length, outputs, kernel, layer.stride, layer.dilation, len(outside)
        axes.append(Axis(*sizes, outside, outside))
    return DirectTask(1, 1, layer.channels, layer.filters, (axes[0], axes[1], axes[2]), "float32")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="part of the layers' names")
    arguments = parser.parse_args()
    parallel.set_num_threads(arguments.threads)
    peak, rng = make_peak(arguments.threads), np.random.default_rng(0)
    assert peak, "without a compiler there is nothing to measure"
    print(f"{'layer':34} pixels   channels   times as fast (shares of the peak)")
    for name, layer in LAYERS.items():
        if arguments.only not in name:
            continue
        task = task_of(layer)
        x = rng.standard_normal((1, layer.channels, *layer.lengths)).astype("f4")
        weight = rng.standard_normal((layer.filters, layer.channels, *layer.kernel)).astype("f4")
        outputs = [axis.outputs for axis in task.axes[3 - len(layer.lengths) :]]
        y = np.empty((1, layer.filters, *outputs), "f4")
        is_lanes = isinstance(direct.row_of(task), LanesRow)
        pixels = direct.pack(weight, task, is_scattered=True)
        with patch.object(direct, "suits", lambda *_: True):
            lanes = direct.pack(weight, task)
        seconds = take_turns(
            {
                "pixels": lambda t=task, x=x, p=pixels, y=y: direct.run(t, x, p, y),
                "channels": lambda t=task, x=x, p=lanes, y=y: direct.run(t, x, p, y),
                "peak": peak.call,
            },
            seconds=arguments.seconds,
        )
        top = peak.operations / seconds["peak"].best
        shares = [2 * task.macs / seconds[key].best / top for key in ("pixels", "channels")]
        stars = (" ", "*") if is_lanes else ("*", " ")
        print(
            f"{name:34} {shares[0]:5.0%}{stars[0]} {shares[1]:8.0%}{stars[1]} "
            f"{shares[1] / shares[0]:9.2f}"
        )


if __name__ == "__main__":
    main()
