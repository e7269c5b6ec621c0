"""`faltung bench`: what it prints and writes, and what it refuses before it measures."""

import json
import sys

import pytest

from faltung.bench import measuring
from faltung.cli import main
from faltung.compiled import parallel

TINY = ["bench", "tiny operator 1x6x8->1 1x2", "--peers", "scipy,numpy", "--rounds", "1"]


@pytest.fixture(autouse=True)
def _threads_stay(monkeypatch):
    monkeypatch.setattr(parallel, "_threads", parallel._threads)


def test_a_table_and_json(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert main([*TINY, "--json", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for words in ("the worst first", "tiny operator 1x6x8->1 1x2", "families", "NumPy: "):
        assert words in printed.out
    found = json.loads(path.read_text())
    (case,) = found["cases"]
    assert set(case["contenders"]) == {"faltung", "scipy", "numpy"}
    assert all(figure["right"] for figure in case["contenders"].values())
    assert all(figure["blocks"] == 1 for figure in case["contenders"].values())
    assert case["ratio"] > 0
    assert case["peak_flops"] > 0
    assert found["partial"] is False
    assert found["machine"]["versions"]["scipy"]
    assert found["families"][0]["worst"] == case["case"]


def test_several_runs(tmp_path, capsys):
    path = tmp_path / "found.json"
    assert main([*TINY, "--runs", "3", "--json", str(path)]) == 0
    (case,) = json.loads(path.read_text())["cases"]
    assert len(case["ratios_of_runs"]) == 3
    assert case["ratio"] == sorted(case["ratios_of_runs"])[1]


def interrupted_after(count, measure):
    """`measure` for some cases, then what Ctrl-C does."""
    measured = []

    def run(case, *arguments, **options):
        if len(measured) == count:
            raise KeyboardInterrupt
        measured.append(case)
        return measure(case, *arguments, **options)

    return run


@pytest.mark.parametrize(("runs", "count", "cases"), [("1", 2, 2), ("2", 5, 4), ("2", 3, 3)])
def test_an_interrupt_keeps_what_was_measured(runs, count, cases, tmp_path, capsys, monkeypatch):
    path, chart = tmp_path / "found.json", tmp_path / "chart.svg"
    monkeypatch.setattr(measuring, "measure", interrupted_after(count, measuring.measure))
    command = ["bench", "tiny", "--peers", "numpy", "--rounds", "1", "--runs", runs]
    assert main([*command, "--json", str(path), "--chart", str(chart)]) == 130
    printed = capsys.readouterr()
    assert printed.err.count("interrupted") == 1
    assert "the worst first" in printed.out
    found = json.loads(path.read_text())
    assert found["partial"] is True
    assert len(found["cases"]) == cases
    assert not chart.exists()


def test_an_interrupt_before_anything_was_measured(tmp_path, capsys, monkeypatch):
    path = tmp_path / "found.json"
    path.write_text("older figures")
    monkeypatch.setattr(measuring, "measure", interrupted_after(0, measuring.measure))
    assert main([*TINY, "--json", str(path)]) == 130
    assert capsys.readouterr().out == ""
    assert path.read_text() == "older figures"


def test_a_chart(tmp_path, capsys):
    path = tmp_path / "chart.svg"
    assert main([*TINY, "--chart", str(path)]) == 0
    assert "<svg" in path.read_text()


def test_without_rich(tmp_path, capsys, monkeypatch):
    for package in ("rich", "rich.console"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(TINY) == 0
    assert "families" in capsys.readouterr().out


def test_the_list_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(measuring, "measure", None)
    assert main(["bench", "--list"]) == 0
    told = capsys.readouterr().out
    assert "resnet50 conv2 64->64 3x3 on 56x56" in told
    assert "volume 256x256x256 9x9x9" in told
    assert "by name only" in told
    assert "onnxruntime" in told
    assert main(["bench", "--list", "tiny"]) == 0
    assert "resnet50" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing-like-it"], "'nothing-like-it'"),
        (["--peers", "nobody"], "'nobody'"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--seconds", "0"], "--seconds is 0"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--threads", "0"], "--threads is 0"),
        (["--runs", "0"], "--runs is 0"),
        (["--threads", "many"], "--threads"),
    ],
)
def test_usage_errors(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "measure", None)
    assert main(["bench", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "no/such/file.json"], "there is no directory"),
        (["--chart", "no/such/file.png"], "there is no directory"),
        (["--chart", "chart.gif"], ".png, .svg, .pdf"),
        (["--chart", "chart"], "without a suffix"),
    ],
)
def test_files_that_cannot_be_written_are_refused_first(
    arguments, words, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "measure", None)
    assert main([*TINY, *arguments]) == 1
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_missing_packages(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(["bench", "tiny", "--peers", "opencv"]) == 1
    assert "opencv-python-headless" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*TINY, "--chart", "chart.png"]) == 1
    assert 'pip install "faltung[plot]"' in capsys.readouterr().err


def test_threads_are_those_of_all(capsys):
    assert main([*TINY[:-3], "scipy", "--rounds", "1", "--threads", "1"]) == 0
    assert ", 1 threads" in capsys.readouterr().out
