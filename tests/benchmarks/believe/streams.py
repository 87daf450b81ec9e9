"""Targets whose truth is known: samples that come day after day, alike within a group, and what happens to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.evidence import EvidenceState, begin, count, look
from monitor.compare.evidence_samples import Scores
from monitor.compare.martingale import ALARM, mean_evidence
from monitor.results import FloatArray

PER_DAY = 20
LARGEST_BLOCK = 40
LOOKED_BACK = 20
"""Days of which the gate is worked out once there is evidence: whether it is open depends on whether it was."""

AT_ONCE = 10
"""Quiet days that are counted at once: the evidence is the same as day by day."""

_START = np.datetime64("2026-01-01T12:00", "ms")
_DAY = np.timedelta64(24, "h")

Change = Callable[[FloatArray, int], FloatArray]
"""Standard normal scores, and the day since the change, to those after it."""


def _late(score: FloatArray) -> FloatArray:
    """A tenth of the scores three standard deviations higher: every tenth, whatever it was."""
    moved = score.copy()
    moved[::10] += 3.0
    return moved


CHANGES: Mapping[str, Change] = {
    "shift 1 sd": lambda score, day: score + 1.0,
    "shift .5 sd": lambda score, day: score + 0.5,
    "shift .25 sd": lambda score, day: score + 0.25,
    "sd x 1.5": lambda score, day: score * 1.5,
    "sd x .5": lambda score, day: score * 0.5,
    "stuck at the median": lambda score, day: np.zeros_like(score),
    "10 % at +3 sd": lambda score, day: _late(score),
    "slow .5 sd in 180 d": lambda score, day: score + 0.5 * min(day / 180, 1.0),
}
"""What may happen to a target's scores."""

KINDS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "continuous": lambda normal: np.exp(normal / 2),
    "5 levels": lambda normal: np.searchsorted([-0.84, -0.25, 0.25, 0.84], normal).astype(np.float64),
    "0/1": lambda normal: (normal > 1.28).astype(np.float64),
}
"""Scores from normal ones: right-skewed, few levels, or a flag of which a tenth is set."""


@dataclass(frozen=True)
class Stream:
    """How a target's samples come.

    Attributes:
        reference: Samples of the baseline.
        icc: Intra-group correlation of the normal scores.
        blocks: `equal` (20 a day, a group), `1-40` (a group of random size a day), or `bulk`: the baseline was uploaded
            at once, and equal blocks came after it.
        kind: One of `KINDS`.
    """

    reference: int
    icc: float = 0.0
    blocks: str = "equal"
    kind: str = "continuous"

    @property
    def groups(self) -> int:
        """Groups that are known in the baseline."""
        return 1 if self.blocks == "bulk" else math.ceil(self.reference / PER_DAY)

    def size(self, rng: np.random.Generator) -> int:
        """Samples of one day."""
        return int(rng.integers(1, LARGEST_BLOCK + 1)) if self.blocks == "1-40" else PER_DAY


