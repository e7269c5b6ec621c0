"""Running a step of the demo: result, times, the difference to the peer, the plan, the report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.cli._demo_step import Step
from faltung.cli._demo_steps import match
from faltung.plans._recording import recorded
from faltung.typing import Array

if TYPE_CHECKING:
    from faltung.report import Report

__all__ = ["Outcome", "Textbook", "run_step"]

# Multiply-adds that the textbook loops are timed on; enough for some 10 ms in plain Python.
_TEXTBOOK_MACS = 20_000
# Seconds that are spent on repeating an evaluation.
_BUDGET = 0.15


@dataclass(frozen=True)
class Textbook:
    """Time of the textbook loops: measured on a small part of the results, scaled to all."""

    seconds: float
    results: int


@dataclass(frozen=True)
class Outcome:
    """What a step gave; times are the best of several, warm, in seconds.

    `weight` is that of a convolution, None for other steps; `opencv_seconds` is None where OpenCV
    is not installed or has no such thing.
    """

    step: Step
    views: dict[str, Array]
    weight: Array | None
    output_shape: tuple[int, ...]
    seconds: float
    peer_seconds: float
    opencv_seconds: float | None
    textbook: Textbook
    largest_difference: float
    algorithm: str
    report: Report


def run_step(step: Step, image: Array, grey: Array) -> Outcome:
    """Run the lines of `step` on a picture."""
    from scipy import ndimage, signal

    import faltung as ft

    names: dict[str, Any] = {"np": np, "ft": ft, "image": image, "grey": grey}
    exec(step.setup, names)  # the demo's own lines, see _demo_step
    with recorded() as algorithms:
        eval(step.call, names)
    result, seconds = _best_time(step.call, names)
    peers = {**names, "ndimage": ndimage, "signal": signal, "match": match}
    peer, peer_seconds = _best_time(step.peer, peers)
    weight = eval(step.weight, names) if step.weight else None
    if weight is not None:
        names["weight"] = weight
    operator, data = (eval(text, names) for text in (step.operator, step.data))
    return Outcome(
        step=step,
        views=step.views(result, names),
        weight=weight,
        output_shape=result.shape,
        seconds=seconds,
        peer_seconds=peer_seconds,
        opencv_seconds=_opencv_time(step, names),
        textbook=_textbook(step, names, weight, result),
        largest_difference=float(np.abs(result.astype(np.float64) - peer).max()),
        # What is not recorded was no operator: the Fourier transform.
        algorithm=", ".join(dict.fromkeys(algorithms)) or "fft",
        report=operator.describe(data.shape),
    )


def _opencv_time(step: Step, names: dict[str, Any]) -> float | None:
    """The best time of OpenCV on as many threads."""
    import faltung as ft

    if not step.opencv or find_spec("cv2") is None:
        return None
    cv2 = import_module("cv2")
    cv2.setNumThreads(ft.get_num_threads())
    return _best_time(step.opencv, {**names, "cv2": cv2})[1]


def _best_time(expression: str, names: dict[str, Any]) -> tuple[Array, float]:
    """The value of `expression` and the best time of at most 20 evaluations after the first."""
    code = compile(expression, "<demo>", "eval")
    evaluate: Callable[[], Array] = lambda: eval(code, names)  # noqa: E731
    value = evaluate()
    best, spent = math.inf, 0.0
    for _ in range(20):
        started = time.perf_counter()
        evaluate()
        elapsed = time.perf_counter() - started
        best, spent = min(best, elapsed), spent + elapsed
        if spent > _BUDGET:
            break
    return value, best


def _textbook(step: Step, names: dict[str, Any], weight: Array | None, result: Array) -> Textbook:
    import faltung as ft

    if weight is None:
        part, elapsed = _best_time(step.textbook, names)
    else:
        side = max(1, min(24, math.isqrt(_TEXTBOOK_MACS // weight.size)))
        crop = np.ones((weight.shape[1], *(side + k - 1 for k in weight.shape[2:])))
        looping = {"operator": ft.Conv(weight), "crop": crop}
        part, elapsed = _best_time("operator.reference(crop)", looping)
    # Two filters that are joined into one result take two sums a place.
    filters = 1 if weight is None else weight.shape[0] if result.ndim == 2 else 1
    return Textbook(elapsed / part.size * result.size * filters, part.size)
