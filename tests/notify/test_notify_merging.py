"""Messages of one event are one message: which are, when it goes out, and what becomes of it when something fails."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook

from monitor.alerts.states import Transition
from monitor.notify import Dispatcher
from monitor.notify.apprise import texts
from monitor.notify.merging import bundles
from monitor.store import Message, Store
from monitor.store.state_documents import dump_transition
from tests.clock import Clock
from tests.notify.notify_parts import (
    QUICK,
    Counts,
    Inbox,
    drained,
    event,
    notify_entry,
    outbox,
    put,
    resolved,
)
from tests.waiting import until

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "config" / "webhook.schema.json").read_text(encoding="utf-8"))
WINDOW = QUICK.merge_window


def hook_of(inbox: Inbox, store: Store, clock: Clock, more: Callable[[Transition], bool] | None = None) -> Dispatcher:
    """A dispatcher with the inbox as its webhook."""
    return Dispatcher(
        store,
        [inbox.webhook()],
        Counts(),
        tuple,
        more or (lambda transition: False),
        policy=QUICK,
        clock=clock.time,
    )


async def commit(store: Store, clock: Clock, *transitions: Transition) -> None:
    """Commit notifications as of now, by the clock of the test."""
    async with store.transaction() as tx:
        for each in transitions:
            subject = f"{each.alertname} {each.target_id}"
            await tx.enqueue(Message("hook", subject, clock.time(), dump_transition(each)))


def listed(inbox: Inbox) -> list[list[str]]:
    """The ids of the transitions in each message that was taken."""
    return [[each["id"] for each in request.json["alerts"]] for request in inbox.requests if request.reply == 200]


def ids(*transitions: Transition) -> list[str]:
    """Their ids."""
    return [each.id for each in transitions]


async def test_forty_alerts_are_one_message(tmp_path: Path, clock: Clock) -> None:
    """Forty alerts of one training that wait for a webhook arrive as one message that lists them."""
    alerts = [event(number) for number in range(40)]
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await commit(store, clock, *alerts)
        async with hook_of(inbox, store, clock):
            await drained(store, "hook")

    assert [ids(*alerts)] == listed(inbox)
    assert "training-5ca1ab1e5ca1ab1e" == inbox.requests[0].json["cause_id"]
    jsonschema.validate(inbox.requests[0].json, SCHEMA)


@pytest.mark.real_time  # the package that verifies takes the real time
async def test_signature_is_of_the_whole_message(tmp_path: Path) -> None:
    """The signature is of the body with all alerts; the most urgent one comes first, and stands for them."""
    secret, file = "whsec_" + base64.b64encode(bytes(24)).decode(), tmp_path / "secret"
    file.write_text(secret, encoding="utf-8")
    alerts = [event(0), event(1, severity="info"), event(2, severity="critical"), event(3)]
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", *alerts)
        async with Dispatcher(store, [inbox.webhook(secret_file=file)], Counts(), policy=QUICK):
            await drained(store, "hook")
    (request,) = inbox.requests
    body = Webhook(secret).verify(request.body, dict(request.headers))

    assert ids(alerts[2], alerts[0], alerts[3], alerts[1]) == [each["id"] for each in body["alerts"]]
    assert body["id"] == request.key == request.headers["webhook-id"]
    assert body["id"] not in ids(*alerts)
    own = {name: value for name, value in body["alerts"][0].items() if name != "id"}
    assert own == {name: body[name] for name in own}


async def test_a_single_alert_does_not_wait(tmp_path: Path, clock: Clock) -> None:
    """An alert that no other is expected beside goes out at once, of whatever cause."""
    async with Inbox() as inbox, outbox(tmp_path) as store, hook_of(inbox, store, clock):
        for cause in ("training-1", "data-1", "target-1"):
            began = clock.time()
            await commit(store, clock, event(0, cause))
            await drained(store, "hook")
            assert clock.time() - began < 0.5

    assert 3 == len(inbox.requests)


async def test_waits_for_the_rest_of_a_turn(tmp_path: Path, clock: Clock) -> None:
    """While another pull of the turn may add to an event its message waits, and goes out soon after the last one."""
    more = [True]
    async with Inbox() as inbox, outbox(tmp_path) as store, hook_of(inbox, store, clock, lambda _: more[0]):
        await commit(store, clock, event(0))
        await asyncio.sleep(5.0)
        await commit(store, clock, event(4))
        await asyncio.sleep(5.0)
        before = len(inbox.requests)
        more[0], began = False, clock.time()
        await drained(store, "hook")

    assert 0 == before
    assert clock.time() - began < 2.0
    assert [ids(event(0), event(4))] == listed(inbox)


async def test_waits_a_minute_at_most(tmp_path: Path, clock: Clock) -> None:
    """A pull that does not end delays a message by a minute; one that no other target can share is not delayed."""
    async with Inbox() as inbox, outbox(tmp_path) as store, hook_of(inbox, store, clock, lambda _: True):
        began = clock.time()
        await commit(store, clock, event(0), event(1, "target-1"))
        await until(lambda: inbox.requests)
        own = clock.time() - began
        await drained(store, "hook")

    assert own < 0.5
    assert WINDOW == pytest.approx(clock.time() - began, abs=2.0)
    assert [ids(event(1, "target-1")), ids(event(0))] == listed(inbox)


async def test_stragglers_come_together(tmp_path: Path, clock: Clock) -> None:
    """What joins an event within a minute of its message comes as one more, when the minute is over; another event's
    alert in between does not wait for it.
    """
    async with Inbox() as inbox, outbox(tmp_path) as store, hook_of(inbox, store, clock):
        began = clock.time()
        await commit(store, clock, event(0))
        await drained(store, "hook")
        for number in (4, 8):
            await asyncio.sleep(10.0)
            await commit(store, clock, event(number))
        await commit(store, clock, event(12, "data-9"))
        await until(lambda: len(inbox.requests) == 2)
        between = clock.time() - began
        await drained(store, "hook")

    assert [ids(event(0)), ids(event(12, "data-9")), ids(event(4), event(8))] == listed(inbox)
    assert between < 21.0
    assert WINDOW == pytest.approx(clock.time() - began, abs=2.0)


async def test_the_end_follows_the_beginning(tmp_path: Path, clock: Clock) -> None:
    """What resolves is another message; it never comes before the alert's beginning, even where that waits."""
    async with Inbox() as inbox, outbox(tmp_path) as store, hook_of(inbox, store, clock):
        await commit(store, clock, event(0))
        await drained(store, "hook")
        await commit(store, clock, event(4), resolved(event(4)), resolved(event(0)))
        await drained(store, "hook")
    told = [(request.json["status"], each["id"]) for request in inbox.requests for each in request.json["alerts"]]

    assert told.index(("firing", event(4).id)) < told.index(("resolved", resolved(event(4)).id))
    assert {"firing": 2, "resolved": 2} == {
        status: len([each for each in told if each[0] == status]) for status in ("firing", "resolved")
    }


