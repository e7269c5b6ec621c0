"""Nothing outside the arrays is touched: they lie against pages that forbid it."""

from __future__ import annotations

import sys

import pytest

from compiled_jobs import output_of, run_python
from faltung.compiled import lanes_schedule, machine
from faltung.compiled.variants import ROWS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="mprotect")

CASES_OF_A_ROW = 48


def test_no_row_touches_a_byte_outside_the_arrays():
    """On a machine with AVX-512 these are 576 convolutions."""
    names = output_of(f"import guarded_convolutions as g; g.main({CASES_OF_A_ROW})", seconds=230)
    rows = [*lanes_schedule.ROWS, *ROWS]
    assert names.split() == [row.id for row in rows if machine.has(row.isa)]
    assert len(ROWS) * CASES_OF_A_ROW >= 500


def test_the_guard_pages_bite():
    done = run_python("import guarded_convolutions as g; g.overrun()")
    assert done.returncode < 0
    assert "done" not in done.stdout
