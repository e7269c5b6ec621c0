"""The end of a process, 200 times: clean whatever the pool is doing, and without new threads."""

import pytest

from compiled_jobs import output_of
from faltung.compiled import _pool

pytestmark = pytest.mark.skipif(not _pool.is_supported(), reason="needs Linux on x86")

TURNS = 10


def test_processes_end_cleanly():
    """Nothing on stderr, no signal, no other exit code."""
    code = f"import exit_situations as exits; exits.main({TURNS})"
    assert int(output_of(code, FALTUNG_NUM_THREADS=2, seconds=200)) >= 200


def test_a_process_that_was_not_forked_ends_cleanly():
    code = "import exit_situations as exits; exits.call(); exits.SITUATION()"
    for situation in ("idle", "long_calls_in_many_daemon_threads"):
        assert output_of(code.replace("SITUATION", situation), FALTUNG_NUM_THREADS=2) == ""


def test_other_ends_are_noticed():
    code = """
import ctypes, signal
import exit_situations as exits
def crash():
    ctypes.string_at(0)
def hang():
    signal.alarm(1)
    signal.pause()
def fail():
    sys.exit(3)
import sys
print(*[exits.exit_code(situation) for situation in (crash, hang, fail, exits.never_used)])
"""
    assert output_of(code) == "-11 -14 3 21"
