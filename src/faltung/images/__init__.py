"""Filters of pictures: a kernel, or a rank of the values under a window."""

from faltung.images.filtering import filter_image
from faltung.images.ranking import (
    maximum_filter,
    median_filter,
    minimum_filter,
    percentile_filter,
)

__all__ = [
    "filter_image",
    "maximum_filter",
    "median_filter",
    "minimum_filter",
    "percentile_filter",
]
