"""Evidence over the units that come in: which of them are new, what each is worth, and the alarm that latches.

Where the sample is the unit, each new one counts with its score, in the order of (`added`, id). Where the group is,
each counts once it is over, by the mean of k samples drawn from it, k the same for all: means of unequally many vary
unequally, and would alarm by that alone. They are drawn `DRAWS` times, and the evidence is of the mean capital.

    state = begin(Scores(...), choice, seed)       # the reference
    state = count(state, Scores(...), moment)      # at each look: all scores so far
    state = look(state, Scores(...), limit, seed)  # the gate, and the alarm
    state.evidence, state.alarm

All of it takes plain arrays. The state is bounded, whatever came in: a larger reference is reduced by chance, scores
that were counted become classes (`martingale`), and the ids of the oldest samples a limit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.compare.distances import insufficient, limit_of_scores, unit_of_scores
from monitor.compare.evidence_samples import (
    RECENT,
    Kept,
    Scores,
    common_size,
    drawn_means,
    newest_groups,
    reduced,
    thinned,
)
from monitor.compare.gate import Effect, effect, is_nearer
from monitor.compare.martingale import ALARM, Bets, Ids, MartingaleState, advance, drift_bets, mean_evidence, start
from monitor.figures.groups import FEWEST_GROUPS, Unit, UnitChoice, choose_unit

DRAWS = 5
"""How often k samples of each group are drawn; M is the mean over the draws."""

LARGEST_LEDGER = 4096
"""Ids that are known one by one; of more, all up to the largest of the others count as known."""

_OPEN = -1
"""`EvidenceState.shut` while the difference matters."""

_KEPT: dict[Unit, int] = {"sample": 2048, "group": 400}  # new units whose scores each martingale keeps as they are
_SIZES = 20  # groups of which more than half have to be smaller than k for another k
_KEYS = 512  # groups already counted whose later samples are known to be late
_NO_IDS: Ids = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceState:
    """What the next look goes on with. Never changed: `count` and `look` make others.

    Attributes:
        seed: Of every draw and tie break.
        unit: What counts as one: `sample` or `group`.
        chosen: Whether that is settled: by ten groups or more, or because there are no groups.
        size: k, how many samples of a group count; 1 where the sample is the unit.
        reference: What new units are compared with, in ascending order of ids.
        known: int64[j], ascending: samples that are neither new nor in `reference`.
        known_to: Samples with ids up to this are known, too.
        keys: int64, the groups that were counted last.
        sizes: int64[0..20], the sizes of the last groups since the start.
        recent: What came last, in the order in which it was counted.
        martingales: One, or one per draw.
        added: New samples that were counted.
        units: New units that were counted.
        small: New groups that were too small to be counted.
        starts: How often the martingale started.
        gate: Whether the difference mattered at the last look.
        shut: How many samples had been counted when it was first found not to, and what came last to be back at the
            reference, since it last was otherwise, while the alarm lasts; -1 where it is otherwise.
        alarm: Whether there is one.
        raised: What had come last when it was raised, or later while it differed most from the reference; none without
            an alarm, of errors, and where that is not known.
        looked: Digest of the scores of the last look: the same are no other look.
    """

    seed: int
    unit: Unit
    chosen: bool
    size: int
    reference: Kept
    known: Ids
    known_to: int
    keys: Ids
    sizes: Ids
    recent: Kept
    martingales: tuple[MartingaleState, ...]
    added: int = 0
    units: int = 0
    small: int = 0
    starts: int = 1
    gate: bool = False
    shut: int = _OPEN
    alarm: bool = False
    raised: Kept = field(default_factory=Kept.none)
    looked: int = 0

    @property
    def evidence(self) -> float:
        """log10 of the capital M, the mean over the draws; `martingale.ALARM` and more is significant."""
        return float(mean_evidence(np.concatenate([each.log_capital for each in self.martingales])))

    @property
    def sufficient(self) -> bool:
        """Whether there are samples enough for a verdict."""
        return not insufficient(len(self.reference), len(self.recent))

    @property
    def left_out(self) -> int:
        """Groups too small to be counted, of the reference and since."""
        sizes = np.unique(self.reference.group, return_counts=True)[1] if self.unit == "group" else _NO_IDS
        return self.small + int((sizes < self.size).sum())

    def knows(self, sample_id: Ids) -> npt.NDArray[np.bool_]:
        """bool[k], which samples are in the reference, or were counted or left out."""
        known = contains(self.known, sample_id) | contains(self.reference.id, sample_id)
        return known | (sample_id <= self.known_to)


def begin(reference: Scores, choice: UnitChoice | None, seed: int, bets: Bets = drift_bets) -> EvidenceState:
    """A state that has seen nothing new.

    Args:
        reference: The samples of a baseline.
        choice: The unit, as the baseline decided it; None: by `choose_unit` of these. With too few groups none counts.
        seed: Of every draw, 0 to 2**64 - 1.
        bets: `drift_bets` or `error_bets`, the same in `count` and `look`.
    """
    groups = 0 if reference.group is None else len(np.unique(reference.group))
    if reference.group is None or groups < FEWEST_GROUPS:
        choice = UnitChoice()  # also where more groups that came later have chosen since
    elif choice is None or not choice.known:
        choice = choose_unit(reference.value, np.unique(reference.group, return_inverse=True)[1])
    return _compared_with(Kept.of(reference), choice.unit, seed, bets, chosen=choice.known or reference.group is None)


def count(state: EvidenceState, now: Scores, moment: np.datetime64, bets: Bets = drift_bets) -> EvidenceState:
    """Bet on the units that are new.

    The same units in the same order give the same evidence, at one look or at many. A sample that arrives late is
    counted when it arrives, unless its group was; one counted before stays so, whatever became of it since.

    Args:
        state: Where to go on from.
        now: All scores of now.
        moment: datetime64, the time of the look: which groups are over.
        bets: As for `begin`.

    Returns:
        The state after them; `state` itself where none is new.
    """
    new = now.take(~state.knows(now.id))
    if state.unit == "group":
        return _groups_counted(state, new.take(~(new.is_over > moment)), bets)
    if len(new.id):
        kept = Kept.of(new).take(np.lexsort((new.id, new.added))).ungrouped()
        (martingale,) = state.martingales
        state = replace(
            state,
            martingales=(advance(martingale, kept.id, kept.value, bets),),
            recent=_last(state.recent.and_(kept)),
            added=state.added + len(kept),
            units=state.units + len(kept),
            **_ledger(state, kept.id),
        )
    return state if state.chosen or state.alarm else _chosen_again(state, now, moment, bets)


def look(state: EvidenceState, now: Scores, limit: float | None, seed: int, bets: Bets = drift_bets) -> EvidenceState:
    """See whether the difference matters, and raise or end the alarm.

    Args:
        state: After `count`.
        now: All scores of now; the same as at the last look are no other look.
        limit: The block's threshold; None takes the reference's 0.95 quantile.
        seed: Of the permutations.
        bets: As for `begin`.
    """
    digest = look_digest(now)
    if digest == state.looked or not state.sufficient:
        return replace(state, looked=digest)
    between = _effects(state, limit, seed)
    found = between(state.reference, state.recent)
    gate = found.gate(was_open=state.gate)
    told = between(state.reference, state.raised) if len(state.raised) else None
    back = gate or told is None or is_nearer(found, between(state.raised, state.recent), told)
    after = latched(replace(state, looked=digest), gate, bets, back=back)
    raises = after.alarm and (not state.alarm or (gate and told is not None and found.size > told.size))
    return replace(after, raised=after.recent) if raises else after


def _effects(state: EvidenceState, limit: float | None, seed: int) -> Callable[[Kept, Kept], Effect]:
    """How far apart two of the state's parts are, in one unit and at one threshold."""
    ascending = np.sort(state.reference.value)
    scale = unit_of_scores(ascending, np.sort(state.recent.value))
    limit = limit_of_scores(ascending) if limit is None else limit

    def between(one: Kept, other: Kept) -> Effect:
        units = (one.group, other.group) if state.unit == "group" else None
        return effect(one.value, other.value, limit, seed, units, scale)

    return between


