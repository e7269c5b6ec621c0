"""What can go wrong on a command line, and how it is worded: always one line."""

from __future__ import annotations

from faltung.errors import FaltungError

__all__ = ["FileError", "UsageError", "one_line"]


class FileError(FaltungError):
    """A file that cannot be read or written; exit code 1."""


class UsageError(FaltungError):
    """A command line that means nothing; exit code 2."""


def one_line(text: object) -> str:
    """`text` on one line that no terminal obeys: file names may hold line ends and escape codes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in " ".join(str(text).split())
    )
