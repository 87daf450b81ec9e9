"""Queues: whatever fails, each message arrives, in order, and nobody waits for somebody else."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.engine.sharding import Shard
from monitor.notify import Dispatcher, queue_of
from monitor.store import Message
from tests import clock as scheduled
from tests.clock import SETTLE, Clock
from tests.notify.notify_parts import (
    DROP,
    FIRING,
    HANG,
    QUICK,
    Counts,
    Inbox,
    Reply,
    drained,
    numbered,
    outbox,
    put,
    resolved,
)
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

FAILURES: list[Reply] = [500, 503, 429, (503, {"Retry-After": "0"}), DROP, HANG]


def without_repeats(keys: Sequence[str]) -> list[str]:
    """Each key once, where it came first."""
    return list(dict.fromkeys(keys))


@settings(max_examples=25)
@given(data=st.data())
def test_every_message_arrives_in_order(data: st.DataObject) -> None:
    """Whatever fails, dies, comes back or is restarted: each receiver gets every message, in order, repeats with the
    same key and body.
    """
    failures = st.lists(st.sampled_from([*FAILURES, 200, 200, 200]), max_size=8)
    steps = st.lists(st.sampled_from(["put", "put", "down", "up", "restart", "kill", "reload", "wait"]), max_size=12)
    plans = [data.draw(failures, label=f"replies of {index}") for index in range(2)]
    course = [(step, data.draw(st.integers(0, 1))) for step in data.draw(steps, label="steps")]

    async def run(folder: Path) -> None:
        inboxes = [Inbox(plan) for plan in plans]
        sent: list[str] = []
        async with outbox(folder) as store:

            def fresh() -> Dispatcher:
                return Dispatcher(
                    store,
                    [inbox.webhook(str(index)) for index, inbox in enumerate(inboxes)],
                    Counts(),
                    policy=QUICK,
                    timeout=5.0,
                )

            dispatcher = fresh()
            await dispatcher.start()
            for step, which in course:
                if step == "put":
                    transition = numbered(len(sent))
                    sent.append(transition.id)
                    await asyncio.gather(*(put(store, str(index), transition) for index in range(2)))
                elif step == "down":
                    await inboxes[which].down()
                elif step == "up" and inboxes[which]._runner is None:
                    await inboxes[which].up()
                elif step in ("restart", "kill"):
                    await dispatcher.stop(2.0 if step == "restart" else 0.0)
                    dispatcher = fresh()
                    await dispatcher.start()
                elif step == "reload":
                    receivers = [inbox.webhook(str(index)) for index, inbox in enumerate(inboxes)]
                    receivers[which] = inboxes[which].webhook(str(which), secret_file=folder / "secret")
                    (folder / "secret").write_text("secret", encoding="utf-8")
                    dispatcher.replace(receivers)
                elif step == "wait":
                    await asyncio.sleep(3.0)
            for inbox in inboxes:
                if inbox._runner is None:
                    await inbox.up()
            await drained(store, "0", "1")
            await dispatcher.stop(1.0)
            for inbox in inboxes:
                await inbox.down()

        for inbox in inboxes:
            assert sent == without_repeats(inbox.keys)
            bodies = {(request.key, request.body) for request in inbox.requests}
            assert len(sent) == len(bodies)
            tried = [request.key for request in inbox.requests]
            assert tried == sorted(tried, key=sent.index)  # nobody overtakes, not even with an attempt that fails

    with tempfile.TemporaryDirectory() as folder:
        scheduled.run(lambda _: run(Path(folder)), settle=SETTLE)


async def test_a_dead_receiver_delays_nobody(tmp_path: Path, clock: Clock) -> None:
    """While one receiver hangs and another is away, a third gets a hundred messages at once."""
    counts, numbers = Counts(), [numbered(number) for number in range(100)]
    async with Inbox([HANG] * 1000) as hanging, Inbox() as well, outbox(tmp_path) as store:
        receivers = [hanging.webhook("hanging"), Inbox().webhook("away"), well.webhook("well")]
        for receiver in receivers:
            await put(store, receiver.receiver_name, *numbers)
        started = clock.monotonic()
        async with Dispatcher(store, receivers, counts, policy=QUICK):
            await drained(store, "well")
            seconds = clock.monotonic() - started
        left = await store.message_counts()

    assert [each.id for each in numbers] == well.keys
    assert seconds < 1.0
    assert {"hanging": 100, "away": 100} == left
    assert 1 == len(hanging.requests)


async def test_most(tmp_path: Path) -> None:
    """Beyond the bound the oldest messages are dropped and counted, also while the receiver fails; the newest arrive in
    order.
    """
    counts, inbox, numbers = Counts(), Inbox(), [numbered(number) for number in range(12)]
    async with outbox(tmp_path) as store:
        await put(store, "hook", *numbers[:8])
        with capture_logs() as logs:
            policy = replace(QUICK, queue_limit=5, max_backoff=30.0)
            async with Dispatcher(store, [inbox.webhook()], counts, policy=policy):
                await until(lambda: counts.outcomes["hook", "failed"])
                assert 5 == counts.lengths["hook"]
                await put(store, "hook", *numbers[8:])
                await until(lambda: counts.outcomes["hook", "dropped"] == 7)
                async with inbox:
                    await drained(store, "hook")
                    await until(lambda: counts.lengths["hook"] == 0)

    assert [each.id for each in numbers[7:]] == inbox.keys
    assert (7, 5) == (counts.outcomes["hook", "dropped"], counts.outcomes["hook", "delivered"])
    assert [3, 4] == [line["messages"] for line in logs if line["event"] == "notify.dropped"]


async def test_committed_without_waking(tmp_path: Path) -> None:
    """A message that nobody announces is found by the timer."""
    async with (
        Inbox() as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK),
    ):
        await asyncio.sleep(QUICK.poll_interval / 2)
        await put(store, "hook", FIRING)
        await drained(store, "hook")

    assert [FIRING.id] == inbox.keys


async def test_stop_lets_a_request_end(tmp_path: Path) -> None:
    """A request in flight ends within the grace and its message is done with; no other is begun."""
    async with Inbox([HANG]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        dispatcher = Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK)
        await dispatcher.start()
        await until(lambda: inbox.requests)
        stopping = asyncio.create_task(dispatcher.stop(5.0))
        await asyncio.sleep(1.0)
        inbox.open.set()
        await stopping
        left = await store.messages("hook")

    assert 1 == len(inbox.requests)
    assert 1 == len(left)


async def test_stop_does_not_wait_for_ever(tmp_path: Path, clock: Clock) -> None:
    """A request that outlives the grace is given up, and its message stays for the next start."""
    async with Inbox([HANG]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        dispatcher = Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK)
        await dispatcher.start()
        await until(lambda: inbox.requests)
        started = clock.monotonic()
        await dispatcher.stop(5.0)
        seconds = clock.monotonic() - started
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await drained(store, "hook")

    assert 5.0 == pytest.approx(seconds, abs=0.1)
    assert [FIRING.id, FIRING.id] == [request.key for request in inbox.requests]


async def test_stop_in_a_pause(tmp_path: Path, clock: Clock) -> None:
    """A pause after a failure holds up no stop."""
    counts = Counts()
    async with outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        dispatcher = Dispatcher(
            store, [Inbox().webhook()], counts, policy=replace(QUICK, initial_backoff=60.0, max_backoff=60.0)
        )
        await dispatcher.start()
        await until(lambda: counts.outcomes["hook", "failed"])
        started = clock.monotonic()
        await dispatcher.stop(30.0)

    assert clock.monotonic() - started < 1.0


async def test_reload_leaves_a_receiver_alone(tmp_path: Path) -> None:
    """A receiver that is as before goes on with the request in flight."""
    async with Inbox([HANG]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK) as dispatcher:
            await until(lambda: inbox.requests)
            dispatcher.replace([inbox.webhook(), Inbox().webhook("another")])
            inbox.open.set()
            await drained(store, "hook")

    assert 1 == len(inbox.requests)


async def test_reload_moves_a_receiver(tmp_path: Path) -> None:
    """A receiver with another address keeps its queue, and nothing is sent there before the request in flight to the
    old one has ended.
    """
    async with Inbox([HANG]) as old, Inbox() as new, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        async with Dispatcher(store, [old.webhook()], Counts(), policy=QUICK) as dispatcher:
            await until(lambda: old.requests)
            dispatcher.replace([new.webhook()])
            await asyncio.sleep(QUICK.poll_interval + 1.0)  # less than a request may take
            early = len(new.requests)
            old.open.set()
            await drained(store, "hook")

    assert 0 == early
    assert [FIRING.id] == [request.key for request in old.requests]
    assert [resolved().id] == new.keys


async def test_reload_away_and_back(tmp_path: Path) -> None:
    """A receiver that is taken out and put back while a request is in flight is not sent two at once."""
    async with Inbox([HANG]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK) as dispatcher:
            await until(lambda: inbox.requests)
            dispatcher.replace([])
            dispatcher.replace([inbox.webhook()])
            await asyncio.sleep(QUICK.poll_interval + 1.0)  # less than a request may take
            early = len(inbox.requests)
            inbox.open.set()
            await drained(store, "hook")

    assert (1, 1) == (early, len(inbox.requests))


async def test_forgotten_receivers(tmp_path: Path) -> None:
    """Messages for a receiver that is not configured are deleted and logged: at the start, and after a reload."""
    counts = Counts()
    async with outbox(tmp_path) as store:
        await put(store, "former", FIRING, resolved())
        await put(store, "hook", FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [Inbox().webhook()], counts, policy=QUICK) as dispatcher:
                await drained(store, "former")
                assert {"hook": 1} == await store.message_counts()
                dispatcher.replace([])
                await drained(store, "hook")
                await until(lambda: counts.lengths["hook"] == 0)
    forgotten = [(line["receiver"], line["messages"]) for line in logs if line["event"] == "notify.forgotten"]

    assert [("former", 2), ("hook", 1)] == forgotten


async def test_store_that_cannot_be_written(tmp_path: Path) -> None:
    """While the store takes no deletion, what has arrived is not sent again, the failure is logged once, and the rest
    follows after it.
    """
    counts = Counts()
    async with Inbox() as inbox, outbox(tmp_path, lock_timeout=0.05) as store:
        await put(store, "hook", FIRING, resolved())
        other = sqlite3.connect(f"{tmp_path}/outbox.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
                await until(lambda: inbox.requests)
                await asyncio.sleep(3 * QUICK.poll_interval)
                early = len(inbox.requests)
                other.execute("ROLLBACK")
                await drained(store, "hook")
                await until(lambda: any(line["event"] == "notify.recovered" for line in logs))
        other.close()
    edges = [(line["event"], line["what"]) for line in logs if line["event"] in ("notify.failing", "notify.recovered")]

    assert 1 == early
    assert [FIRING.id, resolved().id] == inbox.keys
    assert {("hook", "delivered"): 2} == counts.outcomes
    assert [("notify.failing", "store"), ("notify.recovered", "store")] == edges


async def test_store_that_cannot_be_read(tmp_path: Path) -> None:
    """A store that fails when it is read is read again, and what waits in it arrives."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        other = sqlite3.connect(f"{tmp_path}/outbox.db", isolation_level=None)
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
                await drained(store, "hook")
                await put(store, "hook", resolved())
                other.execute("ALTER TABLE message RENAME TO gone")
                await until(lambda: any(line["event"] == "notify.failing" for line in logs))
                await asyncio.sleep(3 * QUICK.poll_interval)
                other.execute("ALTER TABLE gone RENAME TO message")
                await drained(store, "hook")
        other.close()

    assert [FIRING.id, resolved().id] == inbox.keys
    assert 1 == sum(line["event"] == "notify.failing" for line in logs)


