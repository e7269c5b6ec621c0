"""`faltung demo`: the page tells the truth, stands alone, and stays quiet about hostile names."""

import json
import re
import sys
from html.parser import HTMLParser
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import faltung as ft
from faltung.cli import _demo_run, _demo_steps, _demo_words, _gallery, _shades, main

RNG = np.random.default_rng(2)
HOSTILE = "a\"><script>alert(1)<&\u2028 ]]> javascript:'.png"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo of a small picture with a hostile name: the record that was printed, the folder."""
    folder = tmp_path_factory.mktemp("demo")
    Image.fromarray(RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)).save(folder / HOSTILE)
    output = folder / "page"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_demo_run, "_TEXTBOOK_MACS", 10)
        patch.setattr(_demo_run, "_BUDGET", 0.0)
        printed: list[str] = []
        patch.setattr("builtins.print", lambda *text, **_: printed.append(" ".join(map(str, text))))
        code = main(["demo", str(folder / HOSTILE), "-o", str(output), "--json"])
    assert code == 0
    return json.loads(printed[0]), output


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_every_step_agrees_with_its_peer_and_names_its_plan(made):
    record, _ = made
    assert [step["name"] for step in record["steps"]] == [
        "sobel-x",
        "sobel-y",
        "sobel-both",
        "blur",
        "sharpen",
        "emboss",
        "filter-bank",
        "patch-search",
        "max-pool",
        "average-pool",
        "nearest",
        "bilinear",
        "checkerboard",
        "its-cure",
        "involution",
        "median",
    ]
    for step in record["steps"]:
        is_exact = step["name"] in {"blur", "sharpen", "max-pool", "nearest", "median"}
        assert step["largest_difference"] <= (0 if is_exact else 1e-5), step["name"]
        assert set(step["algorithm"].split(", ")) <= {*ft.algorithms(), "fft"}
        assert min(step[f"{who}seconds"] for who in ("", "peer_")) > 0
        assert step["peer"] in {"SciPy", "NumPy"}
        assert step["report"]["output_shape"][-2:] == step["output_shape"][-2:] or step["name"] in {
            "blur",
            "sharpen",
            "patch-search",
            "median",
        }
        assert step["textbook_seconds_extrapolated"] > 0
    assert record["steps"][6]["output_shape"] == [9, 40, 56]


def test_the_page_needs_nothing_but_its_pictures(made):
    _, output = made
    elements = Elements((output / "index.html").read_text(encoding="utf-8"))
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    sources = [attributes["src"] for tag, attributes in elements.found if tag == "img"]
    assert len(sources) > 20
    assert {path.name for path in output.iterdir()} == {*sources, "index.html"}
    assert all(attributes.get("alt") for tag, attributes in elements.found if tag == "img")
    for _, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes)
        assert "//" not in (attributes.get("href") or "")
    policies = [a["content"] for tag, a in elements.found if tag == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"]


def test_hostile_names_are_text(made):
    _, output = made
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "\u2028" not in page
    shown = HOSTILE.replace("\u2028", "").replace("  ", " ")
    assert shown in Elements(page).text
    assert not any(tag == "script" for tag, _ in Elements(page).found)


def test_the_pictures_are_what_the_shown_lines_compute(made):
    _, output = made
    image = np.asarray(Image.open(output / "original.png"))
    code = Elements((output / "index.html").read_text(encoding="utf-8")).text
    lines = re.search(r"kernel = ft\.kernels\.gaussian\(2\)\nresult = .*", code)
    names = {"ft": ft, "image": image}
    exec(lines[0], names)  # the page's own lines
    np.testing.assert_array_equal(np.asarray(Image.open(output / "blur-1.png")), names["result"])


def picture(output, name):
    return np.asarray(Image.open(output / f"{name}.png"))


def test_the_checkerboard_and_its_cure_lie_side_by_side(made):
    _, output = made
    counts = picture(output, "checkerboard-2")[8::16, 8::16]
    # One, two or four pixels, as shades of grey.
    assert set(np.unique(counts).tolist()) == {64, 128, 255}
    np.testing.assert_array_equal(counts[2:4, 2:4], [[255, 128], [128, 64]])
    cured = picture(output, "its-cure-3")[8::16, 8::16]
    assert (cured[1:, 1:] == 255).all()
    np.testing.assert_array_equal(picture(output, "its-cure-1"), picture(output, "checkerboard-1"))
    smooth, board = picture(output, "its-cure-2")[::2, ::2], picture(output, "checkerboard-1")
    assert (
        np.abs(np.diff(smooth.astype(float))).mean()
        < np.abs(np.diff(board[::2, ::2].astype(float))).mean()
    )


def test_pools_medians_and_enlargements_are_what_they_say(made):
    _, output = made
    image = picture(output, "original")
    blocks = image.reshape(5, 8, 7, 8, 3)
    np.testing.assert_array_equal(picture(output, "max-pool-1")[::8, ::8], blocks.max((1, 3)))
    mean = picture(output, "average-pool-1")[::8, ::8]
    np.testing.assert_allclose(mean, blocks.mean((1, 3)), atol=0.51)
    noisy = picture(output, "median-1")
    share = (noisy != image).any(axis=2).mean()
    assert 0.05 < share < 0.15
    np.testing.assert_array_equal(picture(output, "median-2"), ft.median_filter(noisy, 5))
    patch = picture(output, "nearest-1")
    np.testing.assert_array_equal(picture(output, "nearest-2"), patch.repeat(4, 0).repeat(4, 1))
    assert picture(output, "bilinear-3").shape == (80, 80, 3)


def test_the_page_shows_what_each_operator_costs(made):
    _, output = made
    text = Elements((output / "index.html").read_text(encoding="utf-8")).text
    assert text.count("What it costs: describe") == 16
    for name in ("MaxPool", "AvgPool", "Resize", "ConvTranspose", "Sequential", "Involution"):
        assert f"{name}: (" in text
    assert "WindowReduce: (3, 40, 56) -> (3, 40, 56)" in text


def test_the_patch_is_found_where_it_was_cut_out(made):
    _, output = made
    text = Elements((output / "index.html").read_text(encoding="utf-8")).text
    cut = re.search(r"row, column, size = (\d+), (\d+), 8", text).groups()
    assert re.search(r"found at row (\d+), column (\d+)", text).groups() == cut


def test_an_existing_folder_is_kept_without_force(made, capsys):
    record, output = made
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert main(["demo", record["image"], "-o", str(output)]) == 1
    assert "--force" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before


@pytest.mark.parametrize("shape", [(31, 200), (4, 4)])
def test_pictures_that_are_too_small(tmp_path, capsys, shape):
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "small.png")
    assert main(["demo", str(tmp_path / "small.png"), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "32" in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_a_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for output in ("file", "file/inside"):
        assert main(["demo", "-o", str(tmp_path / output)]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_opencv_is_timed_where_it_is_installed(tmp_path, capsys, monkeypatch):
    """By a module that has its functions and does with them what OpenCV would."""

    def filtered(picture, _depth, kernel):
        kernel = kernel[:, :, None] if picture.ndim == 3 else kernel
        return ndimage.correlate(picture, kernel, mode="mirror")

    threads, blurs, methods = [], [], []
    fake = ModuleType("cv2")
    fake.__spec__ = ModuleSpec("cv2", None)
    fake.setNumThreads = threads.append
    fake.filter2D = filtered
    fake.GaussianBlur = lambda picture, size, sigma: blurs.append((size, sigma)) or picture
    fake.matchTemplate = lambda scene, patch, method: methods.append(method) or scene
    fake.TM_CCOEFF_NORMED = 5
    monkeypatch.setitem(sys.modules, "cv2", fake)
    monkeypatch.setattr(_demo_run, "_TEXTBOOK_MACS", 10)
    monkeypatch.setattr(_demo_run, "_BUDGET", 0.0)
    source, output = tmp_path / "a.png", tmp_path / "page"
    Image.fromarray(RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)).save(source)
    assert main(["demo", str(source), "-o", str(output)]) == 0
    assert "OpenCV" in capsys.readouterr().out
    assert set(threads) == {ft.get_num_threads()}
    assert set(blurs) == {((17, 17), 2)}
    assert set(methods) == {5}
    page = (output / "index.html").read_text(encoding="utf-8")
    assert page.count(">OpenCV</dt>") == 7


def test_without_opencv_nothing_is_said_of_it(made):
    record, output = made
    has_opencv = find_spec("cv2") is not None
    times = [step["opencv_seconds"] for step in record["steps"]]
    assert any(times) == has_opencv
    page = (output / "index.html").read_text(encoding="utf-8")
    assert (">OpenCV</dt>" in page) == has_opencv


def test_the_table_in_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_demo_run, "_TEXTBOOK_MACS", 10)
    monkeypatch.setattr(_demo_run, "_BUDGET", 0.0)
    flat = np.full((33, 1100), 0.25)  # no contrast at all, and wider than the demo's limit
    np.save(tmp_path / "flat.npy", flat)
    monkeypatch.setattr("faltung.cli.demo._SHORTEST_SIDE", 30)
    assert main(["demo", str(tmp_path / "flat.npy"), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "1024 × 31 pixels" in printed.out
    assert all(name in printed.out for name in ("sobel-x", "patch-search", "index.html"))
    assert max(map(len, printed.out.splitlines()[:-1])) <= 80


class TestShades:
    def test_counts_are_squares(self):
        assert _shades.counts(np.array([[0, 2]]), 2, 2).tolist() == [[0, 0, 255, 255]] * 2

    def test_any_dtype_becomes_rgb(self):
        grey = np.array([[0, 255]], np.uint8)
        expected = np.repeat(grey[..., None], 3, axis=2)
        deep = grey.astype(np.uint16) * 257
        for pixels in (grey, deep, grey / 255, grey * 7.0 - 99, grey > 9, grey.astype(int) - 4):
            np.testing.assert_array_equal(_shades.as_rgb(pixels), expected)
        assert _shades.as_rgb(np.zeros((2, 3, 5))).shape == (2, 3, 3)
        assert _shades.as_rgb(np.full((2, 3), np.nan)).max() == 0

    def test_signs_have_colours_and_zero_is_pale(self):
        below, zero, above = _shades.signed(np.array([-2.0, 0.0, 2.0]))
        assert below[2] > below[0]
        assert above[0] > above[2]
        assert zero.min() > 240

    def test_nothing_at_all_is_no_division_by_zero(self):
        assert _shades.positive(np.zeros((2, 2))).max() == 0
        assert _shades.signed(np.zeros((2, 2))).min() > 240

    def test_a_frame_lies_around_its_place_and_inside_the_picture(self):
        marked = _shades.framed(np.zeros((20, 20), np.uint8), 5, 6, 4, 3)
        assert marked[5:9, 6:9].max() == 0
        assert marked[2:12, 3:12].max() == 255
        assert marked[0].max() == 0
        assert _shades.framed(np.zeros((9, 9), np.uint8), 0, 0, 9, 9).max() == 0


def test_words():
    assert _demo_words.duration(0.00001234) == "12.3 µs"
    assert _demo_words.duration(0.0123) == "12.3 ms"
    assert _demo_words.duration(12.3) == "12.3 s"
    assert _demo_words.duration(600) == "10 min"
    assert _demo_words.speed_up(1, 0.02) == "50×"
    assert _demo_words.speed_up(1, 4) == "0.25×"
    assert _demo_words.difference(0) == "0"
    assert _demo_words.plan("direct") == "direct"
    assert _demo_words.plan("resampling, direct") == "2 plans"
    assert _demo_words.shape(np.ones((1, 1, 3, 4))) == "3×4"
    assert _demo_words.shape(np.ones((2, 3, 3, 4))) == "2×3×3×4"


def test_scipys_match_is_1_at_the_patch_itself():
    scene = RNG.normal(size=(20, 30))
    score = _demo_steps.match(scene, scene[4:10, 7:15])
    assert np.unravel_index(score.argmax(), score.shape) == (4, 7)
    assert score.max() == pytest.approx(1)


def test_kernels_that_are_large_or_coloured_are_pictures():
    assert _gallery.kernel_pictures(np.ones((2, 1, 3, 3))) == []
    assert [p.shape for p in _gallery.kernel_pictures(np.ones((2, 1, 3, 9)))] == [(3, 9, 3)] * 2
    assert [p.shape for p in _gallery.kernel_pictures(np.ones((2, 3, 3, 3)))] == [(3, 3, 3)] * 2
