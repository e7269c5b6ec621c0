"""Random programs in the language of kernels: the machine agrees with Python."""

import importlib.util
import itertools
import random
import time

import pytest

from faltung.compiled import _cache, _jit
from random_programs import write_programs

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not _jit.available(), reason="needs a compiler"),
]

PROGRAMS, ARGUMENTS = 10, 25
NUMBERS = (-1000, -9, -2, -1, 0, 1, 2, 3, 7, 641)


@pytest.fixture(autouse=True)
def new_sources_count(monkeypatch):
    """Sources that may have changed since the process began are not translated."""
    monkeypatch.setattr(_cache, "_STARTED", time.time() + 1000)


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def disagreement(compiled, python, arguments):
    """The first arguments for which the results differ, or None."""
    return next((each for each in arguments if compiled(*each) != python(*each)), None)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_follow_python(seed, tmp_path):
    path = tmp_path / f"programs_{seed}.py"
    path.write_text(write_programs(seed, PROGRAMS))
    choice = random.Random(seed)
    for program in load(path).PROGRAMS:
        program._text(with_entry=True)  # raises where the language lacks something
        arguments = [choice.choices(NUMBERS, k=3) for _ in range(ARGUMENTS)]
        assert disagreement(program, program.python, arguments) is None, program


def test_one_wrong_sign_is_noticed(tmp_path):
    """In place of the machine, Python with one sign changed."""
    text = write_programs(3, 40)
    path, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    path.write_text(text)
    wrong.write_text(text.replace(" // ", " % "))
    arguments = list(itertools.product(NUMBERS, NUMBERS[2:6], NUMBERS[5:]))
    pairs = zip(load(path).PROGRAMS, load(wrong).PROGRAMS, strict=True)
    found = [disagreement(two.python, one.python, arguments) for one, two in pairs]
    assert sum(each is not None for each in found) > 10
