"""Evidence over units: which samples count, groups, the alarm that latches, and what is kept of it all."""

import io
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from monitor.compare.evidence import DRAWS, EvidenceState, begin, count, latched, look
from monitor.compare.evidence_bytes import dump_evidence, load_evidence
from monitor.compare.evidence_samples import Kept, Scores, rounded
from monitor.compare.martingale import ALARM, uniform
from monitor.figures.groups import UnitChoice
from tests.growth import LINEAR, growth

DAY = np.timedelta64(1, "D")
FIRST = np.datetime64("2026-01-01", "ms")
GROUP, SAMPLE = UnitChoice("group", 20, 0.2, 3.0, 5.0), UnitChoice("sample", 20, 0.0, 1.0, 1.05)


def scores(values: np.ndarray, first_id: int = 0, day: int = 0, groups: np.ndarray | None = None) -> Scores:
    """Samples with ascending ids from `first_id`; `groups` are days after `day`, whose group is over a day later."""
    ids = np.arange(first_id, first_id + len(values))
    if groups is None:
        return Scores(ids, values, FIRST + ids * np.timedelta64(1, "m"))
    added = FIRST + (day + groups) * DAY
    return Scores(ids, values, added, 1000 + day + groups, added + DAY)


def alike(rng: np.random.Generator, sizes: np.ndarray, icc: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of variance 1 whose groups of these sizes share a part of it; and each one's group."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    own = rng.normal(size=len(sizes))[groups]
    return np.sqrt(icc) * own + np.sqrt(1 - icc) * rng.normal(size=len(groups)), groups


def blocks(
    rng: np.random.Generator, sizes: np.ndarray, icc: float, first_id: int, day: int, shift: float = 0.0
) -> Scores:
    """Samples of groups that are alike."""
    values, groups = alike(rng, sizes, icc)
    return scores(values + shift, first_id, day, groups)


def at(day: int) -> np.datetime64:
    """A moment."""
    return FIRST + day * DAY


# The sample as the unit


def test_new_samples_count_in_the_order_of_their_dates() -> None:
    """However the rows of a look are ordered, and however looks split them, the evidence is the same."""
    rng = np.random.default_rng(1)
    begun = begin(scores(rng.normal(size=100)), None, 1)
    new = scores(rng.normal(size=30), 100)
    shuffled = rng.permutation(30)
    mixed = Scores(new.id[shuffled], new.value[shuffled], new.added[shuffled])
    halves = count(begun, new.take(new.id < 117), at(0))

    assert dump_evidence(count(begun, new, at(0))) == dump_evidence(count(begun, mixed, at(0)))
    assert count(begun, new, at(0)).evidence == pytest.approx(count(halves, new, at(0)).evidence, abs=1e-12)


def test_a_sample_counts_once() -> None:
    """Samples of the reference and samples counted before change nothing, even with another score."""
    rng = np.random.default_rng(2)
    state = count(begin(scores(rng.normal(size=100)), None, 1), scores(rng.normal(size=20), 100), at(0))

    assert count(state, scores(rng.normal(size=120) + 5), at(1)) is state


def test_what_came_last() -> None:
    """The last 200 new samples are what a look compares, in the order in which they came."""
    rng = np.random.default_rng(3)
    state = begin(scores(rng.normal(size=100)), None, 1)
    for day in range(30):
        state = count(state, scores(rng.normal(size=20), 100 + 20 * day), at(day))

    assert state.recent.id.tolist() == list(range(500, 700))
    assert (state.added, state.units) == (600, 600)


# Groups


def test_a_group_counts_once_it_is_over() -> None:
    """A group counts when it is over, by the mean of k of its samples; smaller ones and late samples are left out."""
    rng = np.random.default_rng(4)
    state = begin(blocks(rng, np.full(20, 10), 0.2, 0, 0), GROUP, 1)
    assert (state.unit, state.size, len(state.martingales)) == ("group", 10, DRAWS)
    new = blocks(rng, np.array([12, 9, 30]), 0.2, 1000, 100)

    assert count(state, new, at(100)) is state
    first = count(state, new, at(101))
    assert (first.added, first.units, first.left_out) == (12, 1, 0)
    late = Scores(np.array([5000]), np.zeros(1), np.array([at(100)]), np.array([1100]), np.array([at(101)]))
    assert count(first, late, at(102)).evidence == first.evidence
    assert count(first, late, at(102)).added == 12
    every = count(first, new, at(110))
    assert (every.added, every.units, every.left_out) == (51, 2, 1)


def test_the_evidence_of_groups_is_the_mean_over_draws_of_their_means() -> None:
    """Each draw ranks the mean of k samples of a new group among those of the reference's groups: here the first bet,
    by hand.
    """
    rng = np.random.default_rng(5)
    reference = blocks(rng, np.full(15, 6), 0.3, 0, 0)
    new = blocks(rng, np.array([8]), 0.3, 1000, 50, shift=1.0)
    state = count(begin(reference, GROUP, 7), new, at(60))

    assert reference.group is not None
    for draw, martingale in enumerate(state.martingales):
        seed = (7 + draw * 0x9E3779B97F4A7C15) % 2**64
        values = []
        for of in (new, *(reference.take(reference.group == key) for key in np.unique(reference.group))):
            chosen = np.argsort(uniform(seed, of.id))[:6]
            values.append(np.float32(np.float32(of.value[chosen]).astype(float).mean()))
        larger = sum(other > values[0] for other in values[1:])
        p = (larger + uniform(seed, np.array([1050]))[0]) / 16
        steps = [density if (p <= 0.05) else (1 - density * 0.05) / 0.95 for density in (2, 4)]
        upper = [density if (p >= 0.95) else (1 - density * 0.05) / 0.95 for density in (2, 4)]
        off = abs(p - 0.5)
        middle = [1.6 if off <= 0.25 else 0.4, 0.4 if off <= 0.25 else 1.6, 3 if off <= 0.1 else 0.5]
        powers = [4 if off >= 0.45 else 2 / 3, 3 * (1 - p) ** 2, 3 * p**2, 6 * (1 - p) ** 5, 6 * p**5]
        mean = np.mean([1, 0.5 + p, 1.5 - p, *steps, *upper, *middle, *powers])

        assert martingale.evidence == pytest.approx(np.log10(mean), abs=1e-9)
    capital = [10**each.evidence for each in state.martingales]
    assert state.evidence == pytest.approx(np.log10(np.mean(capital)), abs=1e-9)


def test_a_group_with_samples_on_both_sides_is_two_units() -> None:
    """New samples of a group that the reference has count as a group of their own."""
    rng = np.random.default_rng(6)
    reference = blocks(rng, np.full(20, 10), 0.2, 0, 0)
    state = begin(reference, GROUP, 1)
    more = blocks(rng, np.array([10]), 0.2, 1000, 19)
    assert more.group is not None
    assert more.group[0] in state.reference.group

    assert (count(state, more, at(30)).units, len(state.martingales[0].level)) == (1, 20)


def test_k_follows_groups_that_became_smaller() -> None:
    """k is the 20 % quantile of the baseline's sizes; once more than half of the last 20 groups are smaller, the
    evidence starts again with k from theirs.
    """
    rng = np.random.default_rng(7)
    sizes = np.arange(1, 41)
    state = begin(blocks(rng, sizes, 0.1, 0, 0), GROUP, 1)
    assert (state.size, state.left_out) == (8, 7)

    few = np.tile([20, 4], 10)  # half of 20 are smaller
    same = count(state, blocks(rng, few, 0.1, 10_000, 100), at(200))
    assert (same.size, same.starts, same.units) == (8, 1, 10)
    more = count(same, blocks(rng, np.array([5]), 0.1, 20_000, 200), at(300))  # now 11 of 20
    assert (more.size, more.starts, more.evidence) == (4, 2, 0.0)
    assert more.left_out == 3 + 11
    at_once = count(state, blocks(np.random.default_rng(8), np.append(few, 5), 0.1, 10_000, 100), at(300))
    assert (at_once.size, at_once.starts) == (4, 2)


@pytest.mark.parametrize("icc", [0.0, 0.3])
@pytest.mark.parametrize("equal", [True, False])
def test_quiet_groups_do_not_alarm(icc: float, equal: bool) -> None:
    """Of 40 quiet targets whose groups are alike, of equal sizes or 1 to 40, hardly one ever alarms in 200 days."""
    alarms = 0
    for target in range(40):
        rng = np.random.default_rng([target, equal])
        sizes = np.full(260, 20) if equal else rng.integers(1, 41, 260)
        state = begin(blocks(rng, sizes[:30], icc, 0, 0), GROUP, target)
        most = 0.0
        for turn in range(20):
            day, these = 100 + 10 * turn, sizes[30 + 10 * turn : 40 + 10 * turn]
            state = count(state, blocks(rng, these, icc, 10_000 * (1 + turn), day), at(day + 20))
            most = max(most, state.evidence)
        alarms += most >= ALARM

    assert alarms <= 2  # at 1 % more than 2 of 40 has a chance of 0.7 %


def test_samples_of_groups_that_are_alike_would_alarm() -> None:
    """The same targets, taken by samples, alarm in most cases: that is what groups are for."""
    alarms = 0
    for target in range(20):
        rng = np.random.default_rng(target)
        state = begin(blocks(rng, np.full(15, 20), 0.3, 0, 0), SAMPLE, target)
        for turn in range(10):
            state = count(state, blocks(rng, np.full(10, 20), 0.3, 10_000 * (1 + turn), 100 + 10 * turn), at(900))
            if state.evidence >= ALARM:
                alarms += 1
                break

    assert alarms >= 10


def test_a_shift_of_groups_is_found() -> None:
    """A shift by a standard deviation of groups that are alike is found within 15 of them."""
    found = 0
    for target in range(20):
        rng = np.random.default_rng(target)
        state = begin(blocks(rng, np.full(15, 20), 0.1, 0, 0), GROUP, target)
        found += count(state, blocks(rng, np.full(15, 20), 0.1, 10_000, 100, 1.0), at(900)).evidence >= ALARM

    assert found >= 18


def test_the_unit_is_chosen_once_ten_groups_are_known() -> None:
    """A baseline that came at once says nothing about groups: the sample is the unit, until ten groups are known; then
    groups that are alike become the unit, and all that is known the reference.
    """
    rng = np.random.default_rng(10)
    whole = blocks(rng, np.array([200, *[20] * 12]), 0.5, 0, 0)
    state = begin(whole.take(whole.id < 200), None, 1)
    assert (state.unit, state.chosen) == ("sample", False)

    state = count(state, whole.take(whole.id < 200 + 8 * 20), at(9))  # the eighth of them is over: nine groups
    assert (state.unit, state.chosen, state.starts, state.units) == ("sample", False, 1, 160)
    now = whole.take(whole.id < 200 + 10 * 20)
    state = count(state, now, at(10))
    assert (state.unit, state.chosen, state.starts, state.evidence) == ("group", True, 2, 0.0)
    assert state.size == 20
    assert state.knows(now.id).all()
    assert len(state.recent) == 0
    assert count(state, whole, at(30)).units == state.units + 2


def test_samples_that_are_not_alike_stay_the_unit() -> None:
    """Where ten groups show that samples are not alike, the sample stays the unit, and its evidence goes on."""
    rng = np.random.default_rng(11)
    whole = blocks(rng, np.full(800, 2), 0.0, 0, 0)
    state = begin(whole.take(whole.id < 2), None, 1)
    before = count(state, whole, at(1))
    after = count(before, whole, at(900))

    assert (before.chosen, after.chosen, after.unit, after.starts) == (False, True, "sample", 1)
    assert before.evidence == after.evidence


# The alarm


def raised(seed: int = 1) -> EvidenceState:
    """A state with significant evidence."""
    rng = np.random.default_rng(seed)
    return count(begin(scores(rng.normal(size=200)), None, 1), scores(rng.normal(size=100) + 2, 1000), at(0))


def test_the_alarm_needs_both_and_lasts() -> None:
    """Evidence with a shut gate is no alarm; once raised it lasts whatever the evidence does, and over a single look at
    which the gate was shut.
    """
    state = raised()
    assert not latched(state, gate=False).alarm
    state = latched(state, gate=True)
    assert state.alarm
    state = latched(latched(latched(state, gate=False), gate=True), gate=False)

    assert (state.alarm, state.shut, state.starts) == (True, 100, 1)


def shut_again(state: EvidenceState, more: int) -> EvidenceState:
    """The state after another look at a shut gate, before which so many quiet samples came."""
    new = scores(np.random.default_rng(3).normal(size=more), 50_000)
    return latched(count(latched(state, gate=False), new, at(2)), gate=False)


def test_looks_at_the_same_samples_are_one_opinion() -> None:
    """Shut looks end an alarm only where they share none of the samples that they looked at."""
    state = latched(raised(), gate=True)

    assert latched(latched(state, gate=False), gate=False).alarm
    assert shut_again(state, 140).alarm
    assert not shut_again(state, 200).alarm


def test_an_alarm_is_over_after_two_shut_looks() -> None:
    """Then the evidence starts again from 1, with the reference as it was: what was counted is neither reference nor
    counted again, and the same drift alarms again.
    """
    rng = np.random.default_rng(12)
    state = latched(raised(), gate=True)
    over = shut_again(state, 200)

    assert (over.alarm, over.evidence, over.starts, over.shut) == (False, 0.0, 2, -1)
    assert over.reference.value.tolist() == state.reference.value.tolist()
    assert int(over.martingales[0].count.sum()) == 200
    assert count(over, scores(rng.normal(size=100), 1000), at(1)) is over
    assert count(over, scores(rng.normal(size=60) + 2, 2000), at(1)).evidence >= ALARM


def less_chance(one: np.ndarray, other: np.ndarray, scale: float) -> float:
    """SciPy's distance less its mean under permutation, in units of `scale`."""
    rng = np.random.default_rng(98)
    pooled = np.concatenate([one, other])
    drawn = [rng.permutation(pooled) for _ in range(500)]
    chance = np.mean([wasserstein_distance(each[: len(one)], each[len(one) :]) for each in drawn])
    return float((wasserstein_distance(one, other) - chance) / scale)


@pytest.mark.parametrize("changed", [0.02, 0.15, 0.4])
@pytest.mark.parametrize("moved", [0.0, 0.1])
def test_a_shut_look_counts_where_what_came_last_is_back(changed: float, moved: float) -> None:
    """A look at a shut gate counts towards the end of an alarm only if what came last is nearer to the reference than
    to what raised the alarm, by 0.6 of what these two differ by, where that matters at all.
    """
    normal = NormalDist()
    reference, recent = (
        rounded(np.array([normal.inv_cdf((rank + 0.5) / size) for rank in range(size)])) for size in (300, 200)
    )
    raised = rounded(recent + changed)
    recent = recent + moved
    now = scores(recent, 1000)
    begun = count(begin(scores(reference), None, 1), now, at(0))
    state = replace(begun, alarm=True, gate=True, raised=Kept(np.arange(200), raised, np.zeros(200, np.int64)))
    scale = np.subtract(*np.quantile(reference, [0.75, 0.25])) / 1.349
    distance, other = less_chance(reference, recent, scale), less_chance(raised, recent, scale)
    between = less_chance(reference, raised, scale)

    state = look(state, now, None, 1)

    assert distance < 0.07
    assert abs(between - 0.1) > 0.01  # nothing is at the mercy of the permutations
    assert between < 0.1 or abs(distance + 0.6 * between - other) > 0.01
    assert not state.gate
    assert (state.shut != -1) == (between < 0.1 or distance + 0.6 * between <= other)
    assert load_evidence(dump_evidence(state), None).raised.value.tolist() == state.raised.value.tolist()


@pytest.mark.parametrize("over", [0.0, 0.1])
def test_what_a_threshold_told_ends_by_it(over: float) -> None:
    """An alarm that was raised by the share above the threshold, while hardly anything moved, is over where that share
    is as in the reference, and lasts while it is not.
    """
    quiet = rounded(np.concatenate([np.linspace(0, 0.9, 160), np.full(40, 0.97)]))
    changed = np.where(np.arange(200) >= 180, 1.03, quiet)
    recent = np.where(np.arange(200) >= 200 - 200 * over, 1.03, quiet)
    begun = count(begin(scores(quiet), None, 1), scores(recent, 1000), at(0))
    state = replace(begun, alarm=True, raised=Kept(np.arange(200), rounded(changed), np.zeros(200, np.int64)))

    state = look(state, scores(recent, 1000), 1.0, 1)

    assert (state.shut != -1) == (not over)
    assert state.alarm


def test_the_same_scores_are_no_other_look() -> None:
    """A look at what was looked at already neither opens nor shuts the gate."""
    rng = np.random.default_rng(13)
    now = scores(rng.normal(size=100), 1000)
    state = latched(raised(), gate=True)
    state = look(state, now, None, 1)

    assert look(state, now, None, 2) is not None
    assert (look(state, now, None, 2).shut, look(state, now, None, 2).gate) == (state.shut, state.gate)


@pytest.mark.parametrize("shift", [1.0, 0.5])
def test_a_shift_after_a_quiet_year_alarms_with_its_evidence(shift: float) -> None:
    """After 365 quiet days of 20 samples, the alarm comes within 1.3 times the day of the evidence."""
    rng = np.random.default_rng(14)
    for target in range(3):
        begun = begin(scores(rng.normal(size=300)), None, target)
        state = count(begun, scores(rng.normal(size=7300), 1000), at(0))
        significant = None
        for day in range(1, 60):
            now = scores(rng.normal(size=20) + shift, 100_000 + 20 * day)
            state = look(count(state, now, at(day)), now, None, day)
            if state.evidence >= ALARM and significant is None:
                significant = day
            if state.alarm:
                break

        assert significant is not None
        assert state.alarm
        assert day <= np.ceil(1.3 * significant)


def test_an_alarm_lasts_while_the_change_does() -> None:
    """Over 60 days of a shift that lasts, the alarm is never over, though the evidence sinks; after the change it is
    over within 20 days.
    """
    rng = np.random.default_rng(15)
    state = begin(scores(rng.normal(size=300)), None, 1)
    alarms = []
    for day in range(90):
        now = scores(rng.normal(size=20) + (0.7 if day < 60 else 0), 1000 + 20 * day)
        state = look(count(state, now, at(day)), now, None, day)
        alarms.append(state.alarm)

    assert alarms.index(True) < 15
    assert all(alarms[alarms.index(True) : 60])
    assert not any(alarms[80:])


# What is kept


@pytest.mark.parametrize("unit", ["sample", "group"])
def test_the_state_is_small(unit: str) -> None:
    """Whatever came in, the state has fewer than 40,000 bytes, which bounds what a look at it compares, and comes back
    to the last bit.
    """
    rng = np.random.default_rng(16)
    steps = rng.integers(1, 200, 60_000)
    sizes = np.full(3000, 20)
    values, groups = alike(rng, sizes, 0.1)
    added = FIRST + groups * DAY
    every = Scores(np.cumsum(steps) + 10**8, values, added, groups.astype(np.int64) * 2**40, added + DAY)
    state = begin(every.take(groups < 1000), GROUP if unit == "group" else SAMPLE, 2**64 - 1)
    state = look(count(state, every, at(5000)), every, None, 1)
    data = dump_evidence(state)

    assert state.added == 40_000
    assert len(data) < 40_000
    assert dump_evidence(load_evidence(data, None)) == data


@pytest.mark.parametrize("choice", [SAMPLE, GROUP], ids=["sample", "group"])
def test_cost(choice: UnitChoice) -> None:
    """Counting many new samples at once costs no more than they are more."""
    rng = np.random.default_rng(18)
    begun = begin(blocks(rng, np.full(30, 20), 0.1, 0, 0), choice, 1)

    def counting(size: int) -> Callable[[], EvidenceState]:
        new = blocks(rng, np.full(size // 20, 20), 0.1, 600, 30)
        return lambda: count(begun, new, at(size))

    assert growth(counting, 2000) < LINEAR


def test_a_state_that_went_through_bytes_goes_on_as_one_that_did_not() -> None:
    """Evidence, unit and alarm are the same whether or not the state was stored at each look."""
    rng = np.random.default_rng(17)
    kept = stored = begin(blocks(rng, np.full(15, 20), 0.1, 0, 0), GROUP, 3)
    for turn in range(8):
        now = blocks(rng, np.full(6, 20), 0.1, 10_000 * (turn + 1), 100 + 10 * turn, shift=turn / 4)
        kept = look(count(kept, now, at(900)), now, 2.0, turn)
        stored = load_evidence(dump_evidence(stored), 2.0)
        stored = look(count(stored, now, at(900)), now, 2.0, turn)

        assert dump_evidence(kept) == dump_evidence(stored)
    assert kept.alarm


@pytest.mark.parametrize("damaged", [b"", b"no archive", None])
def test_bytes_that_are_no_state_are_refused(damaged: bytes | None) -> None:
    """Damaged bytes raise a ValueError that says what to do, and nothing else."""
    whole = dump_evidence(raised())

    with pytest.raises(ValueError, match="pin the baseline again"):
        load_evidence(whole[: len(whole) // 2] if damaged is None else damaged, None)


def test_bytes_of_a_newer_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of a newer format is named as such instead of being misread."""
    monkeypatch.setattr("monitor.compare.evidence_bytes._VERSION", 3)
    newer = dump_evidence(raised())
    monkeypatch.undo()

    with pytest.raises(ValueError, match="has format 3, this version reads 2"):
        load_evidence(newer, None)


@pytest.mark.parametrize(("shift", "capital", "alarm"), [(2.0, 12.0, True), (2.0, 2.0, False), (0.0, 12.0, False)])
def test_a_state_of_the_first_format_starts_again(shift: float, capital: float, alarm: bool) -> None:
    """It keeps its reference, counts nothing twice, and its alarm lasts where it was one by the formulas of then."""
    rng = np.random.default_rng(18)
    reference, counted = rng.normal(size=150), rng.normal(size=150) + shift
    if not shift:
        counted = reference + 1e-3
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.int64(1),
        seed=np.uint64(5),
        reference_id=np.arange(150),
        reference=reference,
        counted_id=np.arange(500, 650),
        counted=counted,
        shares=np.full((4, 7), 1 / 7),
        log_capital=np.full(4, capital),
        peak=np.float64(9.0),
    )

    state = load_evidence(buffer.getvalue(), 1.0)

    assert state.reference.value.tolist() == pytest.approx(reference.tolist(), rel=1e-6)
    assert (state.evidence, state.starts, state.added, state.alarm) == (0.0, 2, 150, alarm)
    assert state.recent.id.tolist() == list(range(500, 650))
    assert count(state, scores(np.zeros(150), 500), at(0)) is state
