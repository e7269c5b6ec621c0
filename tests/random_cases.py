"""Random operators with an input shape that they take: every parameter in play, small shapes."""

from __future__ import annotations

from math import prod

import numpy as np

import faltung as ft
from faltung import classes  # noqa: F401  # which fills the registry
from faltung.operators._record import REGISTRY

PADDINGS = ("valid", "same", "half", "same_lower", "full", "causal")
BORDERS = ("zeros", "constant", "reflect", "symmetric", "edge", "wrap", "blank")
REDUCTIONS = ("sum", "mean", "min", "max", "range", "median", "var", "std", "logsumexp")
MOST_TAPS = {1: 5, 2: 4, 3: 3}
MOST_CELLS = {1: 12, 2: 7, 3: 4}
ATTEMPTS = 200


def random_case(name, rng, dtype="float64"):
    """An operator of the registry and the shape of an input for it.

    Its arrays hold small integers of `dtype`, for which every order of a sum is exact. An
    operator that has no generator of its own here gets one of its samples.
    """
    draw = DRAW.get(name)
    if draw is None:
        return from_samples(name, rng, dtype)
    for _ in range(ATTEMPTS):
        try:
            operator, shape = draw(_Draw(rng, dtype))
            operator.output_shape(shape)
        except (ft.WindowError, ft.OptionError):  # a window that does not fit
            continue
        return operator, shape
    raise AssertionError(f"no case of {name} in {ATTEMPTS} attempts")


def random_data(shape, rng, dtype="float64"):
    """Small integers of both signs, if the dtype has them."""
    kind = np.dtype(dtype).kind
    values = rng.integers(0 if kind in "bu" else -4, 5, shape)
    if kind == "c":
        values = values + 1j * rng.integers(-4, 5, shape)
    return values.astype(dtype)


def from_samples(name, rng, dtype="float64"):
    """One of the samples of an operator's record."""
    record = REGISTRY[name]
    sample = record.samples[rng.integers(len(record.samples))]
    arrays = sample.draw(dtype, seed=int(rng.integers(1000)))
    x = arrays.pop(record.arrays[0])
    return getattr(ft, record.class_name)(*arrays.values(), **sample.parameters), x.shape


class _Draw:
    """The parts that cases are made of, for one rank."""

    def __init__(self, rng, dtype):
        self.rng, self.dtype = rng, dtype
        self.rank = int(rng.choice([1, 2, 2, 3]))
        self.has_batch = rng.random() < 0.7
        self.is_last = rng.random() < 0.3
        self.layout = {"data_format": "channels_last"} if self.is_last else {}

    def chance(self, share):
        return bool(self.rng.random() < share)

    def one_of(self, entries):
        return entries[self.rng.integers(len(entries))]

    def ints(self, low, high):
        return tuple(map(int, self.rng.integers(low, high + 1, self.rank)))

    def array(self, shape):
        return random_data(shape, self.rng, self.dtype)

    def cells(self):
        return self.ints(1, MOST_CELLS[self.rank])

    def kernel(self):
        return self.ints(1, MOST_TAPS[self.rank])

    def maybe_int(self, entries):
        """One number where all are the same: the short way to write it."""
        return entries[0] if len(set(entries)) == 1 else entries

    def padding(self):
        way = self.rng.integers(4)
        if way == 0:
            return self.one_of(PADDINGS)
        if way == 1:
            return int(self.rng.integers(0, 3))
        if way == 2:
            return self.ints(0, 3)
        return tuple(zip(self.ints(0, 3), self.ints(0, 3), strict=True))

    def window(self):
        return {
            "stride": self.maybe_int(self.ints(1, 3)),
            "dilation": self.maybe_int(self.ints(1, 3)),
            "padding": self.padding(),
        }

    def border(self, modes=BORDERS):
        mode = self.one_of(modes)
        value = {"padding_value": int(self.rng.integers(0, 3))} if mode == "constant" else {}
        return {"padding_mode": mode, **value}

    def shape(self, channels, spatial):
        """The shape of the data, with or without batch axis, in its layout."""
        inner = (*spatial, channels) if self.is_last else (channels, *spatial)
        return (int(self.rng.integers(1, 4)), *inner) if self.has_batch else inner


