"""Draw operators as an animation: the window at one output after the other.

Operators are written as for `faltung describe`. The suffix of the output
decides what is written: .gif (needs Pillow), .svg and .html (need nothing;
the page has play, step and speed, and works offline), .mp4 (needs
imageio-ffmpeg).

Planes of more than 32 x 32 cells are drawn in part; the picture says which.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "draw operators as an animation"
EXAMPLES = """
    faltung animate "conv 3 stride=2 padding=1" --input 5x5 -o a.gif
    faltung animate "conv_transpose 3 stride=2" --input 3x3 --view zeros -o upsampling.html
    faltung animate "conv 3 padding=1" --input 6x6 --view matrix --theme dark -o matrix.svg
    faltung animate "conv 2 3 padding=1; max_pool 2" --input 3x6x6 --palette safe -o chain.gif
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from faltung.draw import VIEWS
    from faltung.draw.palette import PALETTES, THEMES

    add = parser.add_argument
    add("operators", help="one operator, or several with semicolons between them")
    add(
        "--input",
        required=True,
        metavar="SIZES",
        help="channels and spatial sizes, such as 3x8x8; 5x5 means one channel",
    )
    add("-o", "--output", required=True, type=Path, metavar="FILE", help="what to write")
    add("--force", action="store_true", help="overwrite a file that exists")
    add("--view", choices=VIEWS, help="what is shown (default: what suits the operator)")
    add("--frames", type=_positive, default=64, metavar="N", help="at most so many (default: 64)")
    add("--seconds", type=float, default=0.5, metavar="S", help="of each frame (default: 0.5)")
    add("--palette", choices=tuple(PALETTES), default="classic", help="safe: for all eyes")
    add("--theme", choices=THEMES, default="light", help="auto follows the reader, not in .gif")
    add("--title", help="words above the picture")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Write the animation; nothing is drawn for a file that cannot be written."""
    from faltung.cli._chain import parse_chain, parse_shape
    from faltung.cli._console import say
    from faltung.cli._errors import UsageError
    from faltung.cli._files import check_writable, replaced
    from faltung.draw.figure import Animation
    from faltung.errors import OptionError

    path: Path = arguments.output
    suffix = path.suffix.lower()
    if suffix not in Animation.suffixes:
        raise UsageError(
            f"--output {path} ends in {suffix!r}, expected one of {', '.join(Animation.suffixes)}"
        )
    check_writable(path, force=arguments.force)
    operator, shape = parse_chain(arguments.operators, parse_shape(arguments.input))
    names = ("frames", "seconds", "view", "palette", "theme", "title")
    try:
        animation = operator.animate(shape, **{name: getattr(arguments, name) for name in names})
    except OptionError as error:  # a view that the operator has not, or no time for a frame
        raise UsageError(str(error)) from error
    content = animation.encode(suffix)
    with replaced(path, force=arguments.force) as file:
        file.write(content)
    width, height = animation.size
    say(f"{path}: {len(animation)} frames of {width} × {height}, {len(content):,} bytes")
    return 0
