"""The plan of Fourier transforms: near the exact sums, the special values of the direct ones."""

import numpy as np
import pytest

import faltung as ft
from faltung.compiled import fourier, fourier_cut, machine
from faltung.plans import _converting, fft
from faltung.plans._recording import recorded

MODES = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
DTYPES = ("float32", "float64", "complex64", "complex128", "float16")
KERNELS = {1: ((31,), (64,), (2,)), 2: ((9, 9), (2, 33), (12, 5), (1, 7)), 3: ((3, 4, 5),)}
SIZES = {1: ((700,), (40,), (3,)), 2: ((40, 61), (17, 9), (1, 50)), 3: ((9, 12, 20),)}
CONSTANT = 4
"""Of the normwise bound, which the plan's documentation states."""


def values(rng, shape, dtype):
    numbers = rng.standard_normal(shape)
    if "complex" in dtype:
        numbers = numbers + 1j * rng.standard_normal(shape)
    return numbers.astype(dtype)


def draw(rng, dtype, rank):
    """Arrays and parameters of a convolution."""
    groups, channels, filters, batch = (int(n) for n in rng.choice([1, 1, 2, 3], 4))
    size = SIZES[rank][rng.integers(len(SIZES[rank]))]
    kernel = KERNELS[rank][rng.integers(len(KERNELS[rank]))]
    parameters = {
        "groups": groups,
        "padding": str(rng.choice(["valid", "same", "full", "same_lower", "causal"])),
        "padding_mode": str(rng.choice(MODES)),
        "flip": bool(rng.integers(2)),
        "stride": tuple(int(n) for n in rng.choice([1, 1, 2, 3], rank)),
        "dilation": tuple(int(n) for n in rng.choice([1, 1, 2], rank)),
    }
    if parameters["padding_mode"] == "constant":
        parameters["padding_value"] = 3
    x = values(rng, (batch, groups * channels, *size), dtype)
    weight = values(rng, (groups * filters, channels, *kernel), dtype)
    bias = values(rng, groups * filters, dtype) if rng.integers(2) else None
    return x, weight, bias, parameters


