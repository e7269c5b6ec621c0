"""The page of faults names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`([\w/]+\.py)`", (ROOT / "docs/faults.md").read_text())


def test_every_file_that_the_page_names_exists():
    assert len(NAMED) > 20
    assert [name for name in NAMED if not (ROOT / "tests" / name).is_file()] == []
