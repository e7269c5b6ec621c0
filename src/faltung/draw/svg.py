"""Scenes as SVG: classes with colours of the palette, animated by CSS where there are frames.

Readers that ask for reduced motion see one frame. Colours and rules are bound to a class of the
picture's own, so that several pictures in one page do not meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from xml.sax.saxutils import escape

from faltung.draw.palette import PALETTES, ROLES, WORDS, Colours
from faltung.draw.shapes import Cells, Group, Label, Lines, Scene

__all__ = ["clean", "rendered", "style_of"]

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
FACES = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def clean(text: str) -> str:
    """Text that XML can hold: what it cannot becomes a replacement sign."""
    return escape(NOT_IN_XML.sub("\ufffd", text), {'"': "&quot;", "'": "&#39;"})


def rendered(
    scene: Scene,
    palette: str,
    theme: str,
    *,
    seconds: float | None = None,
    is_for_page: bool = False,
) -> str:
    """The scene as an SVG document.

    Parameters
    ----------
    scene : Scene
        What is drawn.
    palette, theme : str
        Colours; with theme "auto" the reader's own preference decides.
    seconds : float, optional
        How long a frame stays; without it the picture shows its still frame only.
    is_for_page : bool
        All frames, those that are not shown now hidden, for a script to show.
    """
    is_moving = seconds is not None and len(scene.frames) > 1
    every = is_moving or is_for_page
    groups = scene.groups if every else scene.shown(scene.still)
    parts = [_group(group, scene, is_moving, is_for_page) for group in groups]
    body = "".join(parts)
    own = "faltung-" + sha256(f"{body}{palette}{theme}{seconds}".encode()).hexdigest()[:10]
    style = style_of(palette, theme, own)
    if is_moving and seconds is not None:
        style += _movement(scene, own, seconds)
    width, height = _number(scene.width), _number(scene.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{own}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{clean(scene.title)}</title><desc>{clean(scene.description)}</desc>"
        f"<style>{style}</style>"
        f'<rect class="ground" width="{width}" height="{height}"/>{body}</svg>'
    )


def _group(group: Group, scene: Scene, is_moving: bool, is_for_page: bool) -> str:
    body = "".join(map(_shape, group.shapes))
    stop = len(scene.frames) if group.stop is None else group.stop
    if group.start == 0 and stop >= len(scene.frames):
        return f"<g>{body}</g>"
    if is_for_page:
        hidden = "" if group.is_shown(scene.still) else ' class="off"'
        return f'<g data-start="{group.start}" data-stop="{stop}"{hidden}>{body}</g>'
    if is_moving:
        return f'<g class="{_span(group.start, stop, scene)}">{body}</g>'
    return f"<g>{body}</g>"


def _span(start: int, stop: int, scene: Scene) -> str:
    """The classes of a group that comes and goes: its time, and whether the still frame has it."""
    still = " still" if start <= scene.still < stop else ""
    return f"moving t{start}-{stop}{still}"


def _shape(shape: Cells | Lines | Label) -> str:
    if isinstance(shape, Label):
        x, y = map(_number, shape.at)
        anchor = "" if shape.anchor == "middle" else ' text-anchor="start"'
        size = _number(shape.size)
        text = clean(shape.text)
        return (
            f'<text class="{shape.role}" x="{x}" y="{y}" font-size="{size}"{anchor}>{text}</text>'
        )
    if isinstance(shape, Lines):
        path = "".join(
            f"M{_number(a)} {_number(b)}L{_number(c)} {_number(d)}" for (a, b), (c, d) in shape.ends
        )
        return f'<path class="{shape.role}" d="{path}"/>'
    (ax, ay), (dx, dy) = shape.across, shape.down
    edges = [(ax, ay), (dx, dy), (-ax, -ay)]
    around = "l" + " ".join(f"{_number(x)} {_number(y)}" for x, y in edges) + "z"
    path = "".join(f"M{_number(x)} {_number(y)}{around}" for x, y in shape.corners)
    shade = "" if shape.shade == 1 else f' fill-opacity="{shape.shade:.2f}"'
    return f'<path class="{shape.role}"{shade} d="{path}"/>'


def _number(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def style_of(palette: str, theme: str, own: str) -> str:
    """The rules of all roles, for things of class `own`."""
    choices = PALETTES[palette]
    base = "light" if theme == "auto" else theme
    rules = [_rules(choices[base], own), *_shapes_rules(own)]
    if theme == "auto":
        rules.append(f"@media(prefers-color-scheme:dark){{{_rules(choices['dark'], own)}}}")
    return "".join(rules)


def _rules(colours: Colours, own: str) -> str:
    parts = []
    for role, style in ROLES.items():
        fill = colours[style.fill] if style.fill else "none"
        stroke = colours[style.stroke] if style.stroke else "none"
        parts.append(f".{own} .{role}{{fill:{fill};stroke:{stroke}}}")
    parts += [f".{own} .{role}{{fill:{colours[name]}}}" for role, name in WORDS.items()]
    return "".join(parts)


def _shapes_rules(own: str) -> Iterable[str]:
    yield f".{own} text{{font-family:{FACES};text-anchor:middle;dominant-baseline:central}}"
    yield f".{own} text[text-anchor=start]{{text-anchor:start}}"
    yield f".{own} .title{{font-weight:600}}.{own} .off{{visibility:hidden}}"
    yield f".{own} path{{stroke-linejoin:round}}"
    for role, style in ROLES.items():
        if style.width != 1:
            yield f".{own} .{role}{{stroke-width:{style.width:g}}}"
        if style.is_dashed:
            yield f".{own} .{role}{{stroke-dasharray:3 2}}"


def _movement(scene: Scene, own: str, seconds: float) -> str:
    """Groups appear and vanish in steps; they stand still for those who want no motion."""
    count = len(scene.frames)
    whole = _number(count * seconds)
    parts = [
        f".{own} .moving{{visibility:hidden;animation:{whole}s step-end infinite}}",
    ]
    spans = {
        (group.start, count if group.stop is None else group.stop)
        for group in scene.groups
        if group.start > 0 or group.stop is not None
    }
    for start, stop in sorted(spans):
        name = f"{own}-{start}-{stop}"
        steps = [(0.0, "visible" if start == 0 else "hidden")]
        if start > 0:
            steps.append((start / count, "visible"))
        if stop < count:
            steps.append((stop / count, "hidden"))
        frames = "".join(f"{100 * at:.3f}%{{visibility:{state}}}" for at, state in steps)
        parts.append(f".{own} .t{start}-{stop}{{animation-name:{name}}}")
        parts.append(f"@keyframes {name}{{{frames}}}")
    parts.append(
        f"@media(prefers-reduced-motion:reduce){{.{own} .moving{{animation:none}}"
        f".{own} .still{{visibility:visible}}}}"
    )
    return "".join(parts)
