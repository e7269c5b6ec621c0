"""`Explanation`: one output of an operator on data, with everything that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from faltung._case import Case
from faltung.explanation import page, text
from faltung.explanation.arithmetic import Arithmetic, Step, Window, compute
from faltung.explanation.indices import checked_index
from faltung.explanation.panels import View
from faltung.plans._entries import shown_outputs
from faltung.plans._problem import Problem
from faltung.plans._rules import Reduction
from faltung.plans._terms import Terms, terms_of
from faltung.typing import Array, Shape

__all__ = ["ExplainedTerm", "Explanation", "explain"]


class ExplainedTerm(NamedTuple):
    """One cell under the window.

    Attributes
    ----------
    tap : tuple of int
        Which tap of the kernel sees it.
    position : tuple of int
        Where the tap lies on the input's spatial axes; negative or beyond the end on padding.
    cell : tuple of int or None
        The cell that shows there, None where none does.
    channel : int
        Of the input.
    value : number
        What the window shows.
    coefficient : number
        What it is multiplied with, or the height of a structure; 1 where there is neither.
    product : number or None
        Their product, or what else the rule makes of each value; None where it makes nothing.
    border : str
        ``"border (reflect → cell 2,1)"`` or ``"outside: 0"``; empty inside the input.
    """

    tap: Shape
    position: Shape
    cell: Shape | None
    channel: int
    value: Any
    coefficient: Any
    product: Any
    border: str


@dataclass(frozen=True, eq=False)
class Explanation:
    """The arithmetic behind one output; prints as text, and as HTML in notebooks.

    Explanations are equal that name the same cells, numbers and steps, to the last bit.

    Attributes
    ----------
    operator : str
        Its class name.
    index : tuple of int
        Of the output, in the result's own layout, from 0.
    total : NumPy scalar
        The output, ``op(x)[index]`` up to rounding; exact for integers.
    steps : tuple of Step
        From the cells to the total, each a `label` and a `value`.
    bias : NumPy scalar or None
        What is added to the sum.
    activation : str or None
        What is applied at the end.
    """

    operator: str
    index: Shape
    total: Any
    steps: tuple[Step, ...]
    bias: Any
    activation: str | None
    window: Window
    arithmetic: Arithmetic

    @property
    def terms(self) -> tuple[ExplainedTerm, ...]:
        """Every cell under the window, channel by channel and tap by tap, padding included."""
        values, products = self.window.values.ravel(), self.arithmetic.products
        view = self._view
        notes = [view.note(tap) for tap in range(len(self.window.takes_part))]
        made = [None] * values.size if products is None else list(products.ravel())
        return tuple(
            ExplainedTerm(*term[:4], value, term.coefficient, product, notes[place % len(notes)])
            for place, (term, value, product) in enumerate(
                zip(self.window.terms, values, made, strict=True)
            )
        )

    @property
    def winner(self) -> ExplainedTerm | None:
        """The cell that a maximum or minimum took; None for other rules."""
        place = self.arithmetic.winner
        return None if place is None else self.terms[place]

    def _content(self) -> tuple[Any, ...]:
        steps = [(step.label, bits_of_number(step.value)) for step in self.steps]
        numbers = map(bits_of_number, (self.total, self.bias, self.window.values))
        terms = [term._replace(value=None, product=None) for term in self.terms]
        # As text: a coefficient of NaN equals itself.
        return self.operator, self.index, self.activation, steps, tuple(numbers), repr(terms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Explanation):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash((self.operator, self.index, bits_of_number(self.total)))

    @property
    def _view(self) -> View:
        return View(self.operator, self.index, self.total, self.window, self.arithmetic)

    def __str__(self) -> str:
        return text.render(self._view)

    def _repr_html_(self) -> str:
        return page.render(self._view)


def bits_of_number(value: Any) -> Any:
    """What makes a number or an array equal to another: also NaN equals itself."""
    if value is None:
        return None
    array = np.asarray(value)
    return array.shape, array.dtype.str, array.tobytes()


def explain(case: Case, x: Array, index: object) -> Explanation:
    """The explanation of one output of a case; see `faltung.faces.Faces.explain`."""
    problem, layout = case.bound.problem, case.bound.layout
    cells = problem.output_shape[2:] if problem.recipe.is_flat else None
    own, canonical = checked_index(index, case.bound.shape, layout, cells)
    x = layout.canonical(x).reshape(problem.input_shape)
    window = _window(case, x, canonical)
    if window is None:
        window = _blank_window(problem, canonical)
        steps = (Step("the window leaves the input, which yields", 0),)
        arithmetic = Arithmetic(steps, np.zeros(1, problem.dtype))
    else:
        arithmetic = compute(window)
    with np.errstate(all="ignore"):
        total = arithmetic.total.astype(problem.dtype).astype(case.bound.dtype)[0]
    recipe = problem.recipe
    return Explanation(
        case.name, own, total, arithmetic.steps, window.bias, recipe.activation, window, arithmetic
    )


def _window(case: Case, x: Array, index: Shape) -> Window | None:
    """The cells that the output at a canonical index sees; None for a blank one."""
    problem, recipe = case.bound.problem, case.bound.problem.recipe
    place = index[2:]
    if recipe.is_blank and not all(
        output in outputs for output, outputs in zip(place, shown_outputs(problem), strict=True)
    ):
        return None
    terms = terms_of(problem, case.operands, index)
    fill = np.asarray(recipe.fill).astype(problem.compute_dtype)
    # The cell that stands in for those outside is overwritten at once.
    cells = np.maximum(terms.cells, 0)
    where: Any = (index[0], terms.channels, *(column[None] for column in cells.T))
    values = np.zeros(terms.coefficients.shape, fill.dtype)
    if x.size:
        values[...] = x[where]
    values[:, terms.is_outside] = fill
    takes_part = ~terms.is_outside
    if recipe.fill_takes_part or isinstance(recipe.rule, Reduction):
        takes_part = np.ones_like(takes_part)
    bias = None if case.operands.bias is None else case.operands.bias[index[1]]
    return Window(problem, terms, values, takes_part, place, bias)


def _blank_window(problem: Problem, index: Shape) -> Window:
    nothing = np.zeros((0, len(index) - 2), np.int64)
    none = np.zeros(0, bool)
    values = np.zeros((1, 0), problem.compute_dtype)
    terms = Terms(nothing, nothing, nothing, none, np.array([[0]]), values)
    return Window(problem, terms, values, none, index[2:])
