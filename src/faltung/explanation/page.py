"""An explanation for a notebook; colours are those of the page, so that it reads on any ground."""

from __future__ import annotations

from html import escape

from faltung.explanation.panels import Cell, Grid, Panel, View

__all__ = ["render"]

LINE = "1px solid rgba(127, 127, 127, 0.4)"
STYLES = {
    "": "",
    "border": "background: rgba(127, 127, 127, 0.25); font-style: italic;",
    "outside": "opacity: 0.5;",
    "winner": "outline: 2px solid currentColor; font-weight: bold;",
}


def render(view: View) -> str:
    """The same grids, notes and steps as in text."""
    parts = [f"<strong>{escape(view.title)}</strong>", *map(_panel, view.panels)]
    if view.border:
        parts.append("<br>".join(map(_note, view.border)))
    rows = "".join(
        f"<tr><th style='text-align: left; font-weight: normal'>{escape(label)}</th>"
        f"<td style='text-align: right'>{escape(value)}</td></tr>"
        for label, value in view.lines
    )
    parts.append(f"<table style='border-top: {LINE}'>{rows}</table>")
    return f"<div style='color: inherit'>{''.join(map(_part, parts))}</div>"


def _part(part: str) -> str:
    return f"<div style='margin: 0.4em 0'>{part}</div>"


def _note(line: Cell) -> str:
    """A note after a cell that looks like those it speaks of."""
    sample = "·" if line.kind == "outside" else "&nbsp;"
    style = f"border: {LINE}; padding: 0 0.4em; {STYLES[line.kind]}"
    return f"<span style='{style}'>{sample}</span> {escape(line.text)}"


def _panel(panel: Panel) -> str:
    grids = "".join(map(_grid, panel.grids))
    rest = f"<div>{escape(', '.join(panel.rest))}</div>" if panel.rest else ""
    return (
        f"<div>{escape(panel.title)}</div>"
        f"<div style='display: flex; flex-wrap: wrap; gap: 1.5em'>{grids}</div>{rest}"
    )


def _grid(grid: Grid) -> str:
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in grid.rows)
    return (
        f"<table style='border-collapse: collapse'><caption>{escape(grid.name)}</caption>"
        f"{rows}</table>"
    )


def _cell(cell: Cell) -> str:
    style = f"border: {LINE}; text-align: right; padding: 0.1em 0.5em; {STYLES[cell.kind]}".strip()
    shown = "·" if cell.kind == "outside" else cell.text
    note = f" title='{escape(cell.note, quote=True)}'" if cell.note else ""
    return f"<td style='{style}'{note}>{escape(shown)}</td>"
