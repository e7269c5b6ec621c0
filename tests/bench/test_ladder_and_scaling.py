"""The pages of the ladder and of scaling show the figures that are saved beside them."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
NAMES = ("ladder", "scaling")


def load(name):
    """A script of benchmarks/, as a module."""
    path = REPOSITORY / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def saved(name):
    return json.loads((REPOSITORY / "benchmarks" / "results" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_table_on_the_page_is_that_of_the_saved_figures(name):
    script, found = load(name), saved(name)
    assert script.TABLE.findall(script.PAGE.read_text()) == [script.table_of(found)]


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_drawn_from_the_saved_figures(name, tmp_path):
    pytest.importorskip("matplotlib")
    load(name).draw(saved(name), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 10_000


def test_other_figures_give_another_table():
    script, found = load("ladder"), saved("ladder")
    changed = copy.deepcopy(found)
    first = next(iter(changed["layers"].values()))
    first["steps"]["7. register tile"]["gflops"] *= 2
    assert script.table_of(changed) != script.table_of(found)


def test_steps_are_functions_of_the_page():
    script = load("ladder")
    text = script.PAGE.read_text()
    assert [step.name for step in script.STEPS if f">>> def {step.name}(" not in text] == []


def test_exponents():
    script = load("scaling")
    rows = [{"side": side, "seconds": 3e-6 * side**2} for side in (3, 9, 15, 31, 63)]
    assert script.exponent(rows, "side", 15) == pytest.approx(2)
    assert script.exponent(rows[:3], "side", 15) is None  # too few points for a line


def test_who_would_take_too_long_is_left_out_and_stays_so():
    script, called = load("scaling"), []
    calls = {"quick": lambda: None, "slow": lambda: called.append(1)}
    expected = {"quick": 1e-6, "slow": script.TOO_LONG / 2}
    for _ in range(2):
        found = script.measure_point(calls, 4, expected, seconds=0.01)
        assert set(found) == {"quick"}
    assert not called
    assert expected["slow"] == 8 * script.TOO_LONG


@pytest.mark.parametrize("is_separable", [True, False])
def test_contenders_give_the_same(is_separable):
    script = load("scaling")
    kernel = script.kernel_of(9, is_separable=is_separable)
    picture = script.picture_of(18 * 18, "float32")
    calls = script.contenders(picture, kernel, is_separable=is_separable)
    expected = calls.pop("faltung")()
    assert "scipy" in calls
    for call in calls.values():
        assert abs(call() - expected).max() < 1e-3 * abs(expected).max()
