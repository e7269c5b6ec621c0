"""Filters with a direction: stripes and streaks."""

from __future__ import annotations

import math

import numpy as np

from faltung._door import door
from faltung.errors import WindowError
from faltung.geometry.arguments import as_int
from faltung.kernels.checks import as_radius, check_size, finite, positive
from faltung.typing import Array

__all__ = ["gabor", "motion_blur"]


@door
def gabor(
    wavelength: float,
    angle: float = 0.0,
    *,
    sigma: float | None = None,
    aspect: float = 1.0,
    phase: float = 0.0,
    truncate: float = 3.0,
) -> Array:
    """A plane wave under a bell curve: the detector of stripes of one width and direction.

    Parameters
    ----------
    wavelength : float
        Cells from crest to crest, at least 2: shorter waves cannot be told from longer ones.
    angle : float, optional
        Direction in which the wave travels, in degrees counter-clockwise from the right: 0
        answers to vertical stripes, 90 to horizontal ones.
    sigma : float, optional
        Standard deviation of the bell along the wave, in cells; by default ``0.56 * wavelength``,
        a bandwidth of one octave.
    aspect : float, optional
        `sigma` over the standard deviation across the wave; below 1 the filter is long along its
        stripes.
    phase : float, optional
        Degrees; 0 is even (lines), 90 odd (edges).
    truncate : float, optional
        Where the filter ends, in standard deviations.

    Returns
    -------
    float64 array, 2-D, odd sizes
        ``exp(-(u**2 + (aspect * v)**2) / (2 * sigma**2)) * cos(2 * pi * u / wavelength + phase)``
        with u along the wave and v across; not normalised.

    Raises
    ------
    WindowError
        If a wavelength is below 2, a length not positive or an angle not finite.
    ResourceError
        If the filter would take more than 256 MiB.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.gabor(4, sigma=1, truncate=2).shape
    (5, 5)
    """
    wave = positive(wavelength, "wavelength")
    if wave < 2:
        raise WindowError(f"wavelength is {wavelength}, expected at least 2 cells")
    along = 0.56 * wave if sigma is None else positive(sigma, "sigma")
    across = positive(along / positive(aspect, "aspect"), "sigma / aspect")
    reach = positive(truncate, "truncate")
    turn, shift = math.radians(finite(angle, "angle")), math.radians(finite(phase, "phase"))
    cos, sin = math.cos(turn), math.sin(turn)
    row_radius = as_radius(reach * math.hypot(along * sin, across * cos) + 0.5, "truncate * sigma")
    column_radius = as_radius(
        reach * math.hypot(along * cos, across * sin) + 0.5, "truncate * sigma"
    )
    check_size((2 * row_radius + 1, 2 * column_radius + 1))
    row, column = np.ogrid[-row_radius : row_radius + 1, -column_radius : column_radius + 1]
    u, v = column * cos - row * sin, column * sin + row * cos
    with np.errstate(over="ignore"):  # a bell far narrower than a cell: exp(-inf) is 0
        bell = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    wave_values: Array = bell * np.cos(2 * np.pi * u / wave + shift)
    return wave_values


@door
def motion_blur(length: int, angle: float = 0.0) -> Array:
    """The mean along a line, as of a camera that moved while the shutter was open.

    Parameters
    ----------
    length : int
        Cells along the line.
    angle : float, optional
        Direction of the line in degrees, counter-clockwise from the right.

    Returns
    -------
    float64 array, 2-D, odd sizes
        As small as the line allows; sums to 1. Points between cells are shared out linearly.

    Raises
    ------
    WindowError
        If `length` is not a positive int or `angle` not finite.
    ResourceError
        If the filter would take more than 256 MiB.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.motion_blur(3, 90)
    array([[0.33333333],
           [0.33333333],
           [0.33333333]])
    """
    length = as_int(length, "length")
    turn = math.radians(finite(angle, "angle"))
    half, cos, sin = (length - 1) / 2, math.cos(turn), math.sin(turn)
    # cos(90 degrees) is 6e-17 in floating point: rounded, lest a column grow two empty neighbours
    row_radius = math.ceil(round(half * abs(sin), 9))
    column_radius = math.ceil(round(half * abs(cos), 9))
    check_size((2 * row_radius + 2, 2 * column_radius + 2))
    steps = np.arange(length) - half
    rows, columns = row_radius - steps * sin, column_radius + steps * cos
    rows, columns = rows.round(9), columns.round(9)
    kernel = np.zeros((2 * row_radius + 2, 2 * column_radius + 2))
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cell_row, cell_column = np.floor(rows), np.floor(columns)
        share = (1 - abs(rows - cell_row - down)) * (1 - abs(columns - cell_column - right))
        cells = (cell_row + down).astype(int), (cell_column + right).astype(int)
        np.add.at(kernel, cells, share / length)
    return kernel[:-1, :-1].copy()
