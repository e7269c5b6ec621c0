"""Malformed calls of the family's other operators: one list of bad values for each argument."""

import numpy as np

import faltung as ft
from faltung import DTypeError, FaltungError, OptionError, PositionError, ShapeError, WindowError

X = np.ones((1, 2, 6, 7), np.float32)
INDICES = np.zeros((1, 2, 6, 7), np.int64)
COLUMNS = np.ones((1, 18, 20), np.float32)
KERNELS = np.ones((1, 1, 9, 4, 5), np.float32)
UNTIED = np.ones((4, 2, 9, 4, 5), np.float32)
SPREAD = np.ones((2, 4, 3, 3), np.float32)
STRUCTURE = np.ones((3, 3), np.float32)
REDUCE, SPAN = np.ones((1, 2, 1, 1), np.float32), np.ones((9, 1, 1, 1), np.float32)
LAYER = ft.InvolutionLayer(REDUCE, SPAN, kernel_size=3, groups=1)
NAN, OBJECT = float("nan"), object()
OVER_DATA = {"x": X, "kernel_size": 3}

FAMILY = {
    "conv_transpose": (ft.conv_transpose, {"x": X, "weight": SPREAD}),
    "involution": (ft.involution, {"x": X, "weight": KERNELS, "kernel_size": 3}),
    "local_conv": (ft.local_conv, {"x": X, "weight": UNTIED, "kernel_size": 3}),
    "max_pool": (ft.max_pool, OVER_DATA),
    "avg_pool": (ft.avg_pool, OVER_DATA),
    "lp_pool": (ft.lp_pool, {"x": X, "norm_type": 2, "kernel_size": 3}),
    "adaptive_avg_pool": (ft.adaptive_avg_pool, {"x": X, "output_size": 3}),
    "adaptive_max_pool": (ft.adaptive_max_pool, {"x": X, "output_size": 3}),
    "max_unpool": (ft.max_unpool, {"x": X, "indices": INDICES, "kernel_size": 2}),
    "unfold": (ft.unfold, OVER_DATA),
    "fold": (ft.fold, {"columns": COLUMNS, "output_size": (6, 7), "kernel_size": (3, 3)}),
    "resize": (ft.resize, {"x": X, "size": (3, 4)}),
    "erode": (ft.erode, {"x": X, "structure": STRUCTURE}),
    "dilate": (ft.dilate, {"x": X, "structure": STRUCTURE}),
    "window_reduce": (ft.window_reduce, {**OVER_DATA, "reduction": "median"}),
    "max_pool2d": (ft.max_pool2d, OVER_DATA),
    "max_unpool2d": (ft.max_unpool2d, {"x": X, "indices": INDICES, "kernel_size": 2}),
    "conv_transpose2d": (ft.conv_transpose2d, {"x": X, "weight": SPREAD}),
    "MaxUnpool": (ft.MaxUnpool, {"indices": INDICES, "kernel_size": 2}),
    "Fold": (ft.Fold, {"output_size": (6, 7), "kernel_size": (3, 3)}),
    "MaxPool": (ft.MaxPool, {"kernel_size": 3}),
    "InvolutionLayer": (
        ft.InvolutionLayer, {"reduce": REDUCE, "span": SPAN, "kernel_size": 3, "groups": 1}
    ),
    "InvolutionLayer.call": (LAYER.__call__, {"x": X}),
    "InvolutionLayer.init": (ft.InvolutionLayer.init, {"channels": 2, "kernel_size": 3}),
}  # fmt: skip
FAMILY_OUT_SHAPES = {
    "conv_transpose": (1, 4, 8, 9),
    "involution": (1, 2, 4, 5),
    "local_conv": (1, 4, 4, 5),
    "max_pool": (1, 2, 2, 2),
    "avg_pool": (1, 2, 2, 2),
    "lp_pool": (1, 2, 2, 2),
    "adaptive_avg_pool": (1, 2, 3, 3),
    "adaptive_max_pool": (1, 2, 3, 3),
    "max_unpool": (1, 2, 12, 14),
    "unfold": (1, 18, 20),
    "fold": (1, 2, 6, 7),
    "resize": (1, 2, 3, 4),
    "erode": (1, 2, 6, 7),
    "dilate": (1, 2, 6, 7),
    "window_reduce": (1, 2, 4, 5),
    "max_pool2d": (1, 2, 2, 2),
    "max_unpool2d": (1, 2, 12, 14),
    "conv_transpose2d": (1, 4, 8, 9),
    "InvolutionLayer.call": (1, 2, 6, 7),
}

