"""`Problem`: one thing to fix in the operator's files; `ConfigError`: all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from monitor.errors import MonitorError


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of one file. `str()` gives `PATH:LINE: key: what is wrong, and what to write`.

    Attributes:
        path: The file, as the operator named it.
        line: From 1; of the nearest thing that exists where a key is missing.
        key: Such as `projects[0].filters.labels`; empty where the whole file is meant.
        message: What is wrong and what to write. Never holds a value from the file: it could be a secret.
        unset: Whether it is that an environment variable is not set.
    """

    path: Path
    line: int
    key: str
    message: str
    unset: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(MonitorError):
    """The configuration cannot be used; `problems` holds every reason, `str()` has one per line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
