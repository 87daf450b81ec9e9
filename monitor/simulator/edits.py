"""What a page may legally be beyond its documented form: each function gives the action that makes a true page so.

Every edit leaves pages of other calls, and refusals, as they are. `Edit` writes as Python's `json` does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.simulator.faults import Edit, Rewrite

Json = dict[str, Any]

SURROGATE = "\ud83d"
"""The first half of an emoji: what JavaScript leaves where it cuts a text there."""
READ_AS = "\ufffd"
"""What a reader is to make of a lone surrogate."""


def surrogates(*fields: str, every: int = 1) -> Edit:
    """A lone surrogate at the end of texts of every n-th sample.

    Args:
        fields: Of the sample (`filename`, `deviceName`, `label`, `projectName`, ...); `metadata` means all its values.
            With `label` the windows' true labels change with the sample's.
        every: 1 for all samples.
    """
    names = fields or ("filename",)

    def edit(page: Json) -> None:
        for row in _rows(page)[::every]:
            sample = row["sample"]
            for name in names:
                if name == "metadata":
                    sample[name] = {key: f"{value}{SURROGATE}" for key, value in sample[name].items()}
                elif name in sample:
                    sample[name] = f"{sample[name]}{SURROGATE}"
            if "label" in names:
                for window in page["predictions"]:
                    if window["sampleId"] == row["sampleId"] and "label" in window:
                        window["label"] = f"{window['label']}{SURROGATE}"

    return Edit(edit)


def byte_order_mark() -> Rewrite:
    """The body begins with a byte-order mark."""
    return Rewrite(lambda body: b"\xef\xbb\xbf" + body)


def escaped() -> Rewrite:
    r"""Every character beyond ASCII is written as an escape: `\u00e9` for `é`. The content stays the same."""
    return Rewrite(lambda body: json.dumps(json.loads(body)).encode())


def nested(depth: int = 5000) -> Rewrite:
    """An unknown field holds lists in lists, so many deep."""
    return Rewrite(lambda body: b'{"unknown":' + b"[" * depth + b"]" * depth + b"," + body[1:])


@dataclass(frozen=True, slots=True)
class SideType:
    """A side field with another JSON type than documented.

    Attributes:
        field: Where it stands.
        edit: Changes a page in place.
        same: Whether the value still can only mean one thing, and so is to be read; otherwise it is to be left out and
            counted.
        call: The call whose replies hold it.
    """

    field: str
    edit: Callable[[Json], None]
    same: bool
    call: str = "result/page"


def side_types(*names: str) -> Edit:
    """These of `SIDE_TYPES`, or all that pages hold, at once."""
    chosen = [SIDE_TYPES[name] for name in names] or [one for one in SIDE_TYPES.values() if one.call == "result/page"]

    def edit(reply: Json) -> None:
        for one in chosen:
            if (one.call == "project" and "project" in reply) or (one.call == "result/page" and _rows(reply)):
                one.edit(reply)

    return Edit(edit)


def _rows(page: Json) -> list[Json]:
    return page.get("result") or []


def _samples(page: Json) -> Iterator[Json]:
    return (row["sample"] for row in _rows(page))


def _entries(page: Json) -> Iterator[Json]:
    return (entry for row in _rows(page) for entry in row["classifications"])


def _boxes(page: Json) -> Iterator[Json]:
    return (box for sample in _samples(page) for box in sample["boundingBoxes"])


def _windows(page: Json) -> Iterator[Json]:
    return iter(page["predictions"])


def _thresholds(page: Json) -> Iterator[Json]:
    return (threshold for entry in _entries(page) for threshold in entry.get("thresholds") or ())


def _learn_blocks(page: Json) -> Iterator[Json]:
    return (entry["learnBlock"] for entry in _entries(page))


def _itself(reply: Json) -> Iterator[Json]:
    return iter([reply])


def _setting(
    where: Callable[[Json], Iterator[Json]], name: str, change: Callable[[Any], Any]
) -> Callable[[Json], None]:
    """Change one field of every object that `where` finds and that has it."""

    def edit(page: Json) -> None:
        for found in where(page):
            if found.get(name) is not None:
                found[name] = change(found[name])

    return edit


def _nulls(page: Json) -> None:
    """A null in every list of side objects."""
    for sample in _samples(page):
        for name in ("sensors", "boundingBoxes", "structuredLabels"):
            sample.get(name, []).append(None)
    for entry in _entries(page):
        entry.get("thresholds", []).append(None)


def _times_as_text(page: Json) -> None:
    for name in ("startMs", "endMs"):
        _setting(_windows, name, str)(page)


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


SIDE_TYPES: Mapping[str, SideType] = {
    "total-float": SideType("totalCount", _setting(_itself, "totalCount", float), same=True),
    "total-text": SideType("totalCount", _setting(_itself, "totalCount", str), same=True),
    "correct-number": SideType("predictionCorrect", _setting(_windows, "predictionCorrect", int), same=True),
    "times-text": SideType("startMs, endMs", _times_as_text, same=True),
    "rating-text": SideType("minimumConfidenceRating", _setting(_entries, "minimumConfidenceRating", str), same=True),
    "threshold-text": SideType("thresholds[].value", _setting(_thresholds, "value", str), same=True),
    "block-id-text": SideType("learnBlock.id", _setting(_learn_blocks, "id", str), same=True),
    "added-milliseconds": SideType("sample.added", _setting(_samples, "added", _milliseconds), same=True),
    "device-number": SideType("sample.deviceName", _setting(_samples, "deviceName", lambda _: 7), same=False),
    "dimensions-list": SideType(
        "sample.imageDimensions", _setting(_samples, "imageDimensions", lambda _: []), same=False
    ),
    "box-label-number": SideType("sample.boundingBoxes[].label", _setting(_boxes, "label", lambda _: 1), same=False),
    "metadata-list": SideType("sample.metadata", _setting(_samples, "metadata", lambda _: [1, 2]), same=False),
    "date-beyond": SideType(
        "sample.added", _setting(_samples, "added", lambda _: "99999-01-01T00:00:00.000Z"), same=False
    ),
    "threshold-beyond": SideType("thresholds[].value", _setting(_thresholds, "value", lambda _: 10**400), same=False),
    "block-id-beyond": SideType("learnBlock.id", _setting(_learn_blocks, "id", lambda _: 2**63), same=False),
    "project-name-number": SideType(
        "project.name",
        _setting(lambda reply: iter([reply["project"]]), "name", lambda _: 12),
        same=False,
        call="project",
    ),
    "nulls": SideType("null in lists", _nulls, same=True),  # the last one: the others expect objects
}
"""Side fields of another type, by a name of their own."""


def other_category(category: str = "training", every: int = 3) -> Edit:
    """Every n-th sample of a page says that it is of another category."""

    def edit(page: Json) -> None:
        for row in _rows(page)[::every]:
            row["sample"]["category"] = category

    return Edit(edit)


def without(*names: str) -> Edit:
    """Optional fields are absent wherever they stand: `objectDetectionLastLayer`, `maxScore`, `thresholds`,
    `learnBlock`, ...
    """

    def strip(value: Any) -> None:
        if isinstance(value, dict):
            for name in names:
                value.pop(name, None)
            for item in value.values():
                strip(item)
        elif isinstance(value, list):
            for item in value:
                strip(item)

    def edit(page: Json) -> None:
        strip(page.get("result"))
        strip(page.get("predictions"))

    return Edit(edit)


def nan_in_debug_info(every: int = 5) -> Edit:
    """Every n-th image's `debugInfoJson` has a distance that is `NaN`, as Python's `json` writes it."""

    def edit(page: Json) -> None:
        for entry in list(_entries(page))[::every]:
            for image in entry.get("structuredResult") or ():
                if "debugInfoJson" in image:
                    debug = json.loads(image["debugInfoJson"])
                    debug["all_pairwise_distances"] = [[0, 0, math.nan]]
                    image["debugInfoJson"] = json.dumps(debug)

    return Edit(edit)


def endless_classes() -> Edit:
    """A block's classes are called differently in every window."""

    def edit(page: Json) -> None:
        for row in _rows(page):
            for entry in row["classifications"]:
                entry["result"] = [
                    {f"{label} {row['sampleId']}/{place}": score for label, score in window.items()}
                    for place, window in enumerate(entry["result"])
                ]

    return Edit(edit)
