"""Drift states, as bytes and in the store."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.compare.drift import DriftState
from monitor.compare.evidence import count
from monitor.compare.evidence_samples import Scores
from monitor.store import State, Store
from monitor.store.state_documents import dump_drift_state, load_drift_state
from tests.store.store_sets import TARGET, drift_state, values_of

OTHER = "7-2-float32-testing"
STATE = drift_state()
DUMPED = dump_drift_state(STATE)


def as_values(states: dict[int, DriftState]) -> dict[int, object]:
    """Drift states as values that can be compared."""
    return {block: values_of(state) for block, state in states.items()}


@pytest.mark.parametrize(
    "state", [STATE, drift_state(decision=None), drift_state(0)], ids=["full", "undecided", "no reference"]
)
def test_round_trip(state: DriftState) -> None:
    """A state comes back to the last bit, and the same state gives the same bytes."""
    again = load_drift_state(dump_drift_state(state))

    assert values_of(state) == values_of(again)
    assert dump_drift_state(state) == dump_drift_state(again)


def test_evidence_goes_on() -> None:
    """Evidence that was stored bets as it would have without that."""
    undated = np.full(30, np.datetime64("NaT", "ms"))
    new = Scores(np.arange(300, 330), np.linspace(-1, 4, 30), undated)
    first, second = (count(state.evidence, new, undated[0]) for state in (STATE, load_drift_state(DUMPED)))

    assert first.evidence == second.evidence != STATE.evidence.evidence


@settings(max_examples=200)
@given(st.integers(0, len(DUMPED) - 1), st.integers(1, 255), st.booleans())
def test_damaged_bytes(place: int, difference: int, cut: bool) -> None:
    """Bytes that were changed or cut off are refused, or did not matter; never another state."""
    data = DUMPED[:place] if cut else DUMPED[:place] + bytes([DUMPED[place] ^ difference]) + DUMPED[place + 1 :]
    try:
        again = load_drift_state(data)
    except ValueError:
        return

    assert values_of(STATE) == values_of(again)


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "text", 1, {}, {"format": 1}, {"format": 2}, {"format": 1, "crc32": 0, "content": b""}),
        {"format": "impulse-monitor drift state", "version": 1},
        {"format": "impulse-monitor drift state", "version": 1, "crc32": 0, "content": b""},
        {"format": "impulse-monitor alert state", "version": 1, "crc32": 0, "content": b""},
    ],
)
def test_no_drift_state(document: object) -> None:
    """Anything else is refused with what happens next."""
    with pytest.raises(ValueError, match=r"drift state cannot be read .*; its evidence starts again"):
        load_drift_state(msgspec.msgpack.encode(document))


def test_newer_state() -> None:
    """A newer version's state is refused with what to do, whatever else is in it."""
    newer = msgspec.msgpack.decode(DUMPED) | {"version": 2, "other": "things"}

    with pytest.raises(ValueError, match=r"drift state\) has version 2, .* up to 1; run the version that wrote it"):
        load_drift_state(msgspec.msgpack.encode(newer))


def test_state_of_the_first_release() -> None:
    """What the first release wrote is read, unless it is damaged."""
    document = msgspec.msgpack.decode(DUMPED)
    first = {"format": 1, "crc32": document["crc32"], "content": document["content"]}

    assert values_of(STATE) == values_of(load_drift_state(msgspec.msgpack.encode(first)))
    with pytest.raises(ValueError, match="its checksum does not fit"):
        load_drift_state(msgspec.msgpack.encode(first | {"crc32": 1}))


async def test_kept_by_target(url: str) -> None:
    """Each target has the states that it was given last, after a restart too; blocks that are gone are deleted."""
    async with Store(url) as store, store.transaction() as tx:
        await tx.put_drift_states(TARGET, {5: drift_state(seed=1), 12: drift_state(seed=2)})
        await tx.put_drift_states(OTHER, {5: drift_state(seed=3)})
        await tx.put_drift_states(TARGET, {7: drift_state(seed=4), 12: drift_state(seed=5)})

    async with Store(url) as store:
        assert as_values({7: drift_state(seed=4), 12: drift_state(seed=5)}) == as_values(
            await store.drift_states(TARGET)
        )
        assert as_values({5: drift_state(seed=3)}) == as_values(await store.drift_states(OTHER))
        assert [state.key for state in await store.states("drift", TARGET)] == ["12", "7"]


async def test_cleared(store: Store) -> None:
    """Cleared, a target remembers nothing; other targets and other states stay."""
    async with store.transaction() as tx:
        for target_id in (TARGET, OTHER):
            await tx.put_drift_states(target_id, {5: STATE})
        await tx.put_state(State("alert", TARGET, "5", b""))
        assert await tx.clear_drift_states(TARGET)
        assert not await tx.clear_drift_states(TARGET)

    assert await store.drift_states(TARGET) == {}
    assert len(await store.drift_states(OTHER)) == len(await store.states("alert")) == 1


async def test_nothing_to_remember(store: Store) -> None:
    """A target without anomaly blocks loses what it remembered of them."""
    async with store.transaction() as tx:
        await tx.put_drift_states(TARGET, {5: STATE})
        await tx.put_drift_states(TARGET, {})

    assert await store.drift_states(TARGET) == {}


async def test_unreadable(store: Store) -> None:
    """A damaged state, one of a newer version and one of no block are left out and logged; the others are there."""
    bad = {"5": DUMPED[:-1], "6": msgspec.msgpack.encode({"format": 2}), "seven": DUMPED}
    async with store.transaction() as tx:
        await tx.put_drift_states(TARGET, {8: STATE})
        for key, value in bad.items():
            await tx.put_state(State("drift", TARGET, key, value))
    with capture_logs() as logs:
        kept = await store.drift_states(TARGET)

    assert as_values({8: STATE}) == as_values(kept)
    assert [("store.drift_state_unreadable", TARGET, key) for key in bad] == [
        (log["event"], log["target"], log["block"]) for log in logs
    ]
    async with store.transaction() as tx:
        await tx.put_drift_states(TARGET, kept)
    assert [state.key for state in await store.states("drift", TARGET)] == ["8"]
