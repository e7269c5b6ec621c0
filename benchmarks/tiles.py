"""The two register tiles of the direct convolution on the same layers, in turns with the peak.

One has pixels in its lanes, the other output channels (docs/decisions/0011). On one thread, unless
told otherwise, on which neighbours on other cores disturb least.

    python benchmarks/tiles.py [--threads 1] [--seconds 2]
"""

from __future__ import annotations

import argparse

import numpy as np

from faltung.bench.peak import make_peak
from faltung.bench.runner import take_turns
from faltung.compiled import direct, parallel
from faltung.compiled.task import Axis, DirectTask

# By name: channels, filters, kernel, dilation and the lengths of two or three axes.
LAYERS = {
    "64->64 224x224": (64, 64, 3, 1, (224, 224)),
    "64->64 56x56": (64, 64, 3, 1, (56, 56)),
    "256->256 56x56": (256, 256, 3, 1, (56, 56)),
    "256->256 33x33": (256, 256, 3, 1, (33, 33)),
    "320->256 33x33 dilated by 12": (320, 256, 3, 12, (33, 33)),
    "128->128 28x28": (128, 128, 3, 1, (28, 28)),
    "64->192 5x5 27x27": (64, 192, 5, 1, (27, 27)),
    "256->256 14x14": (256, 256, 3, 1, (14, 14)),
    "512->512 7x7": (512, 512, 3, 1, (7, 7)),
    "512->512 3x3x3 2x7x7": (512, 512, 3, 1, (2, 7, 7)),
}


def same_axis(length: int, kernel: int, dilation: int) -> Axis:
    """An axis whose output is as long as its input."""
    outside = (-1,) * (kernel // 2 * dilation)
    return Axis(length, length, kernel, 1, dilation, len(outside), outside, outside)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    parallel.set_num_threads(arguments.threads)
    peak, rng = make_peak(arguments.threads), np.random.default_rng(0)
    assert peak, "without a compiler there is nothing to measure"
    print(f"{'layer':30} pixels  channels  times as fast (shares of the peak)")
    for name, (channels, filters, kernel, dilation, lengths) in LAYERS.items():
        axes = [same_axis(length, kernel, dilation) for length in lengths]
        axes = [Axis(1, 1, 1)] * (3 - len(axes)) + axes
        task = DirectTask(1, 1, channels, filters, (axes[0], axes[1], axes[2]), "float32")
        x = rng.standard_normal((1, channels, *lengths)).astype("f4")
        weight = rng.standard_normal((filters, channels, *(kernel,) * len(lengths))).astype("f4")
        y = np.empty((1, filters, *lengths), "f4")
        pixels = direct.pack(weight, task, is_scattered=True)
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
        print(f"{name:30} {shares[0]:5.0%} {shares[1]:8.0%} {shares[1] / shares[0]:9.2f}")


if __name__ == "__main__":
    main()
