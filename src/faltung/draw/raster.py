"""Scenes as pixels, for GIF and MP4: drawn at twice the size, then halved, for smooth edges."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from faltung.draw.palette import ROLES, WORDS, Colours, colours_of
from faltung.draw.shapes import Cells, Label, Lines, Point, Scene
from faltung.errors import MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

__all__ = ["gif_bytes", "mp4_bytes", "pictures", "png_bytes"]

FINER = 2
COLOURS, NEAR = 64, 20
SIGNS = str.maketrans({"×": "x", "−": "-", "→": ">", "\u2028": " ", "\u2029": " "})
"""What the typeface that Pillow brings along does not have."""


def pictures(scene: Scene, palette: str, theme: str) -> Iterator[Picture]:
    """One RGB picture for each frame."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtraError(
            "pictures of pixels need Pillow, which is not installed",
            "Install it with `pip install faltung[images]`, or save .svg or .html",
        ) from error

    colours = colours_of(palette, theme)
    size = round(scene.width) * FINER, round(scene.height) * FINER
    base = Image.new("RGB", size, colours["ground"])
    # What never vanishes, and lies below all that does, is drawn once and stays.
    lowest = next((n for n, each in enumerate(scene.groups) if each.stop is not None), None)
    lasting, passing = scene.groups[:lowest], scene.groups[len(scene.groups[:lowest]) :]
    for frame in range(len(scene.frames)):
        pen = _Pen(ImageDraw.Draw(base), colours)
        for group in lasting:
            if group.start == frame:
                pen.draw(group.shapes)
        picture = base.copy()
        pen = _Pen(ImageDraw.Draw(picture), colours)
        for group in passing:
            if group.is_shown(frame):
                pen.draw(group.shapes)
        yield picture.reduce(FINER)


class _Pen:
    """Draws shapes on a picture of twice the size."""

    def __init__(self, draw: ImageDraw, colours: Colours) -> None:
        self._draw, self._colours = draw, colours

    def draw(self, shapes: Any) -> None:
        """Draw shapes in their order."""
        for shape in shapes:
            if isinstance(shape, Cells):
                self._cells(shape)
            elif isinstance(shape, Lines):
                for start, end in shape.ends:
                    self._line(start, end, ROLES[shape.role])
            else:
                self._label(shape)

    def _cells(self, cells: Cells) -> None:
        style = ROLES[cells.role]
        (ax, ay), (dx, dy) = cells.across, cells.down
        fill = None
        if style.fill:
            fill = _mixed(self._colours[style.fill], self._colours["ground"], cells.shade)
        for x, y in cells.corners:
            ring = [(x, y), (x + ax, y + ay), (x + ax + dx, y + ay + dy), (x + dx, y + dy)]
            if fill is not None:
                self._draw.polygon([(a * FINER, b * FINER) for a, b in ring], fill)
            if style.stroke:
                for start, end in zip(ring, [*ring[1:], ring[0]], strict=True):
                    self._line(start, end, style)

    def _line(self, start: Point, end: Point, style: Any) -> None:
        colour, width = self._colours[style.stroke], round(style.width * FINER)
        pieces = _dashes(start, end) if style.is_dashed else [(start, end)]
        for (a, b), (c, d) in pieces:
            self._draw.line((a * FINER, b * FINER, c * FINER, d * FINER), colour, max(width, 1))

    def _label(self, label: Label) -> None:
        anchor = "lm" if label.anchor == "start" else "mm"
        x, y = label.at
        text = "".join(c if c.isprintable() else "?" for c in label.text.translate(SIGNS))
        font = _font(label.size * FINER)
        colour = self._colours[WORDS[label.role]]
        heavy = 1 if label.role == "title" else 0
        self._draw.text(
            (x * FINER, y * FINER), text, colour, font, anchor, stroke_width=heavy * FINER // 3
        )


def _font(size: float) -> Any:
    from PIL import ImageFont

    if size not in _FONTS:
        _FONTS[size] = ImageFont.load_default(size)
    return _FONTS[size]


_FONTS: dict[float, Any] = {}


def _dashes(start: Point, end: Point, dash: float = 3, gap: float = 2) -> list[tuple[Point, Point]]:
    """A line in pieces."""
    (a, b), (c, d) = start, end
    length = ((c - a) ** 2 + (d - b) ** 2) ** 0.5
    pieces, at = [], 0.0
    while at < length:
        first, last = at / length, min(at + dash, length) / length
        pieces.append(
            (
                (a + (c - a) * first, b + (d - b) * first),
                (a + (c - a) * last, b + (d - b) * last),
            )
        )
        at += dash + gap
    return pieces


def _mixed(colour: str, ground: str, share: float) -> tuple[int, ...]:
    """A colour that lets the ground show through."""
    pairs = zip(_parts(colour), _parts(ground), strict=True)
    return tuple(round(over * share + under * (1 - share)) for over, under in pairs)


def _far(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return max(abs(mine - theirs) for mine, theirs in zip(one, other, strict=True))


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def gif_bytes(scene: Scene, palette: str, theme: str, seconds: float) -> bytes:
    """The frames as an animated GIF that repeats for ever."""
    frames = list(pictures(scene, palette, theme))
    from PIL import Image

    # One set of colours for all, so that what stays the same is not stored again: those of the
    # palette as they are, and between them what smooth edges need most.
    exact = [_parts(colour) for colour in dict.fromkeys(colours_of(palette, theme).values())]
    middle = frames[len(frames) // 2].quantize(COLOURS - len(exact))
    mixed = zip(*[iter(middle.getpalette() or [])] * 3, strict=False)
    # Those that are almost one of the palette would be taken in its place.
    others = [colour for colour in mixed if min(_far(colour, each) for each in exact) > NEAR]
    colours = Image.new("P", (1, 1))
    colours.putpalette([part for colour in (*exact, *others) for part in colour])
    indexed = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    indexed[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=max(round(seconds * 1000), 20),
        loop=0,
        disposal=1,
        optimize=True,
    )
    return file.getvalue()


def png_bytes(scene: Scene, palette: str, theme: str) -> bytes:
    """The still frame."""
    single = Scene(
        scene.width,
        scene.height,
        scene.title,
        scene.description,
        tuple(group._replace(start=0, stop=None) for group in scene.shown(scene.still)),
        scene.frames[:1],
    )
    file = io.BytesIO()
    next(pictures(single, palette, theme)).save(file, "PNG")
    return file.getvalue()


def mp4_bytes(scene: Scene, palette: str, theme: str, seconds: float) -> bytes:
    """The frames as a video, by the program that imageio-ffmpeg brings along."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise MissingExtraError(
            "videos need imageio-ffmpeg, which is not installed",
            "Install it with `pip install imageio-ffmpeg`, or save .gif, .svg or .html",
        ) from error

    from PIL import ImageOps

    width, height = round(scene.width), round(scene.height)
    even = width + width % 2, height + height % 2  # as the video format wants it
    ground = colours_of(palette, theme)["ground"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(path), even, fps=1 / seconds, macro_block_size=2, quality=8
        )
        writer.send(None)
        for picture in pictures(scene, palette, theme):
            writer.send(ImageOps.pad(picture, even, color=ground, centering=(0, 0)).tobytes())
        writer.close()
        return path.read_bytes()
