"""Border modes against `numpy.pad`, beyond the length of the axis."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung import OptionError, WindowError
from faltung.geometry.border import ALIASES, MODES, canonical_mode, source_index

NUMPY = ("reflect", "symmetric", "edge", "wrap")


@settings(max_examples=500)
@given(st.sampled_from(NUMPY), st.integers(1, 7), st.integers(0, 30), st.integers(0, 30))
def test_every_mode_equals_numpy(mode, size, before, after):
    axis = np.arange(size)
    positions = np.arange(-before, size + after)
    assert (
        source_index(mode, positions, size).tolist() == np.pad(axis, (before, after), mode).tolist()
    )


@pytest.mark.parametrize("mode", ["zeros", "constant", "blank"])
def test_cells_outside_have_no_source(mode):
    assert source_index(mode, np.arange(-2, 5), 3).tolist() == [-1, -1, 0, 1, 2, -1, -1]
    assert source_index(mode, np.arange(2), 0).tolist() == [-1, -1]


@pytest.mark.parametrize("mode", NUMPY)
def test_nothing_to_repeat_on_an_empty_axis(mode):
    with pytest.raises(WindowError, match="size 0"):
        source_index(mode, np.arange(2), 0)


def test_aliases_lead_to_canonical_names():
    assert set(ALIASES.values()) <= set(MODES)
    assert canonical_mode("mirror") == canonical_mode("reflect") == "reflect"
    assert not set(ALIASES) & set(MODES)


@pytest.mark.parametrize("name", ["REFLECT", "", None, 3, ["zeros"]])
def test_unknown_modes_list_the_known(name):
    with pytest.raises(OptionError, match=r"border is .*reflect.*nearest = edge"):
        canonical_mode(name, "border")
