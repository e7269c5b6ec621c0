"""Filter pictures with a kernel.

Reads PNG, JPEG, TIFF, WebP, BMP and .npy files; the suffix of the output
decides the format that is written. 8-bit, 16-bit and float pixels keep their
type: integers are rounded and saturated. Colour channels are filtered one by
one as they are stored, an alpha channel is kept as it is. Pictures are turned
as their EXIF orientation says; colour profiles are kept.

The kernel is laid over the picture as it is written down (correlation);
--convolve reverses it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faltung.cli._errors import FileError, UsageError
from faltung.errors import FaltungError, OptionError, ShapeError, WindowError

if TYPE_CHECKING:
    from faltung.cli._pictures import Picture
    from faltung.typing import Array

SUMMARY = "filter pictures with a kernel"
EXAMPLES = """
    faltung apply photo.jpg --kernel gaussian:2 -o soft.png
    faltung apply photo.jpg --kernel sobel_x --absolute -o edges.png
    faltung apply photo.jpg --kernel "3x3: -1 -1 -1  -1 8 -1  -1 -1 -1" --offset 128 -o lines.png
    faltung apply scan.tif --kernel psf.npy --convolve --normalize --border edge -o scan.npy
    faltung apply *.png --kernel box:5 --stride 2 -o smaller/ --json
"""


@dataclass(frozen=True)
class _Filter:
    """The filter that the options describe."""

    kernel: Array
    options: dict[str, Any]
    absolute: bool
    offset: float

    @property
    def is_shifted(self) -> bool:
        """Whether the results are needed with their signs and fractions before they are stored."""
        return self.absolute or self.offset != 0

    def __call__(self, pixels: Array) -> Array:
        import numpy as np

        import faltung as ft

        if not self.is_shifted:
            return ft.filter_image(pixels, self.kernel, **self.options)
        wide = ft.filter_image(pixels, self.kernel, dtype=np.float64, **self.options)
        if self.absolute:
            np.abs(wide, out=wide)
        wide += self.offset
        # The identity filter, to round and saturate in the way of filter_image.
        return ft.filter_image(wide, np.ones((1, 1)), dtype=pixels.dtype)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from faltung.cli._files import MAX_PIXELS

    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", type=Path, help="pictures or .npy arrays")
    add(
        "--kernel",
        required=True,
        help="sobel_x, gaussian:1.5, box:5 …; a .npy file; or sizes and numbers, '1x2: -1 1'",
    )
    add(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="the file to write; with several inputs, or a trailing /, a directory",
    )
    add("--force", action="store_true", help="overwrite files that exist")
    add(
        "--border",
        default="reflect",
        metavar="MODE",
        help="symmetric, reflect (default), edge, wrap or constant, also under the names "
        "that SciPy, OpenCV and PyTorch have for them",
    )
    add("--border-value", type=float, default=0.0, metavar="X", help="value outside under constant")
    add("--convolve", action="store_true", help="reverse the kernel: convolution, not correlation")
    add("--stride", type=_stride, default=1, metavar="N[,M]", help="keep every Nth row and column")
    add("--normalize", action="store_true", help="divide the kernel by its sum")
    add("--absolute", action="store_true", help="take absolute values, so both edge signs show")
    add("--offset", type=float, default=0.0, metavar="X", help="add X to the results")
    add(
        "--max-pixels",
        type=_positive,
        default=MAX_PIXELS,
        metavar="N",
        help=f"refuse larger pictures (default {MAX_PIXELS:,})",
    )
    add("--json", action="store_true", help="one JSON record a file, a line each, on stdout")


def _stride(text: str) -> int | tuple[int, ...]:
    numbers = tuple(_positive(part) for part in text.split(","))
    if len(numbers) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(numbers)} numbers, expected 1 or 2")
    return numbers[0] if len(numbers) == 1 else numbers


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Filter every input; one that fails does not keep the others from being written."""
    from faltung.cli._console import note, say, tracked

    chosen = _filter_from(arguments)
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


def _filter_from(arguments: argparse.Namespace) -> _Filter:
    import numpy as np

    import faltung as ft
    from faltung.cli._arrays import read_array

    if arguments.kernel.lower().endswith(".npy"):
        kernel = read_array(Path(arguments.kernel))
        if kernel.ndim != 2 or kernel.size == 0:
            raise FileError(
                f"{arguments.kernel}: a kernel of shape {kernel.shape}, expected 2 axes"
            )
    else:
        try:
            kernel = ft.kernels.parse(arguments.kernel)
        except FaltungError as error:
            raise UsageError(f"--kernel {arguments.kernel!r}: {error}") from error
    options = {
        "border": arguments.border,
        "cval": arguments.border_value,
        "flip": arguments.convolve,
        "stride": arguments.stride,
        "normalize": arguments.normalize,
    }
    try:
        # A picture of one pixel shows what is wrong with the options before any file is read.
        ft.filter_image(np.zeros((1, 1)), kernel, **options)
    except (OptionError, WindowError, ShapeError) as error:
        raise UsageError(str(error)) from error
    return _Filter(kernel, options, arguments.absolute, arguments.offset)


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
    source: Path, target: Path, chosen: _Filter, arguments: argparse.Namespace
) -> dict[str, Any]:
    from faltung.cli import _pictures
    from faltung.cli._console import note
    from faltung.cli._files import check_writable

    _pictures.check_suffix(target)
    check_writable(target, force=arguments.force)
    picture = _pictures.read(source, arguments.max_pixels)
    if picture.frames > 1:
        note(f"{source} holds {picture.frames} pictures, only the first one is filtered")
    started = time.perf_counter()
    try:
        result = chosen(picture.pixels)
    except FaltungError as error:
        raise type(error)(f"{source}: {error.fact}", error.advice) from error
    seconds = time.perf_counter() - started
    written = _pictures.write(
        target, _with_pixels(picture, result, arguments), force=arguments.force
    )
    return {
        "input": str(source),
        "output": str(target),
        "shape": list(written.shape),
        "dtype": str(written.dtype),
        "kernel_shape": list(chosen.kernel.shape),
        "seconds": round(seconds, 6),
        "algorithm": _algorithm(picture.pixels, chosen),
    }


def _with_pixels(picture: Picture, pixels: Array, arguments: argparse.Namespace) -> Picture:
    from dataclasses import replace

    alpha = picture.alpha
    if alpha is not None:
        stride = arguments.stride
        down, right = stride if isinstance(stride, tuple) else (stride, stride)
        alpha = alpha[::down, ::right]
    return replace(picture, pixels=pixels, alpha=alpha)


def _algorithm(pixels: Array, chosen: _Filter) -> str:
    from faltung.cli._algorithm import algorithm_for

    is_single = pixels.dtype.kind == "f" and pixels.dtype.itemsize <= 4
    return algorithm_for(
        chosen.kernel[None, None],
        pixels.shape[:2],
        is_single=is_single and not chosen.is_shifted,
        border=chosen.options["border"],
        stride=chosen.options["stride"],
    )
