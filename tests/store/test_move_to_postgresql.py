"""The steps of move-to-postgresql.md, walked while a regression fires."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from monitor.alerts.states import AlertState, Phase
from monitor.live import alert_clock
from monitor.notify.notifier import moment
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.store import Store, schema
from tests.cli.commands import run_beside
from tests.notify.notify_parts import Inbox
from tests.service_process import Service
from tests.steps import Step, steps
from tests.store.postgres_server import Server
from tests.store.store_rows import rows_of

GESTURES, ACCURACY = "101-1-int8-testing", "EdgeImpulseAccuracyRegressed"
NAME = "impulse_monitor"
"""Of the database and its owner."""
LASTING = [table.name for table in schema.LASTING]
Told = tuple[str, str, str]
"""A transition: the alert, its status, and when it began to fire."""


@pytest.fixture
async def moved_to(server: Server) -> AsyncIterator[str]:
    """The URL of the database that the page makes."""
    yield server.url(NAME, NAME)
    await server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    await server.execute(f"DROP ROLE IF EXISTS {NAME}")


@pytest.fixture
async def hooks() -> AsyncIterator[tuple[Inbox, Inbox]]:
    """Two webhooks, the second of which is down."""
    async with Inbox() as up, Inbox() as down:
        await down.down()
        yield up, down


@pytest.fixture
async def service(
    tmp_path: Path, hooks: tuple[Inbox, Inbox], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """A service with a SQLite store that tells both, not started yet."""
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    studio = Studio([projects.classification(sizes={"testing": 400})])
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.content["store"] = f"sqlite:///{tmp_path}/impulse-monitor.db"
        service.content["notify"] = [
            {"name": name, "webhook": {"url": hook.url()}} for name, hook in zip(("up", "down"), hooks, strict=True)
        ]
        service.write()
        yield service
        await service.app.stop()


class Walk:
    """Does what the steps say, to this service and this server."""

    def __init__(self, service: Service, server: Server) -> None:
        self._service, self._server = service, server
        self.answers: dict[str, Result] = {}

    async def take(self, step: Step) -> None:
        """Take one step: what it says to write first, then its commands."""
        if step.configuration:
            self._service.content |= yaml.safe_load(step.configuration)
            self._service.write()
        for command in step.commands:
            await self._run(*shlex.split(command))

    async def _run(self, program: str, *arguments: str) -> None:
        if program == "systemctl":
            await {"stop": self._stop, "start": self._start}[arguments[0]]()
        elif program == "impulse-monitor":
            result = await run_beside(*arguments, IMPULSE_MONITOR_CONFIG=str(self._service.path))
            assert 0 == result.exit_code, result.output
            self.answers[" ".join(arguments[:2])] = result
        else:
            self._server.call(program, "-h", str(self._server.folder), "-U", "postgres", *arguments)

    async def _stop(self) -> None:
        await self._service.app.stop()

    async def _start(self) -> None:
        self._service.app = App(self._service.path)
        await self._service.app.start()


def sent(hook: Inbox) -> Counter[Told]:
    """How often a webhook took which transition; `check` asks with no content."""
    taken = [
        alert for request in hook.requests if request.body and request.reply == 200 for alert in request.json["alerts"]
    ]
    return Counter((alert["alert"], alert["status"], alert["starts_at"]) for alert in taken)


def accuracy(service: Service) -> AlertState | None:
    """Where the alert stands."""
    return service.app.live.alerts.get((ACCURACY, GESTURES))


def firing(service: Service) -> set[Told]:
    """The transitions that a receiver is told while these alerts fire."""
    alerts = service.app.live.alerts.values()
    return {told("firing", state) for state in alerts if state.phase is Phase.FIRING}


def told(status: str, state: AlertState) -> Told:
    """The transition of an alert."""
    assert state.starts_at is not None
    return state.alertname, status, moment(state.starts_at)


async def reaches(service: Service, phase: Phase) -> AlertState:
    """Wait until the alert stands there."""
    await service.until(lambda: (state := accuracy(service)) is not None and state.phase is phase)
    found = accuracy(service)
    assert found is not None
    return found


async def pulled(service: Service, times: int) -> None:
    """Wait for so many pulls."""
    moments: set[float] = set()

    def were() -> bool:
        shown = service.app.live.snapshots.get(GESTURES)
        moments.update([shown.last_pull] if shown is not None else [])
        return len(moments) > times

    await service.until(were)


def standing(state: AlertState) -> tuple[object, ...]:
    """What must not move where nothing changed."""
    return state.phase, state.since, state.starts_at, state.ends_at, dict(state.labels), state.digest


async def test_the_way_there_and_back(
    moved_to: str, service: Service, server: Server, hooks: tuple[Inbox, Inbox], tmp_path: Path
) -> None:
    """An alert that fires goes with the store: it neither resolves nor fires anew, and each receiver is told once, also
    the one that was down; it resolves as the alert that it was. The way back takes the newest with it.
    """
    examples = {
        f"postgresql://{NAME}@db.example.com/{NAME}": moved_to,
        "/var/lib/impulse-monitor": str(tmp_path),
    }
    database, stop, copy, name, start, back = steps("move-to-postgresql.md", replaced=examples)
    up, down = hooks
    walk = Walk(service, server)
    await service.app.start()
    await service.pulled(GESTURES)
    service.studio.generated(101).edit(quality=-1.5)
    fired = await reaches(service, Phase.FIRING)
    await service.until(lambda: sent(up).keys() == firing(service))
    fell = sent(up)
    assert (1, 0) == (fell[told("firing", fired)], sent(down).total())

    for step in (database, stop, copy):
        await walk.take(step)
    assert walk.answers["store copy"].stdout.endswith("each was read again and is the same\n")
    assert "warning" not in walk.answers["store copy"].stderr
    assert await rows_of(f"sqlite:///{tmp_path}/impulse-monitor.db") == await rows_of(moved_to)
    await down.up()
    await walk.take(name)
    await walk.take(start)
    await pulled(service, 4)
    await service.until(lambda: sent(down).keys() >= fell.keys())

    kept = accuracy(service)
    assert kept is not None
    assert standing(fired) == standing(kept)
    assert fell == sent(up) == sent(down)
    assert set(fell.values()) == {1}
    assert "firing" in walk.answers["alerts"].stdout
    assert GESTURES in walk.answers["history --limit"].stdout

    service.studio.generated(101).edit(quality=0.0)
    resolved = await reaches(service, Phase.RESOLVED)
    await service.until(lambda: min(sent(hook)[told("resolved", fired)] for hook in hooks))
    assert fired.starts_at == resolved.starts_at
    assert sent(up) == sent(down)
    assert set(sent(up).values()) == {1}
    await walk.take(back)
    there, here = await rows_of(moved_to), await rows_of(f"sqlite:///{tmp_path}/back.db")
    assert {name: there[name] for name in LASTING} == {name: here[name] for name in LASTING}
    async with Store(f"sqlite:///{tmp_path}/back.db") as store:
        firings = await store.firings_of_cause(fired.labels["cause_id"])
    past = [(each.fired.starts_at, each.ended and each.ended.ends_at) for each in firings]
    assert [(fired.starts_at, resolved.ends_at)] == [
        times for times, each in zip(past, firings, strict=True) if each.fired.alertname == ACCURACY
    ]
