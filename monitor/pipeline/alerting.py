"""`AlertEvaluator`: what the rules say of each target and project, kept in the store with the messages that follow from
it.

Result sets are judged in the transaction of their run; the clock is looked at every few seconds. A transition and its
messages are written together, so that a restart neither forgets nor repeats one; what is shown and sent again follows
what was written.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from monitor.alerts.rules import AnomalyDrift, Drop, Rise, Rule, Subject
from monitor.alerts.states import (
    AlertState,
    Evidence,
    Phase,
    PullHealth,
    Step,
    Transition,
    dump,
    end,
    load_state,
    step,
    tick,
)
from monitor.alerts.verdicts import judge
from monitor.errors import PullState
from monitor.live.snapshots import Board, Snapshot
from monitor.store import Message, Queries, State, Store, StoreError, Transaction

TICK = 5.0
"""Seconds between two looks at the clock."""
RESEND_RESOLVED_FOR = 900.0
"""Seconds for which a resolved alert is still told to whoever wants its alerts again, and remembered after its target
has gone.
"""

_ALERT = "alert"  # kind of state in the store

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AlertSubject:
    """One target or project that alerts can be about.

    Attributes:
        subject: Its labels and its page.
        pulse: How its pulls, or its discoveries, go.
    """

    subject: Subject
    pulse: PullHealth


class Around(Protocol):
    """Knows what is watched right now."""

    def subjects(self) -> Iterable[str]:
        """The ids of all subjects."""

    def watched(self, subject_id: str, snapshot: Snapshot | None = None) -> AlertSubject | None:
        """One of them; with a snapshot that is not shown yet, as it will be then. None where it is not watched."""

    def mine(self, subject_id: str) -> bool:
        """Whether its alerts are this process's, and not another's on the same store."""

    def gone(self, subject_id: str) -> bool:
        """Whether alerts about something that is not watched are to end: not where its project could not be asked yet,
        nor where another process watches it."""


class AlertEvaluator:
    """Judges by the rules, and remembers what came of it.

    Args:
        store: Where states and messages are kept.
        board: Shows the states.
        around: What is watched right now.
        wake: Called after messages were written.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        board: Board,
        around: Callable[[], Around],
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._store, self._board, self._around, self._wake, self._clock = store, board, around, wake, clock
        self._rules: tuple[Rule, ...] = ()
        self._queues: tuple[str, ...] = ()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def configure(self, rules: Iterable[Rule], queues: Iterable[str]) -> None:
        """Take over other rules, and other queues for the messages; what was judged by a rule that
        changed starts anew.
        """
        self._rules, self._queues = tuple(rules), tuple(queues)

    async def recall(self) -> None:
        """Show the states that the store has; not those of other processes, which would never hear how theirs went on.

        Raises:
            StoreError: The store cannot be read.
        """
        for state in await stored(self._store):
            if self._around().mine(state.target_id):
                self._board.alerts.setdefault((state.alertname, state.target_id), state)

    def thresholds(self, subject: Subject) -> dict[str, float]:
        """The values that a subject's rules compare with, by alert."""
        return {
            rule.name: rule.threshold for rule in self._rules if rule.threshold is not None and rule.matches(subject)
        }

    def active(self) -> list[Transition]:
        """What whoever wants all alerts is told: those that fire, and those that resolved of late."""
        now = self._clock()
        found = [
            state.transition
            for state in self._board.alerts.values()
            if not (state.ends_at and state.ends_at < now - RESEND_RESOLVED_FOR)
        ]
        return [transition for transition in found if transition is not None]

    def lock(self, subject_id: str) -> AbstractAsyncContextManager[None]:
        """To be held around a transaction that judges a subject: states are read, moved on and written without another
        in between.
        """
        return self._locks[subject_id]

    async def judge(self, tx: Transaction, snapshot: Snapshot) -> list[AlertState]:
        """Judge a target after a pull, within the transaction of its run.

        Args:
            tx: Of the run; the caller holds `lock`.
            snapshot: What is known after the pull.

        Returns:
            All states of the target as they are then, also those that another process has moved; to be handed to `show`
            once they are on the disk.
        """
        watched = self._around().watched(snapshot.target.key.id, snapshot)
        if watched is None:
            return []
        subject, now = watched.subject, self._clock()
        states = await _locked(tx, subject.id)
        moved: list[AlertState] = []
        told: list[Transition] = []
        for rule in self._matching(subject):
            before = states.get(rule.name)
            after = _tried(before, rule, watched, snapshot if _judged(rule, snapshot) else None, now)
            told += after.transitions if after else ()
            if after and _differs(before, after.state):
                moved.append(after.state)
        await self._write(tx, moved, told)
        return list((states | {state.alertname: state for state in moved}).values())

    async def tick(self) -> None:
        """Move on what depends on the clock, and end the alerts whose rule or subject has gone.

        Raises:
            StoreError: It could not be written; it is moved at the next look.
        """
        known: defaultdict[str, dict[str, AlertState]] = defaultdict(dict)
        for (name, subject_id), state in self._board.alerts.items():
            known[subject_id][name] = state
        subjects = set(self._around().subjects())
        for subject_id in subjects | {left for left in known if left not in subjects and self._around().gone(left)}:
            if self._moves(subject_id, known[subject_id]):
                try:
                    await self._move(subject_id, known[subject_id])
                except StoreError:
                    if self._store.problem is not None:  # else it is something about this one
                        raise
                    log.exception("alert.move_refused", target=subject_id)
            await asyncio.sleep(0)  # a thousand targets are not looked at in one go

    async def _move(self, subject_id: str, shown: Iterable[str]) -> None:
        """Move a subject's alerts on, in a transaction of its own; afterwards those are shown that the store has."""
        async with self.lock(subject_id):
            async with self._store.transaction() as tx:
                states = await _locked(tx, subject_id)
                moves = self._moves(subject_id, states)
                over = [step.state for step in moves if self._over(step.state)]
                for state in over:
                    await tx.delete_state(_ALERT, subject_id, state.alertname)
                kept = [step for step in moves if step.state not in over]
                await self._write(
                    tx, [step.state for step in kept], [told for step in kept for told in step.transitions]
                )
            states |= {step.state.alertname: step.state for step in kept}
            for state in over:
                states.pop(state.alertname, None)
            for name in set(shown) - states.keys():
                self._board.alerts.pop((name, subject_id), None)
            self.show(states.values())

    def _moves(self, subject_id: str, states: Mapping[str, AlertState]) -> list[Step]:
        """What the clock changes about a subject's alerts; those end that are no longer wanted."""
        watched, now = self._around().watched(subject_id), self._clock()
        if watched is None and not self._around().gone(subject_id):  # as a reload may have made it since the look began
            return []
        rules = {rule.name: rule for rule in self._matching(watched.subject)} if watched else {}
        moves = []
        if watched is not None:
            for name, rule in rules.items():
                state, snapshot = states.get(name), self._board.snapshots.get(subject_id)
                changed = state is not None and state.digest != rule.digest  # it starts anew, with what is known
                anew = snapshot if changed and snapshot is not None and _judged(rule, snapshot) else None
                moved = _tried(state, rule, watched, anew, now)
                if moved and _differs(state, moved.state):
                    moves.append(moved)
        for name, state in states.items():
            if name not in rules:
                ended = end(state, now, "its rule is no longer there" if watched else "it is no longer watched")
                if ended.state != state or self._over(ended.state):
                    moves.append(ended)
        return moves

    def _over(self, state: AlertState) -> bool:
        """Whether an alert without a rule or a subject need not be remembered any more."""
        watched = self._around().watched(state.target_id)
        wanted = watched is not None and any(rule.name == state.alertname for rule in self._matching(watched.subject))
        live = state.phase in (Phase.PENDING, Phase.FIRING)
        return not (wanted or live) and (state.ends_at or 0.0) < self._clock() - RESEND_RESOLVED_FOR

    def show(self, states: Iterable[AlertState]) -> None:
        """Show what the store has, and wake whoever delivers the messages, if there are any: each receiver asks the
        store for its own.
        """
        told = False
        for state in states:
            before = self._board.alerts.get((state.alertname, state.target_id))
            _log(before, state)
            told = told or state.transition != (before.transition if before else None)
            self._board.alerts[state.alertname, state.target_id] = state
        if told:
            self._wake()

    def _matching(self, subject: Subject) -> list[Rule]:
        return [rule for rule in self._rules if rule.matches(subject)]

    async def _write(self, tx: Transaction, states: Iterable[AlertState], told: Iterable[Transition]) -> None:
        await _put(tx, states)
        for transition in told:
            content = dump(transition)
            for queue in self._queues:
                await tx.enqueue(
                    Message(queue, f"{transition.alertname}/{transition.target_id}", self._clock(), content)
                )


