"""``out=``: what may be given, what comes back, and what an error leaves behind."""

import itertools

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import faltung as ft
from direct_sums import direct_sum, through_every_algorithm

DTYPES = ["bool", "int8", "uint8", "int32", "int64", "uint64"]
DTYPES += ["float16", "float32", "float64", "complex64", "complex128"]
ALGORITHMS = [None, "direct", "stencil"]


def data(shape, dtype="float32", seed=0):
    values = np.random.default_rng(seed).integers(0, 4, shape)
    return values.astype(dtype)


def buffer_of(count, dtype="float32", seed=0):
    return data((count,), dtype, seed)


def in_place():
    x = data((2, 2, 5, 6))
    return x, data((2, 2, 3, 3), seed=1), None, x


def shifted(step):
    def make():
        cells = 2 * 2 * 5 * 6
        line = buffer_of(cells + 40)
        start = 20 + step
        return (
            line[20 : 20 + cells].reshape(2, 2, 5, 6), data((2, 2, 3, 3), seed=1), None,
            line[start : start + cells].reshape(2, 2, 5, 6),
        )  # fmt: skip

    return make


def reversed_cells():
    x = data((2, 2, 5, 6))
    return x, data((2, 2, 3, 3), seed=1), None, x[:, :, ::-1, ::-1]


def reversed_batch_and_channels():
    x = data((2, 2, 5, 6))
    return x, data((2, 2, 3, 3), seed=1), None, x[::-1, ::-1]


def transposed():
    x = data((2, 2, 6, 6))
    return x, data((2, 2, 3, 3), seed=1), None, x.swapaxes(2, 3)


def channels_and_batch_swapped():
    x = data((2, 2, 5, 6))
    return x, data((2, 2, 3, 3), seed=1), None, x.swapaxes(0, 1)


def interleaved():
    line = buffer_of(2 * 120)
    return (
        line[::2].reshape(2, 2, 5, 6), data((2, 2, 3, 3), seed=1), None,
        as_strided(line[1:], (2, 2, 5, 6), [4 * 2 * n for n in (60, 30, 6, 1)]),
    )  # fmt: skip


def on_the_weight():
    line = buffer_of(2 * 2 * 5 * 6)
    return data((2, 2, 5, 6)), line[7 : 7 + 36].reshape(2, 2, 3, 3), None, line.reshape(2, 2, 5, 6)


def on_the_bias():
    line = buffer_of(2 * 2 * 5 * 6)
    weight = data((2, 2, 3, 3), seed=1)
    return data((2, 2, 5, 6)), weight, line[:2], line.reshape(2, 2, 5, 6)


def on_everything():
    line = buffer_of(2 * 2 * 5 * 6)
    x = line.reshape(2, 2, 5, 6)
    return x, line[:36].reshape(2, 2, 3, 3), line[-2:], x


def wider_over_narrow():
    line = np.zeros(120)
    narrow = line.view(np.float32)[60:180]
    narrow[:] = buffer_of(120)
    return narrow.reshape(2, 2, 5, 6), data((2, 2, 3, 3), seed=1), None, line.reshape(2, 2, 5, 6)


def broadcast_from_out():
    out = data((2, 2, 5, 6))
    return (
        np.broadcast_to(out[1:, 1:, 2:3, 3:4], (2, 2, 5, 6)),
        data((2, 2, 3, 3), seed=1),
        None,
        out,
    )


PATTERNS = {
    "in place": in_place,
    "one cell later": shifted(1),
    "one cell earlier": shifted(-1),
    "one row later": shifted(6),
    "half a row earlier": shifted(-3),
    "reversed": reversed_cells,
    "reversed channels": reversed_batch_and_channels,
    "transposed": transposed,
    "batch for channels": channels_and_batch_swapped,
    "interleaved": interleaved,
    "on the weight": on_the_weight,
    "on the bias": on_the_bias,
    "on everything": on_everything,
    "wider": wider_over_narrow,
    "broadcast": broadcast_from_out,
}


def accepts(call):
    """Whether the algorithm does the case; tried without out."""
    try:
        call()
    except ft.OptionError:
        return False
    return True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_overlapping_out_of_conv(pattern, algorithm):
    for mode in ("zeros", "reflect"):
        x, weight, bias, out = PATTERNS[pattern]()
        options = {"padding": 1, "padding_mode": mode, "algorithm": algorithm}
        if not accepts(lambda: ft.conv(x, weight, bias, **options)):  # noqa: B023
            pytest.skip("the algorithm does not do this")
        expected = direct_sum(
            x.copy(), weight.copy(), None if bias is None else bias.copy(), padding=1, mode=mode
        )
        assert ft.conv(x, weight, bias, **options, out=out) is out
        assert np.array_equal(out, expected), mode


