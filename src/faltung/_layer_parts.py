"""The parts of an `InvolutionLayer`: checks in the words of its arguments, the sum of reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

from faltung._held import shown_operands, shown_value
from faltung.classes import Conv
from faltung.errors import FaltungError, ShapeError, WindowError, out_of_memory, shown
from faltung.geometry.arguments import as_int, unpacked
from faltung.geometry.layout import Layout, layout_of
from faltung.geometry.window import axis_windows
from faltung.operators._arrays import as_array
from faltung.operators._checks import as_generator
from faltung.report import Report
from faltung.typing import Array, ArrayLike, DTypeLike, Padding, Shape

__all__ = [
    "HELD",
    "chained_pullback",
    "check_weights",
    "checked_layout",
    "checked_padding",
    "count_groups",
    "drawn_weights",
    "joined_report",
    "renaming",
    "shown_layer",
    "sized_conv",
]

Pullback: TypeAlias = Callable[[ArrayLike], dict[str, Array]]
SIZE_KEEPING = ("same", "half", "same_lower", "causal")
"""Paddings with which n cells give ``ceil(n / stride)`` outputs."""
GROUP_CHANNELS = 16
"""Channels of a group in the paper."""
HELD = {
    "reduce": (0, "weight"),
    "span": (1, "weight"),
    "reduce_bias": (0, "bias"),
    "span_bias": (1, "bias"),
    "activation": (0, "activation"),
}
"""What the convolutions of the generator hold, by the names of the layer's arguments."""


@contextmanager
def renaming(name: str = "InvolutionLayer") -> Iterator[None]:
    """Errors of the parts become the layer's: the names of parts would only mislead."""
    try:
        yield
    except FaltungError as error:
        raise type(error)(error.fact, error.advice, name) from error.__cause__
    except MemoryError as error:
        raise out_of_memory(error).at(name) from error


def sized_conv(name: str, weight: Any, bias: Any, data_format: str, activation: Any) -> Conv:
    """A convolution that keeps the size; its errors speak of `name`."""
    is_shape = isinstance(weight, tuple) and all(isinstance(size, int) for size in weight)
    shape = weight if is_shape else as_array(weight, name).shape
    if len(shape) < 3:
        raise ShapeError(
            f"{name} has shape {shape}, expected (filters, channels, *size) with at least 3 axes",
            f"For two spatial axes pass {name}[:, :, None, None]" if len(shape) == 2 else "",
        )
    try:
        return Conv(weight, bias, padding="same", data_format=data_format, activation=activation)
    except FaltungError as error:
        fact, advice = (
            re.sub(r"\bbias\b", f"{name}_bias", re.sub(r"\bweight\b", name, text))
            for text in (error.fact, error.advice)
        )
        raise type(error)(fact, advice) from error.__cause__


def check_weights(reduce: Shape, span: Shape, kernel: Shape, groups: int) -> None:
    """The weights follow each other, and span a kernel for each group."""
    if len(reduce) != len(span):
        raise ShapeError(
            f"reduce has {len(reduce) - 2} spatial axes, span {len(span) - 2}: {reduce} and {span}",
            "Pass weights with as many axes as each other",
        )
    if span[1] != reduce[0]:
        raise ShapeError(
            f"span expects {span[1]} channels, reduce gives {reduce[0]}",
            f"Use a span of shape {(span[0], reduce[0], *span[2:])}",
        )
    if reduce[1] % groups:
        raise ShapeError(
            f"groups={groups} does not divide the {reduce[1]} channels of reduce",
            f"Use a number of groups that divides {reduce[1]}",
        )
    taps = " * ".join(map(str, kernel))
    if span[0] != prod(kernel) * groups:
        raise ShapeError(
            f"span gives {span[0]} numbers for each place, expected kernel_size times groups, "
            f"{taps} * {groups} = {prod(kernel) * groups}",
            f"Use a span of shape {(prod(kernel) * groups, *span[1:])}",
        )


def checked_layout(shape: Shape, rank: int, channels: int, data_format: str) -> Layout:
    """The layout of data of this shape, with so many channels and at least a cell an axis."""
    layout = layout_of(shape, rank, data_format)
    given, *cells = layout.canonical_shape(shape)[1:]
    if given != channels:
        raise ShapeError(
            f"x has {given} channels, reduce expects {channels}: x {shape}",
            f"Pass data with {channels} channels",
        )
    if 0 in cells:
        raise WindowError(
            f"x has spatial axes {tuple(cells)}, and an axis of 0 cells has no output",
            "Pass data with at least one cell an axis",
        )
    return layout


