"""Kinds of array: memory orders, byte orders, subclasses and dtypes, through conv and pad."""

import array
import itertools
import subprocess
import sys

import numpy as np
import pytest

import faltung as ft
from direct_sums import direct_sum, through_every_algorithm
from kinds_of_arrays import BFLOAT16, DTYPES, KINDS, Subclass, small_integers

LAYOUTS = list(itertools.product(("channels_first", "channels_last"), (True, False)))


def plain(x):
    """A contiguous copy in native byte order."""
    base = np.asarray(x)
    return np.array(base.view(np.ndarray), base.dtype.newbyteorder("="), order="C", copy=True)


def laid_out(x, data_format, has_batch):
    """(N, C, H, W) in another layout, as a view."""
    moved = np.moveaxis(x, 1, -1) if data_format == "channels_last" else x
    return moved if has_batch else moved[0]


def usable(kind, dtype):
    if dtype == BFLOAT16 and "swapped" in kind:
        return False  # ml_dtypes has no other byte order
    if kind == "list":
        return dtype.name in ("bool", "int64", "float64", "complex128")
    return True


# Kinds of one dtype after each other, so that most find shapes and dtype bound already.
PRODUCT = [(kind, dtype) for dtype in DTYPES for kind in KINDS if usable(kind, dtype)]


@pytest.mark.parametrize(("kind", "dtype"), PRODUCT, ids=[f"{k}-{d}" for k, d in PRODUCT])
def test_conv_takes_every_kind(kind, dtype):
    """As data, as weight and as bias, in every layout."""
    make = KINDS[kind]
    x = make(small_integers((1, 4, 6, 5), dtype))
    weight = make(small_integers((4, 2, 3, 2), dtype, 1))
    bias = small_integers((8,), dtype, 2)[::-2]
    bias = bias.tolist() if kind == "list" else bias
    before = plain(x), plain(weight), plain(bias)
    options = {"stride": (2, 1), "padding": ((1, 1), (1, 1)), "groups": 2}
    expected = direct_sum_of_axes(*before)
    for data_format, has_batch in LAYOUTS:
        if kind == "list":
            data = laid_out(before[0], data_format, has_batch).tolist()
        else:
            data = laid_out(x.view(np.ndarray), data_format, has_batch)
            data = data.view(Subclass) if kind == "subclass" else data
        runs = through_every_algorithm(
            ft.conv, data, weight, bias, data_format=data_format, **options
        )
        wanted = laid_out(expected, data_format, has_batch)
        for name, y in runs:
            assert type(y) is np.ndarray
            assert y.dtype == dtype, name
            assert y.dtype.isnative
            if name == "fft":  # exact but for what float64 rounds on the way
                assert (abs(y - wanted) <= 1e-12).all()
            else:
                assert np.array_equal(y, wanted), name
    for given, copy in zip((x, weight, bias), before, strict=True):
        assert np.array_equal(plain(given), copy), "an input was changed"


def direct_sum_of_axes(x, weight, bias):
    """stride (2, 1), padding 1, two groups: computed at stride 1, then thinned out."""
    return direct_sum(x, weight, bias, padding=1, groups=2)[:, :, ::2]


@pytest.mark.parametrize(("kind", "dtype"), PRODUCT, ids=[f"{k}-{d}" for k, d in PRODUCT])
def test_pad_takes_every_kind(kind, dtype):
    x = KINDS[kind](small_integers((1, 3, 4, 5), dtype))
    before = plain(x)
    for mode, (data_format, has_batch) in itertools.product(("zeros", "reflect", "wrap"), LAYOUTS):
        widths = [(0, 0), (0, 0), (2, 1), (7, 6)]
        options = {} if mode == "zeros" else {"mode": mode}
        expected = np.pad(before, widths, **options)
        if kind == "list":
            data = laid_out(before, data_format, has_batch).tolist()
        else:
            data = laid_out(x.view(np.ndarray), data_format, has_batch)
        for name, y in through_every_algorithm(
            ft.pad, data, widths[2:], mode, data_format=data_format
        ):
            assert type(y) is np.ndarray
            assert y.dtype == dtype, name
            assert np.array_equal(y, laid_out(expected, data_format, has_batch)), name
    assert np.array_equal(plain(x), before), "the input was changed"


