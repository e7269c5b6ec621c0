"""One log line a circumstance and process."""

from __future__ import annotations

__all__ = ["warn_once"]

_said: set[str] = set()


def warn_once(circumstance: str, message: str) -> None:
    """Log `message` as a warning of the logger ``faltung``, the first time it comes up."""
    if circumstance not in _said:
        import logging

        _said.add(circumstance)
        logging.getLogger("faltung").warning(message)