@pytest.mark.parametrize("pattern", PATTERNS)
def test_overlapping_out_of_operators_and_pad(pattern):
    x, weight, bias, out = PATTERNS[pattern]()
    operator = ft.Conv(weight, bias, padding="same")
    expected = operator(x.copy())
    assert operator(x, out=out) is out
    assert np.array_equal(out, expected)
    for widths in (((0, 0), (0, 0)), ((1, -1), (-2, 2))):
        for mode in ("zeros", "wrap", "symmetric"):
            x, _, _, out = PATTERNS[pattern]()
            expected = ft.pad(x.copy(), widths, mode)
            assert ft.pad(x, widths, mode, out=out) is out
            assert np.array_equal(out, expected), (widths, mode)


def test_growing_pad_into_its_own_buffer():
    for start, mode in itertools.product((0, 3, 17, 42), ("zeros", "edge", "reflect", "wrap")):
        line = buffer_of(7 * 8 + 4)
        x, out = line[start : start + 18].reshape(1, 1, 3, 6), line[2:58].reshape(1, 1, 7, 8)
        expected = np.pad(x[0, 0], [(2, 2), (1, 1)], **({} if mode == "zeros" else {"mode": mode}))
        assert ft.pad(x, (2, 1), mode, out=out) is out
        assert np.array_equal(out[0, 0], expected), (start, mode)


def test_overlap_in_the_other_layouts():
    weight = data((3, 3, 3, 3), seed=1)
    for data_format, index in (("channels_last", ...), ("channels_last", 0), ("channels_first", 0)):
        x = data((2, 3, 3, 3))[index]
        expected = ft.conv2d(x.copy(), weight, padding=1, data_format=data_format)
        for out in (x, x[::-1], x.swapaxes(-3, -2)):
            given = x.copy()
            for name, y in through_every_algorithm(
                ft.conv2d, given, weight, padding=1, data_format=data_format
            ):
                assert np.array_equal(y, expected), name
            before = x.copy()
            ft.conv2d(x, weight, padding=1, data_format=data_format, out=out)
            assert np.array_equal(out, expected)
            x[...] = before


