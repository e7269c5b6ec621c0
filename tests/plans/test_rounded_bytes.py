"""Pictures of bytes: the exact sum, rounded halves to even and saturated, whatever the way."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

import faltung as ft
from byte_cases import KERNELS, PADS, draw, exact
from compiled_jobs import output_of
from faltung.compiled import _jit, machine
from faltung.plans import _rounded_bytes
from faltung.plans._recording import recorded

pytestmark = pytest.mark.skipif(not _jit.available(), reason="nothing is compiled here")


@pytest.fixture(autouse=True)
def all_sizes(monkeypatch):
    filtering = importlib.import_module("faltung.images.filtering")
    monkeypatch.setattr(_rounded_bytes, "LEAST_MACS", 1)
    monkeypatch.setattr(filtering, "MOST_KEY", -1)  # nothing is known from the call before


@pytest.mark.parametrize("kernel", KERNELS)
def test_results_are_exact_sums_rounded_once(kernel):
    weights, name = KERNELS[kernel]
    for shape, dtype in (((19, 90), "uint8"), ((3, 600), "uint8")):
        picture = draw(shape, dtype)
        with recorded() as names:
            y = ft.filter_image(picture, weights)
        assert names == [name]
        assert np.array_equal(y, exact(picture, weights))


@pytest.mark.parametrize("border", [*PADS, "constant"])
def test_borders_and_anchors(border):
    picture, options = draw((12, 50, 2)), {"border": border}
    if border == "constant":
        options["cval"] = 77
    for name in ("product", "dense"):
        weights = KERNELS[name][0]
        assert np.array_equal(
            ft.filter_image(picture, weights, **options), exact(picture, weights, **options)
        )


def test_flipped_and_off_centre_kernels_are_what_the_long_way_gives(monkeypatch):
    filtering, picture = importlib.import_module("faltung.images.filtering"), draw((12, 50, 2))
    for kernel in ("product", "dense", "large dense"):
        options = {"flip": True, "anchor": (0, 1), "border": "wrap"}
        y = ft.filter_image(picture, KERNELS[kernel][0], **options)
        with monkeypatch.context() as patch:
            for name in ("byte_filter", "rounding_filter"):
                patch.setattr(filtering, name, lambda *_, **__: None)
            assert np.array_equal(y, ft.filter_image(picture, KERNELS[kernel][0], **options))


@pytest.mark.skipif(sys.platform == "win32", reason="mprotect")
@pytest.mark.parametrize("level", ["avx512", "avx2", "generic"])
def test_nothing_beyond_pictures_and_results_is_touched_on_any_level(level):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    code = "import byte_cases as b; b.main()"
    assert output_of(code, seconds=120, FALTUNG_MAX_ISA=level) == level


def test_rows_upside_down_are_taken_and_spread_cells_are_not():
    picture, weights = draw((40, 100)), KERNELS["product"][0]
    for x in (picture[::-1], picture[::2], np.repeat(picture, 2, axis=1)[:, ::2], picture.T):
        expected = exact(np.ascontiguousarray(x), weights)
        assert np.array_equal(ft.filter_image(x, weights), expected)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (np.full((3, 3), 1e300), {}),  # no float32
        (np.full((3, 3), 200.0), {}),  # sums beyond 16 bits
        (np.full((25, 3), 0.01), {}),
        (np.full((3, 3), 1 / 9), {"border": "constant", "cval": 0.5}),
        (np.full((3, 3), 1 / 9), {"stride": 2}),
        (np.full((3, 3), np.nan), {}),
    ],
)
def test_what_it_does_not_take_goes_another_way(kernel, options, monkeypatch):
    made = []
    filtering = importlib.import_module("faltung.images.filtering")
    quick = filtering.byte_filter
    monkeypatch.setattr(
        filtering, "byte_filter", lambda *arguments: made.append(quick(*arguments)) or made[-1]
    )
    with np.errstate(all="ignore"):
        ft.filter_image(draw((40, 100)), kernel, **options)
    assert made == [None]


def test_a_wrong_sum_is_noticed():
    picture, weights = draw((19, 90)), KERNELS["dense"][0]
    y = ft.filter_image(picture, weights)
    other = weights.copy()
    other[0, 0] += 1 / 128
    assert not np.array_equal(y, exact(picture, other))
