"""Outlines of many runs, and the figures of those that are wanted, on both back ends."""

from __future__ import annotations

from dataclasses import replace

from monitor.errors import PullState
from monitor.store import Store
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, result_set, run


async def test_outlines_are_the_runs_without_figures(url: str) -> None:
    """An outline has the times, the count, the state and the fingerprint of its run, oldest first; only runs that were
    seen since a time are there, and equal figures have one digest.
    """
    one = result_set(seed=1)
    good = replace(run(100.0), evaluation=EVALUATION, comparison=COMPARISON, trained=5.0)
    async with Store(url) as store:
        first = await add(store, good, one)
        assert first == await add(store, replace(good, started=195.0, finished=200.0), one)
        await add(store, replace(run(300.0, PullState.AUTH), trained=None, error="refused"))
        await add(store, replace(good, finished=400.0), one)
        outlines = await store.outlines(TARGET)
        runs = await store.runs(TARGET)

        assert [(100.0, 200.0, 2), (300.0, 300.0, 1), (400.0, 400.0, 1)] == [
            (each.finished, each.last_seen, each.times) for each in outlines
        ]
        assert [(each.id, each.state, each.fingerprint, each.error, each.trained) for each in runs] == [
            (each.id, each.state, each.fingerprint, each.error, each.trained) for each in outlines
        ]
        assert outlines[0].digest == outlines[2].digest is not None
        assert outlines[1].digest is None
        assert [1, 2, 3] == [len(await store.outlines(TARGET, since)) for since in (301.0, 201.0, 200.0)]
        assert [] == await store.outlines("7-2-int8-testing")


async def test_figures_of_the_runs_that_are_wanted(url: str) -> None:
    """Figures come back by run, equal to what was written; a run without any, or that is gone, is left out."""
    async with Store(url) as store:
        numbers = [
            await add(store, replace(run(float(at)), evaluation=replace(EVALUATION, samples=at), comparison=COMPARISON))
            for at in range(1, 250)
        ]
        bare = await add(store, run(300.0))
        found = await store.figures_of([*numbers, bare, bare + 1])

        assert numbers == sorted(found)
        assert [number for number, _ in enumerate(numbers, 1)] == [
            found[number].evaluation.samples  # type: ignore[union-attr]
            for number in numbers
        ]
        assert COMPARISON == found[numbers[0]].comparison
        assert {} == await store.figures_of([])


async def test_results_by_their_content(url: str) -> None:
    """A result set, and the newest run that has it, are found by target and fingerprint."""
    one, other = result_set(seed=1), result_set(seed=2)
    async with Store(url) as store:
        await add(store, run(1.0), one)
        newest = await add(store, run(2.0), one)
        await add(store, run(3.0), other)
        found = await store.results_with(TARGET, one.fingerprint())
        with_it = await store.with_results(TARGET, one.fingerprint())

        assert found is not None
        assert one.fingerprint() == found.fingerprint()
        assert with_it is not None
        assert newest == with_it.id
        assert await store.results_with("7-2-int8-testing", one.fingerprint()) is None
        assert await store.with_results(TARGET, "none") is None
