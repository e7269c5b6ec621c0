"""Figures of cases, of families and of the machine; as tables and as JSON.

A ratio is a peer's time over faltung's: above 1 faltung is faster, below 1 it loses. A case's own
ratio is against the fastest peer whose result is right.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, fsum, log
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "NATIVE",
    "OURS",
    "CaseResult",
    "FamilyResult",
    "Figure",
    "as_json",
    "by_family",
    "geometric_mean",
    "machine_facts",
    "middle_run",
    "sorted_by_ratio",
]

OURS = "faltung"
NATIVE = ("torch", "torch_channels_last", "onnxruntime")
"""Whose best is a yardstick of its own beside the best of all."""


class Figure(NamedTuple):
    """What one contender reached.

    Parameters
    ----------
    best, median : float
        Seconds a call: the best quarter of the blocks, and the median of all.
    blocks : int
        How many there were.
    error : float
        The largest difference to float64, in parts of the largest number.
    is_right : bool
        Whether that is rounding.
    """

    best: float
    median: float
    blocks: int
    error: float
    is_right: bool


@dataclass(frozen=True)
class CaseResult:
    """All figures of one case.

    Parameters
    ----------
    name, family : str
        Of the case.
    flops : int or None
        Floating point operations of a call; None where it compares, copies or averages.
    figures : dict of str to Figure
        By contender, faltung among them.
    left_out : dict of str to str
        By contender, why it has no figure.
    peak : float or None
        Operations a second in registers alone, in the same turns.
    ratios_of_runs : tuple of float
        The ratio in every run, where there were several and this is the one in the middle.
    """

    name: str
    family: str
    flops: int | None
    figures: dict[str, Figure]
    left_out: dict[str, str]
    peak: float | None
    ratios_of_runs: tuple[float, ...] = ()

    @property
    def ours(self) -> Figure | None:
        """The figure of faltung, None if it failed or is wrong."""
        figure = self.figures.get(OURS)
        return figure if figure and figure.is_right else None

    def fastest(self, among: Sequence[str] | None = None) -> str | None:
        """The name of the fastest peer that is right, in its best quarter."""
        right = {
            name: figure.best
            for name, figure in self.figures.items()
            if name != OURS and figure.is_right and (among is None or name in among)
        }
        return min(right, key=right.__getitem__, default=None)

    def ratio(self, among: Sequence[str] | None = None) -> float | None:
        """The best quarter of the fastest peer over faltung's; 0 where faltung has no result."""
        name = self.fastest(among)
        if name is None:
            return None
        return self.figures[name].best / self.ours.best if self.ours else 0.0

    def ratio_of_medians(self) -> float | None:
        """The same of the medians, against the peer whose median is the lowest."""
        medians = [
            figure.median
            for name, figure in self.figures.items()
            if name != OURS and figure.is_right
        ]
        if not medians:
            return None
        return min(medians) / self.ours.median if self.ours else 0.0

    @property
    def share_of_peak(self) -> float | None:
        """Which part of the register-only peak faltung reaches."""
        if self.peak is None or self.ours is None or self.flops is None:
            return None
        return self.flops / self.ours.best / self.peak

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "case": self.name,
            "family": self.family,
            "flops": self.flops,
            "peak_flops": self.peak,
            "share_of_peak": self.share_of_peak,
            "fastest_peer": self.fastest(),
            "ratio": self.ratio(),
            "ratio_of_medians": self.ratio_of_medians(),
            "ratio_to_native": self.ratio(NATIVE),
            "ratios_of_runs": self.ratios_of_runs,
            "contenders": {name: _figures(figure) for name, figure in self.figures.items()},
            "left_out": self.left_out,
        }


def _figures(figure: Figure) -> dict[str, Any]:
    """JSON has no infinity: a result of another shape or with NaN has no error."""
    error = figure.error if figure.error < float("inf") else None
    return {
        "seconds": figure.best,
        "median_seconds": figure.median,
        "blocks": figure.blocks,
        "error": error,
        "right": figure.is_right,
    }


@dataclass(frozen=True)
class FamilyResult:
    """What the cases of a family have in common; only those with a peer count.

    Parameters
    ----------
    name : str
        Of the family.
    cases, losses : int
        How many were compared, and in how many of them faltung is slower.
    mean, mean_of_medians : float
        Geometric means of the ratios.
    mean_to_native : float or None
        The same against the best of `NATIVE` alone, where one of them has the operation.
    worst : str
        The case with the lowest ratio.
    worst_ratio : float
        Its ratio.
    """

    name: str
    cases: int
    losses: int
    mean: float
    mean_of_medians: float
    mean_to_native: float | None
    worst: str
    worst_ratio: float


def geometric_mean(values: Iterable[float]) -> float | None:
    """The geometric mean; 0 if one of them is 0, None of nothing."""
    values = list(values)
    if not values:
        return None
    if min(values) <= 0:
        return 0.0
    return exp(fsum(map(log, values)) / len(values))


def by_family(results: Sequence[CaseResult]) -> list[FamilyResult]:
    """One row a family, in the order of the cases."""
    rows = []
    for family in dict.fromkeys(result.family for result in results):
        members = [result for result in results if result.family == family]
        ratios = {member.name: ratio for member in members if (ratio := member.ratio()) is not None}
        if not ratios:
            continue
        medians = [ratio for one in members if (ratio := one.ratio_of_medians()) is not None]
        native = [ratio for one in members if (ratio := one.ratio(NATIVE)) is not None]
        worst = min(ratios, key=ratios.__getitem__)
        rows.append(
            FamilyResult(
                family,
                len(ratios),
                sum(ratio < 1 for ratio in ratios.values()),
                geometric_mean(ratios.values()) or 0.0,
                geometric_mean(medians) or 0.0,
                geometric_mean(native),
                worst,
                ratios[worst],
            )
        )
    return rows


def middle_run(results: Sequence[CaseResult]) -> CaseResult:
    """Of several runs of one case the one whose ratio is the median; the lower one of two."""
    ordered = sorted_by_ratio(results)
    ratios = tuple(ratio for result in results if (ratio := result.ratio()) is not None)
    return replace(ordered[(len(ordered) - 1) // 2], ratios_of_runs=ratios)


def sorted_by_ratio(results: Iterable[CaseResult]) -> list[CaseResult]:
    """The worst first; cases without a peer last."""
    return sorted(results, key=lambda result: _or_infinite(result.ratio()))


def _or_infinite(ratio: float | None) -> float:
    return float("inf") if ratio is None else ratio


def machine_facts(threads: int, packages: Iterable[str]) -> dict[str, Any]:
    """What the figures depend on: processor, caches, threads, versions and load."""
    from faltung.compiled import machine, variants

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "instruction_set": machine.isa(),
        "kernels": variants.find_row("float32").isa,
        "FALTUNG_MAX_ISA": os.environ.get("FALTUNG_MAX_ISA"),
        "cores_usable": machine.available_cores(),
        "threads": threads,
        "caches": machine.cache_sizes()._asdict(),
        "memory_bytes": machine.total_memory(),
        "load_before": load,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in sorted({"faltung", "numpy", *packages})},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def as_json(
    machine: dict[str, Any], results: Sequence[CaseResult], *, is_partial: bool = False
) -> dict[str, Any]:
    """All that was found; `is_partial` where somebody has ended the measuring before all was."""
    return {
        "machine": machine,
        "partial": is_partial,
        "families": [asdict(row) for row in by_family(results)],
        "cases": [result.to_dict() for result in results],
    }
