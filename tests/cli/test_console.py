"""Tables and progress with rich and without."""

import io
import sys

import pytest

from faltung.cli import _console

ROWS = [["[red]a", "1"], ["long\nname", "23"]]


@pytest.fixture(params=[True, False], ids=["rich", "plain"])
def has_rich(request, monkeypatch):
    if not request.param:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    return request.param


@pytest.mark.usefixtures("has_rich")
def test_a_table_shows_its_cells_as_they_are(capsys):
    _console.table("a title", ("name", "count"), ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a title"
    words = [line.split() for line in lines]
    assert ["name", "count"] in words
    assert ["[red]a", "1"] in words
    assert ["long", "name", "23"] in words
    ends = {len(line) for line in lines if line.endswith(("count", "1", "23"))}
    assert len(ends) == 1


@pytest.mark.usefixtures("has_rich")
def test_a_table_without_header_and_with_values_to_the_left(capsys):
    _console.table("facts", (), ROWS, align="left")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].index("1") == lines[2].index("23")


@pytest.mark.usefixtures("has_rich")
def test_a_narrow_terminal_loses_nothing(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    _console.table("t", ("name", "value"), [["x" * 30, "y" * 40]])
    lines = capsys.readouterr().out.splitlines()
    assert ["x" * 30, "y" * 40] in [line.split() for line in lines]


def test_names_that_the_encoding_cannot_spell(monkeypatch):
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, encoding="ascii"))
    _console.say("ä\udc80")
    sys.stdout.flush()
    assert octets.getvalue() == b"\\xe4\\udc80\n"


@pytest.mark.usefixtures("has_rich")
@pytest.mark.parametrize("is_watched", [True, False])
def test_progress_passes_all_items_on(monkeypatch, capsys, is_watched):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_watched, raising=False)
    assert list(_console.tracked([1, 2, 3], "counting")) == [1, 2, 3]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert is_watched or printed.err == ""
