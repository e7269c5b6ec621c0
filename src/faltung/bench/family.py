"""The other operators of the family, as networks use them; float32, one sample."""

from __future__ import annotations

from typing import Any

from faltung.bench.cases import Case
from faltung.typing import Shape

__all__ = ["CASES"]


def transposed(
    name: str, channels: int, filters: int, kernel: int, size: int, **options: Any
) -> Case:
    """One transposed convolution."""
    title = f"{name} {channels}->{filters} {kernel}x{kernel}/{options['stride']} on {size}x{size}"
    weight = channels, filters, kernel, kernel
    return Case(title, "transposed", "conv_transpose", (1, channels, size, size), weight, options)


def pool(operation: str, name: str, channels: int, size: int, **options: Any) -> Case:
    """One pooling."""
    title = f"{name} on {channels}x{size}x{size}"
    return Case(title, "pooling", operation, (1, channels, size, size), (), options)


def resized(name: str, channels: int, size: int, target: int, mode: str) -> Case:
    """One change of size."""
    title = f"{name} {mode} {channels}x{size}->{target}"
    options = {"size": (target, target), "mode": mode}
    return Case(title, "resize", "resize", (1, channels, size, size), (), options)


def involution(
    channels: int, groups: int, kernel: int, size: int, stride: int = 1, name: str = "rednet"
) -> Case:
    """One involution with the kernels of every position given."""
    rows = -(-size // stride)
    options = {"kernel_size": (kernel, kernel), "stride": stride, "padding": kernel // 2}
    weight: Shape = 1, groups, kernel * kernel, rows, rows
    title = f"{name} {channels} {kernel}x{kernel}/{stride} G{groups} on {size}x{size}"
    return Case(title, "involution", "involution", (1, channels, size, size), weight, options)


WINDOWS: dict[str, Any] = {"kernel_size": (3, 3), "padding": 1}

CASES = [
    transposed("dcgan", 512, 256, 4, 8, stride=2, padding=1),
    transposed("dcgan", 128, 64, 4, 32, stride=2, padding=1),
    transposed("dcgan", 64, 3, 4, 64, stride=2, padding=1),
    transposed("unet up", 128, 64, 2, 64, stride=2),
    transposed("decoder", 64, 64, 3, 56, stride=2, padding=1),
    pool("max_pool", "resnet50 max 3x3/2", 64, 112, kernel_size=(3, 3), stride=2, padding=1),
    pool("max_pool", "vgg16 max 2x2/2", 64, 224, kernel_size=(2, 2), stride=2),
    pool("max_pool", "spp max 13x13", 256, 20, kernel_size=(13, 13), stride=1, padding=6),
    pool("avg_pool", "inception average 3x3", 192, 35, kernel_size=(3, 3), stride=1, padding=1),
    pool("avg_pool", "densenet average 2x2/2", 256, 56, kernel_size=(2, 2), stride=2),
    pool("adaptive_avg_pool", "resnet50 global average", 2048, 7, output_size=(1, 1)),
    pool("adaptive_avg_pool", "pyramid average 6x6", 512, 60, output_size=(6, 6)),
    resized("fpn", 256, 40, 80, "nearest"),
    resized("unet", 64, 56, 112, "linear"),
    resized("deeplab", 21, 65, 520, "linear"),
    resized("picture half", 3, 1024, 512, "linear"),
    involution(256, 16, 7, 56),
    involution(64, 4, 7, 112, 2),
    Case("unfold 64x56x56 3x3", "unfold", "unfold", (1, 64, 56, 56), (), WINDOWS),
    Case(
        "fold 64x56x56 3x3",
        "unfold",
        "fold",
        (1, 576, 3136),
        (),
        {**WINDOWS, "output_size": (56, 56)},
    ),
]
