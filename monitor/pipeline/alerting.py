"""`AlertEvaluator`: what the rules say of a target or project, kept in the store with its messages.

Result sets are evaluated in the transaction of their run; what depends on the clock in one of its own. A transition and
its messages are written together, so that a restart neither forgets nor repeats one. The evaluator knows nothing of
what is watched: each subject is handed to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from monitor.alerts.rules import AnomalyDrift, Drop, QuantizationLoss, Rise, Rule, Subject
from monitor.alerts.states import AlertState, Evidence, Phase, PullHealth, Step, Transition, by_name
from monitor.alerts.steps import end, step, tick
from monitor.alerts.verdicts import check_rule
from monitor.errors import PullState
from monitor.pipeline.snapshot import Snapshot
from monitor.store import Message, Transaction
from monitor.store.state_documents import dump_transition

RESEND_RESOLVED_FOR = 900.0
"""Seconds for which a resolved alert is still among those that are sent again, and kept after its target has
gone.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AlertSubject:
    """One target or project that alerts can be about, as it is at one moment.

    Attributes:
        subject: Its labels and its page.
        health: How its pulls, or its discoveries, go.
        snapshot: What is known of it; None for a project, and before a target's first pull.
    """

    subject: Subject
    health: PullHealth
    snapshot: Snapshot | None = None


class AlertEvaluator:
    """Checks the rules against each subject that it is handed, and writes states and messages into the store.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rules: tuple[Rule, ...] = ()
        self._queues: tuple[str, ...] = ()
        # only those that someone holds or waits for
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def configure(self, rules: Iterable[Rule], queues: Iterable[str]) -> None:
        """Take over other rules, and other queues for the messages; alerts of a rule that
        changed start again.
        """
        self._rules = tuple(rules)
        self._queues = tuple(queues)

    def rules_for(self, subject: Subject) -> tuple[Rule, ...]:
        """The rules that match a subject."""
        return tuple(rule for rule in self._rules if rule.matches(subject))

    def lock(self, subject_id: str) -> AbstractAsyncContextManager[None]:
        """To be held around a transaction that evaluates a subject: states are read, moved on and written without
        another in between.
        """
        return self._locks.setdefault(subject_id, asyncio.Lock())

    async def evaluate(self, tx: Transaction, subject: AlertSubject) -> list[AlertState]:
        """Check the rules against a target after a pull, within the transaction of its run.

        Args:
            tx: Of the run; the caller holds `lock`.
            subject: The target with its snapshot after the pull.

        Returns:
            All states of the target as they are then, also those that another process has moved.
        """
        states = await locked_states(tx, subject.subject.id)
        moved: list[AlertState] = []
        transitions: list[Transition] = []
        for rule in self._matching(subject.subject):
            before = states.get(rule.name)
            snapshot = subject.snapshot
            news = snapshot if snapshot is not None and _takes_verdict(rule, snapshot) else None
            after = _moved_or_logged(before, rule, subject, news, self._clock())
            transitions += after.transitions if after else ()
            if after and _differs(before, after.state):
                moved.append(after.state)
        await self._write(tx, moved, transitions)
        return list((states | by_name(moved)).values())

    def moves(self, subject: AlertSubject | None, states: Mapping[str, AlertState]) -> tuple[Step, ...]:
        """What the clock changes about a subject's alerts; those end that are no longer wanted.

        Args:
            subject: The target or project; None where it is no longer watched.
            states: Of its alerts, by name.
        """
        now = self._clock()
        rules = {rule.name: rule for rule in self._matching(subject.subject)} if subject else {}
        moves = []
        for name, rule in rules.items():
            assert subject is not None
            state = states.get(name)
            snapshot = subject.snapshot
            changed = state is not None and state.digest != rule.digest  # it starts again, with what is known
            news = snapshot if changed and snapshot is not None and _takes_verdict(rule, snapshot) else None
            moved = _moved_or_logged(state, rule, subject, news, now)
            if moved and _differs(state, moved.state):
                moves.append(moved)
        for name, state in states.items():
            if name not in rules:
                ended = end(state, now, "its rule is no longer there" if subject else "it is no longer watched")
                if ended.state != state or self._is_over(ended.state):
                    moves.append(ended)
        return tuple(moves)

    async def tick(
        self,
        tx: Transaction,
        subject_id: str,
        subject: AlertSubject | None,
        states: Mapping[str, AlertState],
    ) -> list[AlertState]:
        """Move on what depends on the clock, and forget what ended long ago.

        Args:
            tx: The caller holds `lock`.
            subject_id: The subject's id.
            subject: As for `moves`.
            states: `locked_states` in this transaction.

        Returns:
            All states of the subject as they are then.
        """
        moves = self.moves(subject, states)
        rules = {rule.name for rule in self._matching(subject.subject)} if subject else set()
        over = [step.state for step in moves if step.state.alertname not in rules and self._is_over(step.state)]
        for state in over:
            await tx.delete_alert_state(subject_id, state.alertname)
        kept = [step for step in moves if step.state not in over]
        await self._write(
            tx, [step.state for step in kept], [transition for step in kept for transition in step.transitions]
        )
        after = {**states, **by_name(step.state for step in kept)}
        for state in over:
            after.pop(state.alertname, None)
        return list(after.values())

    def _is_over(self, state: AlertState) -> bool:
        """Whether an alert without a rule or a subject need not be kept any more."""
        live = state.phase in (Phase.PENDING, Phase.FIRING)
        return not live and (state.ends_at or 0.0) < self._clock() - RESEND_RESOLVED_FOR

    def _matching(self, subject: Subject) -> list[Rule]:
        return [rule for rule in self._rules if rule.matches(subject)]

    async def _write(self, tx: Transaction, states: Iterable[AlertState], transitions: Iterable[Transition]) -> None:
        await tx.put_alert_states(states)
        for transition in transitions:
            await tx.record_transition(transition)
            content = dump_transition(transition)
            for queue in self._queues:
                await tx.enqueue(
                    Message(queue, f"{transition.alertname}/{transition.target_id}", self._clock(), content)
                )


def locked(evaluator: AlertEvaluator | None, subject_id: str) -> AbstractAsyncContextManager[None]:
    """The evaluator's `lock`; nothing to be held where no rules are checked."""
    return nullcontext() if evaluator is None else evaluator.lock(subject_id)