@pytest.mark.parametrize("kind", KINDS)
def test_windows_views_every_kind(kind):
    x = KINDS[kind](small_integers((1, 2, 5, 6), "int64"))
    y = ft.windows(x, (2, 3), stride=(2, 1), dilation=(2, 1))
    copy = plain(x)
    assert y.shape == (1, 2, 2, 4, 2, 3)
    for i, j, a, b in itertools.product(range(2), range(4), range(2), range(3)):
        assert np.array_equal(y[:, :, i, j, a, b], copy[:, :, 2 * i + 2 * a, j + b])
    assert not y.flags.writeable
    assert type(y) is np.ndarray
    if kind not in ("list", "swapped", "swapped unaligned"):
        assert np.shares_memory(y, np.asarray(x))


def result_type_or_none(*dtypes):
    try:
        return np.result_type(*dtypes)
    except TypeError:
        return None


@pytest.mark.parametrize("x_dtype", DTYPES, ids=str)
def test_result_dtype_is_numpys(x_dtype):
    for weight_dtype, bias_dtype in itertools.product(DTYPES, [None, *DTYPES]):
        kinds = [x_dtype, weight_dtype] + ([bias_dtype] if bias_dtype else [])
        arrays = [
            small_integers(shape, kind, seed)
            for seed, (shape, kind) in enumerate(
                zip([(1, 2, 4), (2, 2, 2), (2,)], kinds, strict=False)
            )
        ]
        expected = result_type_or_none(*kinds)
        if expected is None:
            with pytest.raises(ft.DTypeError):
                ft.conv(*arrays)
            continue
        y = ft.conv(*arrays)
        assert y.dtype == expected, kinds
        if result_type_or_none(x_dtype, weight_dtype) is not None:
            assert np.array_equal(y, direct_sum(*arrays)), kinds


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind in "biu"], ids=str)
def test_integers_wrap_like_numpy(dtype):
    """Full range values: exact modulo 2**bits; bool adds with OR."""
    rng = np.random.default_rng(5)
    raw = rng.integers(0, 256, (1, 3, 5, 6, dtype.itemsize), np.uint8)
    x = (raw & 1).astype(bool)[..., 0] if dtype.kind == "b" else raw.view(dtype)[..., 0]
    raw = rng.integers(0, 256, (2, 3, 2, 3, dtype.itemsize), np.uint8)
    weight = (raw & 1).astype(bool)[..., 0] if dtype.kind == "b" else raw.view(dtype)[..., 0]
    for options in ({}, {"padding": 2, "dilation": 2}, {"stride": 2, "padding": 1}):
        for name, y in through_every_algorithm(ft.conv, x, weight, **options):
            assert y.dtype == dtype
            assert np.array_equal(y, direct_sum(x, weight, **options)), name


