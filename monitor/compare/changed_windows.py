"""Windows that changed sides as people read them: names, labels, predictions and confidences, then and now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index
from monitor.compare.renaming import rows_of_owners
from monitor.compare.side_kinds import KINDS, SUSPECT_LABEL, VARIANT_KINDS
from monitor.compare.sides import Sides, sides
from monitor.results import BlockKind, Boxes, FloatArray, IntArray, ResultSet
from monitor.text import shown

MOST_LISTED = 10_000
"""Windows that a list names; the others are only counted."""


T = TypeVar("T")
Optionals = Sequence[float | None]


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


def changed_samples(baseline: ResultSet, current: ResultSet, *, find_suspects: bool = True) -> ChangedSamples:
    """Counts and lists of the samples that changed sides; arguments as `sides` takes them. Takes up to a second for
    large sets: call it in a worker thread.
    """
    found = sides(baseline, current, find_suspects=find_suspects)
    suspect = {kind: found.suspect_among(kind) for kind in KINDS if kind != SUSPECT_LABEL}
    return ChangedSamples(found.counts(), suspect, changed_windows(found), found.data_digest())


def differing_samples(reference: ResultSet, variant: ResultSet, *, find_suspects: bool = True) -> ChangedSamples:
    """Counts and lists of the samples on which a variant and its reference, which were tested on the same samples,
    differ. What `ChangedWindow` says of the baseline is said of the reference. Arguments and time as above.
    """
    found = sides(reference, variant, find_suspects=find_suspects)
    lists = changed_windows(found, kinds=VARIANT_KINDS.values())
    return ChangedSamples(
        {kind: len(found.samples(side)) for kind, side in VARIANT_KINDS.items()},
        {kind: found.suspect_among(side) for kind, side in VARIANT_KINDS.items()},
        {kind: lists[side] for kind, side in VARIANT_KINDS.items()},
    )


def changed_windows(
    found: Sides, most: int = MOST_LISTED, kinds: Iterable[str] = KINDS
) -> dict[str, list[ChangedWindow]]:
    """The lists of these kinds, each in the order that `sides` gives and with at most `most` windows."""
    return {kind: _list(found, found.before[kind][:most], found.now[kind][:most]) for kind in kinds}


def listed_windows(run: ResultSet, window: Index) -> list[ChangedWindow]:
    """Windows of one run as lists name them; what was before, and whether labels look wrong, is not known (None).

    Args:
        run: The run.
        window: intp[w], places in it.
    """
    said = _said(run, window)
    unknown: list[None] = [None] * len(window)
    identity = _identity(run, window)
    classes = [tuple(sorted(each)) for each in said.classes]
    return list(map(ChangedWindow, *identity, *said[:3], unknown, unknown, unknown, unknown, unknown, classes))


def _list(found: Sides, before: Index, now: Index) -> list[ChangedWindow]:
    """The windows of one kind, which are all of the current run, or all of the baseline only."""
    if not len(before):
        return []
    if now[0] >= 0:
        identity = _identity(found.current, now)
        likely = _texts(_names(found.current), found.suspects.likely[now])
        own_confidence = _optional(found.suspects.self_confidence[now])
    else:
        identity = _identity(found.baseline, before)
        likely = [None] * len(now)
        own_confidence = [None] * len(now)
    said = _said(found.current, now)
    earlier = _said(found.baseline, before)
    classes = [tuple(sorted(one | other)) for one, other in zip(said.classes, earlier.classes, strict=True)]
    # By columns: a tuple for each part of each window would be most of what a list costs.
    return list(map(ChangedWindow, *identity, *said[:3], *earlier[:3], likely, own_confidence, classes))


def _identity(run: ResultSet, window: Index) -> tuple[Sequence[int], Sequence[str | None], Optionals, Optionals]:
    """Samples, names of files, starts and ends."""
    sample = run.sample[window]
    names: list[str | None] = [None] * len(window)
    if run.filename is not None:
        names = _texts(run.filename.table, run.filename.codes[sample])
    start, end = (
        [bound if bound >= 0 else None for bound in column[window].tolist()] for column in (run.start_ms, run.end_ms)
    )
    return run.sample_id[sample].tolist(), names, start, end


class _Said(NamedTuple):
    """What a run says of windows, by columns; `classes` are those of their boxes."""

    label: Sequence[str | None]
    prediction: Sequence[str | None]
    confidence: Optionals
    classes: Sequence[frozenset[str]]


def _said(run: ResultSet, window: Index) -> _Said:
    """What the run says of each window; nothing for -1."""
    there = window >= 0
    place = window[there]
    names = _names(run)
    confidence = _optional(_surest(run, place))
    label = _texts(names, run.label[place])
    prediction = _texts(names, run.prediction[place])
    classes = [frozenset[str]()] * len(place)
    if run.truth is not None and run.kinds() & {BlockKind.DETECTION, BlockKind.FOMO}:
        true = _counted(names, run.truth, run.sample[place].astype(np.intp))
        guessed = [None] * len(place) if run.detections is None else _counted(names, run.detections, place)
        label = [_listed(counts) for counts in true]
        prediction = [None if counts is None else _listed(counts) for counts in guessed]
        classes = [frozenset(one).union(other or ()) for one, other in zip(true, guessed, strict=True)]
    if there.all():
        return _Said(label, prediction, confidence, classes)
    return _Said(
        _spread(label, there, None),
        _spread(prediction, there, None),
        _spread(confidence, there, None),
        _spread(classes, there, frozenset()),
    )


def _spread(values: Sequence[T], there: npt.NDArray[np.bool_], missing: T) -> list[T]:
    """The values at the places that are there."""
    found = iter(values)
    return [next(found) if known else missing for known in there.tolist()]


def _names(run: ResultSet) -> list[str]:
    return [shown(name) for name in run.labels]


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
