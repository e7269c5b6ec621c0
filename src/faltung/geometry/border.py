"""Border modes: what lies beyond the ends of an axis.

The canonical names are those of `numpy.pad`; the names that other libraries use for the same
extension are accepted everywhere. For the cells ``a b c d``:

==========  ==================  ==========================================
mode        extension           also called
==========  ==================  ==========================================
zeros       0 0 | abcd | 0 0    (cells outside take no part in a sum)
constant    k k | abcd | k k    fill, grid-constant
reflect     c b | abcd | c b    mirror, reflect_101
symmetric   b a | abcd | d c    symm, grid-mirror
edge        a a | abcd | d d    nearest, replicate
wrap        c d | abcd | a b    circular, grid-wrap
blank       (none)              a window that leaves the input yields 0
==========  ==================  ==========================================
"""

from __future__ import annotations

import numpy as np

from faltung.errors import OptionError, WindowError, shown
from faltung.typing import IndexArray

__all__ = ["MODES", "canonical_mode", "source_index"]

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
ALIASES = {
    "fill": "constant",
    "grid-constant": "constant",
    "mirror": "reflect",
    "reflect_101": "reflect",
    "symm": "symmetric",
    "grid-mirror": "symmetric",
    "nearest": "edge",
    "replicate": "edge",
    "circular": "wrap",
    "grid-wrap": "wrap",
}


def canonical_mode(
    name: object, argument: str = "padding_mode", allowed: tuple[str, ...] = MODES
) -> str:
    """The canonical name of a border mode; `argument` names the parameter in the error."""
    if isinstance(name, str):
        mode = ALIASES.get(name, name)
        if mode in allowed:
            return mode
    aliases = ", ".join(f"{alias} = {mode}" for alias, mode in ALIASES.items() if mode in allowed)
    raise OptionError(
        f"{argument} is {shown(name)}, which is not known",
        f"Use one of {', '.join(allowed)} (also {aliases})",
    )


def source_index(mode: str, positions: IndexArray, size: int) -> IndexArray:
    """The input cell that each position of an extended axis shows, -1 for none.

    Parameters
    ----------
    mode : str
        A canonical mode.
    positions : int64 array
        Positions on the axis; 0 to ``size - 1`` lie inside, all others outside.
    size : int
        Number of cells of the axis. Borders longer than the axis repeat their pattern, as in
        NumPy; an axis of one cell repeats that cell.
    """
    if mode in ("zeros", "constant", "blank"):
        inside = (positions >= 0) & (positions < size)
        return np.where(inside, positions, -1)
    if size == 0:
        raise WindowError(
            f"padding_mode {mode!r} has nothing to repeat on an axis of size 0",
            "Use padding_mode 'zeros' or 'constant'",
        )
    # Of long axes most positions lie inside, and divisions take their time.
    is_outside = (positions < 0) | (positions >= size)
    cells = positions.copy()
    cells[is_outside] = _folded(mode, positions[is_outside], size)
    return cells


def _folded(mode: str, positions: IndexArray, size: int) -> IndexArray:
    """The cells that positions outside show."""
    if mode == "edge" or size == 1:
        return np.clip(positions, 0, size - 1)
    if mode == "wrap":
        return positions % size
    if mode == "reflect":
        folded = positions % (2 * size - 2)
        return np.minimum(folded, 2 * size - 2 - folded)
    folded = positions % (2 * size)  # symmetric
    return np.minimum(folded, 2 * size - 1 - folded)
