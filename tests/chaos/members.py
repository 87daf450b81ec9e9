"""A fleet on PostgreSQL whose processes are killed, frozen and cut off, their clocks an hour apart: what is done twice.

`python -m tests.chaos members [--events 30] [--projects 300] [--every 60] [--patience 1] [--seed 1]`; exit code 0 where
nothing was wrong. Three workers and two web replicas share the projects of a Studio in a process of its own, behind
them a real Alertmanager and a Prometheus that finds what to scrape by the fleet's own list. Needs root, for a network
namespace in which a worker is cut off from PostgreSQL and not from Studio.

It begins as one process with SQLite in which an alert fires; the fleet goes on with a copy of its store. In each event
some models get worse and others get well, so that alerts begin and end meanwhile, and a worker is hit right after the
last answer of a pull, which it has still to write. After each event everything must go on, and both replicas must show
the same. `--patience` is by how much the machine may be slower than a quiet one: what is promised within seconds is
expected within so many times as many.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from monitor.store import results_lock
from monitor.store.transaction import lock_key
from tests.chaos.members_checks import Agreement, check_refused, check_runs, check_told
from tests.chaos.members_parts import (
    ALERT,
    Books,
    Held,
    Member,
    StudioProcess,
    in_own_network,
    lasted,
)
from tests.chaos.members_scrape import Prometheus
from tests.chaos.members_studio import FIRST
from tests.notify.notify_parts import Inbox, Real
from tests.store.postgres_server import DATABASE, running
from tests.waiting import until

WORKERS, WEBS = 3, 2
AHEAD = (0.0, 3600.0, -3600.0, 0.0, -3600.0)
"""Seconds that the clocks of the workers and the web replicas are ahead."""
TAKEN_AGAIN = 15.0
"""Seconds within which the turns of a worker that is gone are taken, and a leader that is gone is followed."""
SAME = 10.0
"""Seconds within which replicas show the same."""
FROZEN = 12.0
"""Seconds for which a process is stopped or cut off, at least: longer than any lease."""
RETRY_AFTER = 20
WRITING = 3.0
"""Seconds that the last answer of a pull takes whose worker is hit before it writes."""
BAD, WELL = -3.0, 0.0
LIMITED, REGRESSED = FIRST, FIRST + 1
"""The project that Studio refuses for a while, and that whose alert fires from before the fleet to its end."""
TURNS = 3
"""Projects whose models change with each event, of twice as many."""


class Trial:
    """The fleet, what is done to it, and what was found.

    Attributes:
        problems: In words; empty where all is well.
        expected: What the webhook is to be told of each project, in order.
    """

    def __init__(
        self, studio: StudioProcess, books: Books, members: list[Member], alertmanager: Real, patience: float, seed: int
    ) -> None:
        self.studio, self.books, self.members, self.alertmanager = studio, books, members, alertmanager
        self.patience, self.rng = patience, random.Random(seed)
        self.problems: list[str] = []
        self.expected: dict[int, list[str]] = {REGRESSED: ["firing"]}
        self.refused: list[float] = []
        self._bad: list[int] = []
        self._turn = 0

    @property
    def webs(self) -> list[Member]:
        """The replicas."""
        return [member for member in self.members if member.role == "web"]

    @property
    def workers(self) -> list[Member]:
        """The workers."""
        return [member for member in self.members if member.role == "worker"]

    def at(self, address: str | None) -> Member | None:
        """The member at an address."""
        return next((member for member in self.members if member.address == address), None)

    async def leader(self) -> Member:
        """The member that leads."""
        return self.at(await until(self.books.leader)) or self.members[0]

    def within(self, what: str, seconds: float, promised: float) -> str:
        """Take note of how long something took."""
        if seconds > promised * self.patience:
            self.problems.append(f"{what} took {seconds:.1f} s")
        return f"{what} {seconds:.1f} s"

    # -- events

    async def kill_worker(self) -> str:
        """`kill -9` of a worker whose key Studio has just asked to come back later."""
        asked = time.time()
        await self.studio.ask("refuse", project=LIMITED, seconds=RETRY_AFTER)

        async def met() -> float | None:
            # again and again: a pull that is under way counts as the one that is asked for
            await self.webs[0].pull_now(f"{LIMITED}-1-int8-testing")
            at: float | None = await self.studio.ask("refused", project=LIMITED)
            return at if at is not None and at >= asked else None

        self.refused.append(await until(met, every=1.0))
        closed = f"SELECT 1 FROM turn WHERE project = '{LIMITED}' AND closed_until > extract(epoch FROM now())"
        noted = await lasted(lambda: self.books.rows(closed))
        victim = self.at(await until(lambda: self.books.holder(LIMITED)))
        assert victim is not None
        return f"{await self._killed(victim)}, Retry-After noted {noted:.1f} s after it was seen"

    async def kill_leader(self) -> str:
        """`kill -9` of the process that leads."""
        return await self._killed(await self.leader())

    async def kill_web(self) -> str:
        """`kill -9` of a replica, while the other one serves."""
        victim, other = self.rng.sample(self.webs, 2)
        text = await self._killed(victim)
        if (await other.get("/metrics"))[0] != 200:
            self.problems.append(f"{other.name} does not serve while {victim.name} is gone")
        return text

    async def freeze_worker(self) -> str:
        """SIGSTOP of a worker that has still to write, for longer than its lease; at first nobody can tell it so."""
        victim = await self._about_to_write()
        victim.send(signal.SIGSTOP)
        try:
            await self.books.disconnect(victim.address)
            return await self._gone(victim, FROZEN)
        finally:
            victim.send(signal.SIGCONT)

    async def freeze_writer(self) -> str:
        """SIGSTOP of a worker in the middle of a transaction, for longer than its lease."""
        project = REGRESSED
        key = lock_key(results_lock(f"{project}-1-int8-testing"))
        async with self.books.locked(key) as waited_for:
            await until(waited_for)
            victim = self.at(await until(lambda: self.books.holder(project)))
            assert victim is not None
            victim.send(signal.SIGSTOP)
        try:  # its transaction has the lock now, and no client
            return await self._gone(victim, FROZEN)
        finally:
            victim.send(signal.SIGCONT)

    async def freeze_leader(self) -> str:
        """SIGSTOP of the process that leads, for longer than its lease."""
        victim = await self.leader()
        victim.send(signal.SIGSTOP)
        try:
            return await self._gone(victim, FROZEN)
        finally:
            victim.send(signal.SIGCONT)

    async def cut_worker(self) -> str:
        """A worker that has still to write reaches Studio, and not PostgreSQL."""
        victim = await self._about_to_write()
        victim.cable(cut=True)
        try:
            return await self._gone(victim, FROZEN)
        finally:
            victim.cable(cut=False)

    async def stop_postgresql(self) -> str:
        """PostgreSQL stopped and started."""
        how, away = self.rng.choice(("fast", "immediate")), self.rng.uniform(1.0, FROZEN)
        await asyncio.to_thread(self.books.server.control, "-m", how, "stop")
        await asyncio.sleep(away)
        await asyncio.to_thread(self.books.server.start)
        return f"{how}, away for {away:.1f} s"

    async def change_clock(self) -> str:
        """A member's clock is another one from its next start on."""
        victim = self.rng.choice(self.members)
        await victim.end(signal.SIGTERM)
        victim.ahead = self.rng.choice([ahead for ahead in (-3600.0, 0.0, 3600.0) if ahead != victim.ahead])
        await victim.start()
        return f"{victim.name} is {victim.ahead:+.0f} s ahead"

    async def _about_to_write(self) -> Member:
        """A worker that waits for the last answer of a pull."""
        while True:
            project = await self.studio.ask("slow", seconds=WRITING)
            victim = self.at(await self.books.holder(project)) if project is not None else None
            if victim is not None:
                return victim

    async def _killed(self, victim: Member) -> str:
        held, led = await self.books.turns_of(victim.address), await self.leader() is victim
        await victim.end(signal.SIGKILL)
        text = await self._followed(victim, held, led)
        await victim.start()
        return text

    async def _gone(self, victim: Member, seconds: float) -> str:
        """A member that does nothing any more: what it had is another's soon, and done; it stays away for so long, at
        least.
        """
        began = time.monotonic()
        held, led = await self.books.turns_of(victim.address), await self.leader() is victim
        text = await self._followed(victim, held, led)
        await until(lambda: self.books.taken_again(held, ended=True))
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        return text

    async def _followed(self, victim: Member, held: list[Held], led: bool) -> str:
        waits = {}
        if held:
            waits[f"{len(held)} turns taken again"] = lasted(lambda: self.books.taken_again(held))
        if led:
            waits["led by another one"] = lasted(lambda: self.books.leader(victim.address))
        seconds = await asyncio.gather(*waits.values())
        found = [self.within(what, each, TAKEN_AGAIN) for what, each in zip(waits, seconds, strict=True)]
        return ", ".join([victim.name, *found])

    # -- what follows

    async def models_change(self) -> None:
        """Some get well, others worse."""
        first = REGRESSED + 1 + TURNS * (self._turn % 2)
        well, self._bad, self._turn = self._bad, list(range(first, first + TURNS)), self._turn + 1
        for number in well:
            self.expected[number].append("resolved")
        for number in self._bad:
            self.expected.setdefault(number, []).append("firing")
        await self.studio.ask("quality", projects=well, quality=WELL)
        await self.studio.ask("quality", projects=self._bad, quality=BAD)

    async def goes_on(self) -> str:
        """All is served, all is pulled, and all is told."""
        since = time.time()
        ready = await lasted(self._all_ready)
        read = await lasted(lambda: self._all_read(since), 900)
        told = await lasted(self._all_told)
        return f"ready after {ready:.1f} s, pulled after {ready + read:.1f} s, told after {ready + read + told:.1f} s"

    async def _all_ready(self) -> bool:
        return all(await asyncio.gather(*(member.ready() for member in self.members)))

    async def _all_read(self, since: float) -> bool:
        return not set(await self.studio.ask("unread", since=since)) - {LIMITED}

    def _all_told(self) -> bool:
        return not check_told(self.expected, self.alertmanager.hook)

    async def replicas_agree(self) -> str:
        """Both replicas show as much as either does now, and the same of it."""
        agreement = Agreement(await self._shown())

        async def agreed() -> bool:
            return agreement.holds(*await self._shown())

        try:
            return self.within("replicas the same after", await lasted(agreed, 6 * SAME), SAME)
        except AssertionError:
            self.problems.append(f"replicas differ: {agreement}")
            return "replicas differ"

    async def _shown(self) -> list[dict[str, float]]:
        return list(await asyncio.gather(*(web.series() for web in self.webs)))


