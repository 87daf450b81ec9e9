"""Events: what fires, is pending or has ended, on pages and in the API; who was notified; where links lead."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from monitor.alerts.states import AlertState, Phase
from monitor.store import Message, Notification, Store
from monitor.store.state_documents import dump_transition
from monitor.targets import Target
from monitor.views.service_problems import ServiceProblem
from tests.factories import known
from tests.service_process import Service
from tests.web.fleet_service import REGRESSED, alert, fleet_live, model, record, serving, sqlite, target
from tests.web.test_web_pages import Page
from tests.web.web_service import ONE, pull, start

PRESS = target(1, "press line", team="edge")
PUMP = target(2, "pump")
HOUR = 3600.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(sqlite(tmp_path)) as found:
        yield found


async def page(address: str, path: str = "alerts", status: int = 200) -> Page:
    """A page of alerts."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}{path}") as response:
        assert status == response.status
        return Page(await response.text())


async def data(address: str, path: str = "") -> Any:
    """The data of the API's answer about events."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}api/v1/events{path}") as response:
        assert 200 == response.status
        return (await response.json())["data"]


def resolved(state: AlertState, ends_at: float) -> AlertState:
    """The same alert after its end."""
    said = {"summary": "Accuracy is back inside.", "description": "Accuracy is back inside."}
    return replace(state, phase=Phase.RESOLVED, ends_at=ends_at, annotations=said)


async def have_past(store: Store, of: Target, *begins: float, **fields: Any) -> None:
    """Let the store have that an alert of a target fired for ten minutes each time."""
    for began in begins:
        state = alert(of, began, **fields)
        await record(store, state)
        await record(store, resolved(state, began + 600))


def ids(shown: Page) -> list[str]:
    """The events of a page, in its order."""
    found = (str(attrs["id"]) for tag, attrs in shown.tags if tag == "article")
    return [each.removeprefix("event-") for each in found]


async def test_no_event_is_forgotten(store: Store) -> None:
    """Events that ended are listed, the newest first, behind those that fire and are pending; each as it was when it
    began, and with its end.
    """
    now = time.time()
    await have_past(store, PRESS, now - 50 * HOUR, now - 40 * HOUR)
    firing = alert(PRESS, now - HOUR)
    pending = alert(PUMP, now - 60, phase=Phase.PENDING)
    await record(store, firing)
    live = fleet_live(model(PRESS), model(PUMP), alerts=[firing, pending])
    async with serving(live, store) as address:
        shown = await page(address)
        found = await data(address)

    own, other = "target-0000000000000001", "target-0000000000000002"
    order = [f"{own}-{int(now - HOUR)}", f"{other}-{int(now - 60)}"]
    order += [f"{own}-{int(now - hours * HOUR)}" for hours in (40, 50)]
    assert order == ids(shown) == [event["id"] for event in found["events"]]
    assert ["firing", "pending", "past", "past"] == [event["state"] for event in found["events"]]
    assert "Firing press line" in shown.text
    assert "Accuracy 0.945 → 0.646" in shown.text.partition(" Past ")[2]
    assert "At its end: Accuracy is back inside." in shown.text
    assert (4, 1, 1) == tuple(found[name] for name in ("total", "page", "pages"))


async def test_a_shared_cause_is_one_event(store: Store) -> None:
    """Alerts of several targets with one cause are one event, also where one of them has ended, and where all have."""
    now = time.time()
    cause = "training-00c0ffee00c0ffee"
    states = [alert(PRESS, now - HOUR, cause), alert(PUMP, now - HOUR / 2, cause)]
    await record(store, *states, resolved(states[0], now - 60))
    live = fleet_live(model(PRESS), model(PUMP), alerts=[resolved(states[0], now - 60), states[1]])
    async with serving(live, store) as address:
        (event,) = (await data(address))["events"]
        await record(store, resolved(states[1], now))
        live.show_alerts(PUMP.key.id, [resolved(states[1], now)])
        (ended,) = (await data(address))["events"]

    assert (cause, "firing", None) == (event["id"], event["state"], event["ended"])
    assert [("firing", PUMP.key.id), ("past", PRESS.key.id)] == [
        (each["state"], each["target"]) for each in event["alerts"]
    ]
    assert (cause, "past", event["began"]) == (ended["id"], ended["state"], ended["began"])
    assert ended["ended"] is not None


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["press", "pump", "old press"]),
        ("?state=past", ["pump", "old press"]),
        ("?state=firing", ["press"]),
        ("?state=pending", []),
        ("?q=PRESS", ["press", "old press"]),
        ("?q=accuracyregressed+pump", ["pump"]),
        ("?project=pump", ["pump"]),
        ("?project=1", ["press", "old press"]),
        ("?label=team:edge&state=past", ["old press"]),
        ("?severity=warning", ["pump"]),
        ("?since=24h", ["press", "pump"]),
        ("?q=%25", []),
        ("?limit=1&page=2", ["pump"]),
        ("?limit=2&page=2", ["old press"]),
        ("?limit=2", ["press", "pump"]),
    ],
)
async def test_one_query_for_page_and_api(store: Store, query: str, wanted: list[str]) -> None:
    """The same query gives the same events on the page and in the API, whether they fire or have ended."""
    now = time.time()
    firing = alert(PRESS, now - HOUR)
    await have_past(store, PRESS, now - 50 * HOUR)
    await have_past(store, PUMP, now - 2 * HOUR, severity="warning")
    await record(store, firing)
    names = {
        "press": f"target-0000000000000001-{int(now - HOUR)}",
        "old press": f"target-0000000000000001-{int(now - 50 * HOUR)}",
        "pump": f"target-0000000000000002-{int(now - 2 * HOUR)}",
    }
    async with serving(fleet_live(model(PRESS), alerts=[firing]), store) as address:
        shown = ids(await page(address, f"alerts{query}"))
        found = [event["id"] for event in (await data(address, query))["events"]]

    assert [names[each] for each in wanted] == shown == found


async def test_pages_of_past_events(store: Store) -> None:
    """Every past event is on one page once, however many there are."""
    now = time.time()
    await have_past(store, PRESS, *(now - number * HOUR for number in range(1, 121)))
    firing = alert(PUMP, now)
    async with serving(fleet_live(model(PUMP), alerts=[firing]), store) as address:
        pages = [await page(address, f"alerts?page={number}") for number in (1, 2, 3)]

    assert [50, 50, 21] == [len(ids(each)) for each in pages]
    assert 121 == len({name for each in pages for name in ids(each)})
    assert "121 events, page 1 of 3" in pages[0].text
    assert "alerts?page=2" in pages[0].links


async def test_who_was_notified(store: Store) -> None:
    """An event says who was notified when, what was refused or dropped and why, and who still waits and why."""
    now = time.time()
    firing = alert(PRESS, now - HOUR)
    fired = known(firing.transition)
    await record(store, firing)
    async with store.transaction() as tx:
        await tx.record_notifications(
            [
                Notification(fired.id, "mail", now - HOUR, now - HOUR + 2, "delivered"),
                Notification(fired.id, "chat", now - HOUR, now - HOUR + 3, "rejected", "400: no such channel"),
            ]
        )
        await tx.enqueue(Message("hook", f"{REGRESSED}/{PRESS.key.id}", now - HOUR, dump_transition(fired)))
    failing = ServiceProblem("receiver", "error", "hook", ("connection refused",), "", receiver="hook")
    live = fleet_live(model(PRESS), alerts=[firing])
    async with serving(live, store, problems=lambda: (failing,)) as address:
        text = (await page(address)).text
        (event,) = (await data(address))["events"]

    assert "mail was notified" in text
    assert "chat refused the message" in text
    assert ": 400: no such channel" in text
    assert "hook has not been notified yet, since" in text
    assert ": connection refused" in text
    sent = {each["receiver"]: each for each in event["alerts"][0]["notifications"]}
    assert {"mail": "delivered", "chat": "rejected", "hook": "waiting"} == {
        name: each["outcome"] for name, each in sent.items()
    }
    assert {"firing"} == {each["status"] for each in sent.values()}


async def test_page_of_an_event(store: Store) -> None:
    """An event has a page under its name and under its cause, which has the earlier ones of the same cause, too;
    another name is a 404 with a way back.
    """
    now = time.time()
    await have_past(store, PRESS, now - 50 * HOUR, now - 40 * HOUR)
    async with serving(fleet_live(model(PRESS)), store) as address:
        by_cause = await page(address, "alerts/target-0000000000000001")
        name = ids(by_cause)[1]
        by_name = await page(address, f"alerts/{name}")
        unknown = await page(address, "alerts/%3Cb%3Enone", status=404)

    assert 2 == len(ids(by_cause))
    assert [name] == ids(by_name)
    assert "../alerts" in unknown.links
    assert "&lt;b&gt;none" in unknown.html


async def test_without_a_store(tmp_path: Path) -> None:
    """Without a store what fires is shown all the same, with the reason why the rest is not."""
    store = Store(sqlite(tmp_path / "nowhere"))
    live = fleet_live(model(PRESS), alerts=[alert(PRESS, time.time())])
    async with serving(live, store) as address:
        shown = await page(address)
        first = await page(address, "")
        found = await data(address)
    await store.close()

    assert 1 == len(ids(shown)) == len(ids(first)) == len(found["events"])
    assert "The store cannot be used" in shown.text
    assert found["store_problem"]


def _local(service: Service, link: str) -> str:
    """A link of an alert as a path of the service."""
    parts = urlsplit(link)
    assert "https://monitor.example.com" == f"{parts.scheme}://{parts.netloc}"
    return parts.path + (f"?{parts.query}" if parts.query else "")


@pytest.mark.usefixtures("clock")
async def test_links_of_an_alert(service: Service) -> None:
    """Every link that an alert carries leads to its event and to its samples, from when it fires until long after."""
    service.content["http"]["external_url"] = "https://monitor.example.com"
    await start(service, ONE, alone=True)
    await pull(service, ONE, step=1)
    state = service.app.live.alerts[REGRESSED, ONE]
    links = [state.generator_url, *(state.annotations[name] for name in ("event_url", "samples_url"))]
    for link in links:
        shown = Page((await service.get(_local(service, link)))[1])
        assert "Accuracy" in shown.text
    event = Page((await service.get(_local(service, state.annotations["event_url"])))[1])
    assert [state.cause_id] == ids(event)
    assert f"../targets/{ONE}/samples?kind=newly_wrong" in event.links

    await pull(service, ONE, step=2)
    assert Phase.RESOLVED is service.app.live.alerts[REGRESSED, ONE].phase
    await service.restart()
    await service.until(lambda: service.app.ready)
    status, text = await service.get(f"/api/v1/events/{state.cause_id}")
    (ended,) = json.loads(text)["data"]["events"]
    assert (200, "past") == (status, ended["state"])
    assert {REGRESSED, "EdgeImpulseMeanF1Regressed"} == {each["alertname"] for each in ended["alerts"]}
    assert "the model changed, not the data" == ended["why"]
    assert ended["samples"][0]["count"] == state.details["changed_samples"]["newly_wrong"]