def checked_padding(
    kernel: Shape, stride: Shape, dilation: Any, padding: Padding | None
) -> str | tuple[tuple[int, int], ...]:
    """The padding with which n cells give ``ceil(n / stride)`` outputs: a name, or pairs."""
    windows = axis_windows(len(kernel), kernel, stride, dilation, 0 if padding is None else padding)
    reaches = [window.span - 1 for window in windows]
    if padding is None:
        return tuple((reach // 2, reach - reach // 2) for reach in reaches)
    if isinstance(padding, str) and padding in SIZE_KEEPING:
        return padding
    pairs = tuple(window.resolve(1) for window in windows)
    for ends, reach in zip(pairs, reaches, strict=True):
        if sum(ends) != reach:
            raise WindowError(
                f"padding {shown(unpacked(padding))} adds {sum(ends)} cells to an axis, expected "
                f"dilation * (k - 1) = {reach}: a kernel is generated for each stride-th cell",
                f"Leave padding out, or use {' or '.join(map(repr, SIZE_KEEPING))}",
            )
    return pairs


def count_groups(channels: int, groups: Any, group_channels: Any) -> int:
    """The groups that were asked for, or the paper's."""
    if groups is not None and group_channels is not None:
        raise ShapeError(
            f"groups={shown(groups)} and group_channels={shown(group_channels)} say the same twice",
            "Give one of them",
        )
    if groups is not None:
        count = as_int(groups, "groups")
        if channels % count:
            raise ShapeError(
                f"groups={count} does not divide the {channels} channels",
                f"Use a number of groups that divides {channels}",
            )
        return count
    if group_channels is None:
        return channels // GROUP_CHANNELS if channels % GROUP_CHANNELS == 0 else 1
    size = as_int(group_channels, "group_channels")
    if channels % size:
        raise ShapeError(
            f"group_channels={size} does not divide the {channels} channels",
            f"Use a size that divides {channels}",
        )
    return channels // size


def joined_report(made: Report, own: Report, kernel_bytes: int) -> Report:
    """The report of a layer, from those of its generator and of its involution.

    An output sees what its window and its kernel's generator see.
    """
    starts = tuple(map(min, made.receptive_start, own.receptive_start))
    ends = tuple(
        max(first + cells, other + others)
        for first, cells, other, others in zip(
            made.receptive_start,
            made.receptive_field,
            own.receptive_start,
            own.receptive_field,
            strict=True,
        )
    )
    flops = made.flops + own.flops
    read, written = made.bytes_read + own.bytes_read, made.bytes_written + own.bytes_written
    return replace(
        own,
        operator="InvolutionLayer",
        parameters=made.parameters,
        macs=made.macs + own.macs,
        macs_without_padding=made.macs_without_padding + own.macs_without_padding,
        flops=flops,
        bias_adds=made.bias_adds,
        bytes_read=read,
        bytes_written=written,
        workspace_bytes=kernel_bytes + max(made.workspace_bytes, own.workspace_bytes),
        intensity=flops / max(read + written, 1),
        matrix_shape=None,
        matrix_nonzeros=None,
        receptive_field=tuple(end - start for start, end in zip(starts, ends, strict=True)),
        receptive_start=starts,
        algorithm=f"{made.algorithm}, {own.algorithm}",
        rejected={},
        predicted_seconds=made.predicted_seconds + own.predicted_seconds,
    )


def chained_pullback(
    around: Pullback, through: Pullback, restored: Callable[[Array], Array]
) -> Pullback:
    """The pullback of a layer, from those of its involution and of its generator.

    The input is seen twice, by the window and by the generator: its gradients add. `restored`
    brings what belongs to the kernels into the shape that the generator gives.
    """

    def back(g: ArrayLike) -> dict[str, Array]:
        with renaming("pullback of InvolutionLayer"):
            direct = around(g)
            further = through(restored(direct["weight"]))
            gradients = {"input": direct["input"] + further.pop("input")}
            places = sorted({name.partition(".")[0] for name in further}, key=int)
            for name, gradient in further.items():
                place, _, held = name.partition(".")
                argument = ("reduce", "span")[places.index(place)]
                gradients[argument if held == "weight" else f"{argument}_bias"] = gradient
            return gradients

    return back


def drawn_weights(
    widths: tuple[int, int, int], rank: int, *, bias: bool, rng: object, dtype: DTypeLike
) -> dict[str, Any]:
    """Random pointwise weights between so many channels, and biases."""
    channels, reduced, spanned = widths
    drawn: dict[str, Any] = {"bias": bias, "rng": as_generator(rng), "dtype": dtype}
    first = Conv.init(reduced, channels, (1,) * rank, **drawn)
    second = Conv.init(spanned, reduced, (1,) * rank, **drawn)
    biases = {"reduce_bias": first.bias, "span_bias": second.bias}
    return {"reduce": first.weight, "span": second.weight, **biases}


def shown_layer(arguments: Mapping[str, Any]) -> str:
    """A layer with what is not as usual, in a form that evaluates back where arrays are small."""
    kernel, stride = arguments["kernel_size"], arguments["stride"]
    usual = {
        "stride": (1,) * len(stride),
        "padding": checked_padding(kernel, stride, arguments["dilation"], None),
        "dilation": (1,) * len(stride),
        "padding_mode": "zeros",
        "padding_value": 0,
        "data_format": "channels_first",
    }
    held = {name: arguments[name] for name in HELD if name != "activation"}
    held = {name: value for name, value in held.items() if value is not None}
    renamed = {"weight" if name == "reduce" else name: value for name, value in held.items()}
    texts = dict(zip(held, shown_operands(renamed).values(), strict=True))
    shown_parts = [texts.pop("reduce"), texts.pop("span")]
    shown_parts += [f"{name}={text}" for name, text in texts.items()]
    for name, value in arguments.items():
        if name not in held and value is not None and (name not in usual or value != usual[name]):
            shown_parts.append(f"{name}={shown_value(value)}")
    return f"InvolutionLayer({', '.join(shown_parts)})"
