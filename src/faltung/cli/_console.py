"""Output for people: tables and progress with rich where it is installed, plain text otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from faltung.cli._errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["note", "say", "table", "tracked"]

Item = TypeVar("Item")


def note(text: object) -> None:
    """One line on stderr."""
    print(f"faltung: {one_line(text)}", file=sys.stderr)


def say(text: str) -> None:
    """A line on stdout, whatever characters the file names in it have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "right"
) -> None:
    """Print a table; `align` is for all columns but the first. An empty `header` shows none."""
    console = _rich_console()
    cells = [[one_line(cell) for cell in row] for row in rows]
    if console is None:
        _plain_table(title, header, cells, align)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD if header else None,
        show_header=bool(header),
        padding=(0, 1, 0, 0) if header else (0, 2),
    )
    for position in range(len(cells[0])):
        grid.add_column(
            header[position] if header else "",
            justify="right" if position and align == "right" else "left",
            no_wrap=True,
        )
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    # Wider than the terminal is better than with an ellipsis where the number was.
    unlimited = console.options.update(width=10_000)
    console.width = max(console.width, console.measure(grid, options=unlimited).maximum)
    # Printed as text: rich ends the program itself when the reader of a pipe has left.
    with console.capture() as capture:
        console.print(grid)
    say("\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()))


def _plain_table(title: str, header: Sequence[str], cells: list[list[str]], align: str) -> None:
    say(title)
    lines = [list(header), *cells] if header else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for row in lines:
        padded = (
            cell.rjust(width) if column and align == "right" else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join(["", *padded]).rstrip())


def _rich_console(*, stderr: bool = False) -> Console | None:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(stderr=stderr)


def tracked(items: Sequence[Item], description: str) -> Iterator[Item]:
    """The items, with a progress bar on stderr if there are several and somebody watches."""
    console = _rich_console(stderr=True) if len(items) > 1 and sys.stderr.isatty() else None
    if console is None:
        yield from items
        return
    from rich.progress import track

    yield from track(items, description, console=console, transient=True)
