"""One log line a circumstance and process."""

from __future__ import annotations

__all__ = ["warn_once"]

_said: dict[str, object] = {}


def warn_once(circumstance: str, message: str) -> None:
    """Log `message` as a warning of the logger ``faltung``, the first time it comes up."""
    mine = object()
    if _said.setdefault(circumstance, mine) is mine:  # one step, whichever thread comes first
        import logging

        logging.getLogger("faltung").warning(message)
