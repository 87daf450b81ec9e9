"""An alert's states, step by step; and driven at random against a plain account of what they are meant to be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from monitor.alerts.causes import OWN
from monitor.alerts.rules import (
    Below,
    Condition,
    Drop,
    KeyExpiring,
    PullFailing,
    ResultsVanished,
    Rule,
    Subject,
    built_in,
)
from monitor.alerts.states import AlertState, Evidence, Phase, PullHealth, Step, Transition
from monitor.alerts.steps import end, step, tick
from monitor.alerts.verdicts import check_rule
from monitor.errors import PullState
from monitor.figures.sketch import sketch
from monitor.store.state_documents import dump_alert_state, load_alert_state
from tests.alerts.alert_cases import SUBJECT, change, classifier, compared

RUNS = {
    "yes": classifier(0.70, (0.65, 0.75)),
    "point": classifier(0.79, (0.75, 0.83)),
    "near": classifier(0.81, (0.77, 0.85)),
    "back": classifier(0.90, (0.87, 0.93)),
    "none": replace(classifier(0.9), quality=None),
}
"""Runs by what `LOW` says about them; `near` is above the threshold, but not by enough to resolve."""

LOW = Rule("AccuracyLow", Below("accuracy", 0.8), recover=0.02)
GOOD = PullHealth(PullState.OK, began=0.0, interval=60.0, last_success=0.0)
BAD = replace(GOOD, state=PullState.UNREACHABLE, error="Studio did not answer")


def after(
    *kinds: str,
    of: Rule = LOW,
    state: AlertState | None = None,
    start: float = 100.0,
    apart: float = 60.0,
    grows: int = 100,
) -> Step:
    """The last step after runs of these kinds, each with a fingerprint of its own.

    Each holds 100 samples, `grows` of which the run before did not hold.
    """
    last = None
    for index, kind in enumerate(kinds):
        now = start + index * apart
        first = int(start) + index * grows
        last = step(
            state,
            of,
            SUBJECT,
            check_rule(of, RUNS[kind], None),
            Evidence(f"{start} {index} {kind}"),
            now,
            sketch(np.arange(first, first + 100)),
        )
        state = last.state
    assert last is not None
    return last


def told(taken: Step) -> list[str]:
    """The statuses of what is told."""
    return [each.status for each in taken.transitions]


def test_fires_on_the_first_verdict() -> None:
    """Without `for` a met condition fires at once, and says everything once."""
    taken = after("yes")

    assert Phase.FIRING == taken.state.phase
    (transition,) = taken.transitions
    assert ("firing", "AccuracyLow", "warning", "1-2-int8-testing") == (
        transition.status,
        transition.alertname,
        transition.severity,
        transition.target_id,
    )
    own = {"alertname": "AccuracyLow", "severity": "warning", "cause_id": OWN.id(SUBJECT)}
    assert {**SUBJECT.labels, **own} == transition.labels
    assert (100.0, None, SUBJECT.url) == (transition.starts_at, transition.ends_at, transition.generator_url)
    assert {"summary", "description", "event_url"} == transition.annotations.keys()
    assert f"{SUBJECT.service}/alerts/{OWN.id(SUBJECT)}" == transition.annotations["event_url"]
    assert (0.7, 0.8, [0.65, 0.75]) == tuple(transition.details[name] for name in ("value", "threshold", "interval"))


def test_waits_for_distinct_result_sets() -> None:
    """`for: 3 pulls` counts distinct result sets in a row, the first included."""
    patient = replace(LOW, for_results=3)

    assert [Phase.PENDING, Phase.PENDING, Phase.FIRING] == [
        after(*["yes"] * count, of=patient).state.phase for count in (1, 2, 3)
    ]
    assert Phase.PENDING == after("yes", "yes", "back", "yes", "yes", of=patient).state.phase


def test_same_result_set_adds_no_evidence() -> None:
    """The same result set again neither counts nor is judged, whatever is said of it."""
    patient = replace(LOW, for_results=2)
    first = after("yes", of=patient).state
    again = step(first, patient, SUBJECT, check_rule(patient, RUNS["back"], None), first.judged or Evidence(""), 200.0)

    assert Step(first) == again


def test_another_baseline_is_judged_anew_but_counts_once() -> None:
    """The same result set against another baseline takes a new verdict; `for: N pulls` counts it once."""
    fell = Rule("Fell", Drop("accuracy", 0.03, None), for_results=2)

    def judged(state: AlertState | None, fingerprint: str, baseline: float, by: float) -> AlertState:
        run = classifier(0.9 - by)
        verdict = check_rule(fell, run, compared(change("accuracy", 0.9, {"model": -by})))
        return step(state, fell, SUBJECT, verdict, Evidence(fingerprint, baseline), 100.0).state

    pending = judged(None, "a", 1.0, 0.05)

    assert Phase.INACTIVE == judged(pending, "a", 2.0, 0.0).phase
    assert (Phase.PENDING, 1) == (judged(pending, "a", 2.0, 0.06).phase, judged(pending, "a", 2.0, 0.06).held)
    assert Phase.FIRING == judged(judged(pending, "a", 2.0, 0.06), "b", 2.0, 0.06).phase


def test_another_baseline_is_no_recovery() -> None:
    """An alert that resolves because another baseline was pinned says so, instead of calling the figure better."""
    fell = Rule("Fell", Drop("accuracy", 0.03, None))

    def judged(state: AlertState | None, baseline: float, by: float) -> AlertState:
        verdict = check_rule(fell, classifier(0.9 - by), compared(change("accuracy", 0.9, {"model": -by})))
        return step(state, fell, SUBJECT, verdict, Evidence(f"{by}", baseline), 100.0).state

    firing = judged(None, 1.0, 0.05)

    assert Phase.FIRING == firing.phase
    assert "Accuracy is back inside" in judged(firing, 1.0, 0.0).annotations["summary"]
    assert (
        "Accuracy is inside, compared with another baseline than before"
        in judged(firing, 2.0, 0.0).annotations["summary"]
    )


def test_duration_goes_on_by_the_clock() -> None:
    """A duration in `for` goes on between pulls and with the same result set, and ends only while the last pull was
    good.
    """
    patient = replace(LOW, for_seconds=600.0)
    pending = after("yes", of=patient).state
    early, failed, late = (
        tick(pending, patient, SUBJECT, pulse, now) for pulse, now in ((GOOD, 699.9), (BAD, 700.0), (GOOD, 700.0))
    )
    again = step(
        pending, patient, SUBJECT, check_rule(patient, RUNS["yes"], None), pending.judged or Evidence(""), 700.0
    )

    assert [[], [], ["firing"], ["firing"]] == list(map(told, (early, failed, late, again)))
    assert 700.0 == late.state.starts_at


def test_clock_that_was_set_back() -> None:
    """A duration in `for` begins anew when the clock is set back to before its start, instead of waiting for that time
    to come again.
    """
    patient = replace(LOW, for_seconds=600.0)
    pending = after("yes", of=patient, start=90_000.0).state
    back = tick(pending, patient, SUBJECT, GOOD, 1000.0).state

    assert [[], ["firing"]] == [told(tick(back, patient, SUBJECT, GOOD, now)) for now in (1599.0, 1600.0)]


def test_results_and_duration() -> None:
    """Both parts of `for` must be over."""
    patient = replace(LOW, for_seconds=600.0, for_results=2)
    one, two = after("yes", of=patient).state, after("yes", "yes", of=patient).state

    assert [] == told(tick(one, patient, SUBJECT, GOOD, 900.0))
    assert ["firing"] == told(tick(two, patient, SUBJECT, GOOD, 900.0))


def test_three_points_count() -> None:
    """A figure beyond the threshold whose interval is not is pending; in three distinct result sets
    in a row it counts.
    """
    assert [Phase.PENDING, Phase.PENDING, Phase.FIRING] == [
        after(*["point"] * count).state.phase for count in (1, 2, 3)
    ]
    assert Phase.PENDING == after("point", "point", "near", "point", "point").state.phase
    assert Phase.FIRING == after("point", "yes").state.phase


def test_sets_that_share_their_samples_are_one_opinion() -> None:
    """A point counts where less than half of the set's samples were in the one counted before: sets that grow by 20 of
    100 count at the first, the fourth and the seventh.
    """
    counts = [after(*["point"] * count, grows=20).state.points for count in range(1, 8)]

    assert counts == [1, 1, 1, 2, 2, 2, 3]
    assert after(*["point"] * 6, grows=20).state.phase is Phase.PENDING
    assert after(*["point"] * 7, grows=20).state.phase is Phase.FIRING
    assert after(*["point"] * 20, grows=0).state.phase is Phase.PENDING  # the same samples, trained again each time
    assert after(*["point"] * 2, "near", *["point"] * 2).state.points == 2


def test_states_of_releases_without_sketches() -> None:
    """A point that was counted by a release that kept no sketch stays one, and the next set is what others are compared
    with.
    """
    old = replace(after("point").state, counted=())

    assert [1, 2, 3] == [after(*["point"] * count, state=old, start=1000.0).state.points for count in (1, 2, 3)]
    unknown = step(old, LOW, SUBJECT, check_rule(LOW, RUNS["point"], None), Evidence("new"), 300.0).state
    assert (unknown.points, unknown.counted) == (1, ())


def test_points_never_mature_by_the_clock() -> None:
    """A duration alone does not make a point a whole interval."""
    patient = replace(LOW, for_seconds=10.0)

    assert [] == told(tick(after("point", of=patient).state, patient, SUBJECT, GOOD, 9000.0))


def test_hysteresis() -> None:
    """A firing alert stays until the figure is back inside by `recover`; then it resolves once, with the labels of its
    start.
    """
    firing = after("yes")
    near = after("near", state=firing.state, start=200.0)
    back = after("back", state=near.state, start=300.0)

    assert ([], Phase.FIRING) == (told(near), near.state.phase)
    assert "not yet back inside" in near.state.annotations["summary"]
    assert ["resolved"] == told(back)
    assert (firing.transitions[0].labels, 100.0, 300.0) == (
        back.transitions[0].labels,
        back.state.starts_at,
        back.state.ends_at,
    )
    assert [] == told(after("back", state=back.state, start=400.0))


def test_pending_is_cleared_silently() -> None:
    """A pending alert whose condition is over was never told, and nothing of it is kept."""
    cleared = after("yes", "near", of=replace(LOW, for_results=2))

    assert ([], Phase.INACTIVE, None, {}) == (
        told(cleared),
        cleared.state.phase,
        cleared.state.since,
        cleared.state.labels,
    )


def test_not_applicable() -> None:
    """A figure that is gone resolves a firing alert, explained, and clears a pending one."""
    firing = after("yes", "none")
    pending = after("yes", "none", of=replace(LOW, for_results=2))

    assert ["resolved"] == told(firing)
    assert "this result set has no accuracy" in firing.state.annotations["description"]
    assert ([], Phase.INACTIVE) == (told(pending), pending.state.phase)


def test_fires_again_as_another_alert() -> None:
    """After it resolved an alert may fire again: with another start and other ids."""
    first = after("yes")
    resolved = after("back", state=first.state, start=200.0)
    second = after("yes", state=resolved.state, start=300.0)

    assert 3 == len({each.id for taken in (first, resolved, second) for each in taken.transitions})
    assert (300.0, None) == (second.state.starts_at, second.state.ends_at)


def test_ids_of_different_alerts() -> None:
    """Alerts that start together have ids of their own, be they of another rule or of another target."""
    other = Subject.project(9)
    starts = [
        tick(None, of, subject, BAD, 9000.0)
        for of in (FAILING, replace(FAILING, name="Other"))
        for subject in (SUBJECT, other)
    ]

    assert 4 == len({each.transitions[0].id for each in starts})


@pytest.mark.parametrize("now", [100.0, 50.0])
def test_starts_are_told_apart_whatever_the_clock_does(now: float) -> None:
    """Two alerts within one reading of the clock, or after it was set back, have different starts, and end after they
    began.
    """
    first = after("yes")
    resolved = after("back", state=first.state, start=now)
    second = after("yes", state=resolved.state, start=now)

    assert (resolved.state.ends_at or 0.0) >= 100.0
    assert (second.state.starts_at or 0.0) > 100.0
    assert first.transitions[0].id != second.transitions[0].id


def test_changed_rule_starts_anew() -> None:
    """Another text resolves what fires and judges the very same result set again, with the new labels."""
    first = after("yes").state
    changed = replace(LOW, severity="critical")
    taken = step(first, changed, SUBJECT, check_rule(changed, RUNS["yes"], None), first.judged or Evidence(""), 200.0)

    assert ["resolved", "firing"] == told(taken)
    assert ["warning", "critical"] == [each.labels["severity"] for each in taken.transitions]
    assert "its rule was changed" in taken.transitions[0].annotations["description"]
    assert 200.0 == taken.state.starts_at


def test_changed_rule_forgets_what_was_pending() -> None:
    """Result sets that were counted under another text count no more."""
    patient = replace(LOW, for_results=2)
    changed = replace(patient, severity="critical")

    assert Phase.PENDING == after("yes", of=changed, state=after("yes", of=patient).state, start=200.0).state.phase


def test_changed_rule_waits_for_a_step() -> None:
    """The clock alone does nothing to an alert whose rule has another text."""
    pending = after("yes", of=replace(LOW, for_seconds=10.0)).state
    changed = replace(LOW, for_seconds=20.0)

    assert Step(pending) == tick(pending, changed, SUBJECT, GOOD, 9000.0)


def test_labels_are_kept_until_it_resolves() -> None:
    """A renamed project does not make a firing alert another one."""
    firing = after("yes").state
    renamed = Subject(SUBJECT.id, {**SUBJECT.labels, "project": "renamed"}, SUBJECT.url)
    still = step(firing, LOW, renamed, check_rule(LOW, RUNS["yes"], None), Evidence("new"), 200.0).state
    back = step(still, LOW, renamed, check_rule(LOW, RUNS["back"], None), Evidence("newer"), 300.0)
    again = step(back.state, LOW, renamed, check_rule(LOW, RUNS["yes"], None), Evidence("newest"), 400.0).state

    assert firing.labels == still.labels == back.transitions[0].labels
    assert "renamed" == again.labels["project"]


def test_rule_labels_win() -> None:
    """A rule's label replaces the project's, but never the name or the severity."""
    of = replace(LOW, labels={"team": "ml", "kind": "x"}, annotations={"runbook_url": "https://wiki.example.com"})
    (transition,) = after("yes", of=of).transitions

    assert ("ml", "x", "AccuracyLow") == tuple(transition.labels[name] for name in ("team", "kind", "alertname"))
    assert "https://wiki.example.com" == transition.annotations["runbook_url"]


def test_own_annotations_survive_the_end() -> None:
    """A resolved alert has its rule's annotations too."""
    of = replace(LOW, annotations={"runbook_url": "https://wiki.example.com"})

    assert "https://wiki.example.com" == after("yes", "back", of=of).transitions[0].annotations["runbook_url"]


