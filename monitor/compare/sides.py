"""Samples that changed sides between two runs: which were got right and are not any more, and so on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.compare.pairing import Index, Pairing, pair
from monitor.compare.relabel import known_labels, same_boxes
from monitor.compare.renaming import in_one_table, renamed_boxes, renamed_labels, with_names_of
from monitor.compare.side_kinds import (
    ADDED_WRONG,
    FIXED,
    KINDS,
    NEWLY_WRONG,
    RELABELLED,
    REMOVED_WRONG,
    SUSPECT_LABEL,
)
from monitor.compare.suspects import Suspects, suspects
from monitor.figures.scoring import accuracy_verdicts
from monitor.results import CORRECT, WRONG, BlockKind, ResultSet

BoolArray = npt.NDArray[np.bool_]
_BOX_KINDS = {BlockKind.DETECTION, BlockKind.FOMO}


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Windows of each kind, as places in two runs that are coded by one table.

    Attributes:
        baseline, current: The runs; the baseline with the names that renamed classes have now.
        before, now: By kind, intp[r], the windows' places in the two runs; -1 where a run does not have it.
        suspects: Of the current run.
        added, removed: int64[a], int64[r], ids of the samples that only one of the runs has, ascending; one whose
            windows do not pair is in both.
    """

    baseline: ResultSet
    current: ResultSet
    before: Mapping[str, Index]
    now: Mapping[str, Index]
    suspects: Suspects
    added: npt.NDArray[np.int64]
    removed: npt.NDArray[np.int64]

    def samples(self, kind: str) -> npt.NDArray[np.int64]:
        """int64[k], the ids of the samples that have such a window, ascending."""
        run, window = (self.baseline, self.before) if kind == REMOVED_WRONG else (self.current, self.now)
        return np.unique(run.sample_id[run.sample[window[kind]]])

    def counts(self) -> dict[str, int]:
        """How many samples there are of each kind."""
        return {kind: len(self.samples(kind)) for kind in KINDS}

    def suspect_among(self, kind: str) -> int:
        """How many samples of a kind have a label that looks wrong, by a window that is of that kind.

        A worse model may doubt other windows of the sample, which the baseline's model did not get right either.
        """
        window = self.now[kind]
        window = window[window >= 0]
        return len(np.unique(self.current.sample[window[self.suspects.suspect[window]]]))

    def data_digest(self) -> str:
        """sha256 over the ids of the samples that were added, removed and relabelled: the same for all targets that
        saw the same data change, whatever their models say of it. Empty where the data did not change.
        """
        ids = (self.added, self.removed, self.samples(RELABELLED))
        if not any(map(len, ids)):
            return ""
        return hashlib.sha256("|".join(",".join(map(str, each.tolist())) for each in ids).encode()).hexdigest()


def sides(baseline: ResultSet, current: ResultSet, *, find_suspects: bool = True) -> Sides:
    """Which windows changed sides from one run to the other, worst first: those whose own label the current model
    is least confident of; then by sample and start.

    Verdicts are those that the accuracy counts. A class that was renamed is the same label; images are relabelled where
    their labelled boxes changed.

    Args:
        baseline, current: The runs.
        find_suspects: Whether to look for labels that look wrong: not in samples that the model was trained on.
    """
    baseline, current = in_one_table(baseline, current)
    pairing = pair(baseline, current)
    baseline = with_names_of(baseline, renamed_classes(baseline, current, pairing))
    before = pairing.baseline_window
    now = pairing.current_window
    verdict_before = accuracy_verdicts(baseline)
    verdict_now = accuracy_verdicts(current)
    was = verdict_before[before]
    is_now = verdict_now[now]
    shared = {
        NEWLY_WRONG: (was == CORRECT) & (is_now == WRONG),
        FIXED: (was == WRONG) & (is_now == CORRECT),
        RELABELLED: relabelled(baseline, current, pairing),
    }
    found = {kind: (before[chosen], now[chosen]) for kind, chosen in shared.items()}
    came = _outside(current, now)
    left = _outside(baseline, before)
    added = np.flatnonzero(came & (verdict_now == WRONG))
    removed = np.flatnonzero(left & (verdict_before == WRONG))
    found[ADDED_WRONG] = (np.full(len(added), -1), added)
    found[REMOVED_WRONG] = (removed, np.full(len(removed), -1))
    if find_suspects:
        suspected = suspects(current, baseline, pairing)
    else:
        suspected = Suspects(
            np.zeros(current.windows, np.bool_), np.full(current.windows, -1), np.full(current.windows, np.nan)
        )
    partner = np.full(current.windows, -1)
    partner[now] = before
    suspect = np.flatnonzero(suspected.suspect)
    found[SUSPECT_LABEL] = (partner[suspect], suspect)
    ordered = {kind: _worst_first(pairs, suspected) for kind, pairs in found.items()}
    return Sides(
        baseline,
        current,
        {kind: pairs[0] for kind, pairs in ordered.items()},
        {kind: pairs[1] for kind, pairs in ordered.items()},
        suspected,
        np.unique(current.sample_id[current.sample[came]]),
        np.unique(baseline.sample_id[baseline.sample[left]]),
    )


def renamed_classes(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> dict[str, str]:
    """Old and new names of classes that are the same class, in two runs that are coded by one table."""
    kinds = baseline.kinds() & current.kinds()
    if _BOX_KINDS & kinds:
        return renamed_boxes(baseline, current, pairing)
    if BlockKind.CLASSIFICATION not in kinds:
        return {}  # numbers are no names
    return renamed_labels(baseline, current, pairing, (known_labels(baseline), known_labels(current)))


def relabelled(baseline: ResultSet, current: ResultSet, pairing: Pairing) -> BoolArray:
    """bool[w], the pair's label differs, or what else says what is true of it; the runs are coded by one table."""
    before = pairing.baseline_window
    now = pairing.current_window
    changed: BoolArray = baseline.label[before] != current.label[now]
    if baseline.expected_anomaly is not None and current.expected_anomaly is not None:
        changed |= baseline.expected_anomaly[before] != current.expected_anomaly[now]
    if baseline.truth is not None and current.truth is not None:
        changed |= ~same_boxes(baseline, current, pairing)[pairing.sample]
    return changed


def _outside(run: ResultSet, paired: Index) -> BoolArray:
    """bool[m], the window's sample is not shared."""
    outside = np.ones(run.windows, np.bool_)
    outside[paired] = False
    return outside


def _worst_first(pairs: tuple[Index, Index], suspected: Suspects) -> tuple[Index, Index]:
    before, now = pairs
    confidence = (
        np.where(now >= 0, suspected.self_confidence[now], np.nan) if len(suspected.self_confidence) else now * 0.0
    )
    order = np.lexsort((np.maximum(before, now), confidence))  # NaN last
    return before[order], now[order]
