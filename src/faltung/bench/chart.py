"""The benchmark as a picture: how many times as fast as each peer, a row a case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faltung.errors import FaltungError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

__all__ = ["draw_chart", "save_chart"]

ROW = 0.15
"""Inches of a case."""
LEAST, MOST = 0.1, 100
"""Ratios beyond are drawn at the edge, with their number."""
MARKS = "osD^vP*Xp"
FORMATS = (".png", ".svg", ".pdf")
Group = tuple[str, list[dict[str, Any]]]
"""A family and its cases."""


def draw_chart(found: dict[str, Any], titles: dict[str, str]) -> Picture:
    """Draw ratios on a logarithmic scale.

    Parameters
    ----------
    found : dict
        What `results.as_json` returns, or what was read from its file.
    titles : dict of str to str
        What peers are called in the legend, by name; the order of the marks.

    Returns
    -------
    Figure
        Of Matplotlib. To the right of the line faltung is faster, to the left it loses.
    """
    make_picture, cycle = _matplotlib()
    columns = _columns(found["cases"])
    height = 1.5 + ROW * max(_rows_of(column) for column in columns)
    picture: Picture = make_picture(figsize=(7.0 * len(columns), height), layout="constrained")
    styles = {name: (MARKS[i % len(MARKS)], cycle[i % len(cycle)]) for i, name in enumerate(titles)}
    for place, column in enumerate(columns):
        ax = picture.add_subplot(1, len(columns), place + 1)
        _draw_column(ax, column, styles)
    handles = _legend(picture, found["cases"], styles)
    picture.legend(
        handles.values(),
        [titles[name] for name in handles],
        loc="outside lower center",
        ncols=4 * len(columns),
        frameon=False,
        fontsize="small",
    )
    machine = found["machine"]
    picture.suptitle(
        f"The peer's time over faltung's ({machine['processor']}, {machine['threads']} threads, "
        f"{machine['kernels']}); left of 1 faltung loses",
        fontsize="medium",
    )
    return picture


def save_chart(path: Path, found: dict[str, Any], titles: dict[str, str]) -> None:
    """Draw into a file; its suffix decides the format."""
    check_chart_path(path)
    draw_chart(json.loads(json.dumps(found)), titles).savefig(path, dpi=110)


def check_chart_path(path: Path) -> None:
    """Whether a chart can be written there, before anything is measured."""
    if path.suffix.lower() not in FORMATS:
        raise FaltungError(
            f"no chart can be written as {path.suffix or 'a file without a suffix'}: {path}",
            f"Use one of {', '.join(FORMATS)}",
        )
    _matplotlib()


def _matplotlib() -> tuple[Any, Sequence[str]]:
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "Matplotlib, which draws the chart, is not installed", 'pip install "faltung[plot]"'
        ) from None
    return Figure, rcParams["axes.prop_cycle"].by_key()["color"]


def _columns(cases: list[dict[str, Any]]) -> list[list[Group]]:
    """Families, worst case first in each, in two columns of about the same length."""
    names = dict.fromkeys(case["family"] for case in cases if case["ratio"] is not None)
    groups = [
        (
            family,
            sorted(
                (one for one in cases if one["family"] == family and one["ratio"] is not None),
                key=lambda one: float(one["ratio"]),
            ),
        )
        for family in names
    ]
    if not groups:
        raise FaltungError("no case has a peer to be compared with", "Install one: `make bench`")
    if len(cases) <= 30:
        return [groups]
    half = _rows_of(groups) / 2
    left: list[Group] = []
    right: list[Group] = []
    for group in groups:
        (left if _rows_of([*left, group]) <= half + 2 and not right else right).append(group)
    return [left, right] if right else [left]


def _rows_of(groups: list[Group]) -> int:
    return sum(len(cases) + 1 for _, cases in groups)


def _draw_column(ax: Axes, groups: list[Group], styles: dict[str, tuple[str, str]]) -> None:
    places: list[int] = []
    labels: list[str] = []
    row = 0
    for family, cases in groups:
        ax.text(LEAST, row, f" {family}", va="center", fontsize=7, fontweight="bold")
        ax.axhline(row, color="0.9", linewidth=0.5, zorder=0)
        for case in cases:
            row += 1
            places.append(row)
            labels.append(case["case"])
            _draw_case(ax, row, case, styles)
        row += 1
    ax.set_xscale("log")
    ax.set_xlim(LEAST, MOST)
    ax.set_ylim(row - 0.2, -0.8)
    ax.set_yticks(places, labels, fontsize=6)
    ax.tick_params(axis="y", length=0)
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    ax.set_xticks(ticks, [f"{tick:g}×" for tick in ticks], fontsize=7)
    ax.minorticks_off()
    ax.axvspan(LEAST, 1, color="C3", alpha=0.08, linewidth=0)
    ax.axvline(1, color="0.2", linewidth=0.8)
    ax.grid(axis="x", color="0.92", linewidth=0.5)
    ax.set_axisbelow(True)


def _draw_case(
    ax: Axes, row: int, case: dict[str, Any], styles: dict[str, tuple[str, str]]
) -> None:
    contenders = case["contenders"]
    ours = contenders.get("faltung")
    if ours is None or not ours["right"]:
        ax.text(1, row, " faltung has no right result", va="center", fontsize=6, color="C3")
        return
    for name, figure in contenders.items():
        if name not in styles or not figure["right"]:
            continue
        ratio = figure["seconds"] / ours["seconds"]
        mark, color = styles[name]
        edge = min(max(ratio, LEAST), MOST)
        ax.plot(edge, row, mark, color=color, markersize=3.2, clip_on=False)
        if edge != ratio:
            side = "right" if ratio > MOST else "left"
            note = f" {ratio:.3g}× "
            ax.text(edge, row, note, va="center", ha=side, fontsize=4, color=color)


def _legend(
    picture: Picture, cases: list[dict[str, Any]], styles: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    from matplotlib.lines import Line2D

    used = {name for case in cases for name in case["contenders"]}
    return {
        name: Line2D([], [], linestyle="", marker=mark, color=color, markersize=5)
        for name, (mark, color) in styles.items()
        if name in used
    }
