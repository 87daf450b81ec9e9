"""Evidence of errors: what a sample counts, when it alarms, and what it makes of the accuracy alert."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from monitor.alerts import explain
from monitor.alerts.rules import ACCURACY_REGRESSED, Drop, Rule
from monitor.alerts.verdicts import check_rule
from monitor.compare.comparison import BaselineFigures, compare
from monitor.compare.drift import ComparedRun, DriftState
from monitor.compare.error_evidence import ERRORS, ErrorEvidence, error_evidence, sample_errors
from monitor.compare.gate import increase
from monitor.compare.martingale import ALARM
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, Confidences, ResultSet
from monitor.store.state_documents import dump_drift_state, load_drift_state
from tests.compare.sequence_verdicts import SUBJECT, evaluated
from tests.factories import encoded, result_set

NET = Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6})
PINNED, FIRST_ID = 100.0, 10_000


def run(
    confidence: np.ndarray, first_id: int = FIRST_ID, *, confidences: bool = True, trained: str = "keras"
) -> ResultSet:
    """A classifier's results of one window a sample, with these confidences of the true label `a`, of `a` and `b`."""
    right = confidence > 0.5
    blocks = (dataclasses.replace(NET, type=trained),)
    both = np.stack([confidence, 1 - confidence], axis=1)
    return result_set(
        **encoded(["a"] * len(confidence), ["a" if hit else "b" for hit in right]),
        blocks=blocks,
        sample_id=np.arange(first_id, first_id + len(confidence)),
        sample=np.arange(len(confidence)),
        correct=np.where(right, CORRECT, WRONG).astype(np.int8),
        confidences={NET.id: Confidences(("a", "b"), both)} if confidences else {},
    )


def drawn(rng: np.random.Generator, count: int, accuracy: float) -> np.ndarray:
    """Confidences of the true label, right in so many cases."""
    sure = 0.5 + rng.beta(3, 1, count) / 2
    return np.where(rng.random(count) < accuracy, sure, 1 - sure)


def watched(
    pinned: ResultSet, looks: list[ResultSet], state: DriftState | None = None, group_by: str = "none"
) -> list[ErrorEvidence]:
    """What each look says, the pinned baseline's own first."""
    first, found = ComparedRun(PINNED, pinned), []
    for number, results in enumerate([pinned, *looks]):
        said, state = error_evidence(ComparedRun(PINNED + number, results), first, state, number, group_by)
        assert said is not None
        found.append(said)
    return found


def grown(confidence: np.ndarray, sizes: list[int], *, confidences: bool = True) -> list[ResultSet]:
    """Result sets that grow to these sizes."""
    return [run(confidence[:size], confidences=confidences) for size in sizes]


def test_what_a_sample_counts() -> None:
    """It is the mean over scored windows of 1 - confidence of the label, of whether it is wrong where the label has no
    confidence; beside it stands the share that is wrong.
    """
    results = result_set(
        **encoded(["a", "b", "c", "a", "a"], ["a", "a", "a", "b", "a"]),
        blocks=(NET,),
        sample_id=np.array([7, 8, 9]),
        sample=np.array([0, 0, 1, 1, 2]),
        correct=np.array([CORRECT, WRONG, WRONG, WRONG, UNSCORED], np.int8),
        confidences={
            NET.id: Confidences(("a", "b"), np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [1, 0]]))
        },
    )

    scores, wrong = sample_errors(results, None)

    assert scores.id.tolist() == [7, 8]
    assert scores.value.tolist() == pytest.approx([(0.1 + 0.7) / 2, (1 + 0.8) / 2])
    assert wrong.tolist() == [0.5, 1.0]


def test_increase_is_that_of_a_loop() -> None:
    """The p-value of a larger mean is that of all ways to part the units, up to the chance in 199 of them."""
    rng = np.random.default_rng(1)
    before, after = rng.random(6), rng.random(4) + 0.3
    pooled = np.concatenate([before, after])
    observed = after.mean() - before.mean()
    ways = [np.isin(np.arange(10), side) for side in itertools.combinations(range(10), 4)]
    exact = np.mean([pooled[side].mean() - pooled[~side].mean() >= observed - 1e-12 for side in ways])

    found = increase(before, after, 1)

    assert (before.mean(), after.mean()) == pytest.approx((found.reference, found.recent))
    assert exact == pytest.approx(found.pvalue, abs=0.06)
    assert not increase(after, before, 1).significant
    whole = increase(np.zeros(40), np.repeat([1.0, 0.0], 20), 1, (np.repeat(np.arange(4), 10), np.repeat([0, 1], 20)))
    assert whole.pvalue > 0.2  # one of two groups


@pytest.mark.parametrize("confidences", [True, False])
def test_quiet_models_do_not_alarm(confidences: bool) -> None:
    """Of 40 models whose new samples are as good as the first, hardly one alarms in 60 looks."""
    alarms = 0
    for target in range(40):
        rng = np.random.default_rng(target)
        sizes = list(range(400, 1500, 100))
        looks = grown(drawn(rng, 1400, 0.9), sizes, confidences=confidences)
        alarms += any(found.evidence >= ALARM for found in watched(looks[0], looks[1:]))

    assert alarms <= 2


