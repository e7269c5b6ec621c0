"""Operator signatures: one line that says which sizes of the arrays belong together.

``"n (g c) i..., (g o) c k..., (g o) -> n (g o) j..."`` reads: the first array has a batch axis, an
axis of ``g * c`` channels and spatial axes; the second ``g * o`` filters of ``c`` channels; the
third, one number a filter. Names are sizes, parentheses products, dots the spatial axes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from faltung.errors import ShapeError
from faltung.typing import Shape

__all__ = ["Operand", "Signature", "parse"]

WORDS = {
    "n": "samples",
    "g c": "channels",
    "a": "channels",
    "c": "channels per group",
    "g o": "output channels",
    "g": "groups",
}

Factors = tuple[str, ...]


@dataclass(frozen=True)
class Operand:
    """The axes of one array: each a product of named sizes, then perhaps the spatial axes."""

    axes: tuple[Factors, ...]
    spatial: str | None

    def __str__(self) -> str:
        axes = [name[0] if len(name) == 1 else f"({' '.join(name)})" for name in self.axes]
        return " ".join([*axes, f"{self.spatial}..."] if self.spatial else axes)


@dataclass(frozen=True)
class Signature:
    """The parsed text: inputs and outputs."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]

    def bind(self, shapes: Mapping[str, Shape | None], known: Mapping[str, int]) -> dict[str, int]:
        """The named sizes that the shapes agree on.

        Parameters
        ----------
        shapes : mapping of str to tuple or None
            Shapes by argument name in the order of the signature, None for an array that was not
            given.
        known : mapping of str to int
            Sizes that parameters fix, such as groups.

        Raises
        ------
        ShapeError
            Naming the array whose size does not fit, with both numbers.
        """
        sizes = dict(known)
        sources: dict[str, str] = {}
        named = list(zip(shapes.items(), self.inputs, strict=True))
        # What has no batch axis states the sizes, the data has to fit them.
        named.sort(key=lambda item: ("n",) in item[1].axes)
        for (name, shape), operand in named:
            for factors, size in zip(operand.axes, shape or (), strict=False):
                _bind_axis(name, factors, size, sizes, sources)
        return sizes


def _bind_axis(
    name: str, factors: Factors, size: int, sizes: dict[str, int], sources: dict[str, str]
) -> None:
    unknown = [factor for factor in factors if factor not in sizes]
    expected = prod(sizes[factor] for factor in factors if factor in sizes)
    if len(unknown) == 1 and expected and size % expected == 0:
        sizes[unknown[0]] = size // expected
        sources[unknown[0]] = name
    elif unknown:
        raise ShapeError(
            f"groups={sizes['g']} does not divide the {size} {_word(factors)} of {name}",
            f"Use a number of groups that divides {size}",
        )
    elif size != expected:
        raise ShapeError(
            f"{name} has {size} {_word(factors)}, "
            f"{sources[factors[-1]]} expects {_arithmetic(factors, sizes)}",
            _advice(factors, size, sizes),
        )


def _word(factors: Factors) -> str:
    return WORDS.get(" ".join(factors), "entries")


def _arithmetic(factors: Factors, sizes: Mapping[str, int]) -> str:
    total = prod(sizes[factor] for factor in factors)
    if factors == ("g", "c"):
        return f"{total} ({sizes['c']} per group × groups={sizes['g']})"
    return str(total)


def _advice(factors: Factors, size: int, sizes: Mapping[str, int]) -> str:
    if factors != ("g", "c"):
        return ""
    per_group = sizes["c"]
    ways = []
    if per_group and size % per_group == 0 and size:
        ways.append(f"groups={size // per_group}")
    if size % sizes["g"] == 0:
        ways.append(f"a weight with {size // sizes['g']} channels per group")
    return f"Use {' or '.join(ways)}" if ways else ""


@lru_cache(maxsize=64)
def parse(text: str) -> Signature:
    """Parse a signature."""
    left, right = text.split("->")
    return Signature(_operands(left), _operands(right))


def _operands(text: str) -> tuple[Operand, ...]:
    return tuple(_operand(part.split()) for part in re.split(r",(?![^(]*\))", text))


def _operand(tokens: Sequence[str]) -> Operand:
    axes: list[Factors] = []
    spatial = None
    group: list[str] | None = None
    for token in tokens:
        name = token.strip("().")
        if token.endswith("..."):
            spatial = name
            continue
        if token.startswith("("):
            group = []
        if group is None:
            axes.append((name,))
            continue
        group.append(name)
        if token.endswith(")"):
            axes.append(tuple(group))
            group = None
    return Operand(tuple(axes), spatial)