ORDER = ("kill_worker", "freeze_worker", "stop_postgresql", "cut_worker", "kill_leader", "kill_web")
OTHERS = ("freeze_leader", "freeze_writer", "change_clock")


def drawn(events: int, rng: random.Random, only: Sequence[str]) -> Iterator[str]:
    """So many events: first each of `ORDER` once, then all in changing order; or those alone that are named."""
    order = tuple(only) or ORDER
    yield from order[:events]
    left, names = events - len(order), tuple(only) or ORDER + OTHERS
    while left > 0:
        yield from rng.sample(names, min(left, len(names)))
        left -= len(names)


def configuration(studio: StudioProcess, alertmanager: str, every: float) -> dict[str, Any]:
    """What all members are told."""
    quick = range(REGRESSED, REGRESSED + 1 + 2 * TURNS)
    own = {LIMITED: "10m"} | dict.fromkeys(quick, f"{min(every, 3.0):g}s")
    entries = [
        {"id": number, "api_key": key, **({"schedule": {"every": own[number]}} if number in own else {})}
        for number, key in studio.keys.items()
    ]
    return {
        "studio": {"url": studio.url, "discover": "5m", "requests_in_flight_per_key": 1},
        "schedule": {"every": f"{every:g}s"},
        "stale_after": "1h",
        "projects": entries,
        "defaults": "off",
        "alerts": [{"alert": ALERT, "metric": "accuracy", "drop": 0.3, "significance": "off", "for": "2 pulls"}],
        "notify": [{"alertmanager": {"url": alertmanager}}],
    }


