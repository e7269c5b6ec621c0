"""Windows that see nothing: the first place of a sliding window with every tap on padding.

In closed form, because an axis may have more places than could ever be counted.
"""

from __future__ import annotations

from faltung.geometry.arguments import AMPLE
from faltung.geometry.stencil import SlidingAxis

__all__ = ["first_empty_window"]


def first_empty_window(axis: SlidingAxis, *, is_ceil: bool = False) -> int | None:
    """The first output that sees no cell of the input, or None where each sees one.

    A window that starts before the input at ``a = i * stride - before`` looks at ``a mod dilation``
    first, if its last tap reaches that far; with a dilation above the size it may step over the
    whole input. For an axis of ample size, what depends on the true size is left open; with
    `is_ceil` the axis has one place less where the last one would start beyond the input.
    """
    last_start = (axis.outputs - 1) * axis.stride - axis.before
    if axis.before >= axis.span:
        return 0
    if axis.size < axis.dilation and axis.before > 0:
        outside = (axis.size, axis.dilation - 1)
        stepped_over = _first_step_into(axis.stride, -axis.before, axis.dilation, outside)
        starts_before = min(-(-axis.before // axis.stride), axis.outputs)
        if stepped_over is not None and stepped_over < starts_before:
            return stepped_over
    is_always_beyond = axis.after - axis.span >= axis.stride - (not is_ceil)
    if last_start >= axis.size and (axis.size != AMPLE or is_always_beyond):
        return -(-(axis.size + axis.before) // axis.stride)
    return None


def _first_step_into(step: int, start: int, modulus: int, arc: tuple[int, int]) -> int | None:
    """The least i >= 0 with ``arc[0] <= (start + i * step) mod modulus <= arc[1]``."""
    low, high = ((end - start) % modulus for end in arc)
    return 0 if low > high else _first_multiple_in(step % modulus, modulus, low, high)


def _first_multiple_in(step: int, modulus: int, low: int, high: int) -> int | None:
    """The least i >= 0 with ``low <= i * step mod modulus <= high``, by Euclid's steps."""
    if low == 0:
        return 0
    if step == 0:
        return None
    count = -(-low // step)
    if count * step <= high:
        return count
    # No multiple of the step lies between: i * step = turns * modulus + [low, high].
    turns = _first_multiple_in(modulus % step, step, -high % step, -low % step)
    return None if turns is None else -(-(low + turns * modulus) // step)
