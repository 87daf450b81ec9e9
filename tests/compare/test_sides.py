"""Which samples changed sides, beside the generator's own books, sample by sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cleanlab.filter import find_label_issues

from monitor.compare.side_kinds import ADDED_WRONG, FIXED, KINDS, NEWLY_WRONG, RELABELLED, REMOVED_WRONG, SUSPECT_LABEL
from monitor.compare.sides import sides
from monitor.compare.suspects import suspects
from monitor.results import CORRECT, ResultSet
from tests.compare.sequence_truth import _renamed
from tests.compare.sequences import World, mapped
from tests.compare.test_sequences import Make, histories, worlds
from tests.label_sets import confidently_worse, noisy

Books = dict[str, set[tuple[int, int]]]


def books(before: World, after: World) -> Books:
    """The (sample, window) pairs of each kind, from the worlds themselves."""
    shared, mine, theirs = np.intersect1d(before.ids, after.ids, assume_unique=True, return_indices=True)
    old, new = before.taken(mine), after.taken(theirs)
    labels = mapped(old.labels, _renamed(old, before, new, after))

    def pairs(ids: npt.NDArray[Any], chosen: npt.NDArray[Any]) -> set[tuple[int, int]]:
        return {(int(ids[row]), int(window)) for row, window in zip(*np.nonzero(chosen), strict=True)}

    found = {
        NEWLY_WRONG: pairs(shared, (old.right == 1) & (new.right == 0)),
        FIXED: pairs(shared, (old.right == 0) & (new.right == 1)),
        RELABELLED: pairs(shared, labels != new.labels),
    }
    for kind, world, other in ((ADDED_WRONG, after, before), (REMOVED_WRONG, before, after)):
        alone = ~np.isin(world.ids, other.ids)
        found[kind] = pairs(world.ids, (world.right == 0) & alone[:, None])
    return found


@worlds
def test_lists_are_what_was_done(make: Make) -> None:
    """Each list holds exactly the windows that the generator's books name, once each, whatever was done."""
    for name, _, before, after in histories(make, 3):
        found = sides(before.results(), after.results(), find_suspects=False)
        for kind, expected in books(before, after).items():
            run, window = (
                (found.baseline, found.before[kind]) if kind == REMOVED_WRONG else (found.current, found.now[kind])
            )
            ids, starts = run.sample_id[run.sample[window]], run.start_ms[window]
            listed = [(int(number), int(start) // 1000) for number, start in zip(ids, starts, strict=True)]
            assert len(listed) == len(set(listed)), name
            assert set(listed) == expected, (name, kind)
            assert found.counts()[kind] == len({number for number, _ in expected}), (name, kind)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_suspects_are_those_of_cleanlab(noise: float, seed: int) -> None:
    """Of one model's confidences the suspects are those that cleanlab's confident learning finds."""
    of = noisy(np.random.default_rng(seed), 800, noise, quality=2.0)
    expected = find_label_issues(of.labels, of.p, filter_by="confident_learning", min_examples_per_class=0, n_jobs=1)
    assert np.flatnonzero(expected).tolist() == np.flatnonzero(suspects(of.results()).suspect).tolist()


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_wrong_labels_are_found(noise: float) -> None:
    """Most wrong labels are suspect, and almost all suspects are wrong labels."""
    of = noisy(np.random.default_rng(1), 2000, noise)
    suspect = suspects(of.results()).suspect
    assert (suspect & of.wrong).sum() / of.wrong.sum() > 0.6
    assert (suspect & of.wrong).sum() / suspect.sum() > 0.8


def test_a_worse_model_is_not_its_own_witness() -> None:
    """Where labels stayed and the earlier model was right, a model that got confidently worse blames few of them."""
    rng = np.random.default_rng(2)
    of = noisy(rng, 2000, 0.0)
    worse = of.results(confidently_worse(rng, of.p, 0.25))
    found = sides(of.results(), worse)
    newly_wrong = found.counts()[NEWLY_WRONG]
    assert suspects(worse).suspect[found.now[NEWLY_WRONG]].mean() > 0.5
    assert newly_wrong > 400
    assert found.suspect_among(NEWLY_WRONG) <= 0.05 * newly_wrong


def in_samples(run: ResultSet, windows: int) -> ResultSet:
    """The same windows, so many to a sample."""
    place = np.arange(run.windows) % windows
    return replace(
        run,
        sample=np.arange(run.windows) // windows,
        sample_id=run.sample_id[: run.windows // windows],
        start_ms=place * 500.0,
        end_ms=place * 500.0 + 1000.0,
    )


def test_other_windows_do_not_speak_for_those_that_are_newly_wrong() -> None:
    """Of samples of several windows a worse model doubts some labels by windows that nobody got right: that makes no
    newly wrong window look mislabelled.
    """
    rng = np.random.default_rng(2)
    of = noisy(rng, 3000, 0.0, quality=2.5)
    before = in_samples(of.results(), 6)
    found = sides(before, in_samples(of.results(confidently_worse(rng, of.p, 0.2)), 6))
    doubted = np.intersect1d(found.samples(NEWLY_WRONG), found.samples(SUSPECT_LABEL))

    assert len(doubted) > 0.1 * found.counts()[NEWLY_WRONG] > 30
    assert found.suspect_among(NEWLY_WRONG) <= 0.05 * found.counts()[NEWLY_WRONG]
    assert found.suspect_among(SUSPECT_LABEL) == found.counts()[SUSPECT_LABEL]


@pytest.mark.parametrize("missing", ["all", "some", "of other classes"])
def test_without_the_second_witness_nobody_is_blamed(missing: str) -> None:
    """Where the earlier model was right, but its confidences are missing, the worse one is not heard alone; what the
    earlier one got wrong too, it may judge.
    """
    rng = np.random.default_rng(2)
    of = noisy(rng, 2000, 0.1)
    before = of.results()
    worse = of.results(confidently_worse(rng, of.p, 0.25))
    gone = np.arange(2000) >= (1000 if missing == "some" else 0)
    confidences = before.confidences[3]
    values = np.where(gone[:, None], np.nan, confidences.values)
    less = {
        "all": {},
        "some": {3: replace(confidences, values=values)},
        "of other classes": {3: replace(confidences, classes=tuple(f"d{place}" for place in range(5)))},
    }
    found = sides(replace(before, confidences=less[missing]), worse)
    suspect = found.suspects.suspect & gone
    right_before = before.correct == CORRECT

    assert not (suspect & right_before).any()
    assert (suspect & ~right_before & of.wrong).sum() > 30
    assert np.isfinite(found.suspects.self_confidence).all()


def test_labels_of_the_training_set_are_not_judged() -> None:
    """Nothing is suspect where the model has learnt the labels."""
    run = noisy(np.random.default_rng(3), 300, 0.2).results()
    assert sides(run, run).counts()[SUSPECT_LABEL] > 0
    assert sides(run, run, find_suspects=False).counts() == dict.fromkeys(KINDS, 0)


def test_lowest_confidence_first() -> None:
    """Lists begin with the windows with the lowest confidence in their own label."""
    of = noisy(np.random.default_rng(4), 400, 0.1)
    found = sides(of.results(), of.results())
    own = of.p[found.now[SUSPECT_LABEL], of.labels[found.now[SUSPECT_LABEL]]]
    assert len(own) > 10
    assert own.tolist() == sorted(own.tolist())