def memory_orders(shape, dtype):
    """Writable arrays of one shape in many memory orders."""
    wide = np.zeros([2 * n + 1 for n in shape], dtype)
    raw = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize + 1, np.uint8)
    yield np.zeros(shape, dtype)
    yield np.zeros(shape, dtype, order="F")
    yield wide[tuple(slice(1, None, 2) for _ in shape)]
    yield np.zeros(shape, dtype)[(slice(None, None, -1),) * len(shape)]
    yield np.zeros(shape[::-1], dtype).transpose()
    yield raw[1:].view(dtype).reshape(shape)
    yield np.zeros(shape, np.dtype(dtype).newbyteorder("S"))
    yield np.zeros(shape, [("a", "u1"), ("b", dtype)])["b"]
    yield np.zeros(shape, dtype).view(type("Subclass", (np.ndarray,), {}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("dtype", ["float32", "int16", "complex128", "float16"])
def test_every_memory_order_of_out(dtype, algorithm):
    x, weight = data((2, 3, 5, 6), dtype), data((4, 3, 2, 3), dtype, 1)
    if not accepts(lambda: ft.conv(x, weight, algorithm=algorithm)):
        pytest.skip("the algorithm does not do this")
    expected = direct_sum(x, weight)
    for out in memory_orders(expected.shape, dtype):
        assert ft.conv(x, weight, out=out, algorithm=algorithm) is out
        assert np.array_equal(np.asarray(out), expected)
    if accepts(lambda: ft.pad(x, 1, algorithm=algorithm)):
        for out in memory_orders((2, 3, 7, 8), dtype):
            assert ft.pad(x, 1, out=out, algorithm=algorithm) is out
            assert np.array_equal(np.asarray(out), np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cells_between_those_of_out_stay(algorithm):
    x, weight = data((2, 3, 5, 6)), data((4, 3, 2, 3), seed=1)
    if not accepts(lambda: ft.conv(x, weight, algorithm=algorithm)):
        pytest.skip("the algorithm does not do this")
    expected = direct_sum(x, weight)
    wide = np.full((5, 9, 9, 9), -7.0, np.float32)
    inside = np.zeros(wide.shape, bool)
    index = slice(1, 5, 2), slice(1, 9, 2), slice(1, 9, 2), slice(1, 9, 2)
    inside[index] = True
    out = wide[index]
    ft.conv(x, weight, out=out, algorithm=algorithm)
    assert np.array_equal(out, expected)
    assert (wide[~inside] == -7).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_takes_what_the_result_casts_to_safely(dtype):
    x, weight = data((1, 2, 5), dtype), data((3, 2, 2), dtype, 1)
    y, padded = ft.conv(x, weight), ft.pad(x, 1)
    for other in DTYPES:
        out, wide = np.full(y.shape, 1, other), np.full(padded.shape, 1, other)
        if np.can_cast(dtype, other, "safe"):
            assert ft.conv(x, weight, out=out) is out
            assert np.array_equal(out, y.astype(other))
            assert ft.pad(x, 1, out=wide) is wide
            assert np.array_equal(wide, padded.astype(other))
            assert ft.Conv(weight)(x, out=out) is out
        else:
            for call in (
                lambda: ft.conv(x, weight, out=out),  # noqa: B023
                lambda: ft.pad(x, 1, out=wide),  # noqa: B023
                lambda: ft.Conv(weight)(x, out=out),  # noqa: B023
                lambda: ft.Pad(((1, 1),))(x, out=wide),  # noqa: B023
            ):
                with pytest.raises(ft.DTypeError, match="out"):
                    call()
            assert (out == 1).all()
            assert (wide == 1).all()


def test_out_does_not_change_the_dtype_of_the_arithmetic():
    """uint8 wraps although out is wider; `dtype=` is what widens."""
    x, weight = np.full((1, 1, 3), 200, np.uint8), np.full((1, 1, 1), 2, np.uint8)
    assert (ft.conv(x, weight, out=np.zeros((1, 1, 3), np.int64)) == 144).all()
    out = np.zeros((1, 1, 3), np.int64)
    assert (ft.conv(x, weight, out=out, dtype=np.uint16) == 400).all()
    with pytest.raises(ft.DTypeError, match="out"):
        ft.conv(x, weight, out=np.zeros((1, 1, 3), np.uint8), dtype=np.uint16)


def test_error_leaves_out_alone():
    x, weight = data((1, 2, 6, 7)), data((4, 2, 3, 3), seed=1)
    shapes = [(1, 4, 4, 6), (1, 4, 4), (4, 4, 5), (2, 4, 4, 5), (1, 4, 5, 4), (1, 1, 4, 5), ()]
    for shape in shapes:
        out = np.full(shape, 5, np.float32)
        with pytest.raises(ft.ShapeError, match="out"):
            ft.conv(x, weight, out=out)
        assert (out == 5).all()
    bad = [{"stride": 0}, {"padding": "x"}, {"groups": 3}, {"dtype": "int8"}, {"algorithm": "x"},
           {"padding_mode": "x"}, {"bias": np.ones(3)}, {"precision": "x"}]  # fmt: skip
    for changes in bad:
        out = np.full((1, 4, 4, 5), 5, np.float32)
        with pytest.raises(ft.FaltungError):
            ft.conv(x, weight, **changes, out=out)
        assert (out == 5).all()


def test_read_only_out():
    x, weight = data((1, 2, 5)), data((3, 2, 2), seed=1)
    out = np.full((1, 3, 4), 5, np.float32)
    out.flags.writeable = False
    broadcast = np.broadcast_to(np.float32(5), (1, 3, 4))
    for given in (out, broadcast):
        for call in (ft.Conv(weight), lambda x, out: ft.conv(x, weight, out=out)):
            with pytest.raises(ft.FaltungError, match="out"):
                call(x, out=given)
        assert (given == 5).all()


def test_empty_out():
    x, weight = data((0, 2, 5)), data((3, 2, 2), seed=1)
    out = np.zeros((0, 3, 4), np.float32)
    assert ft.conv(x, weight, out=out) is out
    with pytest.raises(ft.ShapeError, match="out"):
        ft.conv(x, weight, out=np.zeros((0, 3, 5), np.float32))


def test_out_of_other_layouts():
    x, weight = data((2, 5, 6, 3)), data((4, 3, 2, 2), seed=1)
    expected = ft.conv(x, weight, data_format="channels_last")
    out = np.zeros((2, 4, 5, 4), np.float32)
    assert ft.conv(x, weight, data_format="channels_last", out=out) is out
    assert np.array_equal(out, expected)
    alone = np.zeros((4, 5, 4), np.float32)
    assert ft.conv(x[1], weight, data_format="channels_last", out=alone) is alone
    assert np.array_equal(alone, expected[1])
    with pytest.raises(ft.ShapeError, match="out"):
        ft.conv(x[1], weight, data_format="channels_last", out=out[:1])


def test_memory_mapped_out(tmp_path):
    x, weight = data((2, 3, 5)), data((4, 3, 2), seed=1)
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(2, 4, 4))
    assert ft.conv(x, weight, out=out) is out
    out.flush()
    written = np.fromfile(tmp_path / "out", np.float32).reshape(2, 4, 4)
    assert np.array_equal(written, direct_sum(x, weight))
    locked = np.memmap(tmp_path / "out", np.float32, "r", shape=(2, 4, 4))
    with pytest.raises(ft.FaltungError, match="out"):
        ft.conv(x, weight, out=locked)


def test_patterns_overlap():
    """The patterns are what they are called: out shares memory with an operand."""
    for name, make in PATTERNS.items():
        x, weight, bias, out = make()
        operands = [a for a in (x, weight, bias) if a is not None]
        assert any(np.may_share_memory(out, a) for a in operands), name
