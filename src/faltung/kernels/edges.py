"""Differences between neighbours: edge detectors, sharpening, relief."""

from __future__ import annotations

import numpy as np

from faltung._door import door
from faltung.errors import WindowError
from faltung.geometry.arguments import as_int
from faltung.kernels.checks import as_rank, outer_product
from faltung.typing import Array

__all__ = ["emboss", "laplacian", "prewitt", "scharr", "sharpen", "sobel"]


@door
def sobel(axis: int, *, ndim: int = 2) -> Array:
    """Sobel's edge detector: the difference along one axis, smoothed by 1 2 1 along the others.

    Parameters
    ----------
    axis : int
        The axis of the difference; where values grow along it, the response is positive.
    ndim : int, optional
        Number of axes of the filter.

    Returns
    -------
    float64 array, shape ``(3,) * ndim``
        Not normalised, as in `scipy.ndimage.sobel`: a ramp of slope 1 gives ``2 * 4**(ndim-1)``.

    Raises
    ------
    WindowError
        If `axis` is not an axis of the filter.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.sobel(1)
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    return _difference(axis, ndim, (1.0, 2.0, 1.0))


@door
def prewitt(axis: int, *, ndim: int = 2) -> Array:
    """Prewitt's edge detector: the difference along one axis, summed along the others.

    Parameters
    ----------
    axis : int
        The axis of the difference; where values grow along it, the response is positive.
    ndim : int, optional
        Number of axes of the filter.

    Returns
    -------
    float64 array, shape ``(3,) * ndim``
        Not normalised, as in `scipy.ndimage.prewitt`: a ramp of slope 1 gives ``2 * 3**(ndim-1)``.

    Raises
    ------
    WindowError
        If `axis` is not an axis of the filter.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.prewitt(0)
    array([[-1., -1., -1.],
           [ 0.,  0.,  0.],
           [ 1.,  1.,  1.]])
    """
    return _difference(axis, ndim, (1.0, 1.0, 1.0))


@door
def scharr(axis: int, *, ndim: int = 2) -> Array:
    """Scharr's edge detector: the difference along one axis, smoothed by 3 10 3 along the others.

    Parameters
    ----------
    axis : int
        The axis of the difference; where values grow along it, the response is positive.
    ndim : int, optional
        Number of axes of the filter.

    Returns
    -------
    float64 array, shape ``(3,) * ndim``
        Scharr's integers, not normalised: a ramp of slope 1 gives ``2 * 16**(ndim-1)``.

    Raises
    ------
    WindowError
        If `axis` is not an axis of the filter.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.scharr(1)
    array([[ -3.,   0.,   3.],
           [-10.,   0.,  10.],
           [ -3.,   0.,   3.]])
    """
    return _difference(axis, ndim, (3.0, 10.0, 3.0))


@door
def laplacian(*, ndim: int = 2) -> Array:
    """The second difference 1 -2 1, summed over all axes: dark spots answer positively.

    Parameters
    ----------
    ndim : int, optional
        Number of axes of the filter.

    Returns
    -------
    float64 array, shape ``(3,) * ndim``
        The filter of `scipy.ndimage.laplace`; its sum is 0.

    Raises
    ------
    WindowError
        If `ndim` is not a positive int.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.laplacian()
    array([[ 0.,  1.,  0.],
           [ 1., -4.,  1.],
           [ 0.,  1.,  0.]])
    """
    ndim = as_rank(ndim, 3)
    kernel = np.zeros((3,) * ndim)
    for axis in range(ndim):
        line = [1] * ndim
        line[axis] = 3
        centre = tuple(slice(None) if size == 3 else slice(1, 2) for size in line)
        kernel[centre] += np.array([1.0, -2.0, 1.0]).reshape(line)
    return kernel


@door
def sharpen() -> Array:
    """The picture minus its Laplacian.

    Returns
    -------
    float64 array, shape (3, 3)
        Sums to 1, so that flat areas keep their value.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.sharpen()
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    return np.array([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])


@door
def emboss() -> Array:
    """The picture as a relief lit from the upper left.

    Returns
    -------
    float64 array, shape (3, 3)
        Sums to 1, so that flat areas keep their value.

    Examples
    --------
    >>> from faltung import kernels
    >>> kernels.emboss()
    array([[-2., -1.,  0.],
           [-1.,  1.,  1.],
           [ 0.,  1.,  2.]])
    """
    return np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])


def _difference(axis: int, ndim: int, smooth: tuple[float, float, float]) -> Array:
    """-1 0 1 along `axis`, `smooth` along all others."""
    ndim = as_rank(ndim, 3)
    place = as_int(axis, "axis", -ndim)
    if place >= ndim:
        raise WindowError(
            f"axis is {axis}, but the filter has {ndim} axes",
            "Choose a smaller axis or a larger ndim",
        )
    factors = [np.array(smooth)] * ndim
    factors[place] = np.array([-1.0, 0.0, 1.0])
    return outer_product(factors)