async def test_failures(tmp_path: Path, clock: Clock) -> None:
    """A message is repeated under the same key as long as it lists the same alerts; what arises meanwhile joins it
    under another, and nothing is lost.
    """
    async with Inbox([500, 500, 503]) as inbox, outbox(tmp_path) as store:
        await commit(store, clock, event(0), event(1))
        async with hook_of(inbox, store, clock):
            await until(lambda: len(inbox.requests) == 2)
            await commit(store, clock, event(4))
            await drained(store, "hook")
    first, second, third, last = inbox.requests

    assert first.key == second.key
    assert third.key == last.key
    assert first.key != third.key
    assert [ids(event(0), event(1), event(4))] == listed(inbox)


async def test_a_refused_alert_does_not_cost_the_others(tmp_path: Path, clock: Clock) -> None:
    """Where a receiver refuses a message of several, each alert is sent by itself: only the bad one is given up."""

    def reply(body: dict[str, list[dict[str, str]]]) -> int:
        return 422 if any(each["id"] == event(1).id for each in body["alerts"]) else 200

    async with Inbox(reply=reply) as inbox, outbox(tmp_path) as store:
        await commit(store, clock, *(event(number) for number in range(3)))
        async with hook_of(inbox, store, clock):
            await drained(store, "hook")

    assert [ids(event(0)), ids(event(2))] == listed(inbox)
    assert 4 == len(inbox.requests)


