"""Captions: the arithmetic of a frame where it is short, else how much is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.draw.numbers import short, words
from faltung.draw.subject import Subject
from faltung.explanation import Explanation
from faltung.plans._rules import (
    Extreme,
    Interpolation,
    Mean,
    Morphology,
    Overlap,
    PositionSum,
    PowerSum,
    Reduction,
    WeightedSum,
)
from faltung.typing import Array, Shape

__all__ = ["gathered_caption", "name_of"]

MOST_TERMS = 9
MOST_LETTERS = 84


def name_of(index: Shape, array: str = "y") -> str:
    """An element of an array, as one would write it."""
    return f"{array}[{', '.join(map(str, index))}]"


def gathered_caption(
    subject: Subject, index: Shape, explanation: Explanation | None, counts: tuple[int, int]
) -> str:
    """What an output is made of; `counts` are its cells, and its taps on the border."""
    name = name_of(subject.own_output(index))
    if explanation is None:
        text = f"{name} sees {words(counts[0], 'cell')}"
        return text + (f", {words(counts[1], 'tap')} on the border" if counts[1] else "")
    total = short(explanation.total)
    between = _arithmetic(explanation)
    whole = f"{name} = {between} = {total}"
    return whole if between and len(whole) <= MOST_LETTERS else f"{name} = {total}"


def _arithmetic(explanation: Explanation) -> str:
    """The numbers between the equals signs; nothing where they are many, or do not add up."""
    window = explanation.window
    written = WRITTEN.get(type(window.problem.recipe.rule))
    labels = [step.label for step in explanation.steps]
    is_rounded = any(label.startswith(("exact sum", "rounded")) for label in labels)
    if written is None or is_rounded or not 1 < len(window.parts) <= MOST_TERMS:
        return ""
    return written(explanation, window.parts)


def _sum(parts: list[str]) -> str:
    return " + ".join(parts).replace("+ -", "− ")


def _products(explanation: Explanation, values: Array) -> str:
    window = explanation.window
    factors = window.terms.coefficients[:, window.takes_part].ravel()
    pairs = zip(values, factors, strict=True)
    products = [f"{_factor(value, is_first=True)}·{_factor(factor)}" for value, factor in pairs]
    bias = [] if explanation.bias is None else [short(explanation.bias)]
    text = _sum([*products, *bias])
    return text if explanation.activation is None else f"max(0, {text})"


def _factor(number: Any, *, is_first: bool = False) -> str:
    """A number in a product; in brackets where its sign would be misread."""
    text = short(number)
    inner = text if is_first else text.lstrip("-")
    is_sum = "+" in text[1:] or "-" in text[1:].replace("e-", "")
    return f"({text})" if is_sum or inner != text else text


def _shown(values: Array) -> list[str]:
    return [short(value) for value in values]


def _mean(explanation: Explanation, values: Array) -> str:
    divisor = next(step.value for step in explanation.steps if step.label == "divided by")
    return f"({_sum(_shown(values))}) / {short(divisor)}"


def _power_sum(explanation: Explanation, values: Array) -> str:
    rule: Any = explanation.window.problem.recipe.rule
    sizes = [f"|{value}|" for value in _shown(values)]
    if np.isinf(rule.order):
        return f"max({', '.join(sizes)})"
    order = f"{rule.order:g}"
    return f"({' + '.join(f'{size}^{order}' for size in sizes)})^(1/{order})"


def _morphology(explanation: Explanation, values: Array) -> str:
    rule: Any = explanation.window.problem.recipe.rule
    made = explanation.arithmetic.products
    if made is not None:  # with the heights of the structure
        values = made[:, explanation.window.takes_part].ravel()
    return f"{'max' if rule.is_dilation else 'min'}({', '.join(_shown(values))})"


def _reduction(explanation: Explanation, values: Array) -> str:
    rule: Any = explanation.window.problem.recipe.rule
    return f"{rule.name}({', '.join(_shown(values))})"


WRITTEN: dict[type, Callable[[Explanation, Array], str]] = {
    WeightedSum: _products,
    PositionSum: _products,
    Interpolation: _products,
    Mean: _mean,
    PowerSum: _power_sum,
    Extreme: lambda _, values: f"max({', '.join(_shown(values))})",
    Morphology: _morphology,
    Reduction: _reduction,
    Overlap: lambda _, values: _sum(_shown(values)),
}
"""How the arithmetic of each rule is written."""
