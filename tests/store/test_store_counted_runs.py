"""Runs that say nothing new are counted by the one before; everything that asks for runs is true to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.errors import PullState
from monitor.results import ResultSet
from monitor.store import Baseline, Run, Store
from monitor.store.engine import parse
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, result_set

OTHER = "7-2-float32-testing"
CONTENT = result_set()
FOUND = Run(
    TARGET,
    started=5.0,
    finished=10.0,
    state=PullState.OK,
    last_change=3.0,
    trained=2.0,
    impulse_stale=False,
    evaluation=EVALUATION,
    comparison=COMPARISON,
    selection="label wave",
)


def later(run: Run, finished: float, **changes: Any) -> Run:
    """The same run, later."""
    return replace(run, started=finished - 1, finished=finished, **changes)


async def test_a_run_that_says_nothing_new_is_counted(store: Store) -> None:
    """Equal runs in a row are one, with the times of the first, the end of the last, and their number."""
    numbers = [await add(store, later(FOUND, finished), CONTENT) for finished in (10, 20, 30)]
    (found,) = await store.runs(TARGET)

    assert {found.id} == set(numbers)
    assert (9, 10, 30, 3) == (found.started, found.finished, found.last_seen, found.times)
    assert found == await store.last_good(TARGET) == await store.run(numbers[0])
    assert (EVALUATION, COMPARISON) == (found.evaluation, found.comparison)


async def test_a_run_alone(store: Store) -> None:
    """A run that nothing has counted yet was last seen when it finished."""
    await add(store, FOUND, CONTENT)
    (found,) = await store.runs(TARGET)

    assert (10.0, 10.0, 1) == (found.finished, found.last_seen, found.times)


CHANGES: list[Callable[[Run], Run]] = [
    lambda run: replace(run, state=PullState.AUTH),
    lambda run: replace(run, changed=True),
    lambda run: replace(run, last_change=None),
    lambda run: replace(run, last_change=4.0),
    lambda run: replace(run, trained=None),
    lambda run: replace(run, trained=2.5),
    lambda run: replace(run, impulse_stale=None),
    lambda run: replace(run, impulse_stale=True),
    lambda run: replace(run, evaluation=replace(EVALUATION, samples=51)),
    lambda run: replace(run, evaluation=None),
    lambda run: replace(run, comparison=replace(COMPARISON, notes=("another note",))),
    lambda run: replace(run, comparison=None),
    lambda run: replace(run, selection=""),
    lambda run: replace(run, error="no reply"),
    lambda run: replace(run, finished=9.0),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_is_new_is_a_row(store: Store, change: Callable[[Run], Run]) -> None:
    """A run in which anything is new, or before which the clock was set back, is a row of its own."""
    await add(store, FOUND, CONTENT)
    await add(store, change(later(FOUND, 20)), CONTENT)

    assert [1, 1] == [found.times for found in await store.runs(TARGET)]


async def test_another_result_set_is_a_row(store: Store) -> None:
    """Another content is another run, and so is the first one when it comes back."""
    for finished, seed in ((10, 1), (20, 2), (30, 2), (40, 1)):
        await add(store, later(FOUND, finished), result_set(seed=seed))

    assert [(10, 1), (20, 2), (40, 1)] == [(found.finished, found.times) for found in await store.runs(TARGET)]


async def test_a_change_counts_what_follows(store: Store) -> None:
    """The run that changed counts those that confirm it."""
    await add(store, later(FOUND, 10, changed=True), CONTENT)
    await add(store, later(FOUND, 20), CONTENT)

    assert [(True, 2)] == [(found.changed, found.times) for found in await store.runs(TARGET)]


async def test_failures(store: Store) -> None:
    """Failures for one reason are counted; a good run between two of them, or another target's, is not skipped over."""
    failed = Run(TARGET, 1, 2, PullState.UNREACHABLE, error="no \0reply")
    for finished in (10, 20):
        await add(store, later(failed, finished))
        await add(store, later(failed, finished, target_id=OTHER))
    await add(store, later(FOUND, 30), CONTENT)
    await add(store, later(failed, 40))

    assert [(10, 20, 2), (30, 30, 1), (40, 40, 1)] == [
        (found.finished, found.last_seen, found.times) for found in await store.runs(TARGET)
    ]
    assert [2] == [found.times for found in await store.runs(OTHER)]


