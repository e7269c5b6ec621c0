"""Choices that `faltung.tune` has made for this process: which algorithm for which problem."""

from __future__ import annotations

from dataclasses import fields, replace
from hashlib import sha256
from threading import Lock
from typing import Any

from faltung.compiled import machine
from faltung.plans._problem import Problem
from faltung.plans._rules import Reduction

__all__ = ["changes", "choice", "key_of", "remember"]

_lock = Lock()

_choices: dict[str, str] = {}
changes = 0
"""How often choices have changed: part of every key under which a plan is kept."""


def choice(problem: Problem) -> str | None:
    """The algorithm that was found best for such a problem on this level, if any was.

    Neither where one is asked for by name nor where sums have to be reproducible.
    """
    is_free = problem.recipe.algorithm is None and not problem.settings.reproducible
    return _choices.get(key_of(problem)) if _choices and is_free else None


def remember(key: str, name: str | None) -> None:
    """Keep a choice for this process, or with None forget it."""
    global changes  # noqa: PLW0603
    with _lock:
        if name is None:
            _choices.pop(key, None)
        else:
            _choices[key] = name
        changes += 1


def key_of(problem: Problem) -> str:
    """All that an algorithm's speed depends on: rule, shapes, parameters, dtypes, CPU level.

    The same text in every process; functions go by the name of their reduction.
    """
    recipe, rule = problem.recipe, problem.recipe.rule
    named = f"Reduction {rule.name}" if isinstance(rule, Reduction) else repr(rule)
    also = None if recipe.also is None else type(recipe.also).__name__
    rest: Any = replace(recipe, rule=None, also=None, algorithm=None, precision=None)  # type: ignore[arg-type]
    parts = [named, also, problem.settings.precision, recipe.precision, machine.isa()]
    parts += [problem.dtype.name, problem.input_dtype.name]
    parts += [f"{field.name}={getattr(rest, field.name)!r}" for field in fields(rest)]
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]
