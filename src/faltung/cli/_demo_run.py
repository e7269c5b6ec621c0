"""Running a step of the demo: result, times, the difference to SciPy, the plan."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.cli._algorithm import algorithm_for
from faltung.cli._demo_steps import Step, match
from faltung.typing import Array

__all__ = ["Outcome", "Textbook", "run_step"]

# Multiply-adds that the textbook loops are timed on; enough for some 10 ms in plain Python.
_TEXTBOOK_MACS = 20_000
# Seconds that are spent on repeating an evaluation.
_BUDGET = 0.15


@dataclass(frozen=True)
class Textbook:
    """Time of the textbook loops: measured on a small square of outputs, scaled to all of them."""

    seconds: float
    side: int


@dataclass(frozen=True)
class Outcome:
    """What a step gave; times are the best of several, warm, in seconds."""

    step: Step
    views: dict[str, Array]
    weight: Array
    output_shape: tuple[int, ...]
    seconds: float
    scipy_seconds: float
    textbook: Textbook
    largest_difference: float
    algorithm: str


def run_step(step: Step, image: Array, grey: Array) -> Outcome:
    """Run the lines of `step` on a picture."""
    from scipy import ndimage

    import faltung as ft

    names: dict[str, Any] = {"np": np, "ft": ft, "image": image, "grey": grey}
    exec(step.setup, names)  # the demo's own lines, see _demo_steps
    result, seconds = _best_time(step.call, names)
    peer, peer_seconds = _best_time(step.peer, {**names, "ndimage": ndimage, "match": match})
    weight = eval(step.weight, names)
    places = math.prod(result.shape) // (weight.shape[0] if step.channels > 1 else 1)
    return Outcome(
        step=step,
        views=step.views(result, names),
        weight=weight,
        output_shape=result.shape,
        seconds=seconds,
        scipy_seconds=peer_seconds,
        textbook=_textbook(weight, places),
        largest_difference=float(np.abs(result.astype(np.float64) - peer).max()),
        algorithm=_algorithm(step, names, weight, result),
    )


def _algorithm(step: Step, names: dict[str, Any], weight: Array, result: Array) -> str:
    """The algorithm that the step has taken: the planner's, or the transform."""
    from faltung._transform import is_worth_while

    if step.operands:
        x, kernel = (names[name].astype(np.float64) for name in step.operands)
        if is_worth_while(x, kernel, result.shape):
            return "fft"
    is_single = result.dtype == np.float32
    return algorithm_for(weight, names["grey"].shape, is_single=is_single, border="reflect")


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


def _textbook(weight: Array, places: int) -> Textbook:
    import faltung as ft

    side = max(1, min(24, math.isqrt(_TEXTBOOK_MACS // weight.size)))
    crop = np.ones((weight.shape[1], *(side + k - 1 for k in weight.shape[2:])))
    operator = ft.Conv(weight)
    _, elapsed = _best_time("operator.reference(crop)", {"operator": operator, "crop": crop})
    return Textbook(elapsed / side**2 * places, side)
