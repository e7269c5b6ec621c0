"""The table of variants, and what the compiler makes of its rows on each level."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.compiled import machine
from faltung.compiled._jit import available
from faltung.compiled.variants import ROWS, find_row

DTYPES = ("float32", "float64", "uint32", "uint64")


def test_ids_follow_the_grammar_and_differ():
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[fu](32|64)_direct_\d+x\d+__[a-z0-9]+", name) for name in ids)
    assert "f32_direct_8x3__avx512" in ids


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_a_generic_row(dtype):
    assert [row for row in ROWS if row.element.dtype == dtype][-1].isa == "generic"


@pytest.mark.parametrize("level", machine.LEVELS)
def test_the_best_allowed_row_is_found(monkeypatch, level):
    monkeypatch.setenv("FALTUNG_MAX_ISA", level)
    row = find_row("float32")
    allowed = machine.LEVELS.index(machine.isa())
    assert machine.LEVELS.index(row.isa) <= allowed
    better = [r for r in ROWS if r.element.dtype == "float32" and machine.has(r.isa)]
    assert row == better[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_tile_fits_the_registers(row):
    registers = 32 if row.isa == "avx512" else 16
    assert row.rows * row.vectors + row.vectors + 1 <= registers
    assert row.wide.pixels >= row.narrow.pixels == row.element.lanes


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
from direct_oracle import is_exact
from faltung.compiled.variants import find_row
rows = [find_row(dtype) for dtype in ("float32", "float64")]
wrong = [seed for seed in range(40) if not is_exact(seed, "float32")]
code = "".join(row.columns()[0].assembly() for row in rows)
print(json.dumps([rows[0].id, rows[0].rows * rows[0].vectors, wrong, code]))
"""
# What a level must contain, how it multiplies and adds, and what it must not contain.
LEVELS = {
    "generic": (r"\bmulps\b.*xmm", r"\b(addp|mulp)[sd]\b.*%xmm", r"%[yz]mm|vfmadd"),
    "avx2": (r"vfmadd\w+ps.*%ymm", r"vfmadd\w+p[sd].*%ymm", r"%zmm"),
    "avx512": (r"vfmadd\w+ps.*%zmm", r"vfmadd\w+p[sd].*%zmm", r"%mm\d"),
}


def blocks_of(assembly):
    """The straight pieces of the code, each ending with a jump or a label."""
    return re.split(r"^\.LBB\w+:|^\s+j\w+\s.*$", assembly, flags=re.MULTILINE)


def spills(block):
    """Vector registers that are written to the stack or read back."""
    return re.findall(r"%[xyz]mm\d+, -?\d*\(%rsp\)|\(%rsp\), %[xyz]mm", block)


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.parametrize("level", LEVELS)
def test_each_level_computes_and_keeps_its_sums_in_registers(level):
    if not machine.has(level):
        pytest.skip(f"this machine has no {level}")
    tests = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "FALTUNG_MAX_ISA": level}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=tests)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    name, sums, wrong, assembly = json.loads(result.stdout)
    assert name.endswith(f"__{level}")
    assert wrong == []
    needed, arithmetic, forbidden = LEVELS[level]
    assert re.search(needed, assembly)
    assert not re.search(forbidden, assembly)
    pieces = blocks_of(assembly)
    loops = [piece for piece in pieces if len(re.findall(arithmetic, piece)) >= sums]
    assert len(loops) >= 4  # the packing and the plain tile of both dtypes
    assert [spills(block) for block in loops] == [[]] * len(loops)


def test_spills_are_noticed():
    assert spills("vmovups %zmm3, -64(%rsp)\n")
    assert spills("vmovaps 128(%rsp), %ymm3\n")
    assert not spills("movq %rax, 8(%rsp)\n")
