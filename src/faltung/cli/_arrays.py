"""Arrays of numbers from .npy files that nobody has vouched for."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from faltung.cli._errors import FileError
from faltung.cli._files import opened
from faltung.typing import Array

__all__ = ["read_array", "read_picture_array"]


def read_array(path: Path) -> Array:
    """The array of numbers in a .npy file; pickled objects are never loaded."""
    with opened(path) as file:
        try:
            shape, is_fortran, dtype = _header(file)
        # The header is Python's notation; parsing it can fail in every way that parsing Python can.
        except Exception as error:
            raise FileError(
                f"{path} cannot be read: it has no header that describes an array",
                "Write it with numpy.save",
            ) from error
        _check_numbers(path, shape, dtype)
        count = math.prod(shape)
        there = os.fstat(file.fileno()).st_size - file.tell()
        # The header's claims are compared with the file's size before memory is touched.
        if count * dtype.itemsize > there:
            raise FileError(
                f"{path} is cut short: an array of shape {shape} and dtype {dtype} takes "
                f"{count * dtype.itemsize:,} bytes, {there:,} are there"
            )
        flat = np.fromfile(file, dtype, count)
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, is_fortran, dtype = readers[np.lib.format.read_magic(file)](file)
    return shape, is_fortran, dtype


def _check_numbers(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise FileError(
            f"{path} holds Python objects, which are never loaded",
            "Save an array of numbers",
        )
    if dtype.names is not None or dtype.kind not in "biufc":
        raise FileError(f"{path}: dtype {dtype} is no number", "Save one of its fields")
    if any(size < 0 for size in shape):
        raise FileError(f"{path} holds an array of shape {shape}, which cannot be")


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
