"""faltung: convolution and every other sliding window on NumPy arrays.

>>> import faltung as ft
>>> ft.conv1d([[1, 2, 4, 8]], [[[-1, 1]]])
array([[1, 2, 4]])
"""

# Written by tools/sync.py from the operator records; edit those, not this file.

from __future__ import annotations

from importlib import import_module as _import
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faltung import kernels, testing
    from faltung._fitted import Fit
    from faltung._plotted import plot_receptive_field
    from faltung.arrays import filter_array
    from faltung.bound import Operator
    from faltung.classes import (
        AdaptiveAvgPool,
        AdaptiveMaxPool,
        AvgPool,
        Conv,
        ConvTranspose,
        Dilate,
        Erode,
        Fold,
        Involution,
        LocalConv,
        LpPool,
        MaxPool,
        MaxUnpool,
        Pad,
        Resize,
        Unfold,
        WindowReduce,
    )
    from faltung.compiled.parallel import get_num_threads, set_num_threads
    from faltung.config import reproducible, set_memory_limit, set_precision
    from faltung.conv_gradients import (
        conv_input_grad,
        conv_transpose_input_grad,
        conv_transpose_weight_grad,
        conv_weight_grad,
    )
    from faltung.draw.figure import Animation, Figure
    from faltung.errors import (
        DTypeError,
        FaltungError,
        MissingExtraError,
        NotLinearError,
        OptionError,
        PositionError,
        ResourceError,
        ShapeError,
        WindowError,
    )
    from faltung.explanation import Explanation
    from faltung.fit import fit_kernel
    from faltung.geometry.window import Window
    from faltung.images import (
        filter_image,
        maximum_filter,
        median_filter,
        minimum_filter,
        percentile_filter,
    )
    from faltung.involution_layer import InvolutionLayer
    from faltung.matching import match_template
    from faltung.operators.adaptive_avg_pool import (
        adaptive_avg_pool,
        adaptive_avg_pool1d,
        adaptive_avg_pool2d,
        adaptive_avg_pool3d,
    )
    from faltung.operators.adaptive_max_pool import (
        adaptive_max_pool,
        adaptive_max_pool1d,
        adaptive_max_pool2d,
        adaptive_max_pool3d,
    )
    from faltung.operators.avg_pool import avg_pool, avg_pool1d, avg_pool2d, avg_pool3d
    from faltung.operators.conv import conv, conv1d, conv2d, conv3d
    from faltung.operators.conv_transpose import (
        conv_transpose,
        conv_transpose1d,
        conv_transpose2d,
        conv_transpose3d,
    )
    from faltung.operators.fold import fold
    from faltung.operators.involution import involution, involution2d
    from faltung.operators.local_conv import local_conv
    from faltung.operators.lp_pool import lp_pool, lp_pool1d, lp_pool2d, lp_pool3d
    from faltung.operators.max_pool import max_pool, max_pool1d, max_pool2d, max_pool3d
    from faltung.operators.max_unpool import max_unpool, max_unpool1d, max_unpool2d, max_unpool3d
    from faltung.operators.morphology import dilate, erode
    from faltung.operators.pad import pad
    from faltung.operators.resize import resize
    from faltung.operators.unfold import unfold
    from faltung.operators.window_reduce import window_reduce
    from faltung.operators.windows import windows
    from faltung.plans._select import algorithms
    from faltung.plotting.coverage import plot_coverage
    from faltung.plotting.matrix import plot_matrix
    from faltung.report import Report
    from faltung.scipy_like import convolve, convolve2d, correlate, correlate2d
    from faltung.sequential import Sequential
    from faltung.tuning import Tuning, tune
    from faltung.weights import weight_from

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Animation",
    "AvgPool",
    "Conv",
    "ConvTranspose",
    "DTypeError",
    "Dilate",
    "Erode",
    "Explanation",
    "FaltungError",
    "Figure",
    "Fit",
    "Fold",
    "Involution",
    "InvolutionLayer",
    "LocalConv",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "MissingExtraError",
    "NotLinearError",
    "Operator",
    "OptionError",
    "Pad",
    "PositionError",
    "Report",
    "Resize",
    "ResourceError",
    "Sequential",
    "ShapeError",
    "Tuning",
    "Unfold",
    "Window",
    "WindowError",
    "WindowReduce",
    "adaptive_avg_pool",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "algorithms",
    "avg_pool",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_input_grad",
    "conv_transpose",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_transpose_input_grad",
    "conv_transpose_weight_grad",
    "conv_weight_grad",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "dilate",
    "erode",
    "filter_array",
    "filter_image",
    "fit_kernel",
    "fold",
    "get_num_threads",
    "involution",
    "involution2d",
    "kernels",
    "local_conv",
    "lp_pool",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "match_template",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "maximum_filter",
    "median_filter",
    "minimum_filter",
    "pad",
    "percentile_filter",
    "plot_coverage",
    "plot_matrix",
    "plot_receptive_field",
    "reproducible",
    "resize",
    "set_memory_limit",
    "set_num_threads",
    "set_precision",
    "testing",
    "tune",
    "unfold",
    "weight_from",
    "window_reduce",
    "windows",
]
__version__ = "0.1.0.dev0"