@pytest.mark.parametrize("source", DTYPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtype_is_a_same_kind_or_wider_cast(source, dtype):
    x, weight = (abs(small_integers((1, 1, n), "int8", n)).astype(source) for n in (5, 2))
    drops_the_imaginary_part = source.kind == "c" and dtype.kind != "c"
    are_halves = {source.name, dtype.name} == {"float16", "bfloat16"}  # floats, both of them
    is_castable = are_halves or np.can_cast(source, dtype, "same_kind")
    if is_castable and not drops_the_imaginary_part:
        y = ft.conv(x, weight, dtype=dtype)
        assert y.dtype == dtype
        assert np.array_equal(y, direct_sum(x.astype(dtype), weight.astype(dtype)))
        padded = ft.pad(x, 1, dtype=dtype)
        assert padded.dtype == dtype
        assert np.array_equal(padded, np.pad(x[0, 0], 1).astype(dtype)[None, None])
    else:
        for call in (lambda: ft.conv(x, weight, dtype=dtype), lambda: ft.pad(x, 1, dtype=dtype)):
            with pytest.raises(ft.DTypeError, match="dtype"):
                call()


def test_wider_dtype_prevents_wrapping():
    x, weight = np.full((1, 1, 4), 200, np.uint8), np.full((1, 1, 2), 200, np.uint8)
    assert (ft.conv(x, weight, dtype=np.int64) == 80_000).all()
    assert (ft.conv(x, weight) == 80_000 % 256).all()
    assert ft.conv(x.astype(">u2"), weight, dtype=">i4").dtype.isnative


REJECTED = [
    np.longdouble, np.clongdouble, object, "U3", "S3", "M8[s]", "m8[s]", "V4", [("a", "f4")],
]  # fmt: skip


@pytest.mark.parametrize("dtype", REJECTED, ids=str)
def test_other_dtypes_are_rejected(dtype):
    good, weight, bias = np.ones((1, 1, 4)), np.ones((1, 1, 2)), np.ones(1)
    calls = [
        lambda: ft.conv(good.astype(dtype), weight),
        lambda: ft.conv(good, weight.astype(dtype)),
        lambda: ft.conv(good, weight, bias.astype(dtype)),
        lambda: ft.pad(good.astype(dtype), 1),
        lambda: ft.Conv(weight)(good.astype(dtype)),
        lambda: ft.Conv(weight, bias.astype(dtype)),
        lambda: ft.Pad(((1, 1),))(good.astype(dtype)),
    ]
    if dtype == [("a", "f4")]:
        good, weight, bias = (np.zeros(a.shape) for a in (good, weight, bias))
    for call in calls:
        with pytest.raises(ft.DTypeError):
            call()


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_masked_arrays_are_rejected(name):
    arrays = {"x": np.ones((1, 1, 4)), "weight": np.ones((1, 1, 2)), "bias": np.ones(1)}
    arrays[name] = np.ma.masked_array(arrays[name])
    with pytest.raises(ft.DTypeError, match="mask="):
        ft.conv(**arrays)


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64"])
def test_memory_maps(tmp_path, dtype):
    x, weight = small_integers((1, 2, 5, 6), dtype), small_integers((2, 2, 2, 2), dtype, 1)
    mapped = np.memmap(tmp_path / "x", dtype, "w+", shape=x.shape)
    mapped[...] = x
    mapped.flush()
    for mode in ("r", "r+", "c"):
        data = np.memmap(tmp_path / "x", dtype, mode, shape=x.shape)
        y = ft.conv(data, weight)
        assert type(y) is np.ndarray
        assert np.array_equal(y, direct_sum(x, weight))
        padded = ft.pad(data, 1)
        assert type(padded) is np.ndarray
        assert np.array_equal(padded, np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]))
    assert np.array_equal(np.fromfile(tmp_path / "x", dtype).reshape(x.shape), x)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_are_arrays():
    x, weight = small_integers((2, 6), "int64"), small_integers((1, 2, 3), "int64", 1)
    y = ft.conv1d(np.matrix(x), weight)
    assert type(y) is np.ndarray
    assert np.array_equal(y, direct_sum(x[None], weight)[0])
    padded = ft.pad(np.matrix(x), ((1, 2),))
    assert type(padded) is np.ndarray
    assert padded.shape == (2, 9)
    assert ft.windows(np.matrix(x), (3,)).shape == (2, 4, 3)


def test_whatever_asarray_takes():
    x, weight = np.arange(12.0).reshape(1, 2, 6), np.ones((1, 2, 3))
    expected = ft.conv(x, weight)

    class Convertible:
        def __array__(self, dtype=None, copy=None):
            return np.array(x, dtype)

    class Interface:
        __array_interface__ = x.__array_interface__

    rows = [[array.array("d", channel) for channel in x[0]]]
    nested = tuple(tuple(map(np.float64, channel)) for channel in x[0])
    for given in (Convertible(), Interface(), memoryview(x), rows, [nested], list(x)):
        assert np.array_equal(ft.conv(given, weight), expected)
        assert np.array_equal(ft.Conv(weight)(given), expected)
        assert ft.pad(given, 1).shape == (1, 2, 8)
        assert ft.windows(given, 2).shape == (1, 2, 5, 2)


ZERO_D = np.float32(1), 3, 2.5, np.array(1j), True


@pytest.mark.parametrize("value", ZERO_D, ids=str)
def test_zero_dimensional_arrays_are_shape_errors(value):
    weight = np.ones((1, 1, 1))
    for call in (
        lambda: ft.conv(value, weight),
        lambda: ft.conv(np.ones((1, 1, 1)), value),
        lambda: ft.conv(np.ones((1, 1, 1)), weight, value),
        lambda: ft.pad(value, 1),
        lambda: ft.windows(value, 1),
        lambda: ft.Conv(weight)(value),
    ):
        with pytest.raises(ft.ShapeError):
            call()