def test_newest_verdict_is_told() -> None:
    """While it fires an alert carries the newest figures; what is sent again is the same transition."""
    first = after("yes")
    later = step(
        first.state, LOW, SUBJECT, check_rule(LOW, classifier(0.5, (0.4, 0.6)), None), Evidence("new"), 200.0
    ).state

    assert later.transition is not None
    assert (0.5, first.transitions[0].id) == (later.details["value"], later.transition.id)


def test_end() -> None:
    """A removed rule or target resolves what fires, with the reason and what it said; anything else ends silently."""
    firing = after("yes").state
    taken = end(firing, 500.0, "the target is no longer watched")

    assert (["resolved"], 500.0) == (told(taken), taken.state.ends_at)
    assert (
        "the target is no longer watched. It said: Accuracy is below 0.800, at 0.700"
        in taken.state.annotations["description"]
    )
    for kinds, of in ((["yes"], replace(LOW, for_results=2)), (["back"], LOW), (["yes", "back"], LOW)):
        assert [] == told(end(after(*kinds, of=of).state, 500.0, "x"))


def test_transition_of_a_state() -> None:
    """Only what fires or has resolved can be told again."""
    assert None is after("back").state.transition
    assert None is after("yes", of=replace(LOW, for_results=2)).state.transition
    assert after("yes").transitions[0] == after("yes").state.transition
    assert after("yes", "back").transitions[0] == after("yes", "back").state.transition


