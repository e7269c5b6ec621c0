"""The pictures of the pages are what the code draws today."""

import runpy
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PICTURES = runpy.run_path(str(ROOT / "tools" / "figure_pictures.py"))["pictures"]()


@pytest.mark.parametrize("name", list(PICTURES))
def test_the_picture_is_up_to_date(name):
    path = IMAGES / name
    assert path.stat().st_size < 200_000
    if path.suffix == ".svg":
        assert path.read_text() == str(PICTURES[name]), "run tools/figure_pictures.py"
    else:
        with Image.open(path) as picture:
            assert picture.n_frames == len(PICTURES[name])
            assert picture.size == PICTURES[name].size


def test_each_is_on_a_page():
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("figures.md", "ladder.md"))
    assert all(f"images/{name})" in pages for name in PICTURES)