# Names are loaded when they are first used, so that `import faltung` costs nothing.
_MODULES = {
    "Fit": "_fitted",
    "plot_receptive_field": "_plotted",
    "filter_array": "arrays",
    "Operator": "bound",
    "AdaptiveAvgPool": "classes",
    "AdaptiveMaxPool": "classes",
    "AvgPool": "classes",
    "Conv": "classes",
    "ConvTranspose": "classes",
    "Dilate": "classes",
    "Erode": "classes",
    "Fold": "classes",
    "Involution": "classes",
    "LocalConv": "classes",
    "LpPool": "classes",
    "MaxPool": "classes",
    "MaxUnpool": "classes",
    "Pad": "classes",
    "Resize": "classes",
    "Unfold": "classes",
    "WindowReduce": "classes",
    "get_num_threads": "compiled.parallel",
    "set_num_threads": "compiled.parallel",
    "reproducible": "config",
    "set_memory_limit": "config",
    "set_precision": "config",
    "conv_input_grad": "conv_gradients",
    "conv_transpose_input_grad": "conv_gradients",
    "conv_transpose_weight_grad": "conv_gradients",
    "conv_weight_grad": "conv_gradients",
    "Animation": "draw.figure",
    "Figure": "draw.figure",
    "DTypeError": "errors",
    "FaltungError": "errors",
    "MissingExtraError": "errors",
    "NotLinearError": "errors",
    "OptionError": "errors",
    "PositionError": "errors",
    "ResourceError": "errors",
    "ShapeError": "errors",
    "WindowError": "errors",
    "Explanation": "explanation",
    "fit_kernel": "fit",
    "Window": "geometry.window",
    "filter_image": "images",
    "maximum_filter": "images",
    "median_filter": "images",
    "minimum_filter": "images",
    "percentile_filter": "images",
    "InvolutionLayer": "involution_layer",
    "match_template": "matching",
    "adaptive_avg_pool": "operators.adaptive_avg_pool",
    "adaptive_avg_pool1d": "operators.adaptive_avg_pool",
    "adaptive_avg_pool2d": "operators.adaptive_avg_pool",
    "adaptive_avg_pool3d": "operators.adaptive_avg_pool",
    "adaptive_max_pool": "operators.adaptive_max_pool",
    "adaptive_max_pool1d": "operators.adaptive_max_pool",
    "adaptive_max_pool2d": "operators.adaptive_max_pool",
    "adaptive_max_pool3d": "operators.adaptive_max_pool",
    "avg_pool": "operators.avg_pool",
    "avg_pool1d": "operators.avg_pool",
    "avg_pool2d": "operators.avg_pool",
    "avg_pool3d": "operators.avg_pool",
    "conv": "operators.conv",
    "conv1d": "operators.conv",
    "conv2d": "operators.conv",
    "conv3d": "operators.conv",
    "conv_transpose": "operators.conv_transpose",
    "conv_transpose1d": "operators.conv_transpose",
    "conv_transpose2d": "operators.conv_transpose",
    "conv_transpose3d": "operators.conv_transpose",
    "fold": "operators.fold",
    "involution": "operators.involution",
    "involution2d": "operators.involution",
    "local_conv": "operators.local_conv",
    "lp_pool": "operators.lp_pool",
    "lp_pool1d": "operators.lp_pool",
    "lp_pool2d": "operators.lp_pool",
    "lp_pool3d": "operators.lp_pool",
    "max_pool": "operators.max_pool",
    "max_pool1d": "operators.max_pool",
    "max_pool2d": "operators.max_pool",
    "max_pool3d": "operators.max_pool",
    "max_unpool": "operators.max_unpool",
    "max_unpool1d": "operators.max_unpool",
    "max_unpool2d": "operators.max_unpool",
    "max_unpool3d": "operators.max_unpool",
    "dilate": "operators.morphology",
    "erode": "operators.morphology",
    "pad": "operators.pad",
    "resize": "operators.resize",
    "unfold": "operators.unfold",
    "window_reduce": "operators.window_reduce",
    "windows": "operators.windows",
    "algorithms": "plans._select",
    "plot_coverage": "plotting.coverage",
    "plot_matrix": "plotting.matrix",
    "Report": "report",
    "convolve": "scipy_like",
    "convolve2d": "scipy_like",
    "correlate": "scipy_like",
    "correlate2d": "scipy_like",
    "Sequential": "sequential",
    "Tuning": "tuning",
    "tune": "tuning",
    "weight_from": "weights",
}
_SUBMODULES = ("kernels", "testing")


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _import(f"faltung.{name}")
    if name not in _MODULES:
        raise AttributeError(f"faltung has no attribute {name!r}")
    value = getattr(_import(f"faltung.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
