"""A sample of every public object, the operators with data, and what a process can tell of them.

As a program it reads such samples as a pickle, uses them, and writes back what it found.
"""

import inspect
import pickle
import re
import sys

import numpy as np

import faltung as ft
from faltung.operators._record import REGISTRY

WEIGHT = np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3) - 17


def operators():
    """Name → (operator, data): each sample of each operator's record, chains and layers."""
    kinds = classes()  # which loads every record
    found = {}
    for name, record in REGISTRY.items():
        for number, sample in enumerate(record.samples):
            arrays = sample.draw("float32" if number % 2 else "int64")
            x = arrays.pop(record.arrays[0])
            operator = kinds[record.class_name](*arrays.values(), **sample.parameters)
            found[f"{name} {sample.name}"] = operator, x
    x = np.arange(2 * 2 * 81, dtype=np.float32).reshape(2, 2, 9, 9) % 7
    chain = ft.Sequential(ft.Conv(WEIGHT, stride=2), ft.MaxPool((2, 2), stride=1))
    parts = np.ones((1, 2, 1, 1)), np.ones((9, 1, 1, 1))
    layer = ft.InvolutionLayer(*parts, kernel_size=3, groups=1)
    return found | {"a chain": (chain, x), "a layer": (layer, x)}


def explanations():
    x = np.arange(50, dtype=np.float64).reshape(1, 2, 5, 5)
    pair = [ft.Conv(WEIGHT).explain(x, (0, 1, 2, 0)), ft.MaxPool((2, 2)).explain(x, (0, 1, 1, 0))]
    every = [
        operator.explain(x, (0,) * len(operator.output_shape(x.shape)))
        for name, (operator, x) in operators().items()
        if x.size and 0 not in operator.output_shape(x.shape)
    ]
    return pair + every


def fits():
    x = np.arange(12.0).reshape(1, 1, 12) ** 2
    return [ft.fit_kernel(x, ft.conv(x, [[[1.0, -1]]]), 2, bias=bias) for bias in (False, True)]


def tuning():
    """Of a shape that no sample has, and forgotten at once: the others run as planned."""
    found = ft.tune(ft.Unfold((2, 2)), (1, 1, 11, 13), seconds=0.01)
    found.forget()
    return found


def drawings():
    conv = ft.Conv(WEIGHT[:, :, 0], stride=2)
    return [conv.draw((2, 7)), conv.draw((2, 7), theme="dark"), conv.animate((2, 7), seconds=1)]


def windows():
    chain = ft.Window(3, stride=2, padding="causal").then(ft.Window(5))
    return [ft.Window(3), ft.Window((3, 2), stride=(2, 1), padding=((1, 2), (0, 3))), chain]


def errors():
    kinds = [kind for kind in classes().values() if issubclass(kind, ft.FaltungError)]
    return [kind("x is 3", "Use 4").at("conv", "x (1,)") for kind in kinds]


def classes():
    public = {name: getattr(ft, name) for name in ft.__all__}
    return {name: value for name, value in public.items() if inspect.isclass(value)}


def functions():
    public = {name: getattr(ft, name) for name in ft.__all__}
    return {name: value for name, value in public.items() if inspect.isfunction(value)}


def samples():
    """Everything by kind."""
    bound = operators()
    reports = {name: operator.describe(x.shape, x.dtype) for name, (operator, x) in bound.items()}
    reports["tuning"] = tuning()
    return {
        "operators": bound,
        "windows": windows(),
        "errors": errors(),
        "reports": reports,
        "explanations": explanations(),
        "fits": fits(),
        "drawings": drawings(),
        "names": classes() | functions(),
    }


def seen(values):
    """What can be told of the samples: texts, and the bytes of results."""
    results = {}
    for name, (operator, x) in values["operators"].items():
        y = operator(x)
        y = y[0] if isinstance(y, tuple) else y
        text = re.sub(r" at 0x\w+", "", repr(operator))  # of a user's function
        results[name] = text, y.shape, y.dtype.str, y.tobytes()
    return {
        "operators": results,
        "windows": [(repr(each), each.output_size(20)) for each in values["windows"]],
        "errors": [(type(each).__name__, str(each)) for each in values["errors"]],
        "reports": {name: str(report) for name, report in values["reports"].items()},
        "explanations": [(str(each), each.total) for each in values["explanations"]],
        "fits": [(repr(each.conv), each.losses.tobytes()) for each in values["fits"]],
        "drawings": [(repr(each), str(each)) for each in values["drawings"]],
        "names": {name: value.__qualname__ for name, value in values["names"].items()},
    }


if __name__ == "__main__":
    received = pickle.load(sys.stdin.buffer)
    pickle.dump((received, seen(received)), sys.stdout.buffer)
