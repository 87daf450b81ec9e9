"""What the store keeps, on both back ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.errors import PullState
from monitor.store import (
    Baseline,
    Message,
    Run,
    State,
    Store,
    StoreCorrupt,
    StoreRefused,
    columns,
    documents,
    retention,
    state_documents,
)
from monitor.store.aggregates import Queries
from monitor.store.engine import parse
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, drift_state, result_set, run, values_of
from tests.waiting import until

OTHER = "7-2-float32-testing"


async def count(url: str, table: str) -> int:
    """Rows of a table, as another program sees them."""
    engine = create_async_engine(parse(url))
    try:
        async with engine.connect() as connection:
            return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())
    finally:
        await engine.dispose()


async def test_restart(url: str) -> None:
    """What was written comes back equal after a restart: run, figures, comparison, result set, baseline, state."""
    results = result_set()
    written = Run(
        TARGET,
        started=1700000000.123456,
        finished=1700000003.1,
        state=PullState.OK,
        fingerprint=results.fingerprint(),
        changed=True,
        last_change=1700000003.1,
        trained=1690000000.5,
        impulse_stale=False,
        evaluation=EVALUATION,
        comparison=COMPARISON,
        error="",
        selection="testing",
    )
    async with Store(url) as store:
        packed = await store.pack(TARGET, results, results.fingerprint())
        async with store.transaction() as tx:
            number = await tx.add_run(written, packed)
            baseline = Baseline(TARGET, "pinned", number, 5.5, "the first good run")
            state = State("drift", TARGET, "5", b"\0\xff", number)
            await tx.set_baseline(baseline)
            await tx.put_state(state)

    async with Store(url) as store:
        again = await store.results(number)
        assert replace(written, id=number) == await store.last_good(TARGET) == await store.run(number)
        assert again is not None
        assert results.fingerprint() == again.fingerprint()
        assert baseline == await store.baseline(TARGET, "pinned")
        assert state == await store.state("drift", TARGET, "5")
        assert await store.target_ids() == [TARGET]


async def test_empty(store: Store) -> None:
    """An empty store answers every question with nothing."""
    assert await store.last_good(TARGET) is None
    assert await store.run(1) is None
    assert await store.results(1) is None
    assert await store.runs(TARGET) == []
    assert await store.previous(TARGET, "", "") is None
    assert await store.newest_before(TARGET, 1e12, "") is None
    assert await store.drift_states(TARGET) == {}
    assert await store.messages("chat") == []
    assert await store.message_counts() == {}
    assert await store.baseline(TARGET, "pinned") is None
    assert await store.states("drift") == []
    assert await store.state("drift", TARGET, "5") is None
    assert await store.target_ids() == []
    assert await store.prune(1e12) == 0


async def test_failed_runs(store: Store) -> None:
    """A failed run is kept with its reason, and the last good run stays the last good one."""
    good = await add(store, run(10))
    bad = await add(store, replace(run(20, PullState.UNREACHABLE), error="no reply\0 from Stu\ud800dio"))
    await add(store, run(30, target_id=OTHER))

    last_good, last = await store.last_good(TARGET), await store.run(bad)
    assert last_good is not None
    assert last is not None
    assert last_good.id == good
    assert (last.state, last.error) == (PullState.UNREACHABLE, "no reply from Stu?dio")
    assert await store.results(bad) is None


async def test_content_addressed(url: str, store: Store) -> None:
    """An unchanged result set is packed and written once per target, and so are figures."""
    results, other = result_set(seed=1), result_set(seed=2)
    for finished, content in enumerate((results, results, other, results)):
        compared = replace(COMPARISON, notes=(content.fingerprint(),))
        await add(store, replace(run(finished), evaluation=EVALUATION, comparison=compared), content)
    await add(store, run(9, target_id=OTHER), results)

    assert (await store.pack(TARGET, results, results.fingerprint())).data is None
    assert (await count(url, "run"), await count(url, "result_set"), await count(url, "figures")) == (5, 3, 2)
    assert [found.comparison and found.comparison.notes for found in await store.runs(TARGET)] == [
        (content.fingerprint(),) for content in (results, results, other, results)
    ]


async def test_fingerprints_agree(store: Store) -> None:
    """A run cannot be written with another run's result set, nor with a fingerprint and no result set."""
    packed = await store.pack(TARGET, result_set(), "a")
    for wrong, results in (
        (replace(run(), fingerprint="b"), packed),
        (replace(run(), fingerprint="b"), None),
        (run(), packed),
    ):
        with pytest.raises(ValueError, match="fingerprint"):
            async with store.transaction() as tx:
                await tx.add_run(wrong, results)


