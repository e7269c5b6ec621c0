"""faltung as one of the contenders: operators that hold their weights, or the plain function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import faltung as ft
from faltung.bench.cases import Problem
from faltung.bench.peers._peer import Contender

__all__ = ["ours"]


def ours(problem: Problem) -> Contender:
    """The call that a user of faltung would write for the case."""
    return Contender(_BUILDERS[problem.case.operation](problem))


def _conv(problem: Problem) -> Callable[[], Any]:
    x, weight = problem.x, problem.weight
    options = {name: value for name, value in problem.options.items() if name != "is_function"}
    if problem.is_function:
        return lambda: ft.conv(x, weight, **options)
    operator = ft.Conv(weight, **options)
    return lambda: operator(x)


def _with_weight(operator_class: Any) -> Callable[[Problem], Callable[[], Any]]:
    def build(problem: Problem) -> Callable[[], Any]:
        operator, x = operator_class(problem.weight, **problem.options), problem.x
        return lambda: operator(x)

    return build


def _of_window(operator_class: Any) -> Callable[[Problem], Callable[[], Any]]:
    def build(problem: Problem) -> Callable[[], Any]:
        operator, x = operator_class(**problem.options), problem.x
        return lambda: operator(x)

    return build


def _filter_array(problem: Problem) -> Callable[[], Any]:
    x, kernel, out = problem.x, problem.weight, np.empty_like(problem.x)
    return lambda: ft.filter_array(x, kernel, border="constant", out=out)


def _filter_valid(problem: Problem) -> Callable[[], Any]:
    x, kernel, out = problem.holed, problem.weight, np.empty_like(problem.x)
    return lambda: ft.filter_array(x, kernel, border="constant", nan="ignore", out=out)


def _filter_image(problem: Problem) -> Callable[[], Any]:
    x, kernel = problem.x, problem.weight
    return lambda: ft.filter_image(x, kernel)


def _convolve(problem: Problem) -> Callable[[], Any]:
    x, taps = problem.x, problem.weight
    return lambda: ft.convolve(x, taps, "same")


def _dilate(problem: Problem) -> Callable[[], Any]:
    x, structure = problem.x[None], np.ones(problem.options["size"], bool)
    operator = ft.Dilate(structure)
    return lambda: operator(x)[0]


def _median(problem: Problem) -> Callable[[], Any]:
    x, size = problem.x, problem.options["size"]
    return lambda: ft.median_filter(x, size, border="edge")


def _match_template(problem: Problem) -> Callable[[], Any]:
    x, patch = problem.x, problem.weight
    return lambda: ft.match_template(x, patch)


_BUILDERS: dict[str, Callable[[Problem], Callable[[], Any]]] = {
    "conv": _conv,
    "conv_transpose": _with_weight(ft.ConvTranspose),
    "involution": _with_weight(ft.Involution),
    "max_pool": _of_window(ft.MaxPool),
    "avg_pool": _of_window(ft.AvgPool),
    "adaptive_avg_pool": _of_window(ft.AdaptiveAvgPool),
    "resize": _of_window(ft.Resize),
    "unfold": _of_window(ft.Unfold),
    "fold": _of_window(ft.Fold),
    "filter_array": _filter_array,
    "filter_valid": _filter_valid,
    "filter_image": _filter_image,
    "convolve": _convolve,
    "dilate": _dilate,
    "median": _median,
    "match_template": _match_template,
}
