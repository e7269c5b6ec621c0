"""`Figure` and `Animation`: what `draw` and `animate` give, for notebooks and as files."""

from __future__ import annotations

import secrets
from contextlib import suppress
from html import escape
from math import isfinite
from os import PathLike, fspath
from pathlib import Path

from faltung.draw.page import rendered_page
from faltung.draw.raster import gif_bytes, mp4_bytes, png_bytes
from faltung.draw.shapes import Frame, Scene
from faltung.draw.svg import rendered
from faltung.errors import OptionError, shown

__all__ = ["Animation", "Figure"]


class _Drawn:
    """A scene with its colours."""

    suffixes: tuple[str, ...] = ()

    def __init__(self, scene: Scene, palette: str, theme: str) -> None:
        self._scene, self.palette, self.theme = scene, palette, theme

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return round(self._scene.width), round(self._scene.height)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Which cells are lit, frame by frame: the `outputs`, the `inputs`, and a `caption`."""
        return self._scene.frames

    def check_suffix(self, path: str | PathLike[str]) -> str:
        """The kind of file that a name asks for; raises `OptionError` for others than known."""
        suffix = Path(fspath(path)).suffix.lower()
        if suffix not in self.suffixes:
            raise OptionError(
                f"path is {shown(fspath(path))}, whose suffix {suffix!r} is no kind of "
                f"{type(self).__name__.lower()}",
                f"Use one of {', '.join(self.suffixes)}",
            )
        return suffix

    def encode(self, suffix: str) -> bytes:
        """The content of a file of that kind."""
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file of the kind that its suffix says.

        The name is taken only when all is written; a file that was there is replaced.

        Raises
        ------
        OptionError
            A suffix that is not known; the message lists the known ones.
        MissingExtraError
            A package that is not installed: Pillow for pixels, imageio-ffmpeg for videos.
        OSError
            A place that cannot be written to.
        """
        content = self.encode(self.check_suffix(path))
        target = Path(fspath(path))
        temporary = target.with_name(f".faltung-{secrets.token_hex(6)}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _state(self) -> tuple[object, ...]:
        return type(self), self._scene, self.palette, self.theme

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Drawn) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def __repr__(self) -> str:
        width, height = self.size
        count = f", {len(self.frames)} frames" if len(self.frames) > 1 else ""
        return f"<{type(self).__name__} {self._scene.title!r}: {width} × {height} pixels{count}>"


class Figure(_Drawn):
    """A figure of an operator: an SVG document as text, shown in notebooks.

    ``save(path)`` writes ``.svg``, ``.png`` or ``.html``; `frames` says which cells are lit.
    """

    suffixes = (".svg", ".png", ".html")

    def __str__(self) -> str:
        return rendered(self._scene, self.palette, self.theme)

    def _repr_svg_(self) -> str:
        return str(self)

    def encode(self, suffix: str) -> bytes:
        """The content of a file of that kind."""
        if suffix == ".png":
            return png_bytes(self._scene, self.palette, self.theme)
        if suffix == ".html":
            return rendered_page(self._scene, self.palette, self.theme, 0.5).encode()
        return str(self).encode()


class Animation(_Drawn):
    """An animation of an operator, a frame for each output; plays in notebooks.

    ``save(path)`` writes ``.gif``, ``.svg``, ``.html`` (with play, step and speed) or ``.mp4``;
    `frames` says which cells each frame lights; `seconds` is how long one stays.
    """

    suffixes = (".gif", ".svg", ".html", ".mp4")

    def __init__(self, scene: Scene, palette: str, theme: str, seconds: float) -> None:
        super().__init__(scene, palette, theme)
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not isfinite(seconds) or not 0.02 <= seconds <= 60:
            raise OptionError(
                f"seconds is {shown(seconds)}, expected a number from 0.02 to 60",
                "Use 0.5 for two frames a second",
            )
        self.seconds = float(seconds)

    def __str__(self) -> str:
        return rendered(self._scene, self.palette, self.theme, seconds=self.seconds)

    def _state(self) -> tuple[object, ...]:
        return *super()._state(), self.seconds

    def __len__(self) -> int:
        return len(self.frames)

    def _repr_html_(self) -> str:
        # In a frame of its own neither script nor style meets those of the notebook.
        page = rendered_page(self._scene, self.palette, self.theme, self.seconds, plays=False)
        width, height = self.size
        return (
            f'<iframe sandbox="allow-scripts" width="{width + 40}" height="{height + 90}" '
            f'title="{escape(self._scene.title)}" style="border: 0; max-width: 100%" '
            f'srcdoc="{escape(page)}"></iframe>'
        )

    def encode(self, suffix: str) -> bytes:
        """The content of a file of that kind."""
        parts = self._scene, self.palette, self.theme
        if suffix == ".svg":
            return str(self).encode()
        if suffix == ".html":
            return rendered_page(*parts, self.seconds).encode()
        return (gif_bytes if suffix == ".gif" else mp4_bytes)(*parts, self.seconds)
