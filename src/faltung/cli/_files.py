"""Opening files that may be anything, and writing files that are never half there."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from faltung.cli._errors import FileError

__all__ = ["MAX_PIXELS", "check_writable", "opened", "replaced"]

MAX_PIXELS = 200_000_000
"""Pixels of the largest picture that is decoded without being asked for it."""

# O_NONBLOCK: opening a FIFO that has no writer would wait for ever; regular files ignore it.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """`path` opened for reading, if it is a regular file with something in it."""
    try:
        descriptor = os.open(path, _READ)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {_reason(error)}") from error
    try:
        _check_regular(path, os.fstat(descriptor))
    except FileError:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor, not a path)
        yield file


def _check_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{path} is a directory", "Name the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{path} is not a regular file", "Save the data to a file first")
    if status.st_size == 0:
        raise FileError(f"{path} is empty")


def check_writable(path: Path, *, force: bool) -> None:
    """Refuse a target that exists, unless it may be overwritten."""
    if path.is_dir():
        raise FileError(f"{path} is a directory, expected a file to write")
    if not path.exists():
        return
    if not path.is_file():
        raise FileError(f"{path} is not a regular file and would be replaced by one")
    if not force:
        raise FileError(f"{path} exists already", "Pass --force to overwrite it")


@contextmanager
def replaced(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A new file that takes the name `path` only when the block has ended well.

    Whatever goes wrong before, Ctrl-C included, leaves `path` as it was.
    """
    check_writable(path, force=force)
    if "\0" in str(path):
        raise FileError(f"{path} is no file name")
    target = Path(os.path.realpath(path))  # a symbolic link stays one
    temporary = target.with_name(f".faltung-{secrets.token_hex(6)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, _CREATE, 0o666)
            with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
                yield file
            check_writable(path, force=force)
            temporary.replace(target)
        except OSError as error:
            raise FileError(f"{path} cannot be written: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _reason(error: OSError | ValueError) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return f"{text[:1].lower()}{text[1:]}"
