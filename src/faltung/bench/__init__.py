"""The benchmark: faltung and the libraries that people would use instead, taking turns.

Run it with ``faltung bench``. `runner` takes the time, `cases` says of what, `peers` of whom,
`exact` checks every result, `results` puts figures together and `chart` draws them.
"""

from __future__ import annotations

from faltung.bench.measuring import measure
from faltung.bench.runner import take_turns

__all__ = ["measure", "take_turns"]
