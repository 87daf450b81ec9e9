"""Services that share a PostgreSQL store, each as its own role wants it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from monitor.engine import fleet as engine
from monitor.engine import times
from monitor.engine.base import Role
from monitor.live import alert_clock, follower
from monitor.service import fleet as service
from monitor.service import membership
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.store import Run, Store
from tests.notify.notify_parts import Inbox
from tests.service_process import TOKEN
from tests.waiting import until

GESTURES, ANOMALY = "101-1-int8-testing", "103-1-int8-testing"
ACCURACY = "EdgeImpulseAccuracyRegressed"


class Members:
    """The services of a fleet, as they are started."""

    def __init__(self, folder: Path, content: dict[str, Any], stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.content = content

    def file(self, name: str) -> Path:
        """The configuration that is written now, in a file of this name."""
        path = self._folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(self.content), encoding="utf-8")
        return path

    async def start(self, name: str, role: Role) -> App:
        """Start one."""
        app = App(self.file(name), role=role)
        await app.start()
        self._stack.push_async_callback(app.stop)
        return app


@pytest.fixture
async def studio() -> Studio:
    """A classifier and an anomaly detector."""
    return Studio([projects.classification(sizes={"testing": 300}), projects.kmeans(sizes={"testing": 100})])


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """A webhook."""
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def members(
    studio: Studio, inbox: Inbox, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Members]:
    """A fleet that looks often at what others look at every few seconds."""
    monkeypatch.setattr(membership, "BEAT", 0.3)
    monkeypatch.setattr(engine, "PLAN", 0.1)
    monkeypatch.setattr(engine, "_BUSY", 0.2)
    monkeypatch.setattr(times, "SOONEST", 1.0)
    monkeypatch.setattr(alert_clock, "TICK", 0.2)
    monkeypatch.setattr(follower, "GATHER", 0.05)
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(studio))
        content = {
            "studio": {"url": url, "discover": "10m"},
            "schedule": {"every": "1s"},
            "stale_after": "10m",
            "store": postgresql,
            "http": {"listen": "127.0.0.1:0", "admin_token_file": str(tmp_path / "token")},
            "notify": [{"webhook": {"url": inbox.url()}}],
            "projects": [{"id": each.id, "api_key": each.api_key} for each in studio.projects.values()],
        }
        yield Members(tmp_path, content, stack)


async def text(app: App, path: str) -> str:
    """What a service answers."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{app.address}{path}") as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def models(app: App, path: str = "/metrics") -> set[str]:
    """The series of models that it shows; when a target was last pulled changes while one looks."""
    moving = ("edge_impulse_last_pull", "edge_impulse_last_success")
    lines = (await text(app, path)).splitlines()
    return {line for line in lines if line.startswith("edge_impulse") and not line.startswith(moving)}


def counted(app: App, name: str, **labels: str) -> float:
    """A series of the process."""
    return app.registry.get_sample_value(f"impulse_monitor_{name}", labels) or 0.0


def shown(app: App, *target_ids: str) -> Callable[[], bool]:
    """Whether these targets are shown with figures."""
    return lambda: all(
        target_id in app.live.snapshots and app.live.snapshots[target_id].evaluation for target_id in target_ids
    )


async def test_a_worker_pulls_and_a_replica_shows(members: Members, studio: Studio, inbox: Inbox) -> None:
    """What a worker pulls a web replica shows, which never asks Studio; a model that gets worse is told once, whoever
    leads; both agree on what is known.
    """
    web = await members.start("web", Role.WEB)
    worker = await members.start("worker", Role.WORKER)
    await until(shown(web, GESTURES))
    studio.generated(101).edit(quality=-1.5, results=True)
    key = (ACCURACY, GESTURES)
    await until(lambda: key in web.live.alerts and web.live.alerts[key].transition is not None)
    await until(lambda: inbox.requests)
    other = await members.start("another", Role.WEB)
    await until(lambda: other.ready)

    told = Counter(
        (each["labels"]["alertname"], each["status"]) for request in inbox.requests for each in request.json["alerts"]
    )
    assert 1 == told[ACCURACY, "firing"]
    assert 1 == counted(web, "leader") + counted(worker, "leader") + counted(other, "leader")
    assert counted(worker, "turns_total", outcome="done") > 0
    assert 0 == counted(web, "turns_total", outcome="done")
    assert counted(web, "replica_lag_seconds") < 60
    await until(lambda: _equal(web, other))
    assert {line for line in await text_lines(worker) if line.startswith("edge_impulse")} == set()


