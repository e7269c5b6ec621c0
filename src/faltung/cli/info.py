"""Show versions, processor, threads, compile cache and settings."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

SUMMARY = "show versions, processor, threads, compile cache and settings"
EXAMPLES = """
    faltung info
    faltung info --json
"""

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "pillow", "matplotlib", "rich", "ml_dtypes")
_VARIABLES = (
    "FALTUNG_CACHE_DIR",
    "FALTUNG_MAX_ISA",
    "FALTUNG_NUM_THREADS",
    "OMP_NUM_THREADS",
    "NUMBA_DISABLE_JIT",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found out."""
    from faltung.cli._console import table

    found = {
        "versions": _versions(),
        "processor": _processor(),
        "compiler": _compiler(),
        "settings": _settings(),
        "environment": {name: os.environ.get(name) for name in _VARIABLES},
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    for title, entries in found.items():
        rows = [(_label(title, name), _worded(name, entries[name])) for name in entries]
        table(title, (), rows, align="left")
    return 0


def _label(title: str, name: str) -> str:
    if title in {"versions", "environment"}:
        return name
    return name.removesuffix("_bytes").replace("_", " ")


def _worded(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("bytes"):
        unit = next((unit for unit in (30, 20, 10) if value >= 1 << unit), 0)
        return f"{value / (1 << unit):.4g} {({30: 'GiB', 20: 'MiB', 10: 'KiB', 0: 'bytes'})[unit]}"
    return str(value)


def _versions() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {"faltung": version("faltung"), "python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _processor() -> dict[str, Any]:
    import faltung as ft
    from faltung.compiled import machine, variants

    caches = machine.cache_sizes()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "instruction_set": machine.isa(),
        "kernels": variants.find_row("float32").isa,  # there may be none for the highest level
        "cores_usable": machine.available_cores(),
        "threads": ft.get_num_threads(),
        "l1_bytes": caches.l1,
        "l2_bytes": caches.l2,
        "l3_bytes": caches.l3,
        "memory_bytes": machine.total_memory(),
    }


def _compiler() -> dict[str, Any]:
    from faltung.compiled._cache import cache_directory
    from faltung.compiled._jit import unavailable_reason

    directory = cache_directory()
    files = _sizes(directory) if directory else []
    return {
        "available": not unavailable_reason(),
        "reason_why_not": unavailable_reason() or None,
        "cache_directory": str(directory) if directory else None,
        "cache_files": len(files),
        "cache_size_bytes": sum(files),
    }


def _sizes(directory: Path) -> list[int]:
    sizes = []
    for path in directory.rglob("*"):
        try:
            sizes += [path.stat().st_size] if path.is_file() else []
        except OSError:  # another process has just dropped it
            continue
    return sizes


def _settings() -> dict[str, Any]:
    from faltung.config import current_settings, memory_limit

    settings = current_settings()
    return {
        "precision": settings.precision,
        "reproducible": settings.reproducible,
        "memory_limit_bytes": memory_limit(),
    }
