"""Parts of the notifiers' tests: a receiver on loopback that can be told how to fail, an outbox, and who counts."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web
from pydantic import SecretStr

from monitor.alerts.states import Transition
from monitor.config import NotifyConfig
from monitor.notify import Outcome, RetryPolicy
from monitor.store import Message, Store
from monitor.store.state_documents import dump_transition
from tests.waiting import until

QUICK = RetryPolicy(initial_backoff=1.0, max_backoff=3.0, poll_interval=5.0, resend_interval=10.0)
"""Everything as in earnest, with fewer looks: for tests in scheduled time."""

SHIPPED = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yml"

HANG, DROP = "hang", "drop"
Reply = int | str | tuple[int, Mapping[str, str]]
"""A status, with headers or without; or no answer; or a connection that breaks off."""

FIRING = Transition(
    id="f" * 64,
    status="firing",
    alertname="EdgeImpulseAccuracyRegressed",
    severity="warning",
    target_id="101-1-int8-testing",
    labels={
        "alertname": "EdgeImpulseAccuracyRegressed",
        "severity": "warning",
        "project_id": "101",
        "project": "Prüfstand №3",
        "team": "edge",
    },
    annotations={
        "summary": "Accuracy fell: Prüfstand №3.",
        "description": "Accuracy 0.913 → 0.872 (−4.1 points; p = 2e-6).",
    },
    starts_at=1_772_352_902.125,
    generator_url="https://monitor.example/targets/101-1-int8-testing",
    details={"value": 0.872, "baseline": 0.913, "causes": {"added": -0.039, "model": -0.002}},
)


def resolved(transition: Transition = FIRING, ends_at: float | None = None) -> Transition:
    """The end of an alert that fires."""
    ends_at = transition.starts_at + 600 if ends_at is None else ends_at
    return replace(transition, id=transition.id[:-1] + "0", status="resolved", ends_at=ends_at)


def notify_entry(kind: str, name: str, **config: Any) -> NotifyConfig:
    """An entry of `notify`."""
    return NotifyConfig.model_validate({"name": name, kind: config})


def numbered(number: int) -> Transition:
    """One of many transitions."""
    return replace(
        FIRING,
        id=f"n{number}",
        target_id=f"{number}-1-int8-testing",
        labels={**FIRING.labels, "project_id": str(number)},
    )


def event(
    number: int, cause: str = "training-5ca1ab1e5ca1ab1e", severity: str = "warning", **labels: str
) -> Transition:
    """One of an event's many transitions: four figures of each of many targets."""
    alertname, target_id = f"EdgeImpulseFigure{number % 4}", f"101-1-v{number // 4}-testing"
    own = {"alertname": alertname, "variant": f"v{number // 4}", "severity": severity, "cause_id": cause}
    return replace(
        FIRING,
        id=f"{cause}-{number}-{severity}".ljust(64, "0"),
        alertname=alertname,
        severity=severity,
        target_id=target_id,
        labels={**FIRING.labels, **own, **labels},
        annotations={
            "summary": f"Figure {number % 4} fell by {number} points: Prüfstand №3.",
            "description": f"Figure {number % 4} fell by {number} points since yesterday.",
        },
        generator_url=f"https://monitor.example/targets/{target_id}",
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Request:
    """What a receiver was sent."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    reply: Reply

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.headers["Idempotency-Key"]


class Inbox:
    """A receiver. `replies` are given in turn, then 200 for ever; or `reply` decides."""

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        reply: Callable[[Any], Reply] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = free_port()
        self.tls = tls
        self.replies = list(replies)
        self.reply = reply
        self.requests: list[Request] = []
        self.open = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen, on the same port each time."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls).start()

    async def down(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        reply = self.reply(json.loads(body)) if self.reply else self.replies.pop(0) if self.replies else 200
        self.requests.append(
            Request(time.monotonic(), request.method, request.path_qs, dict(request.headers), body, reply)
        )
        if reply == HANG:
            await self.open.wait()
            return web.Response()
        if reply == DROP:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, headers = reply if isinstance(reply, tuple) else (reply, {})
        return web.Response(status=int(status), headers=headers)

    def url(self, path: str = "/hook") -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def webhook(self, name: str = "hook", **others: Any) -> NotifyConfig:
        """It as a webhook."""
        return notify_entry("webhook", name, url=SecretStr(self.url()), **others)

    @property
    def keys(self) -> list[str]:
        """Keys of what it has taken, in order."""
        return [request.key for request in self.requests if request.reply == 200]


@dataclass
class Counts:
    """Counts what the dispatcher tells its observer."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    lengths: dict[str, int] = field(default_factory=dict)

    def notification(self, receiver: str, outcome: Outcome) -> None:
        self.outcomes[receiver, outcome] += 1

    def queue_length(self, receiver: str, length: int) -> None:
        self.lengths[receiver] = length


@asynccontextmanager
async def outbox(folder: Path, lock_timeout: float = 60.0) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(f"sqlite:///{folder}/outbox.db", lock_timeout=lock_timeout) as store:
        yield store


async def put(store: Store, receiver: str, *transitions: Transition) -> None:
    """Commit notifications."""
    async with store.transaction() as tx:
        for each in transitions:
            await tx.enqueue(
                Message(receiver, f"{each.alertname} {each.target_id}", time.time(), dump_transition(each))
            )


async def drained(store: Store, *receivers: str) -> None:
    """Wait until nothing waits for these receivers."""

    async def nothing_waits() -> bool:
        return not set(receivers) & (await store.message_counts()).keys()

    await until(nothing_waits)


def alertmanager_config(hook: str) -> str:
    """A configuration of Alertmanager that tells a webhook, by its URL, of each alert at once and by itself."""
    route = {
        "receiver": "hook",
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    receivers = [{"name": "hook", "webhook_configs": [{"url": hook, "send_resolved": True}]}]
    return json.dumps({"route": route, "receivers": receivers})


def shipped_config(hook: str, waits: Mapping[str, str]) -> str:
    """The configuration of Alertmanager that is shipped, which tells a webhook instead of nobody, with these waits in
    place of its own wherever it has one.
    """
    config: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    (receiver,) = config["receivers"]
    receiver["webhook_configs"] = [{"url": hook, "send_resolved": True}]
    routes = [config["route"]]
    for route in routes:
        route |= {name: wait for name, wait in waits.items() if name in route}
        routes += route.get("routes", [])
    return json.dumps(config)


class Real:
    """The real Alertmanager, with a webhook behind it."""

    def __init__(self, binary: str, folder: Path, hook: Inbox, config: str | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "alertmanager.yml").write_text(config or alertmanager_config(hook.url()), encoding="utf-8")
        self.command = [
            binary,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self.log = folder / "alertmanager.log"
        self.hook = hook

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start it, and end it."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*self.command, stdout=log, stderr=log)
            try:
                await until(lambda: self._ready(process))
                yield
            finally:
                process.terminate()
                await process.wait()

    async def _ready(self, process: asyncio.subprocess.Process) -> bool:
        assert process.returncode is None, self.log.read_text()
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + "/-/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def alerts(self) -> list[dict[str, Any]]:
        """What it holds."""
        async with aiohttp.ClientSession() as session, session.get(self.url + "/api/v2/alerts") as response:
            return list(await response.json())

    @property
    def told(self) -> list[tuple[str, str]]:
        """What its webhook was told: the status and project of each alert, in order."""
        return [
            (alert["status"], alert["labels"]["project_id"])
            for request in self.hook.requests
            for alert in request.json["alerts"]
        ]
