"""The filter that the options of `apply` describe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faltung.cli._errors import FileError, UsageError
from faltung.errors import FaltungError, OptionError, ShapeError, WindowError

if TYPE_CHECKING:
    from faltung.typing import Array

__all__ = ["Filter", "add_filter_arguments", "filter_from", "in_options", "positive"]

# What the functions call their arguments, and the options that set them.
_OPTIONS = {
    "border is": "--border is",
    "cval": "--border-value",
    "normalize=True with a kernel that sums": "--normalize: the kernel sums",
    "Leave normalize out": "Leave --normalize out",
}


@dataclass(frozen=True)
class Filter:
    """A function of pixels, how it is stored, and the shape of its window."""

    compute: Callable[..., Array]
    window: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    absolute: bool = False
    offset: float = 0.0

    def __call__(self, pixels: Array) -> Array:
        """The filtered pixels, in their dtype."""
        import numpy as np

        import faltung as ft

        if not self.absolute and self.offset == 0:
            return self.compute(pixels)
        # The results are needed with their signs and fractions before they are stored.
        wide = self.compute(pixels, dtype=np.float64)
        if self.absolute:
            np.abs(wide, out=wide)
        wide += self.offset
        # The identity filter, to round and saturate in the way of filter_image.
        return ft.filter_image(wide, np.ones((1, 1)), dtype=pixels.dtype)


def add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what is computed."""
    which = parser.add_mutually_exclusive_group(required=True).add_argument
    which(
        "--kernel",
        help="sobel_x, gaussian:1.5, box:5 …; a .npy file; or sizes and numbers, '1x2: -1 1'",
    )
    for name, what in (
        ("median", "the middle of the values in a window: takes out what stands alone"),
        ("minimum", "the smallest value in a window"),
        ("maximum", "the largest value in a window"),
    ):
        which(f"--{name}", type=_size, metavar="SIZE", help=f"{what}; SIZE is 5 or 3x5")
    which(
        "--percentile",
        type=_percentile,
        metavar="Q:SIZE",
        help="the value that Q %% of those in a window lie below: 90:7, or 90:3x5",
    )
    add = parser.add_argument
    add(
        "--border",
        default="reflect",
        metavar="MODE",
        help="what lies beyond the edges: symmetric, reflect (default), edge, wrap, zeros, "
        "constant, or blank: 0 where the window leaves the picture; also under the names that "
        "SciPy, OpenCV and PyTorch have for them",
    )
    add("--border-value", type=float, default=0.0, metavar="X", help="value outside under constant")
    add(
        "--stride", type=_stride, default=(1, 1), metavar="N[,M]", help="keep every Nth row, column"
    )
    kernel = parser.add_argument_group("with --kernel").add_argument
    kernel("--convolve", action="store_true", help="reverse the kernel: not correlation")
    kernel("--normalize", action="store_true", help="divide the kernel by its sum")
    kernel("--absolute", action="store_true", help="absolute values, so both edge signs show")
    kernel("--offset", type=float, default=0.0, metavar="X", help="add X to the results")


def _stride(text: str) -> tuple[int, int]:
    numbers = tuple(positive(part) for part in text.split(","))
    if len(numbers) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(numbers)} numbers, expected 1 or 2")
    return numbers[0], numbers[-1]


def _size(text: str) -> tuple[int, int]:
    numbers = tuple(positive(part) for part in text.split("x"))
    if len(numbers) > 2:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(numbers)} sizes, expected 1 or 2")
    return numbers[0], numbers[-1]


def _percentile(text: str) -> tuple[float, tuple[int, int]]:
    share, colon, size = text.partition(":")
    try:
        percent = float(share)
    except ValueError:
        percent = -1.0
    if not colon or not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no percentile from 0 to 100 with a size, such as 90:7"
        )
    return percent, _size(size)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def filter_from(arguments: argparse.Namespace) -> Filter:
    """The filter of a command line; what is wrong with it is said before any file is read."""
    import numpy as np

    is_kernel = arguments.kernel is not None
    chosen = _kernel_filter(arguments) if is_kernel else _rank_filter(arguments)
    try:
        # A window of any size is right, but takes its time.
        chosen.compute(np.zeros((1, 1)), **({} if is_kernel else {"size": 1}))
    except (OptionError, WindowError, ShapeError) as error:
        fact, advice = in_options(error)
        raise UsageError(fact, advice) from error
    return chosen


def in_options(error: FaltungError) -> tuple[str, str]:
    """The fact and the advice of a function's error in the words of the command line."""
    fact, advice = error.fact, error.advice
    for argument, option in _OPTIONS.items():
        fact, advice = fact.replace(argument, option), advice.replace(argument, option)
    return fact, advice


def _shared(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "border": arguments.border,
        "cval": arguments.border_value,
        "stride": arguments.stride,
    }


def _kernel_filter(arguments: argparse.Namespace) -> Filter:
    from functools import partial

    import faltung as ft

    kernel = _kernel(arguments.kernel)
    compute = partial(
        ft.filter_image,
        kernel=kernel,
        flip=arguments.convolve,
        normalize=arguments.normalize,
        **_shared(arguments),
    )
    return Filter(compute, kernel.shape, arguments.stride, arguments.absolute, arguments.offset)


def _kernel(text: str) -> Array:
    import faltung as ft
    from faltung.cli._arrays import read_array

    if not text.lower().endswith(".npy"):
        try:
            return ft.kernels.parse(text)
        except FaltungError as error:
            raise UsageError(f"--kernel {text!r}: {error}") from error
    kernel = read_array(Path(text))
    if kernel.ndim != 2 or kernel.size == 0:
        raise FileError(f"{text}: a kernel of shape {kernel.shape}, expected 2 axes")
    return kernel


def _rank_filter(arguments: argparse.Namespace) -> Filter:
    from functools import partial

    import faltung as ft

    of_kernels = ("convolve", "normalize", "absolute", "offset")
    given = [f"--{name}" for name in of_kernels if getattr(arguments, name)]
    if given:
        raise UsageError(f"{given[0]} is for --kernel, a median or other rank has none")
    shared = _shared(arguments)
    if arguments.percentile:
        percent, size = arguments.percentile
        compute = partial(ft.percentile_filter, percentile=percent, size=size, **shared)
        return Filter(compute, size, arguments.stride)
    for name in ("median", "minimum", "maximum"):
        size = getattr(arguments, name)
        if size:
            break
    compute = partial(getattr(ft, f"{name}_filter"), size=size, **shared)
    return Filter(compute, size, arguments.stride)