@pytest.mark.parametrize("dtype", ["float32", "int8", "complex128", "bool", BFLOAT16], ids=str)
def test_zero_size_axes(dtype):
    """Batch 0 and O = 0 are empty, C = 0 is zeros plus bias, an empty output axis raises."""
    x, weight = np.ones((2, 3, 4, 5), dtype), np.ones((4, 3, 2, 2), dtype)
    bias = small_integers((4,), dtype, 3)
    for name, y in through_every_algorithm(ft.conv, x[:0], weight, bias):
        assert (y.shape, y.dtype) == ((0, 4, 3, 4), np.dtype(dtype)), name
    for name, y in through_every_algorithm(ft.conv, x, weight[:0], bias[:0]):
        assert (y.shape, y.dtype) == ((2, 0, 3, 4), np.dtype(dtype)), name
    for name, y in through_every_algorithm(ft.conv, x[:, :0], weight[:, :0], bias):
        assert (y.shape, y.dtype) == ((2, 4, 3, 4), np.dtype(dtype)), name
        assert np.array_equal(y, np.broadcast_to(bias[:, None, None], y.shape)), name
    for name, y in through_every_algorithm(ft.conv, x[:, :0], weight[:, :0]):
        assert np.array_equal(y, np.zeros((2, 4, 3, 4), dtype)), name
    for axis in (2, 3):
        empty = np.take(x, [], axis)
        with pytest.raises(ft.WindowError):
            ft.conv(empty, weight)
        for name, y in through_every_algorithm(ft.conv, empty, weight, bias, padding=1):
            assert np.array_equal(y, np.broadcast_to(bias[:, None, None], y.shape)), name
        for mode in ("reflect", "edge", "symmetric", "wrap"):
            with pytest.raises(ft.WindowError):
                ft.conv(empty, weight, padding=1, padding_mode=mode)
        with pytest.raises(ft.WindowError):
            ft.conv(x, np.take(weight, [], axis))
        with pytest.raises(ft.WindowError):
            ft.pad(empty, 0)
        with pytest.raises(ft.WindowError):
            ft.windows(empty, 1)
        for name, y in through_every_algorithm(ft.pad, empty, 1):
            assert y.shape == tuple(n + 2 * (i > 1) for i, n in enumerate(empty.shape)), name
            assert not y.any()
    for part in (x[:0], x[:, :0]):
        padded = ft.pad(part, 1, "reflect")
        assert padded.shape == (*part.shape[:2], 6, 7)
        assert ft.windows(part, 2).shape == (*part.shape[:2], 3, 4, 2, 2)


def test_groups_of_empty_arrays():
    x, weight = np.ones((1, 0, 4)), np.ones((2, 0, 2))
    assert np.array_equal(ft.conv(x, weight, groups=2), np.zeros((1, 2, 3)))
    operator = ft.Conv(weight)
    assert operator.output_shape((0, 0, 4)) == (0, 2, 3)
    assert operator.describe((1, 0, 4)).macs == 0


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_every_rank(rank):
    x = small_integers((2, 2, *range(3, 3 + rank)), "int64")
    weight = small_integers((2, 1, *[2] * rank), "int64", 1)
    for mode in ("zeros", "reflect"):
        runs = through_every_algorithm(
            ft.conv, x, weight, groups=2, padding=1, stride=2, padding_mode=mode
        )
        expected = direct_sum(x, weight, groups=2, padding=1, stride=2, mode=mode)
        for name, y in runs:
            assert np.array_equal(y, expected), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_relu_of_every_dtype(dtype):
    x, weight = small_integers((2, 2, 5), dtype), small_integers((3, 2, 2), dtype, 1)
    bias = small_integers((3,), dtype, 2)
    if dtype.kind == "c":
        with pytest.raises(ft.DTypeError, match="relu"):
            ft.Conv(weight, bias, activation="relu")(x)
        return
    operator = ft.Conv(weight, bias, activation="relu")
    expected = direct_sum(x, weight, bias)
    y = operator(x)
    assert y.dtype == dtype
    assert np.array_equal(y, np.where(expected > 0, expected, np.zeros((), dtype)))
    assert np.array_equal(operator.reference(x).astype(dtype), y)


def test_small_inputs_need_no_compiler():
    script = (
        "import sys; sys.modules['numba'] = None\n"
        "import numpy as np, faltung as ft\n"
        "for dtype in ('float32', 'float64', 'complex64', 'int8', 'bool', 'float16'):\n"
        "    x, w = np.ones((1, 2, 6, 8), dtype), np.ones((3, 2, 1, 2), dtype)\n"
        "    for mode in ('zeros', 'reflect', 'blank'):\n"
        "        assert ft.conv2d(x, w, padding=1, padding_mode=mode).shape == (1, 3, 8, 9)\n"
        "    assert ft.pad(x, 1).shape == (1, 2, 8, 10)\n"
        "assert not {'llvmlite', 'scipy'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
