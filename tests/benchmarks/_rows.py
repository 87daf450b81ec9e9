"""How benchmarks print: a row for each cell, with what is intended beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MARKS = {None: "", True: "ok", False: "NOT MET"}


@dataclass(frozen=True)
class Row:
    """What one cell came to.

    Attributes:
        cell: Its name.
        measured: Values, as texts.
        intended: What they should be; empty where nothing is promised.
        holds: Whether they are; None where nothing is promised.
    """

    cell: str
    measured: Sequence[str]
    intended: str = ""
    holds: bool | None = None


def head(title: str, *columns: str) -> None:
    """Print a section's title and the heads of its columns."""
    print(f"\n{title}")
    show(Row("cell", columns, "intended"))


def show(row: Row) -> None:
    """Print a row at once: the next one may take minutes."""
    print(
        f"{row.cell:<44}{''.join(f'{text:>16}' for text in row.measured)}  {row.intended:<28}{MARKS[row.holds]}",
        flush=True,
    )


def markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """The rows as a table of a Markdown page; what is not met is bold."""
    lines = [["", *columns, "intended"]]
    for row in rows:
        intended = f"**{row.intended}: not met**" if row.holds is False else row.intended
        lines.append([row.cell, *row.measured, intended])
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(lines[0]), *text[1:]])
