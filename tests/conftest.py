"""One compile cache for all tests: processes share it, and the next run finds it warm."""

import os
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".pytest_cache" / "faltung"
CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
os.environ.setdefault("FALTUNG_CACHE_DIR", str(CACHE))
# More than a hundred processes that tests start would else compile the package's Python each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
