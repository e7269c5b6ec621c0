"""The examples in docstrings and pages are run, and what they print is compared."""

import doctest
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

import faltung as ft

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
ROOT = Path(ft.__file__).parent
REPOSITORY = ROOT.parent.parent
MODULES = [
    module.name
    for module in pkgutil.walk_packages(ft.__path__, "faltung.")
    if not module.name.endswith("__main__")
]
PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *REPOSITORY.glob("docs/**/*.md")]
)


@pytest.fixture(autouse=True)
def _in_an_empty_directory_without_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    if "matplotlib.pyplot" in sys.modules:  # plots close nothing, and Matplotlib warns of many
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.mark.parametrize("name", ["faltung", *MODULES])
def test_docstrings(name):
    failures, _ = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert not failures


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    failures, _ = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert not failures


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = sum(
        len(test.examples)
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
    )
    assert examples > 40