async def begin_with_sqlite(
    studio: StudioProcess, hook: Inbox, folder: Path, content: dict[str, Any], store: str
) -> None:
    """One process in which an alert fires; then its store is copied to PostgreSQL."""
    single = Member(folder, "", 9, 0.0, content)
    await single.start()
    try:
        await until(lambda: _pulled(single, len(studio.keys)), 900)
        await studio.ask("quality", projects=[REGRESSED], quality=BAD)
        await until(lambda: not check_told({REGRESSED: ["firing"]}, hook), 300)
    finally:
        await single.end(signal.SIGTERM)
    command = ("-m", "monitor", "store", "copy", f"sqlite:///{folder}/before.db", store)
    copy = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.DEVNULL)
    assert await copy.wait() == 0


async def _pulled(member: Member, projects: int) -> bool:
    _, text = await member.get("/metrics")
    return sum(line.startswith("edge_impulse_up{") and line.endswith(" 1.0") for line in text.splitlines()) == (
        2 * projects
    )


@asynccontextmanager
async def fleet(folder: Path, content: dict[str, Any]) -> AsyncIterator[list[Member]]:
    """The processes, up; ended with the block."""
    roles = ["worker"] * WORKERS + ["web"] * WEBS
    members = [
        Member(folder, role, number, ahead, content)
        for number, (role, ahead) in enumerate(zip(roles, AHEAD, strict=True), 1)
    ]
    try:
        for member in members:
            await member.start()
        yield members
    finally:
        await asyncio.gather(*(member.end(signal.SIGTERM) for member in members))


