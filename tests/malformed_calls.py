"""A table of malformed calls: function, changed arguments, classes of error, word in the text."""

import numpy as np

import faltung as ft
from faltung import DTypeError, FaltungError, OptionError, ShapeError, WindowError
from malformed_family import FAMILY, FAMILY_OUT_SHAPES, family_rows

X = np.ones((1, 2, 6, 7), np.float32)
WEIGHT = np.ones((4, 2, 3, 3), np.float32)
BIAS = np.ones(4, np.float32)
LINE, TAPS = np.ones((1, 2, 9), np.float32), np.ones((3, 2, 3), np.float32)
CUBE, CUBE_TAPS = np.ones((1, 2, 4, 4, 4), np.float32), np.ones((3, 2, 2, 2, 2), np.float32)
OPERATOR = ft.Conv(WEIGHT, padding=1)
PADDER = ft.Pad(((1, 1), (1, 1)))
WINDOW = ft.Window(3, stride=2, padding=1)
OBJECT = object()
NAN = float("nan")
READ_ONLY = np.zeros((1, 4, 4, 5), np.float32)
READ_ONLY.flags.writeable = False

BASES = {
    "conv": (ft.conv, {"x": X, "weight": WEIGHT, "bias": BIAS}),
    "conv1d": (ft.conv1d, {"x": LINE, "weight": TAPS}),
    "conv2d": (ft.conv2d, {"x": X, "weight": WEIGHT}),
    "conv3d": (ft.conv3d, {"x": CUBE, "weight": CUBE_TAPS}),
    "pad": (ft.pad, {"x": X, "padding": 1}),
    "windows": (ft.windows, {"x": X, "kernel_size": 3}),
    "Conv": (ft.Conv, {"weight": WEIGHT}),
    "Conv.init": (ft.Conv.init, {"out_channels": 4, "in_channels": 2, "kernel_size": (3, 3)}),
    "Conv.call": (OPERATOR.__call__, {"x": X}),
    "Conv.output_shape": (OPERATOR.output_shape, {"input_shape": (1, 2, 6, 7)}),
    "Conv.describe": (OPERATOR.describe, {"input_shape": (1, 2, 6, 7)}),
    "Pad": (ft.Pad, {"padding": 1}),
    "Pad.call": (PADDER.__call__, {"x": X}),
    "Window": (ft.Window, {"kernel_size": (3, 3)}),
    "Window.output_size": (WINDOW.output_size, {"n": 9}),
    "Window.input_size": (WINDOW.input_size, {"n": 9}),
    "Window.resolve": (WINDOW.resolve, {"n": 9}),
    "Window.footprint": (WINDOW.footprint, {"i": 0}),
    "Window.padding_for": (WINDOW.padding_for, {"n": 9, "output": 5}),
    "Window.then": (WINDOW.then, {"other": ft.Window(3)}),
    "set_precision": (ft.set_precision, {"precision": "highest"}),
    "set_memory_limit": (ft.set_memory_limit, {"limit": None}),
    **FAMILY,
}
OUT_SHAPES = {
    "conv": (1, 4, 4, 5),
    "conv1d": (1, 3, 7),
    "conv2d": (1, 4, 4, 5),
    "conv3d": (1, 3, 3, 3, 3),
    "pad": (1, 2, 8, 9),
    "Conv.call": (1, 4, 6, 7),
    "Pad.call": (1, 2, 8, 9),
    **FAMILY_OUT_SHAPES,
}