# by the clock


FAILING, VANISHED, EXPIRING = (
    next(each for each in built_in() if isinstance(each.condition, kind))
    for kind in (PullFailing, ResultsVanished, KeyExpiring)
)


def ticked(of: Rule, *pulses: tuple[float, PullHealth], subject: Subject = SUBJECT) -> list[str]:
    """What is told in the course of these pulses, by `<time> <status>`."""
    state, found = None, []
    for now, pulse in pulses:
        taken = tick(state, of, subject, pulse, now)
        state = taken.state
        found += [f"{now:g} {status}" for status in told(taken)]
    return found


def test_pull_failing() -> None:
    """It fires three intervals after the last good pull, once, and resolves with the next good one."""
    ok = replace(GOOD, last_success=1000.0)
    bad = replace(ok, state=PullState.AUTH)

    assert ["1180 firing", "1300 resolved"] == ticked(
        FAILING,
        (1000.0, ok),
        (1060.0, bad),
        (1179.0, bad),
        (1180.0, bad),
        (1240.0, bad),
        (1300.0, replace(ok, last_success=1300.0)),
    )


def test_pull_failing_without_any_good_pull() -> None:
    """Counting begins when watching begins, also where no pull has ever ended."""
    first = PullHealth(None, began=1000.0, interval=60.0)
    bad = replace(first, state=PullState.UNREACHABLE)

    assert [] == ticked(FAILING, (1179.0, first), (1179.0, bad))
    assert ["1180 firing"] == ticked(FAILING, (1180.0, bad))
    assert ["1180 firing", "1300 resolved"] == ticked(
        FAILING, (1100.0, first), (1180.0, first), (1300.0, replace(first, state=PullState.OK, last_success=1300.0))
    )