NOT_STEPS = (0, -1, True, 1.5, NAN, "2", (), (1, 1, 1, 1), (1, 0), (1, 2.0), 10**30, 2**63, OBJECT)
NOT_PADDINGS = (
    -1, True, 0.5, None, "smae", (), (1, -1), (1, 1, 1, 1), ((1, 1, 1),), ((1, 1), None), 10**30,
    OBJECT,
)  # fmt: skip
NOT_FLAGS = ("yes", None, 2, 0.5, [True], OBJECT)
NOT_NAMES = ("", "nonsense", 1, True, b"zeros", ["zeros"], OBJECT)
NOT_ARRAYS = (
    None, "text", OBJECT, [[1, 2], [3]], {}, np.array(["a"]), np.ones((1, 2, 6, 7), object),
    np.ones((1, 2, 6, 7), np.longdouble), np.zeros((1, 2, 6, 7), "M8[s]"),
    np.ma.masked_array(X),
)  # fmt: skip

SLIDING = ("max_pool", "avg_pool", "lp_pool", "unfold", "window_reduce", "involution", "local_conv")
VALUES = {
    "kernel_size": (
        (*SLIDING, "max_unpool", "fold", "max_pool2d", "max_unpool2d", "Fold"),
        (*NOT_STEPS, None), (WindowError, ShapeError),
    ),
    "stride": (
        (*SLIDING, "conv_transpose", "max_unpool", "fold", "erode", "dilate", "max_unpool2d",
         "Fold", "InvolutionLayer"),
        NOT_STEPS, (WindowError, ShapeError),
    ),
    "dilation": (
        (*SLIDING, "conv_transpose", "fold", "erode", "dilate", "Fold", "InvolutionLayer"),
        NOT_STEPS, (WindowError, ShapeError),
    ),
    "padding": (
        (*SLIDING, "conv_transpose", "max_unpool", "fold", "erode", "dilate", "Fold"),
        NOT_PADDINGS, WindowError,
    ),
    "output_size": (
        ("adaptive_avg_pool", "adaptive_max_pool", "fold", "Fold"),
        (0, -1, True, 2.5, NAN, "2", (), (3, 3, 3, 3), (3, 0), (3, 1.0), 10**30, OBJECT),
        (WindowError, ShapeError),
    ),
    "output_padding": (
        ("conv_transpose", "conv_transpose2d"), (-1, True, 1.5, None, 1, (0, 1), (0,), 10**30),
        WindowError,
    ),
    "groups": (
        ("conv_transpose", "local_conv", "InvolutionLayer"),
        (0, -1, True, 1.0, None, "1", 3, 10**30), (WindowError, ShapeError),
    ),
    "padding_mode": (
        ("conv_transpose", "involution", "local_conv", "unfold", "window_reduce",
         "InvolutionLayer"),
        (*NOT_NAMES, None), OptionError,
    ),
    "ceil_mode": (("max_pool", "avg_pool", "lp_pool", "MaxPool"), NOT_FLAGS, FaltungError),
    "return_indices": (("max_pool", "adaptive_max_pool", "MaxPool"), NOT_FLAGS, OptionError),
    "count_include_pad": (("avg_pool",), NOT_FLAGS, OptionError),
    "divisor_override": (("avg_pool",), (0, True, 1.5, "2", (2,), NAN), FaltungError),
    "norm_type": (("lp_pool",), (0, -1, NAN, None, "2", (2,), 1j, True), FaltungError),
    "flip": (("conv_transpose",), NOT_FLAGS, OptionError),
    "align_corners": (("resize",), NOT_FLAGS, OptionError),
    "antialias": (("resize",), NOT_FLAGS, OptionError),
    "mode": (("resize",), (*NOT_NAMES, None), OptionError),
    "size": (
        ("resize",), (0, -1, True, 2.5, "2", (), (3, 0), (3, 3, 3, 3), 10**30, OBJECT),
        (WindowError, ShapeError, OptionError),
    ),
    "scale_factor": (
        ("resize",), (0, -1.0, NAN, float("inf"), "2", (2.0, 0.0), (1, 1, 1, 1), True, OBJECT),
        (WindowError, ShapeError, OptionError),
    ),
    "reduction": (
        ("window_reduce",),
        ("mode", None, 3, (), ("percentile",), ("percentile", 101), ("percentile", "q"),
         ("percentile", NAN), ("rank", -1), ("rank", 10**30), ("rank", 1.0), ("rank", True),
         OBJECT),
        FaltungError,
    ),
    "activation": (("InvolutionLayer",), (*NOT_NAMES, "tanh"), OptionError),
    "data_format": (tuple(FAMILY_OUT_SHAPES)[:-1], (*NOT_NAMES, None), OptionError),
    "algorithm": (tuple(FAMILY_OUT_SHAPES)[:-1], NOT_NAMES, OptionError),
    "dtype": (tuple(FAMILY_OUT_SHAPES)[:-1], ("nonsense", object, "S3", 3, "bool"), DTypeError),
}  # fmt: skip


