"""Every operator that PyTorch has too, over random cases of every argument that it takes."""

from typing import Any

import numpy as np
import pytest

import faltung as ft

pytestmark = pytest.mark.peers
CASES = 150


@pytest.fixture(name="torch", scope="module")
def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def draw(seed: int) -> tuple[np.random.Generator, int]:
    rng = np.random.default_rng(seed)
    return rng, int(rng.integers(1, 4))


def ints(rng: np.random.Generator, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(low, high + 1, rank))


def close(actual: Any, expected: Any) -> None:
    expected = expected.detach().numpy()
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-11)


def conv_case(seed: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray | None, dict[str, Any]]:
    rng, rank = draw(seed)
    groups = int(rng.integers(1, 4))
    channels, filters = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel, dilation = ints(rng, rank, 1, 4), ints(rng, rank, 1, 3)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = [int(span + rng.integers(0, 6)) for span in spans]
    x = rng.normal(size=(int(rng.integers(1, 3)), channels, *sizes))
    weight = rng.normal(size=(filters, channels // groups, *kernel))
    bias = rng.normal(size=filters) if rng.random() < 0.5 else None
    given = {
        "stride": ints(rng, rank, 1, 3),
        "padding": ints(rng, rank, 0, 3),
        "dilation": dilation,
        "groups": groups,
    }
    return rank, x, weight, bias, given


def as_tensors(torch: Any, *arrays: Any) -> list[Any]:
    return [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # that it copies the input
@pytest.mark.parametrize("seed", range(CASES))
def test_conv_and_its_gradients(torch: Any, seed: int) -> None:
    rank, x, weight, bias, given = conv_case(seed)
    if seed % 5 == 0:
        given |= {"padding": "same", "stride": 1}
    tensors = as_tensors(torch, x, weight, bias)
    expected = getattr(torch.nn.functional, f"conv{rank}d")(*tensors, **given)
    close(ft.conv(x, weight, bias, **given), expected)
    g = np.random.default_rng(seed + 1000).normal(size=expected.shape)
    expected.backward(torch.tensor(g))
    y, pullback = ft.Conv(weight, bias, **given).vjp(x)
    close(y, expected)
    gradients = pullback(g)
    for name, tensor in zip(("input", "weight", "bias"), tensors, strict=True):
        if tensor is not None:
            close(gradients[name], tensor.grad)


@pytest.mark.parametrize("seed", range(CASES))
def test_conv_transpose_and_its_gradients(torch: Any, seed: int) -> None:
    rank, x, weight, bias, given = conv_case(seed)
    rng = np.random.default_rng(seed + 500)
    weight = weight.swapaxes(0, 1)
    groups = given["groups"]
    filters = weight.shape[1] // groups * groups
    weight = rng.normal(size=(x.shape[1], filters // groups or 1, *weight.shape[2:]))
    bias = None if bias is None else rng.normal(size=weight.shape[1] * groups)
    given["padding"] = (0,) * rank if seed % 2 else tuple(min(p, 1) for p in given["padding"])
    room = [max(s, d) for s, d in zip(given["stride"], given["dilation"], strict=True)]
    given["output_padding"] = tuple(int(rng.integers(0, most)) for most in room)
    tensors = as_tensors(torch, x, weight, bias)
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    try:
        expected = function(*tensors, **given)
    except RuntimeError:  # padding leaves no output
        with pytest.raises(ft.FaltungError):
            ft.conv_transpose(x, weight, bias, **given)
        return
    close(ft.conv_transpose(x, weight, bias, **given), expected)
    g = rng.normal(size=expected.shape)
    expected.backward(torch.tensor(g))
    gradients = ft.ConvTranspose(weight, bias, **given).vjp(x)[1](g)
    for name, tensor in zip(("input", "weight", "bias"), tensors, strict=True):
        if tensor is not None:
            close(gradients[name], tensor.grad)


def pool_case(seed: int) -> tuple[int, np.ndarray, dict[str, Any]]:
    rng, rank = draw(seed)
    kernel = ints(rng, rank, 1, 4)
    sizes = [int(2 * k + rng.integers(0, 6)) for k in kernel]
    x = rng.normal(size=(2, 3, *sizes)).round(1)  # ties
    given = {
        "kernel_size": kernel,
        "stride": ints(rng, rank, 1, 4),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "ceil_mode": bool(rng.random() < 0.5),
    }
    return rank, x, given


@pytest.mark.parametrize("seed", range(CASES))
def test_max_pool_its_indices_and_gradient(torch: Any, seed: int) -> None:
    rank, x, given = pool_case(seed)
    if seed % 2:
        given["dilation"] = ints(np.random.default_rng(seed), rank, 1, 2)
    (tensor,) = as_tensors(torch, x)
    function = getattr(torch.nn.functional, f"max_pool{rank}d")
    expected, places = function(tensor, return_indices=True, **given)
    y, indices = ft.max_pool(x, return_indices=True, **given)
    close(y, expected)
    assert np.array_equal(indices, places.numpy())
    g = np.random.default_rng(seed).normal(size=y.shape)
    expected.backward(torch.tensor(g))
    close(ft.MaxPool(**given).vjp(x)[1](g)["input"], tensor.grad)


@pytest.mark.parametrize("seed", range(CASES))
def test_avg_pool_and_its_gradient(torch: Any, seed: int) -> None:
    rank, x, given = pool_case(seed)
    given["count_include_pad"] = bool(seed % 2)
    if rank > 1 and seed % 5 == 0:
        given["divisor_override"] = seed + 1
    (tensor,) = as_tensors(torch, x)
    expected = getattr(torch.nn.functional, f"avg_pool{rank}d")(tensor, **given)
    y, pullback = ft.AvgPool(**given).vjp(x)
    close(y, expected)
    g = np.random.default_rng(seed).normal(size=y.shape)
    expected.backward(torch.tensor(g))
    close(pullback(g)["input"], tensor.grad)


@pytest.mark.parametrize("seed", range(0, CASES, 3))
def test_lp_pool(torch: Any, seed: int) -> None:
    rank, x, given = pool_case(seed)
    if rank != 2:  # PyTorch fails on a kernel that is a tuple
        given["kernel_size"] = 2
    del given["padding"]
    x = np.abs(x)  # PyTorch sums x ** p without the absolute value
    norm = 1 + seed % 4
    expected = getattr(torch.nn.functional, f"lp_pool{rank}d")(torch.tensor(x), norm, **given)
    if given["ceil_mode"]:  # PyTorch rescales the windows that hang over the end
        whole = ft.lp_pool(x, norm, **{**given, "ceil_mode": False})
        inside = tuple(map(slice, whole.shape))
        close(whole, expected[inside])
    else:
        close(ft.lp_pool(x, norm, **given), expected)


@pytest.mark.parametrize("seed", range(CASES))
def test_adaptive_pools(torch: Any, seed: int) -> None:
    rng, rank = draw(seed)
    x = rng.normal(size=(2, 3, *ints(rng, rank, 1, 9)))
    size = ints(rng, rank, 1, 11)
    functional = torch.nn.functional
    tensor = torch.tensor(x)
    close(
        ft.adaptive_avg_pool(x, size),
        getattr(functional, f"adaptive_avg_pool{rank}d")(tensor, size),
    )
    expected, places = getattr(functional, f"adaptive_max_pool{rank}d")(
        tensor, size, return_indices=True
    )
    y, indices = ft.adaptive_max_pool(x, size, return_indices=True)
    close(y, expected)
    assert np.array_equal(indices, places.numpy())


@pytest.mark.parametrize("seed", range(CASES))
def test_unfold_and_fold(torch: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, dilation = ints(rng, 2, 1, 3), ints(rng, 2, 1, 2)
    sizes = [int(d * k + rng.integers(0, 5)) for k, d in zip(kernel, dilation, strict=True)]
    x = rng.normal(size=(2, 3, *sizes))
    given = {"stride": ints(rng, 2, 1, 3), "padding": ints(rng, 2, 0, 2), "dilation": dilation}
    columns = torch.nn.functional.unfold(torch.tensor(x), kernel, **given)
    close(ft.unfold(x, kernel, **given), columns)
    values = rng.normal(size=columns.shape)
    expected = torch.nn.functional.fold(torch.tensor(values), tuple(sizes), kernel, **given)
    close(ft.fold(values, tuple(sizes), kernel, **given), expected)


@pytest.mark.parametrize("seed", range(0, CASES, 3))
def test_max_unpool(torch: Any, seed: int) -> None:
    rng, rank = draw(seed)
    kernel = ints(rng, rank, 1, 3)
    x = rng.normal(size=(2, 3, *(int(3 * k + rng.integers(0, 3)) for k in kernel)))
    y, indices = ft.max_pool(x, kernel, return_indices=True)
    function = getattr(torch.nn.functional, f"max_unpool{rank}d")
    expected = function(torch.tensor(y), torch.tensor(indices), kernel, output_size=x.shape[2:])
    close(ft.max_unpool(y, indices, kernel, output_size=x.shape[2:]), expected)


MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}


@pytest.mark.parametrize("seed", range(CASES))
def test_resize(torch: Any, seed: int) -> None:
    rng, rank = draw(seed)
    x = rng.normal(size=(2, 3, *ints(rng, rank, 1, 9)))
    mode = str(rng.choice([*MODES[rank], "nearest", "nearest-exact", "area"]))
    given: dict[str, Any] = {"mode": mode}
    if mode in MODES[rank]:
        given["align_corners"] = bool(rng.random() < 0.5)
        if rank == 2 and not given["align_corners"]:
            given["antialias"] = bool(rng.random() < 0.5)
    if rng.random() < 0.5 and mode != "area":
        factors = tuple(float(f) for f in rng.choice([0.5, 0.75, 1.5, 2.0, 2.6], rank))
        factors = tuple(
            max(f, 1.0) if n == 1 else f for f, n in zip(factors, x.shape[2:], strict=True)
        )
        given["scale_factor"] = factors
    else:
        given["size"] = ints(rng, rank, 1, 14)
    expected = torch.nn.functional.interpolate(torch.tensor(x), **given)
    actual = ft.resize(x, **given)
    assert actual.shape == tuple(expected.shape)
    np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(CASES))
def test_pad(torch: Any, seed: int) -> None:
    rng, rank = draw(seed)
    x = rng.normal(size=(2, 3, *ints(rng, rank, 4, 8)))
    mode = str(rng.choice(["constant", "reflect", "replicate", "circular"]))
    least = -1 if mode == "constant" else 0
    pairs = tuple(ints(rng, 2, least, 3) for _ in range(rank))
    flat = [number for pair in reversed(pairs) for number in pair]
    expected = torch.nn.functional.pad(torch.tensor(x), flat, mode=mode)
    close(ft.pad(x, pairs, mode), expected)
