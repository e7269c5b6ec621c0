"""A CPU with AMX whose tile registers the system refuses: AVX-512 does the work."""

import os
import sys

import pytest

from compiled_jobs import output_of
from faltung.compiled import machine, variants


@pytest.mark.skipif(
    sys.platform != "linux" or not machine.is_x86(), reason="needs Linux's permission call"
)
def test_without_permission_twenty_convolutions_are_right_in_every_kind_of_process():
    text = output_of("import refused_tiles; refused_tiles.main(20)", FALTUNG_MAX_ISA=None)
    if text == "no filters here":
        pytest.skip("the system does not let processes filter their calls")
    level, row, found = text.split(maxsplit=2)
    assert found == "{'here': [], 'fork': [], 'spawn': []}"
    assert level == machine.isa() or "FALTUNG_MAX_ISA" in os.environ
    assert row in {row.isa for row in variants.ROWS}


def test_a_process_that_was_granted_tiles_would_be_noticed():
    code = """
import refused_tiles
refused_tiles.ask_for_tiles = lambda: 0
print(refused_tiles.wrong_cases(3))
"""
    assert output_of(code) == "[0, 1, 2]"


def test_the_level_names_the_machine_and_the_row_what_runs(monkeypatch):
    """AMX is a level of machines; as long as no kernel uses tiles, the best rows are AVX-512's."""
    monkeypatch.setattr(machine, "_machine_level", lambda: machine.LEVELS.index("amx"))
    monkeypatch.delenv("FALTUNG_MAX_ISA", raising=False)
    assert machine.isa() == "amx"
    for dtype in ("float32", "float64", "uint32", "uint64"):
        assert variants.find_row(dtype).isa == "avx512"
        assert variants.find_row(dtype).id.endswith("__avx512")
