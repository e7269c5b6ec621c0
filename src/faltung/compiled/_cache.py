"""Compiled code kept between processes, in a way that can never hurt.

One file a function and circumstance: its name is made of the function's identity and a stamp of
everything that the machine code depends on, its content a checksum and an object file or, of what
Numba compiled, its own serialisation. A file that is missing, torn, altered or not ours is a miss
and is written again; a directory that cannot be used means compiling in memory. Machine code and
pickles are run: directory and files must belong to this user and be writable by nobody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from functools import cache as memoise
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from faltung.compiled import _native
from faltung.compiled._log import warn_once

__all__ = ["cache_directory", "digest", "make_cache", "object_file", "read", "stamp_of", "write"]

_FORMAT = b"faltung compiled code 1\n"
_STARTED = time.time()
_KEPT_STAMPS = 8  # files a function: versions and CPU levels of one developer


def digest(text: str) -> str:
    """A short name for `text`."""
    return sha256(text.encode()).hexdigest()[:16]


def _wanted_directory() -> Path:
    environment = os.environ
    if environment.get("FALTUNG_CACHE_DIR"):
        return Path(environment["FALTUNG_CACHE_DIR"]).absolute()
    if sys.platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "faltung" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "faltung"
    configured = environment.get("XDG_CACHE_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path.home() / ".cache") / "faltung"


def _is_private(status: os.stat_result) -> bool:
    """Whether nobody else can have written what `status` describes."""
    return os.name != "posix" or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)


def cache_directory() -> Path | None:
    """The directory of compiled code, made if need be, or None if there is no safe one."""
    try:
        path = _wanted_directory()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.stat()):
            raise PermissionError(f"{path} belongs to somebody else or others can write to it")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        warn_once("cache", f"compiled code is not kept between processes: {error}")
        return None
    return path


_IMPORT = re.compile(
    rb"^\s*(?:from\s+(faltung[\w.]*)\s+import\s+(\([^)]*\)|[^\n#]*)|import\s+(faltung[\w.]*))",
    re.MULTILINE,
)
_NAME = re.compile(rb"\w+")
_PACKAGE = Path(__file__).parents[1]


class _Source(NamedTuple):
    """The hash of a file and the faltung files that it imports."""

    hash: bytes
    imported: frozenset[str]


@memoise
def _module_file(package: str, name: str) -> str:
    """The file of a module of the package, by its dotted name; empty if there is none."""
    path = os.path.join(package, *name.split(".")[1:])  # noqa: PTH118  see _source
    candidates = (f"{path}.py", os.path.join(path, "__init__.py"))  # noqa: PTH118
    return next((file for file in candidates if os.path.isfile(file)), "")  # noqa: PTH113


@memoise
def _source(file: str) -> _Source:
    # Hundreds of names are looked up before the first kernel runs: as text, each takes a tenth of
    # the 15 µs that it takes as a Path.
    source, package = Path(file).read_bytes(), str(_PACKAGE)
    imported: set[str] = set()
    for parent, names, module in _IMPORT.findall(source):
        wanted = [(module or parent).decode()]
        if names:
            wanted = [f"{wanted[0]}.{name.decode()}" for name in _NAME.findall(names)]
        for name in wanted:
            found = _module_file(package, name) or _module_file(package, name.rpartition(".")[0])
            imported.update([found] if found else [])
    return _Source(sha256(source).digest(), frozenset(imported))


def source_stamp(path: Path) -> str:
    """A hash of the file and of the faltung files that it imports, directly or not.

    Empty if one of them was edited since this process began: what runs here may be the old text,
    and its machine code must not be filed under the new one.
    """
    waiting, seen = [str(path)], {str(path)}
    hashed = sha256()
    while waiting:
        file = waiting.pop()
        status = os.stat(file)  # noqa: PTH116  see _source
        # An upgrade may put files in place that are older than this process: by their own times.
        if max(status.st_mtime, status.st_ctime) > _STARTED:
            return ""
        source = _source(file)
        hashed.update(source.hash)
        waiting += sorted(source.imported - seen)
        seen |= source.imported
    return hashed.hexdigest()


def stamp_of(function: FunctionType) -> str:
    """`source_stamp` of the file that a function stands in; empty if it stands in none."""
    source = Path(function.__code__.co_filename)
    return source_stamp(source) if source.is_file() else ""


def _circumstances(options: dict[str, Any]) -> list[str]:
    """What machine code depends on beside its source, its compiler and its CPU."""
    import llvmlite
    import numpy

    told = sorted(f"{name}={value}" for name, value in options.items())
    numba_settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    limits = os.environ.get("FALTUNG_MAX_ISA", "")
    return [sys.version, llvmlite.__version__, numpy.__version__, *told, *numba_settings, limits]


def _file(name: str, identity: str, stamp: list[Any]) -> Path | None:
    directory = cache_directory()
    name = re.sub(r"\W", "_", name)[-60:]
    file = f"{name}-{digest(identity)}-{digest(repr(stamp))}.bin"
    return directory / file if directory else None


def object_file(function: FunctionType, symbol: str, options: dict[str, Any]) -> Path | None:
    """Where the object file of a function is kept, or None where nothing can be.

    Its content is machine code as LLVM writes it, and no pickle.
    """
    sources = stamp_of(function)
    if not sources:
        return None
    stamp = [sources, *_circumstances(options), _native.target_key()]
    return _file(function.__qualname__, symbol, stamp)


def read(path: Path) -> bytes | None:
    """The payload of a cache file, None unless it is whole, unaltered and ours."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if not _is_private(os.fstat(file.fileno())):
            return None
        content = file.read()
        head = len(_FORMAT) + 32
        payload = content[head:]
        if content[:head] == _FORMAT + sha256(payload).digest():
            return payload
    return None


