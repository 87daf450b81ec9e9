"""How the sections print: a row for each cell, with what is intended beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


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
    mark = {None: "", True: "ok", False: "NOT MET"}[row.holds]
    print(f"{row.cell:<44}{''.join(f'{text:>16}' for text in row.measured)}  {row.intended:<28}{mark}", flush=True)


def upper(hits: int, of: int) -> float:
    """The upper 95 % bound of a share (Clopper and Pearson, one-sided)."""
    return 1.0 if hits == of else float(stats.beta.ppf(0.95, hits + 1, of - hits))


def lower(hits: int, of: int) -> float:
    """The lower 95 % bound of a share, likewise."""
    return 0.0 if not hits else float(stats.beta.ppf(0.05, hits, of - hits + 1))


def percent(share: float) -> str:
    """A share to a tenth of a per cent."""
    return "–" if math.isnan(share) else f"{share * 100:.1f} %"


def days(count: float) -> str:
    """A number of days; infinite is never."""
    return "never" if math.isinf(count) else f"{count:.0f}"
