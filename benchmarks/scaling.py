"""How time grows: with the pixels of a picture, and with the side of the kernel.

Writes the figures, the chart and the table of docs/scaling.md. faltung, OpenCV and SciPy take turns
at each point as in `faltung bench`; a contender leaves a line where a call would take too long.

    python benchmarks/scaling.py [--most-pixels 1e9] [--most-side 63] [--seconds 3]
                                 [--json FILE] [--chart FILE] [--page]
    python benchmarks/scaling.py --from FILE [--chart FILE] [--page]    # without measuring
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

import faltung as ft
from faltung.bench.results import machine_facts
from faltung.bench.runner import take_turns
from faltung.compiled.machine import total_memory

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
PIXELS = tuple(10**power for power in range(4, 10))
SIDES = (3, 5, 7, 9, 11, 15, 21, 31, 45, 63)
PLANE = 2048
"""Rows and columns of the picture that the sides are measured on."""
TOO_LONG = 6.0
"""Seconds of a call that no longer takes part."""
COLOURS = {"faltung": "C0", "opencv": "C1", "opencv separable": "C4", "scipy": "C2"}
TITLES = {
    "opencv": "OpenCV filter2D",
    "opencv separable": "OpenCV sepFilter2D",
    "scipy": "SciPy",
}
Call = Callable[[], Any]
Row = dict[str, Any]


def kernel_of(side: int, *, is_separable: bool) -> Any:
    """A Gaussian, or one with a random sign in each cell, whose rank is full."""
    place = np.arange(side) - side // 2
    line = np.exp(-((place / (side / 6)) ** 2) / 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    if not is_separable:
        kernel *= np.random.default_rng(side).choice([-1.0, 1.0], kernel.shape)
    return kernel


def lines_of(kernel: Any) -> tuple[Any, Any]:
    """A column and a row whose products are a separable kernel."""
    left, values, right = np.linalg.svd(kernel)
    return left[:, 0] * values[0], right[0]


def contenders(picture: Any, kernel: Any, *, is_separable: bool) -> dict[str, Call]:
    """One filter, the border reflected, by each library that is installed."""
    kernel = kernel if picture.dtype == np.uint8 else kernel.astype(picture.dtype)
    calls: dict[str, Call] = {"faltung": lambda: ft.filter_image(picture, kernel)}
    column, row = lines_of(kernel) if is_separable else (None, None)
    with suppress(ImportError):
        import cv2

        cv2.setNumThreads(ft.get_num_threads())
        border = cv2.BORDER_REFLECT_101
        calls["opencv"] = lambda: cv2.filter2D(picture, -1, kernel, borderType=border)
        if is_separable:
            calls["opencv separable"] = lambda: cv2.sepFilter2D(
                picture, -1, row, column, borderType=border
            )
    with suppress(ImportError):
        calls["scipy"] = scipy_call(picture, kernel, column, row)
    return calls


def scipy_call(picture: Any, kernel: Any, column: Any, row: Any) -> Call:
    """The fastest that SciPy has: two passes, a transform for wide kernels, else the loops."""
    from scipy import ndimage, signal

    if column is not None:

        def separable() -> Any:
            once = ndimage.correlate1d(picture, column, axis=0, mode="mirror")
            return ndimage.correlate1d(once, row, axis=1, mode="mirror")

        return separable
    if len(kernel) > 7 and picture.dtype != np.uint8:
        half, turned = len(kernel) // 2, kernel[::-1, ::-1]

        def transform() -> Any:
            padded = np.pad(picture, half, mode="reflect")
            return signal.oaconvolve(padded, turned, mode="valid")

        return transform
    return lambda: ndimage.correlate(picture, kernel, mode="mirror")


def picture_of(pixels: int, dtype: str) -> Any:
    """A square picture of about so many pixels, made without a second one."""
    side = isqrt(pixels)
    picture = np.empty((side, side), dtype)
    few = min(side, 500)
    picture[:few] = np.random.default_rng(0).integers(0, 256, (few, side), np.uint8)
    for first in range(few, side, few):
        picture[first : first + few] = picture[: min(few, side - first)]
    return picture


def measure_point(
    calls: dict[str, Call], growth: float, expected: dict[str, float], seconds: float
) -> dict[str, tuple[float, float]]:
    """Best and median seconds of who is not expected to take too long; corrects `expected`."""
    for name in calls:
        expected[name] = growth * expected.get(name, 0.0)
    able = {name: call for name, call in calls.items() if expected[name] <= TOO_LONG}
    timings = take_turns(able, seconds=seconds)
    expected.update({name: each.best for name, each in timings.items()})
    return {name: (each.best, each.median) for name, each in timings.items()}


def by_pixels(most: float, seconds: float) -> Iterator[Row]:
    """The same 5×5 kernel on larger and larger pictures."""
    for dtype, is_separable in (("uint8", True), ("float32", False)):
        kernel, before = kernel_of(5, is_separable=is_separable), 1
        expected: dict[str, float] = {}
        for pixels in PIXELS:
            needed = 3 * pixels * np.dtype(dtype).itemsize
            if pixels > most or needed > 0.4 * (total_memory() or needed):
                break
            picture = picture_of(pixels, dtype)
            calls = contenders(picture, kernel, is_separable=is_separable)
            found = measure_point(calls, pixels / before, expected, seconds)
            before = pixels
            yield from rows_of(found, "pixels", dtype, is_separable, picture.size, 5)


def by_sides(most: int, plane: int, seconds: float) -> Iterator[Row]:
    """Wider and wider kernels on one picture."""
    picture = picture_of(plane**2, "float32")
    for is_separable in (True, False):
        expected: dict[str, float] = {}
        before = 1
        for side in SIDES:
            if side > most:
                break
            kernel = kernel_of(side, is_separable=is_separable)
            calls = contenders(picture, kernel, is_separable=is_separable)
            found = measure_point(calls, (side / before) ** 2, expected, seconds)
            before = side
            yield from rows_of(found, "sides", "float32", is_separable, picture.size, side)


def rows_of(
    found: dict[str, tuple[float, float]], part: str, dtype: str, is_separable: bool, *point: int
) -> Iterator[Row]:
    """One row a contender."""
    for name, (best, median) in found.items():
        yield {
            "part": part,
            "contender": name,
            "dtype": dtype,
            "separable": is_separable,
            "pixels": point[0],
            "side": point[1],
            "seconds": best,
            "median_seconds": median,
        }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both parts."""
    machine = machine_facts(ft.get_num_threads(), ["numpy", "scipy", "opencv-python-headless"])
    rows: list[Row] = []
    for part in (
        by_pixels(arguments.most_pixels, arguments.seconds),
        by_sides(arguments.most_side, arguments.plane, arguments.seconds),
    ):
        for row in part:
            rows.append(row)
            print(json.dumps(row), flush=True)
    return {"machine": machine, "rows": rows}


