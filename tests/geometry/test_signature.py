"""Signatures: parsing, binding, and the words of their errors."""

import pytest

from faltung import ShapeError
from faltung.geometry.signature import parse

CONV = parse("n (g c) i..., (g o) c k..., (g o) -> n (g o) j...")


def bind(groups, x, weight, bias=None):
    return CONV.bind({"x": x, "weight": weight, "bias": bias}, {"g": groups})


def test_sizes_are_named():
    assert bind(2, (5, 4, 9), (6, 2, 3), (6,)) == {"n": 5, "g": 2, "c": 2, "o": 3}
    assert bind(1, (0, 0, 9), (0, 0, 3)) == {"n": 0, "g": 1, "c": 0, "o": 0}


def test_it_reads_back():
    assert [str(operand) for operand in CONV.inputs] == [
        "n (g c) i...",
        "(g o) c k...",
        "(g o)",
    ]
    assert [str(operand) for operand in CONV.outputs] == ["n (g o) j..."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (2, (1, 6, 8, 8), (6, 2, 3, 3)),
            r"x has 6 channels, weight expects 4 \(2 per group × groups=2\)\. Use groups=3 or a",
        ),
        ((4, (1, 8, 8), (6, 2, 3)), r"groups=4 does not divide the 6 output channels of weight"),
        ((1, (1, 2, 8), (6, 2, 3), (5,)), r"bias has 5 output channels, weight expects 6"),
        ((1, (1, 5, 8), (6, 2, 3)), r"x has 5 channels, weight expects 2 \(2 per group"),
    ],
)
def test_what_does_not_fit_is_named_with_its_numbers(arguments, message):
    with pytest.raises(ShapeError, match=message):
        bind(*arguments)