def _conv(draw):
    groups, channels, filters = map(int, draw.rng.integers(1, 4, 3))
    weight = draw.array((groups * filters, channels, *draw.kernel()))
    bias = draw.array((groups * filters,)) if draw.chance(0.5) else None
    flags = {"groups": groups, "flip": draw.chance(0.3)}
    operator = ft.Conv(weight, bias, **draw.window(), **draw.border(), **flags, **draw.layout)
    return operator, draw.shape(groups * channels, draw.cells())


def _conv_transpose(draw):
    groups, channels, filters = map(int, draw.rng.integers(1, 4, 3))
    weight = draw.array((groups * channels, filters, *draw.kernel()))
    bias = draw.array((groups * filters,)) if draw.chance(0.5) else None
    flags = {"groups": groups, "flip": draw.chance(0.3)}
    extra = {"output_padding": draw.ints(0, 1)} if draw.chance(0.4) else {}
    mode = draw.one_of([mode for mode in BORDERS if mode != "constant"])
    operator = ft.ConvTranspose(
        weight, bias, **draw.window(), **extra, padding_mode=mode, **flags, **draw.layout
    )
    return operator, draw.shape(groups * channels, draw.cells())


def _position_outputs(draw, kernel, window, spatial):
    """The places of a window, from an operator that has no weight."""
    return ft.WindowReduce(kernel, "sum", **window).output_shape((1, 1, *spatial))[2:]


def _involution(draw):
    groups, channels = map(int, draw.rng.integers(1, 4, 2))
    kernel, window, spatial = draw.kernel(), draw.window(), draw.cells()
    shape = draw.shape(groups * channels, spatial)
    outputs = _position_outputs(draw, kernel, window, spatial)
    batch = shape[:1] if draw.has_batch else ()
    weight = draw.array((*batch, groups, prod(kernel), *outputs))
    return ft.Involution(
        weight, kernel_size=kernel, **window, **draw.border(), **draw.layout
    ), shape


def _local_conv(draw):
    groups, channels, filters = map(int, draw.rng.integers(1, 3, 3))
    kernel, window, spatial = draw.kernel(), draw.window(), draw.cells()
    outputs = _position_outputs(draw, kernel, window, spatial)
    weight = draw.array((groups * filters, channels, prod(kernel), *outputs))
    bias = draw.array((groups * filters,)) if draw.chance(0.5) else None
    parameters = {"kernel_size": kernel, "groups": groups, **window, **draw.border()}
    operator = ft.LocalConv(weight, bias, **parameters, **draw.layout)
    return operator, draw.shape(groups * channels, spatial)


def _plain_shape(draw):
    return draw.shape(int(draw.rng.integers(1, 4)), draw.cells())


def _pool_window(draw):
    window = draw.window()
    if draw.chance(0.3):
        del window["stride"]
    return {**window, "ceil_mode": draw.chance(0.3), **draw.layout}


def _max_pool(draw):
    indices = {"return_indices": True} if draw.chance(0.2) else {}
    return ft.MaxPool(draw.kernel(), **_pool_window(draw), **indices), _plain_shape(draw)


def _avg_pool(draw):
    counts = {"count_include_pad": draw.chance(0.5)}
    if draw.chance(0.2):
        counts["divisor_override"] = int(draw.rng.integers(1, 6))
    return ft.AvgPool(draw.kernel(), **_pool_window(draw), **counts), _plain_shape(draw)


def _lp_pool(draw):
    order = draw.one_of([1, 1.5, 2, 3, float("inf")])
    return ft.LpPool(order, draw.kernel(), **_pool_window(draw)), _plain_shape(draw)


def _output_size(draw):
    return tuple(None if draw.chance(0.2) else size for size in draw.ints(1, 6))


def _adaptive_avg_pool(draw):
    return ft.AdaptiveAvgPool(_output_size(draw), **draw.layout), _plain_shape(draw)


