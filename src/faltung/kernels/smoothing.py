"""Weighted means of a neighbourhood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from faltung._door import door
from faltung.kernels.checks import (
    as_radius,
    as_shape,
    check_rank,
    check_size,
    entries_of,
    outer_product,
    positive,
    rank_of,
)
from faltung.typing import Array, Ints

__all__ = ["box", "gaussian", "identity"]


@door
def gaussian(
    sigma: float | Sequence[float], truncate: float = 4, *, ndim: int | None = None
) -> Array:
    """The bell curve, sampled at the cells and divided by its sum.

    Parameters
    ----------
    sigma : float or sequence of float
        Standard deviation in cells, one for all axes or one an axis.
    truncate : float, optional
        Where the curve ends, in standard deviations: the radius is
        ``int(truncate * sigma + 0.5)``, as in `scipy.ndimage.gaussian_filter`.
    ndim : int, optional
        Number of axes; by default 2, or the number of sigmas.

    Returns
    -------
    float64 array, shape ``2 * radius + 1`` an axis
        Sums to 1.

    Raises
    ------
    WindowError
        If `sigma` or `truncate` is not positive.
    ResourceError
        If the filter would take more than 256 MiB.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.gaussian(0.5, truncate=2).round(3)
    array([[0.011, 0.084, 0.011],
           [0.084, 0.619, 0.084],
           [0.011, 0.084, 0.011]])
    >>> kernels.gaussian(1.5).shape
    (13, 13)
    """
    rank = rank_of(sigma, "sigma", ndim)
    check_rank(rank)
    sigmas = [positive(entry, "sigma") for entry in entries_of(sigma) or [sigma] * rank]
    reach = positive(truncate, "truncate")
    radii = tuple(as_radius(reach * entry + 0.5, "truncate * sigma") for entry in sigmas)
    check_size(tuple(2 * radius + 1 for radius in radii))
    return outer_product([_bell(*pair) for pair in zip(sigmas, radii, strict=True)])


@door
def box(size: Ints, *, ndim: int | None = None) -> Array:
    """The mean of a box of cells.

    Parameters
    ----------
    size : int or sequence of int
        Cells an axis, one number for all axes or one an axis.
    ndim : int, optional
        Number of axes; by default 2, or the number of sizes.

    Returns
    -------
    float64 array, shape `size`
        Sums to 1.

    Raises
    ------
    WindowError
        If a size is not a positive int.
    ResourceError
        If the filter would take more than 256 MiB.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.box((1, 4))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    shape = as_shape(size, ndim)
    return np.full(shape, 1 / math.prod(shape))


@door
def identity(size: Ints, *, ndim: int | None = None) -> Array:
    """The filter that changes nothing: 1 at the centre, ``size // 2``, and 0 elsewhere.

    Parameters
    ----------
    size : int or sequence of int
        Cells an axis, one number for all axes or one an axis.
    ndim : int, optional
        Number of axes; by default 2, or the number of sizes.

    Returns
    -------
    float64 array, shape `size`
        Sums to 1.

    Raises
    ------
    WindowError
        If a size is not a positive int.
    ResourceError
        If the filter would take more than 256 MiB.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.identity(3, ndim=1)
    array([0., 1., 0.])
    """
    shape = as_shape(size, ndim)
    kernel = np.zeros(shape)
    kernel[tuple(length // 2 for length in shape)] = 1
    return kernel


def _bell(sigma: float, radius: int) -> Array:
    with np.errstate(over="ignore"):  # a curve far narrower than a cell: exp(-inf) is 0
        bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    normalised: Array = bell / bell.sum()
    return normalised