def write(path: Path, payload: bytes) -> None:
    """Put a cache file into place in one step; what cannot be written is left out."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_FORMAT + sha256(payload).digest() + payload)
        temporary.replace(path)
        _forget_old(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        warn_once("cache", f"compiled code is not kept between processes: {error}")


def _forget_old(path: Path) -> None:
    """Drop the oldest files of a function that was cached under many stamps."""
    pattern = f"{path.name.rpartition('-')[0]}-*.bin"
    with contextlib.suppress(OSError):
        files = sorted(path.parent.glob(pattern), key=lambda file: file.stat().st_mtime)
        for file in files[:-_KEPT_STAMPS]:
            file.unlink()


def make_cache(
    function: FunctionType, identity: str, signature: Any, options: dict[str, Any]
) -> Any:
    """A cache object for Numba's dispatchers, or None where nothing can be kept.

    Parameters
    ----------
    function : function
        Whose source file is stamped.
    identity : str
        The name that tells `function` from the other variants of a factory.
    signature : numba signature
        Its one signature.
    options : dict
        The compiler's options.
    """
    sources = stamp_of(function)
    if not sources or cache_directory() is None:
        return None
    import numba

    try:  # names that Numba calls its own: without one of them there is no cache, and no harm
        from numba.core.caching import NullCache
        from numba.core.ccallback import CFunc  # noqa: F401  used beside this cache
        from numba.core.compiler import CompileResult
        from numba.core.runtime import rtsys
        from numba.core.serialize import dumps
    except ImportError as error:
        warn_once("cache", f"compiled code is not kept between processes: {error}")
        return None

    stamp = [sources, *_circumstances(options), numba.__version__]

    class SafeCache(NullCache):  # type: ignore[misc]  # Numba has no types
        """Numba's cache interface over one checked file."""

        def _path(self, codegen: Any) -> Path | None:
            full = [*stamp, codegen.magic_tuple()]
            return _file(function.__qualname__, f"{identity} {signature}", full)

        def load_overload(self, _signature: Any, target_context: Any) -> Any:
            import pickle

            # Numba would refresh the whole target context here: that loads every lowering rule
            # and SciPy's BLAS, 0.3 s that only compiling needs (and then does by itself).
            # Machine code that is there already needs the runtime's symbols and no more.
            rtsys.initialize(target_context)
            path = self._path(target_context.codegen())
            payload = read(path) if path else None
            if payload is None:
                return None
            try:
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
            except Exception:  # noqa: BLE001  whatever it is, compiling is the cure
                return None

        def save_overload(self, _signature: Any, result: Any) -> None:
            path = self._path(
                result.codegen if hasattr(result, "codegen") else result.library.codegen
            )
            if path is not None and not result.library.has_dynamic_globals:
                write(path, dumps(result._reduce()))

    return SafeCache()
