"""Pages in a real browser: play, step and speed, no scripts, dark, no motion, hostile words."""

import numpy as np
import pytest

import faltung as ft
from chromium import Browser
from hostile_labels import HOSTILE

pytestmark = pytest.mark.browser

KERNEL = np.arange(9).reshape(1, 1, 3, 3)
CAPTION = """[...document.querySelectorAll("text.caption")]
  .filter((node) => getComputedStyle(node).visibility === "visible")
  .map((node) => node.textContent).join("|")"""
LIT = """[...document.querySelectorAll("path.lit")]
  .filter((node) => getComputedStyle(node).visibility === "visible")
  .map((node) => node.getAttribute("d").split("M").length - 1).join("|")"""
KEY = """document.body.dispatchEvent(
  new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}))"""
NOW = "document.querySelector('output').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def animation():
    return ft.Conv(KERNEL).animate((1, 5, 5), seconds=0.2)


@pytest.fixture(scope="module")
def page(animation, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "conv.html"
    animation.save(path)
    return path


def click(browser, name):
    browser.evaluate(f"document.querySelector('[name={name}]').click()")


def test_it_plays_by_itself_and_stops(browser, page):
    browser.open(page)
    browser.wait_for(f"{NOW}.startsWith('3 ')")
    click(browser, "play")
    before = browser.evaluate(NOW)
    browser.evaluate("new Promise((done) => setTimeout(done, 700))")
    assert browser.evaluate(NOW) == before
    click(browser, "play")
    browser.wait_for(f"{NOW} !== '{before}'")
    assert browser.complaints == []


def test_steps_show_frame_after_frame(browser, page, animation):
    browser.open(page, features=[("prefers-reduced-motion", "reduce")])
    shown = []
    for _ in animation.frames:
        shown.append(browser.evaluate(CAPTION))
        assert browser.evaluate(LIT) == "9"
        click(browser, "step")
    assert shown == [frame.caption for frame in animation.frames]
    assert browser.evaluate(NOW) == "1 / 9"
    click(browser, "back")
    assert browser.evaluate(CAPTION) == animation.frames[-1].caption
    assert browser.complaints == []


def test_slider_speed_and_keys(browser, page, animation):
    browser.open(page, features=[("prefers-reduced-motion", "reduce")])
    set_slider = """(() => { const node = document.querySelector("[name=%s]");
      node.value = %s; node.dispatchEvent(new Event("input")); })()"""
    browser.evaluate(set_slider % ("frame", 5))
    assert browser.evaluate(CAPTION) == animation.frames[5].caption
    browser.evaluate(KEY)
    assert browser.evaluate(NOW) == "7 / 9"
    browser.evaluate(set_slider % ("speed", 10))
    assert browser.evaluate("document.querySelector('[name=speed]').value") == "10"
    click(browser, "play")
    browser.wait_for(f"{NOW}.startsWith('2 ')", seconds=10)
    assert browser.complaints == []


def test_without_scripts_it_is_a_figure(browser, page, animation):
    browser.open(page, scripts=False)
    assert browser.evaluate(CAPTION) == animation.frames[4].caption
    assert browser.evaluate(LIT) == "9"
    assert browser.evaluate("document.querySelector('form').checkVisibility()") is False


def test_reduced_motion_begins_still(browser, page):
    browser.open(page, features=[("prefers-reduced-motion", "reduce")])
    browser.evaluate("new Promise((done) => setTimeout(done, 600))")
    assert browser.evaluate(NOW) == "1 / 9"


@pytest.mark.parametrize(("scheme", "ground"), [("light", "255, 255, 255"), ("dark", "18, 24, 31")])
def test_auto_follows_the_reader(browser, scheme, ground, tmp_path):
    ft.Conv(KERNEL).animate((1, 5, 5), theme="auto").save(tmp_path / "a.html")
    browser.open(tmp_path / "a.html", features=[("prefers-color-scheme", scheme)])
    for selector, name in (("body", "backgroundColor"), ("rect.ground", "fill")):
        node = f"document.querySelector('{selector}')"
        assert browser.evaluate(f"getComputedStyle({node}).{name}") == f"rgb({ground})"
    assert browser.complaints == []


def test_the_moving_svg_shows_one_frame_at_a_time(browser, animation, tmp_path):
    animation.save(tmp_path / "a.svg")
    browser.open(tmp_path / "a.svg")
    seen = set()
    for _ in range(60):
        caption = browser.evaluate(CAPTION)
        assert caption in [frame.caption for frame in animation.frames]
        seen.add(caption)
        if len(seen) >= 4:
            break
        browser.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert len(seen) >= 4
    browser.open(tmp_path / "a.svg", features=[("prefers-reduced-motion", "reduce")])
    assert browser.evaluate(CAPTION) == animation.frames[4].caption


def named(kind, words):
    kernel = ft.Conv(KERNEL)
    if kind == "figure":
        return kernel.draw((1, 5, 5), title=words)
    if kind == "animation":
        return kernel.animate((1, 5, 5), title=words)

    def reduction(values):
        return values.max()

    reduction.__name__ = words
    return ft.WindowReduce((2, 2), reduction).animate((1, 4, 4))


@pytest.mark.parametrize("kind", ["figure", "animation", "function"])
def test_hostile_words_run_nothing(browser, kind, tmp_path):
    for number, words in enumerate(HOSTILE):
        drawn = named(kind, words)
        for suffix in (".html", ".svg"):
            path = tmp_path / f"{number}{suffix}"
            path.write_bytes(drawn.encode(suffix))
            browser.open(path)
            root = "document.documentElement"
            assert browser.evaluate(f"{root}.querySelectorAll('parsererror, img').length") == 0
            scripts = browser.evaluate(f"{root}.querySelectorAll('script').length")
            assert scripts == (suffix == ".html" and kind != "figure")
            assert browser.evaluate("document.title") != "owned" or words == "owned"
            assert browser.complaints == [], words


def test_a_notebook_frame_plays_without_touching_its_page(browser, animation, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><title>mine</title>{animation._repr_html_()}")
    browser.open(path)
    assert browser.evaluate("document.title") == "mine"
    assert browser.evaluate("document.querySelector('iframe').contentDocument") is None
    assert browser.complaints == []


def test_a_script_that_does_not_belong_is_stopped_and_noticed(browser, page, tmp_path):
    """What the others rely on: the policy holds, and complaints are heard."""
    text = page.read_text().replace("</main>", "<script>document.title='owned'</script></main>")
    text = text.replace("</main>", "<img src='https://example.invalid/x.png'></main>")
    (tmp_path / "owned.html").write_text(text)
    browser.open(tmp_path / "owned.html")
    assert browser.evaluate("document.title") == "Conv()"
    violated = browser.evaluate("window.violations")
    assert any(text.startswith("script-src") for text in violated)
    assert any(text.startswith("img-src") for text in violated)
    assert browser.complaints
