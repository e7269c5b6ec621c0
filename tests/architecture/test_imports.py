"""What may import what, what loads when, and that everything public is where it says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import faltung as ft

ROOT = Path(ft.__file__).parent
REPOSITORY = ROOT.parent.parent
SOURCES = sorted(ROOT.rglob("*.py"))
HEAVY = ("numba", "llvmlite", "scipy", "matplotlib", "PIL", "rich", "torch", "jax", "dask")


def run(code, *options):
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_loads_the_standard_library_and_numpy_only():
    code = """
import sys
import faltung
for name in faltung.__all__:
    getattr(faltung, name)
known = sys.stdlib_module_names | {"numpy", "faltung", "__main__"}
print(sorted({name.partition(".")[0] for name in sys.modules} - known))
"""
    # -S: without site, whose .pth files load what they like
    path = [entry for entry in sys.path if entry.endswith("site-packages")] + [str(ROOT.parent)]
    found = run(f"import sys; sys.path += {path!r}\n" + code, "-S")
    loaded = [name for name in ast.literal_eval(found) if not name.startswith("_")]
    assert loaded == []


def test_a_small_call_needs_no_compiler():
    code = """
import sys, numpy, faltung
faltung.conv2d(numpy.ones((1, 6, 8)), [[[[1.0, -1.0]]]])
faltung.Conv([[[[1.0, -1.0]]]], padding="same")(numpy.ones((1, 1, 6, 8)))
print(*{name.partition(".")[0] for name in sys.modules})
"""
    assert not set(run(code).split()) & set(HEAVY)


def test_import_is_light():
    code = """
import time, numpy
start = time.perf_counter()
import faltung
print(time.perf_counter() - start)
"""
    assert min(float(run(code)) for _ in range(5)) < 0.040


def test_every_public_name_exists_and_is_documented():
    for name in ft.__all__:
        value = getattr(ft, name)
        assert value.__doc__, name
    assert set(ft.__all__) <= set(dir(ft))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ft.nothing


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small_enough_to_read(path):
    text = path.read_text()
    is_written_by_hand = "# Written by tools/sync.py" not in text
    assert text.count("\n") <= 400 or not is_written_by_hand
    most = 100 if "compiled" in path.parts else 60
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.body:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= most, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("layer", ["operators", "plans"])
def test_siblings_do_not_import_each_other(layer):
    """What several share is in files that begin with an underscore."""
    folder = ROOT / layer
    for path in folder.glob("[!_]*.py"):
        siblings = {f"faltung.{layer}.{other.stem}" for other in folder.glob("[!_]*.py")}
        imported = {
            node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
        }
        assert not imported & siblings, path


def test_only_one_module_compiles():
    for path in SOURCES:
        is_door = path.name in ("_numba.py", "rows.py")  # for our code, and for a user's functions
        assert is_door or "numba.njit" not in path.read_text(), path


def test_generated_files_are_up_to_date():
    tool = REPOSITORY / "tools" / "sync.py"
    if not tool.exists():
        pytest.skip("not in a source tree")
    code = "import sys, runpy; sys.argv = ['sync', '--check']\n"
    pytest.importorskip("ruff", reason="the formatter is not installed")
    run(code + f"runpy.run_path({str(tool)!r}, run_name='__main__')")
