"""Coverage of layers that generate their kernels against changed inputs, streams against a call."""

import numpy as np
import pytest

import faltung as ft

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "blank")


def random_layer(rng):
    """A layer with positive weights, so that every cell that it sees counts, and its data."""
    rank, groups = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    kernel, stride, dilation, reduce, span = (
        tuple(map(int, rng.integers(1, most, rank))) for most in (4, 4, 3, 4, 3)
    )
    taps, is_last = int(np.prod(kernel)) * groups, bool(rng.integers(2))
    mode = MODES[rng.integers(len(MODES))]
    layer = ft.InvolutionLayer(
        rng.random((3, 2 * groups, *reduce)) + 0.1,
        rng.random((taps, 3, *span)) + 0.1,
        kernel_size=kernel,
        groups=groups,
        stride=stride,
        dilation=dilation,
        padding=(None, "same", "same_lower", "causal")[rng.integers(4)],
        padding_mode=mode,
        padding_value=2.0 if mode == "constant" else 0,
        reduce_bias=rng.random(3),
        span_bias=rng.random(taps),
        activation=(None, "relu")[rng.integers(2)],
        data_format="channels_last" if is_last else "channels_first",
    )
    cells = tuple(map(int, rng.integers(1, 14 if rank == 1 else 7, rank)))
    shape = (*cells, 2 * groups) if is_last else (2 * groups, *cells)
    return layer, rng.random((2, *shape) if rng.integers(2) else shape) + 0.5


def changes(layer, x, rng):
    """For each cell, which outputs change with it: (cells, outputs), one axis each."""
    axes = layer._spatial_axes(x.shape)
    y = layer(x)
    seen = []
    for place in np.ndindex(*(x.shape[axis] for axis in axes)):
        other = x.copy()
        where = [slice(None)] * x.ndim
        for axis, cell in zip(axes, place, strict=True):
            where[axis] = cell
        other[tuple(where)] += rng.random()
        others = tuple(axis for axis in range(x.ndim) if axis not in axes)
        seen.append((layer(other) != y).any(axis=others).ravel())
    return np.array(seen)


@pytest.mark.parametrize("seed", range(40))
def test_coverage_is_what_changed_cells_change(seed):
    rng = np.random.default_rng(seed)
    layer, x = random_layer(rng)
    changed = changes(layer, x, rng)
    for of, axis in (("input", 1), ("output", 0)):
        assert np.array_equal(layer.coverage(x.shape, of).ravel(), changed.sum(axis=axis)), layer


def refusal_of(layer, place, x):
    """What a stream without length says of its first chunk, if it refuses it."""
    try:
        layer.stream(place).push(x)
    except ft.OptionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(80))
def test_a_stream_gives_what_one_call_gives(seed):
    rng = np.random.default_rng(seed)
    layer, x = random_layer(rng)
    axes = layer._spatial_axes(x.shape)
    place = int(rng.integers(len(axes)))
    axis, whole = axes[place], layer(x)
    cuts = np.sort(rng.integers(0, x.shape[axis] + 1, rng.integers(0, 6)))
    length, refusal = None, refusal_of(layer, place, x)
    if refusal:
        assert "InvolutionLayer: length is None" in refusal
        assert layer.padding in ("same", "same_lower")
        assert layer.stride[place] > 1
        length = x.shape[axis]
    stream = layer.stream(place, length)
    parts = [stream.push(chunk) for chunk in np.split(x, cuts, axis=axis)]
    joined = np.concatenate([*parts, stream.flush()], axis=axis)
    assert joined.shape == whole.shape
    assert np.allclose(joined, whole), layer


def test_a_stream_keeps_little_and_gives_the_same_bits():
    with ft.reproducible():
        layer = ft.InvolutionLayer.init(4, (5,), groups=2, stride=2, rng=0)
    x = np.random.default_rng(1).standard_normal((4, 400)).astype(np.float32)
    stream = layer.stream()
    parts = []
    for chunk in np.split(x, 40, axis=1):
        parts.append(stream.push(chunk))
        assert stream.held < 30
    assert np.array_equal(np.concatenate([*parts, stream.flush()], axis=1), layer(x))


def test_layers_in_chains_stream_too():
    chain = ft.Sequential(
        ft.InvolutionLayer.init(4, (3,), groups=2, rng=0), ft.Conv.init(2, 4, (3,), rng=0)
    )
    x = np.random.default_rng(0).standard_normal((4, 30)).astype(np.float32)
    for length in (None, 30):
        stream = chain.stream(length=length)
        parts = [stream.push(chunk) for chunk in np.split(x, 5, axis=1)]
        assert np.allclose(np.concatenate([*parts, stream.flush()], axis=1), chain(x), atol=1e-6)


def test_refusals():
    layer = ft.InvolutionLayer.init(4, 3, rng=0)
    shape = 1, 4, 5, 5
    for ask in (layer.matrix, layer.linear_operator, layer.adjoint, lambda _: layer.T):
        with pytest.raises(ft.NotLinearError, match=r"InvolutionLayer: .*Linear are Adaptive"):
            ask(shape)
    cases = (
        (lambda: layer.coverage(shape, of="both"), ft.OptionError, "of is 'both'"),
        (lambda: layer.coverage((1, 3, 5, 5)), ft.ShapeError, "x has 3 channels, reduce expects"),
        (lambda: ft.Sequential(layer).coverage(shape), ft.OptionError, "in two ways"),
        (lambda: layer.stream("last"), ft.OptionError, "axis is 'last'"),
        (lambda: layer.stream(2).push(np.ones(shape)), ft.OptionError, "there are 2 spatial axes"),
        (lambda: layer.stream().push(np.ones((1, 3, 5, 5))), ft.ShapeError, "reduce expects 4"),
        (lambda: layer.stream().flush(), ft.ShapeError, "no chunk was pushed"),
    )
    for call, kind, words in cases:
        with pytest.raises(kind, match=words):
            call()
    stream = layer.stream()
    stream.push(np.ones(shape))
    stream.flush()
    for again in (stream.flush, lambda: stream.push(np.ones(shape))):
        with pytest.raises(ft.OptionError, match="InvolutionLayer: the stream was flushed"):
            again()
    wrapped = ft.InvolutionLayer(
        np.ones((1, 1, 1)), np.ones((3, 1, 1)), kernel_size=3, groups=1, padding_mode="wrap"
    )
    with pytest.raises(ft.OptionError, match="padding_mode is 'wrap'"):
        wrapped.stream().push(np.ones((1, 5)))
