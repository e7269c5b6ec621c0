"""`tune`: measure the algorithms that can do an operator's work on a shape, and keep the best.

The planner predicts, from shapes alone. Where a result is wanted many thousand times, the machine
may as well be asked: `tune` does so once, when it is called and never otherwise, and the choice
holds for the problems of that kind and shape in this process. A file in the cache directory keeps
it for later processes, which read it when they call `tune` themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from threading import Lock
from typing import Any

import numpy as np

from faltung import __version__
from faltung._door import door
from faltung.bench.results import processor_name
from faltung.bench.runner import SYSTEM_CLOCK, Clock, Timing, take_turns
from faltung.bound import Operator
from faltung.compiled import _cache, machine
from faltung.config import current_settings
from faltung.errors import OptionError, shown
from faltung.operators._call import Bound
from faltung.plans import _select, _tuned
from faltung.plans._cost import shown_seconds
from faltung.typing import Array, DTypeLike, Shape

__all__ = ["Tuning", "able_operators", "measure", "random_input", "tune"]

HOPELESS = 30
"""Who is predicted to take so many times as long as the quickest is not measured."""
CLEAR = 0.97
"""What a time must be beside that of the planner's own choice to overrule it."""
FORMAT = 1

_one_at_a_time = Lock()


@dataclass(frozen=True)
class Tuning:
    """What `tune` found for one operator and shape.

    Attributes
    ----------
    operator : str
        The operator's class name.
    input_shape : tuple of int
        As it was given.
    dtype : str
        Of the data.
    algorithm : str
        The one that runs from now on for such problems.
    planned : str
        The one that the planner takes by itself.
    seconds : dict of str to float
        Measured time of a call by algorithm, the best quarter of its blocks.
    predicted : dict of str to float
        What the planner expected, in one thread; algorithms without a measured time were hopeless.
    is_from_file : bool
        Whether the times are those of an earlier process.
    """

    operator: str
    input_shape: Shape
    dtype: str
    algorithm: str
    planned: str
    seconds: dict[str, float]
    predicted: dict[str, float]
    is_from_file: bool
    key: str

    def forget(self) -> None:
        """Leave the choice to the planner again; a file stays."""
        _tuned.remember(self.key, None)

    def to_dict(self) -> dict[str, Any]:
        """All of it by name, as plain Python values."""
        return asdict(self)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for name in sorted(self.predicted, key=lambda name: self.seconds.get(name, np.inf)):
            time = self.seconds.get(name)
            measured = "not measured" if time is None else shown_seconds(time)
            words = [word for word in ("algorithm", "planned") if getattr(self, word) == name]
            note = ", ".join({"algorithm": "chosen", "planned": "planned"}[word] for word in words)
            rows.append((name, measured, shown_seconds(self.predicted[name]), note))
        return rows

    def __str__(self) -> str:
        head = f"{self.operator} on {self.input_shape} {self.dtype}: {self.algorithm}"
        rows = [
            f"  {name:<12} {measured:>12}   predicted {predicted:>9}   {note}".rstrip()
            for name, measured, predicted, note in self._rows()
        ]
        return "\n".join([head, *rows])

    def _repr_html_(self) -> str:
        cells = [("algorithm", "measured", "predicted", ""), *self._rows()]
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells
        )
        title = f"{self.operator} on {self.input_shape} {self.dtype}"
        return f"<table><caption>{escape(title)}</caption>{rows}</table>"


@door
def tune(
    operator: Operator,
    input_shape: Shape,
    *,
    dtype: DTypeLike | None = None,
    seconds: float = 1.0,
    keep: bool = False,
) -> Tuning:
    """Measure each algorithm that can do an operator's work on a shape, and use the best.

    From then on the operator, its function and equal operators take the algorithm that was found
    for inputs of this shape, in this process. Nothing else is tuned, and nothing is ever measured
    without this call. Bits of results may change with the algorithm, never beyond the error bounds.

    Parameters
    ----------
    operator : Operator
        With its weights, and no ``algorithm=`` of its own.
    input_shape : tuple of int
        As the data will have it, in the operator's layout.
    dtype : dtype, optional
        Of the data; by default that of the weights, or float32.
    seconds : float, optional
        Roughly how long to measure; the algorithms take turns.
    keep : bool, optional
        Take the choice from a file in the cache directory, if this processor and version of
        faltung made one, without measuring; else measure and write it.

    Returns
    -------
    Tuning
        The choice and all times; prints as a table, and its ``forget()`` undoes the choice.

    Raises
    ------
    OptionError
        For anything but an operator; where an algorithm is asked for already; under
        `reproducible`, where the algorithm is fixed; for a time that is not positive.

    See Also
    --------
    Operator.describe : what the planner predicts.

    Examples
    --------
    >>> import faltung as ft
    >>> blur = ft.Conv(ft.kernels.gaussian(1)[None, None], padding="same")
    >>> tuning = ft.tune(blur, (1, 1, 64, 64), seconds=0.05)
    >>> tuning.algorithm in tuning.seconds
    True
    >>> blur.describe((1, 1, 64, 64)).algorithm == tuning.algorithm
    True
    >>> tuning.forget()
    """
    _check(operator, seconds)
    bound = operator._bound_to_shape(input_shape, dtype)
    key = _tuned.key_of(bound.problem)
    with _one_at_a_time:
        _tuned.remember(key, None)
        found = _read(key) if keep else None
        if found is None:
            found = _measured(operator, input_shape, bound, key, seconds)
            if keep:
                _write(found)
        _tuned.remember(key, found.algorithm)
    return found


