"""Random convolutions of real numbers, compared with the error bound element by element."""

from __future__ import annotations

import ml_dtypes
import numpy as np

import faltung as ft
from cases import draw_case
from faltung.operators.conv import textbook
from faltung.testing import assert_within_bound, error_bound

ROUNDED = ("float32", "float64", "complex64", "float16", "bfloat16")
SPREADS = ("normal", "log-uniform", "cancelling")


def by_textbook(case, dtype):
    """The loops, in `dtype`."""
    bias = None if case.bias is None else case.bias.astype(dtype)
    parameters = {"padding_value": 0, **case.parameters}
    return textbook(case.x.astype(dtype), case.weight.astype(dtype), bias, **parameters)


def real_values(rng, shape, dtype, spread):
    """Normal numbers, or numbers of all sizes, or sums that cancel."""
    values = rng.standard_normal(shape)
    if spread == "log-uniform":
        limit = {"float64": 100, "float16": 1.5}.get(dtype, 15)
        values = np.sign(values) * 10.0 ** rng.uniform(-limit, limit, shape)
    elif spread == "cancelling":
        values = 1e3 + values
        values[..., ::2] *= -1
    if dtype == "complex64":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def check_rounding(rng, dtype, spread, algorithm):
    """One random call; every element within the bound."""
    exact_in = {"float64": np.longdouble, "complex64": np.complex128}.get(dtype, np.float64)
    rank = int(rng.integers(1, 4))
    case = draw_case(rng, rank, dtype, values=lambda *args: real_values(*args, spread=spread))
    case.parameters.update(padding_mode="zeros", padding_value=0)
    y = ft.conv(case.x, case.weight, case.bias, **case.parameters, algorithm=algorithm)
    exact = by_textbook(case, exact_in)
    absolute = {
        name: None if value is None else abs(value).astype(np.float64)
        for name, value in (("x", case.x), ("weight", case.weight), ("bias", case.bias))
    }
    magnitude = textbook(**absolute, **case.parameters)
    fits = magnitude < float(ml_dtypes.finfo(y.dtype).max) / 2
    exact, magnitude = exact.copy(), magnitude.copy()
    exact[~fits] = y[~fits] = magnitude[~fits] = 0
    if dtype == "float64":
        distance = np.abs(y - exact)
        assert (distance <= error_bound(magnitude, case.terms, dtype)).all(), case
    else:
        assert_within_bound(y, exact, magnitude, case.terms)
