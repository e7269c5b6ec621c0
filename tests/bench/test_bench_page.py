"""The page about the benchmark: its commands run, its numbers are those of the code."""

import json
import re
import shlex
from pathlib import Path

from faltung.bench import runner
from faltung.bench.exact import TOLERANCES
from faltung.bench.peers import known_peers
from faltung.cli import bench, main

PAGE = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(commands) >= 2
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "faltung"
        assert main(arguments) == 0, command
        assert capsys.readouterr().err == ""
    assert json.loads((tmp_path / "tiny.json").read_text())["cases"]


def test_every_peer_is_named():
    for peer in known_peers().values():
        assert f"`{peer.name}`" in PAGE


def test_its_numbers_are_those_of_the_code():
    assert f"{1000 * runner.BLOCK:.0f} ms" in PAGE
    assert f"at most {1000 * runner.PAUSE * runner.MOST_PAUSES:.0f} ms" in PAGE
    assert TOLERANCES["float32"] == 2e-5
    assert "2·10⁻⁵" in PAGE


def test_the_examples_of_the_help_are_valid(monkeypatch, capsys):
    assert main(["bench", "--help"]) == 0
    examples = re.findall(r"^  faltung (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 4
    seen = []
    monkeypatch.setattr(bench, "run", lambda arguments: seen.append(arguments) or 0)
    for example in examples:
        assert main(shlex.split(example)) == 0
    assert len(seen) == len(examples)
