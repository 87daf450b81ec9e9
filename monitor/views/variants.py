"""The variants of an impulse side by side: figures of each, and what this one loses against the reference. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.pipeline.snapshot import Snapshot
from monitor.targets import Target
from monitor.views.status import Figure, figures


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant of the impulse: its headline figures by name, and whether it is the target itself."""

    target: Target
    is_self: bool
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Variants:
    """All variants of an impulse that are watched on one category of data; and the figures that any of them has."""

    rows: tuple[VariantRow, ...]
    metrics: tuple[str, ...]


def variant_rows(target: Target, watched: Mapping[str, Target], snapshots: Mapping[str, Snapshot]) -> Variants | None:
    """The variants beside a target, by name; None where it is the only one."""
    key = target.key
    beside = [each for each in watched.values() if each.key._replace(variant="") == key._replace(variant="")]
    if len(beside) < 2:
        return None
    rows = tuple(
        VariantRow(each, each.key == key, {found.metric: found for found in figures(snapshots.get(each.key.id))})
        for each in sorted(beside, key=lambda each: each.key.variant)
    )
    metrics = tuple(dict.fromkeys(name for row in rows for name in row.figures))
    return Variants(rows, metrics)
