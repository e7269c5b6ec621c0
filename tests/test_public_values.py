"""Every public object survives pickle, copy and deepcopy, here and in another process."""

import copy
import inspect
import pickle
import subprocess
import sys

import pytest

import faltung as ft
import public_values
from compiled_jobs import TESTS

WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle 2": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "pickle": lambda value: pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)),
}


@pytest.fixture(name="samples", scope="module")
def _samples():
    return public_values.samples()


def test_every_public_class_has_a_sample(samples):
    values = [operator for operator, _ in samples["operators"].values()]
    values += [*samples["windows"], *samples["errors"], *samples["reports"].values()]
    values += [*samples["explanations"], *samples["fits"], *samples["drawings"]]
    kinds = {type(value).__name__ for value in values}
    assert set(public_values.classes()) - {"Operator"} <= kinds
    modules = {name for name in ft.__all__ if inspect.ismodule(getattr(ft, name))}
    assert set(samples["names"]) | modules == set(ft.__all__)


@pytest.mark.parametrize("way", WAYS)
def test_copies_are_equal_and_do_the_same(samples, way):
    make = WAYS[way]
    twins = {
        "operators": {name: (make(op), x) for name, (op, x) in samples["operators"].items()},
        "windows": [make(window) for window in samples["windows"]],
        "errors": [make(error) for error in samples["errors"]],
        "reports": {name: make(report) for name, report in samples["reports"].items()},
        "explanations": [make(explanation) for explanation in samples["explanations"]],
        "fits": [make(fit) for fit in samples["fits"]],
        "drawings": [make(drawing) for drawing in samples["drawings"]],
        "names": {name: make(value) for name, value in samples["names"].items()},
    }
    assert public_values.seen(twins) == public_values.seen(samples)
    for name, (operator, _) in samples["operators"].items():
        twin = twins["operators"][name][0]
        assert type(twin) is type(operator)
        assert twin == operator, name
        assert hash(twin) == hash(operator), name
    assert twins["windows"] == samples["windows"]
    assert twins["reports"] == samples["reports"]
    assert twins["fits"] == samples["fits"]
    assert twins["drawings"] == samples["drawings"]
    assert len({*twins["drawings"], *samples["drawings"]}) == 3
    assert twins["explanations"] == samples["explanations"]
    assert [*map(hash, twins["explanations"])] == [*map(hash, samples["explanations"])]
    for name, value in samples["names"].items():
        assert twins["names"][name] is value


def test_another_process_does_the_same(samples):
    """Loaded, used and sent back."""
    output = subprocess.run(
        [sys.executable, "-W", "error", str(TESTS / "public_values.py")], check=True, timeout=60,
        input=pickle.dumps(samples), stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    back, told = pickle.loads(output)
    assert told == public_values.seen(samples)
    assert public_values.seen(back) == told
    for name, (operator, _) in samples["operators"].items():
        assert back["operators"][name][0] == operator, name
    assert back["explanations"] == samples["explanations"]


def test_differences_are_seen(samples):
    other = dict(samples)
    name = next(iter(samples["operators"]))
    operator, x = samples["operators"][name]
    other["operators"] = {**samples["operators"], name: (operator, x + 1)}
    assert public_values.seen(other) != public_values.seen(samples)
