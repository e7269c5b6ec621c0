"""The steps of docs/ladder.md in turns: the code of the page, run and timed on a real layer.

The page is read as the doctest that it is, so what is measured is what a reader sees. It writes the
table of the page from what it finds.

    python benchmarks/ladder.py [--rounds 30] [--json FILE] [--chart FILE] [--page]
    python benchmarks/ladder.py --from FILE [--chart FILE] [--page]    # without measuring
"""

from __future__ import annotations

import argparse
import doctest
import io
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # NumPy's matrix product reads it when NumPy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import faltung as ft
from faltung.bench.peak import make_peak
from faltung.bench.results import machine_facts
from faltung.bench.runner import Clock, take_turns

PAGE = Path(__file__).parent.parent / "docs" / "ladder.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)
LAYERS = {"64 planes of 56²": (64, 64, 56), "256 planes of 14²": (256, 256, 14)}
SMALL = (8, 8, 14)
"""Planes, output planes, rows and columns; a thousandth of the work for the interpreter."""


THREADS = (1, 2)
# What runs on one thread is timed by what that thread used of the processor: then it does not
# matter who else wanted it. There is nobody to wait for in that case.
THREAD_CLOCK = Clock(time.thread_time, lambda: 0.0, lambda _seconds: None)
COLOURS = {1: "C0", 2: "C1"}
Call = Callable[[], Any]
Shape = tuple[int, int, int]


class Step(NamedTuple):
    """A row of the table: a function of the page, its threads, what it is called, what limits."""

    name: str
    threads: int
    title: str
    limit: str


STEPS = (
    Step("loops", 1, "1. Python's loops", "interpreter"),
    Step("einsum", 1, "2. windows, `einsum`", "short inner loops"),
    Step("unfold", 1, "3. unfold, matrix product", "nine copies of the input"),
    Step("compiled", 1, "4. the loops, compiled", "latency of an addition"),
    Step("reordered", 1, "5. columns innermost", "2 loads, 1 store a multiply-add"),
    Step("staged", 1, "6. a tap is an offset", "2 loads, 1 store a multiply-add"),
    Step("tiled", 1, "7. register tile", "second cache; staging, trimming"),
    Step("panels", 1, "8. panels", "staging, trimming"),
    Step("threaded", 2, "9. two threads", "what is not shared"),
    Step("conv", 1, "10. `Conv`, one thread", "staging, storing"),
    Step("conv", 2, "10. `Conv`, two threads", "staging, storing"),
)
PACKED = ("tiled", "panels", "threaded")
"""Steps that get the packed weights as well: a layer keeps them."""


def page_names() -> dict[str, Any]:
    """What the page defines, all of it run."""
    names: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()):
        for example in doctest.DocTestParser().get_examples(PAGE.read_text()):
            exec(compile(example.source, PAGE.name, "single"), names)
    return names


def layer(planes: int, outputs: int, side: int) -> tuple[Any, Any]:
    """An input and its weights: small integers, so that every step gives the same."""
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (planes, side, side)).astype("f4")
    return x, rng.integers(-4, 5, (outputs, planes, 3, 3)).astype("f4")


def operations(planes: int, outputs: int, side: int) -> int:
    """Multiplications and additions, those with the border included."""
    return 2 * outputs * planes * 9 * side**2


def contenders_of(names: dict[str, Any], shape: Shape) -> dict[str, tuple[Call, int]]:
    """Each step and the peaks: what is called, and its operations. All results are compared."""
    layers = {shape: layer(*shape), SMALL: layer(*SMALL)}
    right = {shape: ft.conv(*data, padding="same") for shape, data in layers.items()}
    names["operator"] = ft.Conv(layers[shape][1], padding="same")  # the page's is for its example
    found: dict[str, tuple[Call, int]] = {}
    for step in STEPS:
        own = SMALL if step.name == "loops" else shape

        data = layers[own]
        if step.name in PACKED:
            data = (*data, names["pack"](data[1]))

        def call(function: Any = names[step.name], data: Any = data, step: Step = step) -> Any:
            ft.set_num_threads(step.threads)
            return function(*data)

        if not np.array_equal(call(), right[own]):
            raise AssertionError(f"{step.title} gives another result")
        found[step.title] = call, operations(*own)
    for threads in THREADS:
        peak = make_peak(threads)
        assert peak, "without a compiler there is nothing to measure"
        found[f"peak {threads}"] = peak.call, peak.operations
    return found