NOT_STEPS = [
    0, -1, True, False, np.True_, 1.0, 2.5, NAN, float("inf"), None, "2", "", b"1", 1j, 2**63,
    10**30, -(10**30), (), (1, 2, 3), (1, 0), (1, -1), (1, True), (1, 1.0), (1, None),
    ((1, 1), (1, 1)), np.array([1.0, 1.0]), np.float64(2), np.ones((2, 2), int), {1: 1},
    OBJECT, len,
]  # fmt: skip
NOT_PADDINGS = [
    -1, True, np.False_, 1.5, NAN, float("inf"), None, "", "smae", b"same", 1j, 2**63, 10**30, (),
    (1, 2, 3), (1, -1), (1, True), (1, 0.5), (1, None), ((1, 1),), ((1, -1), (0, 0)),
    ((1, 1, 1), (1, 1, 1)), ((1, 1), (1, 1), (1, 1)), ((1,), (1,)), ((1, 1), None),
    np.array([1.0, 2.0]), {"before": 1}, OBJECT, [[[1]]], ["same", 3.0],
]  # fmt: skip
GOOD_FOR_PAD = {"-1", "(1, -1)", "((1, -1), (0, 0))", "(1, 2, 3)", "((1, 1), (1, 1), (1, 1))"}
NOT_GROUPS = [0, -2, True, 1.0, NAN, None, "1", (1,), 3, 2**63, 10**30, [], {}, OBJECT]
NOT_NAMES = ["", "nonsense", None, 1, True, 1.5, b"zeros", ["zeros"], {}, ("zeros",), OBJECT]
NOT_NUMBERS = ["a", None, [1, 2], np.ones(2), OBJECT, {}, 1j]
NOT_FLAGS = ["yes", None, 2, 0.5, [True], np.array([True, False]), OBJECT]
NOT_ARRAYS = [
    None, "text", OBJECT, [[1, 2], [3]], {1, 2}, {}, b"bytes", np.array(["a"]), len,
    np.ones((1, 2, 6, 7), np.longdouble), np.ones((1, 2, 6, 7), np.clongdouble),
    np.ones((1, 2, 6, 7), object), np.zeros((1, 2, 6, 7), "M8[s]"), np.zeros((1, 2, 6, 7), "m8[s]"),
    np.zeros((1, 2, 6, 7), "S3"), np.zeros((1, 2, 6, 7), [("a", "f4")]),
    np.ma.masked_array(X, X > 2), np.ma.masked_array(X),
]  # fmt: skip
NOT_SHAPES = [
    None, 3, "abc", (), (1, 2), (1, 2, -3, 4), (1, 2, 6.0, 7), (1, True, 6, 7), (1, 3, 6, 7),
    (1, 2, 6, 7, 8), (1, 2, None, 7), OBJECT,
]  # fmt: skip
NOT_DTYPES = ["nonsense", object, np.longdouble, str, "M8[s]", 3, [("a", "f4")], OBJECT, "int32"]
NOT_ARRAY_ERRORS = (DTypeError, ShapeError)


def rows():
    """(function, changed arguments, error classes, word in the message)."""
    for part in (step_rows, padding_rows, option_rows, number_rows, array_rows, out_rows):
        yield from part()
    yield from operator_rows()
    yield from window_rows()
    yield from family_rows()


def step_rows():
    for name in ("stride", "dilation"):
        yield from ((f, {name: v}, WindowError, name) for f in ("conv",) for v in NOT_STEPS)
        for function in ("conv1d", "conv3d", "windows", "Conv", "Window"):
            for v in (0, -1, True, 1.5, None, "2", (), (1, 1, 1, 1), 10**30, np.ones(2)):
                yield function, {name: v}, (WindowError, ShapeError), name
    for v in NOT_GROUPS:
        yield "conv", {"groups": v}, (WindowError, ShapeError), "groups"
    for v in (0, True, 1.5, None, 3, (2,)):
        yield "Conv", {"groups": v}, (WindowError, ShapeError), "groups"


def padding_rows():
    yield from (
        ("conv", {"padding": v}, (WindowError, OptionError), "padding") for v in NOT_PADDINGS
    )
    for function in ("conv1d", "conv3d", "Conv", "Window"):
        for v in (-1, True, 0.5, None, "smae", (), (1, 1, 1, 1), ((1, 1, 1),), 10**30, OBJECT):
            yield function, {"padding": v}, (WindowError, OptionError), "padding"
    for v in NOT_PADDINGS:
        if repr(v) not in GOOD_FOR_PAD:
            yield "pad", {"padding": v}, (WindowError, OptionError, ShapeError), "padding|x"
    for v in (-6, -3, (-6, 0), ((0, 0), (-3, -4)), "same", "full", 1.0, True):
        yield "pad", {"padding": v}, (WindowError, OptionError), "padding"


