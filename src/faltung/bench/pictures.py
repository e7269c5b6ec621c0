"""Pictures, volumes and signals: few channels, large arrays, kernels from 3×3 to 63×63."""

from __future__ import annotations

import numpy as np

from faltung.bench.cases import Case
from faltung.typing import Array, Shape

__all__ = ["CASES", "gaussian"]

UHD = 2160, 3840


def gaussian(shape: Shape) -> Array:
    """A Gaussian that fills the shape; the product of one kernel an axis."""
    kernel = np.ones(())
    for size in shape:
        cells = np.arange(size) - size // 2
        line = np.exp(-0.5 * (cells / (size / 6)) ** 2)
        kernel = np.multiply.outer(kernel, line / line.sum())
    return kernel


def mean_free(shape: Shape) -> Array:
    """Weights that no separable kernel has, scaled so that sums neither vanish nor saturate."""
    kernel = np.random.default_rng(1).standard_normal(shape)
    kernel /= np.abs(kernel).sum()
    return kernel


def picture(size: Shape, kernel: int, *, is_separable: bool = False) -> Case:
    """One channel, float32."""
    return Case(
        f"picture {_sizes(size)} {_kernel(kernel, len(size), is_separable)}",
        "pictures" if kernel < 21 else "large kernels",
        "filter_array",
        size,
        (kernel,) * len(size),
        make_weight=gaussian if is_separable else None,
    )


def with_holes(size: Shape, kernel: Shape) -> Case:
    """One channel, float32, of which a tenth of the cells are missing: normalised convolution."""
    name = f"missing cells {_sizes(size)} {_sizes(kernel)}"
    return Case(name, "missing cells", "filter_valid", size, kernel)


def volume(size: int, kernel: int, *, is_separable: bool, is_heavy: bool) -> Case:
    """Three axes, float32."""
    return Case(
        f"volume {_sizes((size,) * 3)} {_kernel(kernel, 3, is_separable)}",
        "volumes",
        "filter_array",
        (size,) * 3,
        (kernel,) * 3,
        make_weight=gaussian if is_separable else None,
        is_heavy=is_heavy,
    )


def colours(kernel: int, *, is_separable: bool = False) -> Case:
    """uint8 RGB, the colours of a pixel side by side."""
    return Case(
        f"uint8 RGB {_sizes(UHD)} {_kernel(kernel, 2, is_separable)}",
        "uint8 pictures",
        "filter_image",
        (*UHD, 3),
        (kernel, kernel),
        dtype="uint8",
        make_weight=gaussian if is_separable else mean_free,
    )


def signal(samples: int, taps: int) -> Case:
    """A FIR filter over one long signal."""
    name = f"FIR {taps} taps on {samples:,} samples"
    return Case(name, "signals", "convolve", (samples,), (taps,))


def by_order(operation: str, picture: Shape, size: int, dtype: str) -> Case:
    """Morphology and medians of one channel."""
    name = f"{operation} {size}x{size} of {_sizes(picture)} {dtype}"
    options = {"size": (size, size)}
    return Case(name, "order filters", operation, picture, (), options, dtype)


def _sizes(sizes: Shape) -> str:
    return "x".join(map(str, sizes))


def _kernel(kernel: int, rank: int, is_separable: bool) -> str:
    return _sizes((kernel,) * rank) + (" Gaussian" if is_separable else "")


SQUARE = 2048, 2048

CASES = [
    *(picture(SQUARE, kernel) for kernel in (3, 5, 7, 9, 11, 15)),
    picture(SQUARE, 7, is_separable=True),
    picture(UHD, 3),
    picture(UHD, 7),
    picture(UHD, 15),
    *(picture(SQUARE, kernel) for kernel in (21, 31, 63)),
    picture(SQUARE, 31, is_separable=True),
    colours(3),
    colours(5, is_separable=True),
    colours(9),
    volume(96, 5, is_separable=False, is_heavy=False),
    volume(96, 9, is_separable=True, is_heavy=False),
    volume(256, 9, is_separable=False, is_heavy=True),
    volume(256, 9, is_separable=True, is_heavy=True),
    signal(1_000_000, 63),
    signal(10_000_000, 101),
    signal(10_000_000, 4097),
    with_holes(SQUARE, (3, 3)),
    with_holes(SQUARE, (9, 9)),
    with_holes(SQUARE, (15, 15)),
    with_holes((96, 96, 96), (5, 5, 5)),
    with_holes((10_000_000,), (101,)),
    by_order("dilate", SQUARE, 3, "uint8"),
    by_order("dilate", SQUARE, 15, "float32"),
    by_order("median", (1024, 1024), 3, "uint8"),
    by_order("median", (1024, 1024), 5, "uint8"),
    Case("match_template 32x32 in 480x640", "template", "match_template", (480, 640), (32, 32)),
]
