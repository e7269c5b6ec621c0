"""The table of variants, and what the compiler makes of its rows on each level."""

from __future__ import annotations

import json
import os
import re

import pytest

from compiled_jobs import output_of
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


# What a level must contain, how it multiplies and adds, and what it must not contain.
LEVELS = {
    "generic": (r"\bmulps\b.*xmm", r"\b(addp|mulp)[sd]\b.*%xmm", r"%[yz]mm|vfmadd|pmulld|pshufb"),
    "sse4": (r"\bmulps\b.*xmm", r"\b(addp|mulp)[sd]\b.*%xmm", r"%[yz]mm|vfmadd"),
    "avx2": (r"vfmadd\w+ps.*%ymm", r"vfmadd\w+p[sd].*%ymm", r"%zmm"),
    "avx512": (r"vfmadd\w+ps.*%zmm", r"vfmadd\w+p[sd].*%zmm", r"%t?mm\d"),
    "amx": (r"vfmadd\w+ps.*%zmm", r"vfmadd\w+p[sd].*%zmm", r"%t?mm\d"),
}
# Levels whose rows are those of a lower one: vectors of 16 bytes are all that SSE4 has too, and
# the compiler uses its instructions there by itself; there are no kernels for tiles.
ROWS_OF = {"sse4": "generic", "amx": "avx512"}


def blocks_of(assembly):
    """The straight pieces of the code, each ending with a jump or a label."""
    return re.split(r"^\.LBB\w+:|^\s+j\w+\s.*$", assembly, flags=re.MULTILINE)


def spills(block):
    """Vector registers that are written to the stack or read back."""
    return re.findall(r"%[xyz]mm\d+, -?\d*\(%rsp\)|\(%rsp\), %[xyz]mm", block)


def fault_of(level, sums, assembly, least=2):
    """What is wrong with the wide kernel of a level that sums floats, or None."""
    needed, arithmetic, forbidden = LEVELS[level]
    if re.search(forbidden, assembly):
        return f"{re.search(forbidden, assembly)[0]} is not for this level"
    if not re.search(needed.replace("ps", "p[sd]"), assembly):
        return "its own instructions are not used"
    loops = [block for block in blocks_of(assembly) if len(re.findall(arithmetic, block)) >= sums]
    if len(loops) < least:  # the one that packs a panel, and the plain one
        return f"{len(loops)} loops over taps"
    return f"spills {spills(loops[0])}" if any(map(spills, loops)) else None


@pytest.mark.skipif(not available(), reason="nothing is compiled here")
@pytest.mark.skipif(not machine.is_x86(), reason="levels are those of x86")
def test_each_level_computes_and_keeps_its_sums_in_registers():
    """500 convolutions on each level that this machine has, each in a process of its own."""
    levels = [level for level in LEVELS if machine.has(level)]
    environment = {name: None for name in os.environ if name.startswith("NUMBA_CPU")}
    text = output_of(f"import level_cases; level_cases.main({levels})", seconds=230, **environment)
    for level, found in json.loads(text).items():
        assert found["isa"] == level
        assert all(name.endswith(f"__{ROWS_OF.get(level, level)}") for name in found["rows"])
        assert not any(found["wrong"].values()), (level, found["wrong"])
        for dtype, (sums, assembly) in found["code"].items():
            if dtype == "uint32":
                assert ("pmulld" in assembly) == (level != "generic")
                continue
            assert fault_of(level, sums, assembly) is None, (level, dtype)
        for name, (sums, assembly) in found["lanes"].items():
            assert name.endswith(f"__{ROWS_OF.get(level, level)}")
            assert fault_of(level, sums, assembly, least=1) is None, (level, name)
            # An index in an address would make two instructions of each multiply-add.
            assert not re.search(r"vfmadd.*\(%\w+,%\w+.*\{1to", assembly), (level, name)
        for dtype, (sums, assembly) in found["planes"].items():
            assert fault_of(level, sums, assembly) is None, (level, dtype)


def test_wrong_machine_code_is_noticed():
    good = "\n jne a\n".join(["vfmadd231ps %zmm1, %zmm2, %zmm3\n" * 24] * 2)
    assert fault_of("avx512", 24, good) is None
    assert "spills" in fault_of("avx512", 24, good + "vmovups %zmm3, -64(%rsp)\n")
    assert "not for this level" in fault_of("avx2", 24, good)
    assert "not for this level" in fault_of("amx", 24, good + "tdpbf16ps %tmm0, %tmm1, %tmm2")
    assert "loops" in fault_of("avx512", 25, good)
    assert "not used" in fault_of("avx2", 24, good.replace("zmm", "xmm"))


def test_spills_are_noticed():
    assert spills("vmovups %zmm3, -64(%rsp)\n")
    assert spills("vmovaps 128(%rsp), %ymm3\n")
    assert not spills("movq %rax, 8(%rsp)\n")
