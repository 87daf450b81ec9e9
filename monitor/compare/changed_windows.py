"""Windows that changed sides as people read them: names, labels, predictions and confidences, then and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monitor.compare.pairing import Index
from monitor.compare.renaming import rows_of_owners
from monitor.compare.sides import KINDS, SUSPECT_LABEL, Sides, sides
from monitor.results import BlockKind, Boxes, FloatArray, IntArray, ResultSet
from monitor.text import shown

MOST_LISTED = 10_000
"""Windows that a list names; the others are only counted."""


class ChangedWindow(NamedTuple):
    """A window of a list.

    Attributes:
        sample_id: Whose it is.
        filename: What the sample's file is called; None where unknown.
        start_ms, end_ms: The window's bounds in milliseconds; None where Studio gave none, as of images.
        label, prediction: What it is and what is predicted now; of images with boxes how many of which class; None for
            a sample that was removed.
        confidence: The largest that the model gives a class, 0..1; None where it gives none.
        label_before, prediction_before, confidence_before: The same in the baseline; None for a sample that was added.
        looks_like: The class that a wrong-looking label should perhaps be; None where it does not look wrong.
        self_confidence: What the model, or both models, give the label; None where they cannot.
        classes: Of images with boxes those that were labelled or found in it, then and now; of others empty.
    """

    sample_id: int
    filename: str | None
    start_ms: float | None
    end_ms: float | None
    label: str | None
    prediction: str | None
    confidence: float | None
    label_before: str | None
    prediction_before: str | None
    confidence_before: float | None
    looks_like: str | None = None
    self_confidence: float | None = None
    classes: tuple[str, ...] = ()

    def called(self) -> Iterator[str]:
        """The classes that anyone takes it for, then or now; some perhaps twice."""
        if self.classes:
            yield from self.classes
            return
        for text in (self.label, self.prediction, self.label_before, self.prediction_before):
            if text is not None:
                yield text


@dataclass(frozen=True, slots=True)
class ChangedSamples:
    """Which samples changed sides between two runs.

    Attributes:
        counts: How many samples there are of each kind.
        suspect: How many of them have a label that looks wrong, by kind.
        lists: The windows of each kind, as many as lists name.
        data: `Sides.data_digest`: which samples were added, removed and relabelled.
    """

    counts: Mapping[str, int]
    suspect: Mapping[str, int]
    lists: Mapping[str, Sequence[ChangedWindow]]
    data: str = ""


def changed_samples(baseline: ResultSet, current: ResultSet, *, judge_labels: bool = True) -> ChangedSamples:
    """Counts and lists of the samples that changed sides; arguments as `sides` takes them. Takes up to a second for
    large sets: call it in a worker thread.
    """
    found = sides(baseline, current, judge_labels=judge_labels)
    suspect = {kind: found.suspect_among(kind) for kind in KINDS if kind != SUSPECT_LABEL}
    return ChangedSamples(found.counts(), suspect, changed_windows(found), found.data_digest())


def changed_windows(found: Sides, most: int = MOST_LISTED) -> dict[str, list[ChangedWindow]]:
    """The lists of all kinds, each in the order that `sides` gives and with at most `most` windows."""
    return {kind: _list(found, found.before[kind][:most], found.now[kind][:most]) for kind in KINDS}


def _list(found: Sides, before: Index, now: Index) -> list[ChangedWindow]:
    if not len(before):
        return []
    there = now >= 0
    of_sample = {True: found.current, False: found.baseline}
    places = zip(there.tolist(), np.where(there, now, before).tolist(), strict=True)
    identity = [_identity(of_sample[is_now], window) for is_now, window in places]
    names = [shown(name) for name in found.current.labels]
    likely = [
        names[code] if known and code >= 0 else None
        for known, code in zip(there.tolist(), found.suspects.likely[now].tolist(), strict=True)
    ]
    believed = _optional(np.where(there, found.suspects.self_confidence[now], np.nan))
    said = zip(_said(found.current, now), _said(found.baseline, before), strict=True)
    columns = zip(identity, said, likely, believed, strict=True)
    return [
        ChangedWindow(
            *who,
            *(at.label, at.prediction, at.confidence),
            *(then.label, then.prediction, then.confidence),
            *(like, own),
            tuple(sorted(at.classes | then.classes)),
        )
        for who, (at, then), like, own in columns
    ]


def _identity(run: ResultSet, window: int) -> tuple[int, str | None, float | None, float | None]:
    sample = int(run.sample[window])
    code = -1 if run.filename is None else int(run.filename.codes[sample])
    name = None if run.filename is None or code < 0 else run.filename.table[code]
    start, end = (bound[window].item() for bound in (run.start_ms, run.end_ms))
    return int(run.sample_id[sample]), name, start if start >= 0 else None, end if end >= 0 else None


class _Said(NamedTuple):
    """What a run says of a window; `classes` are those of its boxes."""

    label: str | None = None
    prediction: str | None = None
    confidence: float | None = None
    classes: frozenset[str] = frozenset()


def _said(run: ResultSet, window: Index) -> list[_Said]:
    """What the run says of each window; nothing for -1."""
    there = window >= 0
    place = np.where(there, window, 0)
    if not run.windows:
        return [_Said()] * len(window)
    names = [shown(name) for name in run.labels]
    confidence = _optional(np.where(there, _surest(run, place), np.nan))
    if run.truth is not None and run.kinds() & {BlockKind.DETECTION, BlockKind.FOMO}:
        true = _counted(names, run.truth, run.sample[place].astype(np.intp))
        guessed = [None] * len(place) if run.detections is None else _counted(names, run.detections, place)
        said = [
            _Said(_listed(truth), None if guess is None else _listed(guess), sure, frozenset(truth).union(guess or ()))
            for truth, guess, sure in zip(true, guessed, confidence, strict=True)
        ]
    else:
        label, prediction = _texts(names, run.label[place]), _texts(names, run.prediction[place])
        said = [_Said(*each) for each in zip(label, prediction, confidence, strict=True)]
    return [each if known else _Said() for known, each in zip(there.tolist(), said, strict=True)]


def _surest(run: ResultSet, window: Index) -> FloatArray:
    """float64[k], the largest confidence that the first classifier gives each window; NaN where it gives none."""
    for block in sorted(block.id for block in run.blocks if block.kind is BlockKind.CLASSIFICATION):
        if block in run.confidences and run.confidences[block].classes:
            surest: FloatArray = run.confidences[block].values[window].max(axis=1)
            return surest
    return np.full(len(window), np.nan)


def _texts(names: Sequence[str], codes: IntArray) -> list[str | None]:
    return [names[code] if code >= 0 else None for code in codes.tolist()]


def _counted(names: Sequence[str], boxes: Boxes, owners: Index) -> list[dict[str, int]]:
    """How many boxes of which class each owner has."""
    place, row = rows_of_owners(boxes.owner, owners)
    counts = [dict[str, int]() for _ in owners]
    for owner, code in zip(place.tolist(), boxes.label[row].tolist(), strict=True):
        name = names[code] if code >= 0 else "?"
        counts[owner][name] = counts[owner].get(name, 0) + 1
    return counts


def _listed(counts: Mapping[str, int]) -> str:
    """In words: "2 car, 1 dog"; "nothing" where there is none."""
    return shown(", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing")


def _optional(values: FloatArray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
