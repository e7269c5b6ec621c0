"""Every kernel in use is in the small language: one that slips to Numba costs seconds."""

import gc
import importlib
import pkgutil

import numpy as np

import faltung as ft
from faltung.compiled import _jit
from faltung.compiled._values import UntranslatableError

DTYPES = ("float32", "float64", "int32", "uint8", "float16", "complex64")


def run_the_family(dtype):
    """One call of each kind, so that the kernels made on demand exist."""
    rng = np.random.default_rng(0)
    x = (rng.random((1, 4, 40, 40)) * 9).astype(dtype)
    weight = (rng.random((4, 4, 3, 3)) * 3).astype(dtype)
    ft.conv(x, weight, algorithm="direct")
    ft.conv(x, weight[:, :, :1, :1], algorithm="direct")
    ft.conv(np.tile(x, (1, 5, 1, 1)), np.tile(weight, (5, 5, 1, 1)), algorithm="direct")
    ft.conv_transpose(x, weight, stride=2)
    ft.unfold(x, (3, 3))
    if np.dtype(dtype).kind != "c":
        ft.max_pool(x, (3, 3))
        ft.avg_pool(x, (3, 3))
        ft.resize(x, scale_factor=(1.5, 2), mode="linear")


def test_no_kernel_goes_to_numba():
    for module in pkgutil.walk_packages(ft.__path__, "faltung."):
        if ".compiled." in module.name or ".plans." in module.name:
            importlib.import_module(module.name)
    for dtype in DTYPES:
        run_the_family(dtype)
    kinds = _jit.Kernel, _jit.Job
    # Others leave proxies of what is gone behind, which have no class any more.
    mine = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]
    inside = [each for each in mine if each.identity.startswith("faltung.")]
    assert len(inside) > 40
    refused = []
    for each in inside:
        try:
            each._text(with_entry=isinstance(each, _jit.Kernel))
        except UntranslatableError as error:
            refused.append(f"{each}: {error}")
    assert not refused
