"""Filters by name: small float64 arrays for `filter_image`, `filter_array` and `conv`.

All filters are written for correlation, the way the functions of faltung apply them: the array
lies over the picture as it is printed. Axis 0 runs down the rows, axis 1 along the columns, and
angles are degrees, counter-clockwise as one sees the picture, 0 pointing to the right.
"""

from faltung.kernels.directed import gabor, motion_blur
from faltung.kernels.edges import emboss, laplacian, prewitt, scharr, sharpen, sobel
from faltung.kernels.smoothing import box, gaussian, identity
from faltung.kernels.text import names, parse

__all__ = [
    "box",
    "emboss",
    "gabor",
    "gaussian",
    "identity",
    "laplacian",
    "motion_blur",
    "names",
    "parse",
    "prewitt",
    "scharr",
    "sharpen",
    "sobel",
]
