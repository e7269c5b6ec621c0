"""Take a picture through the whole family of sliding windows.

Edges, blur, a filter bank and a patch detector; pooling, upsampling, a
transposed convolution with its checkerboard and the cure, an involution, a
median. Writes a page, index.html, with all pictures, the Python that made
each, and its time beside that of SciPy or NumPy, of OpenCV where it is
installed, and of plain loops. Without
IMAGE it takes the photograph that ships inside Matplotlib.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faltung.cli._errors import FileError, one_line
from faltung.errors import MissingExtraError

if TYPE_CHECKING:
    from faltung.cli._demo_run import Outcome
    from faltung.cli._gallery import Entry
    from faltung.typing import Array

SUMMARY = "slide windows over a picture in many ways, timed, as a page to look at"
EXAMPLES = """
    faltung demo
    faltung demo holiday.jpg -o holiday-demo
    faltung demo --output faltung-demo --force --json
"""

_LONGEST_SIDE = 1024
_SHORTEST_SIDE = 32
_PREAMBLE = """\
import numpy as np, faltung as ft
from PIL import Image
image = np.asarray(Image.open({name}).convert("RGB"))
grey = image @ np.float32([0.299, 0.587, 0.114]) / 255"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("image", nargs="?", metavar="IMAGE", type=Path, help="a picture or .npy array")
    add("-o", "--output", metavar="DIR", type=Path, default=Path("faltung-demo"))
    add("--force", action="store_true", help="write into DIR although it exists")
    add("--json", action="store_true", help="the figures as one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Compute everything, print the table, write the page."""
    import numpy as np

    from faltung.cli._console import say, tracked
    from faltung.cli._demo_family import family
    from faltung.cli._demo_run import run_step
    from faltung.cli._demo_steps import convolutions

    source = arguments.image or _photograph()
    directory = arguments.output
    image, is_reduced = _load(source)
    _make_directory(directory, force=arguments.force)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    steps = [*convolutions(grey), *family(grey)]
    outcomes = [run_step(step, image, grey) for step in tracked(steps, "computing")]
    page = _write(directory, source, image, outcomes, is_reduced)
    if arguments.json:
        print(json.dumps(_record(source, image, outcomes, page), indent=2))
        return 0
    _print_table(source, image, outcomes)
    say(f"{one_line(page)}: open it in a browser")
    return 0


def _photograph() -> Path:
    try:
        from matplotlib.cbook import get_sample_data
    except ImportError as error:
        raise MissingExtraError(
            "the demo's photograph ships inside Matplotlib, which is not installed",
            'Name a picture of your own, or pip install "faltung[all]"',
        ) from error
    return Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))