class Target:
    """One target, and the evidence about it.

    Args:
        stream: How its samples come.
        number: Of the target: the same number is the same target.
        watched: Whether the gate is worked out every day; otherwise once it decides about an alarm.

    Attributes:
        state: Of the evidence, after the last day.
        evident: Whether the evidence has ever been significant.
        alarmed: Whether there has ever been an alarm.
    """

    def __init__(self, stream: Stream, number: int, *, watched: bool = False) -> None:
        self._stream = stream
        self._watched = watched
        self._rng = np.random.default_rng([number, stream.reference, int(stream.icc * 100), *map(ord, stream.blocks)])
        self._limit = 2.5 if stream.kind == "continuous" else None
        self._day = 0
        self._scores: list[Scores] = []
        self._next = 0
        while self._next < stream.reference:
            self._scores.append(self._block(min(stream.size(self._rng), stream.reference - self._next)))
        if stream.blocks == "bulk":
            self._scores = [_together(self._scores)]
        self._past: list[EvidenceState] = []
        self._passed: list[tuple[EvidenceState, list[Scores]]] = []
        self.state = begin(_joined(self._scores), None, number)
        self.evident = self.alarmed = False

    def live(self, change: Change | None = None, day: int = 0) -> None:
        """One day: its samples come, and the target is looked at."""
        self._live(self._block(self._stream.size(self._rng), change, day))

    def pass_quietly(self, days: int) -> None:
        """Days on which nothing changes: as if each was lived, and faster where nothing comes of them."""
        while days:
            blocks = [self._block(self._stream.size(self._rng)) for _ in range(min(days, AT_ONCE))]
            days -= len(blocks)
            if not self._passes(blocks):
                for block in blocks:
                    self._live(block)

    def _live(self, block: Scores) -> None:
        self._remember()
        self._scores.append(block)
        self.state = count(self.state, self._now(), _end(block))
        self.evident |= self.state.evidence >= ALARM
        if self._looks_daily:
            self._look(self._now(), int((_end(block) - _START) / _DAY))
        else:
            self._past = [*self._past[1 - LOOKED_BACK :], self.state]
        self.alarmed |= self.state.alarm

    @property
    def _looks_daily(self) -> bool:
        return self._watched or self.state.evidence >= ALARM or self.state.alarm or not self.state.chosen

    def _passes(self, blocks: list[Scores]) -> bool:
        """Whether evidence never gets so far on these days, which then are over."""
        if self._looks_daily:
            return False
        after = count(self.state, _joined([self._scores[-1], *blocks]), _end(blocks[-1]))
        if mean_evidence(np.array([each.peak for each in after.martingales]) * math.log(10)) >= ALARM:
            return False
        self._passed = [*self._passed[1 - LOOKED_BACK // AT_ONCE :], (self.state, blocks)]
        self._scores += blocks
        self.state = after
        return True

    def _remember(self) -> None:
        """The states at the ends of the days that passed."""
        for state, blocks in self._passed:
            for block in blocks:
                state = count(state, block, _end(block))
                self._past = [*self._past[1 - LOOKED_BACK :], state]
        self._passed = []

    def _look(self, now: Scores, day: int) -> None:
        gate = self.state.gate
        for place, past in enumerate(self._past):
            gate = look(_with_gate(past, gate), now.take(np.arange(len(now.id)) < place + 1), self._limit, place).gate
        self._past = []
        self.state = look(_with_gate(self.state, gate), now, self._limit, day)

    def _now(self) -> Scores:
        """What evidence may still need: all, until the unit is settled; else what may belong to a group in progress."""
        return _joined(self._scores if not self.state.chosen else self._scores[-3:])

    def _block(self, size: int, change: Change | None = None, day: int = 0) -> Scores:
        own, shared = self._rng.normal(size=size), self._rng.normal()
        normal = math.sqrt(1 - self._stream.icc) * own + math.sqrt(self._stream.icc) * shared
        if change is not None:
            normal = change(normal, day)
        added = np.full(size, _START + self._day * _DAY)
        scores = Scores(
            np.arange(self._next, self._next + size),
            KINDS[self._stream.kind](normal),
            added,
            np.full(size, self._day),
            added + _DAY,
        )
        self._next += size
        self._day += 1
        return scores


def _end(block: Scores) -> np.datetime64:
    """The end of the day on which these came in."""
    end: np.datetime64 = block.added[-1] + _DAY
    return end


def _with_gate(state: EvidenceState, gate: bool) -> EvidenceState:
    return replace(state, gate=gate)


def _joined(blocks: list[Scores]) -> Scores:
    groups = [block.group for block in blocks if block.group is not None]
    over = [block.over for block in blocks if block.over is not None]
    return Scores(
        np.concatenate([block.id for block in blocks]),
        np.concatenate([block.value for block in blocks]),
        np.concatenate([block.added for block in blocks]),
        np.concatenate(groups),
        np.concatenate(over),
    )


def _together(blocks: list[Scores]) -> Scores:
    """All of them, come in with the last."""
    whole, last = _joined(blocks), blocks[-1]
    size = len(whole.id)
    assert last.group is not None
    assert last.over is not None
    return Scores(
        whole.id,
        whole.value,
        np.full(size, last.added[0]),
        np.full(size, last.group[0]),
        np.full(size, last.over[0]),
    )
