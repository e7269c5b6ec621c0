"""Cold, damaged, full and vanishing caches: right results, at most one log line, no exception."""

import json
import os

import pytest

from compiled_jobs import output_of
from faltung.compiled._jit import available

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="needs fork"),
    pytest.mark.skipif(not available(), reason="nothing is compiled here"),
]


def test_no_state_of_the_cache_hurts(tmp_path):
    (tmp_path / "start").mkdir(mode=0o700)
    code = f"import cold_caches; cold_caches.main({str(tmp_path)!r})"
    found = json.loads(output_of(code, FALTUNG_CACHE_DIR=tmp_path / "start", seconds=200))
    assert found["at once"] == [0] * 16
    assert found["damaged"] == [0] * 32
    assert found["full disk"] == found["no home"] == found["home is no directory"] == [1]
    assert found["removed"] in ([0], [1])
    kept = [path.name for path in (tmp_path / "at once").iterdir()]
    assert kept
    assert not [name for name in kept if name.endswith(".tmp")]


def test_log_lines_and_exceptions_are_noticed(tmp_path):
    code = """
import logging, os
import cold_caches as c
def log():
    logging.getLogger("faltung").warning("a line")
def fail():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    assert c.times(2)(21) == 43
print(*[c.end(c.start(function)) for function in (log, fail, lambda: None)])
"""
    assert output_of(code, FALTUNG_CACHE_DIR=tmp_path) == "1 99 0"