def test_pull_failing_where_a_pull_does_not_end() -> None:
    """A good pull that is followed by none fires too; a service that was down itself is not the target's failure."""
    hung = PullHealth(PullState.OK, began=1000.0, interval=60.0, last_success=2000.0)
    restarted = replace(hung, began=5000.0)

    assert ["2180 firing"] == ticked(FAILING, (2179.0, hung), (2180.0, hung))
    assert ["5180 firing"] == ticked(FAILING, (5179.0, restarted), (5180.0, restarted))
    assert [] == ticked(FAILING, (2119.0, replace(hung, interval=1.0)))


def test_no_results_is_no_failing_pull() -> None:
    """A target without results is pulled well; but only results resolve what fires."""
    none = replace(BAD, state=PullState.NO_RESULTS)

    assert [] == ticked(FAILING, (9000.0, none))
    assert ["9000 firing", "9200 resolved"] == ticked(
        FAILING, (9000.0, BAD), (9100.0, none), (9200.0, replace(GOOD, last_success=9200.0))
    )


def test_pending_pull_failing_is_cleared_by_an_answer() -> None:
    """With a duration beside it, failing has to last: an answer without results begins it anew."""
    patient = replace(FAILING, for_seconds=600.0)
    none = replace(BAD, state=PullState.NO_RESULTS)

    assert ["9600 firing"] == ticked(patient, (9000.0, BAD), (9599.0, BAD), (9600.0, BAD))
    assert [] == ticked(patient, (9000.0, BAD), (9300.0, none), (9600.0, BAD))


