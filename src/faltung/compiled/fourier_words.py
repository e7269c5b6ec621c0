"""The words of a call that computes by Fourier transforms, behind those of its three axes."""

from __future__ import annotations

from faltung.compiled import words

__all__ = ["AXIS_D", "AXIS_H", "AXIS_W", "CALL_WORDS"]

AXIS_D, AXIS_H, AXIS_W = (8 * number * words.AXIS_SIZE for number in range(3))
"""Bytes to the words of an axis."""

CALL_WORDS = (
    X, Y, X_SAMPLE, X_CHANNEL, X_PART, Y_SAMPLE, Y_CHANNEL, Y_PART,
    CHANNELS, FILTERS, PAIRS, PAIRS_A_SAMPLE, BOXES_D, BOXES_H, BOXES_W, OUT_D, OUT_H, OUT_W,
    SIZE_D, SIZE_H, SIZE_W, USED_D, USED_H, USED_STRIPS, IS_LINE, IS_COMPLEX,
    STRIP, SLICE, PLANE, LINE, PLANES_AT, LINES_AT, WORKSPACE, WORKSPACE_STEP,
    SPECTRUM, FACTORS, FORWARD_D, FORWARD_H, FORWARD_W, INVERSE_D, INVERSE_H, INVERSE_W,
    BIAS, LEAST, FILL, MOST, DECLINED, FIRST, VALID, SHARES, NUMBER,
) = range(3 * words.AXIS_SIZE, 3 * words.AXIS_SIZE + 51)  # fmt: skip
"""The last two but one are of normalised convolutions; see `normalised_blocks`."""