async def test_a_restart_goes_on_counting(url: str) -> None:
    """After a restart the same run is still counted."""
    for finished in (10, 20):
        async with Store(url) as store:
            await add(store, later(FOUND, finished), CONTENT)
    async with Store(url) as store:
        assert [(10, 20, 2)] == [(each.finished, each.last_seen, each.times) for each in await store.runs(TARGET)]


async def test_retention(store: Store) -> None:
    """A run is as old as it was last seen."""
    failed = Run(TARGET, 1, 2, PullState.AUTH)
    for finished in (10, 20, 30):
        await add(store, later(failed, finished))
    await add(store, later(FOUND, 40), CONTENT)

    assert 0 == await store.prune(30)
    assert 1 == await store.prune(30.5)
    assert [40] == [found.finished for found in await store.runs(TARGET)]


async def test_a_baseline_is_counted_on(store: Store) -> None:
    """A run that is the baseline keeps its number and its times while later ones are counted by it."""
    number = await add(store, FOUND, CONTENT)
    async with store.transaction() as tx:
        await tx.set_baseline(Baseline(TARGET, "pinned", number, 10.0, "first"))
    await add(store, later(FOUND, 99), CONTENT)
    found = await store.run(number)

    assert found is not None
    assert (10, 99, 2) == (found.finished, found.last_seen, found.times)


async def test_an_older_program_beside_this_one(url: str, store: Store) -> None:
    """A run by a program that does not know the counts is one run: seen when it finished, kept and counted as such."""
    await add(store, replace(FOUND, finished=10.0), CONTENT)
    engine = create_async_engine(parse(url))
    columns = "target_id, state, selection, fingerprint, changed, last_change, trained, impulse_stale, error"
    columns += ", result_set_id, figures_id"
    async with engine.begin() as connection:
        await connection.execute(
            text(f"INSERT INTO run ({columns}, started, finished) SELECT {columns}, 49, 50 FROM run")
        )
    await engine.dispose()

    assert [(50, 50, 1)] == [(found.finished, found.last_seen, found.times) for found in await store.runs(TARGET, 40)]
    assert 1 == await store.prune(45)
    assert [(50, 50, 1)] == [(found.finished, found.last_seen, found.times) for found in await store.runs(TARGET)]
    await add(store, later(FOUND, 60), CONTENT)
    assert [(50, 60, 2)] == [(found.finished, found.last_seen, found.times) for found in await store.runs(TARGET)]


@dataclass(frozen=True)
class Pull:
    """What a pull said, as a plain list keeps it."""

    at: float
    state: PullState
    content: int | None
    selection: str

    @property
    def said(self) -> tuple[object, ...]:
        """Without its time."""
        return self.state, self.content, self.selection


CONTENTS: list[ResultSet] = [result_set(8, seed) for seed in range(3)]
PRINTS = {content.fingerprint(): number for number, content in enumerate(CONTENTS)}


def said(run: Run) -> tuple[object, ...]:
    """What a run says, as a `Pull` does."""
    return run.state, None if run.fingerprint is None else PRINTS[run.fingerprint], run.selection


@pytest.mark.parametrize("seed", range(4))
async def test_against_a_plain_list(store: Store, seed: int) -> None:
    """What was known at any time, and all the runs of any time, are what a list of every pull says."""
    rng = random.Random(seed)
    pulls: list[Pull] = []
    for at in range(60):
        if pulls and rng.random() < 0.7:
            pull = replace(pulls[-1], at=at)
        elif rng.random() < 0.3:
            pull = Pull(at, rng.choice([PullState.AUTH, PullState.UNREACHABLE]), None, "")
        else:
            pull = Pull(at, PullState.OK, rng.randrange(3), rng.choice(["", "few"]))
        pulls.append(pull)
        results = None if pull.content is None else CONTENTS[pull.content]
        await add(store, Run(TARGET, at - 0.5, at, pull.state, selection=pull.selection), results)

    runs = await store.runs(TARGET)
    assert len(pulls) == sum(run.times for run in runs) > len(runs)
    told = [said(run) for run in runs for _ in range(run.times)]
    assert [pull.said for pull in pulls] == told
    for at in range(-1, 62):
        for selection in ("", "few"):
            good = [
                each.said
                for each in pulls
                if each.at <= at and each.state is PullState.OK and each.selection == selection
            ]
            found = await store.newest_before(TARGET, at, selection)
            assert (said(found) if found else None) == (good[-1] if good else None)
        within = [each.said for each in pulls if at <= each.at < at + 7]
        assert set(within) == {said(run) for run in await store.runs(TARGET, at, at + 7)}
