"""The pooling and morphology plans against the stencil plan, over every argument."""

import subprocess
import sys

import numpy as np
import pytest

import faltung as ft
from direct_oracle import relaid
from faltung.plans import _pool_parts, _resources
from pooling_cases import draw_pooling

DTYPES = ("float32", "float32", "float64", "float16", "int8", "uint16", "int64", "bool")
MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
SPECIALS = (np.nan, np.inf, -np.inf)


def data(rng, shape, dtype):
    """Whole numbers, some of them special, in any memory order."""
    kind = np.dtype(dtype).kind
    x = rng.integers(0 if kind in "bu" else -4, 5, shape).astype(dtype)
    if kind == "f" and rng.random() < 0.5:
        x.ravel()[rng.integers(0, x.size, 2)] = rng.choice(SPECIALS)
    elif kind == "f" and rng.random() < 0.2:
        x[:] = -np.inf
    return relaid(rng, x)


def equal(found, expected):
    if isinstance(expected, tuple):
        return all(map(equal, found, expected))
    is_float = expected.dtype.kind == "f"
    return found.dtype == expected.dtype and np.array_equal(found, expected, equal_nan=is_float)


def draw_call(rng, x, case):
    """One of the operators with all its arguments, as a function of the algorithm."""
    parameters = dict(case.parameters)
    rank = x.ndim - 2
    which = rng.integers(6)
    if which == 0:
        flag = bool(rng.integers(2))
        return lambda a: ft.max_pool(x, **parameters, return_indices=flag, algorithm=a)
    if which == 1:
        more = {
            "count_include_pad": bool(rng.integers(2)),
            "divisor_override": [None, 3][rng.integers(2)],
        }
        return lambda a: ft.avg_pool(x, **parameters, **more, algorithm=a)
    if which == 2:
        order = [1, 2, np.inf][rng.integers(3)]
        return lambda a: ft.lp_pool(x, order, **parameters, algorithm=a)
    bins = tuple(int(n) for n in rng.integers(1, 9, rank))
    if which == 3:
        return lambda a: ft.adaptive_max_pool(x, bins, return_indices=True, algorithm=a)
    if which == 4:
        return lambda a: ft.adaptive_avg_pool(x, bins, algorithm=a)
    if parameters.pop("ceil_mode"):  # whose windows may not fit without it
        parameters["padding"] = "full"
    name, mode = ("sum", "mean", "min", "max", "range")[rng.integers(5)], MODES[rng.integers(7)]
    more = {"padding_mode": mode} | ({"padding_value": 1} if mode == "constant" else {})
    return lambda a: ft.window_reduce(x, reduction=name, **parameters, **more, algorithm=a)


@pytest.mark.parametrize("block", range(4))
def test_every_argument_gives_what_the_stencil_gives(block):
    wrong = []
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng(seed)
        case, dtype = draw_pooling(rng), DTYPES[rng.integers(len(DTYPES))]
        call = draw_call(rng, data(rng, case.shape, dtype), case)
        if not equal(call("pooling"), call("stencil")):
            wrong.append((seed, dtype, case))
    assert wrong == []


def test_a_wrong_cell_would_be_found():
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    right = ft.max_pool(x, 2, return_indices=True, algorithm="pooling")
    assert equal(right, right)
    assert not equal((right[0], right[1] + 1), right)
    assert not equal(right[0].astype("f4"), right[0])


@pytest.mark.parametrize("limit", [64, 1000])
def test_parts_of_a_copied_input_change_nothing(monkeypatch, limit):
    """Small parts, so that boxes, planes and borders are all cut."""
    expected = {}
    for is_cut in (False, True):
        if is_cut:
            monkeypatch.setattr(_pool_parts, "PART_BYTES", limit)
        for seed in range(60):
            rng = np.random.default_rng(seed)
            case = draw_pooling(rng)
            call = draw_call(rng, data(rng, case.shape, ("int16", "float16")[seed % 2]), case)
            if is_cut:
                assert equal(call("pooling"), expected[seed]), (seed, case)
            else:
                expected[seed] = call("pooling")


def test_structures_of_any_form():
    wrong, compared = [], 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        case, dtype = draw_pooling(rng), DTYPES[rng.integers(len(DTYPES))]
        parameters = {k: v for k, v in case.parameters.items() if k != "ceil_mode"}
        structure = rng.random(parameters.pop("kernel_size")) < (0.5, 0.8, 1.1)[rng.integers(3)]
        x = data(rng, case.shape, dtype)
        for operator in (ft.dilate, ft.erode):
            outcomes = []
            for algorithm in ("stencil", "morphology"):
                try:
                    outcomes.append(operator(x, structure, **parameters, algorithm=algorithm))
                except ft.WindowError as error:
                    outcomes.append(str(error))
                except ft.OptionError:  # a dilation beyond the axis
                    outcomes.append(outcomes[0])
            expected, found = outcomes
            compared += not isinstance(expected, str)
            if isinstance(expected, str):
                assert found == expected
            elif not equal(found, expected):
                wrong.append((seed, dtype, case, structure))
    assert wrong == []
    assert compared > 100