def _make_directory(directory: Path, *, force: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise FileError(f"{directory} exists and is not a directory")
    if directory.is_dir() and any(directory.iterdir()) and not force:
        raise FileError(f"{directory} exists already", "Pass --force to write into it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{directory} cannot be made: {error.strerror}") from error


def _load(source: Path) -> tuple[Array, bool]:
    """The picture as RGB, and whether it was made smaller to keep the demo short."""
    import numpy as np
    from PIL import Image

    from faltung.cli._pictures import read
    from faltung.cli._shades import as_rgb

    rgb = as_rgb(read(source).pixels)
    height, width = rgb.shape[:2]
    if min(height, width) < _SHORTEST_SIDE:
        raise FileError(
            f"{source}: {width} × {height} pixels are too few for the demo",
            f"Take a picture of at least {_SHORTEST_SIDE} × {_SHORTEST_SIDE}",
        )
    if max(height, width) <= _LONGEST_SIDE:
        return rgb, False
    small = Image.fromarray(rgb)
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.array(small), True


def _write(
    directory: Path, source: Path, image: Array, outcomes: list[Outcome], is_reduced: bool
) -> Path:
    from faltung.cli._files import replaced
    from faltung.cli._gallery import page

    _save(directory / "original.png", image)
    entries = [_write_pictures(directory, outcome) for outcome in outcomes]
    name = one_line(source.name)
    reduced = f", reduced to at most {_LONGEST_SIDE} pixels a side" if is_reduced else ""
    facts = [f"{image.shape[1]} × {image.shape[0]} pixels{reduced}", _machine()]
    html = page(name, "original.png", _PREAMBLE.format(name=repr(name)), facts, entries)
    with replaced(directory / "index.html", force=True) as file:
        file.write(html.encode("utf-8"))
    return directory / "index.html"


def _write_pictures(directory: Path, outcome: Outcome) -> Entry:
    from faltung.cli._gallery import Entry, kernel_pictures

    views, kernels = {}, []
    for number, (label, picture) in enumerate(outcome.views.items()):
        views[label] = f"{outcome.step.name}-{number + 1}.png"
        _save(directory / views[label], picture)
    weight = outcome.weight
    for number, picture in enumerate([] if weight is None else kernel_pictures(weight)):
        kernels.append(f"{outcome.step.name}-kernel-{number + 1}.png")
        _save(directory / kernels[-1], picture)
    return Entry(outcome, views, kernels)


def _save(path: Path, picture: Array) -> None:
    from PIL import Image

    from faltung.cli._files import replaced

    with replaced(path, force=True) as file:
        # Level 2 takes a third of the time of the default 6, for 3 % more bytes.
        Image.fromarray(picture).save(file, "PNG", compress_level=2)


def _machine() -> str:
    import platform
    from importlib.metadata import version

    import faltung as ft
    from faltung.compiled.machine import isa

    versions = ", ".join(f"{name} {version(name)}" for name in ("faltung", "numpy", "scipy"))
    return f"{platform.machine()} ({isa()}), {ft.get_num_threads()} threads, {versions}"


def _print_table(source: Path, image: Array, outcomes: list[Outcome]) -> None:
    from faltung.cli import _demo_words as words
    from faltung.cli._console import say, table

    has_opencv = any(outcome.opencv_seconds is not None for outcome in outcomes)
    rows = [
        (
            outcome.step.name,
            words.window(outcome),
            words.duration(outcome.seconds),
            words.duration(outcome.peer_seconds),
            words.speed_up(outcome.peer_seconds, outcome.seconds),
            *([words.beside_opencv(outcome)] if has_opencv else []),
            words.duration(outcome.textbook.seconds),
            words.difference(outcome.largest_difference),
            words.plan(outcome.algorithm),
        )
        for outcome in outcomes
    ]
    opencv = ["OpenCV"] if has_opencv else []
    header = ("step", "window", "faltung", "peer", "", *opencv, "loops", "off by", "plan")
    size = f"{image.shape[1]} × {image.shape[0]}"
    table(f"{one_line(source.name)}, {size} pixels", header, rows)
    say(_machine())
    say("peer: SciPy; NumPy for the pools, nearest and the involution")
    say("loops: the textbook (reference), scaled up from a small part")
    say("off by: the largest absolute difference to the peer")


def _record(source: Path, image: Array, outcomes: list[Outcome], page: Path) -> dict[str, Any]:
    from faltung.cli import _demo_words as words

    return {
        "image": str(source),
        "shape": list(image.shape),
        "machine": _machine(),
        "page": str(page),
        "steps": [
            {
                "name": outcome.step.name,
                "title": outcome.step.title,
                "window": words.window(outcome),
                "output_shape": list(outcome.output_shape),
                "seconds": outcome.seconds,
                "peer": outcome.step.peer_name,
                "peer_seconds": outcome.peer_seconds,
                "opencv_seconds": outcome.opencv_seconds,
                "textbook_seconds_extrapolated": outcome.textbook.seconds,
                "textbook_measured_results": outcome.textbook.results,
                "largest_difference": outcome.largest_difference,
                "algorithm": outcome.algorithm,
                "report": outcome.report.to_dict(),
            }
            for outcome in outcomes
        ],
    }
