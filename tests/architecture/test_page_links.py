"""What pages link to is there: other pages, their headings, and pictures that can be read."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MOST_BYTES = 100_000


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere, with the reason."""
    broken = []
    for link in LINK.findall(BLOCK.sub("", page.read_text())):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists():
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target.read_text()):
            broken.append(f"{link}: no such heading")
    return broken


def anchors(text: str) -> list[str]:
    """The headings of a page as they are linked to."""
    headings = HEADING.findall(BLOCK.sub("", text))
    return [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, here\n[a](#a-heading-here) [b](#b) ![c](c.svg)\n```\n[d](d)\n```\n"
    )
    assert broken_links(page) == ["#b: no such heading", "c.svg: no such file"]


def test_pictures_of_lessons_are_small_used_and_whole():
    folder = REPOSITORY / "docs" / "lessons"
    text = "".join(page.read_text() for page in folder.glob("*.md"))
    pictures = sorted((folder / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert f"images/{picture.name}" in text, "drawn for nobody"
        assert picture.stat().st_size <= MOST_BYTES
        if picture.suffix == ".svg":
            ElementTree.parse(picture)
