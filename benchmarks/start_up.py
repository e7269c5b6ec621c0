"""How long the first call of a new process takes, with an empty cache and with a filled one.

Every measurement is a process of its own with a cache directory of its own. The seconds are those
of the first call alone, without the import of faltung; reported is the best and the median round.
Python's own bytecode, which installing writes, is there every time: a run before them leaves it.

Calls "after a first one" follow one of another plan (the largest of windows), which has loaded the
compiler's library and made the pool of threads: what is left is a plan's own compilation, or with a
filled cache its own loading. The second call's time is taken off.

    python benchmarks/start_up.py [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# By name: what is called, and whether after a first call of another plan. Arrays are of ones.
CASES = {
    "conv2d float32": ("conv(of('f4', 1, 16, 56, 56), of('f4', 16, 16, 3, 3), padding=1)", False),
    "conv2d float64": ("conv(of('f8', 1, 16, 56, 56), of('f8', 16, 16, 3, 3), padding=1)", False),
    "conv2d uint8": ("conv(of('u1', 1, 16, 56, 56), of('u1', 16, 16, 3, 3), padding=1)", False),
    "conv1d float32": ("conv(of('f4', 1, 16, 4096), of('f4', 16, 16, 3), padding=1)", False),
    "channels in lanes": ("conv(of('f4', 1, 64, 28, 28), of('f4', 64, 64, 3, 3), padding=1)", True),
    "pixels in lanes": ("conv(of('f4', 1, 3, 64, 64), of('f4', 64, 3, 7, 7), stride=2)", True),
    "pointwise": ("conv(of('f4', 1, 64, 28, 28), of('f4', 64, 64, 1, 1))", True),
    "depthwise": ("conv(of('f4', 1, 64, 28, 28), of('f4', 64, 1, 3, 3), groups=64)", True),
    "picture float32": ("filter_image(of('f4', 512, 512), of('f4', 5, 5))", True),
    "picture uint8": ("filter_image(of('u1', 512, 512, 3), of('f8', 5, 5) / 25)", True),
    "separable picture": ("filter_image(of('f4', 512, 512), ft.kernels.gaussian(4.0))", True),
    "transforms": ("filter_array(of('f4', 1 << 20), of('f4', 4097))", True),
    "normalised": ("filter_array(of('f4', 512, 512), of('f4', 5, 5), nan='ignore')", True),
    "transposed": (
        "conv_transpose(of('f4', 1, 64, 28, 28), of('f4', 64, 32, 4, 4), stride=2)",
        True,
    ),
    "mean pooling": ("avg_pool(of('f4', 1, 64, 56, 56), 3)", True),
    "unfolding": ("unfold(of('f4', 1, 64, 56, 56), 3)", True),
    "resizing": ("resize(of('f4', 1, 16, 200, 200), size=(300, 300), mode='bilinear')", True),
    "template": ("match_template(of('f4', 200, 200) * np.arange(200), of('f4', 9, 9))", True),
}
FIRST_CALL = """
import time, sys
import numpy as np
import faltung as ft

def of(dtype, *shape):
    return np.ones(shape, dtype)

def call():
    began = time.perf_counter(), time.process_time()
    CALL
    return time.perf_counter() - began[0], time.process_time() - began[1]

if AFTER:
    ft.max_pool(of("f4", 1, 64, 56, 56), 3)
first = call()
rest = min(call() for _ in range(3)) if AFTER else (0.0, 0.0)
print(first[0] - rest[0], first[1] - rest[1], "numba" in sys.modules)
"""


def first_call(
    call: str, is_after: bool, cache: str | Path, bytecode: Path
) -> tuple[float, float, bool]:
    """Seconds and CPU seconds of the first call in a new process, and whether it loads Numba."""
    environment = {**os.environ, "FALTUNG_CACHE_DIR": str(cache)}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = FIRST_CALL.replace("CALL", call).replace("AFTER", str(is_after))
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, cpu_seconds, has_numba = told.stdout.split()
    return float(seconds), float(cpu_seconds), has_numba == "True"


def measure(rounds: int) -> list[dict[str, Any]]:
    """One row for each case and state of the cache; the cases take turns."""
    seen: dict[tuple[str, str], list[tuple[float, float, bool]]] = {}
    with tempfile.TemporaryDirectory(prefix="faltung-start-up-") as folder:
        bytecode = Path(folder, "bytecode")
        all_calls = "; ".join(f"ft.{call}" for call, _ in CASES.values())
        first_call(all_calls, True, Path(folder, "all"), bytecode)
        for _ in range(rounds):
            for name, (call, is_after) in CASES.items():
                with tempfile.TemporaryDirectory(dir=folder) as cache:
                    for state in ("cold", "warm"):
                        row = first_call(f"ft.{call}", is_after, cache, bytecode)
                        seen.setdefault((name, state), []).append(row)
    return [
        {
            "case": name,
            "after_a_first_call": CASES[name][1],
            "cache": state,
            "best_seconds": round(min(row[0] for row in rows), 3),
            "median_seconds": round(statistics.median(row[0] for row in rows), 3),
            "median_cpu_seconds": round(statistics.median(row[1] for row in rows), 3),
            "loads_numba": any(row[2] for row in rows),
        }
        for (name, state), rows in seen.items()
    ]


def main() -> None:
    """Measure, print a table, and write it where the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments.rounds)
    print(f"{'case':18} {'':5}  cache  best s  median s  CPU s  Numba")
    for row in rows:
        print(
            f"{row['case']:18} {'after' if row['after_a_first_call'] else 'first'}  "
            f"{row['cache']:5} {row['best_seconds']:7.3f} {row['median_seconds']:9.3f} "
            f"{row['median_cpu_seconds']:6.3f}  "
            f"{'loaded' if row['loads_numba'] else 'not loaded'}"
        )
    if arguments.json:
        found = {"machine": platform.platform(), "cores": os.cpu_count(), "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