def look_digest(now: Scores) -> int:
    """Tells looks apart, by all scores of now; never 0."""
    return zlib.crc32(now.value.tobytes(), zlib.crc32(now.id.tobytes())) + 1


def latched(state: EvidenceState, gate: bool, bets: Bets = drift_bets, *, back: bool = True) -> EvidenceState:
    """The state after a look at which the gate was found open or shut.

    The alarm is raised by evidence of `martingale.ALARM` while the gate is open, and lasts until the gate was shut, and
    what came last was back at the reference, at two looks, and all between them, that share nothing of what they
    compared: looks that share some are no two opinions, and small changes are below the gate's level by chance for some
    days. The capital itself sinks as drifted units join those that new ones are ranked with, which is no recovery.
    Then the martingale starts again from 1, with the reference as it was; what was counted before is neither
    reference nor counted again.
    """
    state = replace(state, gate=gate)
    if gate:
        return replace(state, shut=_OPEN, alarm=state.alarm or state.evidence >= ALARM)
    if not state.alarm:
        return state
    if not back:
        return replace(state, shut=_OPEN)
    if state.shut == _OPEN:
        return replace(state, shut=state.added)
    if state.added - state.shut < len(state.recent):
        return state
    return replace(_restarted(state, state.size, bets), shut=_OPEN, alarm=False, raised=Kept.none())


