"""What the compiled layer reaches here: shares of the peak, ratios to NumPy and SciPy.

Contenders take turns as in `faltung bench`, which compares faltung with other libraries. Threads of
NumPy's OpenBLAS spin for 0.14 s after a product, which is waited out, or told to take less:

    OPENBLAS_THREAD_TIMEOUT=18 python benchmarks/compiled.py [--threads 2] [--rounds 24] [--json F]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import faltung as ft
from faltung.bench.peak import make_peak
from faltung.bench.runner import take_turns
from faltung.compiled import machine, parallel

# By name: batch, channels, filters, kernel, size, parameters.
CASES = {
    "3x3 64->64 56": (1, 64, 64, 3, 56, {"padding": 1}),
    "3x3 64->64 56 N8": (8, 64, 64, 3, 56, {"padding": 1}),
    "3x3 128->128 28": (1, 128, 128, 3, 28, {"padding": 1}),
    "1x1 256->64 56": (1, 256, 64, 1, 56, {}),
    "3x3 8->8 64": (1, 8, 8, 3, 64, {"padding": 1}),
    "3x3 8->8 256": (1, 8, 8, 3, 256, {"padding": 1}),
    "3x3 16->32 128": (1, 16, 32, 3, 128, {"padding": 1}),
    "5x5 32->32 96": (1, 32, 32, 5, 96, {"padding": 2}),
    "7x7/2 8->64 224": (1, 8, 64, 7, 224, {"padding": 3, "stride": 2}),
    "3x3 dilated 32->32 64": (1, 32, 32, 3, 64, {"padding": 2, "dilation": 2}),
    "3x3 depthwise 64 112": (1, 64, 64, 3, 112, {"padding": 1, "groups": 64}),
    "1x1 64->128 64": (1, 64, 128, 1, 64, {}),
}
# Against NumPy's unfolding, on 64×64 pixels: each kernel with each number of channels and filters.
UNFOLD_KERNELS = {
    "1x1": (1, {}),
    "3x3": (3, {"padding": 1}),
    "3x3/2": (3, {"padding": 1, "stride": 2}),
    "5x5": (5, {"padding": 2}),
}
UNFOLD_CHANNELS, UNFOLD_FILTERS = (8, 16, 64), (1, 8, 16, 64)


def unfold_and_multiply(x: Any, weight: Any, **parameters: Any) -> Callable[[], Any]:
    """NumPy's formulation: every window copied to a column, one matrix product a group."""
    stride, dilation = parameters.get("stride", 1), parameters.get("dilation", 1)
    padding, groups = parameters.get("padding", 0), parameters.get("groups", 1)
    batch, channels = x.shape[:2]
    filters, _, kernel, _ = weight.shape
    matrix = weight.reshape(groups, filters // groups, -1)

    def run() -> Any:
        padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
        views = ft.windows(padded, (kernel, kernel), stride=stride, dilation=dilation)
        rows, columns = views.shape[2:4]
        columns_first = views.transpose(0, 1, 4, 5, 2, 3)
        cells = columns_first.reshape(batch, groups, channels // groups * kernel**2, -1)
        return (matrix @ cells).reshape(batch, filters, rows, columns)

    return run


def seconds_of(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds a call of each contender, in turns, in its best quarter."""
    return {name: timing.best for name, timing in take_turns(contenders, rounds=rounds).items()}


def dense_cases(threads: int, rounds: int) -> list[dict[str, Any]]:
    """Convolutions against the peak and against unfold-and-multiply."""
    rng = np.random.default_rng(0)
    peak = make_peak(threads)
    assert peak, "without a compiler there is nothing to measure"
    results = []
    for name, (batch, channels, filters, kernel, size, parameters) in CASES.items():
        groups = parameters.get("groups", 1)
        x = rng.standard_normal((batch, channels, size, size)).astype("f4")
        weight = rng.standard_normal((filters, channels // groups, kernel, kernel)).astype("f4")
        operator = ft.Conv(weight, **parameters)
        out = operator(x)
        unfold = unfold_and_multiply(x, weight, **parameters)
        exact = ft.conv(x.astype("f8"), weight.astype("f8"), **parameters)
        seconds = seconds_of(
            {
                "operator": lambda op=operator, x=x, out=out: op(x, out=out),
                "function": lambda x=x, w=weight, p=parameters: ft.conv2d(x, w, **p),
                "unfold": unfold,
                "peak": peak.call,
            },
            rounds,
        )
        operations = operator.describe(x.shape).flops
        top = peak.operations / seconds["peak"]
        results.append(
            {
                "case": name,
                "gflops": operations / seconds["operator"] / 1e9,
                "function_gflops": operations / seconds["function"] / 1e9,
                "peak_gflops": top / 1e9,
                "share_of_peak": operations / seconds["operator"] / top,
                "times_unfold": seconds["unfold"] / seconds["operator"],
                "function_times_unfold": seconds["unfold"] / seconds["function"],
                "error": float(np.abs(out - exact).max() / np.abs(exact).max()),
                "unfold_error": float(np.abs(unfold() - exact).max() / np.abs(exact).max()),
            }
        )
    return results


def slide_and_multiply(x: Any, weight: Any, padding: int = 0, stride: int = 1) -> Any:
    """The one line that people write: all windows, one axis of taps, one matrix product."""
    filters, channels, kernel, _ = weight.shape
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)]) if padding else x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 1, 4, 5, 2, 3)
    rows, columns = windows.shape[4:]
    cells = windows.reshape(len(x), channels * kernel**2, rows * columns)
    return (weight.reshape(filters, -1) @ cells).reshape(len(x), filters, rows, columns)


def unfold_cases(rounds: int) -> list[dict[str, Any]]:
    """Small layers, as operators and as functions, against NumPy's unfolding and product alone."""
    rng = np.random.default_rng(0)
    results = []
    for dtype, name, channels, filters in product(
        ("float32", "float64"), UNFOLD_KERNELS, UNFOLD_CHANNELS, UNFOLD_FILTERS
    ):
        kernel, parameters = UNFOLD_KERNELS[name]
        x = rng.standard_normal((1, channels, 64, 64)).astype(dtype)
        weight = rng.standard_normal((filters, channels, kernel, kernel)).astype(dtype)
        operator = ft.Conv(weight, **parameters)
        matrix, cells = weight.reshape(filters, -1), x.reshape(channels, -1)
        contenders: dict[str, Callable[[], Any]] = {
            "operator": lambda op=operator, x=x: op(x),
            "function": lambda x=x, w=weight, p=parameters: ft.conv2d(x, w, **p),
            "unfold": lambda x=x, w=weight, p=parameters: slide_and_multiply(x, w, **p),
        }
        if kernel == 1:
            contenders["product"] = lambda matrix=matrix, cells=cells: matrix @ cells
        seconds = seconds_of(contenders, rounds)
        row = {"case": f"{name} {channels}->{filters} 64 {dtype}"}
        for ours, theirs in product(("operator", "function"), ("unfold", "product")):
            if theirs in seconds:
                row[f"{ours}_times_{theirs}"] = seconds[theirs] / seconds[ours]
        results.append({**row, **{f"{key}_us": 1e6 * value for key, value in seconds.items()}})
    return results


def show_unfold(rows: list[dict[str, Any]]) -> None:
    """How often NumPy wins, and where."""
    for ours, theirs in product(("operator", "function"), ("unfold", "product")):
        key = f"{ours}_times_{theirs}"
        ratios = {row["case"]: row[key] for row in rows if key in row}
        mean = float(np.exp(np.mean(np.log(list(ratios.values())))))
        losses = ", ".join(f"{case} {ratio:.2f}" for case, ratio in ratios.items() if ratio < 1)
        print(f"{ours} against {theirs}: {mean:.1f}× in the mean of {len(ratios)} cases")
        print(f"  least {min(ratios.values()):.2f}×, NumPy wins: {losses or 'nowhere'}")


def image_case(rounds: int) -> dict[str, Any]:
    """One large picture against SciPy."""
    from scipy import ndimage, signal

    rng = np.random.default_rng(0)
    picture = rng.standard_normal((2048, 2048)).astype("f4")
    kernel = rng.standard_normal((3, 3)).astype("f4")
    operator = ft.Conv(kernel[None, None], padding=1)
    out = operator(picture[None])
    seconds = seconds_of(
        {
            "operator": lambda: operator(picture[None], out=out),
            "function": lambda: ft.conv2d(picture[None], kernel[None, None], padding=1),
            "correlate2d": lambda: signal.correlate2d(picture, kernel, "same"),
            "ndimage": lambda: ndimage.correlate(picture, kernel, mode="constant"),
        },
        max(rounds // 4, 4),
    )
    return {
        "case": "3x3 on one 2048x2048 channel",
        "milliseconds": 1e3 * seconds["operator"],
        "times_correlate2d": seconds["correlate2d"] / seconds["operator"],
        "function_times_correlate2d": seconds["correlate2d"] / seconds["function"],
        "times_ndimage": seconds["ndimage"] / seconds["operator"],
    }


START = """
import time, numpy as np, faltung as ft
x, weight = np.ones((1, 64, 56, 56), "f4"), np.ones((64, 64, 3, 3), "f4")
start = time.perf_counter()
ft.conv2d(x, weight, padding=1)
print(time.perf_counter() - start)
"""


def start_up() -> dict[str, float]:
    """Seconds of the first compiled call in a new process, with a cold and a warm cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "FALTUNG_CACHE_DIR": folder}

        def first_call() -> float:
            command = [sys.executable, "-c", START]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            return float(done.stdout)

        cold = first_call()
        return {"cold_seconds": cold, "warm_seconds": min(first_call() for _ in range(5))}


def small_calls() -> dict[str, float]:
    """Microseconds of calls so small that their fixed cost is all there is."""
    picture, kernel = np.ones((1, 1, 6, 8), "f4"), np.array([[[[1.0, -1.0]]]], "f4")
    x, weight = np.ones((1, 8, 8, 8), "f4"), np.ones((8, 8, 3, 3), "f4")
    operator = ft.Conv(weight, padding=1)
    seconds = seconds_of(
        {
            "conv2d 6x8, 1x2": lambda: ft.conv2d(picture, kernel),
            "operator 8x8x8->8": lambda: operator(x),
            "conv2d 8x8x8->8": lambda: ft.conv2d(x, weight, padding=1),
        },
        8,
    )
    return {name: 1e6 * value for name, value in seconds.items()}


def show(results: dict[str, Any]) -> None:
    """A table for the terminal."""
    print(f"{results['isa']}, {results['threads']} threads")
    print(f"{'case':<24}{'GFLOP/s':>9}{'peak':>7}{'share':>7}{'unfold':>8}{'call':>7}{'error':>9}")
    for row in results["dense"]:
        print(
            f"{row['case']:<24}{row['gflops']:>9.0f}{row['peak_gflops']:>7.0f}"
            f"{row['share_of_peak']:>7.0%}{row['times_unfold']:>7.1f}×"
            f"{row['function_times_unfold']:>6.1f}×{row['error']:>9.0e}"
        )
    show_unfold(results["unfold"])
    for part in ("image", "start_up", "small_calls"):
        print(
            part, {k: round(v, 2) if isinstance(v, float) else v for k, v in results[part].items()}
        )


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=parallel.get_num_threads())
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    ft.set_num_threads(arguments.threads)
    results = {
        "isa": machine.isa(),
        "threads": arguments.threads,
        "dense": dense_cases(arguments.threads, arguments.rounds),
        "unfold": unfold_cases(max(arguments.rounds // 4, 4)),
        "image": image_case(arguments.rounds),
        "start_up": start_up(),
        "small_calls": small_calls(),
    }
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
