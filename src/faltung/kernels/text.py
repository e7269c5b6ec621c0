"""Filters from a line of text."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from functools import partial
from reprlib import repr as short_repr

import numpy as np

from faltung.errors import OptionError, WindowError
from faltung.kernels.directed import gabor, motion_blur
from faltung.kernels.edges import emboss, laplacian, prewitt, scharr, sharpen, sobel
from faltung.kernels.smoothing import box, gaussian, identity
from faltung.typing import Array

__all__ = ["names", "parse"]

_MAKERS: dict[str, Callable[..., Array]] = {
    "box": box,
    "emboss": emboss,
    "gabor": gabor,
    "gaussian": gaussian,
    "identity": identity,
    "laplacian": laplacian,
    "motion_blur": motion_blur,
    "prewitt_x": partial(prewitt, 1),
    "prewitt_y": partial(prewitt, 0),
    "scharr_x": partial(scharr, 1),
    "scharr_y": partial(scharr, 0),
    "sharpen": sharpen,
    "sobel_x": partial(sobel, 1),
    "sobel_y": partial(sobel, 0),
}
_SYNTAX = "Write a name such as 'gaussian:1.5', or sizes and values as in '1x2: -1 1'"
_EXPLICIT = re.compile(r"\s*(?P<sizes>\d{1,9}(?:\s*x\s*\d{1,9})*)\s*:(?P<values>.*)", re.DOTALL)
_CALL = re.compile(
    r"\s*(?P<name>[A-Za-z][\w-]*)\s*"
    r"(?:\((?P<in_brackets>[^()]*)\)|:(?P<after_colon>[^():]*))?\s*"
)


def names() -> tuple[str, ...]:
    """The names that `parse` knows.

    Returns
    -------
    tuple of str
        Sorted.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.names()[:3]
    ('box', 'emboss', 'gabor')
    """
    return tuple(sorted(_MAKERS))


def parse(text: str) -> Array:
    """The filter that a line of text describes, for command lines and forms.

    Parameters
    ----------
    text : str
        A name, with arguments where it takes any: ``"sobel_x"``, ``"gaussian:1.5"``,
        ``"gaussian(1.5, truncate=3)"``, ``"box:3x5"``; or sizes and values in row-major order:
        ``"3x3: 1 0 -1 2 0 -2 1 0 -1"``. The difference filters end in ``_x`` (along the columns,
        axis 1) or ``_y`` (axis 0).

    Returns
    -------
    float64 array

    Raises
    ------
    OptionError
        For an unknown name, arguments that it does not take, or values that are no numbers.
    WindowError
        For values that make no filter, and where sizes and number of values disagree.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.parse("1x3: -1 0 1")
    array([[-1.,  0.,  1.]])
    >>> kernels.parse("gaussian:1.5").shape
    (13, 13)
    """
    if not isinstance(text, str):
        raise OptionError(f"kernel is {short_repr(text)}, expected text", _SYNTAX)
    explicit = _EXPLICIT.fullmatch(text)
    if explicit:
        return _from_values(explicit["sizes"], explicit["values"])
    call = _CALL.fullmatch(text)
    name = call["name"].lower().replace("-", "_") if call else ""
    if call is None or name not in _MAKERS:
        raise OptionError(
            f"kernel is {short_repr(text)}, which is not known",
            f"Use one of {', '.join(names())}, or sizes and values as in '1x2: -1 1'",
        )
    maker = _MAKERS[name]
    return _called(maker, name, call["in_brackets"] or call["after_colon"] or "")


def _from_values(sizes: str, values: str) -> Array:
    shape = tuple(int(size) for size in sizes.split("x"))
    numbers = [_number(word) for word in re.split(r"[\s,;]+", values.strip()) if word]
    if math.prod(shape) != len(numbers) or not numbers:
        raise WindowError(
            f"kernel {sizes} has {math.prod(shape)} cells, but {len(numbers)} values follow",
            "Give as many numbers as the sizes multiply to, row by row",
        )
    return np.array(numbers).reshape(shape)


def _called(maker: Callable[..., Array], name: str, arguments: str) -> Array:
    """`maker` called with the arguments that `arguments` spells."""
    positional: list[object] = []
    keywords: dict[str, object] = {}
    for word in re.split(r"[\s,]+", arguments.strip()):
        key, equals, value = word.rpartition("=")
        if equals:
            keywords[key] = _argument(value)
        elif word:
            positional.append(_argument(word))
    signature = inspect.signature(maker)
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        taken = signature.replace(
            parameters=[
                parameter.replace(annotation=parameter.empty)
                for parameter in signature.parameters.values()
            ],
            return_annotation=signature.empty,
        )
        raise OptionError(f"kernel {name!r}: {error}", f"Its arguments are {name}{taken}") from None
    return maker(*positional, **keywords)


def _argument(word: str) -> object:
    """An int, a float, or several of them joined by ``x``."""
    parts = [_number(part) for part in word.split("x")]
    exact = [
        int(part) if text.lstrip("+-").isdigit() else part
        for part, text in zip(parts, word.split("x"), strict=True)
    ]
    return exact[0] if len(exact) == 1 else tuple(exact)


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"kernel has {short_repr(word)} where a number belongs", _SYNTAX)
    return number
