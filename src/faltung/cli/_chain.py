"""Operators written as text: ``conv 64 7 stride=2 padding=3; max_pool 3 stride=2``.

Operators are separated by semicolons. Each is its function's name, with ``1d`` to ``3d`` where the
number of axes is to be said, then values in the order of the function's parameters, then
``name=value``. A convolution takes the number of filters and the kernel size, or the kernel size
alone for one filter; its weights are a shape without numbers.
"""

from __future__ import annotations

import ast
import re
import shlex
from math import prod
from typing import Any

from faltung.cli._errors import UsageError
from faltung.errors import FaltungError
from faltung.typing import Shape

__all__ = ["parse_chain", "parse_shape"]

WEIGHTED = ("conv", "conv_transpose", "involution", "local_conv")
STRUCTURED = ("erode", "dilate")
HOLDS_DATA = ("max_unpool",)


def parse_shape(text: str) -> Shape:
    """Sizes such as ``3x224x224``."""
    if not re.fullmatch(r"\d+([x×,]\d+)*", text):
        raise UsageError(f"--input is {text!r}, expected sizes such as 3x224x224")
    return tuple(int(size) for size in re.split(r"[x×,]", text))


def parse_chain(text: str, sizes: Shape) -> tuple[Any, Shape]:
    """The operator or `Sequential` that a text describes, and the shape of one sample for it.

    Parameters
    ----------
    text : str
        One or more operators.
    sizes : tuple of int
        Channels and spatial sizes. Spatial sizes alone mean one channel: two numbers do, unless
        the first operator's name ends in ``1d``.

    Raises
    ------
    UsageError
        For a text that has no meaning, with the part that is wrong and what is known.
    """
    from faltung.sequential import Sequential

    parts = [part for part in (piece.strip() for piece in text.split(";")) if part]
    if not parts:
        raise UsageError("the operator is empty, expected such as 'conv 64 3 padding=1'")
    rank = _rank(parts, sizes)
    shape = sizes if len(sizes) == rank + 1 else (1, *sizes)
    if len(shape) != rank + 1:
        raise UsageError(
            f"the input {'x'.join(map(str, sizes))} has {len(sizes)} sizes, "
            f"expected {rank + 1} (channels and {rank} spatial) or {rank}"
        )
    operators = []
    current: Shape = shape
    for part in parts:
        operators.append(_operator(part, rank, current))
        current = operators[-1].output_shape(current)
    return (operators[0] if len(operators) == 1 else Sequential(*operators)), shape


def _rank(parts: list[str], sizes: Shape) -> int:
    said = {int(found[1]) for part in parts if (found := re.match(r"\w*?([123])d\b", part))}
    if len(said) > 1:
        raise UsageError(f"operators for {sorted(said)} spatial axes do not fit together")
    return said.pop() if said else max(len(sizes) - 1, 1 if len(sizes) == 1 else 2)


def _operator(text: str, rank: int, shape: Shape) -> Any:
    from faltung import classes
    from faltung.operators._record import REGISTRY

    try:
        name, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}") from None
    name = re.sub(r"[123]d$", "", name)
    if name not in REGISTRY or name in HOLDS_DATA:
        known = ", ".join(sorted(set(REGISTRY) - set(HOLDS_DATA)))
        raise UsageError(f"{name!r} is no operator; there are {known}")
    values = [_value(word, text) for word in words if "=" not in word]
    named = _named([word for word in words if "=" in word], text)
    kind = getattr(classes, REGISTRY[name].class_name)
    try:
        return kind(*_leading(name, values, named, rank, shape), **_whole(named, rank))
    except TypeError as error:
        if isinstance(error, FaltungError):
            raise
        raise UsageError(f"{text!r}: {str(error).partition('() ')[2] or error}") from None


def _leading(
    name: str, values: list[Any], named: dict[str, Any], rank: int, shape: Shape
) -> list[Any]:
    """The positional arguments of the class: weights as shapes, ints as one an axis."""
    if name in WEIGHTED:
        return [_weight_shape(name, values, named, rank, shape)]
    if name in STRUCTURED:
        import numpy as np

        (kernel,) = _exactly(name, values, ("SIZE",))
        return [np.ones(_axes(kernel, rank), bool)]
    skipped = 1 if name == "lp_pool" else 0  # the norm is not a size
    return [*values[:skipped], *(_axes(value, rank) for value in values[skipped:])]


def _weight_shape(
    name: str, values: list[Any], named: dict[str, Any], rank: int, shape: Shape
) -> Shape:
    from faltung.geometry.window import axis_windows

    channels, groups = shape[0], named.get("groups", 1)
    if name == "involution":
        (kernel,) = _exactly(name, values, ("KERNEL",))
        named["kernel_size"] = kernel = _axes(kernel, rank)
        groups = named.pop("groups", 1)
    elif len(values) == 1:
        filters, (kernel,) = 1, values
    else:
        filters, kernel = _exactly(name, values, ("FILTERS", "KERNEL"))
    kernel = _axes(kernel, rank)
    if name == "conv":
        return (filters, channels // max(groups, 1), *kernel)
    if name == "conv_transpose":
        return (channels, filters // max(groups, 1), *kernel)
    windows = axis_windows(
        rank, kernel, named.get("stride", 1), named.get("dilation", 1), named.get("padding", 0)
    )
    outputs = [axis.output_size(size) for axis, size in zip(windows, shape[1:], strict=True)]
    if name == "involution":
        return (1, groups, prod(kernel), *outputs)
    named["kernel_size"] = kernel
    return (filters, channels // max(groups, 1), prod(kernel), *outputs)


def _exactly(name: str, values: list[Any], words: tuple[str, ...]) -> list[Any]:
    if len(values) != len(words):
        raise UsageError(
            f"{name} takes {' and '.join(words)}, {len(values)} values were given, "
            f"such as {name} {' '.join('64' if word == 'FILTERS' else '3' for word in words)}"
        )
    return values


def _axes(value: Any, rank: int) -> Any:
    """An int for every axis: a plain one would leave the number of axes open."""
    return (value,) * rank if type(value) in (int, float) else value


def _whole(named: dict[str, Any], rank: int) -> dict[str, Any]:
    sizes = ("output_size", "kernel_size", "size", "scale_factor")
    return {key: _axes(value, rank) if key in sizes else value for key, value in named.items()}


def _named(words: list[str], text: str) -> dict[str, Any]:
    pairs = (word.split("=", 1) for word in words)
    return {key: _value(value, text) for key, value in pairs}


def _value(word: str, text: str) -> Any:
    """A number, ``3x5`` for sizes, a Python literal, or a name such as ``same``."""
    if re.fullmatch(r"\d+(x\d+)+", word):
        return tuple(int(size) for size in word.split("x"))
    if re.fullmatch(r"[a-z][\w-]*", word):
        return word
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise UsageError(f"{text!r}: {word!r} is no value, such as 3, 3x5, same or True") from None