def contains(known: Ids, wanted: Ids) -> npt.NDArray[np.bool_]:
    """bool[k], which of `wanted` are among `known` (ascending)."""
    if not len(known):
        return np.zeros(len(wanted), np.bool_)
    found: npt.NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, wanted), len(known) - 1)] == wanted
    return found


def _compared_with(samples: Kept, unit: Unit, seed: int, bets: Bets, *, chosen: bool) -> EvidenceState:
    """A state that compares with these samples, of which as many are kept as may be."""
    size = common_size(np.unique(samples.group, return_counts=True)[1]) if unit == "group" else 1
    reference = reduced(samples, unit, seed)
    if chosen and unit == "sample":
        reference = reference.ungrouped()
    state = EvidenceState(
        seed=seed,
        unit=unit,
        chosen=chosen,
        size=size,
        reference=reference,
        known=_NO_IDS,
        known_to=int(np.iinfo(np.int64).min),
        keys=_NO_IDS,
        sizes=_NO_IDS,
        recent=Kept.none(),
        martingales=_started(reference, unit, size, seed, bets),
    )
    return replace(state, **_ledger(state, samples.id[~contains(reference.id, samples.id)]))


def _started(reference: Kept, unit: Unit, size: int, seed: int, bets: Bets) -> tuple[MartingaleState, ...]:
    """Martingales that have seen nothing."""
    if unit == "sample":
        return (start(reference.value, seed, bets, _KEPT[unit]),)
    seeds = [_seed(seed, draw) for draw in range(DRAWS)]
    return tuple(start(drawn_means(reference, size, each)[1], each, bets, _KEPT[unit]) for each in seeds)


def _restarted(state: EvidenceState, size: int, bets: Bets) -> EvidenceState:
    """The state with a capital of 1 and the reference as it was."""
    martingales = _started(state.reference, state.unit, size, _seed(state.seed, DRAWS * state.starts), bets)
    return replace(state, martingales=martingales, size=size, starts=state.starts + 1, sizes=_NO_IDS)