def program(name: str) -> str:
    """Where a program is.

    Raises:
        FileNotFoundError: Nowhere.
    """
    if (found := shutil.which(name)) is None:
        raise FileNotFoundError(f"there is no {name}")
    return found


async def trial(
    events: int, projects: int, every: float, patience: float, seed: int, only: Sequence[str], folder: Path
) -> list[str]:
    """All of it; what was wrong."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(running(lambda name: shutil.which(name) or name, listens="*"))
        server.call("createdb", "-h", str(server.folder), DATABASE)
        studio = await stack.enter_async_context(StudioProcess.running(projects, every))
        hook = await stack.enter_async_context(Inbox())
        alertmanager = Real(program("prometheus-alertmanager"), folder, hook)
        await stack.enter_async_context(alertmanager.running())
        content = configuration(studio, alertmanager.url, every)
        began = time.monotonic()
        await begin_with_sqlite(studio, hook, folder, content, server.url(DATABASE))
        say(f"one process with SQLite, copied: {time.monotonic() - began:.1f} s")
        since = time.time()
        members = await stack.enter_async_context(fleet(folder, content))
        subject = Trial(studio, Books(server), members, alertmanager, patience, seed)
        say(f"the fleet: {await subject.goes_on()}")
        epochs, counted = await subject.books.epochs(), time.time()
        prometheus = await stack.enter_async_context(
            Prometheus.running(program("prometheus"), folder, subject.webs[0].address, WEBS)
        )
        for number, name in enumerate(drawn(events, subject.rng, only), 1):
            await subject.models_change()
            event: Callable[[], Awaitable[str]] = getattr(subject, name)
            text = await event()
            say(f"event {number}, {name}: {text}; {await subject.goes_on()}; {await subject.replicas_agree()}")
        say(f"Prometheus: {await prometheus.scrapes_once(2 * projects, len(members))}")
        await until(lambda: _read_after(studio, subject.refused), 300)
        await asyncio.gather(*(member.end(signal.SIGTERM) for member in members))
        requests = folder / "requests"
        await studio.ask("dump", path=str(requests))
        subject.problems += [f"in flight: {most}" for most in [await studio.ask("most_in_flight")] if most > 1]
        subject.problems += check_told(subject.expected, hook)
        subject.problems += check_refused(requests, LIMITED, subject.refused, RETRY_AFTER)
        subject.problems += await check_runs(subject.books, requests, since, counted, epochs)
        return subject.problems + crashed(members)


async def _read_after(studio: StudioProcess, refused: list[float]) -> bool:
    """Whether the project that was refused was read since it may be."""
    return not refused or LIMITED not in await studio.ask("unread", since=refused[-1] + RETRY_AFTER)


def crashed(members: list[Member]) -> list[str]:
    """What members said that only a bug makes them say."""
    found = []
    for member in members:
        for line in member.log.read_text(encoding="utf-8").splitlines():
            if "crashed" in line or "Traceback" in line or "never retrieved" in line:
                found.append(f"{member.name}: {line[:600]}")
    return found


def say(text: str) -> None:
    """Print at once: the next line may take a minute."""
    print(text, flush=True)


def main() -> int:
    """Hit the fleet as often as told, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30)
    parser.add_argument("--projects", type=int, default=300)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two turns of a project")
    parser.add_argument("--patience", type=float, default=1.0, help="times as long as on a quiet machine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], choices=ORDER + OTHERS, help="an event; several times")
    parser.add_argument("--keep", dest="folder", type=Path, help="a folder for the files of the trial, which then stay")
    arguments = parser.parse_args()
    try:
        for name in ("prometheus", "prometheus-alertmanager", "iptables"):
            program(name)
        in_own_network(["members", *sys.argv[1:]])
    except (PermissionError, FileNotFoundError) as error:
        print(f"no network of its own, or not all programs: {error}; run as root", file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a Ctrl-C: what was started is stopped
    with folder_of_files(arguments.folder) as folder:
        problems = asyncio.run(trial(**{**vars(arguments), "folder": folder}))
    print("\n".join([f"{len(problems)} problems", *problems[:40]]))
    return int(bool(problems))


@contextmanager
def folder_of_files(kept: Path | None) -> Iterator[Path]:
    """A folder that goes with the block, or one that stays."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
    else:
        with tempfile.TemporaryDirectory(prefix="members-") as name:
            yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
