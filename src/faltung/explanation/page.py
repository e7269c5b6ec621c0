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
        parts.append("<br>".join(escape(line) for line in view.border))
    rows = "".join(
        f"<tr><th style='text-align: left; font-weight: normal'>{escape(label)}</th>"
        f"<td style='text-align: right'>{escape(value)}</td></tr>"
        for label, value in view.lines
    )
    parts.append(f"<table style='border-top: {LINE}'>{rows}</table>")
    return f"<div style='color: inherit'>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


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
    style = f"border: {LINE}; text-align: right; {STYLES[cell.kind]}".strip()
    note = f" title='{escape(cell.note, quote=True)}'" if cell.note else ""
    return f"<td style='{style}'{note}>{escape(cell.text)}</td>"
