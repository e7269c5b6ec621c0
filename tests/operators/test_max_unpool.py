"""Max unpooling against assignments one by one, as the way back of max pooling, and its layouts."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import faltung as ft
from faltung.plans import _resources, _spread, stencil

DTYPES = ["bool", "int8", "uint64", "float16", "float32", "float64", "complex64", "complex128"]


def assigned_one_by_one(x, indices, sizes):
    y = np.zeros((*x.shape[:2], int(np.prod(sizes))), x.dtype)
    for n, c in np.ndindex(*x.shape[:2]):
        pairs = zip(indices[n, c].ravel().tolist(), x[n, c].ravel().tolist(), strict=True)
        for position, value in pairs:
            y[n, c, position] = value
    return y.reshape(*x.shape[:2], *sizes)


def random_case(seed):
    """Data, a window and the size that PyTorch's formula gives."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    cells, kernel, stride = (rng.integers(1, top, rank).tolist() for top in (5, 5, 4))
    padding, sizes = [], []
    for n, k, s in zip(cells, kernel, stride, strict=True):
        whole = (n - 1) * s + k
        before = int(rng.integers(0, min(k, whole)))
        after = int(rng.integers(0, min(k, whole - before)))
        padding.append((before, after))
        sizes.append(whole - before - after)
    x = rng.integers(-99, 100, (2, 1 + seed % 4, *cells))
    indices = rng.integers(0, np.prod(sizes), x.shape)
    window = {"kernel_size": tuple(kernel), "stride": tuple(stride), "padding": tuple(padding)}
    return x, indices, window, sizes


@pytest.mark.parametrize("seed", range(300))
def test_values_go_to_their_positions(seed):
    x, indices, window, sizes = random_case(seed)
    expected = assigned_one_by_one(x, indices, sizes)
    y = ft.max_unpool(x, indices, **window)
    assert np.array_equal(y, expected)
    assert np.array_equal(ft.max_unpool(x[0], indices[0], **window), expected[0])
    operator = ft.MaxUnpool(indices, **window)
    assert np.array_equal(operator(x), expected)
    moved = np.moveaxis(x, 1, -1), np.moveaxis(indices, 1, -1)
    last = ft.max_unpool(*moved, **window, data_format="channels_last")
    assert np.array_equal(last, np.moveaxis(expected, 1, -1))
    operator = ft.MaxUnpool(moved[1], **window, data_format="channels_last")
    assert np.array_equal(operator(moved[0]), last)
    assert np.array_equal(operator.reference(moved[0]), last)