async def test_who_is_failing(tmp_path: Path) -> None:
    """A receiver that gets nothing is named, since its first failure, with the last reason and what waits, until it
    takes a message.
    """
    times, hook, well = itertools.count(1000.0), Inbox([500]), Inbox()
    async with well, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        await put(store, "well", FIRING)
        receivers = [hook.webhook(), well.webhook("well")]
        async with Dispatcher(store, receivers, Counts(), policy=QUICK, clock=lambda: next(times)) as dispatcher:
            await until(lambda: dispatcher.failing)
            (away,) = dispatcher.failing
            async with hook:
                await until(
                    lambda: "500" in "".join(failing.why for failing in dispatcher.failing) or not dispatcher.failing
                )
                later = dispatcher.failing
                await drained(store, "hook", "well")
                await until(lambda: not dispatcher.failing)

    assert ("hook", 2) == (away.receiver, away.waiting)
    assert f"no connection to http://127.0.0.1:{hook.port}" in away.why
    assert {away.since} >= {failing.since for failing in later}


async def test_a_message_that_was_given_up_is_a_failure(tmp_path: Path) -> None:
    """A receiver that refused its last message for good counts as failing although nothing waits; one that took it does
    not.
    """
    counts = Counts()
    async with (
        Inbox([404, 404]) as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [inbox.webhook()], counts, policy=QUICK) as dispatcher,
    ):
        await put(store, "hook", FIRING, resolved())
        await until(lambda: counts.outcomes["hook", "rejected"] == 2)
        (refused,) = dispatcher.failing
        await put(store, "hook", FIRING)
        await until(lambda: counts.outcomes["hook", "delivered"])
        await until(lambda: not dispatcher.failing)

    assert refused.why.startswith("the last message was given up: ")