async def test_history(store: Store) -> None:
    """Runs of a time range come oldest first, its end excluded; a limit keeps the newest."""
    for finished in (10, 20, 30, 40):
        await add(store, run(finished))
        await add(store, run(finished, target_id=OTHER))

    assert [found.finished for found in await store.runs(TARGET)] == [10, 20, 30, 40]
    assert [found.finished for found in await store.runs(TARGET, since=20, until=40)] == [20, 30]
    assert [found.finished for found in await store.runs(TARGET, limit=2)] == [30, 40]
    assert await store.target_ids() == [TARGET, OTHER]


async def test_baseline_candidates(store: Store) -> None:
    """Rolling asks for the newest good run of an age, previous for the last with another result set."""
    one, two = result_set(seed=1), result_set(seed=2)
    for finished, content in ((10, one), (20, two), (30, two)):
        await add(store, run(finished), content)
    await add(store, run(25, PullState.AUTH))

    rolling = [await store.newest_before(TARGET, at, "") for at in (9, 10, 26, 1e9)]
    previous = [await store.previous(TARGET, content.fingerprint(), "") for content in (two, one)]
    assert [found and found.finished for found in rolling] == [None, 10, 20, 30]
    assert [found and found.finished for found in previous] == [10, 30]


async def test_selection(store: Store) -> None:
    """Runs whose filters took other samples are no candidates; the last good run is the last of any."""
    one, two = result_set(seed=1), result_set(seed=2)
    for finished, content, selection in (
        (10, one, ""),
        (20, one, "label wave"),
        (30, two, "label wave"),
        (40, two, ""),
    ):
        await add(store, replace(run(finished), selection=selection), content)

    rolling = [
        await store.newest_before(TARGET, at, selection) for selection in ("", "label wave", "other") for at in (15, 35)
    ]
    previous = [await store.previous(TARGET, two.fingerprint(), selection) for selection in ("", "label wave", "other")]
    last = await store.last_good(TARGET)
    assert [found and (found.finished, found.selection) for found in rolling] == [
        (10, ""),
        (10, ""),
        None,
        (30, "label wave"),
        None,
        None,
    ]
    assert [found and (found.finished, found.selection) for found in previous] == [(10, ""), (20, "label wave"), None]
    assert last is not None
    assert last.finished == 40


async def test_clock_set_back(store: Store) -> None:
    """The last good run is the one that came last, whatever the clock said."""
    await add(store, run(1000))
    last = await add(store, run(500))

    found = await store.last_good(TARGET)
    assert found is not None
    assert found.id == last


async def test_baselines(store: Store) -> None:
    """A target has one baseline of each mode; a new one replaces it; cleared, it is gone."""
    one, two = await add(store, run(10)), await add(store, run(20))
    async with store.transaction() as tx:
        for mode, number in (("pinned", one), ("rolling", one), ("pinned", two)):
            await tx.set_baseline(Baseline(TARGET, mode, number, 1.0, f"run {number}"))
        inside = await tx.baseline(TARGET, "pinned")

    assert inside == Baseline(TARGET, "pinned", two, 1.0, f"run {two}")
    assert [(found.mode, found.run_id) for found in await store.baselines()] == [("pinned", two), ("rolling", one)]
    async with store.transaction() as tx:
        assert await tx.clear_baseline(TARGET, "pinned")
        assert not await tx.clear_baseline(TARGET, "pinned")
    assert [found.mode for found in await store.baselines(TARGET)] == ["rolling"]


