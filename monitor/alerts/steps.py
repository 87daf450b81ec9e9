"""What moves an alert on: a pure state machine per (alert, target).

`step` moves an alert by a result set's verdict, `tick` by the clock and the state of the pulls, `end` when its rule or
its target has gone. Each answers the new state and the transitions that are to be sent; nothing here stores or
sends anything.
"""

from __future__ import annotations

from dataclasses import replace

from monitor.alerts import causes, explain
from monitor.alerts.rules import KeyExpiring, PullFailing, ResultsVanished, Rule, Severity, Subject
from monitor.alerts.states import AlertState, Evidence, Phase, PullHealth, Step, Transition
from monitor.alerts.verdicts import Answer, Verdict
from monitor.errors import PullState
from monitor.figures.sketch import shared

POINTS = 3
"""Distinct result sets in a row whose figure alone is beyond a threshold that count as one whose interval is."""

ALIKE = 0.5
"""From this share of its samples on that a result set has in common with the one counted before, it is no opinion of
its own: what was wrong by chance there is wrong by the same chance.
"""

ENDLESS = 120.0
"""Seconds without a good pull, at least, until pulls that do not end count as failing: a short interval may only be a
busy machine.
"""

# seconds; a second alert within one reading of the clock, or after it was set back, still has its own start
_NEXT_START = 1e-3


def step(
    state: AlertState | None,
    rule: Rule,
    subject: Subject,
    verdict: Verdict,
    evidence: Evidence,
    now: float,
    sketch: tuple[int, ...] = (),
) -> Step:
    """Move an alert by a good pull. To be called for each, and where the rule or the baseline changed, with the last
    good result set.

    The same evidence as before takes no new verdict: only a duration in `for` goes on. Another baseline takes a new
    verdict, but the same result set counts once in `for: N pulls`.

    Args:
        state: Where it stood; None at first.
        rule: One that is checked against result sets.
        subject: The target.
        verdict: `check_rule` of the result set.
        evidence: What the verdict rests on.
        now: Unix seconds.
        sketch: Which samples the result set holds (`figures.sketch`); where that is not known it is no opinion beside
            one that was counted.
    """
    state, earlier = _under(state, rule, subject, now)
    if evidence == state.judged:
        return _after(earlier, _mature(state, rule, subject, now))
    another = state.judged is None or evidence.fingerprint != state.judged.fingerprint
    rebased = state.judged is not None and evidence.baseline != state.judged.baseline
    state = replace(state, judged=evidence)
    match verdict.answer:
        case Answer.NOT_APPLICABLE:
            return _after(earlier, _over(_cleared(state), now, explain.not_applicable(rule, subject, verdict)))
        case Answer.NO:
            state = _cleared(state)
            if verdict.recovered or state.phase is not Phase.FIRING:
                return _after(earlier, _over(state, now, explain.recovered(rule, subject, verdict, rebased=rebased)))
            return _after(earlier, Step(_explained(state, rule, subject, explain.verdict(rule, subject, verdict))))
        case Answer.YES | Answer.POINT:
            state = _counted(state, sketch) if another else state
            met = verdict.answer is Answer.YES or state.points >= POINTS
            held = max(state.held + another, 1) if met else 0
            state = _pending(replace(state, held=held), rule, subject, now)
            state = _rated(state, rule.severity_of(verdict.margins), verdict.cause.id(subject))
            state = _explained(state, rule, subject, explain.verdict(rule, subject, verdict))
            return _after(earlier, _mature(state, rule, subject, now))


def tick(state: AlertState | None, rule: Rule, subject: Subject, health: PullHealth, now: float) -> Step:
    """Move an alert by the clock and the state of the pulls. To be called every so often, and after each pull and
    discovery.

    Of a rule that is checked against result sets, only a duration in `for` goes on, and it ends only while the last
    pull was good; where the rule's text changed nothing happens until the next `step`.

    Args:
        state: Where it stood; None at first.
        rule: Any.
        subject: The target or project.
        health: How its pulls go.
        now: Unix seconds.
    """
    if not rule.by_clock:
        state = state or _fresh(rule, subject)
        goes_on = state.digest == rule.digest and health.state is PullState.OK
        return _mature(state, rule, subject, now) if goes_on else Step(state)
    state, earlier = _under(state, rule, subject, now)
    holds = _holds(rule, health, now, state.phase)
    if holds is None:
        return _after(earlier, Step(state))
    if not holds:
        return _after(earlier, _over(_cleared(state), now, explain.healthy(rule, subject, health.key_expires)))
    state = replace(_pending(state, rule, subject, now), held=1)
    state = _rated(state, rule.severity_of(None), causes.OWN.id(subject))
    words = explain.clock(
        rule,
        subject,
        state.since or now,
        health.last_success or health.began,
        health.state,
        health.error,
        health.key_expires,
    )
    return _after(earlier, _mature(_explained(state, rule, subject, words), rule, subject, now))


def end(state: AlertState, now: float, why: str) -> Step:
    """End an alert whose rule or target has gone; only of one that fires receivers are notified.

    Args:
        state: Where it stood.
        now: Unix seconds.
        why: The reason, as a clause: `the target is no longer watched`.
    """
    # No verdict is kept, so that a rule which comes back is checked at once, against the same result set too.
    state = replace(_cleared(state), judged=None)
    return _over(state, now, explain.ended(state.alertname, why, state.annotations.get("description", "")))


def _fresh(rule: Rule, subject: Subject) -> AlertState:
    return AlertState(rule.name, subject.id, rule.digest)


