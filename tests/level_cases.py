"""Convolutions on every CPU level: what comes out, which row ran, and its machine code.

Run in a process of its own that has not loaded Numba, because the level is settled when Numba is:
``main(levels)`` computes what must come out once, forks a child for each level, and prints one JSON
object: for each level what `try_level` returns.
"""

import json
import os
import pickle
import sys

import numpy as np

from direct_oracle import (
    axis,
    compute,
    numpy_dtype,
    random_task,
    random_values,
    reference,
    shapes_of,
)
from faltung.compiled import machine
from faltung.compiled.lanes_schedule import find_lanes_row
from faltung.compiled.lanes_tile import LanesTile, strip
from faltung.compiled.plane_lanes import filter_lanes
from faltung.compiled.plane_lanes_cut import find_cut
from faltung.compiled.task import Axis, DirectTask
from faltung.compiled.variants import find_row
from faltung.testing import error_bound

COUNTS = {"float32": 500, "float64": 100}
# Levels without rows of their own have the same kernels for the other dtypes.
DTYPES = {"sse4": ["float32"], "amx": ["float32"]}
# Of which dtypes the wide kernel is looked at. There is a vector product of 32 bits from SSE4 on.
ASSEMBLY = {
    "generic": ["float32", "float64", "uint32"],
    "sse4": ["float32", "uint32"],
    "amx": ["float32"],
}


def draw(seed, dtype):
    """A task with whole numbers for even seeds, with normal ones for odd seeds, and its sums."""
    rng = np.random.default_rng(seed)
    task, rank = random_task(rng, dtype)
    x_shape, weight_shape, y_shape = shapes_of(task, rank)
    values = random_values if seed % 2 == 0 else normal_values
    x, weight = values(rng, x_shape, dtype), values(rng, weight_shape, dtype)
    wide = np.longdouble if seed % 2 and dtype == "float64" else np.float64
    exact = reference(task, x, weight, dtype=wide)
    limit = np.zeros(exact.shape)
    if seed % 2:
        magnitude = reference(task, abs(x), abs(weight))
        limit = error_bound(magnitude, int(np.prod(weight_shape[1:])), dtype)
    if task.is_relu:
        exact = np.maximum(exact, 0)
    return task, rank, x, weight, exact.reshape(y_shape), limit.reshape(y_shape)


def normal_values(rng, shape, dtype):
    return rng.standard_normal(shape).astype(numpy_dtype(dtype))


def is_right(task, rank, x, weight, exact, limit):
    return bool((abs(compute(task, x, weight, rank=rank) - exact) <= limit).all())


def planes_code(row):
    """Multiply-adds of a tile of 7×7 planes in the lanes, and its machine code."""
    axes = Axis(1, 1, 1), axis(7, 3, 1, 1, 1, 1), axis(7, 3, 1, 1, 1, 1)
    cut = find_cut(DirectTask(1, 64, 1, 1, axes, row.element.dtype), row)
    tiles = cut.tiles(row)
    return tiles[1].rows * tiles[1].vectors * 3, filter_lanes(*tiles, 1).assembly()


def try_level(level, cases):
    """Which cases are wrong, which rows run, and what the compiler made of some of them."""
    os.environ["FALTUNG_MAX_ISA"] = level
    wrong = {
        dtype: [seed for seed, case in enumerate(cases[dtype]) if not is_right(*case)]
        for dtype in DTYPES.get(level, COUNTS)
    }
    rows = {dtype: find_row(dtype) for dtype in ("float32", "float64", "uint32", "uint64")}
    chosen = ASSEMBLY.get(level, ["float32", "float64"])
    lanes = [find_lanes_row(dtype) for dtype in ("float32", "float64")]
    return {
        "wrong": wrong,
        "isa": machine.isa(),
        "rows": [row.id for row in rows.values()],
        "code": {
            dtype: (rows[dtype].rows * rows[dtype].vectors, rows[dtype].columns()[0].assembly())
            for dtype in chosen
        },
        "lanes": {
            f"{taps} {is_dense} {row.id}": (shape.sums * taps, strip(shape).assembly())
            for row in lanes
            for taps, is_dense in ((1, True), (3, True), (3, False), (5, True))
            for shape in [LanesTile(row.element, *row.tiles[0], row.vectors, 1, taps, is_dense)]
        },
        "planes": {dtype: planes_code(rows[dtype]) for dtype in ("float32", "float64")},
    }


def in_child(function, *arguments):
    """What `function` returns in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "wb") as stream:
            pickle.dump(function(*arguments), stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        content = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"{function.__name__}{arguments[:1]} ended with {status}"
    return pickle.loads(content)


def main(levels):
    cases = {dtype: [draw(seed, dtype) for seed in range(count)] for dtype, count in COUNTS.items()}
    assert "numba" not in sys.modules
    print(json.dumps({level: in_child(try_level, level, cases) for level in levels}))
