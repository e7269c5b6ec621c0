"""The page about the command line: its examples run, its tables are true."""

import re
import shlex
from pathlib import Path

import pytest

from faltung.cli import _demo_run, main

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_demo_run, "_TEXTBOOK_MACS", 10)
    monkeypatch.setattr(_demo_run, "_BUDGET", 0.0)
    monkeypatch.setattr("faltung.cli.demo._LONGEST_SIDE", 64)  # the photograph, quickly
    assert len(commands()) >= 15
    for command in commands():
        program, *arguments = shlex.split(command)
        assert program == "faltung"
        assert main(arguments) == 0, command
        assert capsys.readouterr().err == ""
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files >= {
        "faltung-demo/index.html",
        "mine/index.html",
        "soft.jpg",
        "sharp.png",
        "strength.png",
        "signs.png",
        "small/soft.jpg",
        "small/sharp.png",
        "clean.png",
        "bright.png",
        "light.png",
        "window.gif",
        "zeros.html",
        "chain.svg",
    }


@pytest.mark.parametrize("command", ["animate", "apply", "demo", "info"])
def test_the_examples_of_the_help_are_valid(command, monkeypatch, capsys):
    assert main([command, "--help"]) == 0
    examples = re.findall(r"^  faltung (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert examples
    seen = []
    monkeypatch.setattr(f"faltung.cli.{command}.run", lambda arguments: seen.append(arguments) or 0)
    for example in examples:
        assert main(shlex.split(example)) == 0
    assert len(seen) == len(examples)