@pytest.mark.parametrize("seed", range(200))
def test_it_is_the_way_back_of_max_pool(seed):
    """Each largest cell is where it was, whatever the window; the other cells are 0."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    kernel, stride = (rng.integers(1, 4, rank).tolist() for _ in range(2))
    spatial = (rng.integers(3, 9, rank)).tolist()
    ends = [tuple(rng.integers(0, k, 2).tolist()) for k in kernel]
    padding = ("same", "same_lower", "valid", "full", "causal", 0, ends)[seed % 7]
    pooling = {"kernel_size": kernel, "stride": stride, "padding": padding}
    x = rng.permutation(2 * 3 * int(np.prod(spatial))).reshape(2, 3, *spatial) + 1
    for data_format in ("channels_first", "channels_last"):
        given = x if data_format == "channels_first" else np.moveaxis(x, 1, -1)
        more = {"return_indices": True, "ceil_mode": bool(seed % 2), "data_format": data_format}
        largest, indices = ft.max_pool(given, **pooling, **more)
        y = ft.max_unpool(largest, indices, **pooling, output_size=spatial, data_format=data_format)
        assert y.shape == given.shape
        assert np.array_equal(y, np.where(np.isin(given, largest), given, 0))


def test_overlapping_windows_with_ceil_mode():
    x = np.random.default_rng(0).standard_normal((2, 3, 10, 9))
    pooling = {"kernel_size": 3, "stride": 2, "padding": 1}
    largest, indices = ft.max_pool(x, **pooling, ceil_mode=True, return_indices=True)
    y = ft.max_unpool(largest, indices, **pooling, output_size=x.shape)
    assert np.array_equal(y, assigned_one_by_one(largest, indices, (10, 9)))


def test_the_last_of_equal_positions_stays():
    x = np.arange(1, 10**5 + 1)[None]
    indices = np.zeros(x.shape, np.int64)
    y = ft.max_unpool(x, indices, (1,))
    assert y[0, 0] == 10**5
    assert np.count_nonzero(y) == 1
    indices = np.random.default_rng(0).integers(0, 1000, (1, 2, 300, 400))
    x = np.arange(indices.size).reshape(indices.shape)
    y = ft.max_unpool2d(x, indices, 1)
    assert np.array_equal(y, assigned_one_by_one(x, indices, (300, 400)))


@pytest.mark.parametrize("most_marks", [0, 2**22])
@pytest.mark.parametrize("at_once", [1, 2, 5, 7, 12, 60])
def test_blocks_keep_the_order(monkeypatch, at_once, most_marks):
    monkeypatch.setattr(_spread, "AT_ONCE", at_once)
    monkeypatch.setattr(_spread, "MOST_MARKS", most_marks)
    for seed in range(20):
        x, indices, window, sizes = random_case(seed)
        expected = assigned_one_by_one(x, indices, sizes)
        assert np.array_equal(ft.max_unpool(x, indices, **window, algorithm="stencil"), expected)


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16], ids=str)
def test_every_dtype_of_values(dtype):
    x = np.array([[1, 0, 1, 1]]).astype(dtype)
    y = ft.max_unpool(x, [[6, 1, 0, 6]], (2,))
    assert y.dtype == dtype
    assert np.array_equal(y, np.array([[1, 0, 0, 0, 0, 0, 1, 0]]).astype(dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", ">i4", "uint32", "<u8", ">i8"])
def test_every_dtype_of_indices(dtype):
    x = np.array([[5, 7, 9]], np.float32)
    y = ft.max_unpool(x, np.array([[5, 0, 2]], dtype)[:, ::-1][:, ::-1], (2,))
    assert y.dtype == np.float32
    assert y.tolist() == [[7, 0, 9, 0, 0, 5]]


def test_special_values_are_kept_bit_by_bit():
    bits = np.array([[0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x7F800000]], np.uint32)
    y = ft.max_unpool(bits.view(np.float32), [[8, 6, 4, 2, 0]], (2,))
    assert y.view(np.uint32)[0, ::2].tolist() == bits[0, ::-1].tolist()
    assert not y.view(np.uint32)[0, 1::2].any()


@pytest.mark.parametrize(
    ("shape", "window", "output_size", "expected"),
    [
        ((2, 3, 4, 5), {"kernel_size": 2}, None, (2, 3, 8, 10)),
        ((3, 4, 5), {"kernel_size": (3, 2), "stride": 2}, None, (3, 9, 10)),
        ((2, 3, 4, 5), {"kernel_size": 3, "stride": 2, "padding": 1}, None, (2, 3, 7, 9)),
        ((2, 3, 4, 5), {"kernel_size": 3, "stride": 2, "padding": "same"}, None, (2, 3, 8, 10)),
        ((2, 3, 4, 5), {"kernel_size": 2}, (9, 11), (2, 3, 9, 11)),
        ((2, 3, 4, 5), {"kernel_size": 2}, (3, 9, 11), (2, 3, 9, 11)),
        ((2, 3, 4, 5), {"kernel_size": 2}, (2, 3, 7, 9), (2, 3, 7, 9)),
        ((3, 4, 5), {"kernel_size": (2, 2)}, (3, 9, 11), (3, 9, 11)),
        ((2, 3, 4), {"kernel_size": 2}, 9, (2, 3, 9)),
    ],
)
def test_sizes(shape, window, output_size, expected):
    indices = np.zeros(shape, np.int64)
    operator = ft.MaxUnpool(indices, **window, output_size=output_size)
    assert operator.output_shape(shape) == expected
    assert operator(np.ones(shape)).shape == expected


def test_channels_last_sizes():
    indices = np.zeros((2, 4, 5, 3), np.int64)
    for size in ((9, 11), (2, 9, 11, 3)):
        y = ft.max_unpool(
            np.ones(indices.shape), indices, 2, output_size=size, data_format="channels_last"
        )
        assert y.shape == (2, 9, 11, 3)


def test_ranked_variants():
    for rank, function in enumerate((ft.max_unpool1d, ft.max_unpool2d, ft.max_unpool3d), 1):
        x = np.ones((2, *(2,) * rank))
        indices = np.arange(2**rank).reshape(x.shape[1:])[None].repeat(2, 0)
        assert function(x, indices, 2).shape == (2, *(4,) * rank)
        with pytest.raises(ft.FaltungError, match=f"max_unpool{rank}d"):
            function(x[0], indices[0], 2)
        with pytest.raises(ft.WindowError, match=f"expected {rank}"):
            function(x, indices, (2,) * (rank + 1))


def test_no_batch_and_no_channel():
    for shape in ((0, 3, 2, 2), (3, 0, 2, 2)):
        y = ft.max_unpool(np.ones(shape), np.zeros(shape, np.int64), 2)
        assert y.shape == (*shape[:2], 4, 4)


def test_it_counts_nothing_but_cells():
    report = ft.MaxUnpool(np.zeros((1, 2, 3, 3), int), 2).describe((1, 2, 3, 3))
    assert report.macs == 0
    assert report.matrix_shape == (2 * 36, 2 * 9)
    assert report.matrix_nonzeros == 18


def test_workspace_keeps_the_promise():
    problem = ft.MaxUnpool(np.zeros((1, 8, 512, 512), np.int8), 2)._bind(
        (1, 8, 512, 512), np.dtype(np.float32)
    ).problem  # fmt: skip
    assert stencil.workspace(problem) <= _resources.WORKSPACE


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_memory_that_is_really_taken(data_format):
    x = np.broadcast_to(np.float32(1), (1, 2, 1000, 1000))
    indices = np.broadcast_to(np.arange(10**6).reshape(1000, 1000) * 4, x.shape)
    out = np.empty((1, 2, 2000, 2000), np.float32)
    if data_format == "channels_last":
        x, indices, out = (np.moveaxis(a, 1, -1) for a in (x, indices, out))
    tracemalloc.start()
    ft.max_unpool(x, indices, 2, out=out, data_format=data_format, algorithm="stencil")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < _resources.WORKSPACE
    assert np.count_nonzero(out) == x.size


ONES, ZEROS = np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2), np.int64)


@pytest.mark.parametrize(
    ("indices", "parameters", "kind", "words"),
    [
        (ZEROS + 16, {}, ft.PositionError, "is 16, expected a position from 0 to 15"),
        (ZEROS - 1, {}, ft.PositionError, "indices[0, 0, 0, 0] is -1"),
        (np.arange(12, 20).reshape(ZEROS.shape), {}, ft.PositionError, "indices[0, 1, 1, 1] is 19"),
        (ZEROS.astype(np.uint64) + np.uint64(2**63), {}, ft.PositionError, "9223372036854775808"),
        (ZEROS.astype(float), {}, ft.DTypeError, "indices has dtype float64, expected integers"),
        (ZEROS.astype(bool), {}, ft.DTypeError, "indices has dtype bool"),
        (None, {}, ft.DTypeError, "indices"),
        (ZEROS[0], {}, ft.ShapeError, "indices has shape (2, 2, 2), x has (1, 2, 2, 2)"),
        (ZEROS[..., :1], {}, ft.ShapeError, "one position for each cell"),
        (ZEROS, {"output_size": (6, 4)}, ft.WindowError, "starts from 3 to 5 cells"),
        (ZEROS, {"output_size": (1, 2, 3, 4, 4)}, ft.WindowError, "has 5 entries"),
        (ZEROS, {"output_size": (3, 4, 4)}, ft.ShapeError, "has (3,) for batch and channels"),
        (ZEROS, {"output_size": 4.0}, ft.WindowError, "output_size is 4.0"),
        (ZEROS, {"padding": 2}, ft.WindowError, "padding removes 4 cells of 4"),
        (ZEROS, {"padding": -1}, ft.WindowError, "padding is -1"),
        (ZEROS, {"stride": 0}, ft.WindowError, "stride is 0"),
        (ZEROS, {"stride": (2, 2, 2)}, ft.WindowError, "stride (2, 2, 2) has 3 entries"),
        (ZEROS, {"kernel_size": 0}, ft.WindowError, "kernel_size is 0"),
        (ZEROS, {"algorithm": "copying"}, ft.OptionError, "'copying' cannot do this"),
        (ZEROS, {"out": np.zeros((1, 2, 4, 5))}, ft.ShapeError, "(1, 2, 4, 4)"),
    ],
)  # fmt: skip
def test_bad_calls_say_what_is_wrong(indices, parameters, kind, words):
    with pytest.raises(kind, match="max_unpool: ") as caught:
        ft.max_unpool(ONES, indices, **{"kernel_size": 2, **parameters})
    assert words in str(caught.value)


def test_an_operator_is_refused_when_it_is_made():
    with pytest.raises(ft.PositionError, match=r"MaxUnpool: indices\[0, 0, 0, 0\] is 16"):
        ft.MaxUnpool(ZEROS + 16, 2)
    with pytest.raises(ft.ShapeError, match="one position for each cell"):
        ft.MaxUnpool(ZEROS, 2)(ONES[0])
    with pytest.raises(ft.PositionError, match="is 24"):
        ft.MaxUnpool(ZEROS + 24, 2, output_size=(4, 5))
    ft.MaxUnpool(ZEROS + 24, 2, output_size=(5, 5))


def test_out_is_left_alone_by_an_error():
    out = np.full((1, 2, 4, 4), 7.0)
    with pytest.raises(ft.PositionError):
        ft.max_unpool(ONES, ZEROS + 99, 2, out=out)
    assert (out == 7).all()


def test_axes_without_cells():
    with pytest.raises(ft.WindowError, match="0 cells"):
        ft.max_unpool(np.ones((1, 1, 0, 3)), np.ones((1, 1, 0, 3), int), 2)
