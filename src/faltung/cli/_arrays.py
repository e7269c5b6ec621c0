"""Arrays of numbers from .npy files that nobody has vouched for."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from faltung.cli._errors import FileError
from faltung.cli._files import opened
from faltung.typing import Array

__all__ = ["read_array", "read_picture_array"]


def read_array(path: Path) -> Array:
    """The array of numbers in a .npy file; pickled objects are never loaded."""
    with opened(path):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A map compares the header's claims with the file's size before memory is touched.
            mapped = np.lib.format.open_memmap(path, mode="r")
        if mapped.dtype.names is not None or mapped.dtype.kind not in "biufc":
            raise FileError(f"dtype {mapped.dtype} is no number", "Save one of its fields")
        return np.array(mapped, dtype=mapped.dtype.newbyteorder("="))
    except FileError as error:
        raise FileError(f"{path}: {error.fact}", error.advice) from error
    # The header is Python's notation; parsing it can fail in every way that parsing Python can.
    except Exception as error:
        raise FileError(f"{path} cannot be read: {error or type(error).__name__}") from error


def read_picture_array(path: Path, max_pixels: int) -> Array:
    """The array of a .npy file, if its shape is that of a picture."""
    array = read_array(path)
    if array.ndim not in {2, 3} or array.size == 0:
        raise FileError(
            f"{path} holds an array of shape {array.shape}, expected (H, W) or (H, W, C)",
            "faltung.filter_array filters arrays of any rank",
        )
    count = math.prod(array.shape[:2])
    if count > max_pixels:
        raise FileError(
            f"{path}: {array.shape[1]} × {array.shape[0]} = {count:,} pixels, "
            f"more than --max-pixels {max_pixels:,}",
            "Raise --max-pixels if you trust the file",
        )
    return array
