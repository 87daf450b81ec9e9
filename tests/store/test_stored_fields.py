"""What is stored can be read by later releases: fields that a released one did not write have defaults.

`fixtures/fields-N.json` holds the fields that the release of `fixtures/store-N.sqlite.gz` wrote, by dataclass. It is
never edited; a later release adds a file of its own, as `fixtures/make_store.py` says. Dataclasses are told apart by
their names: modules may move.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.states import AlertState, Transition
from monitor.compare.comparison import Comparison
from monitor.figures.evaluation import Evaluation
from monitor.live.discovery_history import DiscoveryHistory
from monitor.store import state_documents
from monitor.studio.discovery import Discovery

FROZEN = sorted((Path(__file__).parent / "fixtures").glob("fields-*.json"))
STORED = (Evaluation, Comparison, state_documents.StoredDriftState, AlertState, Transition, Discovery, DiscoveryHistory)
"""What is written as a document; whatever their fields hold is stored with them."""

RENAMED = {"_Memory": "StoredDriftState"}
"""Dataclasses that have another name than in a release; names are not stored."""

Fields = dict[str, dict[str, bool]]
"""By dataclass and field, whether a document must have the field."""


def reached(kind: Any, known: set[type] | None = None) -> Iterator[type]:
    """The dataclasses and named tuples that a type's values hold, itself included."""
    known = set() if known is None else known
    for inner in typing.get_args(kind):
        yield from reached(inner, known)
    is_record = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))
    if is_record and kind not in known:
        known.add(kind)
        yield kind
        for inner in typing.get_type_hints(kind).values():
            yield from reached(inner, known)


def fields_of(kind: type) -> dict[str, bool]:
    """Whether a document must have it, by field."""
    if not dataclasses.is_dataclass(kind):
        defaults = getattr(kind, "_field_defaults", {})
        return {name: name not in defaults for name in getattr(kind, "_fields", ())}
    missing = dataclasses.MISSING
    return {
        each.name: each.default is missing and each.default_factory is missing
        for each in dataclasses.fields(kind)
        if each.init
    }


def stored_fields() -> Fields:
    """Those of this version."""
    return {kind.__qualname__: fields_of(kind) for root in STORED for kind in reached(root)}


def frozen_fields(path: Path) -> Fields:
    """Those of a release; its files also name the modules."""
    names = ((name.rpartition(".")[2], fields) for name, fields in json.loads(path.read_text()).items())
    return {RENAMED.get(name, name): fields for name, fields in names}


def without_default(released: Fields, today: Fields) -> list[str]:
    """Fields of released dataclasses that a document of that release lacks, and that have no default."""
    return [
        f"{name}.{field}"
        for name, fields in today.items()
        for field, needed in fields.items()
        if needed and name in released and field not in released[name]
    ]


def newly_needed(released: Fields, today: Fields) -> list[str]:
    """Fields that a document of the release may lack, as they had a default, and that have none any more."""
    return [
        f"{name}.{field}"
        for name, fields in today.items()
        for field, needed in fields.items()
        if needed and not released.get(name, {}).get(field, True)
    ]


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_added_fields_have_defaults(path: Path) -> None:
    """A field that was added to what is stored has a default, so that what a release wrote is still read."""
    released = frozen_fields(path)
    today = stored_fields()

    assert released.keys() - {"_Sealed"} <= today.keys()  # the envelope of drift states was a dataclass once
    assert [] == without_default(released, today) + newly_needed(released, today)


def test_the_walk_meets_all_that_is_stored() -> None:
    """The walk knows the dataclasses deep inside a document, not only the outermost."""
    names = set(stored_fields())

    assert {"Evaluation", "Quality", "ClassFigures", "Interval", "Anomaly", "Block", "Slice"} <= names
    assert {"Comparison", "BaselineFigures", "Change", "ThresholdChange", "Drift", "Distances", "Decision"} <= names
    assert {"AlertState", "Evidence", "Transition", "Discovery", "Target", "TargetKey", "StoredDriftState"} <= names


def test_a_field_without_default_is_found() -> None:
    """The walk tells an added field without a default, one that lost its default, and nothing else."""
    released = {"Kept": {"old": True, "free": False}, "Gone": {"x": True}}
    today = {"Kept": {"old": True, "free": True, "added": True, "good": False}, "New": {"needed": True}}

    assert ["Kept.added"] == without_default(released, today)
    assert ["Kept.free"] == newly_needed(released, today)


if __name__ == "__main__":
    json.dump(stored_fields(), sys.stdout, indent=1)
