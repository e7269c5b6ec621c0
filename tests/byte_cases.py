"""Pictures of bytes and kernels, and their exact sums; run as a script, between guard pages.

``python byte_cases.py``: every picture and every result ends, or begins, at a page that cannot be
touched, at the instruction set that FALTUNG_MAX_ISA names, which is printed.
"""

import types
from fractions import Fraction

import numpy as np

import faltung as ft

PADS = {"reflect": "reflect", "symmetric": "symmetric", "replicate": "edge", "wrap": "wrap"}
RNG = np.random.default_rng(0)
BELL = np.multiply.outer(np.exp(-(np.arange(-2.0, 3) ** 2)), np.exp(-(np.arange(-1.5, 3) ** 2)))
KERNELS = {
    "product": (BELL / BELL.sum(), "low_rank"),
    "dense": (RNG.standard_normal((3, 3)) / 4, "image"),
    "large dense": (RNG.standard_normal((5, 4)) / 8, "image"),
    "ties that float64 misses": (np.full((6, 6), 1 / 36), "low_rank"),
    "ties of whole numbers": (np.full((4, 4), 1 / 16), "low_rank"),
    "derivative": (np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]), "low_rank"),
    "column": (np.array([[0.1], [0.7], [0.2]]), "low_rank"),
}


def exact(picture, kernel, border="reflect", cval=0):
    """The sums in whole numbers of a unit that holds every weight, rounded once."""
    unit = Fraction(1, 2**90)
    weights = [[int(Fraction(float(weight)) / unit) for weight in row] for row in kernel]
    before = [size // 2 for size in kernel.shape]
    pads = [(b, n - 1 - b) for b, n in zip(before, kernel.shape, strict=True)]
    pads += [(0, 0)] * (picture.ndim - 2)
    options = {"constant_values": cval} if border == "constant" else {}
    mode = PADS.get(border, border)
    cells = np.pad(picture.astype(np.int64), pads, mode=mode, **options).astype(object)
    rows, columns = picture.shape[:2]
    total = np.zeros(picture.shape, object)
    for i, line in enumerate(weights):
        for j, weight in enumerate(line):
            total += cells[i : i + rows, j : j + columns] * weight
    limits = np.iinfo(picture.dtype)
    rounded = [min(max(round(each * unit), limits.min), limits.max) for each in total.ravel()]
    return np.array(rounded, picture.dtype).reshape(picture.shape)


def draw(shape, dtype="uint8"):
    limits = np.iinfo(dtype)
    return np.random.default_rng(1).integers(*(limits.min, limits.max), shape, dtype, endpoint=True)


def main():
    """Filter pictures between guard pages."""
    from faltung.compiled.variants import find_row
    from faltung.plans import _rounded_bytes
    from guarded_calls import guarded

    _rounded_bytes.LEAST_MACS = 1
    for at_end in (False, True):

        def empty(shape, dtype, at_end=at_end):
            return guarded(np.zeros(shape, dtype), at_end)

        _rounded_bytes.np = types.SimpleNamespace(**{**vars(np), "empty": empty})
        for shape in ((3, 500), (10, 128)):
            picture = draw(shape)
            for name in ("product", "large dense"):
                kernel = KERNELS[name][0]
                y = ft.filter_image(guarded(picture, at_end), kernel)
                assert np.array_equal(y, exact(picture, kernel)), (shape, name, at_end)
    print(find_row("float32").isa)


if __name__ == "__main__":
    main()
