"""The intervals of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.figures.evaluation import Interval


def intervals(value: Any, name: str = "") -> Iterator[tuple[str, Interval]]:
    """Every interval that is anywhere in an evaluation, by the name of its figure."""
    if isinstance(value, Interval):
        yield name.removesuffix("_interval"), value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from intervals(getattr(value, field.name), field.name)
    elif isinstance(value, Mapping | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from intervals(each, name)
