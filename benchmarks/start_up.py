"""How long the first call of a new process takes, with an empty cache and with a filled one.

Every measurement is a process of its own with a cache directory of its own. The seconds are those
of the first call alone, without the import of faltung; reported is the best and the median round.

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

# By name: dtype and spatial shape; 16 channels to 16 channels, a kernel of 3 on each axis.
CASES = {
    "conv2d float32": ("float32", (56, 56)),
    "conv2d float64": ("float64", (56, 56)),
    "conv2d uint8": ("uint8", (56, 56)),
    "conv1d float32": ("float32", (4096,)),
}
FIRST_CALL = """
import sys, time
import numpy as np
import faltung as ft
dtype, shape = sys.argv[1], tuple(map(int, sys.argv[2].split(",")))
x = np.ones((1, 16, *shape), dtype)
weight = np.ones((16, 16, *[3] * len(shape)), dtype)
began = time.perf_counter(), time.process_time()
ft.conv(x, weight, padding=1, algorithm="direct")
ended = time.perf_counter(), time.process_time()
print(ended[0] - began[0], ended[1] - began[1], "numba" in sys.modules)
"""


def first_call(dtype: str, shape: tuple[int, ...], cache: str) -> tuple[float, float, bool]:
    """Seconds and CPU seconds of the first call in a new process, and whether it loads Numba."""
    environment = {**os.environ, "FALTUNG_CACHE_DIR": cache}
    command = [sys.executable, "-c", FIRST_CALL, dtype, ",".join(map(str, shape))]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, cpu_seconds, has_numba = told.stdout.split()
    return float(seconds), float(cpu_seconds), has_numba == "True"


def measure(rounds: int) -> list[dict[str, Any]]:
    """One row for each case and state of the cache; the cases take turns."""
    seen: dict[tuple[str, str], list[tuple[float, float, bool]]] = {}
    for _ in range(rounds):
        for name, (dtype, shape) in CASES.items():
            with tempfile.TemporaryDirectory(prefix="faltung-start-up-") as cache:
                for state in ("cold", "warm"):
                    row = first_call(dtype, shape, cache)
                    seen.setdefault((name, state), []).append(row)
    return [
        {
            "case": name,
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
    print(f"{'case':16} cache  best s  median s  CPU s  Numba")
    for row in rows:
        print(
            f"{row['case']:16} {row['cache']:5} {row['best_seconds']:7.2f} "
            f"{row['median_seconds']:9.2f} {row['median_cpu_seconds']:6.2f}  "
            f"{'loaded' if row['loads_numba'] else 'not loaded'}"
        )
    if arguments.json:
        found = {"machine": platform.platform(), "cores": os.cpu_count(), "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
