"""Layers of real networks, float32 and one picture at a time unless the name says otherwise."""

from __future__ import annotations

from typing import Any

from faltung.bench.cases import Case

__all__ = ["CASES"]


def conv(
    family: str,
    name: str,
    channels: int,
    filters: int,
    kernel: int | tuple[int, ...],
    size: int | tuple[int, ...],
    *,
    batch: int = 1,
    rank: int = 2,
    dtype: str = "float32",
    **options: Any,
) -> Case:
    """One convolution: its name is followed by what it does."""
    kernels = (kernel,) * rank if isinstance(kernel, int) else kernel
    sizes = (size,) * rank if isinstance(size, int) else size
    shape = batch, channels, *sizes
    weight = filters, channels // options.get("groups", 1), *kernels
    title = f"{name} {channels}->{filters} {_sizes(kernels)}{_stride(options)} on {_sizes(sizes)}"
    return Case(title, family, "conv", shape, weight, options, dtype)


def _sizes(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


def _stride(options: dict[str, Any]) -> str:
    stride = options.get("stride", 1)
    return "" if stride == 1 else f"/{stride if isinstance(stride, int) else _sizes(stride)}"


DENSE = [
    conv("dense", "resnet50 conv2", 64, 64, 3, 56, padding=1),
    conv("dense", "resnet50 conv2 batch 8", 64, 64, 3, 56, padding=1, batch=8),
    conv("dense", "resnet50 conv3 first", 128, 128, 3, 56, padding=1, stride=2),
    conv("dense", "resnet50 conv3", 128, 128, 3, 28, padding=1),
    conv("dense", "resnet50 conv4", 256, 256, 3, 14, padding=1),
    conv("dense", "vgg16 conv1_2", 64, 64, 3, 224, padding=1),
    conv("dense", "vgg16 conv3_2", 256, 256, 3, 56, padding=1),
    conv("dense", "vgg16 conv4_2", 512, 512, 3, 28, padding=1),
    conv("dense", "unet up", 128, 64, 3, 128),
    conv("dense", "unet down", 64, 128, 3, 140),
    conv("dense", "deeplab layer4", 256, 256, 3, 33, padding=2, dilation=2),
    conv("dense", "deeplab aspp rate 12", 320, 256, 3, 33, padding=12, dilation=12),
    conv("dense", "alexnet conv2", 64, 192, 5, 27, padding=2),
    conv("dense", "inception 5x5", 48, 64, 5, 35, padding=2),
    conv("dense", "super-resolution", 64, 32, 5, 112, padding=2),
]
POINTWISE = [
    conv("pointwise", "resnet50 conv2 reduce", 256, 64, 1, 56),
    conv("pointwise", "resnet50 conv2 expand", 64, 256, 1, 56),
    conv("pointwise", "resnet50 conv3 shortcut", 256, 512, 1, 56, stride=2),
    conv("pointwise", "resnet50 conv4 reduce", 1024, 256, 1, 14),
    conv("pointwise", "resnet50 conv4 reduce batch 8", 1024, 256, 1, 14, batch=8),
    conv("pointwise", "mobilenetv2 expand", 24, 144, 1, 56),
    conv("pointwise", "mobilenetv2 project", 144, 24, 1, 56),
    conv("pointwise", "mobilenetv2 deep expand", 96, 576, 1, 14),
    conv("pointwise", "efficientnet expand", 40, 240, 1, 28),
    conv("pointwise", "efficientnet project", 240, 40, 1, 28),
    conv("pointwise", "convnext expand", 96, 384, 1, 56),
    conv("pointwise", "convnext project", 384, 96, 1, 56),
]
STEMS = [
    conv("stem", "resnet50 stem", 3, 64, 7, 224, padding=3, stride=2),
    conv("stem", "vgg16 conv1_1", 3, 64, 3, 224, padding=1),
    conv("stem", "mobilenetv2 stem", 3, 32, 3, 224, padding=1, stride=2),
    conv("stem", "convnext stem", 3, 96, 4, 224, stride=4),
    conv("stem", "vit patches", 3, 768, 16, 224, stride=16),
    conv("stem", "unet stem", 1, 64, 3, 256),
    conv("stem", "super-resolution stem", 1, 64, 5, 224, padding=2),
]
SMALL_MAPS = [
    conv("small maps", "resnet50 conv5", 512, 512, 3, 7, padding=1),
    conv("small maps", "resnet50 conv5 first", 512, 512, 3, 14, padding=1, stride=2),
    conv("small maps", "resnet50 conv5 reduce", 2048, 512, 1, 7),
    conv("small maps", "resnet50 conv5 expand", 512, 2048, 1, 7),
    conv("small maps", "mobilenetv2 last", 320, 1280, 1, 7),
    conv("small maps", "inception 5x5 odd", 24, 63, 5, 14, padding=2),
    conv("small maps", "odd channels", 37, 41, 3, 28, padding=1),
]
DEPTHWISE = [
    conv("depthwise", "mobilenetv2 depthwise", 144, 144, 3, 56, padding=1, groups=144),
    conv("depthwise", "mobilenetv2 depthwise", 144, 144, 3, 56, padding=1, groups=144, stride=2),
    conv("depthwise", "mobilenetv2 depthwise", 576, 576, 3, 14, padding=1, groups=576),
    conv("depthwise", "mobilenetv2 depthwise", 960, 960, 3, 7, padding=1, groups=960),
    conv("depthwise", "efficientnet depthwise", 240, 240, 5, 28, padding=2, groups=240),
    conv("depthwise", "efficientnet depthwise", 672, 672, 5, 14, padding=2, groups=672, stride=2),
    conv("depthwise", "convnext depthwise", 96, 96, 7, 56, padding=3, groups=96),
    conv("depthwise", "convnext depthwise", 384, 384, 7, 14, padding=3, groups=384),
]
GROUPED = [
    conv("grouped", "resnext50 conv2", 128, 128, 3, 56, padding=1, groups=32),
    conv("grouped", "resnext50 conv3", 256, 256, 3, 28, padding=1, groups=32),
    conv("grouped", "resnext50 conv4", 512, 512, 3, 14, padding=1, groups=32),
    conv("grouped", "resnext50 conv4 first", 512, 512, 3, 28, padding=1, groups=32, stride=2),
    conv("grouped", "regnet", 240, 240, 3, 28, padding=1, groups=10),
]
LINES = [
    conv("1-D", "wavenet dilation 1", 64, 128, 2, 16000, rank=1, padding="causal"),
    conv("1-D", "wavenet dilation 512", 64, 128, 2, 16000, rank=1, padding="causal", dilation=512),
    conv("1-D", "wavenet skip", 64, 256, 1, 16000, rank=1),
    conv("1-D", "wav2vec2 stem", 1, 512, 10, 16000, rank=1, stride=5),
    conv("1-D", "wav2vec2 layer", 512, 512, 3, 799, rank=1, stride=2),
    conv("1-D", "tcn", 64, 64, 7, 4096, rank=1, padding="causal", dilation=4),
]
VOLUMES = [
    conv("3-D", "c3d conv1", 3, 64, 3, (16, 112, 112), rank=3, padding=1),
    conv("3-D", "c3d conv3a", 128, 256, 3, (8, 28, 28), rank=3, padding=1),
    conv("3-D", "c3d conv5", 512, 512, 3, (2, 7, 7), rank=3, padding=1),
    conv("3-D", "r(2+1)d in space", 64, 144, (1, 3, 3), (8, 56, 56), rank=3, padding=(0, 1, 1)),
    conv("3-D", "r(2+1)d in time", 144, 64, (3, 1, 1), (8, 56, 56), rank=3, padding=(1, 0, 0)),
    conv("3-D", "unet3d", 32, 64, 3, 32, rank=3, padding=1),
]
DOUBLE = [
    conv("float64", "float64 resnet50 conv2", 64, 64, 3, 56, padding=1, dtype="float64"),
    conv("float64", "float64 resnet50 conv2 reduce", 256, 64, 1, 56, dtype="float64"),
    conv("float64", "float64 unet stem", 1, 64, 3, 256, dtype="float64"),
]
TINY = [
    Case("tiny operator 8x8x8->8 3x3", "tiny", "conv", (1, 8, 8, 8), (8, 8, 3, 3), {"padding": 1}),
    Case("tiny operator 1x6x8->1 1x2", "tiny", "conv", (1, 1, 6, 8), (1, 1, 1, 2)),
    Case(
        "tiny function 8x8x8->8 3x3",
        "tiny",
        "conv",
        (1, 8, 8, 8),
        (8, 8, 3, 3),
        {"padding": 1, "is_function": True},
    ),
    Case(
        "tiny function 1x6x8->1 1x2",
        "tiny",
        "conv",
        (1, 1, 6, 8),
        (1, 1, 1, 2),
        {"is_function": True},
    ),
]

CASES = [
    *DENSE,
    *POINTWISE,
    *STEMS,
    *SMALL_MAPS,
    *DEPTHWISE,
    *GROUPED,
    *LINES,
    *VOLUMES,
    *DOUBLE,
    *TINY,
]
