"""Kills the service at random moments, with full disks and dead receivers in between, and counts transitions lost or
doubled.

`python -m tests.chaos kills [--times 60] [--seed N]`; exit code 0 where each alert was told to begin once and to end
once, with one start. Needs root, for a file system that can be filled.

A round: the model gets worse (pending), worse again (firing), and as good as it was (resolved). In each of the three a
trouble may begin before the change and last beyond the kill: a full disk, a receiver that answers 503, one that takes
the message and breaks the connection before it answers, or a full disk and a dead receiver at once. The receiver counts
messages by their idempotency key, as receivers are told to.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import yaml
from aiohttp import web

from monitor.alerts.states import Phase
from monitor.simulator import Studio, projects, serve
from monitor.store import Store, StoreError
from tests.benchmarks import alert_kill
from tests.benchmarks.alert_kill import ALERT, NUMBER, PHASES, TARGET, Monitor, until

DISK = 16 * 2**20
"""Bytes of the file system that the store is on."""
LATEST = 3.0
"""Seconds after the change of the model until the kill, and after it until the trouble is over, at most."""
TROUBLES = ("nothing else", "full disk", "dead receiver", "swallowing receiver", "full disk and dead receiver")


class Hook(alert_kill.Hook):
    """A receiver that can be dead, or swallow: take a message and break the connection before it answers."""

    dead = swallows = False

    async def take(self, request: web.Request) -> web.Response:
        """Remember one message, unless dead."""
        if self.dead:
            raise web.HTTPServiceUnavailable
        answer = await super().take(request)
        if self.swallows and request.transport is not None:
            request.transport.abort()
        return answer


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of `DISK` bytes.

    Raises:
        PermissionError: Not root, or not allowed to mount.
    """
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


class Trouble:
    """What goes wrong beside the kill."""

    def __init__(self, name: str, disk: Path, hook: Hook) -> None:
        self.name, self._disk, self._hook = name, disk, hook

    def begin(self) -> None:
        """Let it be so."""
        self._hook.dead = "dead" in self.name
        self._hook.swallows = "swallowing" in self.name
        if "full" in self.name:
            fill(self._disk)

    def end(self) -> None:
        """Let all be well."""
        self._hook.dead = self._hook.swallows = False
        (self._disk / "filler").unlink(missing_ok=True)


async def reached(config: Path, phase: Phase) -> bool:
    """Whether the alert stands there; not where the store cannot be read right now."""
    try:
        return await alert_kill.phase(config) is phase
    except StoreError:
        return False


async def one_round(
    studio: Studio, monitor: Monitor, hook: Hook, kill_in: Phase, trouble: Trouble, rng: random.Random, number: int
) -> list[str]:
    """What went wrong in one round."""
    before = len(hook.told)
    for phase, quality in zip(PHASES, (-1.4 - number * 0.001, -1.7 - number * 0.001, 0.0), strict=True):
        if phase is kill_in:
            trouble.begin()
        studio.generated(NUMBER).edit(quality=quality)
        if phase is kill_in:
            await asyncio.sleep(rng.uniform(0, LATEST))
            await monitor.kill()
            await monitor.start()
            await asyncio.sleep(rng.uniform(0, LATEST))
            trouble.end()
        await until(lambda phase=phase: reached(monitor.config, phase), f"round {number}: {phase}")
        if phase is not Phase.PENDING:
            await until(
                lambda phase=phase: any(status == phase for status, _ in hook.told[before:]),
                f"round {number}: the message",
            )
    await asyncio.sleep(0.2)  # for what there should not be
    statuses, starts = [status for status, _ in hook.told[before:]], {start for _, start in hook.told[before:]}
    wrong = [] if statuses == ["firing", "resolved"] else [f"told {statuses}"]
    return wrong + ([] if len(starts) == 1 else [f"{len(starts)} starts"])


async def rounds(times: int, seed: int | None, disk: Path) -> int:
    """Kill so many times; how many problems there were."""
    rng = random.Random(seed)
    studio = Studio([projects.classification(sizes={"testing": 400}, seed=7)])
    hook = Hook()
    app = web.Application()
    app.router.add_post("/", hook.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    problems = 0
    try:
        async with serve(studio) as url:
            config = disk / "monitor.yaml"
            content = {
                "studio": {"url": url},
                "schedule": {"every": "1s"},
                "http": {"listen": "127.0.0.1:0"},
                "projects": [{"id": NUMBER, "api_key": studio.projects[NUMBER].api_key}],
                "defaults": "off",
                "alerts": [{"alert": ALERT, "metric": "accuracy", "drop": 0.03, "for": "2 pulls"}],
                "notify": [{"webhook": {"url": f"http://127.0.0.1:{runner.addresses[0][1]}/"}}],
            }
            config.write_text(yaml.safe_dump(content), encoding="utf-8")
            monitor = Monitor(config)
            await monitor.start()

            async def has_a_baseline() -> bool:
                path = disk / "impulse-monitor.db"
                if not path.exists():
                    return False
                async with Store(f"sqlite:///{path}") as store:
                    return await store.baseline(TARGET, "pinned") is not None

            await until(has_a_baseline, "the first run")
            try:
                for number in range(times):
                    kill_in = PHASES[number % len(PHASES)]
                    trouble = Trouble(TROUBLES[(number // len(PHASES) + number) % len(TROUBLES)], disk, hook)
                    wrong = await one_round(studio, monitor, hook, kill_in, trouble, rng, number)
                    problems += len(wrong)
                    print(
                        f"kill {number + 1:3} in {kill_in}, {trouble.name}: "
                        f"{'; '.join(wrong) or 'told once, resolved once'}",
                        flush=True,
                    )
            finally:
                await monitor.kill()
    finally:
        await runner.cleanup()
    print(f"{times} kills, {len(hook.told)} messages, {problems} problems")
    return problems


def main() -> int:
    """Kill, start, ask; as often as told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=60, help="how often to kill")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            disk = stack.enter_context(small_disk(folder))
        except (PermissionError, FileNotFoundError) as error:
            print(f"a small file system cannot be mounted: {error}; run as root", file=sys.stderr)
            return 77
        return int(asyncio.run(rounds(arguments.times, arguments.seed, disk)) > 0)


if __name__ == "__main__":
    os.environ.pop("PYTHONWARNINGS", None)
    sys.exit(main())
