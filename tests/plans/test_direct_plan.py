"""The direct plan: inputs of other dtypes in parts, and bits that depend on nothing else."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import faltung as ft
from cases import draw_case
from faltung.operators._call import finish
from faltung.plans import _converting, _resources


@pytest.mark.parametrize("limit", [1, 400, 4000])
def test_parts_of_another_dtype_change_nothing(monkeypatch, limit):
    rng = np.random.default_rng(limit)
    monkeypatch.setattr(_converting, "CONVERTED_BYTES", limit)
    for _ in range(80):
        case = draw_case(rng, int(rng.integers(1, 4)), "uint8")
        weight = case.weight.astype(np.float32)
        bias = None if case.bias is None else case.bias.astype(np.float32)
        y = ft.conv(case.x, weight, bias, **case.parameters, algorithm="direct")
        expected = ft.conv(case.x.astype("f4"), weight, bias, **case.parameters)
        assert np.array_equal(y, expected)


@pytest.mark.parametrize(
    ("shape", "weight", "parameters"),
    [
        ((1, 256, 3000, 3000), (2, 256, 31, 31), {"stride": 600}),
        (
            (1, 256, 3000, 3000),
            (2, 256, 31, 31),
            {"stride": 600, "padding": 3000, "padding_mode": "reflect"},
        ),
        ((1, 3, 2000, 2000), (2, 3, 3, 3), {"padding": 1}),
        ((1, 2, 3_000_000), (2, 2, 5), {"padding": "same", "padding_mode": "wrap"}),
    ],
)
def test_workspace_of_a_conversion_is_what_describe_says(shape, weight, parameters):
    x = np.broadcast_to(np.uint8(1), shape)
    operator = ft.Conv(np.ones(weight, np.float32), **parameters, algorithm="direct")
    report = operator.describe(shape, np.uint8)
    assert report.workspace_bytes <= _resources.WORKSPACE
    bound, prepared, *_ = operator._ready(x.shape, x.dtype)
    out = np.empty(report.output_shape, np.float32)
    tracemalloc.start()
    finish(bound, prepared, x, (), out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= ft.get_num_threads() * report.workspace_bytes + 2**20


CODE = """
import hashlib, numpy as np, faltung as ft
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for filters in (1, 4):
    x = rng.standard_normal((1, 3, 12, 12, 12, 12)).astype("f4")
    w = rng.standard_normal((filters, 3, 3, 3, 3, 3)).astype("f4")
    digest.update(ft.conv(x, w).tobytes())
    x, w = rng.standard_normal((1, 2, 9000)), rng.standard_normal((filters, 2, 5000))
    digest.update(ft.conv(x, w).tobytes())
    digest.update(ft.conv(x[..., :5000], w).tobytes())
    image, w = rng.standard_normal((1, 8, 64, 64)), rng.standard_normal((filters, 8, 3, 3))
    digest.update(ft.conv(image, w, algorithm="stencil").tobytes())
    digest.update(ft.conv(image, w, algorithm="direct").tobytes())
print(digest.hexdigest())
"""


def test_bits_do_not_depend_on_the_threads_of_anybody():
    found = set()
    for count in ("1", "2", "5"):
        environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        command = [sys.executable, "-c", CODE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


def test_long_borders_are_reproducible():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 3, 400)).astype("f4")
    w = rng.standard_normal((2, 3, 5)).astype("f4")
    with ft.reproducible():
        padded = ft.conv1d(x, w, padding=((70_000, 0),))
        assert np.array_equal(padded[..., 70_000:], ft.conv1d(x, w))


def test_refusals_list_what_could_be_asked_for():
    x, w = np.ones((1, 1, 6)), np.ones((1, 1, 2))
    with pytest.raises(ft.OptionError, match=r"Possible here: .*'direct', 'stencil'"):
        ft.conv1d(x, w, algorithm="copying")


def test_precision_is_for_float32():
    x, w = np.ones((1, 1, 6)), np.ones((1, 1, 2))
    with pytest.raises(ft.OptionError, match="precision 'medium' is for float32"):
        ft.conv1d(x, w, precision="medium")
    with ft.set_precision("medium"):
        assert (ft.conv1d(x, w) == 2).all()
    assert (ft.conv1d(x, w, precision="highest") == 2).all()
    assert (ft.conv1d(x.astype("f4"), w.astype("f4"), precision="medium") == 2).all()


def test_a_negative_zero_is_kept_apart():
    for value in (0.0, -0.0, 0.0):
        y = ft.pad(np.ones((1, 1, 1)), 1, "constant", value)
        assert np.signbit(y[0, 0, 0]) == np.signbit(value)