@pytest.mark.parametrize(("worse", "within"), [(0.2, 5), (0.1, 16)])
def test_new_samples_that_are_worse_alarm(worse: float, within: int) -> None:
    """After 2,000 quiet samples, new ones that are 10 or 20 points worse than 95 % alarm within a few looks of 20, in
    the median, also where states are stored in between.
    """
    days = []
    for target in range(5):
        rng = np.random.default_rng(target)
        confidence = np.concatenate([drawn(rng, 2300, 0.95), drawn(rng, 20 * 2 * within, 0.95 - worse)])
        first = ComparedRun(PINNED, run(confidence[:300]))
        _, state = error_evidence(ComparedRun(PINNED, run(confidence[:2300])), first, None, 1)
        for day in range(1, 2 * within + 1):
            assert state is not None
            state = load_drift_state(dump_drift_state(state))
            now = ComparedRun(PINNED + day, run(confidence[: 2300 + 20 * day]))
            found, state = error_evidence(now, first, state, day)
            assert found is not None
            if found.alarm:
                break
        days.append(day)

    assert np.median(days) <= within


def test_better_samples_are_no_alarm() -> None:
    """New samples that are right more often never raise the evidence to the alarm."""
    rng = np.random.default_rng(3)
    looks = grown(np.concatenate([drawn(rng, 300, 0.8), drawn(rng, 1000, 0.99)]), [300, 500, 900, 1300])

    assert max(found.evidence for found in watched(looks[0], looks[1:])) < ALARM


def test_another_model_begins_anew() -> None:
    """The reference is the current model's first run: a model that says otherwise of shared samples starts the evidence
    again, of its own results; so does one of another date that says otherwise of a few.
    """
    rng = np.random.default_rng(4)
    confidence = np.concatenate([drawn(rng, 300, 0.95), drawn(rng, 100, 0.5)])
    first, worse = run(confidence[:300]), run(confidence)
    before = watched(first, [worse])
    assert before[-1].alarm

    other = run(np.clip(confidence + 1e-3, 0, 1))
    again = watched(first, [worse, other])[-1]
    assert (again.evidence, again.added, again.since, again.alarm) == (0, 0, PINNED + 2, False)

    few = run(np.where(np.arange(400) % 20, confidence, 0.7))  # one in 20
    for dates, since in (((1.0, 1.0), PINNED), ((1.0, 2.0), 200.0)):
        pinned = ComparedRun(PINNED, first, dates[0])
        _, state = error_evidence(pinned, pinned, None, 1)
        found, _ = error_evidence(ComparedRun(200.0, few, dates[1]), pinned, state, 1)
        assert found is not None
        assert found.since == since


def said(rule: Rule, accuracies: tuple[float, float], added: int = 300) -> tuple[str, bool, str, str]:
    """What a rule makes of 2,000 first and some new samples: answer, recovered, summary and description."""
    rng = np.random.default_rng(6)
    confidence = np.concatenate([drawn(rng, 2000, accuracies[0]), drawn(rng, added, accuracies[1])])
    old, new = ComparedRun(PINNED, run(confidence[:2000])), ComparedRun(200.0, run(confidence))
    shown = BaselineFigures("pinned", 1_790_000_000.0, "baseline")
    comparison, kept = compare(old, new, old, shown, {}, 1)
    assert kept.keys() == {ERRORS}
    verdict = check_rule(rule, evaluated(new.results), comparison)
    words = explain.verdict(rule, SUBJECT, verdict)
    return verdict.answer, verdict.recovered, words.summary, words.description


def test_the_accuracy_alert_fires_by_evidence() -> None:
    """New samples that are wrong more often fire the built-in alert though the whole figure has hardly moved, and the
    words say which of the two saw it.
    """
    rule = Rule(ACCURACY_REGRESSED, Drop("accuracy", 0.03, 0.01))
    answer, recovered, summary, description = said(rule, (0.95, 0.8))

    assert (answer, recovered) == ("yes", False)
    assert "among new samples" in summary
    assert "New samples are wrong more often" in description
    assert "the whole figure alone does not fire" in description
    assert "or for as many more errors among new samples at evidence 2" in description
    both = said(rule, (0.95, 0.5), added=600)
    assert both[0] == "yes"
    assert "among new samples" not in both[2]
    assert "the change of the whole figure fires, too" in both[3]


@pytest.mark.parametrize(
    ("rule", "later"),
    [
        (Rule("Own", Drop("accuracy", 0.03, 0.01)), 0.8),
        (Rule(ACCURACY_REGRESSED, Drop("accuracy", 0.3, 0.01)), 0.8),
        (Rule(ACCURACY_REGRESSED, Drop("accuracy", 0.03, 0.01)), 0.95),
    ],
    ids=["another rule", "a wider margin", "quiet"],
)
def test_no_alert_by_evidence(rule: Rule, later: float) -> None:
    """A rule of one's own, an increase within the margin and quiet new samples fire nothing."""
    answer, _, _, description = said(rule, (0.95, later))

    assert answer == "no"
    assert "New samples are wrong" not in description