def family_rows():
    """(function, changed arguments, error classes, word in the message)."""
    for name, (functions, values, classes) in VALUES.items():
        for function in functions:
            for value in values:
                changes = {name: value}
                if name == "scale_factor":
                    changes["size"] = None
                # Of a good list that is too long, the data has too few axes.
                is_long = isinstance(value, tuple) and len(value) > 2
                word = f"{name}|kernel_size|x" if is_long else name
                yield function, changes, classes, word
    for part in (array_rows, fitting_rows, operand_rows, layer_rows, out_rows):
        yield from part()


def array_rows():
    """Data and operands that are no arrays, or have too few axes."""
    for function, (_, given) in FAMILY.items():
        operands = [name for name, value in given.items() if isinstance(value, np.ndarray)]
        for name in operands:
            for value in NOT_ARRAYS:
                yield function, {name: value}, (DTypeError, ShapeError), name
    for function in FAMILY_OUT_SHAPES:
        name = "columns" if function == "fold" else "x"
        for value in (np.ones(()), np.ones(5), []):
            yield function, {name: value}, ShapeError, f"{name}|indices|weight|structure"


def fitting_rows():
    """Arguments that are good by themselves and do not fit together."""
    for function in SLIDING[:3]:
        yield function, {"padding": 9}, WindowError, "padding"
        yield function, {"kernel_size": 9}, WindowError, "kernel_size"
        yield function, {"x": np.ones((1, 2, 0, 7))}, WindowError, "x|kernel_size|padding"
    for function in SLIDING[3:5]:
        yield function, {"kernel_size": (3, 8)}, WindowError, "kernel_size"
        yield function, {"padding_value": 3}, OptionError, "padding_value"
    for changes in ({"stride": 2}, {"padding": 1}, {"dilation": 2}, {"output_size": (7, 6)}):
        yield "fold", changes, (ShapeError, WindowError), "columns|kernel_size"
    yield "fold", {"output_size": (2, 7)}, WindowError, "kernel_size"
    yield "resize", {"scale_factor": 2.0}, OptionError, "size"
    yield "resize", {"size": None}, OptionError, "size"
    yield "conv_transpose", {"padding": 9}, WindowError, "padding"
    for size in ((7, 9), (8,), (8, 9.0), (2, 4, 8, 9), "8"):
        yield "conv_transpose", {"output_size": size}, (WindowError, ShapeError), "output_size"
    for size in ((10, 14), (15, 14), 0, True, (12,), (12, 14.0), (2, 2, 12, 14), "12"):
        yield "max_unpool", {"output_size": size}, (WindowError, ShapeError), "output_size"
    for function in ("max_pool", "adaptive_max_pool"):
        yield function, {"x": X.astype(complex)}, DTypeError, "x"
    for shape in ((3,), (3, 3, 3, 3), (0, 3), ()):
        for function in ("erode", "dilate"):
            changes = {"structure": np.ones(shape)}
            yield function, changes, (ShapeError, WindowError), "structure|x"


