"""Calls of the family on arrays that lie against pages which cannot be touched.

Run as a script, ``python guarded_calls.py SEED COUNT``: every call goes through its compiled plan
and the stencil plan. It prints how many calls of each kind were made; touching a byte outside the
arrays ends the process.
"""

import ctypes
import mmap
import sys
from collections import Counter

import numpy as np

import faltung as ft
from position_cases import draw_positions
from resized_cases import draw_resize
from transposed_cases import draw_transposed

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def guarded(array, at_end):
    """A copy whose first or last byte is the neighbour of a page that cannot be touched."""
    pages = -(-max(array.nbytes, 1) // PAGE)
    area = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    for address in (area.ctypes.data, area.ctypes.data + (pages + 1) * PAGE):
        assert LIBC.mprotect(address, PAGE, 0) == 0
    start = PAGE + (pages * PAGE - array.nbytes if at_end else 0)
    copy = area[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def transposed_call(rng):
    x, weight, bias, parameters = draw_transposed(rng, "float32")
    return ft.conv_transpose, "phases", [x, weight, bias], parameters


def position_call(rng):
    case = draw_positions(rng, "float32")
    if case is None:
        raise ft.WindowError("no window fits")
    return case.function, "positions", list(case.arrays), case.parameters


def resize_call(rng):
    x, parameters = draw_resize(rng, ("float32", "uint8")[int(rng.integers(2))])
    return ft.resize, "resampling", [x], parameters


def unfold_call(rng):
    _, _, (x, *_), parameters = position_call(rng)
    parameters.pop("groups", None)
    return ft.unfold, "unfolding", [x], parameters


def fold_call(rng):
    *_, (x,), parameters = unfold_call(rng)
    window = {k: v for k, v in parameters.items() if not k.startswith("padding_")}
    columns = ft.unfold(x, **window, algorithm="stencil")
    return ft.fold, "unfolding", [columns], {**window, "output_size": x.shape[2:]}


CALLS = (transposed_call, position_call, resize_call, unfold_call, fold_call)


def check(make, rng):
    """The name of the function if its compiled plan could do a random call; it must be right."""
    try:
        function, algorithm, arrays, parameters = make(rng)
        expected = function(*arrays, **parameters, algorithm="stencil")
        at_end = bool(rng.integers(2))
        arrays = [None if array is None else guarded(array, at_end) for array in arrays]
        out = guarded(np.zeros_like(expected), at_end)
        function(*arrays, **parameters, algorithm=algorithm, out=out)
    except (ft.WindowError, ft.OptionError):
        return None
    if function is not ft.resize:
        assert np.array_equal(out, expected), (function, parameters)
    else:
        difference = abs(out.astype(float) - expected.astype(float)).max()
        assert difference <= (1e-5 if out.dtype.kind == "f" else 1), (difference, parameters)
    return function.__name__


if __name__ == "__main__":
    generator = np.random.default_rng(int(sys.argv[1]))
    made = Counter(check(make, generator) for _ in range(int(sys.argv[2])) for make in CALLS)
    print({name: count for name, count in made.items() if name})
