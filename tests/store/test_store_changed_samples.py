"""Lists of samples that changed sides, as pages read them from the store."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from monitor.compare.changed_windows import ChangedSamples, ChangedWindow, changed_samples
from monitor.compare.side_kinds import FIXED, KINDS, NEWLY_WRONG
from monitor.store import Store
from monitor.store.changed_samples import CHANGED, ChangedIndex, ListsReplaced
from monitor.store.states import State
from tests.store.store_sets import TARGET, result_set

WINDOWS = [
    ChangedWindow(
        number, f"{number}.cbor", 0.0, 500.5, "idle", "wave" if number % 3 else "snake", 0.75, "idle", "idle", None
    )
    for number in range(1700)
]


async def put(store: Store, windows: list[ChangedWindow], target_id: str = TARGET) -> ChangedIndex:
    """Write one list; answers what there is of it."""
    changed = ChangedSamples({NEWLY_WRONG: 1600}, {NEWLY_WRONG: 9}, {NEWLY_WRONG: windows, FIXED: []})
    async with store.transaction() as tx:
        await tx.put_changed_samples(target_id, ("b", "c"), changed)
    index = await store.changed_index(target_id)
    assert index is not None
    return index


async def pages(store: Store, index: ChangedIndex, limit: int, of_class: str = "") -> list[list[ChangedWindow]]:
    """All pages of the list, one after the other."""
    found = []
    after: int | None = 0
    while after is not None:
        windows, after = await store.changed_windows(
            TARGET, index, NEWLY_WRONG, after=after, limit=limit, of_class=of_class
        )
        found.append(windows)
    return found


@pytest.mark.parametrize("limit", [1, 50, 499, 500, 501, 5000])
async def test_pages_hold_the_list(store: Store, limit: int) -> None:
    """Page after page is the whole list in its order, none but the last shorter than the limit."""
    windows = WINDOWS if limit > 1 else WINDOWS[:3]
    found = await pages(store, await put(store, windows), limit)
    assert [window for page in found for window in page] == windows
    assert {len(page) for page in found[:-1]} <= {limit}


async def test_pages_of_a_class(store: Store) -> None:
    """Only windows that are called so by anyone come, and the pages are full all the same."""
    index = await put(store, WINDOWS)
    snakes = [window for window in WINDOWS if window.prediction == "snake"]
    found = await pages(store, index, 100, "snake")
    assert [window for page in found for window in page] == snakes
    assert [100] * (len(snakes) // 100) == [len(page) for page in found[:-1]]
    assert await pages(store, index, 100, "nobody") == [[]]


async def test_what_is_said_of_it(store: Store) -> None:
    """The index says what was compared and how many samples there are, also beyond those that are listed."""
    index = await put(store, WINDOWS)
    assert (index.baseline, index.current, index.samples) == ("b", "c", {NEWLY_WRONG: 1600})
    assert index.suspect == {NEWLY_WRONG: 9}
    assert (index.listed(NEWLY_WRONG), index.classes(NEWLY_WRONG)) == (1700, {"idle", "wave", "snake"})
    assert await store.changed_index("other") is None


async def test_newer_lists_take_the_place(store: Store) -> None:
    """Only the newest lists of a target are kept, and those of others stay."""
    other = await put(store, WINDOWS, "other")
    await put(store, WINDOWS)
    index = await put(store, WINDOWS[:10])
    assert await pages(store, index, 50) == [WINDOWS[:10]]
    assert len(await store.states(CHANGED, TARGET)) == 2
    assert await store.changed_index("other") == other


async def test_no_page_of_lists_that_are_gone(store: Store) -> None:
    """What was replaced since the index was read is not answered: neither a part of the new lists nor an empty page."""
    before = await put(store, WINDOWS)
    await put(store, WINDOWS[:-1])
    with pytest.raises(ListsReplaced):
        await store.changed_windows(TARGET, before, NEWLY_WRONG)
    await put(store, [])
    with pytest.raises(ListsReplaced):
        await store.changed_windows(TARGET, before, NEWLY_WRONG)


async def test_damaged_lists_cost_nothing_else(store: Store) -> None:
    """A damaged part is left out, a damaged index is no lists; the log says so."""
    index = await put(store, WINDOWS)
    async with store.transaction() as tx:
        await tx.put_state(State(CHANGED, TARGET, f"{NEWLY_WRONG}/0001", b"rubbish"))
    with capture_logs() as logs:
        assert [window for page in await pages(store, index, 5000) for window in page] == WINDOWS[:500] + WINDOWS[1000:]
        async with store.transaction() as tx:
            await tx.put_state(State(CHANGED, TARGET, "index", b"rubbish"))
        assert await store.changed_index(TARGET) is None
    assert {entry["event"] for entry in logs} == {"store.changed_samples_unreadable"}


async def test_lists_of_two_runs(store: Store) -> None:
    """What two result sets give comes back as it was, texts and numbers."""
    before, after = result_set(seed=1), result_set(seed=2)
    changed = changed_samples(before, after)
    async with store.transaction() as tx:
        await tx.put_changed_samples(TARGET, (before.fingerprint(), after.fingerprint()), changed)
    index = await store.changed_index(TARGET)
    assert index is not None
    for kind in KINDS:
        assert (await store.changed_windows(TARGET, index, kind, limit=1000))[0] == changed.lists[kind]
    assert len(changed.lists[NEWLY_WRONG]) > 10
