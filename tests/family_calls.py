"""One call of each function of the family, small and with borders, for tests of all of them."""

import numpy as np

import faltung as ft
from kinds_of_arrays import small_integers

CALLS = {
    "conv": ({"x": (2, 4, 6, 5), "weight": (4, 2, 3, 2), "bias": (4,)},
             {"groups": 2, "padding": 1, "stride": (2, 1)}),
    "conv_transpose": ({"x": (2, 4, 3, 5), "weight": (4, 2, 3, 2), "bias": (4,)},
                       {"groups": 2, "padding": 1, "stride": (2, 1)}),
    "involution": ({"x": (2, 4, 6, 5), "weight": (2, 2, 6, 3, 6)},
                   {"kernel_size": (3, 2), "padding": 1, "stride": (2, 1)}),
    "local_conv": ({"x": (2, 4, 6, 5), "weight": (4, 2, 6, 3, 6), "bias": (4,)},
                   {"groups": 2, "kernel_size": (3, 2), "padding": 1, "stride": (2, 1)}),
    "max_pool": ({"x": (2, 4, 6, 5)}, {"kernel_size": (3, 2), "padding": 1}),
    "avg_pool": ({"x": (2, 4, 6, 5)}, {"kernel_size": (3, 2), "padding": 1}),
    "lp_pool": ({"x": (2, 4, 6, 5)}, {"norm_type": 2, "kernel_size": (3, 2), "padding": 1}),
    "adaptive_avg_pool": ({"x": (2, 4, 6, 5)}, {"output_size": (4, 2)}),
    "adaptive_max_pool": ({"x": (2, 4, 6, 5)}, {"output_size": (4, 2)}),
    "max_unpool": ({"x": (2, 4, 3, 2), "indices": (2, 4, 3, 2)}, {"kernel_size": (2, 3)}),
    "unfold": ({"x": (2, 4, 6, 5)}, {"kernel_size": (3, 2), "padding": 1, "stride": (2, 1)}),
    "fold": ({"columns": (2, 24, 18)},
             {"output_size": (6, 5), "kernel_size": (3, 2), "padding": 1, "stride": (2, 1)}),
    "resize": ({"x": (2, 4, 6, 5)}, {"size": (4, 7), "mode": "linear"}),
    "pad": ({"x": (2, 4, 6, 5)}, {"padding": ((1, 2), (3, -1)), "mode": "symmetric"}),
    "erode": ({"x": (2, 4, 6, 5), "structure": (3, 2)}, {}),
    "dilate": ({"x": (2, 4, 6, 5), "structure": (3, 2)}, {"stride": (1, 2)}),
    "window_reduce": ({"x": (2, 4, 6, 5)},
                      {"kernel_size": (3, 2), "reduction": "median", "padding": 1}),
}  # fmt: skip
"""Shapes of the arrays, the data first, and the parameters."""

LAID_OUT = ("x", "indices")


def arrays_of(name, dtype, seed=0):
    """Small integers for one call; positions are int64 whatever the dtype."""
    shapes = CALLS[name][0]
    arrays = {key: small_integers(shape, dtype, seed + i) for i, (key, shape) in
              enumerate(shapes.items())}  # fmt: skip
    if "indices" in arrays:
        arrays["indices"] = np.random.default_rng(seed).integers(0, 36, shapes["indices"])
    return arrays


def operator_of(name, arrays):
    """The operator object of a call, and its data."""
    operands = dict(arrays)
    data = operands.pop(next(iter(arrays)))
    class_name = name.title().replace("_", "")
    return getattr(ft, class_name)(*operands.values(), **CALLS[name][1]), data


def in_layout(name, arrays, data_format, has_batch):
    """The arrays of a call as views in another layout; the operands that have it move along."""
    moved = dict(arrays)
    for key, array in arrays.items():
        if key == "columns":
            moved[key] = array.swapaxes(1, 2) if data_format == "channels_last" else array
        elif key in LAID_OUT:
            moved[key] = np.moveaxis(array, 1, -1) if data_format == "channels_last" else array
        elif name != "involution":
            continue
        if not has_batch:
            moved[key] = moved[key][0]
    return moved
