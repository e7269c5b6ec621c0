"""What every result is compared with: the same sum in float64, by somebody else's code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from faltung.bench.cases import Problem
from faltung.bench.formulas import FORMULAS
from faltung.typing import Array

__all__ = ["error_of", "exact_result", "is_right"]

TOLERANCES = {"float32": 2e-5, "float64": 1e-13, "uint8": 1.01 / 255}
"""Of the largest number of the result. float32: ten times what sums of 4,608 products lose, and
less than half of what products of bfloat16 do; uint8: one level."""


def exact_result(problem: Problem) -> Array:
    """The result in float64; whole levels for pictures of uint8."""
    return _EXACT.get(problem.case.operation, _by_formula)(problem)


def error_of(result: Array, exact: Array) -> float:
    """The largest difference, in parts of the largest number; infinite for another shape."""
    if result.shape != exact.shape:
        return float("inf")
    largest = 255.0 if result.dtype == np.uint8 else float(np.abs(exact).max(initial=1e-300))
    error = float(np.abs(result.astype(np.float64) - exact).max(initial=0)) / largest
    return error if np.isfinite(error) else float("inf")


def is_right(error: float, problem: Problem) -> bool:
    """Whether an error is one of rounding."""
    return error <= TOLERANCES[problem.case.dtype]


def _by_formula(problem: Problem) -> Array:
    doubled = Problem(problem.case, problem.x.astype(np.float64), problem.weight.astype(np.float64))
    return np.asarray(FORMULAS[problem.case.operation](doubled))


def _filter_array(problem: Problem) -> Array:
    from scipy import signal

    x, kernel = problem.x.astype(np.float64), problem.weight.astype(np.float64)
    return np.asarray(signal.oaconvolve(x, np.flip(kernel), "same"))


def _filter_valid(problem: Problem) -> Array:
    from scipy import signal

    is_missing, kernel = np.isnan(problem.holed), np.flip(problem.weight.astype(np.float64))
    cells = np.where(is_missing, 0, problem.x.astype(np.float64))
    sums = np.asarray(signal.oaconvolve(cells, kernel, "same"))
    sizes = np.abs(kernel)
    lost = np.asarray(signal.oaconvolve(is_missing.astype(np.float64), sizes, "same"))
    return np.asarray(sums / (1 - lost / sizes.sum()))


def _filter_image(problem: Problem) -> Array:
    from scipy import signal

    reach = [size // 2 for size in problem.weight.shape]
    image = np.pad(problem.x.astype(np.float64), [*((n, n) for n in reach), (0, 0)], "reflect")
    kernel = np.flip(problem.weight)[:, :, None]
    y = signal.oaconvolve(image, kernel, "valid", axes=(0, 1))
    return np.asarray(np.clip(np.rint(y), 0, 255))


def _convolve(problem: Problem) -> Array:
    from scipy import signal

    x, taps = problem.x.astype(np.float64), problem.weight.astype(np.float64)
    return np.asarray(signal.oaconvolve(x, taps, "same"))


def _dilate(problem: Problem) -> Array:
    from scipy import ndimage

    x = problem.x.astype(np.float64)
    size = problem.options["size"]
    return np.asarray(ndimage.maximum_filter(x, size, mode="constant", cval=-np.inf))


def _median(problem: Problem) -> Array:
    from scipy import ndimage

    size = problem.options["size"]
    return np.asarray(ndimage.median_filter(problem.x, size, mode="nearest"), np.float64)


def _match_template(problem: Problem) -> Array:
    from scipy import signal

    x, patch = problem.x.astype(np.float64), problem.weight.astype(np.float64)
    patch = patch - patch.mean()
    ones = np.ones(patch.shape)
    sums = signal.oaconvolve(x, ones, "valid")
    squares = signal.oaconvolve(x * x, ones, "valid") - sums**2 / patch.size
    scores = signal.oaconvolve(x, np.flip(patch), "valid")
    return np.asarray(scores / np.sqrt(squares * (patch**2).sum()))


_EXACT: dict[str, Callable[[Problem], Array]] = {
    "filter_array": _filter_array,
    "filter_valid": _filter_valid,
    "filter_image": _filter_image,
    "convolve": _convolve,
    "dilate": _dilate,
    "median": _median,
    "match_template": _match_template,
}
