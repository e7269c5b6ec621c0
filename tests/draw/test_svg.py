"""Figures as SVG: strict XML, one picture for readers who want no motion, hostile words."""

import re

import numpy as np
import pytest

import faltung as ft
from drawn_shapes import SVG, drawn_cells, parsed
from faltung.draw.palette import PALETTES, ROLES, WORDS
from hostile_labels import HOSTILE

KERNEL = np.arange(9).reshape(1, 1, 3, 3)
X = np.arange(25).reshape(1, 5, 5)


@pytest.mark.parametrize("palette", list(PALETTES))
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
@pytest.mark.parametrize("view", ["window", "matrix"])
def test_every_look_is_xml_with_its_colours(palette, theme, view):
    options = {"palette": palette, "theme": theme, "view": view}
    conv = ft.Conv(KERNEL, padding=1)
    for drawn in (conv.draw((1, 5, 5), **options), conv.animate(X, **options)):
        text = str(drawn)
        root = parsed(text)
        used = {element.get("class") for element in root.iter() if element.tag != f"{SVG}g"}
        roles = {*ROLES, *WORDS, root.get("class"), None}
        assert used <= roles, used - roles
        themes = ("light", "dark") if theme == "auto" else (theme,)
        for name in themes:
            assert PALETTES[palette][name]["lit"] in text
        assert ("prefers-color-scheme" in text) == (theme == "auto")


def test_palettes_have_every_colour_of_every_role():
    needed = {name for style in ROLES.values() for name in (style.fill, style.stroke) if name}
    for themes in PALETTES.values():
        for colours in themes.values():
            assert needed | set(WORDS.values()) <= set(colours)
            assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours.values())


def contrast(one, other):
    """The ratio of luminances that WCAG 2.2 defines."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", list(PALETTES))
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read_and_lit_cells_told_apart(palette, theme):
    colours = PALETTES[palette][theme]
    pairs = [("ink", ground) for ground in ("ground", "input", "output", "lit-border")]
    pairs += [("on-lit", "lit"), ("on-now", "now"), ("on-kernel", "kernel"), ("soft", "ground")]
    for word, ground in pairs:
        least = 4.0 if word.startswith("on-") else 4.5
        assert contrast(colours[word], colours[ground]) >= least, (word, ground)
    for still, lit in (("input", "lit"), ("output", "now")):
        assert contrast(colours[still], colours[lit]) >= 1.8


def test_the_animation_has_all_frames_and_a_still_one():
    animation = ft.Conv(KERNEL).animate(X)
    text = str(animation)
    assert len(animation) == 9
    assert drawn_cells(text, ("lit",)) == 9 * 9
    assert "@media(prefers-reduced-motion:reduce)" in text
    root = parsed(text)
    still = [g for g in root.iter(f"{SVG}g") if "still" in g.get("class", "").split()]
    captions = [t.text for g in still for t in g.iter(f"{SVG}text") if t.get("class") == "caption"]
    assert captions == [animation.frames[4].caption]
    for name in re.findall(r"animation-name:([\w-]+)", text):
        assert f"@keyframes {name}{{" in text


def test_the_desc_says_what_is_seen():
    root = parsed(str(ft.Conv(KERNEL, stride=2).draw((1, 5, 5))))
    described = root.find(f"{SVG}desc").text
    assert "Input 1 × 5 × 5" in described
    assert "output 1 × 2 × 2" in described
    assert "y[0, 1, 1] sees 9 cells" in described


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(words):
    conv = ft.Conv(KERNEL)
    for drawn in (conv.draw((1, 5, 5), title=words), conv.animate((1, 5, 5), title=words)):
        root = parsed(str(drawn))
        assert {element.tag for element in root.iter()} <= {
            f"{SVG}{name}"
            for name in ("svg", "title", "desc", "style", "g", "path", "text", "rect")
        }
        kept = "".join(c for c in words if c.isprintable() and c != "\ufffe")
        shown = root.find(f"{SVG}title").text
        assert "".join(c for c in shown if c.isprintable() and c != "\ufffd") == kept


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_names_of_functions_and_classes(words):
    def largest(values):
        return values.max()

    largest.__name__ = words
    operator = ft.WindowReduce((2, 2), largest)
    root = parsed(str(operator.draw((1, 4, 4))))
    assert not list(root.iter(f"{SVG}script"))
    kind = type(words.replace("\x00", "").replace("\udc80", ""), (ft.MaxPool,), {"__slots__": ()})
    parsed(str(kind((2, 2)).draw((1, 4, 4))))


def test_two_figures_in_one_page_do_not_share_rules():
    one = str(ft.Conv(KERNEL).draw((1, 5, 5)))
    other = str(ft.Conv(KERNEL).draw((1, 5, 5), theme="dark"))
    names = [parsed(text).get("class") for text in (one, other)]
    assert names[0] != names[1]
    for name, text in zip(names, (one, other), strict=True):
        style = parsed(text).find(f"{SVG}style").text
        rules = re.sub(r"@media[^{]*\{|@keyframes [^{]*\{(?:[^{}]*\{[^}]*\})*\}", "", style)
        selectors = [part for part in re.findall(r"([^{}]+)\{", rules) if part.strip()]
        assert selectors
        assert all(part.startswith(f".{name} ") for part in selectors)


def test_equal_figures_are_equal_text():
    assert str(ft.Conv(KERNEL).draw((1, 5, 5))) == str(ft.Conv(KERNEL).draw((1, 5, 5)))
