"""What the planner's predictions are worth, and the prices that they are made of.

Every algorithm that can do one of the problems below is measured in one thread, in turns with the
others, and compared with its prediction. Then the prices of each algorithm, seconds of a call, of
an operation and of a byte, are fitted to all its problems, so that relative errors are least, and
printed as they stand in ``plans/_cost.py``. Each level of instructions needs a run of its own:

    FALTUNG_MAX_ISA=avx512 python benchmarks/cost.py [--seconds 0.3] [--only image] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any, NamedTuple

import numpy as np

import faltung as ft
from faltung.bench.runner import Clock
from faltung.compiled import machine
from faltung.plans import _cost, _select
from faltung.plans._cost import shown_seconds
from faltung.tuning import HOPELESS, able_operators, measure, random_input

CLOCK = Clock(time.thread_time, cpu=lambda: 0.0, sleep=lambda _: None)
"""The processor time of this thread, in which everything happens: others may use the machine."""
Problem = tuple[str, Any, tuple[int, ...], str]


def conv(channels: int, filters: int, kernel: int, *size: int, **parameters: Any) -> Problem:
    """A convolution with a border that keeps the size; batch=, dtype= and ft.Conv's parameters."""
    batch, dtype = parameters.pop("batch", 1), parameters.pop("dtype", "float32")
    rank, groups = len(size), parameters.get("groups", 1)
    weight = np.ones((filters, channels // groups, *[kernel] * rank), dtype)
    parameters.setdefault("padding", kernel // 2)
    words = ", ".join(f"{name}={value}" for name, value in parameters.items() if name != "padding")
    name = f"conv {kernel} {channels}->{filters} {'x'.join(map(str, size))} N{batch} {words}"
    operator = ft.Conv(weight, **parameters)
    return f"{name} {dtype}", operator, (batch, channels, *size), dtype


def of(name: str, operator: Any, *shape: int, dtype: str = "float32") -> Problem:
    """Any other operator."""
    return f"{name} {'x'.join(map(str, shape))} {dtype}", operator, shape, dtype


def sums() -> Iterator[Problem]:
    """Weighted sums."""
    for size in (48, 128, 512, 2048):
        for kernel in (3, 7, 15):
            yield conv(1, 1, kernel, size, size)
    for kernel in (3, 31, 201):
        yield conv(1, 1, kernel, 100_000)
    for kernel in (25, 41, 61):
        yield conv(1, 1, kernel, 512, 512)
        yield conv(8, 8, kernel, 96, 96)
    for channels, filters in ((3, 3), (4, 4), (3, 1), (1, 4), (3, 16), (3, 64), (2, 8), (1, 16)):
        yield conv(channels, filters, 3, 224, 224)
        yield conv(channels, filters, 7, 64, 64)
    for channels in (5, 8, 12, 16, 32):
        yield conv(channels, channels, 3, 56, 56)
        yield conv(channels, channels, 3, 14, 14)
        yield conv(channels, 1, 3, 112, 112)
        yield conv(channels, channels, 1, 56, 56)
    for groups in (32, 128):
        yield conv(groups, groups, 3, 56, 56, groups=groups)
        yield conv(groups, groups, 5, 14, 14, groups=groups)
        yield conv(2 * groups, 2 * groups, 3, 28, 28, groups=groups)
        yield conv(6 * groups, 6 * groups, 3, 28, 28, groups=groups)
        yield conv(groups, groups, 3, 56, 56, groups=groups, stride=2)
    for size in (9, 14, 28):
        for groups in (8, 32):
            yield conv(16 * groups, 16 * groups, 3, size, size, groups=groups)
            yield conv(16 * groups, 16 * groups, 3, size, size, groups=groups, stride=2)
    yield conv(32, 32, 5, 28, 28)
    yield conv(256, 256, 3, 14, 14)
    yield conv(64, 128, 3, 112, 112)
    yield conv(64, 64, 3, 8, 14, 14)
    yield conv(64, 64, 3, 56, 56)
    yield conv(64, 64, 11, 56, 56)
    yield conv(512, 512, 3, 7, 7)
    yield conv(256, 64, 1, 56, 56)
    yield conv(64, 256, 1, 56, 56)
    yield conv(2048, 512, 1, 7, 7)
    yield conv(1024, 1000, 1, 1, 1, batch=8)
    yield conv(128, 128, 3, 28, 28, stride=2)
    yield conv(3, 64, 7, 224, 224, stride=2)
    yield conv(64, 64, 3, 1000)
    yield conv(16, 16, 3, 16, 16, 16)
    yield conv(1, 1, 3, 64, 64, 64)
    for dtype in ("float64", "complex64", "int32", "uint8", "int64", "float16"):
        yield conv(16, 16, 3, 40, 40, dtype=dtype)
        yield conv(1, 1, 5, 256, 256, dtype=dtype)


def transposed() -> Iterator[Problem]:
    """Transposed convolutions."""
    for channels, filters, kernel, stride, size in (
        (1, 1, 3, 2, 64), (8, 8, 4, 2, 32), (64, 64, 3, 1, 28), (64, 32, 4, 2, 28),
        (256, 128, 2, 2, 14), (16, 16, 9, 8, 16),
    ):  # fmt: skip
        weight = np.ones((channels, filters, kernel, kernel), "f4")
        name = f"conv_transpose {kernel}/{stride} {channels}->{filters}"
        yield of(name, ft.ConvTranspose(weight, stride=stride), 1, channels, size, size)


def reductions() -> Iterator[Problem]:
    """Poolings, orders, morphology."""
    for size in (24, 112):
        for kernel in (2, 3, 7):
            yield of(f"max_pool {kernel}", ft.MaxPool((kernel, kernel)), 1, 64, size, size)
            same = ft.AvgPool((kernel, kernel), stride=1)
            yield of(f"avg_pool {kernel}/1", same, 1, 64, size, size)
        yield of("adaptive", ft.AdaptiveAvgPool((7, 7)), 1, 64, size, size)
        for kernel in (3, 5, 9, 15):
            flat = np.ones((kernel, kernel), bool)
            yield of(f"erode {kernel}", ft.Erode(flat), 1, 4, size, size, dtype="uint8")
            for dtype in ("float32", "uint8"):
                median = ft.WindowReduce((kernel, kernel), "median")
                yield of(f"median {kernel}", median, 1, 4, size, size, dtype=dtype)
    for kernel in (3, 25, 101, 401):
        median = ft.WindowReduce((kernel,), "median")
        yield of(f"median {kernel}", median, 1, 1, 20_000)


def moves() -> Iterator[Problem]:
    """Copies and interpolations."""
    for channels, size in ((1, 32), (3, 64), (64, 28), (64, 56), (16, 224)):
        for kernel in (2, 3, 7):
            unfold = ft.Unfold((kernel, kernel), padding=kernel // 2)
            yield of(f"unfold {kernel}", unfold, 1, channels, size, size)
        columns = channels * 9, size * size
        fold = ft.Fold((size, size), (3, 3), padding=1)
        yield of("fold 3", fold, 1, *columns)
        yield of("pad 1", ft.Pad(1), 1, channels, size, size)
        yield of("pad reflect", ft.Pad(3, "reflect"), 1, channels, size, size)
        for target in (2 * size, size // 2):
            for mode, antialias in (("nearest", False), ("bilinear", False), ("cubic", True)):
                resize = ft.Resize((target, target), mode=mode, antialias=antialias)
                yield of(f"resize {mode} to {target}", resize, 1, channels, size, size)
    for groups, size in ((1, 32), (8, 56)):
        kernels = np.ones((1, groups, 9, size, size), "f4")
        involution = ft.Involution(kernels, kernel_size=(3, 3), padding=1)
        yield of(f"involution 3 G{groups}", involution, 1, 64, size, size)


class Row(NamedTuple):
    """One algorithm on one problem."""

    problem: str
    algorithm: str
    cost: _cost.Cost
    predicted: float
    measured: float
    is_chosen: bool


def rows_of(problem: Problem, seconds: float) -> list[Row]:
    """All algorithms that can do a problem, measured."""
    name, operator, shape, dtype = problem
    x = random_input(shape, np.dtype(dtype))
    able, expected = able_operators(operator, shape, dtype), {}
    for algorithm in _select.ALGORITHMS:
        if algorithm.name in able:
            asked = able[algorithm.name]._bound_to_shape(shape, dtype)
            expected[algorithm.name] = algorithm.seconds(asked.problem)
    limit = HOPELESS * min(expected.values())
    promising = {name: each for name, each in able.items() if expected[name] <= limit}
    timings = measure(promising, x, seconds, CLOCK)
    found, chosen = [], operator.describe(shape, dtype).algorithm
    for algorithm in _select.ALGORITHMS:
        if algorithm.name in timings:
            bound = operator._asking(algorithm.name)._bound_to_shape(shape, dtype)
            predicted = algorithm.seconds(bound.problem)
            cost = algorithm.cost(bound.problem)
            best = timings[algorithm.name].best
            is_chosen = algorithm.name == chosen
            found.append(Row(name, algorithm.name, cost, predicted, best, is_chosen))
    return found


def fitted(rows: list[Row]) -> tuple[_cost.Price, float]:
    """The prices with the least relative errors, and by what factor they err on average."""
    from scipy.optimize import nnls

    work = np.array(
        [[row.cost.calls, row.cost.flops / row.cost.lane_use, row.cost.bytes] for row in rows]
    )
    times = np.array([row.measured for row in rows])
    prices, weights = np.zeros(3), 1 / times
    for _ in range(8):  # relative to the mean of both, or too small a prediction counts too little
        prices, _ = nnls(work * weights[:, None], times * weights)
        weights = 1 / np.sqrt(times * np.maximum(work @ prices, times / 8))
    off = np.exp(np.abs(np.log(np.maximum(work @ prices, 1e-9) / times)))
    return _cost.Price(*map(float, prices)), geometric_mean(off)


def chosen_of(rows: list[Row]) -> Row:
    """The row of the algorithm that runs; the planner's first may not suit the weights."""
    chosen = [row for row in rows if row.is_chosen]
    return min(chosen or rows, key=lambda row: row.predicted)


def print_rows(rows: list[Row]) -> None:
    """What was predicted beside what was measured, problem by problem; losses are marked."""
    by_problem: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_problem[row.problem].append(row)
    losses = []
    for name, own in by_problem.items():
        best = min(own, key=lambda row: row.measured)
        chosen = chosen_of(own)
        losses.append(chosen.measured / best.measured)
        mark = f"  loses {losses[-1]:.2f}" if losses[-1] > 1.1 else ""
        print(f"{name}{mark}")
        for row in sorted(own, key=lambda row: row.measured):
            words = shown_seconds(row.measured), shown_seconds(row.predicted)
            ratio = row.predicted / row.measured
            print(f"    {row.algorithm:<12} {words[0]:>9}, predicted {words[1]:>9} ({ratio:.2f})")
    lost = geometric_mean(losses)
    print(f"\nlost by the choice on average: {lost:.3f}, at most {max(losses):.2f}")


def in_one_thread() -> None:
    """Run this process with one thread: from the start again where BLAS has more already."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # read when NumPy loads
        alone = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "MKL", "OMP")}
        again = [sys.executable, *sys.argv]
        sys.exit(subprocess.run(again, env=os.environ | alone, check=False).returncode)
    ft.set_num_threads(1)


def main() -> None:
    """Measure, compare, fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.3, help="for each problem")
    parser.add_argument("--only", default="", help="part of the problems' names")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    in_one_thread()
    rows: list[Row] = []
    for family in (sums, transposed, reductions, moves):
        for problem in family():
            if arguments.only in problem[0]:
                rows += rows_of(problem, arguments.seconds)
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    print_rows(rows)
    print(f"\nprices on {machine.isa()}:")
    for name in sorted(_cost.PRICES):
        own = [row for row in rows if (row.cost.prices or row.algorithm) == name]
        if own:
            price, off = fitted(own)
            print(f'    "{name}": Price({price.call:.2g}, {price.flop:.2g}, '
                  f"{price.byte:.2g}),  # {len(own)} problems, off by {off:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