async def test_every_series_is_in_one_shard(members: Members) -> None:
    """Prometheus is told two shards, which together have each series of the models once, and each process alone."""
    web = await members.start("web", Role.ALL)
    worker = await members.start("worker", Role.WORKER)
    await until(shown(web, GESTURES))
    await until(lambda: 2 == len(_processes(web)))
    found = json.loads(await text(web, "/-/targets?of=2"))
    shards = [each for each in found if "__param_shard" in each["labels"]]
    whole = await models(web)
    parts = [await models(web, f"/metrics?shard={index}&of=2") for index in range(2)]

    assert [("0", "2"), ("1", "2")] == [
        (each["labels"]["__param_shard"], each["labels"]["__param_of"]) for each in shards
    ]
    assert {web.address} == {each["targets"][0] for each in shards}
    assert {(web.address, "all"), (worker.address, "worker")} == {
        (each["targets"][0], each["labels"]["role"]) for each in found if "__param_series" in each["labels"]
    }
    assert parts[0] and parts[1]
    assert not parts[0] & parts[1]
    assert {line.partition("} ")[0] for line in whole} == {line.partition("} ")[0] for part in parts for line in part}
    assert set() == await models(web, "/metrics?series=process")
    assert "impulse_monitor_turns_total" in await text(web, "/metrics?series=process")
    wrong = {
        "of=0&shard=0": 400,
        "series=models": 400,
        "shard=-1&of=2": 400,
        "shard=0&of=1e9": 400,
        "shard=2&of=2": 404,
    }
    for query, status in wrong.items():
        async with aiohttp.ClientSession() as session, session.get(f"http://{web.address}/metrics?{query}") as answer:
            assert status == answer.status, query


async def test_pull_now_on_a_replica(members: Members, studio: Studio) -> None:
    """A replica that takes no turns lets a target's turn come at once, wherever."""
    members.content["schedule"] = {"every": "1h"}
    worker = await members.start("worker", Role.WORKER)
    web = await members.start("web", Role.WEB)
    await until(shown(web, GESTURES))
    first = web.live.snapshots[GESTURES].last_pull
    await until(lambda: counted(worker, "turns_total", outcome="done") >= 2)

    path = f"http://{web.address}/api/v1/targets/{GESTURES}/pull"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.post(path) as answer:
        assert answer.status in (200, 202), await answer.text()

    await until(lambda: web.live.snapshots[GESTURES].last_pull > first)


