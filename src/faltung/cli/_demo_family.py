"""The steps of the demo beside convolution: pools, resizing, transposed, involution, median."""

from __future__ import annotations

import numpy as np

from faltung.cli import _shades
from faltung.cli._demo_step import Names, Step, Views
from faltung.typing import Array

__all__ = ["family"]

_PLANES = "planes = np.ascontiguousarray(image.transpose(2, 0, 1))"
_CHECKERBOARD = """\
op = ft.ConvTranspose(np.full((1, 1, 3, 3), 4 / 9, np.float32), stride=2)"""
_CURE = """\
op = ft.Sequential(
    ft.Resize(scale_factor=(2, 2), mode="nearest"),
    ft.Conv(np.full((1, 1, 3, 3), 1 / 9, np.float32), padding="same", padding_mode="edge"),
)"""
_BILATERAL = """\
near = ft.unfold(grey[None], (5, 5), padding=2, padding_mode="reflect")
alike = np.exp(-(((near.reshape(25, *grey.shape) - grey) / 0.1) ** 2))
weight = ft.kernels.gaussian(1.5, truncate=1.4).reshape(25, 1, 1) * alike
weight = (weight / weight.sum(axis=0)).astype(np.float32)[None]   # (1 group, 25 taps, H, W)
planes = np.ascontiguousarray(image.transpose(2, 0, 1)) / np.float32(255)
op = ft.Involution(weight, kernel_size=(5, 5), padding="same", padding_mode="reflect")"""
_PEER_OF_BILATERAL = """\
np.einsum("cijhw,hwij->cij",
          np.lib.stride_tricks.sliding_window_view(
              np.pad(planes, ((0, 0), (2, 2), (2, 2)), mode="reflect"), (5, 5), axis=(1, 2)),
          weight[0].reshape(5, 5, *grey.shape))"""
_NOISE = """\
luck = np.random.default_rng(0).random(grey.shape)
noisy = image.copy()
noisy[luck < 0.05], noisy[luck > 0.95] = 0, 255"""
_PEER_OF_MEDIAN = """\
np.dstack([ndimage.median_filter(noisy[..., c], 5, mode="mirror") for c in range(3)])"""
_PEER_OF_BILINEAR = """\
np.stack([ndimage.zoom(p, 4, order=1, mode="nearest", grid_mode=True) for p in patch])"""
_BLOCK = 8


def family(grey: Array) -> list[Step]:
    """The steps for a picture; the patch that is enlarged depends on its size."""
    patch = f"patch = np.ascontiguousarray(grey[None][:, {_patch(grey, 96)[1:]})"
    return [
        *_pools(),
        *_upsampling(grey),
        _checkerboard(patch),
        _cure(patch),
        _involution(),
        _median(),
    ]


def _colours(planes: Array, times: int = 1) -> Array:
    """Planes (3, H, W) of uint8, or from 0 to 1, as a picture with pixels of `times` by `times`."""
    picture = np.moveaxis(planes, 0, -1)
    shades = picture if picture.dtype == np.uint8 else _shades.unit(picture)
    return shades.repeat(times, 0).repeat(times, 1)


def _pools() -> list[Step]:
    kinds = [
        (
            "max",
            "Max pooling",
            "The largest value of each colour in every square: highlights grow, dark lines go.",
            "ft.MaxPool",
            "max",
            lambda result, _: {"every square its largest value": _colours(result, _BLOCK)},
        ),
        (
            "average",
            "Average pooling",
            "The mean of every square: the picture as seen from far away.",
            "ft.AvgPool",
            "mean",
            lambda result, _: {"every square its mean": _colours(result / 255, _BLOCK)},
        ),
    ]
    return [
        Step(
            name=f"{name}-pool",
            title=title,
            text=text,
            setup=f"{_PLANES}\nop = {made}(({_BLOCK}, {_BLOCK}))",
            call="op(planes)",
            peer=(
                f"(planes[:, :grey.shape[0] // {_BLOCK} * {_BLOCK}, "
                f":grey.shape[1] // {_BLOCK} * {_BLOCK}]\n"
                f" .reshape(3, grey.shape[0] // {_BLOCK}, {_BLOCK}, -1, {_BLOCK})"
                f".{method}(axis=(2, 4)))"
            ),
            peer_name="NumPy",
            operator="op",
            data="planes",
            textbook="op.reference(planes[:, :32, :32])",
            window=f"{_BLOCK}×{_BLOCK}",
            views=views,
        )
        for name, title, text, made, method, views in kinds
    ]


