"""A stream gives what one call gives, for every operator, its samples and random chunks."""

import numpy as np
import pytest

import faltung as ft
from faltung import classes  # noqa: F401  # which fills the registry
from faltung.operators._record import REGISTRY
from random_cases import random_case, random_data

WITHOUT = ("fold", "max_unpool")
"""Operators whose outputs have no order along an axis of the input."""


def in_chunks(stream, x, axis, rng):
    """What a stream makes of x, cut at random."""
    cells = x.shape[axis]
    cuts = np.sort(rng.integers(0, cells + 1, rng.integers(0, 6)))
    parts = [stream.push(chunk) for chunk in np.split(x, cuts, axis=axis)]
    return [*parts, stream.flush()]


def check(operator, x, seed):
    rng = np.random.default_rng(seed)
    spatial = operator._spatial_axes(x.shape)
    place = int(rng.integers(len(spatial)))
    axis = spatial[place]
    whole = operator(x)
    whole = whole[0] if isinstance(whole, tuple) else whole
    refused = None
    for length in (None, x.shape[axis]):
        refused, parts = None, []
        try:
            parts = in_chunks(operator.stream(place - len(spatial), length), x, axis, rng)
            break
        except ft.OptionError as error:
            refused = str(error)
    if refused is not None:
        assert "wrap" in refused or "no order" in refused
        return
    joined = np.concatenate(parts, axis=axis)
    assert joined.dtype == whole.dtype
    assert joined.shape == whole.shape
    assert np.allclose(joined, whole, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in WITHOUT])
def test_samples(name):
    record = REGISTRY[name]
    for place, sample in enumerate(record.samples):
        arrays = sample.draw(np.float64, seed=place)
        x = arrays.pop(record.arrays[0])
        operator = getattr(ft, record.class_name)(*arrays.values(), **sample.parameters)
        for seed in range(3):
            check(operator, x, seed)


@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in WITHOUT])
def test_random_operators(name):
    rng = np.random.default_rng(17)
    for seed in range(200):
        operator, shape = random_case(name, rng)
        check(operator, random_data(shape, rng), seed)
