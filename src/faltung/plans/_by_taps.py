"""How the stencil plan reduces a window that is too large for its workspace: some taps at a time.

Blocks of taps come in row-major order. What each one gives is joined with what came before, and
what all have given is finished: a sum is divided, a norm gets its root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import numpy as np

from faltung.plans._problem import Problem
from faltung.plans._reduce import (
    Gathered,
    divide,
    extreme,
    morphology,
    sum_powers,
    sum_taps,
    take_root,
)
from faltung.plans._rules import Extreme, Mean, Morphology, PowerSum
from faltung.typing import Array

__all__ = ["reduce_by_taps"]


class _Best(NamedTuple):
    """The largest cells so far, and where they are: -1 where no cell was seen."""

    cells: Array
    places: Array


def reduce_by_taps(problem: Problem, blocks: Iterable[Gathered]) -> Array:
    """The result of the rule, from the cells of all blocks of taps of the same outputs."""
    rule = problem.recipe.rule
    if isinstance(rule, Extreme):
        return _largest(blocks) if not rule.gives_position else _places_of_largest(blocks)
    if isinstance(rule, Mean):
        return _joined(blocks, sum_taps, np.add, divide)
    if isinstance(rule, Morphology):
        join = np.maximum if rule.is_dilation else np.minimum
        return _joined(blocks, morphology, join, _unchanged)
    is_extreme = np.isinf(cast("PowerSum", rule).order)
    return _joined(blocks, sum_powers, np.maximum if is_extreme else np.add, take_root)


def _joined(
    blocks: Iterable[Gathered],
    part: Callable[[Gathered], Array],
    join: Any,
    finish: Callable[[Gathered, Array], Array],
) -> Array:
    total, last = None, None
    for last in blocks:
        total = part(last) if total is None else join(total, part(last))
    assert last is not None
    return finish(last, cast("Array", total))


def _largest(blocks: Iterable[Gathered]) -> Array:
    return _joined(blocks, extreme, np.maximum, _unchanged)


def _unchanged(_last: Gathered, cells: Array) -> Array:
    return cells


def _places_of_largest(blocks: Iterable[Gathered]) -> Array:
    best = None
    for gathered in blocks:
        places = extreme(gathered)
        if gathered.is_outside is not None:
            places = np.where(gathered.is_outside.all(axis=0), -1, places)
        found = _Best(gathered.cells.max(axis=3), places)
        best = found if best is None else _better(best, found)
    assert best is not None
    return best.places


def _better(best: _Best, found: _Best) -> _Best:
    """The first of equal cells, the last of NaNs, any cell before none."""
    takes = found.cells > best.cells
    takes |= (best.places < 0) & (found.places >= 0)
    if found.cells.dtype.kind in "fV":
        takes |= np.isnan(found.cells)
    cells, places = (np.where(takes, new, old) for new, old in zip(found, best, strict=True))
    return _Best(cells, places)
