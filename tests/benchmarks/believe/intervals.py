"""The intervals of an evaluation, and of what a variant loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.compare.variants import compare_variants
from monitor.figures.evaluation import Interval
from monitor.results import ResultSet


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


def gaps(reference: ResultSet, variant: ResultSet, seed: int) -> Iterator[tuple[str, Interval]]:
    """Those of the gaps between two variants."""
    for gap in compare_variants("float32", reference, variant, seed).gaps:
        if gap.interval is not None:
            yield f"{gap.metric} gap", gap.interval