async def _locked(tx: Transaction, subject_id: str) -> dict[str, AlertState]:
    """A subject's states by name, which no other transaction moves until this one ends."""
    # while the number of shards changes, two processes may have the same target
    await tx.lock(f"alerts of {subject_id}")
    return {state.alertname: state for state in await stored(tx, subject_id)}


async def _put(tx: Transaction, states: Iterable[AlertState]) -> None:
    for state in states:
        await tx.put_state(State(_ALERT, state.target_id, state.alertname, dump(state)))


async def refer(tx: Transaction, subject_id: str, before: str, after: str) -> list[AlertState]:
    """Let the verdicts on a result set be on the same one under its new fingerprint, so that it is not judged once
    more.

    Args:
        tx: The one in which the result set gets the other fingerprint.
        subject_id: The target.
        before, after: The fingerprints.

    Returns:
        The states that this changed; to be handed to `AlertEvaluator.show` once they are on the disk.
    """
    found = []
    for state in (await _locked(tx, subject_id)).values():
        if state.judged is not None and state.judged.fingerprint == before:
            found.append(replace(state, judged=replace(state.judged, fingerprint=after)))
    await _put(tx, found)
    return found


def _log(before: AlertState | None, after: AlertState) -> None:
    """A line when an alert begins to fire, and when it resolves."""
    told, known = after.transition, before.transition if before else None
    if told is not None and (known is None or known.id != told.id):
        log.warning(
            f"alert.{told.status}",
            alert=told.alertname,
            target=told.target_id,
            description=told.annotations.get("description", ""),
        )