async def test_states(store: Store) -> None:
    """States are values_of apart by kind, target and key, come sorted by key, can be replaced and deleted."""
    states = [State("outbox", "", f"{number:04}", bytes([number])) for number in range(12)]
    async with store.transaction() as tx:
        for state in (
            *reversed(states),
            State("alert", TARGET, "A", b"old"),
            State("alert", OTHER, "A", b""),
            State("alert", TARGET, "A", b"new"),
        ):
            await tx.put_state(state)

    assert await store.states("outbox") == states
    assert await store.states("alert", TARGET) == [State("alert", TARGET, "A", b"new")]
    async with store.transaction() as tx:
        assert await tx.delete_state("outbox", "", "0003")
        assert not await tx.delete_state("outbox", "", "0003")
    assert await store.states("outbox") == states[:3] + states[4:]


@pytest.mark.parametrize("refers", [Baseline(TARGET, "pinned", 77, 1.0, ""), State("drift", TARGET, "5", b"", 77)])
async def test_run_that_is_not_there(store: Store, refers: Baseline | State) -> None:
    """What refers to no run is refused with everything else of its transaction, and the store is as well as before."""

    async def refer() -> None:
        async with store.transaction() as tx:
            await tx.add_run(run())
            await (tx.set_baseline(refers) if isinstance(refers, Baseline) else tx.put_state(refers))

    with pytest.raises(StoreRefused, match="run that is not in the store"):
        await refer()

    assert store.healthy
    assert await store.runs(TARGET) == []


async def test_all_or_nothing(store: Store) -> None:
    """A transaction that raises, or is cancelled, leaves nothing behind and blocks nobody."""

    async def interrupted(reached: asyncio.Event) -> None:
        async with store.transaction() as tx:
            await tx.add_run(run(1))
            reached.set()
            await asyncio.Event().wait()

    async def raising() -> None:
        async with store.transaction() as tx:
            await tx.add_run(run(1))
            await tx.put_state(State("alert", TARGET, "A", b""))
            await tx.put_drift_states(TARGET, {5: drift_state()})
            await tx.enqueue(Message("chat", "A", 1.0, b""))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await raising()
    task = asyncio.create_task(interrupted(reached := asyncio.Event()))
    await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await add(store, run(2))
    assert [found.finished for found in await store.runs(TARGET)] == [2]
    assert await store.states("alert") == []
    assert await store.drift_states(TARGET) == {}
    assert await store.message_counts() == {}
    assert store.healthy


@pytest.mark.slow
async def test_many_at_once(store: Store) -> None:
    """Many targets write and read at the same time; nothing is lost and nobody gives up."""
    content = result_set()

    async def target(number: int) -> list[Run]:
        for finished in range(3):
            await add(store, replace(run(finished, target_id=str(number)), evaluation=EVALUATION), content)
        return await store.runs(str(number))

    histories = await asyncio.gather(*map(target, range(40)))
    assert [[found.finished for found in history] for history in histories] == [[0, 1, 2]] * 40


async def test_everything_of_a_run_at_once(store: Store) -> None:
    """Many targets write run, evidence and messages together; each has its own, and each receiver's queue its order."""

    async def target(number: int) -> None:
        target_id = str(number)
        for turn in range(3):
            async with store.transaction() as tx:
                await tx.add_run(replace(run(turn, target_id=target_id), comparison=COMPARISON))
                await tx.put_drift_states(target_id, {turn: drift_state(50, seed=number)})
                await tx.enqueue(Message("chat", target_id, float(turn), b""))

    await asyncio.gather(*map(target, range(20)))

    waiting = await store.messages("chat")
    assert [[message.created for message in waiting if message.subject == str(number)] for number in range(20)] == [
        [0, 1, 2]
    ] * 20
    for number in range(20):
        kept = await store.drift_states(str(number))
        assert {2: values_of(drift_state(50, seed=number))} == {
            block: values_of(state) for block, state in kept.items()
        }


QUESTIONS: list[Callable[[Queries], Awaitable[object]]] = [
    lambda of: of.last_good(TARGET),
    lambda of: of.newest_before(TARGET, 10, "few"),
    lambda of: of.runs(TARGET),
    lambda of: of.target_ids(),
    lambda of: of.baseline(TARGET, "pinned"),
    lambda of: of.states("alert"),
    lambda of: of.drift_states(TARGET),
    lambda of: of.messages("chat"),
    lambda of: of.message_counts(),
]