def option_rows():
    for option in ("padding_mode", "data_format"):
        for function in ("conv", "Conv"):
            yield from ((function, {option: v}, OptionError, option) for v in NOT_NAMES)
    for v in NOT_NAMES:
        if v is not None:
            yield "conv", {"precision": v}, OptionError, "precision"
            yield "conv", {"algorithm": v}, OptionError, "algorithm"
            yield "Conv", {"activation": v}, OptionError, "activation"
        yield "pad", {"mode": v}, OptionError, "mode"
        yield "windows", {"data_format": v}, OptionError, "data_format"
        yield "set_precision", {"precision": v}, OptionError, "precision"
    yield "pad", {"mode": "blank"}, OptionError, "mode"


def number_rows():
    for v in NOT_NUMBERS:
        constant = {"padding_mode": "constant", "padding": 1, "padding_value": v}
        yield "conv", constant, (OptionError, DTypeError), "padding_value"
        yield "pad", {"mode": "constant", "value": v}, (OptionError, DTypeError), "value"
    for v in (300, -1, 0.5, NAN):
        small = {"x": X.astype(np.uint8), "mode": "constant", "value": v}
        yield "pad", small, (OptionError, DTypeError), "value"
    yield from (("conv", {"flip": v}, OptionError, "flip") for v in NOT_FLAGS)
    yield from (
        ("Window", {"ceil_mode": v}, (OptionError, WindowError), "ceil_mode") for v in NOT_FLAGS
    )
    for v in (0, -1, True, 1.5, "1GB", NAN, (), OBJECT, 1j):
        yield "set_memory_limit", {"limit": v}, OptionError, "limit"


def array_rows():
    for v in NOT_ARRAYS:
        for function in ("conv", "pad", "windows", "Conv.call"):
            yield function, {"x": v}, NOT_ARRAY_ERRORS, "x"
        yield "conv", {"weight": v}, NOT_ARRAY_ERRORS, "weight"
        if v is not None:
            yield "conv", {"bias": v}, NOT_ARRAY_ERRORS, "bias"
            yield "Conv", {"bias": v}, NOT_ARRAY_ERRORS, "bias"
    for v in (np.ones(6), np.ones((6, 7)), np.ones((1, 1, 2, 6, 7)), np.float32(1), []):
        yield "conv2d", {"x": v}, ShapeError, "x"
        yield "conv", {"x": v}, ShapeError, "x"
    for v in (np.ones(()), np.ones(3), np.ones((4, 2)), np.ones((4, 3, 3, 3)), np.ones((4, 2, 3))):
        yield "conv2d", {"weight": v}, ShapeError, "weight"
    yield "conv", {"weight": np.ones((4, 2))}, ShapeError, "weight"
    yield "conv1d", {"weight": WEIGHT, "x": X}, ShapeError, "weight"
    yield "conv3d", {"weight": WEIGHT, "x": X}, ShapeError, "weight"
    yield "conv", {"weight": np.ones((4, 2, 0, 3))}, (WindowError, ShapeError), "weight|kernel_size"
    yield "conv", {"weight": np.ones((3, 1, 3, 3)), "groups": 2, "bias": None}, ShapeError, "groups"
    yield "conv", {"weight": np.ones((4, 2, 7, 3))}, WindowError, "kernel_size|weight"
    yield "conv", {"weight": np.ones((4, 2, 3, 8))}, WindowError, "kernel_size|weight"
    yield "conv", {"x": np.ones((1, 2, 0, 7))}, WindowError, "kernel_size|x"
    for v in (np.ones(3), np.ones((4, 1)), np.float32(1), np.ones(0), [1, 2]):
        yield "conv", {"bias": v}, ShapeError, "bias"
        yield "Conv", {"bias": v}, ShapeError, "bias"
    for v in (np.ones((1, 2, 0, 5)), np.ones((0, 2, 5, 0))):
        for mode in ("reflect", "edge", "wrap", "symmetric"):
            yield "pad", {"x": v, "mode": mode}, (WindowError, ShapeError), "x|padding|mode|pad"
    yield "pad", {"x": np.ones((1, 2)), "padding": 1}, ShapeError, "x"
    yield "pad", {"x": np.ones(())}, ShapeError, "x"
    for v in (
        0,
        -1,
        True,
        1.5,
        NAN,
        None,
        "3",
        (),
        (3, 0),
        (3, True),
        7,
        (2, 8),
        10**30,
        {},
        OBJECT,
    ):
        yield "windows", {"kernel_size": v}, (WindowError, ShapeError), "kernel_size"
    for v in ((3,), (3, 3, 3, 3)):
        yield "windows", {"kernel_size": v}, (WindowError, ShapeError), "kernel_size|x"
    yield "windows", {"dilation": 6}, WindowError, "kernel_size|dilation"
    yield "windows", {"x": np.ones((2, 3))}, ShapeError, "x"