def _check(operator: object, seconds: object) -> None:
    if not isinstance(operator, Operator):
        raise OptionError(
            f"operator is {shown(operator)}, which is no operator",
            "Pass an object such as ft.Conv(weight); of a Sequential, tune each one by itself",
        )
    if operator._settings.reproducible or current_settings().reproducible:
        raise OptionError(
            "operator is reproducible, for which the algorithm is fixed",
            "Make the operator and call tune outside of reproducible()",
        )
    if operator._parameters["algorithm"] is not None:
        raise OptionError(
            f"operator asks for algorithm={operator._parameters['algorithm']!r} itself",
            "Pass one with algorithm=None",
        )
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (is_number and 0 < seconds < np.inf):  # type: ignore[operator]
        raise OptionError(f"seconds is {shown(seconds)}", "Pass a positive number of seconds")


def _measured(
    operator: Operator, input_shape: Shape, bound: Bound, key: str, seconds: float
) -> Tuning:
    problem, planned = bound.problem, _select.select(bound.problem).chosen.name
    operators = able_operators(operator, input_shape, problem.input_dtype)
    predicted = {
        algorithm.name: algorithm.seconds(problem)
        for algorithm in _select.ALGORITHMS
        if algorithm.name in operators
    }
    limit = HOPELESS * min(predicted.values())
    promising = {
        name: each
        for name, each in operators.items()
        if predicted[name] <= limit or name == planned
    }
    x = random_input(tuple(input_shape), problem.input_dtype)
    timings = measure(promising, x, seconds)
    times = {name: timing.best for name, timing in timings.items()}
    best = min(times, key=lambda name: times[name])
    if planned in times and times[best] > CLEAR * times[planned]:
        best = planned
    name, dtype = type(operator).__name__, problem.input_dtype.name
    shape = tuple(map(int, input_shape))
    return Tuning(name, shape, dtype, best, planned, times, predicted, False, key)


def able_operators(
    operator: Operator, input_shape: Shape, dtype: DTypeLike | None = None
) -> dict[str, Operator]:
    """The operator with each algorithm that can do it for this shape, by the algorithm's name."""
    found = {}
    for name in _select.algorithms():
        asked = operator._asking(name)
        try:
            asked.describe(input_shape, dtype)
        except OptionError:
            continue
        found[name] = asked
    return found


def measure(
    operators: dict[str, Operator], x: Array, seconds: float, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Timing]:
    """Time operators on one input, in turns; those that these weights do not suit are left out."""
    calls: dict[str, Any] = {}
    for name, each in operators.items():
        try:
            first = each(x)
        except OptionError:  # by shape it could, for instance for kernels that are products
            continue
        # A function of two arrays returns new ones; a single result goes into one that is there.
        out = {"out": np.empty_like(first)} if isinstance(first, np.ndarray) else {}
        calls[name] = lambda each=each, out=out: each(x, **out)
    return take_turns(calls, seconds=seconds, clock=clock)


def random_input(shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Numbers of all signs, the same ones each time."""
    values = np.random.default_rng(0).standard_normal(shape) * 8
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def _file(key: str) -> Any:
    directory = _cache.cache_directory()
    made_by = _cache.digest(f"{FORMAT} {processor_name()} {machine.isa()} {__version__}")
    return directory / f"tuning_{key}-{made_by}.bin" if directory else None


def _write(tuning: Tuning) -> None:
    path = _file(tuning.key)
    if path is not None:
        _cache.write(path, json.dumps(tuning.to_dict()).encode())


def _read(key: str) -> Tuning | None:
    """What an earlier process has found; whatever is not as it should be is as if missing."""
    path = _file(key)
    payload = _cache.read(path) if path is not None else None
    try:
        values = json.loads(payload or b"null")
        found = Tuning(
            str(values["operator"]),
            tuple(map(int, values["input_shape"])),
            str(values["dtype"]),
            str(values["algorithm"]),
            str(values["planned"]),
            {str(name): float(time) for name, time in values["seconds"].items()},
            {str(name): float(time) for name, time in values["predicted"].items()},
            True,
            key,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if found.algorithm in _select.algorithms() else None
