"""`faltung animate`: files of every kind, and what is refused."""

import pytest
from PIL import Image

from drawn_shapes import parsed
from faltung.cli import main


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def animated(*arguments):
    return main(["animate", *arguments])


def test_the_gif_has_a_frame_for_each_output(tmp_path, capsys):
    assert animated("conv 3 stride=2 padding=1", "--input", "5x5", "-o", "a.gif") == 0
    with Image.open("a.gif") as picture:
        assert picture.n_frames == 9
        assert picture.info["duration"] == 500
    assert capsys.readouterr().out.startswith("a.gif: 9 frames of ")


def test_options_reach_the_picture(tmp_path):
    options = ("--theme", "dark", "--palette", "safe", "--frames", "4", "--title", "<b>")
    assert animated("conv 3", "--input", "5x5", "-o", "a.svg", *options) == 0
    text = (tmp_path / "a.svg").read_text()
    assert parsed(text).find("{http://www.w3.org/2000/svg}title").text == "<b>"
    assert "#141414" in text


def test_a_file_that_exists_is_kept_unless_forced(tmp_path, capsys):
    (tmp_path / "a.svg").write_text("mine")
    assert animated("conv 3", "--input", "5x5", "-o", "a.svg") == 1
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "a.svg").read_text() == "mine"
    assert animated("conv 3", "--input", "5x5", "-o", "a.svg", "--force") == 0
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("conv 3", "--input", "5x5", "-o", "a.bmp"), 2, ".gif, .svg, .html, .mp4"),
        (("conv 3", "--input", "5x5", "-o", "a"), 2, ".gif, .svg, .html, .mp4"),
        (("conf 3", "--input", "5x5", "-o", "a.gif"), 2, "is no operator"),
        (("conv 3", "--input", "5y5", "-o", "a.gif"), 2, "expected sizes"),
        (("conv 3", "--input", "5x5", "-o", "a.gif", "--frames", "0"), 2, "whole number"),
        (("conv 3", "--input", "5x5", "-o", "a.gif", "--seconds", "0"), 2, "0.02 to 60"),
        (("conv 3", "--input", "5x5", "-o", "a.gif", "--view", "zeros"), 2, "transposed"),
        (("conv 9", "--input", "5x5", "-o", "a.gif"), 1, "kernel_size spans 9 cells"),
        (("max_pool 2", "--input", "4x4", "--view", "matrix", "-o", "a.gif"), 1, "not linear"),
        (("conv 3", "--input", "5x5", "-o", "none/a.gif"), 1, "cannot be written"),
    ],
)
def test_refusals(arguments, code, words, tmp_path, capsys):
    assert animated(*arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [(".gif", "PIL", "faltung[images]"), (".mp4", "imageio_ffmpeg", "imageio-ffmpeg")],
)
def test_a_missing_extra_is_named(suffix, module, extra, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    assert animated("conv 3", "--input", "5x5", "-o", f"a{suffix}") == 1
    assert f"pip install {extra}" in capsys.readouterr().err
