"""What a section of the cost benchmark is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks._rows import Row


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: What it measures, in one line.
        columns: The heads of `Row.measured`.
        rows: Measures, and yields a row as soon as it is known. With True it measures less, to be done within a minute.
    """

    title: str
    columns: Sequence[str]
    rows: Callable[[bool], Iterator[Row]]