def lines(found: dict[str, Any], part: str, is_separable: bool) -> dict[str, list[Row]]:
    """The rows of a panel, by contender."""
    result: dict[str, list[Row]] = {}
    for row in found["rows"]:
        if row["part"] == part and row["separable"] == is_separable:
            result.setdefault(row["contender"], []).append(row)
    return result


def exponent(rows: list[Row], axis: str, least: float) -> float | None:
    """By which power of `axis` time grows, from `least` on: the slope of the chart's line."""
    far = [row for row in rows if row[axis] >= least]
    if len(far) < 3:
        return None
    values = [np.log([row[key] for row in far]) for key in (axis, "seconds")]
    return float(np.polyfit(*values, 1)[0])


PANELS = (
    ("pixels", True, "uint8, 5×5, separable", 1e6),
    ("pixels", False, "float32, 5×5, not separable", 1e6),
    ("sides", True, "float32, separable kernels", 15),
    ("sides", False, "float32, kernels that are not", 15),
)
"""Part, kind of kernel, what stands above it, and where the slope is taken from."""


def table_of(found: dict[str, Any]) -> str:
    """The exponents, a row a line of the chart."""
    table = ["| what grows | contender | time grows with the power | from … to |"]
    table.append("| --- | --- | ---: | --- |")
    for part, is_separable, title, least in PANELS:
        axis, unit = ("pixels", "pixels") if part == "pixels" else ("side", "cells a side")
        for name, rows in lines(found, part, is_separable).items():
            slope = exponent(rows, axis, least)
            if slope is not None:
                reach = f"{least:,.0f} to {rows[-1][axis]:,} {unit}"
                what = f"{part}: {title}"
                table.append(f"| {what} | {TITLES.get(name, name)} | {slope:.2f} | {reach} |")
    return "\n".join([*table, ""])


def draw(found: dict[str, Any], path: Path) -> None:
    """Four panels, both axes logarithmic, with the slope that is promised as a dotted line."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 8), layout="constrained")
    for ax, (part, is_separable, title, _) in zip(picture.subplots(2, 2).flat, PANELS, strict=True):
        axis = "pixels" if part == "pixels" else "side"
        for name, rows in lines(found, part, is_separable).items():
            places, seconds = ([row[key] for row in rows] for key in (axis, "seconds"))
            label = TITLES.get(name, name)
            ax.plot(places, seconds, "o-", color=COLOURS[name], label=label, markersize=4)
        ours = lines(found, part, is_separable).get("faltung")
        if ours:
            power = {("pixels", True): 1, ("pixels", False): 1, ("sides", True): 1}.get(
                (part, is_separable), 2
            )
            ends = np.array([ours[0][axis], ours[-1][axis]], float)
            guide = ours[-1]["seconds"] * (ends / ends[-1]) ** power
            words = f"proportional to the {axis}" + (" squared" if power == 2 else "")
            ax.plot(ends, guide, ":", color="0.5", label=words)
        ax.set_xscale("log")
        ax.set_yscale("log")
        if part == "sides":
            ax.set_xticks(SIDES, [str(side) for side in SIDES])
            ax.minorticks_off()
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("pixels" if part == "pixels" else "side of the kernel, cells", fontsize=8)
        ax.set_ylabel("seconds", fontsize=8)
        ax.tick_params(labelsize=8)
        ax.grid(color="0.92")
        ax.legend(fontsize=7, frameon=False)
    machine = found["machine"]
    words = f"{machine['processor']}, {machine['threads']} threads, {machine['kernels']}"
    picture.suptitle(f"{words}, {machine['date'][:10]}", fontsize=8, color="0.4")
    picture.savefig(path, dpi=100)


def write_page(found: dict[str, Any]) -> None:
    """Put the table into the page."""
    text, count = TABLE.subn(lambda _: table_of(found), PAGE.read_text())
    assert count == 1, "the page has lost the place of its table"
    PAGE.write_text(text)


def main() -> None:
    """Measure or read, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most-pixels", type=float, default=1e9)
    parser.add_argument("--most-side", type=int, default=SIDES[-1])
    parser.add_argument("--plane", type=int, default=PLANE)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if arguments.source:
        found = json.loads(arguments.source.read_text())
    else:
        found = measure(arguments)
    print(table_of(found), end="")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.chart:
        draw(found, arguments.chart)
    if arguments.page:
        write_page(found)


if __name__ == "__main__":
    main()