async def test_sees_its_own_writes(store: Store) -> None:
    """What a transaction has written it can ask for, and nobody else can until it is over."""
    async with store.transaction() as tx:
        number = await tx.add_run(replace(run(10), comparison=COMPARISON, selection="few"))
        await tx.set_baseline(Baseline(TARGET, "pinned", number, 1.0, ""))
        await tx.put_state(State("alert", TARGET, "A", b"1"))
        await tx.put_drift_states(TARGET, {5: drift_state()})
        await tx.enqueue(Message("chat", "a", 1.0, b"{}"))
        seen, unseen = [bool(await ask(tx)) for ask in QUESTIONS], [bool(await ask(store)) for ask in QUESTIONS]

    assert seen == [True] * len(QUESTIONS)
    assert unseen == [False] * len(QUESTIONS)
    assert [bool(await ask(store)) for ask in QUESTIONS] == seen


async def test_same_target_from_two_programs(url: str, store: Store) -> None:
    """A command that saves a pull while the service saves the same: both runs are there or counted, one result set."""
    content = result_set()
    async with Store(url) as other:
        await asyncio.gather(
            *(
                add(program, replace(run(number), evaluation=EVALUATION), content)
                for number in range(8)
                for program in (store, other)
            )
        )

    assert sum(found.times for found in await store.runs(TARGET)) == 16
    assert (await count(url, "result_set"), await count(url, "figures")) == (1, 1)