def _adaptive_max_pool(draw):
    return ft.AdaptiveMaxPool(_output_size(draw), **draw.layout), _plain_shape(draw)


def _morphology(draw, kind):
    heights = draw.array(draw.kernel())
    structure = heights > 0 if draw.chance(0.4) and (heights > 0).any() else heights
    operator, shape = kind(structure, **draw.window(), **draw.layout), _plain_shape(draw)
    operator(np.zeros(shape))  # raises where no cell in use lies over the input
    return operator, shape


def _erode(draw):
    return _morphology(draw, ft.Erode)


def _dilate(draw):
    return _morphology(draw, ft.Dilate)


def _window_reduce(draw):
    reduction = draw.one_of([*REDUCTIONS, ("percentile", int(draw.rng.integers(0, 101)))])
    if np.dtype(draw.dtype).kind == "c":
        reduction = draw.one_of(["sum", "mean"])
    parameters = {**draw.window(), **draw.border(), **draw.layout}
    return ft.WindowReduce(draw.kernel(), reduction, **parameters), _plain_shape(draw)


def _unfold(draw):
    parameters = {**draw.window(), **draw.border(), **draw.layout}
    return ft.Unfold(draw.kernel(), **parameters), _plain_shape(draw)


def _pad(draw):
    amounts = tuple(zip(draw.ints(-2, 4), draw.ints(-2, 4), strict=True))
    mode = draw.one_of(BORDERS[:-1])
    value = int(draw.rng.integers(0, 3)) if mode == "constant" else 0
    return ft.Pad(amounts, mode, value, **draw.layout), _plain_shape(draw)


def _fold(draw):
    kernel, window = draw.kernel(), draw.window()
    spatial = draw.ints(1, MOST_CELLS[draw.rank])
    unfolded = ft.Unfold(kernel, **window).output_shape((1, int(draw.rng.integers(1, 4)), *spatial))
    columns, windows = unfolded[1:]
    inner = (windows, columns) if draw.is_last else (columns, windows)
    shape = (int(draw.rng.integers(1, 4)), *inner) if draw.has_batch else inner
    return ft.Fold(spatial, kernel, **window, **draw.layout), shape


def _max_unpool(draw):
    window = draw.window()
    del window["dilation"]
    pool = ft.MaxPool(draw.kernel(), return_indices=True, **window, **draw.layout)
    shape = _plain_shape(draw)
    pooled, indices = pool(random_data(shape, draw.rng))
    size = shape[draw.has_batch :]
    size = size[:-1] if draw.is_last else size[1:]
    parameters = {name: getattr(pool, name) for name in ("stride", "padding", "data_format")}
    if draw.chance(0.3):
        indices = draw.rng.permuted(indices, axis=-1)
    operator = ft.MaxUnpool(indices, pool.kernel_size, output_size=size, **parameters)
    return operator, pooled.shape


def _resize(draw):
    mode = draw.one_of(["nearest", "nearest-exact", "linear", "cubic", "area", "lanczos"])
    flags = {}
    if mode in ("linear", "cubic", "lanczos"):
        flags = {"align_corners": draw.chance(0.3), "antialias": draw.chance(0.3)}
    if draw.chance(0.6):
        size = {"size": draw.ints(1, 9)}
    else:
        size = {"scale_factor": tuple(draw.one_of([0.5, 0.7, 1.3, 2]) for _ in range(draw.rank))}
    return ft.Resize(**size, mode=mode, **flags, **draw.layout), _plain_shape(draw)


DRAW = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "involution": _involution,
    "local_conv": _local_conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "lp_pool": _lp_pool,
    "adaptive_avg_pool": _adaptive_avg_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "erode": _erode,
    "dilate": _dilate,
    "window_reduce": _window_reduce,
    "unfold": _unfold,
    "fold": _fold,
    "max_unpool": _max_unpool,
    "pad": _pad,
    "resize": _resize,
}
"""How each operator is drawn; one that is missing here is drawn from its samples."""
