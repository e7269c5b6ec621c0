"""What this machine can do: instruction sets, caches, cores and memory, and the limits on them.

Everything is read once. What cannot be found out has a careful default: the generic instruction
set, the caches of a small laptop, one core.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from faltung.compiled._log import warn_once
from faltung.errors import OptionError

__all__ = [
    "LEVELS",
    "CacheSizes",
    "allows_machine_code",
    "available_cores",
    "cache_sizes",
    "has",
    "is_x86",
    "isa",
    "limit_compiler",
    "total_memory",
]

LEVELS = ("generic", "sse4", "avx2", "avx512", "amx")

# LLVM's names of the features that make up each level beyond the one before it. A level counts
# when all of them are there; the CPU's name and its other features play no part.
_FEATURES = {
    "generic": (),
    "sse4": ("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"),
    "avx2": ("avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt"),
    "avx512": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
    "amx": ("amx-tile", "amx-bf16"),
}
# Where Linux spells them in another way.
_LINUX_NAMES = {
    "sse3": "pni",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "bmi": "bmi1",
    "lzcnt": "abm",
    "amx-tile": "amx_tile",
    "amx-bf16": "amx_bf16",
}

_PROC = Path("/proc")
_SYS = Path("/sys")


def _read(path: Path) -> str:
    """The stripped text of a file of the system, or an empty string."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return ""


@cache
def is_x86() -> bool:
    """Whether this is a 64-bit x86 process."""
    return platform.machine().lower() in {"x86_64", "amd64"} and sys.maxsize > 2**32


@cache
def _features() -> frozenset[str]:
    """The CPU's features that the operating system supports too, as LLVM calls them."""
    if not is_x86():
        return frozenset()
    if platform.system() == "Linux":  # the kernel leaves out what it does not save and restore
        lines = _read(_PROC / "cpuinfo").splitlines()
        flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
        known = [name for names in _FEATURES.values() for name in names]
        return frozenset(name for name in known if _LINUX_NAMES.get(name, name) in flags)
    try:
        from llvmlite.binding import get_host_cpu_features

        return frozenset(name for name, is_there in get_host_cpu_features().items() if is_there)
    except (ImportError, OSError, RuntimeError):
        return frozenset()


@cache
def _machine_level() -> int:
    level = 0
    while level + 1 < len(LEVELS) and _features().issuperset(_FEATURES[LEVELS[level + 1]]):
        level += 1
    return level


def _allowed_level() -> int:
    """The level that FALTUNG_MAX_ISA allows; the highest when it is not set."""
    limit = os.environ.get("FALTUNG_MAX_ISA", "")
    if limit in {"", *LEVELS}:
        return LEVELS.index(limit) if limit else len(LEVELS) - 1
    raise OptionError(
        f"FALTUNG_MAX_ISA is {limit!r}, which is not known",
        f"Set it to one of {', '.join(LEVELS)}, or to nothing for all that the CPU has",
    )


def isa() -> str:
    """The highest level of `LEVELS` that the CPU has and FALTUNG_MAX_ISA allows.

    Raises
    ------
    OptionError
        If FALTUNG_MAX_ISA is not one of `LEVELS`.
    """
    return LEVELS[min(_machine_level(), _allowed_level())]


def has(level: str) -> bool:
    """Whether kernels of `level` may run here."""
    return LEVELS.index(level) <= LEVELS.index(isa())


def limit_compiler() -> None:
    """Keep Numba below FALTUNG_MAX_ISA; to be called before Numba is imported.

    The CPU name alone is not enough: with the host's features beside it LLVM goes on using them.
    """
    allowed = _allowed_level()
    if not is_x86() or allowed >= _machine_level():
        return
    if "numba" in sys.modules:
        warn_once(
            "FALTUNG_MAX_ISA",
            "Numba was imported before faltung: FALTUNG_MAX_ISA limits which kernels are chosen, "
            "not the instructions that the compiler picks by itself",
        )
        return
    names = [name for level in LEVELS[: allowed + 1] for name in _FEATURES[level]]
    os.environ["NUMBA_CPU_NAME"] = "x86-64"
    os.environ["NUMBA_CPU_FEATURES"] = ",".join(f"+{name}" for name in names)


class CacheSizes(NamedTuple):
    """Bytes of data cache: L1 and L2 of one core, and the L3 that cores share."""

    l1: int
    l2: int
    l3: int


@cache
def allows_machine_code() -> bool:
    """Whether memory that was written may become machine code: hardened systems refuse that."""
    if sys.platform != "linux":
        return True
    import ctypes
    import mmap

    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return not protect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)


@cache
def cache_sizes() -> CacheSizes:
    """The sizes of the data caches, or those of a small laptop where they are not told."""
    sizes = {1: 32 << 10, 2: 512 << 10, 3: 4 << 20}
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for index in sorted((_SYS / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if kind in {"Data", "Unified"} and level in {"1", "2", "3"} and size[:-1].isdigit():
            sizes[int(level)] = int(size[:-1]) * units.get(size[-1], 1)
    return CacheSizes(sizes[1], sizes[2], sizes[3])


def _control_groups(controller: str) -> list[Path]:
    """The directories that may limit this process: its own control group and all above it."""
    found: list[Path] = []
    for line in _read(_PROC / "self/cgroup").splitlines():
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        root = _SYS / "fs/cgroup" / (controller if controllers else "")
        inner = root / name.strip("/")
        # In a container the name is the host's, and the root is all there is to see.
        found += [inner, *(path for path in inner.parents if path.is_relative_to(root))]
    return found


def _cpu_quota() -> float:
    """How many CPUs' worth of time the control groups grant."""
    quotas = [float("inf")]
    for group in _control_groups("cpu"):
        words = _read(group / "cpu.max").split()
        words = words or [_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        with contextlib.suppress(ValueError, ZeroDivisionError):  # "max", "-1" or no file at all
            quota, period = int(words[0]), int(words[1])
            quotas += [quota / period] if quota > 0 else []
    return min(quotas)


def _usable_processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):
            return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


@cache
def available_cores() -> int:
    """The physical cores that this process may use: affinity and control groups are minded.

    Two hyper-threads share one multiplier and count as one. A quota of one and a half CPUs counts
    as one: threads beyond the quota would be stopped in the middle of their work.
    """
    processors = _usable_processors()
    cores = set()
    for processor in processors:
        topology = _SYS / f"devices/system/cpu/cpu{processor}/topology"
        siblings = _read(topology / "core_cpus_list") or _read(topology / "thread_siblings_list")
        cores.add(siblings or str(processor))
    return max(1, int(min(len(cores), _cpu_quota())))


@cache
def total_memory() -> int | None:
    """Bytes of memory of the machine or the control group, whichever is less; None if unknown."""
    limits = []
    for group in _control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(group / name)
            limits += [int(text)] if text.isdigit() else []
    if hasattr(os, "sysconf"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    else:
        limits.append(_windows_memory())
    return min((limit for limit in limits if limit > 0), default=None)


def _windows_memory() -> int:
    import ctypes

    status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its own size first, the total second
    with contextlib.suppress(OSError):
        kernel = ctypes.CDLL("kernel32")
        return int(status[1]) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0
    return 0