def alerts_lock(subject_id: str) -> str:
    """The store's lock of a subject's alerts."""
    return f"alerts of {subject_id}"


async def locked_states(tx: Transaction, subject_id: str) -> dict[str, AlertState]:
    """A subject's states by name, which no other transaction moves until this one ends."""
    # while the number of shards changes, two processes may have the same target
    await tx.lock(alerts_lock(subject_id))
    return by_name(await tx.alert_states(subject_id))


async def refer(tx: Transaction, subject_id: str, before: str, after: str) -> list[AlertState]:
    """Let the verdicts on a result set be on the same one under its new fingerprint, so that no rule is checked
    against it once more.

    Args:
        tx: The one in which the result set gets the other fingerprint.
        subject_id: The target.
        before, after: The fingerprints.

    Returns:
        The states that this changed.
    """
    found = []
    for state in (await locked_states(tx, subject_id)).values():
        if state.judged is not None and state.judged.fingerprint == before:
            found.append(replace(state, judged=replace(state.judged, fingerprint=after)))
    await tx.put_alert_states(found)
    return found


def _moved_or_logged(
    state: AlertState | None, rule: Rule, subject: AlertSubject, news: Snapshot | None, now: float
) -> Step | None:
    """As `_moved`; None where a bug is met, which must cost neither the record of the run nor the other rules."""
    try:
        return _moved(state, rule, subject, news, now)
    except Exception:
        log.exception("alert.crashed", alert=rule.name, target=subject.subject.id)
        return None


def _moved(state: AlertState | None, rule: Rule, subject: AlertSubject, news: Snapshot | None, now: float) -> Step:
    """An alert after a verdict on a snapshot's result set, if one is to be taken, and after a look at the clock."""
    transitions: tuple[Transition, ...] = ()
    if news is not None and news.evaluation is not None:
        verdict = check_rule(rule, news.evaluation, news.comparison)
        stepped = step(state, rule, subject.subject, verdict, _evidence(rule, news), now, news.evaluation.sketch)
        state = stepped.state
        transitions = stepped.transitions
    ticked = tick(state, rule, subject.subject, subject.health, now)
    return Step(ticked.state, transitions + ticked.transitions)


def _takes_verdict(rule: Rule, snapshot: Snapshot) -> bool:
    """Whether a pull takes a verdict: it was good, and of what was to be compared nothing is missing that should be
    there.
    """
    comparison = snapshot.comparison
    compares = isinstance(rule.condition, Drop | Rise | AnomalyDrift)
    broken = compares and comparison is not None and comparison.broken
    if isinstance(rule.condition, QuantizationLoss) and comparison is not None and comparison.variants is not None:
        broken = bool(comparison.variants.reason)  # the next turn may compare them again
    return not rule.by_clock and snapshot.state is PullState.OK and not broken


def _differs(before: AlertState | None, after: AlertState) -> bool:
    """Whether there is something new to be written; that nothing was ever the matter is not."""
    if before is None:
        return after.phase is not Phase.INACTIVE or after.judged is not None
    return before != after


def _evidence(rule: Rule, snapshot: Snapshot) -> Evidence:
    """What a verdict rests on; rules about the figures alone need no baseline."""
    compares = isinstance(rule.condition, Drop | Rise | AnomalyDrift | QuantizationLoss)
    baseline = snapshot.comparison.baseline.timestamp if snapshot.comparison and compares else None
    content = snapshot.fingerprint or ""
    if isinstance(rule.condition, QuantizationLoss) and snapshot.comparison and snapshot.comparison.variants:
        content = " ".join(snapshot.comparison.variants.compared[:2]) or content  # both variants' result sets
    return Evidence(content, baseline)