def shortest(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Seconds of single calls in turns, the mean of the best twentieth.

    Two threads are quick only while nobody else runs on either of two processors. On a shared
    machine that is the case for some milliseconds now and then, but not for a whole block.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    few = -(-rounds // 20)
    return {name: sum(sorted(each)[:few]) / few for name, each in found.items()}


def measure_layer(names: dict[str, Any], shape: Shape, rounds: int) -> dict[str, Any]:
    """Times, speeds, and shares of the peak of as many threads."""
    contenders = contenders_of(names, shape)
    on_two = {step.title for step in STEPS if step.threads == 2} | {"peak 2"}
    calls = {name: call for name, (call, _) in contenders.items() if name not in on_two}
    timings = take_turns(calls, rounds=rounds, clock=THREAD_CLOCK)
    seconds = {name: timing.best for name, timing in timings.items()}
    seconds |= shortest({name: contenders[name][0] for name in on_two}, 50 * rounds)
    speeds = {name: contenders[name][1] / seconds[name] / 1e9 for name in contenders}
    return {
        "shape": shape,
        "peak": {str(threads): speeds[f"peak {threads}"] for threads in THREADS},
        "steps": {
            step.title: {
                "milliseconds": 1e3 * seconds[step.title],
                "gflops": speeds[step.title],
                "share_of_peak": speeds[step.title] / speeds[f"peak {step.threads}"],
            }
            for step in STEPS
        },
    }


def measure(rounds: int) -> dict[str, Any]:
    """Both layers, one after the other."""
    names, machine = page_names(), machine_facts(max(THREADS), ["numpy", "numba"])
    found = {name: measure_layer(names, shape, rounds) for name, shape in LAYERS.items()}
    return {"machine": machine, "layers": found}


def two_digits(number: float) -> str:
    """Two digits that count: 0.0023, 1.2, 59, 126."""
    return f"{number:.0f}" if number >= 10 else f"{number:#.2g}"


def table_of(found: dict[str, Any]) -> str:
    """The table of the page."""
    layers = found["layers"]
    heads = ["step", "threads", *layers, "what limits"]
    lines = [f"| {' | '.join(heads)} |", f"| --- {'| ---: ' * (1 + len(layers))}| --- |"]
    for step in STEPS:
        figures = [layer["steps"][step.title] for layer in layers.values()]
        cells = [
            f"{two_digits(each['gflops'])} ({two_digits(100 * each['share_of_peak'])} %)"
            for each in figures
        ]
        lines.append(f"| {' | '.join([step.title, str(step.threads), *cells, step.limit])} |")
    for threads in THREADS:
        peaks = [two_digits(layer["peak"][str(threads)]) for layer in layers.values()]
        lines.append(f"| peak: registers only | {threads} | {' | '.join(peaks)} | |")
    return "\n".join(["GFLOP/s, and the share of the peak:", "", *lines, ""])


def draw(found: dict[str, Any], path: Path) -> None:
    """Speeds on a logarithmic scale, a bar a step, and the peaks as lines."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    picture = Figure(figsize=(10, 4.2), layout="constrained")
    axes = picture.subplots(1, len(found["layers"]), sharey=True)
    for ax, (name, layer) in zip(axes, found["layers"].items(), strict=True):
        for place, step in enumerate(STEPS):
            speed = layer["steps"][step.title]["gflops"]
            ax.barh(place, speed, color=COLOURS[step.threads], height=0.7)
            ax.text(2500, place, two_digits(speed), va="center", ha="right", fontsize=8)
        for threads in THREADS:
            peak = layer["peak"][str(threads)]
            ax.axvline(peak, color=COLOURS[threads], linestyle="--", linewidth=1)
        ax.set_xscale("log")
        ax.set_xlim(0.001, 3000)
        ax.set_ylim(len(STEPS) - 0.4, -0.6)
        ax.set_title(f"3×3, {name}, float32", fontsize=9)
        ax.set_xlabel("GFLOP/s (logarithmic); dashed: the peak", fontsize=8)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    bars = [Patch(color=COLOURS[1], label="1 thread"), Patch(color=COLOURS[2], label="2 threads")]
    axes[0].legend(handles=bars, loc="upper left", bbox_to_anchor=(0.46, 1), fontsize=8)
    axes[0].set_yticks(range(len(STEPS)), [step.title.replace("`", "") for step in STEPS])
    machine = found["machine"]
    words = f"{machine['processor']}, {machine['kernels']}, {machine['date'][:10]}"
    picture.suptitle(words, fontsize=8, color="0.4")
    picture.savefig(path, dpi=110)


def write_page(found: dict[str, Any]) -> None:
    """Put the table into the page."""
    text, count = TABLE.subn(lambda _: table_of(found), PAGE.read_text())
    assert count == 1, "the page has lost the place of its table"
    PAGE.write_text(text)


def main() -> None:
    """Measure or read, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    if arguments.source:
        found = json.loads(arguments.source.read_text())
    else:
        found = measure(arguments.rounds)
    print(table_of(found), end="")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if arguments.chart:
        draw(found, arguments.chart)
    if arguments.page:
        write_page(found)


if __name__ == "__main__":
    main()