async def test_restart_while_it_waits(tmp_path: Path, clock: Clock) -> None:
    """A message that waits for others when the service stops goes out after the next start, once."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        async with hook_of(inbox, store, clock, lambda _: True):
            await commit(store, clock, event(0), event(4))
            await asyncio.sleep(3.0)
            before = len(inbox.requests)
        async with hook_of(inbox, store, clock):
            await drained(store, "hook")

    assert 0 == before
    assert [ids(event(0), event(4))] == listed(inbox)


async def test_an_alertmanager_gets_each_alert_at_once(tmp_path: Path, clock: Clock) -> None:
    """Alertmanager groups by itself: it is sent each alert alone, and waits for no other."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        receiver = notify_entry("alertmanager", "hook", url=SecretStr(inbox.url("")))
        began = clock.time()
        await commit(store, clock, event(0), event(1))
        async with Dispatcher(store, [receiver], Counts(), tuple, lambda _: True, policy=QUICK, clock=clock.time):
            await drained(store, "hook")

    assert [1, 1] == [len(request.json) for request in inbox.requests[:2]]
    assert clock.time() - began < 1.0


async def test_chat(tmp_path: Path, clock: Clock) -> None:
    """A chat gets one message: the most urgent alert in full, and all of the event's, by their summaries."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        chat = notify_entry("apprise", "hook", url=SecretStr(f"json://127.0.0.1:{inbox.port}/hook"))
        await commit(store, clock, event(5), event(6, severity="critical"), event(7))
        async with Dispatcher(store, [chat], Counts(), policy=QUICK, clock=clock.time):
            await drained(store, "hook")
    (request,) = inbox.requests
    worst = event(6, severity="critical")

    assert "failure" == request.json["type"]
    assert f"Firing: {worst.annotations['summary']} 2 more of the same event." == request.json["title"]
    assert [
        worst.annotations["description"],
        worst.generator_url,
        "",
        "3 alerts of one event:",
        *(f"- {each.annotations['summary']}" for each in (worst, event(5), event(7))),
    ] == request.json["message"].splitlines()


def waiting() -> st.SearchStrategy[list[tuple[Message, Transition | None]]]:
    """Messages of a few alerts and events, firing and resolved in turn; some cannot be read."""

    def built(chosen: list[tuple[int, int, bool]]) -> list[tuple[Message, Transition | None]]:
        fires: dict[int, Transition] = {}
        found: list[tuple[Message, Transition | None]] = []
        for number, (alert, cause, readable) in enumerate(chosen):
            if (begun := fires.pop(alert, None)) is not None:
                told = resolved(begun)
            else:
                told = fires[alert] = event(alert, ("", "training-1", "data-2")[cause])
            message = Message("hook", f"{told.alertname} {told.target_id}", float(number), b"", number)
            found.append((message, told if readable else None))
        return found

    return st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans() | st.just(True))).map(built)


@given(waiting())
def test_order_and_completeness(messages: list[tuple[Message, Transition | None]]) -> None:
    """Every message is in one bundle, each alert's are in bundles of their order, and a bundle has one event."""
    found = bundles(messages)
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, bundle in enumerate(found):
        for message in bundle.messages:
            assert message.id is not None
            places[message.subject].append((message.id, place))

    assert sorted(message.id or 0 for message, _ in messages) == sorted(
        each for seen in places.values() for each, _ in seen
    )
    for seen in places.values():
        order = [place for _, place in sorted(seen)]
        assert order == sorted(order)
        assert len(order) == len(set(order))
    for bundle in found:
        told = {(each.labels["cause_id"], each.status) for each in bundle.transitions}
        assert 1 == len(bundle.messages) or (1 == len(told) and ("",) != next(iter(told))[:1])


def test_a_long_list_is_cut() -> None:
    """A list that is longer than a service takes says how many it leaves out; a full text gives way to the list."""
    alerts = [
        replace(event(number), annotations={"summary": "s" * 60, "description": "d" * 900}) for number in range(40)
    ]
    title, body = texts(alerts, 2000)
    short = texts(alerts[:3], 1300)[1]

    assert len(title) + len(body) < 2000
    assert body.startswith("40 alerts of one event:\n- ss")
    left = int(body.splitlines()[-1].removeprefix("and ").removesuffix(" more"))
    assert 40 == left + body.count("\n- ")
    assert short.startswith("d" * 900)