async def stored(store: Queries, subject_id: str | None = None) -> list[AlertState]:
    """The states that the store has, of one subject or of all, by alert and subject.

    Raises:
        StoreError: The store cannot be read.
    """
    rows = await store.states(_ALERT, subject_id)
    # Ten thousand take a quarter of a second to read, ten less than a thread takes to begin.
    found = map(_read, rows) if subject_id is not None else await asyncio.to_thread(lambda: list(map(_read, rows)))
    return [state for state in found if state is not None]


def _tried(
    state: AlertState | None, rule: Rule, watched: AlertSubject, judged: Snapshot | None, now: float
) -> Step | None:
    """As `_advanced`; None where a bug is met, which must cost neither the record of the run nor the other rules."""
    try:
        return _advanced(state, rule, watched, judged, now)
    except Exception:
        log.exception("alert.crashed", alert=rule.name, target=watched.subject.id)
        return None


def _advanced(state: AlertState | None, rule: Rule, watched: AlertSubject, judged: Snapshot | None, now: float) -> Step:
    """An alert after a verdict on a snapshot's result set, if one is to be taken, and after a look at the clock."""
    told: tuple[Transition, ...] = ()
    if judged is not None and judged.evaluation is not None:
        verdict = judge(rule, judged.evaluation, judged.comparison)
        stepped = step(state, rule, watched.subject, verdict, _evidence(rule, judged), now)
        state, told = stepped.state, stepped.transitions
    ticked = tick(state, rule, watched.subject, watched.pulse, now)
    return Step(ticked.state, told + ticked.transitions)


def _judged(rule: Rule, snapshot: Snapshot) -> bool:
    """Whether a pull takes a verdict: it was good, and of what was to be compared nothing is missing that should be
    there.
    """
    compares = isinstance(rule.condition, Drop | Rise | AnomalyDrift)
    broken = compares and snapshot.comparison is not None and snapshot.comparison.broken
    return not rule.by_clock and snapshot.state is PullState.OK and not broken


def _differs(before: AlertState | None, after: AlertState) -> bool:
    """Whether there is something new to be remembered; that nothing was ever the matter is not."""
    if before is None:
        return after.phase is not Phase.INACTIVE or after.judged is not None
    return before != after


def _evidence(rule: Rule, snapshot: Snapshot) -> Evidence:
    """What a verdict rests on; rules about the figures alone need no baseline."""
    compares = isinstance(rule.condition, Drop | Rise | AnomalyDrift)
    baseline = snapshot.comparison.baseline.timestamp if snapshot.comparison and compares else None
    return Evidence(snapshot.fingerprint or "", baseline)


def _read(stored: State) -> AlertState | None:
    """A stored state; one that cannot be read is said and starts anew."""
    try:
        return load_state(stored.value)
    except ValueError as error:
        log.warning("alert.state_unreadable", alert=stored.key, target=stored.target_id, error=str(error))
        return None


async def watch(judge: AlertEvaluator) -> None:
    """Look at the clock every few seconds until cancelled; a store that fails is tried again at the next look."""
    while True:
        await asyncio.sleep(TICK)
        try:
            await judge.tick()
        except StoreError as error:
            log.debug("alert.tick_failed", error=str(error))  # the store's trouble is told where it is watched
        except Exception:  # a bug met in one look must not end the looking
            log.exception("alert.tick_crashed")
