"""Colours by role: the palette that people know from convolution arithmetic, and a safe one.

The classic one has the input in blue and the output in cyan. The safe one takes its hues from the
set that M. Okabe and K. Ito chose to be told apart with every kind of colour vision; in both,
whatever is lit also has another outline, so that no meaning hangs on the hue alone.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from faltung.errors import OptionError, shown

__all__ = [
    "PALETTES",
    "ROLES",
    "THEMES",
    "WORDS",
    "Colours",
    "Style",
    "check_options",
    "colours_of",
]

Colours: TypeAlias = dict[str, str]

THEMES = ("light", "dark", "auto")


class Style(NamedTuple):
    """How a role is painted: names of colours, None for nothing."""

    fill: str | None
    stroke: str | None
    width: float = 1.0
    is_dashed: bool = False


ROLES: dict[str, Style] = {
    "ground": Style("ground", None),
    "input": Style("input", "ground"),
    "border": Style("ground", "faint", 1, True),
    "copy": Style("copy", "faint", 1, True),
    "gap": Style("gap", "ground"),
    "pending": Style("ground", "faint"),
    "output": Style("output", "ground"),
    "kernel": Style("kernel", "ground"),
    "unused": Style("gap", "ground"),
    "lit": Style("lit", "ground"),
    "lit-border": Style("lit-border", "edge", 1, True),
    "echo": Style("echo", "lit", 1.5),
    "now": Style("now", "ground"),
    "tap": Style(None, "edge", 2),
    "window": Style(None, "edge", 2.5),
    "winner": Style(None, "winner", 3.5),
    "beam": Style(None, "soft", 1, True),
    "frame": Style(None, "faint"),
    "band": Style(None, "edge", 1),
    "entry": Style("kernel", "ground", 0.5),
    "entry-lit": Style("lit", "ground", 0.5),
}
"""Parallelograms and lines."""

WORDS: dict[str, str] = {
    "title": "ink",
    "heading": "ink",
    "caption": "ink",
    "note": "soft",
    "number": "ink",
    "number-soft": "soft",
    "number-lit": "on-lit",
    "number-now": "on-now",
    "number-kernel": "on-kernel",
}
"""The colour of words by role."""

PALETTES: dict[str, dict[str, Colours]] = {
    "classic": {
        "light": {
            "ground": "#ffffff",
            "ink": "#1c2733",
            "soft": "#5d6b78",
            "faint": "#a9b5bf",
            "edge": "#10324f",
            "input": "#8cc4ee",
            "copy": "#dcedf9",
            "gap": "#e8edf1",
            "output": "#93e0d8",
            "kernel": "#f0b95a",
            "lit": "#1f6fb2",
            "lit-border": "#b9cbd9",
            "echo": "#5ba3dc",
            "now": "#0a857e",
            "winner": "#d8432f",
            "on-lit": "#ffffff",
            "on-now": "#ffffff",
            "on-kernel": "#1c2733",
        },
        "dark": {
            "ground": "#12181f",
            "ink": "#e9eef3",
            "soft": "#9caab7",
            "faint": "#52606d",
            "edge": "#f2f6fa",
            "input": "#22567f",
            "copy": "#1a2f42",
            "gap": "#242d36",
            "output": "#13605b",
            "kernel": "#a8741c",
            "lit": "#57b2f5",
            "lit-border": "#44576a",
            "echo": "#3a83bd",
            "now": "#43d8cb",
            "winner": "#ff7a63",
            "on-lit": "#06131f",
            "on-now": "#04201e",
            "on-kernel": "#ffffff",
        },
    },
    "safe": {
        "light": {
            "ground": "#ffffff",
            "ink": "#1b1b1b",
            "soft": "#595959",
            "faint": "#a8a8a8",
            "edge": "#000000",
            "input": "#a6d8f5",
            "copy": "#e3f2fb",
            "gap": "#ebebeb",
            "output": "#f6d48a",
            "kernel": "#d9b6cd",
            "lit": "#0072b2",
            "lit-border": "#c4c4c4",
            "echo": "#56b4e9",
            "now": "#b35400",
            "winner": "#f0e442",
            "on-lit": "#ffffff",
            "on-now": "#ffffff",
            "on-kernel": "#1b1b1b",
        },
        "dark": {
            "ground": "#141414",
            "ink": "#f0f0f0",
            "soft": "#a6a6a6",
            "faint": "#5c5c5c",
            "edge": "#ffffff",
            "input": "#1d4e6b",
            "copy": "#1b2b35",
            "gap": "#2a2a2a",
            "output": "#6b4a06",
            "kernel": "#a8638f",
            "lit": "#56b4e9",
            "lit-border": "#555555",
            "echo": "#2f86b8",
            "now": "#f0a63a",
            "winner": "#f0e442",
            "on-lit": "#08141b",
            "on-now": "#1d1200",
            "on-kernel": "#ffffff",
        },
    },
}
"""Each palette in light and in dark."""


def check_options(palette: object, theme: object) -> None:
    """Raise for a palette or theme that there is not."""
    for name, value, known in (("palette", palette, PALETTES), ("theme", theme, THEMES)):
        if not isinstance(value, str) or value not in known:
            raise OptionError(
                f"{name} is {shown(value)}, which is not known",
                f"Use one of {', '.join(map(repr, known))}",
            )


def colours_of(palette: str, theme: str) -> Colours:
    """The colours by name; those of "auto" are the light ones."""
    return PALETTES[palette]["dark" if theme == "dark" else "light"]
