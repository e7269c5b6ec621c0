"""Animations as files: frames are counted and decoded, sizes and times are those promised."""

import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faltung as ft
from faltung.draw.palette import PALETTES

KERNEL = np.array([[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]])
X = np.random.default_rng(0).integers(0, 9, (1, 8, 8))


def frames_of(path):
    with Image.open(path) as picture:
        found = []
        for number in range(picture.n_frames):
            picture.seek(number)
            found.append((picture.convert("RGB"), picture.info["duration"]))
    return found


@pytest.mark.parametrize(
    ("operator", "data", "count"),
    [
        (ft.Conv(KERNEL, padding=1, stride=2), (1, 5, 5), 9),
        (ft.MaxPool((2, 2)), np.arange(16).reshape(1, 4, 4), 4),
        (ft.ConvTranspose(KERNEL, stride=2), X[:, :3, :3], 9),
        (ft.Unfold((2, 2)), (1, 3, 3), 4),
        (ft.Conv(np.ones((2, 1, 3))), (1, 5), 6),
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_gif_has_one_picture_for_each_frame(operator, data, count, theme, tmp_path):
    animation = operator.animate(data, seconds=0.2, theme=theme)
    animation.save(tmp_path / "a.gif")
    frames = frames_of(tmp_path / "a.gif")
    assert len(animation) == len(frames) == count
    assert all(duration == 200 for _, duration in frames)
    assert all(picture.size == animation.size for picture, _ in frames)
    ground = PALETTES["classic"][theme]["ground"]
    corner = tuple(int(ground[at : at + 2], 16) for at in (1, 3, 5))
    assert all(picture.getpixel((1, 1)) == corner for picture, _ in frames)
    assert len({picture.tobytes() for picture, _ in frames}) == count


def test_the_gif_is_lit_where_the_scene_is():
    """The middle of each lit cell has the colour of lit cells, frame by frame."""
    import io

    animation = ft.Conv(KERNEL).animate((1, 5, 5))
    colour = PALETTES["classic"]["light"]["lit"]
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    pictures = frames_of(io.BytesIO(animation.encode(".gif")))
    for number, (picture, _) in enumerate(pictures):
        lit = {
            corner
            for group in animation._scene.shown(number)
            for shape in group.shapes
            if shape.role == "lit"
            for corner in shape.corners
        }
        assert len(lit) == 9
        for x, y in lit:
            found = np.array(picture.getpixel((round(x + 13), round(y + 13))))
            assert np.abs(found - wanted).max() <= 8


def test_64_frames_take_less_than_2_seconds_and_500_kb():
    animation = ft.Conv(KERNEL, padding=1).animate(X)
    assert len(animation) == 64

    def measured():
        started = time.process_time()
        content = ft.Conv(KERNEL, padding=1).animate(X).encode(".gif")
        return time.process_time() - started, len(content)

    seconds, size = min(measured() for _ in range(2))
    assert seconds < 2
    assert size < 500_000


def test_at_most_so_many_frames():
    assert len(ft.Conv(KERNEL, padding=1).animate((1, 20, 20))) == 64
    assert len(ft.Conv(KERNEL, padding=1).animate((1, 20, 20), frames=3)) == 3
    with pytest.raises(ft.WindowError, match="frames is 0"):
        ft.Conv(KERNEL).animate(X, frames=0)


@pytest.mark.parametrize("seconds", [0, -1, True, None, "1", float("nan"), 1e9])
def test_the_time_of_a_frame(seconds):
    with pytest.raises(ft.OptionError, match=r"seconds is .* from 0\.02 to 60"):
        ft.Conv(KERNEL).animate(X, seconds=seconds)


def test_data_and_shapes_are_told_apart():
    assert ft.MaxPool((2,)).animate((1, 4)).frames[0].caption == "y[0, 0] sees 2 cells"
    assert ft.MaxPool((2,)).animate([[3, 5, 1, 2]]).frames[0].caption == "y[0, 0] = max(3, 5) = 5"


def test_every_kind_of_file(tmp_path):
    animation = ft.Conv(KERNEL).animate(X)
    for suffix, first in ((".svg", b"<svg"), (".html", b"<!doctype"), (".GIF", b"GIF89a")):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"old")
        animation.save(str(path))
        assert path.read_bytes().startswith(first)
    figure = ft.Conv(KERNEL).draw((1, 5, 5))
    figure.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == figure.size
    figure.save(tmp_path / "b.html")
    assert "Play" not in (tmp_path / "b.html").read_text().partition("<script>")[0]
    assert figure._repr_svg_() == str(figure)


def test_the_known_suffixes_are_listed(tmp_path):
    animation, figure = ft.Conv(KERNEL).animate(X), ft.Conv(KERNEL).draw((1, 5, 5))
    with pytest.raises(ft.OptionError, match=r"Use one of \.gif, \.svg, \.html, \.mp4"):
        animation.save(tmp_path / "a.webm")
    with pytest.raises(ft.OptionError, match=r"Use one of \.svg, \.png, \.html"):
        figure.save("a")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    animation = ft.Conv(KERNEL).animate(X)
    with pytest.raises(FileNotFoundError):
        animation.save(tmp_path / "none" / "a.svg")
    (tmp_path / "a.svg").mkdir()
    with pytest.raises(OSError, match=r"a\.svg"):
        animation.save(tmp_path / "a.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_missing_packages_are_named(tmp_path, monkeypatch):
    animation = ft.Conv(KERNEL).animate(X)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ft.MissingExtraError, match=r"faltung\[images\]"):
        animation.save(tmp_path / "a.gif")
    with pytest.raises(ft.MissingExtraError, match="imageio-ffmpeg"):
        animation.save(tmp_path / "a.mp4")
    animation.save(tmp_path / "a.svg")


def test_a_video_gets_every_frame(tmp_path, monkeypatch):
    """With a stand-in for imageio-ffmpeg that keeps what it is sent."""
    seen = {"frames": []}

    def write_frames(path, size, *, fps, macro_block_size, quality):
        seen.update(size=size, fps=fps)
        with Path(path).open("wb") as file:
            file.write(b"video")
            while True:
                try:
                    frame = yield
                except GeneratorExit:
                    return
                seen["frames"].append(frame)

    stand_in = types.SimpleNamespace(write_frames=write_frames)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", stand_in)
    ft.Conv(KERNEL).animate((1, 5, 5), seconds=0.25).save(tmp_path / "a.mp4")
    width, height = seen["size"]
    assert (width % 2, height % 2, seen["fps"], len(seen["frames"])) == (0, 0, 4, 9)
    assert all(len(frame) == width * height * 3 for frame in seen["frames"])
    assert (tmp_path / "a.mp4").read_bytes() == b"video"


def test_notebooks_get_a_frame_of_their_own():
    html = ft.Conv(KERNEL).animate(X, title='"><b>')._repr_html_()
    assert html.startswith('<iframe sandbox="allow-scripts"')
    assert "<b>" not in html
    assert "<script>" not in html
    assert repr(ft.Conv(KERNEL).animate(X)).startswith("<Animation 'Conv()': ")
