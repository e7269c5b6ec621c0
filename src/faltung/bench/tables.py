"""Results in words: the rows that the terminal shows. Losses are marked, failures are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from faltung.bench.results import OURS, CaseResult, FamilyResult, geometric_mean

__all__ = ["CASE_HEADER", "FAMILY_HEADER", "case_row", "family_row", "remarks"]

CASE_HEADER = (
    "case",
    "faltung",
    "of peak",
    "error",
    "fastest peer",
    "takes",
    "error",
    "ratio",
    "of medians",
    "",
)
FAMILY_HEADER = (
    "family",
    "cases",
    "loses",
    "ratio",
    "of medians",
    "to PyTorch, ONNX Runtime",
    "worst",
    "its ratio",
)


def case_row(result: CaseResult, titles: Mapping[str, str]) -> tuple[str, ...]:
    """One case against its fastest peer."""
    ours, name, ratio = result.figures.get(OURS), result.fastest(), result.ratio()
    theirs = result.figures[name] if name else None
    return (
        result.name,
        _seconds(ours.best) if ours else "-",
        _percent(result.share_of_peak),
        f"{ours.error:.0e}" if ours else "-",
        titles[name] if name else "-",
        _seconds(theirs.best) if theirs else "-",
        f"{theirs.error:.0e}" if theirs else "-",
        _ratio(ratio),
        _ratio(result.ratio_of_medians()),
        _verdict(result),
    )


def _verdict(result: CaseResult) -> str:
    ratio = result.ratio()
    if OURS not in result.figures:
        return "FAILED"
    if result.ours is None:
        return "WRONG"
    if ratio is None:
        return "no peer"
    return "loses" if ratio < 1 else ""


def family_row(family: FamilyResult) -> tuple[str, ...]:
    """The geometric mean of a family, and its worst case by name."""
    return (
        family.name,
        str(family.cases),
        str(family.losses),
        _ratio(family.mean),
        _ratio(family.mean_of_medians),
        _ratio(family.mean_to_native),
        family.worst,
        _ratio(family.worst_ratio),
    )


def remarks(results: Sequence[CaseResult], titles: Mapping[str, str]) -> Iterator[str]:
    """Each peer's mean over the cases that it has, and everything that went wrong."""
    for name, title in titles.items():
        pairs = [
            (result.figures[name].best, result.ours.best)
            for result in results
            if result.ours and name in result.figures and result.figures[name].is_right
        ]
        mean = geometric_mean(theirs / ours for theirs, ours in pairs)
        if mean is not None:
            lost = sum(theirs < ours for theirs, ours in pairs)
            yield f"{title}: {_ratio(mean)} in the mean of {len(pairs)} cases, faster in {lost}"
    for result in results:
        for name, figure in result.figures.items():
            if not figure.is_right:
                who = titles.get(name, name)
                yield f"WRONG: {who} in {result.name!r} has an error of {figure.error:.1e}"
        for name, reason in result.left_out.items():
            if name == OURS or reason.startswith("failed"):
                yield f"{titles.get(name, name)} in {result.name!r}: {reason}"


def _seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}×" if value < 9.995 else f"{value:.3g}×"