def operand_rows():
    """Operands of good shapes that do not fit the data."""
    weights = {
        "involution": (KERNELS[:, :, :8], KERNELS[..., :4], KERNELS[0, 0], UNTIED[:1, :1, :, :3]),
        "local_conv": (UNTIED[:, :1], UNTIED[:, :, :8], UNTIED[..., :4], UNTIED[0, 0, 0]),
        "conv_transpose2d": (np.ones((3, 4, 3, 3)), np.ones((2, 4)), np.ones((2, 4, 3))),
    }
    for function, faulty in weights.items():
        for weight in faulty:
            yield function, {"weight": weight}, ShapeError, "weight"
    yield "involution", {"weight": np.ones((1, 3, 9, 4, 5))}, ShapeError, "groups|weight|x"
    yield "conv_transpose", {"weight": np.ones((2, 4, 0, 3))}, WindowError, "weight"
    for function in ("local_conv", "conv_transpose"):
        yield function, {"bias": np.ones(3)}, ShapeError, "bias"
    for function in ("max_unpool", "max_unpool2d", "MaxUnpool"):
        for position in (-1, 168, 10**9, -(2**63)):
            yield function, {"indices": INDICES + position}, PositionError, "indices"
        for indices in (INDICES.astype(float), INDICES > 0, INDICES.astype(complex)):
            yield function, {"indices": indices}, DTypeError, "indices"
    for indices in (INDICES[0], INDICES[..., :6], INDICES[:, :1], INDICES[None]):
        yield "max_unpool", {"indices": indices}, ShapeError, "indices"
    for columns in (COLUMNS[:, :17], COLUMNS[..., :19], COLUMNS[:, :, :0], np.ones((1, 20, 18))):
        yield "fold", {"columns": columns}, ShapeError, "columns"


def layer_rows():
    """What an involution layer is made of and applied to."""
    layer = "InvolutionLayer"
    for span in (SPAN[:8], np.ones((9, 2, 1, 1)), SPAN[..., 0]):
        yield layer, {"span": span}, ShapeError, "span"
    for name in ("reduce_bias", "span_bias"):
        yield layer, {name: np.ones(4)}, ShapeError, name
        yield layer, {name: "text"}, DTypeError, name
    for value in (0, 2, "valid", 1.5, "smae", ((1, 0), (1, 1))):
        yield layer, {"padding": value}, WindowError, "padding"
    for value in (*NOT_STEPS, 5):
        yield layer, {"kernel_size": value}, (WindowError, ShapeError), "kernel_size"
        if value not in (5, (1, 1, 1, 1)):
            yield f"{layer}.init", {"kernel_size": value}, WindowError, "kernel_size|span"
    for name in ("channels", "reduction", "groups", "group_channels"):
        for value in (0, -1, True, 1.5, "2", (2,), 10**30):
            yield f"{layer}.init", {name: value}, (WindowError, ShapeError), name
    for value in (np.ones((1, 3, 6, 7)), np.ones((6, 7)), np.ones((1, 2, 0, 7))):
        yield f"{layer}.call", {"x": value}, (ShapeError, WindowError), "x"


def out_rows():
    """Results that cannot be written where they should."""
    for function, shape in FAMILY_OUT_SHAPES.items():
        yield function, {"out": np.zeros((*shape[:-1], shape[-1] + 1))}, ShapeError, "out"
        yield function, {"out": np.zeros(shape[1:])}, ShapeError, "out"
        yield function, {"out": np.zeros(shape, np.int8)}, DTypeError, "out"
        yield function, {"out": np.zeros(shape, "S4")}, DTypeError, "out"
        yield function, {"out": np.broadcast_to(np.float64(0), shape)}, FaltungError, "out"
        yield function, {"out": [0.0]}, DTypeError, "out"