def _under(
    state: AlertState | None, rule: Rule, subject: Subject, now: float
) -> tuple[AlertState, tuple[Transition, ...]]:
    """The state under this text of the rule; one under another text is ended first."""
    if state is None:
        return _fresh(rule, subject), ()
    if state.digest == rule.digest:
        return state, ()
    ended = end(state, now, "its rule was changed")
    return replace(_fresh(rule, subject), starts_at=state.starts_at), ended.transitions


def _after(earlier: tuple[Transition, ...], step: Step) -> Step:
    return replace(step, transitions=earlier + step.transitions)


def _cleared(state: AlertState) -> AlertState:
    return replace(state, held=0, points=0, counted=())


def _counted(state: AlertState, sketch: tuple[int, ...]) -> AlertState:
    """After one more result set whose figure is beyond the threshold, which counts if it is an opinion of its own."""
    if state.points >= POINTS:
        return state
    if state.points and not state.counted:  # by a release that kept no sketch: from now on it is known
        return replace(state, counted=sketch)
    common = shared(sketch, state.counted)
    if state.points and (common is None or common >= ALIKE):
        return state
    return replace(state, points=state.points + 1, counted=sketch)


def _pending(state: AlertState, rule: Rule, subject: Subject, now: float) -> AlertState:
    """An alert whose condition holds: pending at least. It carries today's labels until it resolves."""
    if state.phase in (Phase.PENDING, Phase.FIRING):
        return state
    return replace(
        state,
        phase=Phase.PENDING,
        since=now,
        ends_at=None,
        severity=rule.severity_of(None),
        labels={**subject.labels, **rule.labels, "alertname": rule.name, "severity": rule.severity_of(None)},
        generator_url=subject.url,
        cause_id="",
    )


def _rated(state: AlertState, severity: Severity, cause_id: str) -> AlertState:
    """With the severity and the cause that it will have if it begins to fire; one that fires keeps its own."""
    if state.phase is not Phase.PENDING:
        return state
    return replace(state, severity=severity, labels={**state.labels, "severity": severity}, cause_id=cause_id)


def _mature(state: AlertState, rule: Rule, subject: Subject, now: float) -> Step:
    """A pending alert whose condition has held for as long as its rule wants begins to fire."""
    if state.phase is Phase.PENDING and state.since is not None and state.since > now:
        # the clock was set back: it waits for what its rule wants, and not for the clock as well
        state = replace(state, since=now)
    if (
        state.phase is not Phase.PENDING
        or state.held < max(rule.for_results, 1)
        or now - (state.since or 0.0) < rule.for_seconds
    ):
        return Step(state)
    start = now if state.starts_at is None or now > state.starts_at else state.starts_at + _NEXT_START
    cause_id = state.cause_id or causes.OWN.id(subject)  # pending since a release that knew no cause
    labels = {**state.labels, causes.LABEL: cause_id}
    return _announced(replace(state, phase=Phase.FIRING, starts_at=start, cause_id=cause_id, labels=labels))


def _over(state: AlertState, now: float, words: explain.Words) -> Step:
    """An alert whose condition no longer holds: resolved if it fired, forgotten if it was pending."""
    if state.phase is Phase.PENDING:
        return Step(replace(_fresh_of(state), judged=state.judged))
    if state.phase is not Phase.FIRING or state.starts_at is None:
        return Step(state)
    others = {name: text for name, text in state.annotations.items() if name not in words.annotations}
    ends = max(now, state.starts_at)  # whatever the clock does
    annotations = {**words.annotations, **others}
    return _announced(
        replace(state, phase=Phase.RESOLVED, since=None, ends_at=ends, annotations=annotations, details=words.details)
    )


def _fresh_of(state: AlertState) -> AlertState:
    return AlertState(state.alertname, state.target_id, state.digest, starts_at=state.starts_at)


def _explained(state: AlertState, rule: Rule, subject: Subject, words: explain.Words) -> AlertState:
    event_url = subject.event_url(state.cause_id)
    links = {"event_url": event_url} if event_url else {}
    return replace(
        state, annotations={**rule.links, **links, **rule.annotations, **words.annotations}, details=words.details
    )


def _announced(state: AlertState) -> Step:
    transition = state.transition
    assert transition is not None  # it fires or has resolved
    return Step(state, (transition,))


def _holds(rule: Rule, health: PullHealth, now: float, phase: Phase) -> bool | None:
    """Whether the condition of a rule by the clock holds; None where that cannot be said, and everything stays as it
    is.
    """
    match rule.condition:
        case PullFailing(intervals=intervals):
            if health.state in (None, PullState.OK):
                # Nothing failed; but a pull that never ends is no good one. Counted from the start: a service that was
                # down is not the target's failure.
                resumed = health.began if health.resumed is None else health.resumed
                late = now - max(resumed, health.last_success or resumed) >= max(intervals * health.interval, ENDLESS)
                return late or (None if health.state is None else False)
            good = health.began if health.last_success is None else health.last_success
            late = now - good >= intervals * health.interval
            if late and health.state is not PullState.NO_RESULTS:
                return True
            return None if phase is Phase.FIRING else False  # only a good pull resolves it
        case ResultsVanished():
            if health.state is PullState.OK:
                return False
            return True if health.state is PullState.NO_RESULTS and health.last_success is not None else None
        case KeyExpiring(seconds=seconds):
            if health.key_expires is None:
                return False if health.state is PullState.OK else None
            return health.key_expires - now <= seconds
    raise ValueError(f"{rule.name} is checked against result sets, not by the clock")