def _chosen_again(state: EvidenceState, now: Scores, moment: np.datetime64, bets: Bets) -> EvidenceState:
    """The state once enough groups are known to say what the unit is: those of the reference, and those counted.

    Where it is the group, the martingale starts again, with all that is known as the reference. Where the sample
    remains the unit, it goes on: nothing about it has changed.
    """
    if now.group is None:
        return state
    over = ~(now.is_over > moment)
    group = np.unique(now.group[over], return_inverse=True)[1]
    if int(group.max(initial=-1)) + 1 < FEWEST_GROUPS:
        return state
    choice = choose_unit(now.value[over], group)
    if choice.unit == "sample":
        return replace(state, chosen=True, reference=state.reference.ungrouped())
    gone = state.reference.take(~np.isin(state.reference.id, now.id) & (state.reference.group != 0))
    seed = _seed(state.seed, DRAWS * state.starts)
    again = _compared_with(Kept.of(now).and_(gone), choice.unit, seed, bets, chosen=True)
    again = replace(again, known_to=max(state.known_to, again.known_to))
    before = np.setdiff1d(np.concatenate([state.known, state.reference.id]), again.reference.id)
    return replace(
        again,
        added=state.added,
        units=state.units,
        starts=state.starts + 1,
        looked=state.looked,
        **_ledger(again, before),
    )


def _groups_counted(state: EvidenceState, over: Scores, bets: Bets) -> EvidenceState:
    """The state after new samples whose groups are over."""
    if not len(over.id):
        return state
    state = replace(state, **_ledger(state, over.id))
    on_time = ~np.isin(Kept.of(over).group, state.keys)
    samples = Kept.of(over.take(on_time))
    key, first, sizes = np.unique(samples.group, return_index=True, return_counts=True)
    order = np.lexsort((key, over.is_over[on_time][first]))
    key = key[order]
    sizes = sizes[order]
    while len(key):
        until, size = _next_size(state, sizes)
        state = _bet_on_groups(state, samples, key[:until], sizes[:until], bets)
        if size is not None:
            state = _restarted(state, size, bets)
        key = key[until:]
        sizes = sizes[until:]
    return state


def _next_size(state: EvidenceState, sizes: Ids) -> tuple[int, int | None]:
    """How many of the next groups count by the k of now, and the k after them; None where it stays."""
    seen = np.concatenate([state.sizes, sizes])
    small = np.concatenate([[0], np.cumsum(seen < state.size)])
    ends = np.arange(max(_SIZES, len(state.sizes) + 1), len(seen) + 1)
    too_many = ends[small[ends] - small[ends - _SIZES] > _SIZES // 2]
    if not len(too_many):
        return len(sizes), None
    end = int(too_many[0])
    return end - len(state.sizes), common_size(seen[end - _SIZES : end])


def _bet_on_groups(state: EvidenceState, samples: Kept, key: Ids, sizes: Ids, bets: Bets) -> EvidenceState:
    """The state after these groups, in this order."""
    these = samples.take(np.isin(samples.group, key))
    counted = key[sizes >= state.size]
    martingales = []
    for draw, martingale in enumerate(state.martingales):
        of, means = drawn_means(these, state.size, _seed(state.seed, draw))
        martingales.append(advance(martingale, counted, means[np.searchsorted(of, counted)], bets))
    few = thinned(these, state.seed)
    rank = np.argsort(key)
    few = few.take(np.argsort(rank[np.searchsorted(key[rank], few.group)], kind="stable"))
    return replace(
        state,
        martingales=tuple(martingales),
        recent=newest_groups(state.recent.and_(few)),
        keys=np.concatenate([state.keys, key])[-_KEYS:],
        sizes=np.concatenate([state.sizes, sizes])[-_SIZES:],
        added=state.added + len(these),
        units=state.units + len(counted),
        small=state.small + len(key) - len(counted),
    )


def _last(recent: Kept) -> Kept:
    return recent.take(np.arange(max(len(recent) - RECENT, 0), len(recent)))


def _ledger(state: EvidenceState, sample_id: Ids) -> dict[str, Any]:
    """The fields `known` and `known_to` with more samples known."""
    known = np.sort(np.concatenate([state.known, sample_id]))  # NumPy's `unique` takes five times as long
    known = known[np.diff(known, prepend=known[:1] - 1) > 0]
    known_to = max(state.known_to, int(known[-LARGEST_LEDGER - 1])) if len(known) > LARGEST_LEDGER else state.known_to
    return {"known": known[known > known_to], "known_to": known_to}


def _seed(seed: int, number: int) -> int:
    """Another seed for each number."""
    return (seed + number * 0x9E3779B97F4A7C15) % 2**64
