"""Pickles and copies of every public object, here and in another process."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import faltung as ft

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((4, 2, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)
X = RNG.standard_normal((2, 2, 7, 9)).astype(np.float32)

OPERATORS = {
    "Conv": ft.Conv(WEIGHT),
    "Conv with bias": ft.Conv(WEIGHT, BIAS, padding="same", activation="relu"),
    "Conv with everything": ft.Conv(
        WEIGHT[:, :1], BIAS, stride=(2, 1), padding=((1, 2), (0, 3)), dilation=(1, 2), groups=2,
        padding_mode="constant", padding_value=1.5, flip=True, precision="highest",
        algorithm="stencil",
    ),
    "Conv of integers": ft.Conv(np.arange(18, dtype=np.int8).reshape(1, 2, 3, 3), padding=1),
    "Conv of a view": ft.Conv(WEIGHT[::-1, ::-1, ::-1].astype(">f8")),
    "Conv blank": ft.Conv(WEIGHT, padding=1, padding_mode="blank"),
    "Pad": ft.Pad(((1, 2), (0, -1)), "reflect"),
    "Conv with a NaN": ft.Conv(np.where(WEIGHT > 1.5, np.float32(np.nan), WEIGHT)),
    "Conv around NaN": ft.Conv(WEIGHT, padding=1, padding_mode="constant", padding_value=np.nan),
    "Pad constant": ft.Pad(2, "constant", 7),
    "Pad with NaN": ft.Pad(2, "constant", float("nan")),
}  # fmt: skip
WINDOWS = [
    ft.Window(3),
    ft.Window((3, 2), stride=(2, 1), dilation=2, padding=((1, 2), (0, 3)), ceil_mode=True),
    ft.Window((3, 3), padding="same"),
    ft.Window(3, stride=2, padding="causal").then(ft.Window(5)),
]
ERRORS = [
    ft.FaltungError, ft.ShapeError, ft.WindowError, ft.OptionError, ft.DTypeError,
    ft.NotLinearError, ft.PositionError, ft.ResourceError, ft.MissingExtraError,
]  # fmt: skip


def raised(call):
    try:
        call()
    except ft.FaltungError as error:
        return error
    raise AssertionError("no error")


REAL_ERRORS = {
    "stride": raised(lambda: ft.conv(X, WEIGHT, stride=0)),
    "channels": raised(lambda: ft.conv2d(X[:, :1], WEIGHT)),
    "mode": raised(lambda: ft.pad(X, 1, "nonsense")),
    "dtype": raised(lambda: ft.conv(X.astype(object), WEIGHT)),
    "memory": raised(lambda: ft.pad(X, 10**9)),
    "precision": raised(lambda: ft.set_precision("nonsense")),
    "window": raised(lambda: ft.Window(0)),
}
REPORTS = {name: operator.describe(X.shape) for name, operator in OPERATORS.items()}
WAYS = {
    f"pickle {protocol}": lambda value, p=protocol: pickle.loads(pickle.dumps(value, p))
    for protocol in PROTOCOLS
}
WAYS |= {"copy": copy.copy, "deepcopy": copy.deepcopy}
EVERYTHING = {
    "operators": OPERATORS, "windows": WINDOWS, "errors": REAL_ERRORS, "reports": REPORTS,
    "functions": [ft.conv, ft.conv1d, ft.conv2d, ft.conv3d, ft.pad, ft.windows, ft.Conv, ft.Window,
                  ft.set_precision, ft.reproducible, ft.algorithms],
}  # fmt: skip


def fills_with_nan(operator):
    return np.isnan(operator.padding_value if operator.name == "conv" else operator.value)


def assert_same_operator(twin, operator):
    assert type(twin) is type(operator)
    assert twin == operator
    assert hash(twin) == hash(operator)
    assert repr(twin) == repr(operator)
    for x in (X, X.astype(np.float64), X.astype(np.int16)):
        if fills_with_nan(operator) and x.dtype.kind == "i":
            continue  # no integer is NaN
        y, expected = twin(x), operator(x)
        assert y.dtype == expected.dtype
        assert y.tobytes() == expected.tobytes()
    assert twin.output_shape(X.shape) == operator.output_shape(X.shape)
    assert twin.describe(X.shape).to_dict() == operator.describe(X.shape).to_dict()
    assert np.array_equal(twin.reference(X), operator.reference(X), equal_nan=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name, way):
    operator = OPERATORS[name]
    assert_same_operator(WAYS[way](operator), operator)


@pytest.mark.parametrize("way", WAYS)
def test_operators_before_their_first_use(way):
    for operator in (ft.Conv(WEIGHT, BIAS), ft.Pad(((1, 1), (2, 2))), ft.Conv((4, 2, 3, 3))):
        twin = WAYS[way](operator)
        assert twin == operator
        assert twin.output_shape(X.shape) == operator.output_shape(X.shape)
    assert np.array_equal(WAYS[way](ft.Conv(WEIGHT))(X), ft.conv(X, WEIGHT))


def test_copies_cannot_be_changed_either():
    for way in WAYS.values():
        twin = way(OPERATORS["Conv with bias"])
        with pytest.raises((AttributeError, TypeError)):
            twin.stride = 2
        for array in (twin.weight, twin.bias):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_operator_does_not_follow_its_arguments():
    weight, bias = WEIGHT.copy(), BIAS.copy()
    operator = ft.Conv(weight, bias)
    expected = operator(X)
    weight[...], bias[...] = 0, 0
    assert np.array_equal(operator(X), expected)


def test_equality_sees_every_argument():
    base = {"stride": 1, "padding": 1, "groups": 1, "padding_mode": "zeros", "flip": False}
    others = [{"stride": 2}, {"padding": 2}, {"padding_mode": "reflect"}, {"flip": True},
              {"dilation": 2}, {"activation": "relu"}, {"precision": "highest"},
              {"data_format": "channels_last"}]  # fmt: skip
    operator = ft.Conv(WEIGHT, **base)
    assert operator == ft.Conv(WEIGHT.copy(), **base)
    assert operator != ft.Conv(WEIGHT, BIAS, **base)
    assert operator != ft.Conv(WEIGHT + 1, **base)
    assert operator != ft.Conv(WEIGHT.astype(np.float64), **base)
    assert operator != ft.Pad(1)
    assert operator != 3
    for other in others:
        assert operator != ft.Conv(WEIGHT, **(base | other)), other


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("window", WINDOWS, ids=repr)
def test_windows(window, way):
    twin = WAYS[way](window)
    assert twin == window
    assert hash(twin) == hash(window)
    assert repr(twin) == repr(window)
    for method in ("output_size", "resolve"):
        assert getattr(twin, method)(20) == getattr(window, method)(20)
    assert twin.receptive_field == window.receptive_field
    assert twin.footprint(1) == window.footprint(1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REPORTS)
def test_reports(name, way):
    report = REPORTS[name]
    twin = WAYS[way](report)
    assert twin == report
    assert twin.to_dict() == report.to_dict()
    assert str(twin) == str(report)
    assert twin._repr_html_() == report._repr_html_()


def assert_same_error(twin, error):
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert repr(twin) == repr(error)
    assert (twin.fact, twin.advice) == (error.fact, error.advice)
    assert twin.args == error.args


@pytest.mark.parametrize("way", WAYS)
def test_errors(way):
    for kind in ERRORS:
        dressed = kind("x is 3", "Use 4").at("conv", "x (1,)")
        for error in (kind("x is 3", "Use 4"), kind("only a fact"), kind(), dressed):
            assert_same_error(WAYS[way](error), error)
    for error in REAL_ERRORS.values():
        assert_same_error(WAYS[way](error), error)


def test_errors_keep_what_was_noted():
    error = ft.ShapeError("x is 3", "Use 4")
    error.add_note("in layer 7")
    twin = pickle.loads(pickle.dumps(error))
    assert twin.__notes__ == ["in layer 7"]


def test_functions_and_classes():
    for value in EVERYTHING["functions"]:
        for way in WAYS.values():
            assert way(value) is value


CHILD = """
import pickle, sys
everything, x = pickle.load(sys.stdin.buffer)
operators = everything["operators"]
results = {name: operator(x) for name, operator in operators.items()}
sizes = [window.output_size(20) for window in everything["windows"]]
texts = [str(v) for part in ("errors", "reports") for v in everything[part].values()]
heavy = [name for name in ("scipy", "matplotlib", "rich", "PIL") if name in sys.modules]
pickle.dump((everything, results, sizes, texts, heavy), sys.stdout.buffer)
"""


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_another_process(protocol):
    """Loaded, used and sent back by a process that has not imported faltung by itself."""
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD], check=True, timeout=60,
        input=pickle.dumps((EVERYTHING, X), protocol), stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    back, results, sizes, texts, heavy = pickle.loads(output)
    for name, operator in OPERATORS.items():
        assert results[name].tobytes() == operator(X).tobytes(), name
        assert_same_operator(back["operators"][name], operator)
    assert sizes == [window.output_size(20) for window in WINDOWS]
    assert texts == [str(value) for part in (REAL_ERRORS, REPORTS) for value in part.values()]
    assert back["windows"] == WINDOWS
    assert heavy == []


def test_pickle_holds_the_arguments_only():
    """Not the packed weights and plans of the shapes that were seen."""
    operator = ft.Conv(WEIGHT, BIAS, padding=1)
    before = len(pickle.dumps(operator))
    for size in range(5, 40):
        operator(np.ones((1, 2, size, size), np.float32))
    assert len(pickle.dumps(operator)) == before
    assert before < WEIGHT.nbytes + BIAS.nbytes + 1500
