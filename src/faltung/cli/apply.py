"""Filter pictures with a kernel, or by the median or another rank of each window.

Reads PNG, JPEG, TIFF, WebP, BMP and .npy files; the suffix of the output
decides the format that is written. 8-bit, 16-bit and float pixels keep their
type: integers are rounded and saturated, medians and other ranks are exact.
Colour channels are filtered one by one as they are stored, an alpha channel is
kept as it is. Pictures are turned as their EXIF orientation says; colour
profiles are kept.

The kernel is laid over the picture as it is written down (correlation);
--convolve reverses it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faltung.cli._errors import FileError, UsageError
from faltung.cli._filters import Filter, add_filter_arguments, filter_from, in_options, positive
from faltung.errors import FaltungError

if TYPE_CHECKING:
    from faltung.cli._pictures import Picture
    from faltung.typing import Array

SUMMARY = "filter pictures with a kernel, or by median, minimum, maximum, percentile"
EXAMPLES = """
    faltung apply photo.jpg --kernel gaussian:2 -o soft.png
    faltung apply photo.jpg --kernel sobel_x --absolute -o edges.png
    faltung apply photo.jpg --kernel "3x3: -1 -1 -1  -1 8 -1  -1 -1 -1" --offset 128 -o lines.png
    faltung apply scan.tif --kernel psf.npy --convolve --normalize --border edge -o scan.npy
    faltung apply scan.png --median 5 -o clean.png
    faltung apply text.jpg --percentile 90:15x31 --border edge -o paper.png
    faltung apply *.png --kernel box:5 --stride 2 -o smaller/ --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from faltung.cli._files import MAX_PIXELS

    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", type=Path, help="pictures or .npy arrays")
    add_filter_arguments(parser)
    add(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the file to write; with several inputs, or a trailing /, a directory",
    )
    add("--force", action="store_true", help="overwrite files that exist")
    add(
        "--max-pixels",
        type=positive,
        default=MAX_PIXELS,
        metavar="N",
        help=f"refuse larger pictures (default {MAX_PIXELS:,})",
    )
    add("--json", action="store_true", help="one JSON record a file, a line each, on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Filter every input; one that fails does not keep the others from being written."""
    from faltung.cli._console import note, say, tracked

    chosen = filter_from(arguments)
    failures = 0
    for source, target in tracked(_pairs(arguments.inputs, arguments.output), "filtering"):
        try:
            record = _apply_one(source, target, chosen, arguments)
        except (FaltungError, MemoryError) as error:
            failures += 1
            note(error if isinstance(error, FaltungError) else f"{source}: not enough memory")
            record = {"input": str(source), "error": str(error)}
        if arguments.json:
            print(json.dumps(record), flush=True)
        elif "error" not in record and sys.stdout is not None and sys.stdout.isatty():
            say(f"{record['output']}: {' × '.join(map(str, record['shape']))} {record['dtype']}")
    return 1 if failures else 0


def _pairs(inputs: list[Path], output: str) -> list[tuple[Path, Path]]:
    """Each input with the file it becomes."""
    directory = Path(output)
    if len(inputs) == 1 and not output.endswith(("/", os.sep)) and not directory.is_dir():
        return [(inputs[0], directory)]
    pairs = [(source, directory / source.name) for source in inputs]
    seen: dict[Path, Path] = {}
    for source, target in pairs:
        if target in seen:
            raise UsageError(f"{seen[target]} and {source} would both become {target}")
        seen[target] = source
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{directory} cannot be made a directory: {error.strerror}") from error
    return pairs


def _apply_one(
    source: Path, target: Path, chosen: Filter, arguments: argparse.Namespace
) -> dict[str, Any]:
    from faltung.cli import _pictures
    from faltung.cli._console import note
    from faltung.cli._files import check_writable
    from faltung.plans._recording import recorded

    _pictures.check_suffix(target)
    check_writable(target, force=arguments.force)
    picture = _pictures.read(source, arguments.max_pixels)
    if picture.frames > 1:
        note(f"{source} holds {picture.frames} pictures, only the first one is filtered")
    started = time.perf_counter()
    try:
        with recorded() as algorithms:
            result = chosen(picture.pixels)
    except FaltungError as error:
        fact, advice = in_options(error)
        raise type(error)(f"{source}: {fact}", advice) from error
    seconds = time.perf_counter() - started
    written = _pictures.write(target, _with_pixels(picture, result, chosen), force=arguments.force)
    return {
        "input": str(source),
        "output": str(target),
        "shape": list(written.shape),
        "dtype": str(written.dtype),
        "kernel_shape": list(chosen.window),
        "seconds": round(seconds, 6),
        "algorithm": algorithms[0],
    }


def _with_pixels(picture: Picture, pixels: Array, chosen: Filter) -> Picture:
    from dataclasses import replace

    alpha = picture.alpha
    if alpha is not None:
        down, right = chosen.stride
        alpha = alpha[::down, ::right]
    return replace(picture, pixels=pixels, alpha=alpha)
