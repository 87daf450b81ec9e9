"""Tables for terminals, files and pipes: 80 columns suffice, and what identifies something is never cut."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from monitor.text import printable

_LEAST = 20
"""Columns of the text at the end of each row."""


def table_of(columns: Iterable[str], whole: Iterable[str] = ()) -> Table:
    """An empty table without lines.

    Args:
        columns: Heads; the last column takes the room that is left.
        whole: Those that are never folded, such as ids.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    *first, last = columns
    kept = set(whole)
    for name in first:
        table.add_column(name, no_wrap=name in kept, overflow="fold")
    table.add_column(last, min_width=_LEAST, overflow="fold")
    return table


def add(table: Table, *cells: str) -> None:
    """Add a row; what others chose is text, never markup or a command to the terminal."""
    table.add_row(*(Text("\n".join(map(printable, cell.split("\n")))) for cell in cells))


def joined(*parts: str) -> str:
    """What is not empty, a line each."""
    return "\n".join(filter(None, parts))
