"""The steps of the demo that sum products: edges, blur, a bank of filters, a patch detector."""

from __future__ import annotations

import numpy as np

from faltung.cli import _shades
from faltung.cli._demo_step import Names, Step, Views
from faltung.typing import Array

__all__ = ["FILTER_NAMES", "convolutions", "match"]

COLOURS = ("brightness", "red − green", "blue − yellow")
SHAPES = ("soft", "across", "down")
FILTER_NAMES = tuple(f"{colour}, {shape}" for colour in COLOURS for shape in SHAPES)

_PEER_ON_RGB = """\
np.clip(np.rint(np.dstack([
    ndimage.correlate(image[..., c], kernel, output=float, mode="mirror") for c in range(3)
])), 0, 255).astype(np.uint8)"""

_BANK = """\
colours = np.array([[0.299, 0.587, 0.114],   # brightness
                    [1.0, -1.0, 0.0],        # red − green
                    [-0.5, -0.5, 1.0]])      # blue − yellow
shapes = np.stack([ft.kernels.gaussian(1),                                         # soft
                   ft.kernels.gabor(6, 0, sigma=2, phase=90, truncate=2) / 10,     # across
                   ft.kernels.gabor(6, 90, sigma=2, phase=90, truncate=2) / 10])   # down
bank = np.einsum("ci,shw->csihw", colours, shapes).reshape(9, 3, 9, 9).astype(np.float32)
planes = np.ascontiguousarray(image.transpose(2, 0, 1)) / np.float32(255)"""

_PEER_OF_BANK = """\
np.stack([
    sum(ndimage.correlate(p, k, mode="mirror") for p, k in zip(planes, weight)) for weight in bank
])"""


def convolutions(grey: Array) -> list[Step]:
    """The steps for a picture; the patch to search for depends on it."""
    return [*_edges(), *_looks(), _bank(), _search(grey)]


def _edges() -> list[Step]:
    directions = [("x", 1, "left to right", "vertical"), ("y", 0, "top to bottom", "horizontal")]
    found = [
        Step(
            name=f"sobel-{letter}",
            title=f"Edges, {way}",
            text=(
                f"Sobel's filter subtracts neighbours along axis {axis}, so {lines} edges answer, "
                "each with the sign of its step."
            ),
            setup=f"kernel = ft.kernels.sobel({axis})",
            call="ft.filter_image(grey, kernel)",
            peer='ndimage.correlate(grey, kernel, mode="mirror")',
            opencv="cv2.filter2D(grey, -1, kernel)",
            weight="kernel[None, None]",
            views=lambda result, _: {"orange: brighter, blue: darker": _shades.signed(result)},
        )
        for letter, axis, way, lines in directions
    ]
    both = Step(
        name="sobel-both",
        title="Edges in every direction",
        text="The two directions together, as the length of the gradient.",
        setup="across, down = ft.kernels.sobel(1), ft.kernels.sobel(0)",
        call="np.hypot(ft.filter_image(grey, across),\n         ft.filter_image(grey, down))",
        peer=(
            'np.hypot(ndimage.correlate(grey, across, mode="mirror"),\n'
            '         ndimage.correlate(grey, down, mode="mirror"))'
        ),
        opencv="np.hypot(cv2.filter2D(grey, -1, across), cv2.filter2D(grey, -1, down))",
        weight="np.stack([across, down])[:, None]",
        views=lambda result, _: {"the steeper, the brighter": _shades.positive(result)},
    )
    return [*found, both]


def _looks() -> list[Step]:
    return [
        Step(
            name="blur",
            title="Gaussian blur",
            text="Each colour becomes the bell-weighted mean of its neighbours, uint8 again.",
            setup="kernel = ft.kernels.gaussian(2)",
            call="ft.filter_image(image, kernel)",
            peer=_PEER_ON_RGB,
            opencv="cv2.GaussianBlur(image, kernel.shape, 2)",
            weight="kernel[None, None]",
            views=lambda result, _: {"blurred": result},
        ),
        Step(
            name="sharpen",
            title="Sharpen",
            text="The picture minus its Laplacian; what leaves 0 … 255 is saturated, not wrapped.",
            setup="kernel = ft.kernels.sharpen()",
            call="ft.filter_image(image, kernel)",
            peer=_PEER_ON_RGB,
            opencv="cv2.filter2D(image, -1, kernel)",
            weight="kernel[None, None]",
            views=lambda result, _: {"sharpened": result},
        ),
        Step(
            name="emboss",
            title="Emboss",
            text="The difference along the diagonal added to the picture: a relief under a lamp.",
            setup="kernel = ft.kernels.emboss()",
            call="ft.filter_image(grey, kernel)",
            peer='ndimage.correlate(grey, kernel, mode="mirror")',
            opencv="cv2.filter2D(grey, -1, kernel)",
            weight="kernel[None, None]",
            views=lambda result, _: {"embossed": _shades.unit(result)},
        ),
    ]


