"""InvolutionLayer against loops over pixels, its generator, its shapes, and as a value."""

import copy
import pickle

import numpy as np
import pytest

import faltung as ft


def same_conv(x, weight, bias):
    """A convolution that keeps the size, by shifted slices; x is (N, C, *cells)."""
    kernel = weight.shape[2:]
    ends = [((k - 1) // 2, k // 2) for k in kernel]
    padded = np.pad(x, [(0, 0), (0, 0), *ends])
    y = np.zeros((len(x), len(weight), *x.shape[2:]), np.result_type(x, weight))
    for taps in np.ndindex(*kernel):
        cut = tuple(slice(t, t + n) for t, n in zip(taps, x.shape[2:], strict=True))
        part = padded[(slice(None), slice(None), *cut)]
        y = y + np.einsum("oc,nc...->no...", weight[(slice(None), slice(None), *taps)], part)
    return y if bias is None else y + np.reshape(bias, (-1, *[1] * len(kernel)))


def block_means(x, stride):
    """The mean of each block of cells; the last blocks are what is left."""
    sizes = [-(-n // s) for n, s in zip(x.shape[2:], stride, strict=True)]
    y = np.zeros((*x.shape[:2], *sizes))
    for place in np.ndindex(*sizes):
        block = tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, stride, strict=True))
        cells = x[(slice(None), slice(None), *block)]
        y[(slice(None), slice(None), *place)] = cells.mean(axis=tuple(range(2, x.ndim)))
    return y


def expected_of(
    x, reduce, span, kernel, groups, stride, dilation=None, biases=(None, None), *, relu
):
    """The paper's algorithm, pixel by pixel."""
    rank = len(kernel)
    dilation = dilation or (1,) * rank
    means = x if max(stride) == 1 else block_means(x, stride)
    reduced = same_conv(means, reduce, biases[0])
    kernels = same_conv(np.maximum(reduced, 0) if relu else reduced, span, biases[1])
    kernels = kernels.reshape(len(x), groups, *kernel, *kernels.shape[2:])
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *((r // 2, r - r // 2) for r in reach)])
    y = np.zeros((*x.shape[:2], *kernels.shape[-rank:]), kernels.dtype)
    for n, c, *place in np.ndindex(*y.shape):
        for taps in np.ndindex(*kernel):
            cell = (i * s + t * d for i, s, t, d in zip(place, stride, taps, dilation, strict=True))
            own = kernels[(n, c // (x.shape[1] // groups), *taps, *place)]
            y[(n, c, *place)] += own * padded[(n, c, *cell)]
    return y


def random_case(seed):
    """Integers, with strides whose means are exact in binary."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    groups, per_group = rng.integers(1, 4, 2).tolist()
    kernel = tuple(rng.integers(1, 5 if rank < 3 else 3, rank).tolist())
    stride = tuple(rng.choice([1, 2, 4], rank).tolist())
    dilation = tuple(rng.integers(1, 3, rank).tolist())
    cells = rng.integers(1, (14, 8, 4)[rank - 1], rank).tolist()
    channels, reduced = groups * per_group, int(rng.integers(1, 4))
    size = (1,) * rank if seed % 4 else tuple(rng.integers(1, 4, rank).tolist())
    reduce = rng.integers(-3, 4, (reduced, channels, *size)).astype(float)
    span = rng.integers(-3, 4, (int(np.prod(kernel)) * groups, reduced, *size)).astype(float)
    biases = [None, None]
    if seed % 2:
        biases = [rng.integers(-3, 4, len(weight)).astype(float) for weight in (reduce, span)]
    x = rng.integers(-3, 4, (2, channels, *cells)) * 2.0**8
    return x, reduce, span, kernel, groups, stride, dilation, biases


@pytest.mark.parametrize("seed", range(150))
def test_it_is_the_papers_algorithm(seed):
    x, reduce, span, kernel, groups, stride, dilation, biases = random_case(seed)
    relu = seed % 3 == 0
    wanted = expected_of(x, reduce, span, kernel, groups, stride, dilation, biases, relu=relu)
    options = {
        "kernel_size": kernel, "groups": groups, "stride": stride, "dilation": dilation,
        "reduce_bias": biases[0], "span_bias": biases[1], "activation": "relu" if relu else None,
    }  # fmt: skip
    layer = ft.InvolutionLayer(reduce, span, **options)
    y = layer(x)
    assert np.allclose(y, wanted, rtol=1e-13, atol=1e-9 * np.abs(wanted).max(initial=1))
    assert np.allclose(layer(x[0]), wanted[0], rtol=1e-13, atol=1e-9 * np.abs(wanted).max())
    assert layer.output_shape(x.shape) == y.shape
    assert layer.output_shape(x.shape[1:]) == y.shape[1:]
    assert layer.describe(x.shape).output_shape == y.shape
    last = ft.InvolutionLayer(reduce, span, **options, data_format="channels_last")
    moved = last(np.moveaxis(x, 1, -1))
    assert np.array_equal(np.moveaxis(moved, -1, 1), y)
    assert last.output_shape(np.moveaxis(x, 1, -1).shape) == moved.shape
    for one, data in ((layer, x), (last, np.moveaxis(x, 1, -1))):
        exact = one.reference(data)
        assert np.allclose(exact, one(data), rtol=1e-13, atol=1e-9 * np.abs(wanted).max(initial=1))


@pytest.mark.parametrize("cells", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 7])
def test_sizes_are_those_of_the_ceiling(cells, stride, kernel):
    layer = ft.InvolutionLayer.init(4, kernel, groups=2, stride=stride, rng=0)
    shape = (1, 4, cells, 8)
    assert layer.output_shape(shape) == (1, 4, -(-cells // stride), -(-8 // stride))
    assert layer(np.ones(shape)).shape == layer.output_shape(shape)


@pytest.mark.parametrize("padding", ["same", "same_lower", "causal", ((2, 0), (0, 2)), 1])
def test_other_paddings_of_the_same_size(padding):
    rng = np.random.default_rng(0)
    reduce, span = rng.standard_normal((2, 4, 1, 1)), rng.standard_normal((18, 2, 1, 1))
    x = rng.standard_normal((2, 4, 7, 6))
    layer = ft.InvolutionLayer(reduce, span, kernel_size=3, groups=2, stride=2, padding=padding)
    kernels = layer.generator(x).reshape(2, 2, 9, 4, 3)
    expected = ft.involution(x, kernels, kernel_size=3, stride=2, padding=padding)
    assert np.array_equal(layer(x), expected)


@pytest.mark.parametrize("mode", ["reflect", "wrap", "edge", "blank", "constant"])
def test_borders_are_those_of_the_involution(mode):
    rng = np.random.default_rng(0)
    reduce, span = rng.standard_normal((2, 4, 1, 1)), rng.standard_normal((9, 2, 1, 1))
    x = rng.standard_normal((4, 5, 6))
    border = {"padding_mode": mode, "padding_value": 2.0 if mode == "constant" else 0}
    layer = ft.InvolutionLayer(reduce, span, kernel_size=3, groups=1, **border)
    kernels = layer.generator(x).reshape(1, 9, 5, 6)
    expected = ft.involution(x, kernels, kernel_size=(3, 3), padding=1, **border)
    assert np.array_equal(layer(x), expected)
    assert np.allclose(layer.reference(x), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int32"])
def test_dtypes(dtype):
    rng = np.random.default_rng(0)
    reduce, span = (rng.integers(-3, 4, s).astype(dtype) for s in ((2, 4, 1, 1), (18, 2, 1, 1)))
    x = rng.integers(-3, 4, (1, 4, 5, 6)).astype(dtype)
    layer = ft.InvolutionLayer(reduce, span, kernel_size=3, groups=2)
    y = layer(x)
    assert y.dtype == dtype
    wide = np.result_type(dtype, np.int64) if dtype != "float16" else np.float64
    exact = expected_of(*(a.astype(wide) for a in (x, reduce, span)), (3, 3), 2, (1, 1), relu=False)
    assert np.allclose(y, exact, rtol=2e-3 if dtype == "float16" else 1e-6)
    if dtype == "int32":
        assert np.array_equal(y, exact)
        strided = ft.InvolutionLayer(reduce, span, kernel_size=3, groups=2, stride=2)
        assert strided(x).dtype == np.float64  # a mean of integers is no integer


def test_out_may_be_the_input():
    layer = ft.InvolutionLayer.init(4, 3, groups=2, rng=0)
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6)).astype(np.float32)
    expected = layer(x)
    for out in (np.empty_like(x), np.empty(x.shape), x):
        assert layer(x, out=out) is out
        assert np.array_equal(out, expected)


def test_an_error_leaves_out_alone():
    layer = ft.InvolutionLayer.init(4, 3, groups=2, rng=0)
    out = np.full((2, 4, 5, 6), 7.0)
    for x in (np.ones((2, 3, 5, 6)), np.ones((2, 4, 5, 5)), "text"):
        with pytest.raises(ft.FaltungError, match="InvolutionLayer: "):
            layer(x, out=out)
        assert (out == 7).all()


def test_report_counts_all_parts():
    layer = ft.InvolutionLayer.init(32, (7, 7), groups=2, stride=2, rng=0)
    report = layer.describe((1, 32, 15, 20))
    places = 8 * 10
    assert report.operator == "InvolutionLayer"
    assert report.parameters == 32 * 8 + 8 + 8 * 98 + 98
    assert report.macs == places * (32 * 8 + 8 * 98 + 32 * 49)
    assert report.flops == 2 * report.macs
    assert report.bias_adds == places * (8 + 98)
    assert report.matrix_shape is None
    assert report.workspace_bytes >= 4 * 98 * places
    assert report.receptive_field == (7, 7)
    assert (report.receptive_start, report.receptive_jump) == ((-3, -3), (2, 2))
    wide = ft.InvolutionLayer(
        np.ones((8, 32, 5, 1)), np.ones((18, 8, 3, 1)), kernel_size=3, groups=2, stride=2
    ).describe((1, 32, 16, 16))
    assert wide.receptive_field == (14, 3)  # 7 means of two cells, from 3 means before
    assert wide.receptive_start == (-6, -1)


def test_receptive_field_is_what_changes_the_output():
    layer = ft.InvolutionLayer(
        np.ones((1, 1, 3)), np.ones((2, 1, 1)), kernel_size=2, groups=1, stride=3
    )
    x = np.random.default_rng(0).standard_normal((1, 1, 24))
    report = layer.describe(x.shape)
    seen = []
    for cell in range(24):
        changed = x.copy()
        changed[..., cell] += 1
        if (layer(changed) != layer(x))[0, 0, 3]:
            seen.append(cell)
    (start,), (jump,) = report.receptive_start, report.receptive_jump
    assert seen == list(range(start + 3 * jump, start + 3 * jump + report.receptive_field[0]))


def test_shapes_alone_are_enough_to_describe():
    layer = ft.InvolutionLayer((4, 16, 1, 1), (18, 4, 1, 1), kernel_size=3, groups=2)
    assert layer.describe((1, 16, 8, 8)).parameters == 64 + 72
    with pytest.raises(ft.ShapeError, match="shape alone"):
        layer(np.ones((1, 16, 8, 8)))


def test_it_is_a_value():
    arrays = np.ones((2, 4, 1, 1)), np.arange(36.0).reshape(18, 2, 1, 1)
    layer = ft.InvolutionLayer(*arrays, kernel_size=3, groups=2, stride=2, activation="relu")
    same = ft.InvolutionLayer(*arrays, kernel_size=(3, 3), groups=2, stride=2, activation="relu")
    assert layer == same
    assert hash(layer) == hash(same)
    arrays[1][0] = 5
    others = [
        ft.InvolutionLayer(*arrays, kernel_size=3, groups=2, stride=2, activation="relu"),
        ft.InvolutionLayer(layer.reduce, layer.span, kernel_size=3, groups=2, stride=2),
        ft.InvolutionLayer(layer.reduce, layer.span, kernel_size=3, groups=2, activation="relu"),
    ]
    assert layer not in others
    assert layer != "layer"
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6))
    for twin in (pickle.loads(pickle.dumps(layer)), copy.copy(layer), copy.deepcopy(layer)):
        assert twin == layer
        assert np.array_equal(twin(x), layer(x))
    for name in ("stride", "reduce", "generator", "new"):
        with pytest.raises(AttributeError):
            setattr(layer, name, 1)
        with pytest.raises(AttributeError):
            delattr(layer, name)
    with pytest.raises(ValueError, match="read-only"):
        layer.span[...] = 0
    with pytest.raises(AttributeError, match="nonsense"):
        layer.nonsense  # noqa: B018


def test_repr_evaluates_back():
    numpy, InvolutionLayer = np, ft.InvolutionLayer
    layers = [
        ft.InvolutionLayer(np.ones((1, 2, 1)), np.ones((3, 1, 1)), kernel_size=3, groups=1),
        ft.InvolutionLayer(
            np.ones((2, 2, 1)), np.ones((4, 2, 1)), kernel_size=2, groups=2, stride=2, dilation=3,
            reduce_bias=[1, 2], span_bias=np.arange(4), activation="relu", padding="causal",
            padding_mode="constant", padding_value=2, data_format="channels_last",
        ),
    ]  # fmt: skip
    names = {"numpy": numpy, "InvolutionLayer": InvolutionLayer}
    for layer in layers:
        assert eval(repr(layer), names) == layer
    assert repr(layers[0]).endswith("groups=1, kernel_size=(3,))")


def test_draws():
    layer = ft.InvolutionLayer.init(48, 7, rng=3)
    assert (layer.groups, layer.group_channels, layer.reduction) == (3, 16, 4)
    assert layer.reduce.shape == (12, 48, 1, 1)
    assert layer.span.shape == (3 * 49, 12, 1, 1)
    assert layer == ft.InvolutionLayer.init(48, 7, rng=3)
    assert layer != ft.InvolutionLayer.init(48, 7, rng=4)
    assert not np.array_equal(layer.reduce.ravel()[:100], layer.span.ravel()[:100])
    assert ft.InvolutionLayer.init(20, 3, rng=0).groups == 1
    assert ft.InvolutionLayer.init(20, (3,), group_channels=5, rng=0).groups == 4
    small = ft.InvolutionLayer.init(2, 3, reduction=8, bias=False, dtype="float64", rng=0)
    assert small.reduce.shape == (1, 2, 1, 1)
    assert small.reduce_bias is None
    assert small.span.dtype == np.float64


def test_it_takes_its_place_in_a_chain():
    layer = ft.InvolutionLayer.init(4, 3, groups=2, stride=2, rng=0)
    chain = ft.Sequential(layer, ft.MaxPool(2))
    x = np.random.default_rng(0).standard_normal((1, 4, 9, 8))
    assert np.array_equal(chain(x), ft.max_pool(layer(x), 2))


def test_it_keeps_the_settings_it_was_made_with():
    weights = np.random.default_rng(0).standard_normal((1, 4, 1)), np.ones((3, 1, 1))
    with ft.reproducible():
        layer = ft.InvolutionLayer(*weights, kernel_size=3, groups=1)
    assert layer != ft.InvolutionLayer(*weights, kernel_size=3, groups=1)
    x = np.random.default_rng(0).standard_normal((5, 4, 33))
    whole = layer(x)
    assert all(np.array_equal(layer(x[i : i + 1]), whole[i : i + 1]) for i in range(5))
    assert pickle.loads(pickle.dumps(layer)) == layer


def test_it_is_not_linear():
    layer = ft.InvolutionLayer.init(4, 3, groups=2, rng=0)
    for ask in (layer.matrix, layer.linear_operator, layer.adjoint, lambda _: layer.T):
        with pytest.raises(ft.NotLinearError, match="generated from the input"):
            ask((1, 4, 5, 5))


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_gradients_are_slopes(data_format, activation):
    rng = np.random.default_rng(5)
    held = {
        "reduce": rng.standard_normal((2, 4, 3, 1)), "span": rng.standard_normal((12, 2, 1, 1)),
        "reduce_bias": rng.standard_normal(2), "span_bias": rng.standard_normal(12),
    }  # fmt: skip
    options = {"kernel_size": (3, 2), "groups": 2, "stride": (2, 1), "activation": activation}

    def made(**changes):
        return ft.InvolutionLayer(**{**held, **changes}, **options, data_format=data_format)

    layer = made()
    x = rng.standard_normal((2, 4, 5, 6) if data_format == "channels_first" else (2, 5, 6, 4))
    y, pullback = layer.vjp(x)
    assert np.array_equal(y, layer(x))
    g = rng.standard_normal(y.shape)
    gradients = pullback(g)
    assert gradients.keys() == {"input", *held}
    for name, array in {"input": x, **held}.items():
        step = 1e-6 * rng.standard_normal(array.shape)
        if name == "input":
            ends = layer(x + step), layer(x - step)
        else:
            ends = made(**{name: array + step})(x), made(**{name: array - step})(x)
        slope = ((ends[0] - ends[1]) * g).sum() / 2
        assert gradients[name].shape == array.shape
        assert np.isclose(slope, (gradients[name] * step).sum(), rtol=1e-5, atol=1e-12), name
    with pytest.raises(ft.ShapeError, match="pullback of InvolutionLayer"):
        pullback(g[:1])


def test_one_sample_and_one_output():
    layer = ft.InvolutionLayer.init(4, 3, groups=2, dtype="float64", rng=0)
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    y, pullback = layer.vjp(x)
    assert pullback(np.ones_like(y))["input"].shape == x.shape
    assert np.isclose(layer.explain(x, (1, 2, 3)).total, y[1, 2, 3])


R, S = np.ones((4, 16, 1, 1)), np.ones((18, 4, 1, 1))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"reduce": R[:, :, 0, 0]}, ft.ShapeError, "pass reduce[:, :, None, None]"),
        ({"reduce": R[:, :15]}, ft.ShapeError, "groups=2 does not divide the 15 channels"),
        ({"reduce": None}, ft.DTypeError, "reduce has dtype object"),
        ({"span": S[:9]}, ft.ShapeError, "3 * 3 * 2 = 18"),
        ({"span": S[:, :3]}, ft.ShapeError, "span expects 3 channels, reduce gives 4"),
        ({"span": S[..., 0]}, ft.ShapeError, "reduce has 2 spatial axes, span 1"),
        ({"span": S.astype("S1")}, ft.DTypeError, "span has dtype"),
        ({"groups": 0}, ft.WindowError, "groups is 0"),
        ({"groups": True}, ft.WindowError, "groups is True"),
        ({"kernel_size": 5}, ft.ShapeError, "5 * 5 * 2 = 50"),
        ({"kernel_size": (3, 3, 3)}, ft.WindowError, "kernel_size (3, 3, 3) has 3 entries"),
        ({"stride": 1.5}, ft.WindowError, "stride is 1.5"),
        ({"dilation": -1}, ft.WindowError, "dilation is -1"),
        ({"padding": 2}, ft.WindowError, "padding 2 adds 4 cells to an axis, expected"),
        ({"padding": "valid"}, ft.WindowError, "padding 'valid' adds 0 cells"),
        ({"padding_mode": "mean"}, ft.OptionError, "padding_mode is 'mean'"),
        ({"padding_value": 3}, ft.OptionError, "padding_value is 3"),
        ({"reduce_bias": np.ones(3)}, ft.ShapeError, "reduce_bias has 3"),
        ({"span_bias": np.ones(3)}, ft.ShapeError, "span_bias has 3"),
        ({"activation": "tanh"}, ft.OptionError, "activation is 'tanh'"),
        ({"data_format": "last"}, ft.OptionError, "data_format is 'last'"),
    ],
)
def test_bad_arguments_are_named(changes, kind, words):
    given = {"reduce": R, "span": S, "kernel_size": 3, "groups": 2, **changes}
    with pytest.raises(kind, match=r"InvolutionLayer: ") as caught:
        ft.InvolutionLayer(**given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((1, 15, 4, 4), ft.ShapeError, "x has 15 channels, reduce expects 16"),
        ((16,), ft.ShapeError, "x has 1 axes"),
        ((1, 16, 0, 4), ft.WindowError, "an axis of 0 cells"),
    ],
)
def test_bad_data_are_named(shape, kind, words):
    layer = ft.InvolutionLayer(R, S, kernel_size=3, groups=2, stride=2)
    for call in (layer.output_shape, layer.describe, lambda s: layer(np.ones(s))):
        with pytest.raises(kind, match="InvolutionLayer: ") as caught:
            call(shape)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"channels": 0}, ft.WindowError, "channels is 0"),
        ({"groups": 3}, ft.ShapeError, "groups=3 does not divide the 20 channels"),
        ({"group_channels": 3}, ft.ShapeError, "group_channels=3 does not divide"),
        ({"groups": 2, "group_channels": 10}, ft.ShapeError, "Give one of them"),
        ({"reduction": 0}, ft.WindowError, "reduction is 0"),
        ({"rng": "seed"}, ft.OptionError, "rng is 'seed'"),
        ({"dtype": "int8"}, ft.DTypeError, "dtype int8"),
    ],
)
def test_bad_draws_are_named(changes, kind, words):
    with pytest.raises(kind, match=r"InvolutionLayer\.init: ") as caught:
        ft.InvolutionLayer.init(**{"channels": 20, "kernel_size": 3, **changes})
    assert words in str(caught.value)