def out_rows():
    wrong_shape = np.zeros((1, 4, 4, 6), np.float32)
    for v in (wrong_shape, wrong_shape[0], np.zeros(20, np.float32), np.zeros((), np.float32)):
        yield "conv", {"out": v}, ShapeError, "out"
        yield "pad", {"out": v}, ShapeError, "out"
    for kind in (np.float16, np.int32, np.bool_, "S4", "M8[s]", ">i4"):
        yield "conv", {"out": np.zeros((1, 4, 4, 5), kind)}, DTypeError, "out"
        yield "pad", {"out": np.zeros((1, 2, 8, 9), kind)}, DTypeError, "out"
    for v in ([0.0], "out", 1, OBJECT, (np.zeros((1, 4, 4, 5), np.float32),), READ_ONLY):
        yield "conv", {"out": v}, FaltungError, "out"
    masked = np.ma.masked_array(np.zeros((1, 4, 4, 5), np.float32))
    yield "conv", {"out": masked}, FaltungError, "out"
    for v in NOT_DTYPES:
        yield "conv", {"dtype": v}, DTypeError, "dtype"
        yield "pad", {"dtype": v}, DTypeError, "dtype"
    yield "conv", {"x": X.astype(complex), "dtype": "float64"}, DTypeError, "dtype"


def operator_rows():
    for v in (0, -1, True, 1.5, None, "3", (3, 0), (), 10**30):
        yield "Conv.init", {"kernel_size": v}, (WindowError, ShapeError), "kernel_size|weight"
    for name in ("out_channels", "in_channels"):
        for v in (-1, True, 1.5, None, "4", (4,), 10**30):
            yield "Conv.init", {name: v}, FaltungError, f"{name}|weight"
    yield "Conv.init", {"groups": 3}, (ShapeError, WindowError), "groups"
    for v in ("seed", 1.5, OBJECT):
        yield "Conv.init", {"rng": v}, FaltungError, "rng"
    for v in NOT_SHAPES:
        for function in ("Conv.output_shape", "Conv.describe"):
            yield function, {"input_shape": v}, (ShapeError, WindowError), "input_shape|x|input"
    for v in (np.ones((1, 3, 6, 7)), np.ones((6, 7)), np.ones((1, 2, 0, 7))[..., :0]):
        yield "Conv.call", {"x": v}, (ShapeError, WindowError), "x"
    for v in ((), (0,), (4, 2), (4, 2, -3, 3), (4, 2, 3.0, 3), (4, 2, True, 3)):
        yield "Conv", {"weight": v}, (ShapeError, WindowError), "weight"
    for v in ("same", 1.5, None, (1, 0.5), "nonsense", {}):
        yield "Pad", {"padding": v}, WindowError, "padding"
    yield "Pad", {"mode": "nonsense"}, OptionError, "mode"
    yield "Pad.call", {"x": np.ones((2, 3))}, ShapeError, "x"


def window_rows():
    for v in (0, -1, True, 1.5, NAN, None, "3", (), (3, 0), (3, "3"), 10**30, {}, OBJECT):
        yield "Window", {"kernel_size": v}, WindowError, "kernel_size"
    for v in (-1, True, 1.5, None, "9", (9, 9), 10**30, OBJECT):
        for method in ("output_size", "resolve", "input_size"):
            yield f"Window.{method}", {"n": v}, (WindowError, ShapeError), ""
        yield "Window.padding_for", {"n": v}, (WindowError, ShapeError), ""
        yield "Window.padding_for", {"output": v}, (WindowError, ShapeError), ""
    for v in (True, 1.5, None, "0", OBJECT):
        yield "Window.footprint", {"i": v}, FaltungError, ""
    for v in (3, None, "window", OBJECT):
        yield "Window.then", {"other": v}, FaltungError, ""


ROWS = list(rows())