async def test_a_store_that_fails_is_no_receivers_fault(tmp_path: Path) -> None:
    """While the store cannot be read no receiver is called failing."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        other = sqlite3.connect(f"{tmp_path}/outbox.db", isolation_level=None)
        other.execute("ALTER TABLE message RENAME TO gone")
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK) as dispatcher:
                await until(lambda: any(line["event"] == "notify.failing" for line in logs))
                failing = dispatcher.failing
        other.close()

    assert () == failing


async def test_a_failing_receiver_is_logged_on_the_edge(tmp_path: Path) -> None:
    """However many attempts fail, there is one error, and one line when the receiver is back."""
    counts, inbox = Counts(), Inbox()
    async with outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
                await until(lambda: counts.outcomes["hook", "failed"] > 5)
                async with inbox:
                    await drained(store, "hook")
    events = [line["event"] for line in logs if line.get("what") == "receiver"]
    (failing,) = (line for line in logs if line["event"] == "notify.failing")

    assert ["notify.failing", "notify.recovered"] == events
    assert failing["error"].startswith(f"no connection to http://127.0.0.1:{inbox.port} (ClientConnectorError")


async def test_pauses_grow(tmp_path: Path) -> None:
    """The pauses between attempts double up to a bound, each up to half shorter by chance."""
    async with Inbox([500] * 8) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(
            store, [inbox.webhook()], Counts(), policy=replace(QUICK, initial_backoff=1.0, max_backoff=8.0)
        ):
            await drained(store, "hook")
    at = [request.at for request in inbox.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    wanted = [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0]

    assert len(wanted) == len(pauses)
    assert all(longest / 2 - 0.01 <= pause <= longest + 0.01 for longest, pause in zip(wanted, pauses, strict=True)), (
        pauses
    )
    assert min(pauses[3:]) < 7.6


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b'{"format": 99}'])
async def test_unreadable_message(tmp_path: Path, payload: bytes) -> None:
    """A message that cannot be read is counted as rejected, and holds up nobody."""
    counts = Counts()
    async with Inbox() as inbox, outbox(tmp_path) as store:
        async with store.transaction() as tx:
            await tx.enqueue(Message("hook", "damaged", 1.0, payload))
        await put(store, "hook", FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
                await drained(store, "hook")

    assert {("hook", "rejected"): 1, ("hook", "delivered"): 1} == counts.outcomes
    assert ["damaged"] == [line["subject"] for line in logs if line["event"] == "notify.unreadable"]


async def test_unexpected_error(tmp_path: Path) -> None:
    """A message that cannot even be sent is logged with its traceback, and holds up nobody."""
    counts = Counts()
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", replace(FIRING, id="no header\r\nholds this"), FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
                await drained(store, "hook")

    assert {("hook", "rejected"): 1, ("hook", "delivered"): 1} == counts.outcomes
    assert [True] == [line["exc_info"] for line in logs if line["event"] == "notify.crashed"]


async def test_shards_share_a_store(tmp_path: Path) -> None:
    """Each shard sends its own messages and leaves the others' alone, those of receivers that it does not know too."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        first, second, third = (Shard(index, 3) for index in range(3))
        for shard, number in ((first, 1), (second, 2), (third, 3)):
            await put(store, queue_of("hook", shard), numbered(number))
        await put(store, queue_of("other", third), numbered(4))
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK, shard=second):
            await until(lambda: inbox.keys == ["n2"])
            await asyncio.sleep(3 * QUICK.poll_interval)

        assert inbox.keys == ["n2"]
        assert {"hook": 1, "hook@2": 1, "other@2": 1} == await store.message_counts()