def test_restart_keeps_a_failing_pull() -> None:
    """A firing alert survives that the first pull after a restart has not ended yet, and that counting starts again."""
    new = PullHealth(None, began=9050.0, interval=60.0)

    assert ["9000 firing"] == ticked(
        FAILING, (9000.0, BAD), (9050.0, new), (9060.0, replace(new, state=PullState.AUTH))
    )


def test_results_vanished() -> None:
    """It fires an hour after results were first found missing; another failure in between leaves it as it is."""
    none = replace(GOOD, state=PullState.NO_RESULTS)

    assert ["4600 firing", "4700 resolved"] == ticked(
        VANISHED, (1000.0, none), (2000.0, BAD), (4599.0, none), (4600.0, none), (4650.0, BAD), (4700.0, GOOD)
    )
    assert [] == ticked(VANISHED, (1000.0, none), (4600.0, BAD))
    assert [] == ticked(VANISHED, (1000.0, none), (2000.0, GOOD), (2100.0, none), (5000.0, none))


def test_never_any_results() -> None:
    """A target that never had results has lost none."""
    none = replace(GOOD, state=PullState.NO_RESULTS, last_success=None)

    assert [] == ticked(VANISHED, (1000.0, none), (9000.0, none))


def test_key_expiring() -> None:
    """It fires 14 days before, and resolves when the key's end is far again or no longer known of a good discovery."""
    day = 86_400.0
    project = Subject.project(1)

    def pulse(expires: float | None, state: PullState = PullState.OK) -> PullHealth:
        return replace(GOOD, key_expires=expires, state=state)

    near, far = pulse(100 * day), pulse(400 * day)
    assert [f"{86 * day:g} firing"] == ticked(
        EXPIRING, (86 * day - 1, near), (86 * day, near), (101 * day, near), subject=project
    )
    assert [f"{90 * day:g} firing", f"{91 * day:g} resolved"] == ticked(
        EXPIRING, (90 * day, near), (91 * day, far), subject=project
    )
    unknown = (91 * day, pulse(None, PullState.AUTH)), (92 * day, pulse(None))
    assert [f"{90 * day:g} firing", f"{92 * day:g} resolved"] == ticked(
        EXPIRING, (90 * day, near), *unknown, subject=project
    )