async def test_retention(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old runs go with their result sets, figures and states; baselines and last good runs stay, in as many batches as
    it takes.
    """
    monkeypatch.setattr(retention, "LARGEST_BATCH", 3)
    monkeypatch.setattr(retention, "LOOKED_FOR", 4)
    numbers = [
        await add(
            store,
            replace(run(finished), comparison=replace(COMPARISON, notes=(str(finished),))),
            result_set(seed=finished),
        )
        for finished in range(10)
    ]
    failed = await add(store, run(5, PullState.AUTH))
    other = await add(store, run(1, target_id=OTHER))
    async with store.transaction() as tx:
        await tx.set_baseline(Baseline(TARGET, "pinned", numbers[2], 1.0, ""))
        for number in (numbers[2], numbers[3], None):
            await tx.put_state(State("drift", TARGET, str(number), b"", number))

    assert await store.prune(8) == 8
    assert [found.id for found in await store.runs(TARGET)] == [numbers[2], *numbers[8:]]
    assert await store.run(failed) is None
    assert await store.run(other) is not None
    assert (await count(url, "result_set"), await count(url, "figures")) == (3, 3)
    assert [state.run_id for state in await store.states("drift", TARGET)] == [numbers[2], None]
    assert await store.results(numbers[2]) is not None
    assert await store.prune(1e12) == 1
    assert [found.id for found in await store.runs(TARGET)] == [numbers[2], numbers[9]]


async def test_pulls_get_their_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull that wants to write while retention works waits for one batch, not for all of them."""
    monkeypatch.setattr(retention, "LARGEST_BATCH", 1)
    async with store.transaction() as tx:
        for finished in range(60):
            await tx.add_run(run(finished, PullState.AUTH))

    async def begun() -> bool:
        return len(await store.runs(TARGET)) < 60

    pruning = asyncio.create_task(store.prune(1e12))
    await until(begun, every=0.001)
    await add(store, run(1e13))

    assert not pruning.done()
    assert await pruning == 60


@pytest.mark.slow
async def test_retention_leaves_what_is_being_written(postgresql: str) -> None:
    """What no run refers to is left as long as another program writes a run of its target, which may refer to it; and
    retention does not wait for that.
    """
    content = result_set()
    async with Store(postgresql) as store, Store(postgresql) as other:
        await add(store, run(1), content)
        await add(store, run(2), result_set(seed=5))
        packed = await other.pack(TARGET, content, content.fingerprint())
        async with other.transaction() as tx:
            number = await tx.add_run(replace(run(3), fingerprint=content.fingerprint()), packed)
            assert 1 == await store.prune(2)

        assert packed.data is None
        assert await store.results(number) is not None
        assert 2 == await count(postgresql, "result_set")


@pytest.mark.slow
async def test_retention_locks_by_one_text(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Result sets of however many targets are deleted under locks that one text asks for, which is compiled once: a
    text of its own for each number would be compiled while the transaction waits.
    """
    monkeypatch.setattr(retention, "LARGEST_BATCH", 4)
    texts: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        texts.extend([statement] if "pg_try_advisory_xact_lock" in statement else [])

    async with Store(postgresql) as store:
        for target in range(9):
            await add(store, run(1, target_id=f"{target}-1-int8-testing"), result_set(seed=1))
            await add(store, run(2, target_id=f"{target}-1-int8-testing"), result_set(seed=2))
        event.listen(Engine, "before_cursor_execute", seen)
        try:
            assert await store.prune(2) == 9
        finally:
            event.remove(Engine, "before_cursor_execute", seen)

    assert await count(postgresql, "result_set") == 9
    assert len(texts) > 2
    assert len(set(texts)) == 1


async def test_deleted_between_packing_and_writing(store: Store) -> None:
    """A result set that retention deleted after it was found to be known is written all the same."""
    content = result_set()
    await add(store, run(1), content)
    await add(store, run(2), result_set(seed=5))
    packed = await store.pack(TARGET, content, content.fingerprint())
    await store.prune(2)
    async with store.transaction() as tx:
        number = await tx.add_run(replace(run(3), fingerprint=content.fingerprint()), packed)

    again = await store.results(number)
    assert packed.data is None
    assert again is not None
    assert again.fingerprint() == content.fingerprint()


async def test_numbers_never_come_twice(store: Store) -> None:
    """The number of a deleted run is not given to another one."""
    gone = await add(store, run(1, PullState.AUTH))
    await store.prune(2)

    assert await add(store, run(3)) > gone


@pytest.mark.parametrize("column", ["evaluation", "comparison"])
async def test_damaged_content(url: str, store: Store, column: str) -> None:
    """Damaged bytes are an error of that run, damaged figures leave its other ones and say why; runs beside it and the
    store go on.
    """
    whole = await add(store, replace(run(50), evaluation=EVALUATION, comparison=COMPARISON), result_set(seed=3))
    documented = replace(run(), evaluation=replace(EVALUATION, samples=51), comparison=COMPARISON)
    number = await add(store, documented, result_set())
    engine = create_async_engine(parse(url))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE result_set SET data = :data"), {"data": b"PK damaged"})
        of_run = f"(SELECT figures_id FROM run WHERE id = {number})"
        damaged = f"""UPDATE figures SET {column} = '{{"samples":"many"}}' WHERE id = {of_run}"""
        await connection.execute(text(damaged))
    await engine.dispose()

    with pytest.raises(StoreCorrupt, match="result set is damaged"):
        await store.results(number)
    found = await store.last_good(TARGET)
    assert found is not None
    assert f"figures of run {number} of {TARGET} are damaged" in str(found.unreadable)
    kept = {"evaluation": documented.evaluation, "comparison": COMPARISON} | {column: None}
    assert (kept["evaluation"], kept["comparison"]) == (found.evaluation, found.comparison)
    assert {whole: EVALUATION} == {
        other.id: other.evaluation for other in await store.runs(TARGET) if other.unreadable is None
    }
    assert await store.check()


async def test_off_the_loop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressing, unpacking, making and reading documents happen in other threads than the event loop's."""
    threads: dict[str, threading.Thread] = {}

    def watched(module: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(module, name)

        def wrapper(*arguments: Any) -> Any:
            threads[name] = threading.current_thread()
            return function(*arguments)

        monkeypatch.setattr(module, name, wrapper)

    for name in ("encode", "decode"):
        watched(columns, name)
    texts = ("dump_evaluation", "dump_comparison", "load_evaluation", "load_comparison")
    states = ("dump_drift_state", "load_drift_state")
    for name in texts:
        watched(documents, name)
    for name in states:
        watched(state_documents, name)
    number = await add(store, replace(run(), evaluation=EVALUATION, comparison=COMPARISON), result_set())
    async with store.transaction() as tx:
        await tx.put_drift_states(TARGET, {5: drift_state()})
    await store.results(number)
    await store.runs(TARGET)
    await store.drift_states(TARGET)

    assert threads.keys() == {"encode", "decode", *texts, *states}
    assert threading.main_thread() not in threads.values()
