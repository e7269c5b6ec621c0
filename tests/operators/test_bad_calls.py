"""Malformed calls: the right error, quickly, naming the argument, with nothing written."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import faltung as ft
from faltung import DTypeError, FaltungError, OptionError, ShapeError, WindowError
from malformed_calls import BASES, BIAS, OPERATOR, OUT_SHAPES, PADDER, ROWS, WEIGHT, WINDOW, X

HEAVY = ("numba", "llvmlite", "scipy", "PIL", "matplotlib", "rich")
NAMES = {"Conv.call": "[Cc]onv", "Pad.call": "[Pp]ad"} | dict.fromkeys(
    ("Conv.output_shape", "Conv.describe", "Conv.init"), "[Cc]onv"
)


def described(row):
    function, changes, _, _ = row
    return function + " " + ", ".join(f"{k}={str(v)[:40]!r}" for k, v in changes.items())


def fault_of(row):
    """What is wrong with the error of one malformed call, or None."""
    function, changes = row[:2]
    call, arguments = BASES[function]
    out = None
    arguments = {**arguments, **changes}
    if function in OUT_SHAPES and "out" not in changes:
        out = arguments["out"] = np.full(OUT_SHAPES[function], 7, np.complex128)
    began = time.perf_counter()
    try:
        result = call(**arguments)
    except FaltungError as error:
        took = time.perf_counter() - began
        return fault_of_error(error, row, took) or fault_of_out(out, changes)
    except Exception as error:  # noqa: BLE001 - a foreign error is what is looked for
        return f"foreign {type(error).__name__}: {error}"
    return f"no error but {result!r:.80}"


def fault_of_error(error, row, took):
    function, _, classes, word = row
    text = str(error)
    if not isinstance(error, classes):
        return f"is a {type(error).__name__}: {text}"
    if not re.search(rf"(?<![a-z_])({word})(?![a-z_])", text):
        return f"does not name {word}: {text}"
    if not re.search(rf"\b{NAMES.get(function, function.split('.')[0])}\b", text):
        return f"does not name {function}: {text}"
    if text.count("\n") > 2 or len(text) > 1000:
        return f"is too long: {text}"
    if not error.advice and "expect" not in text:
        return f"does not say what would work: {text}"
    return f"took {took * 1e3:.0f} ms" if took > 0.05 else None


def fault_of_out(out, changes):
    if out is not None and not (out == 7).all():
        return "wrote to out"
    given = changes.get("out")
    if isinstance(given, np.ndarray) and given.dtype.kind in "biufc" and given.any():
        return "wrote to out"
    return None


def faults_of_all():
    return {
        f"{i}: {described(row)}": fault for i, row in enumerate(ROWS) if (fault := fault_of(row))
    }


def test_table_is_large_and_its_bases_are_good():
    assert len(ROWS) >= 150
    for name, (call, arguments) in BASES.items():
        call(**arguments)
        if name in OUT_SHAPES:
            out = np.zeros(OUT_SHAPES[name], np.complex128)
            assert call(**arguments, out=out) is out


@pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{row[0]}-{row[3]}" for i, row in enumerate(ROWS)])
def test_malformed_call(row):
    fault = fault_of(row)
    if fault and fault.startswith("took"):
        fault = fault_of(row)  # once more: another process may have had the core
    assert fault is None, f"{described(row)}: {fault}"


def test_checker_finds_faults():
    assert "no error" in fault_of(("conv", {"stride": 2, "out": None}, WindowError, "stride"))
    assert "is a" in fault_of(("conv", {"stride": 0}, OptionError, "stride"))
    assert "name" in fault_of(("conv", {"stride": 0}, WindowError, "padding_value"))
    assert "foreign" in fault_of(("conv", {"strides": 0}, WindowError, "stride"))
    row = ("conv", {}, WindowError, "stride")
    assert fault_of_error(WindowError("stride", "x", "conv"), row, 0) is None
    assert fault_of_error(WindowError("stride\n\n\n", "x", "conv"), row, 0)
    assert fault_of_error(WindowError("stride", "", "conv"), row, 0)
    assert fault_of_error(WindowError("stride", "x"), row, 0)
    assert fault_of_error(WindowError("stride", "x", "conv"), row, 1)
    assert fault_of_out(np.zeros(1), {})


def test_malformed_calls_load_nothing_heavy():
    """In a fresh interpreter, where the first call of all must be quick as well."""
    script = (
        "import json, runpy, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        f"names = runpy.run_path({str(Path(__file__))!r})\n"
        "faults = names['faults_of_all']()\n"
        f"print(json.dumps([faults, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, check=True, timeout=100,
    ).stdout  # fmt: skip
    faults, heavy = json.loads(output)
    assert heavy == []
    assert [fault for fault in faults.items() if "took" in fault[1]] == []


# The calls are written as they would be typed; nothing is evaluated before the test.
UNKNOWN = [
    lambda: ft.conv(),  # noqa: PLW0108 - a call without arguments is the case
    lambda: ft.conv(X),
    lambda: ft.conv(X, WEIGHT, strides=1),
    lambda: ft.conv(X, WEIGHT, BIAS, 1),
    lambda: ft.conv2d(X, WEIGHT, kernel_size=3),
    lambda: ft.conv(X, weights=WEIGHT),
    lambda: ft.pad(X),
    lambda: ft.pad(X, 1, "edge", 0, 1),
    lambda: ft.pad(X, 1, padding_mode="edge"),
    lambda: ft.windows(X),
    lambda: ft.windows(X, 3, out=X),
    lambda: ft.windows(X, 3, 1),
    lambda: ft.Conv(),  # noqa: PLW0108
    lambda: ft.Conv(WEIGHT, out=X),
    lambda: ft.Pad(),  # noqa: PLW0108
    lambda: ft.Pad(1, dtype=float),
    lambda: ft.Window(),  # noqa: PLW0108
    lambda: ft.Window(3, kernel=3),
    lambda: OPERATOR(),  # noqa: PLW0108
    lambda: OPERATOR(X, X, X, X, X),
    lambda: ft.set_precision(),  # noqa: PLW0108
    lambda: ft.set_memory_limit(),  # noqa: PLW0108
    lambda: ft.reproducible(True),
]


@pytest.mark.parametrize("call", UNKNOWN, ids=range(len(UNKNOWN)))
def test_unknown_and_missing_arguments_are_pythons_own_errors(call):
    with pytest.raises(TypeError) as caught:
        call()
    assert not isinstance(caught.value, FaltungError)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (
            lambda: ft.conv(X, WEIGHT, padding="x"),
            ["valid", "same", "same_lower", "full", "causal"],
        ),
        (
            lambda: ft.conv(X, WEIGHT, padding_mode="x"),
            ["zeros", "reflect", "edge", "wrap", "blank"],
        ),
        (lambda: ft.pad(X, 1, "x"), ["zeros", "constant", "reflect", "symmetric", "edge", "wrap"]),
        (lambda: ft.conv(X, WEIGHT, algorithm="x"), list(ft.algorithms())),
        (lambda: ft.conv(X, WEIGHT, precision="x"), ["highest", "high", "medium"]),
        (lambda: ft.set_precision("x"), ["highest", "high", "medium"]),
        (lambda: ft.conv(X, WEIGHT, data_format="x"), ["channels_first", "channels_last"]),
        (lambda: ft.Conv(WEIGHT, activation="x"), ["relu"]),
    ],
)
def test_unknown_names_list_the_known(call, names):
    with pytest.raises(FaltungError) as caught:
        call()
    assert [name for name in names if name not in str(caught.value)] == []


def test_messages_show_the_numbers():
    with pytest.raises(ShapeError, match=r"conv2d.*6.*4.*") as caught:
        ft.conv2d(np.ones((1, 6, 8, 8)), np.ones((6, 4, 3, 3)))
    assert "(1, 6, 8, 8)" in str(caught.value)
    assert "(6, 4, 3, 3)" in str(caught.value)
    with pytest.raises(WindowError) as caught:
        ft.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 3)), dilation=4)
    assert all(number in str(caught.value) for number in ("9", "5"))


def test_masked_arrays_are_sent_to_the_mask_argument():
    for call in (lambda x: ft.conv(x, WEIGHT), lambda x: ft.pad(x, 1), OPERATOR, PADDER):
        with pytest.raises(DTypeError, match="mask="):
            call(np.ma.masked_array(X))


def test_operators_cannot_be_changed():
    for value in (OPERATOR, PADDER, WINDOW):
        for name in ("stride", "kernel_size", "weight", "padding", "new"):
            with pytest.raises((AttributeError, TypeError)):
                setattr(value, name, 1)
    with pytest.raises(ValueError, match="read-only"):
        OPERATOR.weight[...] = 0


@pytest.mark.parametrize("huge", [2**31 - 1, 2**31, 2**32 + 1, 2**59])
def test_huge_numbers_are_right_or_refused(huge):
    assert np.array_equal(ft.conv(X, WEIGHT, stride=huge), ft.conv(X[..., :3, :3], WEIGHT))
    for name, error in (("dilation", WindowError), ("groups", ShapeError)):
        with pytest.raises(error):
            ft.conv(X, WEIGHT, **{name: huge})
    with pytest.raises((ft.ResourceError, WindowError)):
        ft.conv(X, WEIGHT, padding=huge)


def test_integers_of_numpy_are_integers():
    expected = ft.conv(X, WEIGHT, stride=2, padding=1, dilation=1)
    for one, two in ((np.int8(1), np.uint64(2)), (np.int64(1), np.int32(2))):
        y = ft.conv(X, WEIGHT, stride=two, padding=(one, one), dilation=one, groups=one)
        assert np.array_equal(y, expected)


def test_windows_of_different_ranks_do_not_compose():
    with pytest.raises(WindowError, match="axes"):
        ft.Window((3, 3)).then(ft.Window((3, 3, 3)))


def test_arguments_that_shout_are_still_named():
    """Values whose repr fails or is endless do not hide the error."""

    class Mute:
        def __repr__(self):
            raise RuntimeError("no repr")

    for changes in (
        {"stride": Mute()},
        {"padding": Mute()},
        {"padding_mode": "x" * 10**6},
        {"stride": 10**5000},
        {"padding": -(10**5000)},
    ):
        (name,) = changes
        with pytest.raises(FaltungError, match=name) as caught:
            ft.conv(X, WEIGHT, **changes)
        assert len(str(caught.value)) < 2000