@pytest.mark.parametrize("name", ["ops@1", "ops@0", "ops@example.com", "@1", "@"])
async def test_names_that_look_like_a_shards_queue(tmp_path: Path, name: str) -> None:
    """A receiver may be called what another one's queue could be called: nobody takes its messages
    for somebody else's.
    """
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, queue_of(name, Shard(0, 2)), numbered(1))
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK, shard=Shard(1, 2)):
            await asyncio.sleep(3 * QUICK.poll_interval)
        assert {queue_of(name, Shard(0, 2)): 1} == await store.message_counts()
        async with Dispatcher(store, [inbox.webhook(name)], Counts(), policy=QUICK, shard=Shard(0, 2)):
            await until(lambda: inbox.keys == ["n1"])


async def test_messages_of_a_shard_that_is_no_more(tmp_path: Path) -> None:
    """With fewer shards than before the first one sends what the others left behind, and deletes what is for nobody."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, queue_of("hook", Shard(2, 3)), numbered(1), numbered(2))
        await put(store, queue_of("gone", Shard(2, 3)), numbered(3))
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK, shard=Shard(1, 2)):
            await asyncio.sleep(3 * QUICK.poll_interval)
            assert [] == inbox.requests
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK, shard=Shard(0, 2)):
            await until(lambda: inbox.keys == ["n1", "n2"])
            await drained(store, "hook", "hook@2", "gone@2")
