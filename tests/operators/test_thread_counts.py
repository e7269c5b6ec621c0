"""The same bits on 1, 2, 3, 7 and 16 threads, fifty random calls of every operator."""

import numpy as np
import pytest

import faltung as ft
from faltung import classes
from faltung.operators._record import REGISTRY

COUNTS = (1, 2, 3, 7, 16)
CALLS = 50
# More cells than one job does in most calls, and sums that another order would round otherwise.
SIZES = {1: (9000,), 2: (90, 100), 3: (20, 21, 22)}
DTYPES = ("float32", "float32", "float64", "complex64", "float16", "uint8")


def draw(rng, shape, dtype):
    values = rng.standard_normal(shape) * 30
    if dtype == "complex64":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(np.int8).view(np.uint8) if dtype == "uint8" else values.astype(dtype)


def convolution(rng, channels, dtype):
    rank = int(rng.integers(1, 4))
    filters, taps = int(rng.integers(1, 12)), int(rng.integers(1, 4))
    x = draw(rng, (2, channels, *SIZES[rank]), dtype)
    steps = {"stride": int(rng.integers(1, 3)), "dilation": int(rng.integers(1, 3))}
    return x, (filters, channels, *[taps] * rank), {**steps, "padding": int(rng.integers(0, 3))}


def conv(rng, dtype):
    x, shape, options = convolution(rng, int(rng.integers(1, 30)), dtype)
    bias = draw(rng, shape[:1], dtype) if rng.integers(2) else None
    return ft.conv, (x, draw(rng, shape, dtype), bias), options


def conv_transpose(rng, dtype):
    x, (filters, channels, *taps), options = convolution(rng, int(rng.integers(1, 8)), dtype)
    options["padding"] = 0
    weight = draw(rng, (channels, filters, *taps), dtype)
    return ft.conv_transpose, (x[..., :40], weight), options


def plane(rng, dtype, channels=3):
    dtype = "float64" if dtype == "complex64" else dtype
    return draw(rng, (2, channels, 37, int(rng.integers(30, 60))), dtype)


def pooling(name, *before):
    def make(rng, dtype):
        arguments = (plane(rng, dtype), *before, int(rng.integers(2, 5)))
        return getattr(ft, name), arguments, {"stride": int(rng.integers(1, 4))}

    return make


def adaptive(name):
    return lambda rng, dtype: (getattr(ft, name), (plane(rng, dtype), (5, 7)), {})


def morphology(name):
    def make(rng, dtype):
        return getattr(ft, name), (plane(rng, dtype), rng.integers(0, 2, (3, 4)) > -1), {}

    return make


def window_reduce(rng, dtype):
    reduction = ("sum", "median", "std", ("percentile", 30))[rng.integers(4)]
    return ft.window_reduce, (plane(rng, dtype), 3, reduction), {"padding": 1}


def involution(rng, dtype):
    x = plane(rng, dtype, 4)
    weight = draw(rng, (2, 2, 9, *x.shape[2:]), x.dtype.name)
    return ft.involution, (x, weight), {"kernel_size": 3, "padding": 1}


def local_conv(rng, dtype):
    x = plane(rng, dtype, 2)
    outputs = (x.shape[2] - 2, x.shape[3] - 2)
    return ft.local_conv, (x, draw(rng, (3, 2, 9, *outputs), x.dtype.name)), {"kernel_size": 3}


def resize(rng, dtype):
    mode = ("nearest", "linear", "cubic", "lanczos")[rng.integers(4)]
    return ft.resize, (plane(rng, dtype), (50, 23)), {"mode": mode}


def max_unpool(rng, dtype):
    x = plane(rng, dtype)
    y, indices = ft.max_pool(x, 2, return_indices=True)
    return ft.max_unpool, (y, indices, 2), {"output_size": x.shape[2:]}


def fold(rng, dtype):
    columns = ft.unfold(plane(rng, dtype)[..., :30], 3)
    return ft.fold, (columns, (37, 30), 3), {}


CALLS_OF = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": pooling("max_pool"),
    "avg_pool": pooling("avg_pool"),
    "lp_pool": pooling("lp_pool", 2),
    "adaptive_avg_pool": adaptive("adaptive_avg_pool"),
    "adaptive_max_pool": adaptive("adaptive_max_pool"),
    "max_unpool": max_unpool,
    "unfold": lambda rng, dtype: (ft.unfold, (plane(rng, dtype), 3), {}),
    "fold": fold,
    "resize": resize,
    "pad": lambda rng, dtype: (ft.pad, (plane(rng, dtype), 4, "reflect"), {}),
    "erode": morphology("erode"),
    "dilate": morphology("dilate"),
    "window_reduce": window_reduce,
    "involution": involution,
    "local_conv": local_conv,
}


def bits(call):
    function, arguments, options = call
    result = function(*arguments, **options)
    return (result[0] if isinstance(result, tuple) else result).tobytes()


@pytest.fixture(autouse=True)
def _threads():
    before = ft.get_num_threads()
    yield
    ft.set_num_threads(before)


def differing(calls):
    """Pairs of a number of threads and a call whose bits are others than on one thread."""
    found = []
    for count in COUNTS:
        ft.set_num_threads(count)
        found.append([bits(call) for call in calls])
    return [
        (count, i)
        for count, results in zip(COUNTS, found, strict=True)
        for i, result in enumerate(results)
        if result != found[0][i]
    ]


@pytest.mark.parametrize("name", CALLS_OF)
def test_bits_are_the_same_on_any_number_of_threads(name):
    rng = np.random.default_rng(len(name))
    with np.errstate(all="ignore"):
        calls = [CALLS_OF[name](rng, DTYPES[i % len(DTYPES)]) for i in range(CALLS)]
        assert differing(calls) == []


def test_other_bits_are_noticed():
    calls = [(np.zeros, (3,), {}), (lambda: np.array(ft.get_num_threads() > 3), (), {})]
    assert differing(calls) == [(7, 1), (16, 1)]


def test_every_operator_is_tried():
    assert set(CALLS_OF) == set(REGISTRY)
    assert all(hasattr(classes, record.class_name) for record in REGISTRY.values())