@pytest.mark.parametrize("threads", [1, 3, 7])
def test_threads_do_not_change_bits(threads):
    before = ft.get_num_threads()
    x = np.random.default_rng(0).standard_normal((2, 5, 70, 90)).astype("f4")
    calls = [
        lambda: ft.avg_pool2d(x, 3, stride=1, padding=1),
        lambda: ft.lp_pool2d(x, 2, 5, stride=2),
        lambda: ft.adaptive_avg_pool2d(x, 1),
        lambda: ft.max_pool2d(x, 3, return_indices=True),
        lambda: ft.window_reduce(x, (9, 9), "sum", padding="same", padding_mode="reflect"),
    ]
    try:
        ft.set_num_threads(1)
        alone = [call() for call in calls]
        ft.set_num_threads(threads)
        assert all(equal(call(), one) for call, one in zip(calls, alone, strict=True))
    finally:
        ft.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_rounding_is_bounded(dtype):
    rng = np.random.default_rng(0)
    shape = (2, 3, 60, 70)
    x = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 3, shape)).astype(dtype)
    unit = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-24}[dtype]
    wide = x.astype(np.longdouble)
    for kernel in (2, 7, 31):
        exact, size = (
            np.lib.stride_tricks.sliding_window_view(a, (kernel, kernel), (2, 3)).sum((4, 5))
            / kernel**2
            for a in (wide, abs(wide))
        )
        found = ft.avg_pool2d(x, kernel, stride=1, algorithm="pooling")
        bound = 1.01 * (kernel**2 + 2) * unit * size
        if dtype == "float16":
            bound += 2.0**-11 * abs(exact) + 2.0**-25
        assert (abs(found - exact) <= bound).all()


def test_a_sample_keeps_its_bits_under_reproducible():
    x = np.random.default_rng(0).standard_normal((4, 3, 40, 50)).astype("f4")
    with ft.reproducible():
        for call in (
            lambda x: ft.avg_pool2d(x, 5, stride=1, padding=2),
            lambda x: ft.adaptive_avg_pool2d(x, (1, 1)),
            lambda x: ft.lp_pool2d(x, 2, 3),
            lambda x: ft.window_reduce(x, (7, 7), "sum"),
        ):
            whole = call(x)
            assert np.array_equal(call(x[2:3]), whole[2:3])
            assert np.array_equal(call(np.asfortranarray(x[:, :2])), whole[:, :2])


@pytest.mark.parametrize(
    ("operator", "shape"),
    [
        (ft.MaxPool((3, 3), stride=2, padding=1), (4, 64, 500, 500)),
        (ft.MaxPool((3, 3), return_indices=True), (4, 64, 500, 500)),
        (ft.AvgPool((31, 31), stride=1), (1, 3, 2000, 2000)),
        (ft.AdaptiveAvgPool((1, 1)), (1, 1, 1500, 1500)),
        (ft.AvgPool((2, 2, 2)), (1, 8, 200, 200, 200)),
        (ft.WindowReduce((15, 15), "min", padding="same", padding_mode="wrap"), (1, 3, 900, 900)),
    ],
    ids=repr,
)
def test_workspace_is_what_is_promised(operator, shape):
    report = operator.describe(shape)
    assert report.algorithm == "pooling"
    assert report.workspace_bytes <= _resources.WORKSPACE


def test_refusals_have_reasons():
    rejected = dict(ft.LpPool(3, (2, 2)).describe((1, 64, 100, 100)).rejected)
    assert "norms of order 1, 2 and inf" in rejected["pooling"]
    rejected = dict(ft.WindowReduce((3, 3), "var").describe((1, 64, 100, 100)).rejected)
    assert "var" in rejected["pooling"]
    rejected = dict(ft.MaxPool((2, 2)).describe((1, 1, 4, 4)).rejected)
    assert "too few" in rejected["pooling"]
    assert (
        "complex64"
        in dict(ft.AvgPool((2, 2)).describe((1, 64, 100, 100), np.complex64).rejected)["pooling"]
    )


GUARDED = """
import ctypes, mmap, sys
import numpy as np
import faltung as ft
PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
keep = []

def guarded(shape, dtype, at_end):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = -(-size // PAGE)
    area = mmap.mmap(-1, (pages + 2) * PAGE)
    keep.append(area)
    whole = np.frombuffer(area, np.uint8)
    for address in (whole.ctypes.data, whole.ctypes.data + (pages + 1) * PAGE):
        assert libc.mprotect(address, PAGE, 0) == 0
    start = PAGE + (pages * PAGE - size if at_end else 0)
    return whole[start : start + size].view(dtype).reshape(shape)

rng = np.random.default_rng(0)
count = 0
for at_end in (False, True):
    for width in (1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 130):
        for dtype in ("float32", "uint8", "float64"):
            for last in (False, True):
                shape = (2, 5, width, 24) if last else (2, 3, 5, width)
                x = guarded(shape, dtype, at_end)
                x[...] = rng.integers(0, 9, shape)
                kernel = (2, min(width, 1 + count % 4))
                options = {"stride": (1, 1 + count % 3), "padding": 0}
                if last:
                    options["data_format"] = "channels_last"
                calls = [lambda **k: ft.max_pool2d(x, kernel, **options, **k)]
                if dtype != "uint8":
                    calls.append(lambda **k: ft.avg_pool2d(x, kernel, **options, **k))
                for call in calls:
                    expected = call(algorithm="stencil")
                    y = guarded(expected.shape, dtype, at_end)
                    call(algorithm="pooling", out=y)
                    assert np.array_equal(y, expected), (width, dtype, last)
                    count += 1
                keep.clear()
print("done", count)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
def test_no_byte_outside_the_arrays_is_touched():
    done = subprocess.run(
        [sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[1]) > 200


@pytest.mark.parametrize("reduction", ["range", "sum", "min"])
def test_windows_that_leave_the_input_are_blank(reduction):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 9, (2, 3, 7, 9)).astype(("f4", "u1", "?")[seed % 3])
        kernel, stride = (tuple(int(n) for n in rng.integers(1, 4, 2)) for _ in range(2))
        found, expected = (
            ft.window_reduce(
                x, kernel, reduction, stride=stride, padding=((seed % 3, 1), (2, 0)),
                padding_mode="blank", algorithm=algorithm,
            )
            for algorithm in ("pooling", "stencil")
        )  # fmt: skip
        assert equal(found, expected), seed
