"""What a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from faltung.bench.cases import Problem
from faltung.typing import Array

__all__ = ["Contender", "Peer"]


class Contender(NamedTuple):
    """One library's way to do one case.

    Parameters
    ----------
    call : function
        What is timed; everything that can be prepared has been.
    as_array : function, optional
        The result of a call in faltung's layout; not timed.
    """

    call: Callable[[], Any]
    as_array: Callable[[Any], Array] = np.asarray


class Peer:
    """A library to compare with: a method for each operation it has, named as in the cases.

    A method takes a `Problem` and returns a `Contender`, or a string that says why it cannot.

    Parameters
    ----------
    threads : int
        How many it may use.

    Raises
    ------
    ImportError
        If the library is not there, or cannot be kept to as many threads.
    """

    name: ClassVar[str]
    """On the command line and in results."""
    title: ClassVar[str]
    """In tables and charts."""
    package: ClassVar[str]
    """The distribution whose version is reported."""
    most_macs: ClassVar[Mapping[str, float]] = {}
    """By operation: calls with more multiply-adds take seconds and are made in heavy cases only."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def build(self, problem: Problem) -> Contender | str:
        """The contender for a case, or why there is none."""
        builder = getattr(self, problem.case.operation, None)
        if builder is None:
            return "has no such operation"
        most = self.most_macs.get(problem.case.operation, float("inf"))
        if problem.macs > most and not problem.case.is_heavy:
            return f"would take seconds: {problem.macs:.2g} multiply-adds by plain loops"
        made: Contender | str = builder(problem)
        return made