def _bank() -> Step:
    def views(result: Array, names: Names) -> Views:
        channels = zip(("red", "green", "blue"), names["planes"], strict=True)
        responses = zip(FILTER_NAMES, result, strict=True)
        return {
            **{f"channel in: {name}": _shades.unit(plane) for name, plane in channels},
            **{
                name: _shades.unit(plane) if name == FILTER_NAMES[0] else _shades.signed(plane)
                for name, plane in responses
            },
        }

    return Step(
        name="filter-bank",
        title="A bank of nine filters over RGB",
        text=(
            "One conv2d, as in the first layer of a neural network: three channels in, nine out. "
            "Three ways to mix the colours (brightness, red against green, blue against yellow) "
            "times three shapes (soft, and stripes in two directions)."
        ),
        setup=_BANK,
        call='ft.conv2d(planes, bank, padding="same", padding_mode="reflect")',
        peer=_PEER_OF_BANK,
        weight="bank",
        views=views,
    )


def _search(grey: Array) -> Step:
    row, column, size = _detail(grey)

    def views(result: Array, names: Names) -> Views:
        found_row, found_column = np.unravel_index(int(result.argmax()), result.shape)
        place = (int(found_row), int(found_column), size, size)
        return {
            "the patch": _shades.unit(names["patch"]),
            f"found at row {place[0]}, column {place[1]}": _shades.framed(
                _shades.unit(names["scene"]), *place
            ),
            "likeness of every place, −1 to 1": _shades.signed(result, 1.0),
        }

    return Step(
        name="patch-search",
        title="A sliding patch detector",
        text=(
            "A patch is cut out and searched for in a darker, noisy copy of the picture. "
            "Normalised cross-correlation minds shape alone, neither light nor contrast."
        ),
        setup=(
            f"row, column, size = {row}, {column}, {size}\n"
            "patch = grey[row:row + size, column:column + size]\n"
            "noise = np.random.default_rng(0).normal(0, 0.08, grey.shape)\n"
            "scene = (0.1 + 0.6 * grey + noise).astype(np.float32)"
        ),
        call="ft.match_template(scene, patch)",
        peer="match(scene, patch)",
        opencv="cv2.matchTemplate(scene, patch, cv2.TM_CCOEFF_NORMED)",
        weight="(patch - patch.mean())[None, None]",
        views=views,
    )


def _detail(grey: Array) -> tuple[int, int, int]:
    """Row, column and size of a square, a tenth of the picture wide, that is easy to find again.

    It has much change both down and across: along a straight edge places look alike.
    """
    size = max(8, min(grey.shape) // 10)
    changes: list[Array] = list(np.gradient(grey.astype(np.float64)))
    down, across = (_box_sums(change**2, size) for change in changes)
    row, column = np.unravel_index(int(np.minimum(down, across).argmax()), down.shape)
    return int(row), int(column), size


def _box_sums(values: Array, size: int) -> Array:
    """The sum of every square of `size` by `size` cells, from a table of running sums."""
    table = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    rows = table[size:] - table[:-size]
    sums: Array = rows[:, size:] - rows[:, :-size]
    return sums


def match(scene: Array, patch: Array) -> Array:
    """Normalised cross-correlation with SciPy's correlate, at the places where the patch fits."""
    from scipy import signal

    scene = scene.astype(np.float64)
    shape = patch - patch.mean(dtype=np.float64)
    ones = np.ones(patch.shape)
    products = signal.correlate(scene, shape, mode="valid")
    mean = signal.correlate(scene, ones, mode="valid") / patch.size
    square = signal.correlate(scene**2, ones, mode="valid") / patch.size
    spread = np.sqrt(np.maximum(square - mean**2, 0) * patch.size * np.sum(shape**2))
    likeness: Array = np.divide(products, spread, out=np.zeros_like(products), where=spread > 1e-9)
    return likeness