async def test_a_worker_keeps_what_it_needs(members: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker does not keep what it knows of every project of a large fleet; what it forgot it reads again, and a run
    that says nothing new is still counted by the one before.
    """
    monkeypatch.setattr(service, "PROJECTS_KEPT", 1)
    web = await members.start("web", Role.WEB)
    await until(lambda: counted(web, "leader"))
    worker = await members.start("worker", Role.WORKER)
    await until(shown(web, GESTURES, ANOMALY))
    done = counted(worker, "turns_total", outcome="done")
    await until(lambda: counted(worker, "turns_total", outcome="done") > done + 4)

    assert 1 == len(await _runs(members, GESTURES))
    assert 1 == len(await _runs(members, ANOMALY))
    assert len([each for each in worker.live.targets.values() if each.snapshot and each.pull is None]) <= 1


async def test_the_next_one_leads(members: Members) -> None:
    """When the process that leads is stopped, another one does; turns go on, and nothing of them is written twice."""
    first = await members.start("first", Role.ALL)
    second = await members.start("second", Role.ALL)
    await until(lambda: counted(first, "leader") + counted(second, "leader"))
    leader, other = (first, second) if counted(first, "leader") else (second, first)
    await until(shown(other, GESTURES))
    await leader.stop()
    done = counted(other, "turns_total", outcome="done")

    await until(lambda: counted(other, "leader"))
    await until(lambda: counted(other, "turns_total", outcome="done") > done + 2)

    assert 1 == counted(other, "workers")
    assert 0 == counted(other, "turns_total", outcome="fenced")
    assert 1 == len(await _runs(members, GESTURES))


async def test_other_configurations_are_said(members: Members) -> None:
    """A process whose configuration says something else is named where people look; that of the leader counts, and
    where the files are makes no difference.
    """
    first = await members.start("first", Role.ALL)
    await until(lambda: counted(first, "leader"))
    await members.start("second", Role.WEB)
    await until(lambda: 2 == len(_processes(first)))
    assert 0 == counted(first, "config_differs")
    members.content["schedule"] = {"every": "2s"}
    await members.start("third", Role.WEB)
    await until(lambda: 1 == counted(first, "config_differs"))

    status = json.loads(await text(first, "/api/v1/status"))
    titles = [each["title"] for each in status["data"]["problems"]]
    assert ["Processes of the fleet have different configurations: that of the one that leads counts"] == titles


async def test_a_failing_receiver_is_seen_everywhere(members: Members, studio: Studio, inbox: Inbox) -> None:
    """One process sends; that a receiver fails is said on the pages of all."""
    first = await members.start("first", Role.ALL)
    second = await members.start("second", Role.ALL)
    await until(shown(second, GESTURES))
    await inbox.down()
    studio.generated(101).edit(quality=-1.5)

    for app in (first, second):
        await until(lambda: _kinds(app))  # noqa: B023
        assert ["receiver"] == await _kinds(app)


async def test_no_worker(members: Members) -> None:
    """A fleet that only shows says that nothing is pulled."""
    web = await members.start("web", Role.WEB)
    await until(lambda: counted(web, "leader"))

    problems = json.loads(await text(web, "/api/v1/status"))["data"]["problems"]
    assert ["The fleet has no worker: nothing is pulled"] == [each["title"] for each in problems]


@pytest.mark.parametrize(
    ("options", "store", "code", "said"),
    [
        (["--role", "web"], "sqlite:///monitor.db", 1, "need a PostgreSQL"),
        (["--role", "web"], "postgresql://nobody@/none?host=/nowhere&prepared_statements=off", 1, "without a pooler"),
        (["--role", "web", "--shard.total", "2"], "sqlite:///monitor.db", 2, "exclude each other"),
        (["--role", "writer"], "sqlite:///monitor.db", 2, "'all', 'worker', 'web'"),
    ],
)
async def test_roles_that_are_not_possible(
    tmp_path: Path, options: list[str], store: str, code: int, said: str
) -> None:
    """A role without a PostgreSQL that can be shared, or beside shards, is refused in a sentence."""
    path = tmp_path / "monitor.yaml"
    content = {"store": store, "http": {"listen": "127.0.0.1:0"}, "projects": [{"id": 1, "api_key": "ei_1"}]}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    command = [sys.executable, "-m", "monitor", "run", "--config", str(path), *options]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=100, cwd=tmp_path)

    assert code == done.returncode
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


async def _runs(members: Members, target_id: str) -> list[Run]:
    async with Store(members.content["store"]) as store:
        return await store.runs(target_id)


async def _kinds(app: App) -> list[str]:
    problems = json.loads(await text(app, "/api/v1/status"))["data"]["problems"]
    return [each["kind"] for each in problems]


def _processes(app: App) -> Any:
    assert app._fleet is not None
    return app._fleet.processes


async def _equal(first: App, second: App) -> bool:
    return await models(first) == await models(second)


async def text_lines(app: App) -> list[str]:
    """The lines of a service's metrics."""
    return (await text(app, "/metrics")).splitlines()