def _patch(grey: Array, largest: int) -> str:
    """The line that cuts out a square, a third from the top in the middle."""
    size = min(largest, min(grey.shape) // 2)
    row, column = (grey.shape[0] - size) // 4, (grey.shape[1] - size) // 2
    return f"[{row}:{row + size}, {column}:{column + size}]"


def _upsampling(grey: Array) -> list[Step]:
    def nearest(result: Array, names: Names) -> Views:
        return {"before": _colours(names["patch"]), "four times as large": _colours(result)}

    def bilinear(result: Array, names: Names) -> Views:
        before = names["patch"]
        return {
            "before": _colours(before),
            "nearest": _colours(before, 4),
            "bilinear": _colours(result),
        }

    setup = (
        f"patch = image{_patch(grey, 96)}.transpose(2, 0, 1) / np.float32(255)\n"
        'op = ft.Resize(scale_factor=(4, 4), mode="{}")'
    )
    kinds = [
        (
            "nearest",
            "Upsampling, nearest",
            "Every pixel four times in each direction: nothing is invented, the edges are steps.",
            "patch.repeat(4, axis=1).repeat(4, axis=2)",
            "NumPy",
            nearest,
        ),
        (
            "bilinear",
            "Upsampling, bilinear",
            "Between four neighbours the weights fall off in a straight line on both axes.",
            _PEER_OF_BILINEAR,
            "SciPy",
            bilinear,
        ),
    ]
    return [
        Step(
            name=name,
            title=title,
            text=text,
            setup=setup.format("nearest" if name == "nearest" else "linear"),
            call="op(patch)",
            peer=peer,
            peer_name=peer_name,
            operator="op",
            data="patch",
            textbook="op.reference(patch[:, :8, :8])",
            window="×4",
            views=views,
        )
        for name, title, text, peer, peer_name, views in kinds
    ]


def _twice(plane: Array) -> Array:
    """A plane from 0 to 1 with pixels of 2 by 2."""
    return _shades.unit(plane).repeat(2, 0).repeat(2, 1)


def _reached(names: Names) -> Array:
    """How many pixels reach each result of the step's operator, in the first corner."""
    counts = names["op"].coverage(names["patch"].shape, of="output")
    return _shades.counts(counts[:24, :24], 4, 16)


def _checkerboard(patch: str) -> Step:
    return Step(
        name="checkerboard",
        title="Transposed convolution: a checkerboard",
        text=(
            "Each pixel is spread over 3 × 3 results, two apart. Three is no multiple of two: "
            "results are made of one, two or four pixels, and that shows as a pattern. "
            "op.coverage(patch.shape, of='output') counts them."
        ),
        setup=f"{patch}\n{_CHECKERBOARD}",
        call="op(patch)",
        peer=(
            "signal.convolve2d(np.kron(patch[0], [[1, 0], [0, 0]])[:-1, :-1],\n"
            "                  op.weight[0, 0])[None]"
        ),
        operator="op",
        data="patch",
        textbook="op.reference(patch[:, :16, :16])",
        window="3×3",
        views=lambda result, names: {
            "transposed convolution": _twice(result[0]),
            "pixels that reach each result: 1, 2 or 4": _reached(names),
        },
    )


def _cure(patch: str) -> Step:
    def views(result: Array, names: Names) -> Views:
        transposed = dict(names)
        exec(_CHECKERBOARD, transposed)  # the demo's own line
        return {
            "the checkerboard": _twice(transposed["op"](names["patch"])[0]),
            "resize, then convolution": _twice(result[0]),
            "pixels that reach each result: 4, but for the rim": _reached(names),
        }

    return Step(
        name="its-cure",
        title="Its cure: resize, then convolve",
        text=(
            "Enlarged first and convolved afterwards, every result sees as many pixels as its "
            "neighbours. Two operators one after another are a Sequential."
        ),
        setup=f"{patch}\n{_CURE}",
        call="op(patch)",
        peer=(
            "ndimage.uniform_filter(np.kron(patch[0], np.ones((2, 2))),\n"
            '                       3, mode="nearest")[None]'
        ),
        operator="op",
        data="patch",
        textbook="op.reference(patch[:, :16, :16])",
        window="3×3",
        views=views,
    )


def _involution() -> Step:
    def views(result: Array, names: Names) -> Views:
        return {
            "noise and skin are smooth, edges stay": _colours(result),
            "weight of the centre: bright where a pixel trusts itself alone": _shades.positive(
                names["weight"][0, 12]
            ),
        }

    return Step(
        name="involution",
        title="Involution: a kernel for every pixel",
        text=(
            "The kernels are generated from the picture: near pixels count by distance and by "
            "likeness (a bilateral filter). All channels share the kernel of their place."
        ),
        setup=_BILATERAL,
        call="op(planes)",
        peer=_PEER_OF_BILATERAL,
        peer_name="NumPy",
        operator="op",
        data="planes",
        textbook=(
            'ft.Involution(weight[..., :8, :8], kernel_size=(5, 5), padding="same")'
            ".reference(planes[:, :8, :8])"
        ),
        window="5×5",
        views=views,
    )


def _median() -> Step:
    return Step(
        name="median",
        title="Median of a noisy picture",
        text=(
            "A tenth of the pixels is black or white by chance. The middle of 25 neighbours does "
            "not mind what the extremes are; a mean would smear them."
        ),
        setup=_NOISE,
        call="ft.median_filter(noisy, 5)",
        peer=_PEER_OF_MEDIAN,
        operator='ft.WindowReduce((5, 5), ("rank", 12), padding="same", padding_mode="reflect")',
        data="noisy.transpose(2, 0, 1)",
        textbook=(
            'ft.WindowReduce((5, 5), ("rank", 12)).reference(noisy.transpose(2, 0, 1)[:, :16, :16])'
        ),
        window="5×5",
        views=lambda result, names: {"noisy": names["noisy"], "its median": result},
    )