def test_changed_rule_by_the_clock() -> None:
    """Another text of a rule by the clock resolves and starts anew within one tick."""
    firing = tick(None, FAILING, SUBJECT, BAD, 9000.0).state
    taken = tick(firing, replace(FAILING, severity="critical"), SUBJECT, BAD, 9100.0)

    assert ["resolved", "firing"] == told(taken)
    assert "critical" == taken.state.labels["severity"]


@dataclass
class Account:
    """What a rule by the clock is meant to do, from the whole history of pulses: when it fires, and
    when it resolves.
    """

    told: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, condition: Condition, history: list[tuple[float, PullHealth]]) -> Account:
        account = cls()
        began: float | None = None
        for now, pulse in history:
            firing = bool(account.told) and account.told[-1].endswith("firing")
            if pulse.state is PullState.OK:
                began = None
                if firing:
                    account.told.append(f"{now:g} resolved")
                continue
            if isinstance(condition, PullFailing):
                late = now >= (pulse.began if pulse.last_success is None else pulse.last_success) + 180
                due = late and pulse.state is not PullState.NO_RESULTS
            else:
                missing = pulse.state is PullState.NO_RESULTS and pulse.last_success is not None
                began = now if missing and began is None else began
                due = missing and now - (began or 0.0) >= 3600
            if due and not firing:
                account.told.append(f"{now:g} firing")
        return account


@given(
    events=st.lists(
        st.tuples(st.sampled_from([None, *PullState]), st.sampled_from([1.0, 59.0, 61.0, 180.0, 3600.0])), max_size=12
    ),
    succeeded=st.booleans(),
    of=st.sampled_from([FAILING, VANISHED]),
)
def test_clock_against_an_account(events: list[tuple[PullState | None, float]], succeeded: bool, of: Rule) -> None:
    """Over any sequence of pulls, and a restart before each, the rules by the clock tell what the
    plain account tells.
    """
    now, last = 0.0, 0.0 if succeeded else None
    history, state, found = [], None, []
    for outcome, seconds in events:
        now += seconds
        last = now if outcome is PullState.OK else last
        history.append((now, PullHealth(outcome, began=0.0, interval=60.0, last_success=last)))
        taken = tick(state, of, SUBJECT, history[-1][1], now)
        state = load_alert_state(dump_alert_state(taken.state))
        found += [f"{now:g} {status}" for status in told(taken)]

    assert Account.of(of.condition, history).told == found


# at random


TEXTS = [
    LOW,
    replace(LOW, for_results=2),
    replace(LOW, for_seconds=100.0),
    replace(LOW, for_results=3, for_seconds=100.0, severity="critical"),
]


@dataclass
class Seen:
    """One distinct result set that was judged."""

    at: float
    kind: str