def allowed_error(x, weight, expected, unit):
    """One rounding of the result, and those of the transforms in relation to the norms."""
    wide = np.complex128 if x.dtype.kind == "c" else np.float64
    length = np.sqrt(x[0].size + 9 * weight[0].size)  # padding with 3 is input too
    norms = np.linalg.norm(x.astype(wide)) + 3 * length
    norms *= np.abs(weight).astype(float).max() * np.sqrt(weight[0].size)
    bound = CONSTANT * unit * 20 * norms
    rounding = 0 if x.dtype.itemsize >= 8 * (1 + (x.dtype.kind == "c")) else np.finfo(x.dtype).eps
    return bound + 2 * rounding * np.abs(expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_near_the_sums_of_the_stencil_plan(dtype):
    rng, done = np.random.default_rng(DTYPES.index(dtype)), 0
    wide = "complex128" if "complex" in dtype else "float64"
    for number in range(40 if dtype == "float32" else 16):
        x, weight, bias, parameters = draw(rng, dtype, 1 + number % 3)
        wider = [None if each is None else each.astype(wide) for each in (x, weight, bias)]
        try:
            expected = ft.conv(*wider, **parameters, algorithm="stencil")
        except ft.WindowError:  # a kernel larger than the input, without padding
            continue
        y = ft.conv(x, weight, bias, **parameters, algorithm="fft")
        assert y.dtype == dtype
        error = np.abs(y - expected)
        assert (error <= allowed_error(x, weight, expected, 2.0**-53)).all(), parameters
        done += 1
    assert done >= 8


@pytest.mark.parametrize("scale", [0, 3, 12])
def test_the_bound_in_norms(scale):
    rng = np.random.default_rng(scale)
    x, weight = (
        rng.standard_normal(size) * 10.0 ** rng.uniform(-scale, scale, size) for size in (6000, 300)
    )
    exact = np.correlate(x.astype(np.longdouble), weight.astype(np.longdouble), "valid")
    y = ft.conv(x[None, None], weight[None, None], algorithm="fft")[0, 0]
    norms = np.linalg.norm(x) * np.linalg.norm(weight)
    # No block has more than 2**14 points here.
    bound = CONSTANT * 2.0**-53 * 14 * norms + 2.0**-53 * np.abs(exact)
    assert (np.abs(y - exact) <= bound).all()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of at most 64 points an axis, so that small inputs have many of them."""
    monkeypatch.setattr(fourier_cut, "_MOST_SIZE", 64)
    fourier_cut.cut.cache_clear()
    yield
    fourier_cut.cut.cache_clear()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize(
    ("shape", "kernel"),
    [
        ((1, 1, 20_000), (1, 1, 999)),
        ((2, 2, 230, 150), (3, 2, 20, 33)),
        ((1, 1, 100, 80, 70), (1, 1, 9, 8, 10)),
    ],
)
def test_many_blocks(shape, kernel, stride):
    rng = np.random.default_rng(0)
    x, weight = values(rng, shape, "float64"), values(rng, kernel, "float64")
    parameters = {"padding": "same", "padding_mode": "reflect", "stride": stride}
    y = ft.conv(x, weight, **parameters, algorithm="fft")
    expected = ft.conv(x, weight, **parameters, algorithm="direct")
    assert (np.abs(y - expected) <= allowed_error(x, weight, expected, 2.0**-53)).all()


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_layouts_and_other_dtypes(dtype, monkeypatch):
    monkeypatch.setattr(_converting, "CONVERTED_BYTES", 4000)
    monkeypatch.setattr(fft, "CONVERTED_BYTES", 4000)
    rng = np.random.default_rng(0)
    base = rng.integers(-9, 9, (2, 2, 40, 70)).astype(dtype)
    weight = rng.integers(-9, 9, (2, 1, 9, 5)).astype(dtype)
    parameters = {"groups": 2, "padding": "same", "padding_mode": "wrap", "algorithm": "fft"}
    expected = ft.conv(base, weight, **{**parameters, "algorithm": "stencil"})
    odd = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(dtype)
    layouts = (
        np.asfortranarray(base),
        np.repeat(base, 2, axis=-1)[..., ::2],
        base[:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1],
        base.astype(base.dtype.newbyteorder(">")),
        base.real.astype(np.int8) if dtype == "float32" else base,
        odd.reshape(base.shape),
    )
    for x in layouts:
        assert np.allclose(ft.conv(x, weight, **parameters), expected, 1e-6, 1e-10)
        target = np.zeros((*expected.shape[:-1], 140), dtype)[..., ::2]
        ft.conv(x, weight, **parameters, out=target)
        assert np.allclose(target, expected, 1e-6, 1e-10)
    last = np.ascontiguousarray(np.moveaxis(base, 1, -1))
    y = ft.conv(last, weight, **parameters, data_format="channels_last")
    assert np.allclose(np.moveaxis(y, -1, 1), expected, 1e-6, 1e-10)


def test_the_activation_and_the_bias():
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 1, 50, 60), "float32"), values(rng, (3, 1, 8, 9), "float32")
    bias = np.array([0, 5, np.nan], "float32")
    operator = ft.Conv(weight, bias, activation="relu", algorithm="fft")
    y, sums = operator(x), ft.conv(x, weight, algorithm="direct")
    assert np.allclose(y[:, :2], np.maximum(sums + bias[:, None, None], 0)[:, :2], atol=1e-4)
    assert (y[:, 0] == 0).any()
    assert np.isnan(y[:, 2]).all()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "constant", "blank"])
def test_special_values_stay_where_the_sums_have_them(dtype, mode):
    rng = np.random.default_rng(0)
    x, weight = values(rng, (2, 2, 80, 90), dtype), values(rng, (2, 2, 6, 7), dtype)
    x[0, 1, 3, 5], x[1, 0, 70, 80], x[1, 1, 71, 81] = np.nan, np.inf, -np.inf
    parameters = {"padding": "same", "padding_mode": mode, "stride": (1, 2)}
    if mode == "constant":
        parameters["padding_value"] = np.inf
    y = ft.conv(x, weight, **parameters, algorithm="fft")
    expected = ft.conv(x, weight, **parameters, algorithm="stencil")
    is_finite = np.isfinite(expected)
    assert np.array_equal(is_finite, np.isfinite(y))
    assert is_finite.any()
    assert not is_finite.all()
    if dtype != "complex64":  # whose parts may be NaN or infinite, whichever comes first
        assert np.array_equal(y[~is_finite], expected[~is_finite], equal_nan=True)
    tolerance = 1e-1 if dtype == "float16" else 1e-4
    assert np.allclose(y[is_finite], expected[is_finite], 1e-2, tolerance)


def test_what_overflows_on_the_way_is_summed():
    x, weight = np.full((1, 1, 4000), 1e305), np.full((1, 1, 300), 1e-3)
    x[..., ::2] *= -1
    y = ft.conv(x, weight, algorithm="fft")
    assert np.isfinite(y).all()
    assert np.allclose(y, ft.conv(x, weight, algorithm="stencil"), atol=1e292)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("where", ["data", "weights", "bias", "padding"])
def test_sums_near_the_largest_number_overflow_where_the_direct_ones_do(dtype, where):
    rng, largest = np.random.default_rng(4), float(np.finfo(dtype).max)
    x, weight = values(rng, (1, 1, 600), dtype), values(rng, (1, 1, 40), dtype)
    x, weight, bias, fill = x / 10, weight / 10, np.zeros(1, dtype), 0.0
    if where == "data":  # the sum is 0, and half of it is not finite
        weight[...] = 1
        x[..., 200:220] = largest
        x[..., 220:240] = -largest
        x[..., 400] = largest / 3
    elif where == "weights":
        x[..., :300] *= 10
        weight[..., ::2] = largest / 4
    elif where == "bias":
        bias[:] = largest
        x[...], x[..., 300] = 0, largest / 10
    else:
        fill = largest / 2
    parameters = {"padding": "same", "padding_mode": "constant", "padding_value": fill}
    y = ft.conv(x, weight, bias, **parameters, algorithm="fft")
    expected = ft.conv(x, weight, bias, **parameters, algorithm="direct")
    is_finite = np.isfinite(expected)
    assert np.array_equal(is_finite, np.isfinite(y))
    assert is_finite.all() == (where == "padding")
    sizes = np.abs(expected[is_finite]).max(initial=0)
    assert np.allclose(y[is_finite] / largest, expected[is_finite] / largest, 1e-5, 1e-12)
    assert sizes > 0


def test_only_blocks_that_may_overflow_are_summed_by_another_plan():
    rng = np.random.default_rng(5)
    x, weight = values(rng, (1, 1, 60_000), "float32"), values(rng, (1, 1, 200), "float32")
    x *= 1e30
    operator = ft.Conv(weight, algorithm="fft")
    with recorded() as names:
        operator(x)
        assert names == ["fft"]
        x[..., 30_000] = 1e38
        y = operator(x)
    assert names[:2] == ["fft", "fft"]
    assert len(names) > 2
    expected = ft.conv(x.astype("f8"), weight.astype("f8"), algorithm="direct")
    assert np.allclose(y, expected, 1e-5, 1e26)


@pytest.mark.parametrize(
    ("weight", "most"),
    [
        (np.zeros((1, 1, 3)), np.finfo("f8").max),
        (np.full((2, 1, 4), 1e-200), np.finfo("f8").max),
        (np.full((1, 1, 4), 8.0), (float(np.finfo("f4").max) / 16 / 16) ** 2),
        (np.full((1, 2, 2), 3e37), -1.0),
        (np.full((1, 1, 4), 1e308), -1.0),
    ],
)
def test_how_large_values_may_be(weight, most):
    spectra = fourier.Spectra(weight, np.array([np.inf]))
    assert np.isclose(spectra.most_squares("float64", "float32"), most, 1e-6)


def test_weights_that_are_not_finite_are_another_plan_s():
    weight = np.ones((1, 1, 3, 80), "float32")
    weight[0, 0, 1, 40] = np.inf
    x = np.ones((1, 1, 40, 200), "float32")
    y = ft.conv(x, weight, padding="same", algorithm="fft")
    expected = ft.conv(x, weight, padding="same", algorithm="stencil")
    assert np.array_equal(y, expected, equal_nan=True)


@pytest.mark.usefixtures("small_blocks")
def test_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 2, 200, 300), "float32"), values(rng, (1, 2, 20, 9), "float32")
    before, results = ft.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            ft.set_num_threads(threads)
            results.append(ft.conv(x, weight, algorithm="fft"))
    finally:
        ft.set_num_threads(before)
    assert all(np.array_equal(results[0], other) for other in results)


def test_a_sample_does_not_know_its_neighbours():
    rng = np.random.default_rng(0)
    x, weight = values(rng, (3, 1, 300), "float64"), values(rng, (1, 1, 100), "float64")
    x[1] *= 1e12
    operator = ft.Conv(weight, algorithm="fft")
    whole = operator(x)
    assert all(np.array_equal(whole[i : i + 1], operator(x[i : i + 1])) for i in range(3))
    assert np.allclose(whole, ft.conv(x, weight, algorithm="direct"), 1e-12, 1e-12)


def test_operators_keep_spectra_for_inputs_of_other_sizes():
    rng = np.random.default_rng(0)
    weight = values(rng, (1, 1, 40), "float32")
    operator = ft.Conv(weight, algorithm="fft")
    for size in (60, 200, 1000, 5000, 20_000, 90_000, 60):
        x = values(rng, (1, 1, size), "float32")
        assert np.allclose(operator(x), ft.conv(x, weight, algorithm="direct"), 1e-5, 1e-4)


def test_lower_precision_may_transform_float32():
    rng = np.random.default_rng(0)
    x, weight = values(rng, (1, 1, 300, 300), "float32"), values(rng, (1, 1, 40, 40), "float32")
    expected = ft.conv(x.astype("f8"), weight.astype("f8"), algorithm="direct")
    errors = []
    for precision in ("highest", "high"):
        y = ft.conv(x, weight, precision=precision, algorithm="fft")
        errors.append(np.sqrt(np.square(y - expected).mean() / np.square(expected).mean()))
    assert errors[0] < 2.0**-24  # one rounding
    assert errors[0] < errors[1] < 2.0**-20


def reason_against(x_shape, weight_shape, dtype="float32", **parameters):
    weight = np.ones(weight_shape, dtype)
    with pytest.raises(ft.OptionError) as caught:
        ft.conv(np.ones(x_shape, dtype), weight, **parameters, algorithm="fft")
    return str(caught.value)


def test_what_it_refuses():
    assert "exact" in reason_against((1, 1, 300), (1, 1, 100), "int32")
    assert "1 to 3 axes" in reason_against((1, 1, 9, 9, 9, 9), (1, 1, 3, 3, 3, 3))
    assert "workspace" in reason_against((1, 1, 1500, 1500), (1, 1, 1400, 1400))
    with ft.reproducible():
        assert "block" in reason_against((1, 1, 300), (1, 1, 100))


def chosen(x_shape, weight_shape):
    return ft.Conv(weight_shape).describe(x_shape).algorithm


def test_chosen_for_large_kernels_only():
    """On both sides of the threshold, as `faltung bench` finds it; see the page of decisions."""
    if not machine.has("avx512"):
        pytest.skip("the threshold was measured with AVX-512")
    assert chosen((1, 1, 10_000_000), (1, 1, 4097)) == "fft"
    assert chosen((1, 1, 10_000_000), (1, 1, 101)) != "fft"
    assert chosen((1, 64, 56, 56), (64, 64, 3, 3)) != "fft"
    assert chosen((1, 1, 2048, 2048), (1, 1, 7, 7)) != "fft"
