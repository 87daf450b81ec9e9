"""What a section of the benchmark is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Mapped(Protocol):
    """Applies a function to many arguments, in several processes or in this one."""

    def __call__(self, function: Callable[[int], T], arguments: Iterable[int], /) -> Iterator[T]:
        """As the built-in `map`."""


@dataclass(frozen=True)
class Effort:
    """How much is spent.

    Attributes:
        targets: Simulated targets, or sets, of each cell.
        days: Of a simulated year.
        wanted: Whether a cell, by its name, is to be run.
        mapped: Runs targets side by side.
    """

    targets: int
    days: int
    wanted: Callable[[str], bool]
    mapped: Mapped
