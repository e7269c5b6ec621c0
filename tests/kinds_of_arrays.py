"""Kinds of array, made from a contiguous one: memory orders, byte orders, subclasses and dtypes."""

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = ["float16", "float32", "float64", "complex64", "complex128"]
DTYPES = [np.dtype(name) for name in ("bool", *INTEGERS, *FLOATS)] + [BFLOAT16]


def small_integers(shape, dtype, seed=0):
    dtype = np.dtype(dtype)
    low = 0 if dtype.kind in "bu" else -2
    values = np.random.default_rng(seed).integers(low, 2 if dtype.kind == "b" else 3, shape)
    data = values.astype(dtype)
    return data + 1j * np.roll(data, 1) if dtype.kind == "c" else data


def strided(x):
    space = np.zeros([2 * n + 1 for n in x.shape], x.dtype)
    view = space[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def reversed_on(x, axes):
    index = tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))
    return x[index].copy(order="C")[index]


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert x.itemsize == 1 or x.dtype.kind == "V" or not view.flags.aligned
    return view


def broadcast(x):
    return np.broadcast_to(x[:1, :1, ..., :1], x.shape)


def read_only(x):
    locked = x.copy()
    locked.flags.writeable = False
    return locked


def in_a_field(x):
    record = np.zeros(x.shape, [("pad", "u1"), ("value", x.dtype)])
    record["value"] = x
    return record["value"]


def overlapping_view(x):
    """Neighbouring rows share cells in memory."""
    line = x.ravel()
    shape = (*x.shape[:-1], x.shape[-1])
    steps = [(i % 3) * line.itemsize for i in range(x.ndim)]
    return as_strided(line, shape, steps)


class Subclass(np.ndarray):
    """Would break arithmetic that is done on it."""

    def __array_ufunc__(self, *arguments, **options):
        raise AssertionError("arithmetic on the subclass")

    def __getitem__(self, index):
        raise AssertionError("indexing of the subclass")


KINDS = {
    "C": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "reversed": lambda x: reversed_on(x, range(x.ndim)),
    "last reversed": lambda x: reversed_on(x, [x.ndim - 1]),
    "channels reversed": lambda x: reversed_on(x, [1]),
    "strided": strided,
    "transposed": lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1),
    "broadcast": broadcast,
    "overlapping": overlapping_view,
    "read-only": read_only,
    "unaligned": unaligned,
    "field": in_a_field,
    "subclass": lambda x: x.view(Subclass),
    "swapped": lambda x: x.astype(x.dtype.newbyteorder("S")),
    "swapped unaligned": lambda x: unaligned(x.astype(x.dtype.newbyteorder("S"))),
    "list": lambda x: x.tolist(),
}
