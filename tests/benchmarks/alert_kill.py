"""Kills the service while alerts are pending, firing and resolving, and counts transitions lost or told as another
alert.

`python -m tests.benchmarks alert_kill [--times 20] [--seed N] [--alertmanager PROGRAM]`; exit code 0 where each round's
alert began once, resolved once, and kept its start through the kill.

A round: the model gets worse (pending), worse again (firing), and as good as it was (resolved), as a simulated Studio
says; the service is killed at a random moment in one of the three, started again, and a webhook is asked what it was
told: by the service itself, or by the Alertmanager that the service tells.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from monitor.alerts.states import Phase
from monitor.simulator import Studio, projects, serve
from monitor.store import Store
from tests.notify.notify_parts import alertmanager_config

NUMBER, TARGET, ALERT = 101, "101-1-int8-testing", "EdgeImpulseAccuracyRegressed"
PHASES = (Phase.PENDING, Phase.FIRING, Phase.RESOLVED)
LATEST = 2.5
"""Seconds after the change of the model until the kill, at most: two pulls and what follows from them."""


class Hook:
    """A webhook that remembers what it was told, in order: each start and end of an alert once, and how often it was
    told of it.

    Attributes:
        told: Status and start of each alert in a message. The service's own are one for each id; Alertmanager's are
            all.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self._keys: dict[str, Any] = {}
        self._ids: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        """Remember one message of the service."""
        body = await request.json()
        key = request.headers["Idempotency-Key"]
        assert self._keys.setdefault(key, body) == body, "two messages share a key"
        fresh = [alert for alert in body["alerts"] if alert["id"] not in self._ids]
        self._ids |= {alert["id"] for alert in fresh}
        self.told += [(alert["status"], alert["starts_at"]) for alert in fresh]
        return web.Response()

    async def take_from_alertmanager(self, request: web.Request) -> web.Response:
        """Remember the alerts of one message of Alertmanager."""
        self.told += [(alert["status"], alert["startsAt"]) for alert in (await request.json())["alerts"]]
        return web.Response()


@asynccontextmanager
async def alertmanager(program: str, hook: str, folder: Path) -> AsyncIterator[str]:
    """The real one, which tells the webhook of each alert at once: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "alertmanager.yml").write_text(alertmanager_config(hook), encoding="utf-8")
    options = [
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address={address}",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, *options, "--cluster.listen-address=", stdout=log, stderr=log
        )
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            await process.wait()


class Monitor:
    """The service as a process."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start it; returns as soon as it runs."""
        command = (sys.executable, "-m", "monitor", "run", "--config", str(self.config), "--log.level", "error")
        self.process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONUNBUFFERED": "1"})

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process.returncode is None, "the service ended by itself"
        self.process.kill()
        await self.process.wait()


async def phase(config: Path) -> Phase:
    """Where the alert stands, as the store has it."""
    path = config.parent / "impulse-monitor.db"
    if not path.exists():
        return Phase.INACTIVE
    async with Store(f"sqlite:///{path}") as store:
        return next(
            (state.phase for state in await store.alert_states(TARGET) if state.alertname == ALERT), Phase.INACTIVE
        )


async def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until something holds, for at most three minutes."""
    end = time.monotonic() + 180
    while not (await found if asyncio.iscoroutine(found := holds()) else found):
        assert time.monotonic() < end, f"{what} did not happen"
        await asyncio.sleep(0.2)  # to look into the store costs a tenth of a second, which the service has to share


async def one_round(
    studio: Studio, monitor: Monitor, hook: Hook, kill_in: Phase, after: float, number: int
) -> list[str]:
    """What went wrong in one round."""
    before = len(hook.told)
    for target_phase, quality in zip(PHASES, (-1.4 - number * 0.001, -1.7 - number * 0.001, 0.0), strict=True):
        studio.generated(NUMBER).edit(quality=quality)
        if target_phase is kill_in:
            await asyncio.sleep(after)
            await monitor.kill()
            await monitor.start()

        async def reached(wanted: Phase = target_phase) -> bool:
            return await phase(monitor.config) is wanted

        await until(reached, f"round {number}: {target_phase}")
        # Alertmanager tells nothing of what began and ended within its group_interval
        if target_phase is not Phase.PENDING:
            await until(
                lambda wanted=target_phase: any(status == wanted for status, _ in hook.told[before:]),
                f"round {number}: the message",
            )
    await asyncio.sleep(0.2)  # for what there should not be
    statuses, starts = [status for status, _ in hook.told[before:]], {start for _, start in hook.told[before:]}
    wrong = [] if statuses == ["firing", "resolved"] else [f"told {statuses}"]
    return wrong + ([] if len(starts) == 1 else [f"{len(starts)} starts"])


async def rounds(times: int, seed: int | None, folder: Path, program: str | None) -> int:
    """Kill so many times in each phase; how many problems there were. With a program, what is told goes through that
    Alertmanager.
    """
    rng = random.Random(seed)
    studio = Studio([projects.classification(sizes={"testing": 400}, seed=7)])
    hook = Hook()
    app = web.Application()
    app.router.add_post("/", hook.take)
    app.router.add_post("/alertmanager", hook.take_from_alertmanager)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    problems = 0
    try:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(serve(studio))
            receiver = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            notify = {"webhook": {"url": receiver}}
            if program is not None:
                notify = {
                    "alertmanager": {
                        "url": await stack.enter_async_context(alertmanager(program, f"{receiver}alertmanager", folder))
                    }
                }
            config = folder / "monitor.yaml"
            content = {
                "studio": {"url": url},
                "schedule": {"every": "1s"},
                "http": {"listen": "127.0.0.1:0"},
                "projects": [{"id": NUMBER, "api_key": studio.projects[NUMBER].api_key}],
                "defaults": "off",
                "alerts": [{"alert": ALERT, "metric": "accuracy", "drop": 0.03, "for": "2 pulls"}],
                "notify": [notify],
            }
            config.write_text(yaml.safe_dump(content), encoding="utf-8")
            monitor = Monitor(config)
            await monitor.start()

            async def has_a_baseline() -> bool:
                path = folder / "impulse-monitor.db"
                if not path.exists():
                    return False
                async with Store(f"sqlite:///{path}") as store:
                    return await store.baseline(TARGET, "pinned") is not None

            await until(has_a_baseline, "the first run")
            try:
                for number in range(3 * times):
                    kill_in, after = PHASES[number % 3], rng.uniform(0, LATEST)
                    wrong = await one_round(studio, monitor, hook, kill_in, after, number)
                    problems += len(wrong)
                    print(
                        f"round {number + 1:3}: killed {after:.3f} s into {kill_in}: "
                        f"{'; '.join(wrong) or 'told once, resolved once'}",
                        flush=True,
                    )
            finally:
                await monitor.kill()
    finally:
        await runner.cleanup()
    print(f"{3 * times} kills, {len(hook.told)} messages, {problems} problems")
    return problems


def main() -> int:
    """Kill, start, ask; as often as told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="how often to kill in each of the three phases")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    parser.add_argument(
        "--alertmanager", metavar="PROGRAM", help="a real Alertmanager to go through, such as prometheus-alertmanager"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(asyncio.run(rounds(arguments.times, arguments.seed, Path(folder), arguments.alertmanager)) > 0)


if __name__ == "__main__":
    sys.exit(main())