class AlertMachine(RuleBasedStateMachine):
    """Runs, failures, waiting, reloads, removals and restarts in any order.

    The model keeps the list of what was judged since the rule's text last changed, and reads everything off its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state: AlertState | None = None
        self.rule = LOW
        self.runs: list[str] = []
        self.current: int | None = None
        self.told: list[Transition] = []
        self.seen: list[Seen] = []
        self.firing = False
        self.expected: list[str] = []

    # the model

    def run_length(self, upto: int, kinds: tuple[str, ...]) -> int:
        length = 0
        while length < upto and self.seen[upto - 1 - length].kind in kinds:
            length += 1
        return length

    def met(self, index: int) -> bool:
        return self.seen[index].kind == "yes" or (
            self.seen[index].kind == "point" and self.run_length(index + 1, ("yes", "point")) >= 3
        )

    def mature(self) -> None:
        beyond = self.run_length(len(self.seen), ("yes", "point"))
        if self.firing or not beyond:
            return
        held = 0
        while held < beyond and self.met(len(self.seen) - 1 - held):
            held += 1
        if held >= max(self.rule.for_results, 1) and self.now - self.seen[-beyond].at >= self.rule.for_seconds:
            self.firing = True
            self.expected.append("firing")

    def resolve(self) -> None:
        if self.firing:
            self.firing = False
            self.expected.append("resolved")

    def judged(self, kind: str) -> None:
        self.seen.append(Seen(self.now, kind))
        if kind in ("back", "none"):
            self.resolve()
        self.mature()

    # what happens

    def take(self, taken: Step) -> None:
        self.state = taken.state
        self.told += taken.transitions

    def sketch(self) -> tuple[int, ...]:
        """Of the current result set, which shares no sample with any other."""
        assert self.current is not None
        return sketch(np.arange(50) + 50 * self.current)

    def pulled(self) -> None:
        assert self.current is not None
        verdict = check_rule(self.rule, RUNS[self.runs[self.current]], None)
        self.take(step(self.state, self.rule, SUBJECT, verdict, Evidence(f"f{self.current}"), self.now, self.sketch()))

    @initialize(text=st.sampled_from(TEXTS))
    def begin(self, text: Rule) -> None:
        self.rule = text

    @rule(kind=st.sampled_from([*RUNS, "yes", "point"]))
    def new_result_set(self, kind: str) -> None:
        self.runs.append(kind)
        self.current = len(self.runs) - 1
        self.pulled()
        self.judged(kind)

    @precondition(lambda self: len(self.runs) > 1)
    @rule(back=st.integers(1, 3))
    def old_result_set(self, back: int) -> None:
        """Results of before come back: not the same as the last, so they count."""
        earlier = max(len(self.runs) - 1 - back, 0)
        same = earlier == self.current
        self.current = earlier
        self.pulled()
        self.mature() if same else self.judged(self.runs[earlier])

    @precondition(lambda self: self.current is not None)
    @rule()
    def unchanged(self) -> None:
        self.pulled()
        self.mature()

    @rule(state=st.sampled_from([None, *PullState]), seconds=st.sampled_from([0.0, 30.0, 100.0]))
    def clock(self, state: PullState | None, seconds: float) -> None:
        """Time passes; the last pull was good or not."""
        self.now += seconds
        self.take(tick(self.state, self.rule, SUBJECT, replace(GOOD, state=state), self.now))
        if state is PullState.OK:
            self.mature()

    @rule(text=st.sampled_from(TEXTS))
    def reload(self, text: Rule) -> None:
        """The configuration is read again, and the last good result set is judged under it, if there is one."""
        changed, self.rule = text != self.rule, text
        if self.current is None:
            return
        self.pulled()
        if changed:
            self.resolve()
            self.seen.clear()
            self.judged(self.runs[self.current])
        else:
            self.mature()

    @rule()
    def restart(self) -> None:
        """The service starts again with what it stored."""
        if self.state is not None:
            self.state = load_alert_state(dump_alert_state(self.state))

    @precondition(lambda self: self.state is not None)
    @rule(soon=st.booleans())
    def removed(self, soon: bool) -> None:
        """The target leaves the configuration, and comes back as a new one, while its end is still
        remembered or later.
        """
        assert self.state is not None
        self.take(end(self.state, self.now, "the target is no longer watched"))
        self.state, self.current = self.state if soon else None, None
        self.now += 1.0
        self.resolve()
        self.seen.clear()

    # what must hold

    @invariant()
    def tells_what_the_model_tells(self) -> None:
        assert self.expected == [each.status for each in self.told]

    @invariant()
    def phase_is_what_the_model_says(self) -> None:
        phase = self.state.phase if self.state else Phase.INACTIVE
        pending = not self.firing and bool(self.seen) and self.seen[-1].kind in ("yes", "point")
        assert (self.firing, pending) == (phase is Phase.FIRING, phase is Phase.PENDING)

    @invariant()
    def tells_nothing_twice(self) -> None:
        assert len(self.told) == len({each.id for each in self.told})
        starts = [each.starts_at for each in self.told if each.status == "firing"]
        assert starts == sorted(set(starts))

    @invariant()
    def every_end_belongs_to_its_start(self) -> None:
        for start, finish in zip(self.told[::2], self.told[1::2], strict=False):
            assert ("firing", "resolved") == (start.status, finish.status)
            assert (start.starts_at, start.labels) == (finish.starts_at, finish.labels)
            assert (finish.ends_at or 0.0) >= start.starts_at

    @invariant()
    def state_survives_its_bytes(self) -> None:
        if self.state is not None:
            assert self.state == load_alert_state(dump_alert_state(self.state))


AlertMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
test_states_at_random: Any = pytest.mark.slow(AlertMachine.TestCase)
