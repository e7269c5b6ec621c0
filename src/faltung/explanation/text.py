"""An explanation for a terminal."""

from __future__ import annotations

from itertools import zip_longest

from faltung.explanation.panels import Cell, Grid, Panel, View

__all__ = ["render"]

MARKS = {"": "{} ", "border": "({})", "outside": "· ", "winner": "[{}]"}
GAP = "   "
WIDTH = 100
"""Columns of a terminal that grids beside each other may take."""


def render(view: View) -> str:
    """The grids beside each other, the notes, then a line for each step."""
    lines = [view.title]
    for panel in view.panels:
        lines += ["", *_panel(panel)]
    if view.border:
        lines += ["", *(f"  {MARKS[line.kind].format(' '):<3} {line.text}" for line in view.border)]
    lines.append("")
    width = max((len(label) for label, _ in view.lines), default=0)
    lines += [f"  {label:<{width}}  {value}" for label, value in view.lines]
    return "\n".join(line.rstrip() for line in lines)


def _panel(panel: Panel) -> list[str]:
    """The grids beside each other, or below each other where that is too wide."""
    columns = [_grid(grid) for grid in panel.grids]
    rows = [GAP.join(row) for row in zip_longest(*columns, fillvalue="")]
    if max(map(len, rows)) > WIDTH:
        rows = [line for column in columns for line in column]
    lines = [panel.title, *("  " + row for row in rows)]
    if panel.rest:
        lines.append("  " + ", ".join(panel.rest))
    return ["  " + line for line in lines]


def _grid(grid: Grid) -> list[str]:
    """A heading and the rows, all lines of one width."""
    texts = [[_marked(cell) for cell in row] for row in grid.rows]
    width = max(len(text) for row in texts for text in row)
    lines = [grid.name, *("".join(text.rjust(width) for text in row) for row in texts)]
    longest = max(map(len, lines))
    return [line.ljust(longest) for line in lines]


def _marked(cell: Cell) -> str:
    """A cell with its mark; a plain one keeps the place of a closing bracket free."""
    return " " + MARKS[cell.kind].format(cell.text)
